use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use drivetap_core::feed::BatchId;
use tokio::sync::Notify;

/// How far each sink that holds the cursor has come with one feed's batches.
#[derive(Debug)]
pub(crate) struct Progress {
    /// The last batch that is durable, sink by sink; 0 for none.
    sinks: Vec<AtomicU64>,
    moved: Notify,
}

/// Hangs on the last event of a batch; punched when a sink has settled it.
#[derive(Clone, Debug)]
pub(crate) struct Ticket {
    progress: Arc<Progress>,
    sink: usize,
    batch: BatchId,
}

impl Progress {
    pub(crate) fn new(sinks: usize) -> Arc<Self> {
        Arc::new(Self { sinks: (0..sinks).map(|_| AtomicU64::new(0)).collect(), moved: Notify::new() })
    }

    /// A ticket for the `sink`-th of the sinks that hold the cursor.
    pub(crate) fn ticket(self: &Arc<Self>, sink: usize, batch: BatchId) -> Ticket {
        Ticket { progress: Arc::clone(self), sink, batch }
    }

    /// Waits until a ticket is punched. **Cancel safe.**
    pub(crate) async fn moved(&self) {
        self.moved.notified().await;
    }

    /// The last batch that all of them have.
    pub(crate) fn through(&self) -> BatchId {
        BatchId(self.sinks.iter().map(|sink| sink.load(Ordering::Acquire)).min().unwrap_or(0))
    }
}

impl Ticket {
    /// A sink settles a feed's batches in order, so the newest stands for all before it.
    pub(crate) fn punch(self) {
        if let Some(sink) = self.progress.sinks.get(self.sink) {
            sink.fetch_max(self.batch.0, Ordering::Release);
        }
        self.progress.moved.notify_one();
    }
}
