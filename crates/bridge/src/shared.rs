use std::sync::Arc;

use drivetap_graph::Walks;
use drivetap_transport::{Limits, Transport};

use crate::clock::Clock;
use crate::dispatch::Inlet;
use crate::store::Store;

/// What all feeds of a pipeline use.
pub(crate) struct Shared {
    pub(crate) transport: Arc<dyn Transport>,
    pub(crate) limits: Limits,
    pub(crate) store: Arc<dyn Store>,
    pub(crate) clock: Clock,
    pub(crate) inlets: Vec<Arc<Inlet>>,
    /// How many walks there are at once in the process, and what their pages take.
    pub(crate) walks: Arc<Walks>,
}

impl Shared {
    /// How many sinks hold the cursor.
    pub(crate) fn holders(&self) -> usize {
        self.inlets.iter().filter(|inlet| inlet.holds_cursor()).count()
    }
}
