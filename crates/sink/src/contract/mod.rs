//! What every sink promises, as one suite that runs against the real service behind it.
//!
//! A sink's tests implement [`Harness`] and call [`check`]; each promise is also a function of its own, so that what fails has a name.
//! The suite plays the dispatcher: it connects, offers, and offers again from the first event that is not durable.

mod forwarder;
mod promises;
mod sample;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use drivetap_core::Event;

pub use forwarder::Forwarder;
pub use promises::{
    acked_events_survive_a_crash, counts_each_event_once, flushes_on_close, keeps_order_over_a_lost_connection,
    keeps_order_within_a_key, lets_go_in_time_without_a_connection, rejects_what_is_too_large, says_when_the_connection_is_lost,
    sends_what_is_under_way_once, takes_a_big_batch, takes_a_repeat, takes_an_empty_batch,
};
pub use sample::{Drive, events};

use crate::{Outcome, Sink, Stop};

/// What the suite needs to know of a sink and of the service behind it.
///
/// A harness is test code: it panics when its own part goes wrong.
#[async_trait]
pub trait Harness: Send {
    /// A sink that was not connected yet, onto a *place* (topic, channel, pipe) of its own that nothing was written to.
    ///
    /// The place is ready before this returns (the topic is made, the subscriber is there): from now on [`read_back`](Self::read_back)
    /// reads this place.
    async fn fresh(&mut self) -> Box<dyn Sink>;

    /// Everything that a consumer of the newest place has seen since [`fresh`](Self::fresh), in the order in which it saw it within each
    /// partition key.
    ///
    /// Waits until `distinct` different ids are there, then for a short while longer, so that what should not come is seen too. When they
    /// do not come within a few seconds it returns what there is: the suite says what is missing.
    async fn read_back(&mut self, distinct: usize) -> Vec<Seen>;

    /// The connection between the newest sink and its service, to be cut.
    fn outage(&self) -> Ability<Arc<dyn Outage>>;

    /// How many bytes of JSON are too many for one event of a sink made by [`fresh`](Self::fresh).
    fn too_large(&self) -> Ability<usize>;

    /// After how long a promise counts as broken because nothing happens any more. Default: 60 s.
    fn patience(&self) -> Duration {
        Duration::from_secs(60)
    }
}

/// One event as a consumer saw it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    /// Its partition key, as the consumer reads it.
    pub key: String,
    /// Its id.
    pub id: String,
}

/// Something that one sink can be put through and another cannot.
#[derive(Clone, Debug)]
pub enum Ability<T> {
    /// It can.
    Has(T),
    /// It cannot, and why (a pipe has no connection that comes back).
    Lacks(&'static str),
}

/// Loses the connection of a sink, and brings it back.
#[async_trait]
pub trait Outage: Send + Sync {
    /// Breaks every connection; until [`mend`](Self::mend), new ones fail.
    async fn cut(&self);
    /// New connections work again.
    async fn mend(&self);
}

/// Offers a batch, and what is [under way](Stop::Underway) of it again, until there is another answer: that, counted over all of it.
pub async fn publish(sink: &mut dyn Sink, batch: &[Arc<Event>]) -> Outcome {
    let mut durable = 0;
    // Ends: without anything new the sink answers when more is acknowledged.
    loop {
        let Outcome { acked, stop } = sink.publish(batch.get(durable..).unwrap_or_default()).await;
        durable += acked;
        if stop != Some(Stop::Underway) {
            return Outcome { acked: durable, stop };
        }
    }
}

/// Runs every promise, each on a fresh sink, and prints what came of each.
///
/// # Errors
/// [`Broken`] names every promise that was not kept, and why.
pub async fn check(harness: &mut dyn Harness) -> Result<(), Broken> {
    let mut broken = Vec::new();
    for (name, promise) in promises::ALL {
        let patience = harness.patience();
        let kept = tokio::time::timeout(patience, promise(harness)).await;
        match kept.unwrap_or_else(|_| Err(format!("nothing happened for {patience:?}"))) {
            Ok(Kept::Yes) => eprintln!("{name}: kept"),
            Ok(Kept::Excused(reason)) => eprintln!("{name}: not asked of this sink: {reason}"),
            Err(why) => {
                eprintln!("{name}: BROKEN: {why}");
                broken.push((*name, why));
            }
        }
    }
    if broken.is_empty() { Ok(()) } else { Err(Broken(broken)) }
}

/// A promise that was not broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kept {
    /// It was put to the test.
    Yes,
    /// The sink lacks the [`Ability`] that the test needs; why.
    Excused(&'static str),
}

/// The promises that a sink broke: name and reason of each.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Broken(Vec<(&'static str, String)>);

impl Broken {
    /// The names, in the order of the suite.
    pub fn names(&self) -> impl Iterator<Item = &'static str> + '_ {
        self.0.iter().map(|(name, _)| *name)
    }
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} broken", self.0.len())?;
        self.0.iter().try_for_each(|(name, why)| write!(f, "\n  {name}: {why}"))
    }
}

impl std::error::Error for Broken {}
