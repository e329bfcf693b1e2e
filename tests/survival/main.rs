//! The sinks on servers that die, refuse, move and forget: nothing that was not acknowledged is lost, and its order is kept.
//!
//! The dispatcher's part (offer again from the first that is not durable) is [`deliver`]. What arrived is read from the server, never
//! from the sink. Each test is named for its promise; where another bridge breaks the same one today, its issue stands beside it.

#![expect(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a helper that cannot go on fails its test")]

mod redis;

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::{Duration, Instant};

use drivetap_core::Event;
use drivetap_sink::{NotReady, Outcome, Sink, Stop};
use drivetap_tests::PATIENCE;
use tokio::time::sleep;

/// What a sink said on the way.
#[derive(Debug, Default)]
struct Said {
    holds: BTreeSet<String>,
    reconnects: BTreeSet<String>,
}

/// Brings all of `events` to the sink, at most 100 at a time, as the dispatcher would. It waits longer than any test's fault.
async fn deliver(sink: &mut dyn Sink, events: &[Arc<Event>]) -> Said {
    let (mut rest, mut said, begin) = (events, Said::default(), Instant::now());
    while !rest.is_empty() {
        assert!(begin.elapsed() < 3 * PATIENCE, "{} events are left: {said:#?}", rest.len());
        let Outcome { acked, stop } = sink.publish(&rest[..rest.len().min(100)]).await;
        rest = &rest[acked..];
        match stop {
            None => {}
            Some(Stop::Hold { what }) => {
                said.holds.insert(what);
                sleep(Duration::from_millis(50)).await;
            }
            Some(Stop::Reconnect { reason }) => {
                said.reconnects.insert(reason);
                while let Err(refused) = sink.connect().await {
                    let NotReady::Later(reason) = refused else { panic!("{refused}") };
                    assert!(begin.elapsed() < 3 * PATIENCE, "no connection: {reason}");
                    said.reconnects.insert(reason);
                    sleep(Duration::from_millis(50)).await;
                }
            }
            Some(Stop::Reject { code, reason }) => panic!("rejects {}: {code}: {reason}", rest[0].id()),
        }
    }
    said
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
