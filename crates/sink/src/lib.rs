//! What a drivetap sink is: three verbs and an outcome.
//!
//! A sink connects, publishes and closes. Everything else (queue, retry, back-off, dead letters, metrics, drain) is the dispatcher's, once
//! for all sinks.
//!
//! Features, both off: `memory` is [`MemorySink`], the twin for tests of a pipeline; `contract` is [`contract`], the suite that every
//! sink passes on its real service.

#[cfg(feature = "contract")]
pub mod contract;
mod dead_letter;
#[cfg(feature = "memory")]
mod memory;

pub use dead_letter::{DeadLetter, DeadLetterBox, NotKept};
#[cfg(feature = "memory")]
pub use memory::{MemoryPlace, MemorySink, Step};

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use drivetap_core::Event;

/// A place that events go to.
#[async_trait]
pub trait Sink: Send {
    /// Makes the sink ready to publish; called before the first [`publish`](Self::publish) and again after [`Stop::Reconnect`].
    ///
    /// One attempt: the dispatcher waits and calls again. It may be dropped at any point.
    ///
    /// # Errors
    /// [`NotReady::Later`] where waiting may help, [`NotReady::Never`] where only a person can.
    async fn connect(&mut self) -> Result<(), NotReady>;

    /// Publishes `batch` in order, and says how much of it is durable.
    ///
    /// `acked` events from the front are safe in the sense of the sink: what a crash right after loses of them, the sink lost. Where
    /// `acked` is less than the batch, `stop` says why, and everything from there is offered again, in order: a repeat is permitted, a
    /// reorder within one partition key and a hole are not.
    ///
    /// A sink may answer [`Stop::Underway`] while its service still has to acknowledge what it sent: then more comes behind that.
    ///
    /// **Not cancel safe:** the dispatcher never drops this future before it is done, so it has to end by itself.
    async fn publish(&mut self, batch: &[Arc<Event>]) -> Outcome;

    /// Whether it can never take an event again in this process: a pipe whose reader has left. Asked after a [`Stop::Hold`] or a
    /// [`NotReady`]. Beside another sink that holds the cursor, such a one no longer does: what it would have got is abandoned.
    fn is_gone(&self) -> bool {
        false
    }

    /// Flushes what is in flight and lets go, within `within`.
    async fn close(self: Box<Self>, within: Duration);
}

/// Why a sink cannot publish yet.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotReady {
    /// Waiting may help: nobody listens there, the name does not resolve, credentials are refused just now.
    #[error("{0}")]
    Later(String),
    /// Only a person can help: an option that does not exist, a certificate file that cannot be read.
    #[error("{0}")]
    Never(String),
}

/// What became of a batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// How many events from the front of the batch are durable.
    pub acked: usize,
    /// Why the rest is not; `None` when all of it is.
    pub stop: Option<Stop>,
}

impl Outcome {
    /// All `n` events are durable.
    #[must_use]
    pub fn all(n: usize) -> Self {
        Self { acked: n, stop: None }
    }

    /// `acked` events are durable, then it stopped.
    #[must_use]
    pub fn stopped(acked: usize, stop: Stop) -> Self {
        Self { acked, stop: Some(stop) }
    }
}

/// What the dispatcher does next. The reason is for logs and status: one line, no secrets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Stop {
    /// Nothing is wrong: the rest is on its way. Offer it again at once, from the first event that is not durable, with more behind it
    /// where there is more.
    ///
    /// The sink knows by their ids the events that it has sent, and sends only those behind them. Offered nothing new, it answers when
    /// more of them is acknowledged: the dispatcher does not wait. After any other answer nothing is under way, as far as anybody
    /// but the sink has to know.
    Underway,
    /// Connect again, then offer again from the first event that is not durable.
    Reconnect {
        /// Why.
        reason: String,
    },
    /// Not the event's fault and no reconnect helps: the topic does not exist, permission is missing. Alarm, wait, offer again.
    Hold {
        /// What is missing, and what a person does about it.
        what: String,
    },
    /// The first event that is not durable can never be taken: too large, invalid. It goes to the dead letters, the next one is offered.
    Reject {
        /// The sink's own word for it (`MSG_SIZE_TOO_LARGE`).
        code: String,
        /// Why, for a person.
        reason: String,
    },
}
