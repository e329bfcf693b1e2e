//! One dispatcher a sink: it owns the sink's retry, back-off, dead letters, counts and drain.

mod batch;
mod dead_letters;
mod inlet;
mod overflow;
mod ticket;

use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;

use drivetap_core::Backoff;
use drivetap_sink::{NotReady, Sink};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

pub(crate) use self::batch::{Batch, Next};
pub(crate) use self::dead_letters::DeadLetterOffice;
#[cfg(test)]
pub(crate) use self::inlet::{Fate, Slot};
pub(crate) use self::inlet::{Inlet, SignalRoom, Signals, holders};
pub(crate) use self::ticket::Progress;
use crate::clock::Clock;
use crate::status::SinkState;

/// Takes events out of an [`Inlet`] and brings them into a sink, in order, each to exactly one end.
pub(crate) struct Dispatcher {
    inlet: Arc<Inlet>,
    sink: Box<dyn Sink>,
    dead_letters: DeadLetterOffice,
    clock: Clock,
    backoff: Backoff,
    hold: Backoff,
    rng: fastrand::Rng,
    /// Cancelled when the time to drain is over.
    deadline: CancellationToken,
    /// Another sink holds the cursor, so this one leaves it when it is gone.
    may_leave: bool,
}

/// There is nothing left to do, or no time to do it: what is left is abandoned.
struct Over;

impl Dispatcher {
    /// How many events are offered to a sink at a time; most sinks answer when all of them are acknowledged, so few are slow.
    const BATCH: usize = 4_096;

    pub(crate) fn new(
        inlet: Arc<Inlet>,
        sink: Box<dyn Sink>,
        dead_letters: DeadLetterOffice,
        clock: Clock,
        (backoff, hold): (Backoff, Backoff),
        seed: u64,
        deadline: CancellationToken,
    ) -> Self {
        Self { inlet, sink, dead_letters, clock, backoff, hold, rng: fastrand::Rng::with_seed(seed), deadline, may_leave: false }
    }

    /// Whether feeds can follow other sinks when this one is gone for good. Without this it holds them.
    pub(crate) fn leaving(mut self, may_leave: bool) -> Self {
        self.may_leave = may_leave;
        self
    }

    /// Runs until the inlet is closed and empty, or the deadline is cancelled; then closes the sink within `close_within`.
    pub(crate) async fn run(mut self, close_within: Duration) {
        let _ = self.dispatch().await;
        tokio::join!(self.sink.close(close_within), self.dead_letters.close(close_within));
    }

    async fn dispatch(&mut self) -> Result<(), Over> {
        let mut batch = Batch::default();
        self.connect(&mut batch).await?;
        self.look().await?;
        loop {
            loop {
                if batch.is_empty() {
                    let taken = tokio::select! {
                        taken = self.inlet.take(Self::BATCH) => taken,
                        () = self.deadline.cancelled() => return Err(Over),
                    };
                    match taken {
                        Some(slots) => batch.extend(slots),
                        None => return Ok(()),
                    }
                }
                if self.publish(&mut batch).await?.is_break() {
                    break;
                }
                self.inlet.tell_overflows(self.clock.now().wall);
            }
            self.connect(&mut batch).await?;
        }
    }

    /// With nothing in hand, a sink that is away holds up no drain once its inlet is closed and empty.
    async fn connect(&mut self, batch: &mut Batch) -> Result<(), Over> {
        let (inlet, idle) = (Arc::clone(&self.inlet), batch.is_empty());
        loop {
            let connected = tokio::select! {
                connected = self.sink.connect() => connected,
                () = inlet.finished(), if idle => return Err(Over),
                () = self.deadline.cancelled() => return Err(Over),
            };
            if let Err(NotReady::Later(why) | NotReady::Never(why)) = &connected {
                self.leave_when_gone(batch, why).await?;
            }
            let name = &self.inlet.settings().name;
            let wait = match connected {
                Ok(()) => {
                    info!(sink = %name, "the sink is ready");
                    self.inlet.set_state(SinkState::Ready);
                    return Ok(());
                }
                Err(NotReady::Later(problem)) => {
                    let wait = self.backoff.next(&mut self.rng);
                    warn!(sink = %name, reason = %problem, retry_in = ?wait, "the sink is not ready");
                    self.inlet.set_state(SinkState::Connecting { problem: Some(problem) });
                    wait
                }
                Err(NotReady::Never(what)) => {
                    let wait = self.hold.next(&mut self.rng);
                    warn!(sink = %name, reason = %what, retry_in = ?wait, "the sink cannot work like this; its events are held");
                    self.inlet.set_state(SinkState::Held { what });
                    wait
                }
            };
            tokio::select! {
                waited = self.wait(wait) => waited?,
                () = inlet.finished(), if idle => return Err(Over),
            }
        }
    }

    /// What would hold the sink at its first dead letter is said now.
    async fn look(&mut self) -> Result<(), Over> {
        tokio::select! {
            () = self.dead_letters.look() => Ok(()),
            () = self.inlet.finished() => Ok(()),
            () = self.deadline.cancelled() => Err(Over),
        }
    }

    /// Offers the batch until it is settled, or until the sink has to be connected again (`Break`).
    async fn publish(&mut self, batch: &mut Batch) -> Result<ControlFlow<()>, Over> {
        while !batch.is_empty() {
            let outcome = self.sink.publish(&batch.offer()).await;
            if outcome.acked > 0 {
                self.backoff.reset();
                self.hold.reset();
                self.inlet.set_state(SinkState::Ready);
            }
            let acked = outcome.acked;
            let (settled, next) = batch.answered(outcome);
            self.inlet.settle(settled);
            let name = &self.inlet.settings().name;
            match next {
                Next::Done => {}
                Next::GoOn => {
                    if self.deadline.is_cancelled() {
                        return Err(Over);
                    }
                    if acked > 0 {
                        self.inlet.tell_overflows(self.clock.now().wall);
                    }
                    batch.extend(self.inlet.take_behind(batch.bytes(), Self::BATCH.saturating_sub(batch.len())));
                }
                Next::Wait => {
                    let wait = self.backoff.next(&mut self.rng);
                    self.wait(wait).await?;
                }
                Next::Reconnect { reason } => {
                    let wait = self.backoff.next(&mut self.rng);
                    warn!(sink = %name, %reason, retry_in = ?wait, waiting = batch.len(), "the sink stopped; it is connected again");
                    self.inlet.set_state(SinkState::Connecting { problem: Some(reason) });
                    self.wait(wait).await?;
                    return Ok(ControlFlow::Break(()));
                }
                Next::Hold { what } => {
                    self.leave_when_gone(batch, &what).await?;
                    self.hold(what).await?;
                }
                Next::Keep { code, reason } => self.keep(batch, &code, &reason).await?,
            }
        }
        Ok(ControlFlow::Continue(()))
    }

    /// The first event of the batch goes to the dead letters; while they do not take it, the sink is held.
    async fn keep(&mut self, batch: &mut Batch, code: &str, reason: &str) -> Result<(), Over> {
        let Some(event) = batch.first() else {
            return Ok(());
        };
        let id = event.id();
        let at = self.clock.now().wall;
        if let Err(problem) = self.dead_letters.keep(at, event, code, reason).await {
            let what = format!("event {id} was rejected ({code}: {reason}) and cannot be kept: {problem}");
            return self.hold(what).await;
        }
        debug!(id, code, reason, "an event went to the dead letters");
        self.inlet.settle(batch.kept().into_iter().collect());
        Ok(())
    }

    /// Where the sink is gone for good and the cursor follows others: what it would have got is abandoned, until the inlet is closed.
    async fn leave_when_gone(&mut self, batch: &mut Batch, why: &str) -> Result<(), Over> {
        if !(self.may_leave && self.sink.is_gone()) {
            return Ok(());
        }
        let name = &self.inlet.settings().name;
        warn!(sink = %name, reason = %why, "the sink is gone: its events are abandoned, and the cursor follows the other sinks");
        self.inlet.set_state(SinkState::Held { what: why.to_owned() });
        loop {
            self.inlet.settle(batch.abandon());
            tokio::select! {
                taken = self.inlet.take(Self::BATCH) => batch.extend(taken.ok_or(Over)?),
                () = self.deadline.cancelled() => return Err(Over),
            }
        }
    }

    /// Says what stands in the way, and waits.
    async fn hold(&mut self, what: String) -> Result<(), Over> {
        let wait = self.hold.next(&mut self.rng);
        warn!(sink = %self.inlet.settings().name, reason = %what, retry_in = ?wait, "the sink is held");
        self.inlet.set_state(SinkState::Held { what });
        self.wait(wait).await
    }

    async fn wait(&mut self, wait: Duration) -> Result<(), Over> {
        tokio::select! {
            () = tokio::time::sleep_until(Instant::now() + wait) => Ok(()),
            () = self.deadline.cancelled() => Err(Over),
        }
    }
}

#[cfg(test)]
mod tests;
