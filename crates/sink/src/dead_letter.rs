use std::time::Duration;

use async_trait::async_trait;
use drivetap_core::Event;
use jiff::Timestamp;
use serde::Serialize;
use serde_json::value::RawValue;

/// What a sink refused for good, and why.
#[derive(Clone, Copy, Debug)]
pub struct DeadLetter<'a> {
    /// When it was refused.
    pub at: Timestamp,
    /// The sink's name.
    pub sink: &'a str,
    /// The sink's own word for it (`MSG_SIZE_TOO_LARGE`).
    pub code: &'a str,
    /// Why, for a person.
    pub reason: &'a str,
    /// The whole event.
    pub event: &'a Event,
}

impl DeadLetter<'_> {
    /// One JSON object on one line: `{"at", "sink", "code", "reason", "event"}`, the event in structured mode.
    ///
    /// # Errors
    /// Nothing that a feed makes; an event that is not JSON.
    pub fn to_json(&self) -> serde_json::Result<String> {
        #[derive(Serialize)]
        struct Letter<'a> {
            at: Timestamp,
            sink: &'a str,
            code: &'a str,
            reason: &'a str,
            event: &'a RawValue,
        }
        let Self { at, sink, code, reason, event } = *self;
        let event = RawValue::from_string(event.to_json())?;
        serde_json::to_string(&Letter { at, sink, code, reason, event: &event })
    }
}

/// A place for [`DeadLetter`]s beside the sink, in the sink's own kind of system.
///
/// Like a [`Sink`](crate::Sink) it makes one attempt; waiting and asking again are the dispatcher's. Letters come one at a time and far
/// apart.
#[async_trait]
pub trait DeadLetterBox: Send {
    /// Looks whether letters could be kept, before the first one comes.
    ///
    /// # Errors
    /// What a person has to make or give.
    async fn look(&mut self) -> Result<(), NotKept>;

    /// On `Ok` the letter is durable. A letter whose keeping failed is brought again: a repeat, by its event's id.
    ///
    /// Dropped, it may have kept the letter or not.
    ///
    /// # Errors
    /// [`NotKept::Later`] where waiting may help, [`NotKept::Never`] where this letter has no place here.
    async fn keep(&mut self, letter: &DeadLetter<'_>) -> Result<(), NotKept>;

    /// Lets go, within `within`.
    async fn close(self: Box<Self>, within: Duration);
}

/// Why a letter is not in its box. One line, no secrets.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotKept {
    /// Waiting may help, or a person does: the box is away, missing or closed to us.
    #[error("{0}")]
    Later(String),
    /// The box takes others, but not this one: it is too large for it, too.
    #[error("{0}")]
    Never(String),
}
