use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use drivetap_core::feed::BatchId;
use jiff::Timestamp;
use tokio::sync::Notify;

/// How far each sink that holds the cursor has come with one feed's batches.
#[derive(Debug)]
pub(crate) struct Progress {
    /// The last batch that is durable, sink by sink; 0 for none.
    sinks: Vec<AtomicU64>,
    /// The losses that live sinks were told since somebody asked: the sink, and when the loss began.
    told: Mutex<Vec<(String, Timestamp)>>,
    moved: Notify,
}

/// Hangs on the last event of a batch; punched when a sink has settled it.
#[derive(Clone, Debug)]
pub(crate) struct Ticket {
    progress: Arc<Progress>,
    /// `None` for a sink that does not hold the cursor.
    sink: Option<usize>,
    batch: BatchId,
}

impl Progress {
    pub(crate) fn new(sinks: usize) -> Arc<Self> {
        let sinks = (0..sinks).map(|_| AtomicU64::new(0)).collect();
        Arc::new(Self { sinks, told: Mutex::default(), moved: Notify::new() })
    }

    /// A ticket for the `sink`-th of the sinks that hold the cursor.
    pub(crate) fn ticket(self: &Arc<Self>, sink: usize, batch: BatchId) -> Ticket {
        Ticket { progress: Arc::clone(self), sink: Some(sink), batch }
    }

    /// A ticket for a sink that does not hold the cursor: nobody waits for it, but what it loses is told.
    pub(crate) fn live_ticket(self: &Arc<Self>, batch: BatchId) -> Ticket {
        Ticket { progress: Arc::clone(self), sink: None, batch }
    }

    /// A live sink has the gap event of the loss that began then.
    pub(crate) fn tell(&self, sink: String, from: Timestamp) {
        self.told.lock().unwrap_or_else(PoisonError::into_inner).push((sink, from));
        self.moved.notify_one();
    }

    /// What was told since this was last asked.
    pub(crate) fn take_told(&self) -> Vec<(String, Timestamp)> {
        std::mem::take(&mut self.told.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Waits until a ticket is punched, or a loss is told. **Cancel safe.**
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
        if let Some(sink) = self.sink.and_then(|sink| self.progress.sinks.get(sink)) {
            sink.fetch_max(self.batch.0, Ordering::Release);
            self.progress.moved.notify_one();
        }
    }

    pub(crate) fn progress(&self) -> &Arc<Progress> {
        &self.progress
    }
}
