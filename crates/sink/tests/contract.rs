//! The suite itself: the in-memory sink keeps every promise, and a sink that breaks one is caught at exactly that one.

use std::collections::HashSet;
use std::mem;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use drivetap_core::Event;
use drivetap_sink::contract::{Ability, Harness, Kept, Outage, Seen, check, sends_what_is_under_way_once};
use drivetap_sink::{MemoryPlace, MemorySink, NotReady, Outcome, Sink, Step, Stop};

#[tokio::test(start_paused = true)]
async fn the_in_memory_sink_keeps_every_promise() {
    check(&mut Memory::with(Fault::None)).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_broken_promise_is_named() {
    for (fault, promises) in [
        (Fault::SwallowsTooLarge, &["rejects_what_is_too_large", "counts_each_event_once"][..]),
        (Fault::AcksWhatIsLost, &["says_when_the_connection_is_lost"]),
        (Fault::NeverEnds, &["says_when_the_connection_is_lost", "lets_go_in_time_without_a_connection"]),
        (Fault::ClosesSlowly, &["flushes_on_close", "counts_each_event_once", "lets_go_in_time_without_a_connection"]),
        (Fault::DropsRepeats, &["takes_a_repeat"]),
        (Fault::HoldsOnNothing, &["takes_an_empty_batch"]),
        (Fault::LosesTheTail, &["takes_a_big_batch", "keeps_order_over_a_lost_connection"]),
    ] {
        let broken = check(&mut Memory::with(fault)).await.unwrap_err();
        assert_eq!(broken.names().collect::<Vec<_>>(), promises, "{fault:?}: {broken}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_sink_that_leaves_events_under_way_knows_them_when_they_are_offered_again() {
    let kept = sends_what_is_under_way_once(&mut Memory::with(Fault::Pipelines)).await;
    assert_eq!(kept, Ok(Kept::Yes));
    for (fault, says) in [(Fault::SendsAgain, "offered once"), (Fault::AnswersOverAndOver, "over and over")] {
        let why = sends_what_is_under_way_once(&mut Memory::with(fault)).await.unwrap_err();
        assert!(why.contains(says), "{fault:?}: {why}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_sink_that_is_wrong_in_everything_it_writes_keeps_little() {
    for (fault, kept) in [
        (Fault::Reorders, &["takes_an_empty_batch", "lets_go_in_time_without_a_connection"]),
        (Fault::WritesOnClose, &["flushes_on_close", "lets_go_in_time_without_a_connection"]),
    ] {
        let broken = check(&mut Memory::with(fault)).await.unwrap_err();
        assert_eq!(broken.names().count(), 10, "{fault:?}: {broken}");
        assert!(broken.names().all(|name| !kept.contains(&name)), "{fault:?}: {broken}");
    }
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Fault {
    None,
    Reorders,
    WritesOnClose,
    SwallowsTooLarge,
    AcksWhatIsLost,
    NeverEnds,
    ClosesSlowly,
    DropsRepeats,
    HoldsOnNothing,
    LosesTheTail,
    // No fault: half of each batch is acknowledged later.
    Pipelines,
    SendsAgain,
    AnswersOverAndOver,
}

struct Memory {
    fault: Fault,
    place: MemoryPlace,
}

impl Memory {
    fn with(fault: Fault) -> Self {
        Self { fault, place: MemorySink::new().1 }
    }
}

#[async_trait]
impl Harness for Memory {
    async fn fresh(&mut self) -> Box<dyn Sink> {
        let (sink, place) = MemorySink::new();
        place.limit(10_000);
        self.place = place.clone();
        Box::new(Faulty { fault: self.fault, sink, place, buffer: Vec::new() })
    }

    async fn read_back(&mut self, _distinct: usize) -> Vec<Seen> {
        let seen = |event: &Arc<Event>| Seen { key: event.partition_key().to_owned(), id: event.id().to_owned() };
        self.place.events().iter().map(seen).collect()
    }

    fn outage(&self) -> Ability<Arc<dyn Outage>> {
        Ability::Has(Arc::new(Cut(self.place.clone())))
    }

    fn too_large(&self) -> Ability<usize> {
        Ability::Has(10_000)
    }
}

struct Cut(MemoryPlace);

#[async_trait]
impl Outage for Cut {
    async fn cut(&self) {
        self.0.cut();
    }

    async fn mend(&self) {
        self.0.mend();
    }
}

struct Faulty {
    fault: Fault,
    sink: MemorySink,
    place: MemoryPlace,
    buffer: Vec<Arc<Event>>,
}

#[async_trait]
impl Sink for Faulty {
    async fn connect(&mut self) -> Result<(), NotReady> {
        self.sink.connect().await
    }

    async fn publish(&mut self, batch: &[Arc<Event>]) -> Outcome {
        match self.fault {
            Fault::Reorders => {
                let backwards: Vec<_> = batch.iter().rev().cloned().collect();
                self.sink.publish(&backwards).await
            }
            Fault::WritesOnClose => {
                self.buffer.extend_from_slice(batch);
                Outcome::all(batch.len())
            }
            Fault::SwallowsTooLarge => match self.sink.publish(batch).await {
                Outcome { acked, stop: Some(Stop::Reject { .. }) } => {
                    self.sink.publish(&batch[acked + 1..]).await;
                    Outcome::all(batch.len())
                }
                outcome => outcome,
            },
            Fault::AcksWhatIsLost => match self.sink.publish(batch).await {
                Outcome { stop: Some(Stop::Reconnect { .. }), .. } => Outcome::all(batch.len()),
                outcome => outcome,
            },
            Fault::NeverEnds => match self.sink.publish(batch).await {
                Outcome { stop: Some(Stop::Reconnect { .. }), .. } => std::future::pending().await,
                outcome => outcome,
            },
            Fault::DropsRepeats => {
                let known = self.place.events();
                let known: HashSet<_> = known.iter().map(|event| event.id()).collect();
                let new: Vec<_> = batch.iter().filter(|event| !known.contains(event.id())).cloned().collect();
                if new.is_empty() && !batch.is_empty() {
                    return Outcome::stopped(0, Stop::Reject { code: "KNOWN".to_owned(), reason: "known".to_owned() });
                }
                self.sink.publish(&new).await
            }
            Fault::HoldsOnNothing if batch.is_empty() => Outcome::stopped(0, Stop::Hold { what: "nothing".to_owned() }),
            Fault::LosesTheTail if batch.len() > 1_000 => {
                self.sink.publish(&batch[..1_000]).await;
                Outcome::all(batch.len())
            }
            Fault::Pipelines | Fault::SendsAgain if batch.len() > 1 => {
                let (delivered, acked) = (batch.len(), batch.len().div_ceil(2));
                self.place.script([Step::Stop { delivered, acked, stop: Stop::Underway }]);
                let outcome = self.sink.publish(batch).await;
                if self.fault == Fault::SendsAgain {
                    // It knows nothing of what it sent before it connected.
                    let _ = self.sink.connect().await;
                }
                outcome
            }
            Fault::AnswersOverAndOver => Outcome::stopped(0, Stop::Underway),
            _ => self.sink.publish(batch).await,
        }
    }

    async fn close(mut self: Box<Self>, within: Duration) {
        match self.fault {
            Fault::ClosesSlowly => tokio::time::sleep(within * 10).await,
            Fault::WritesOnClose => {
                let buffered = mem::take(&mut self.buffer);
                self.sink.publish(&buffered).await;
            }
            _ => {}
        }
        Box::new(self.sink).close(within).await;
    }
}
