use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use drivetap_core::Event;
use tokio::sync::watch;
use tokio::time::sleep;

use crate::{NotReady, Outcome, Sink, Stop};

/// The twin of a sink, in memory: for tests of a pipeline that need no service and no real time.
///
/// It takes everything, in order and at once, until its [`MemoryPlace`] is told otherwise. It passes the contract suite. It waits on
/// tokio's clock only, so a test with paused time sees exact waits.
///
/// ```
/// use drivetap_sink::{MemorySink, Outcome, Sink as _, Step, Stop};
///
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let (mut sink, place) = MemorySink::new();
/// place.script([Step::Stop { delivered: 0, acked: 0, stop: Stop::Hold { what: "no topic".to_owned() } }]);
/// sink.connect().await.unwrap();
/// assert_eq!(sink.publish(&[]).await.stop, Some(Stop::Hold { what: "no topic".to_owned() }));
/// assert_eq!(sink.publish(&[]).await, Outcome::all(0));
/// # });
/// ```
#[derive(Debug)]
pub struct MemorySink {
    place: MemoryPlace,
    session: Option<u64>,
    // The ids of what arrived and is still to be acknowledged, after a `Stop::Underway`.
    underway: Vec<String>,
}

impl MemorySink {
    /// A sink and the place that it writes to.
    #[must_use]
    pub fn new() -> (Self, MemoryPlace) {
        let place = MemoryPlace { state: Arc::default(), delivered: watch::Sender::new(0) };
        (place.sink(), place)
    }
}

#[async_trait]
impl Sink for MemorySink {
    async fn connect(&mut self) -> Result<(), NotReady> {
        let mut state = self.place.lock();
        state.connects += 1;
        if let Some(not_ready) = state.refusals.pop_front() {
            return Err(not_ready);
        }
        if state.cut {
            return Err(NotReady::Later("the connection is cut".to_owned()));
        }
        self.session = Some(state.session);
        self.underway.clear();
        Ok(())
    }

    async fn publish(&mut self, batch: &[Arc<Event>]) -> Outcome {
        let step = {
            let mut state = self.place.lock();
            state.batches.push(batch.len());
            state.script.pop_front()
        };
        let known = self.known(batch);
        match step {
            None => {}
            Some(Step::Wait(time)) => sleep(time).await,
            Some(Step::Stop { delivered, acked, stop }) => {
                let (delivered, acked) = (delivered.clamp(known, batch.len()), acked.min(batch.len()));
                self.place.deliver(&batch[known..delivered]);
                if stop == Stop::Underway {
                    let sent = batch.iter().take(delivered).skip(acked);
                    self.underway = sent.map(|event| event.id().to_owned()).collect();
                }
                return Outcome::stopped(acked, stop);
            }
        }
        self.take(batch, known)
    }

    async fn close(self: Box<Self>, _within: Duration) {
        self.place.lock().closed += 1;
    }
}

impl MemorySink {
    /// How many events from the front of the batch have arrived already. Whatever follows the answer to it, they are forgotten.
    fn known(&mut self, batch: &[Arc<Event>]) -> usize {
        let underway = std::mem::take(&mut self.underway);
        let is_front = underway.len() <= batch.len() && batch.iter().zip(&underway).all(|(event, id)| event.id() == id);
        if is_front { underway.len() } else { 0 }
    }

    fn take(&self, batch: &[Arc<Event>], known: usize) -> Outcome {
        let (connected, limit) = {
            let state = self.place.lock();
            (!state.cut && self.session == Some(state.session), state.max_event_bytes)
        };
        if !connected {
            return Outcome::stopped(0, Stop::Reconnect { reason: "not connected".to_owned() });
        }
        let fits = |event: &&Arc<Event>| limit.is_none_or(|limit| event.to_json().len() <= limit);
        let taken = batch.iter().take_while(fits).count();
        self.place.deliver(&batch[known.min(taken)..taken]);
        if taken == batch.len() {
            return Outcome::all(taken);
        }
        let reason = format!("more than {} bytes", limit.unwrap_or_default());
        Outcome::stopped(taken, Stop::Reject { code: "TOO_LARGE".to_owned(), reason })
    }
}

/// What happens to one batch in place of being taken.
#[derive(Clone, Debug)]
pub enum Step {
    /// It is taken after this long.
    Wait(Duration),
    /// `delivered` events from the front arrive, `acked` of them are acknowledged, then it stops. Where `delivered` is the larger one,
    /// the rest of them arrives a second time when it is offered again; not where it stops as [`Stop::Underway`].
    Stop {
        /// How many arrive, at most the whole batch.
        delivered: usize,
        /// How many the sink acknowledges, at most the whole batch.
        acked: usize,
        /// Why it stops.
        stop: Stop,
    },
}

/// Where a [`MemorySink`] writes to, and how a test steers it. Clones are the same place.
#[derive(Clone, Debug)]
pub struct MemoryPlace {
    state: Arc<Mutex<State>>,
    delivered: watch::Sender<usize>,
}

#[derive(Debug, Default)]
struct State {
    events: Vec<Arc<Event>>,
    batches: Vec<usize>,
    script: VecDeque<Step>,
    refusals: VecDeque<NotReady>,
    max_event_bytes: Option<usize>,
    cut: bool,
    // Counts cuts: a sink that connected before one has to connect again.
    session: u64,
    connects: usize,
    closed: usize,
}

impl MemoryPlace {
    /// Another sink onto this place, not connected: what a restarted process would make.
    #[must_use]
    pub fn sink(&self) -> MemorySink {
        MemorySink { place: self.clone(), session: None, underway: Vec::new() }
    }

    /// Adds what happens to the next batches, one step each; after the last one batches are taken again.
    pub fn script(&self, steps: impl IntoIterator<Item = Step>) {
        self.lock().script.extend(steps);
    }

    /// Adds what the next calls of `connect` answer; after the last one they succeed again.
    pub fn refuse(&self, answers: impl IntoIterator<Item = NotReady>) {
        self.lock().refusals.extend(answers);
    }

    /// From now on an event whose JSON is longer than this is rejected, with the code `TOO_LARGE`.
    pub fn limit(&self, max_event_bytes: usize) {
        self.lock().max_event_bytes = Some(max_event_bytes);
    }

    /// Breaks the connection; until [`mend`](Self::mend), `publish` asks for a reconnect and `connect` says later.
    pub fn cut(&self) {
        let mut state = self.lock();
        state.cut = true;
        state.session += 1;
    }

    /// Connections work again; the sink has to connect.
    pub fn mend(&self) {
        self.lock().cut = false;
    }

    /// Everything that arrived, repeats included, in order.
    #[must_use]
    pub fn events(&self) -> Vec<Arc<Event>> {
        self.lock().events.clone()
    }

    /// The sizes of the batches that were offered.
    #[must_use]
    pub fn batches(&self) -> Vec<usize> {
        self.lock().batches.clone()
    }

    /// How many times `connect` was called.
    #[must_use]
    pub fn connects(&self) -> usize {
        self.lock().connects
    }

    /// How many sinks of this place were closed.
    #[must_use]
    pub fn closed(&self) -> usize {
        self.lock().closed
    }

    /// Waits until at least `n` events arrived, repeats included. Cancel safe.
    pub async fn arrived(&self, n: usize) {
        // The sender lives as long as `self`: it cannot end before.
        let _ = self.delivered.subscribe().wait_for(|delivered| *delivered >= n).await;
    }

    fn deliver(&self, events: &[Arc<Event>]) {
        let total = {
            let mut state = self.lock();
            state.events.extend_from_slice(events);
            state.events.len()
        };
        self.delivered.send_replace(total);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
