//! The sinks on servers that die, refuse, move and forget: nothing that was not acknowledged is lost, and its order is kept.
//!
//! The dispatcher's part (offer again from the first that is not durable) is [`deliver`]. What arrived is read from the server, never
//! from the sink. Each test is named for its promise; where another bridge breaks the same one today, its issue stands beside it.

#![expect(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a helper that cannot go on fails its test")]

mod holding;
mod kafka;
mod redis;

use std::collections::{BTreeSet, HashMap};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use drivetap_core::Event;
use drivetap_sink::{NotReady, Outcome, Sink, Stop};
use drivetap_tests::PATIENCE;
use tokio::time::sleep;

/// How many events a sink is offered at a time.
const ROUND: usize = 200;

/// How far a delivery has come, and what the sink said on the way.
#[derive(Debug, Default)]
struct Progress {
    acked: AtomicUsize,
    said: Mutex<Said>,
}

#[derive(Clone, Debug, Default)]
struct Said {
    holds: BTreeSet<String>,
    reconnects: BTreeSet<String>,
}

impl Progress {
    fn acked(&self) -> usize {
        self.acked.load(Ordering::SeqCst)
    }

    fn said(&self) -> Said {
        self.said.lock().unwrap().clone()
    }

    fn held(&self, what: String) {
        self.said.lock().unwrap().holds.insert(what);
    }

    fn reconnected(&self, reason: String) {
        self.said.lock().unwrap().reconnects.insert(reason);
    }
}

/// Brings all of `events` to the sink, at most [`ROUND`] at a time, as the dispatcher would. It waits longer than any test's fault.
async fn deliver(sink: &mut dyn Sink, events: &[Arc<Event>], progress: &Progress) {
    let (mut rest, begin) = (events, Instant::now());
    let in_time = || assert!(begin.elapsed() < 4 * PATIENCE, "{} are acknowledged: {:#?}", progress.acked(), progress.said());
    while !rest.is_empty() {
        in_time();
        let Outcome { acked, stop } = sink.publish(&rest[..rest.len().min(ROUND)]).await;
        rest = &rest[acked..];
        progress.acked.fetch_add(acked, Ordering::SeqCst);
        match stop {
            None | Some(Stop::Underway) => {}
            Some(Stop::Hold { what }) => {
                progress.held(what);
                sleep(Duration::from_millis(50)).await;
            }
            Some(Stop::Reconnect { reason }) => {
                progress.reconnected(reason);
                while let Err(refused) = sink.connect().await {
                    let NotReady::Later(reason) = refused else { panic!("{refused}") };
                    progress.reconnected(reason);
                    in_time();
                    sleep(Duration::from_millis(50)).await;
                }
            }
            Some(Stop::Reject { code, reason }) => panic!("rejects {}: {code}: {reason}", rest[0].id()),
        }
    }
}

/// None of `events` is missing, and after each came the next one or, where it was offered again, one that was seen before.
#[track_caller]
fn assert_nothing_lost(seen: &[String], events: &[Arc<Event>]) {
    let numbers: HashMap<&str, usize> = events.iter().enumerate().map(|(number, event)| (event.id(), number)).collect();
    let mut next = 0;
    for id in seen {
        let number = *numbers.get(id.as_str()).expect("an event that nobody offered");
        assert!(number <= next, "number {number} came where {next} was due");
        next = number + 1;
    }
    assert_eq!(next, events.len(), "the last ones are missing");
}
