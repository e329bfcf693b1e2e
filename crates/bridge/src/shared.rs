use std::sync::Arc;

use drivetap_transport::{Limits, Transport};
use tokio::sync::Semaphore;

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
    /// How many pages of delta are fetched at once in the process.
    pub(crate) walks: Semaphore,
}

impl Shared {
    /// At most 16 walks at once, whatever the number of drives.
    pub(crate) const WALKS: usize = 16;

    /// How many sinks hold the cursor.
    pub(crate) fn holders(&self) -> usize {
        self.inlets.iter().filter(|inlet| inlet.holds_cursor()).count()
    }
}
