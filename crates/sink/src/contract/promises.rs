use std::collections::{HashMap, HashSet};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use drivetap_core::Event;
use tokio::time::{Instant, sleep};

use super::sample::{Drive, events};
use super::{Ability, Harness, Kept, Outage, Seen};
use crate::{NotReady, Outcome, Sink, Stop};

type Verdict = Result<Kept, String>;
type Promise = for<'a> fn(&'a mut dyn Harness) -> Pin<Box<dyn Future<Output = Verdict> + Send + 'a>>;

pub(super) const ALL: &[(&str, Promise)] = &[
    ("keeps_order_within_a_key", |h| Box::pin(keeps_order_within_a_key(h))),
    ("takes_an_empty_batch", |h| Box::pin(takes_an_empty_batch(h))),
    ("takes_a_big_batch", |h| Box::pin(takes_a_big_batch(h))),
    ("takes_a_repeat", |h| Box::pin(takes_a_repeat(h))),
    ("sends_what_is_under_way_once", |h| Box::pin(sends_what_is_under_way_once(h))),
    ("acked_events_survive_a_crash", |h| Box::pin(acked_events_survive_a_crash(h))),
    ("flushes_on_close", |h| Box::pin(flushes_on_close(h))),
    ("rejects_what_is_too_large", |h| Box::pin(rejects_what_is_too_large(h))),
    ("counts_each_event_once", |h| Box::pin(counts_each_event_once(h))),
    ("says_when_the_connection_is_lost", |h| Box::pin(says_when_the_connection_is_lost(h))),
    ("keeps_order_over_a_lost_connection", |h| Box::pin(keeps_order_over_a_lost_connection(h))),
    ("lets_go_in_time_without_a_connection", |h| Box::pin(lets_go_in_time_without_a_connection(h))),
];

/// Batches offered one after the other are seen in that order within each partition key, each event once.
///
/// # Errors
/// What was seen instead.
pub async fn keeps_order_within_a_key(harness: &mut dyn Harness) -> Verdict {
    let offered = events(300, 3);
    let mut sink = connected(harness).await?;
    for batch in offered.chunks(50) {
        all_acked(batch, &publish(&mut *sink, batch).await?)?;
    }
    same(&offered, &harness.read_back(offered.len()).await)
}

/// A batch of nothing is done at once, and harms nothing.
///
/// # Errors
/// What went wrong.
pub async fn takes_an_empty_batch(harness: &mut dyn Harness) -> Verdict {
    let offered = events(2, 1);
    let mut sink = connected(harness).await?;
    for batch in [&offered[..0], &offered[..1], &offered[..0], &offered[1..]] {
        all_acked(batch, &publish(&mut *sink, batch).await?)?;
    }
    same(&offered, &harness.read_back(offered.len()).await)
}

/// Thousands of events in one batch arrive as if they came one by one.
///
/// # Errors
/// What was seen instead.
pub async fn takes_a_big_batch(harness: &mut dyn Harness) -> Verdict {
    let offered = events(3_000, 7);
    let mut sink = connected(harness).await?;
    all_acked(&offered, &publish(&mut *sink, &offered).await?)?;
    same(&offered, &harness.read_back(offered.len()).await)
}

/// What was offered and taken before is taken again, with the same id: that is how a consumer drops repeats.
///
/// # Errors
/// What was seen instead.
pub async fn takes_a_repeat(harness: &mut dyn Harness) -> Verdict {
    let offered = events(10, 2);
    let mut sink = connected(harness).await?;
    for _ in 0..2 {
        all_acked(&offered, &publish(&mut *sink, &offered).await?)?;
    }
    no_hole(&offered, &harness.read_back(offered.len()).await)
}

/// What a sink says is under way is offered again with more behind it, and each event is seen once, in its order.
///
/// # Errors
/// What was seen instead.
pub async fn sends_what_is_under_way_once(harness: &mut dyn Harness) -> Verdict {
    let offered = events(600, 3);
    let mut sink = connected(harness).await?;
    let (mut durable, mut end, mut underway) = (0, 0, 0);
    while durable < offered.len() {
        end = (end + 40).min(offered.len());
        let outcome = possible(&offered[durable..end], sink.publish(&offered[durable..end]).await)?;
        durable += outcome.acked;
        match outcome.stop {
            None => {}
            Some(Stop::Underway) => underway += 1,
            Some(stop) => return Err(format!("nothing is wrong, and it stops: {stop:?}")),
        }
        if underway > offered.len() {
            return Err("it answers over and over while nothing changes".to_owned());
        }
    }
    same(&offered, &harness.read_back(offered.len()).await)?;
    Ok(if underway > 0 { Kept::Yes } else { Kept::Excused("it answers when nothing is under way any more") })
}

/// An acknowledged event is durable in the sense of the sink: it is seen though the sink is dropped without a close.
///
/// # Errors
/// What is missing.
pub async fn acked_events_survive_a_crash(harness: &mut dyn Harness) -> Verdict {
    let offered = events(500, 2);
    let mut sink = connected(harness).await?;
    let outcome = publish(&mut *sink, &offered).await?;
    drop(sink);
    all_acked(&offered, &outcome)?;
    same(&offered, &harness.read_back(offered.len()).await)
}

/// Publish, then close: everything is there.
///
/// # Errors
/// What is missing, or how long the close took.
pub async fn flushes_on_close(harness: &mut dyn Harness) -> Verdict {
    let offered = events(500, 2);
    let mut sink = connected(harness).await?;
    all_acked(&offered, &publish(&mut *sink, &offered).await?)?;
    close(sink, Duration::from_secs(10)).await?;
    same(&offered, &harness.read_back(offered.len()).await)
}

/// An event too large for the sink is rejected, what stands before it is durable, and what comes after it still goes.
///
/// # Errors
/// What happened instead.
pub async fn rejects_what_is_too_large(harness: &mut dyn Harness) -> Verdict {
    let bytes = match harness.too_large() {
        Ability::Has(bytes) => bytes,
        Ability::Lacks(reason) => return Ok(Kept::Excused(reason)),
    };
    let mut drive = Drive::new("b!drive-0");
    let offered = [drive.change("before.txt"), drive.change_of(bytes), drive.change("after.txt")];
    let mut sink = connected(harness).await?;
    let outcome = publish(&mut *sink, &offered).await?;
    let rejected = matches!(&outcome.stop, Some(Stop::Reject { code, reason }) if !code.is_empty() && !reason.is_empty());
    if outcome.acked != 1 || !rejected {
        return Err(format!("an event of {bytes} bytes, second of three, was answered with {outcome:?}"));
    }
    all_acked(&offered[2..], &publish(&mut *sink, &offered[2..]).await?)?;
    same(&[Arc::clone(&offered[0]), Arc::clone(&offered[2])], &harness.read_back(2).await)
}

/// Every event is delivered or rejected, never both, never neither; and only what was delivered is seen.
///
/// # Errors
/// Which event is not counted once.
pub async fn counts_each_event_once(harness: &mut dyn Harness) -> Verdict {
    let mut offered = events(200, 2);
    let mut large = Drive::new("b!drive-large");
    let mut oversized = Vec::new();
    if let Ability::Has(bytes) = harness.too_large() {
        // At both ends, and two in a row.
        for at in [0, 50, 51, 203] {
            let event = large.change_of(bytes);
            oversized.push(Arc::clone(&event));
            offered.insert(at, event);
        }
    }
    let mut sink = connected(harness).await?;
    let fate = deliver(&mut *sink, &offered, 64).await?;
    close(sink, Duration::from_secs(10)).await?;
    if ids(&fate.rejected) != ids(&oversized) {
        return Err(format!("{} events were too large, {} were rejected", oversized.len(), fate.rejected.len()));
    }
    if fate.delivered.len() + fate.rejected.len() != offered.len() {
        return Err(format!("{} offered, {} delivered, {} rejected", offered.len(), fate.delivered.len(), fate.rejected.len()));
    }
    same(&fate.delivered, &harness.read_back(fate.delivered.len()).await)
}

/// Without a connection `publish` ends by itself and asks for a reconnect, `connect` says that waiting may help, and when the
/// connection is back everything goes.
///
/// # Errors
/// What the sink said instead.
pub async fn says_when_the_connection_is_lost(harness: &mut dyn Harness) -> Verdict {
    let (mut sink, outage) = match connected_with_outage(harness).await? {
        Ability::Has(both) => both,
        Ability::Lacks(reason) => return Ok(Kept::Excused(reason)),
    };
    let offered = events(20, 2);
    all_acked(&offered[..10], &publish(&mut *sink, &offered[..10]).await?)?;
    outage.cut().await;
    let outcome = publish(&mut *sink, &offered[10..]).await?;
    if outcome.acked != 0 || !matches!(outcome.stop, Some(Stop::Reconnect { .. })) {
        return Err(format!("with the connection cut, publish answered {outcome:?}"));
    }
    if let Err(NotReady::Never(why)) = sink.connect().await {
        return Err(format!("connect gives up for ever while the service is away: {why}"));
    }
    outage.mend().await;
    deliver(&mut *sink, &offered[10..], 10).await?;
    no_hole(&offered, &harness.read_back(offered.len()).await)
}

/// A connection that breaks in the middle of a batch: what was acknowledged is there without being offered again, and once the rest was
/// offered again there is no hole and no reorder. Repeats are permitted.
///
/// # Errors
/// What is missing or out of place.
pub async fn keeps_order_over_a_lost_connection(harness: &mut dyn Harness) -> Verdict {
    // The cut falls at different points of the batch: before, while, and perhaps after it is written.
    for cut_after in [0, 1, 5].map(Duration::from_millis) {
        let (mut sink, outage) = match connected_with_outage(harness).await? {
            Ability::Has(both) => both,
            Ability::Lacks(reason) => return Ok(Kept::Excused(reason)),
        };
        let offered = events(2_000, 3);
        all_acked(&offered[..10], &publish(&mut *sink, &offered[..10]).await?)?;
        let interrupted = async {
            sleep(cut_after).await;
            outage.cut().await;
            sleep(Duration::from_millis(300)).await;
            outage.mend().await;
        };
        let (outcome, ()) = tokio::join!(publish(&mut *sink, &offered[10..]), interrupted);
        let durable = 10 + outcome?.acked;
        eprintln!("  cut after {cut_after:?}: {durable} of {} events were acknowledged", offered.len());
        let seen = harness.read_back(durable).await;
        let there: HashSet<&str> = seen.iter().map(|seen| seen.id.as_str()).collect();
        let lost = offered[..durable].iter().filter(|event| !there.contains(event.id())).count();
        if lost > 0 {
            return Err(format!("{durable} events were acknowledged, and {lost} of them are not there"));
        }
        deliver(&mut *sink, &offered[durable..], 500).await?;
        no_hole(&offered, &harness.read_back(offered.len()).await)?;
    }
    Ok(Kept::Yes)
}

/// `close` ends within the time it is given though the service is away.
///
/// # Errors
/// How long it took.
pub async fn lets_go_in_time_without_a_connection(harness: &mut dyn Harness) -> Verdict {
    let (mut sink, outage) = match connected_with_outage(harness).await? {
        Ability::Has(both) => both,
        Ability::Lacks(reason) => return Ok(Kept::Excused(reason)),
    };
    let offered = events(10, 1);
    outage.cut().await;
    let _ = publish(&mut *sink, &offered).await?;
    let closed = close(sink, Duration::from_secs(1)).await;
    outage.mend().await;
    closed.map(|()| Kept::Yes)
}

async fn connected(harness: &mut dyn Harness) -> Result<Box<dyn Sink>, String> {
    let mut sink = harness.fresh().await;
    sink.connect().await.map_err(|why| format!("a fresh sink does not connect: {why}"))?;
    Ok(sink)
}

async fn connected_with_outage(harness: &mut dyn Harness) -> Result<Ability<(Box<dyn Sink>, Arc<dyn Outage>)>, String> {
    let sink = connected(harness).await?;
    Ok(match harness.outage() {
        Ability::Has(outage) => Ability::Has((sink, outage)),
        Ability::Lacks(reason) => Ability::Lacks(reason),
    })
}

async fn publish(sink: &mut dyn Sink, batch: &[Arc<Event>]) -> Result<Outcome, String> {
    possible(batch, super::publish(sink, batch).await)
}

// An outcome has to be possible before it can be believed.
fn possible(batch: &[Arc<Event>], outcome: Outcome) -> Result<Outcome, String> {
    if outcome.acked > batch.len() || outcome.stop.is_none() != (outcome.acked == batch.len()) {
        return Err(format!("a batch of {} was answered with {outcome:?}", batch.len()));
    }
    Ok(outcome)
}

async fn close(sink: Box<dyn Sink>, within: Duration) -> Result<(), String> {
    let start = Instant::now();
    sink.close(within).await;
    let took = start.elapsed();
    // A busy machine may be late; a close that ignores its deadline is later than that.
    if took > within + Duration::from_secs(2) { Err(format!("close took {took:?} of {within:?}")) } else { Ok(()) }
}

struct Fate {
    delivered: Vec<Arc<Event>>,
    rejected: Vec<Arc<Event>>,
}

// The dispatcher in small: offers again from the first event that is not durable, until none is left.
async fn deliver(sink: &mut dyn Sink, offered: &[Arc<Event>], batch: usize) -> Result<Fate, String> {
    let mut fate = Fate { delivered: Vec::new(), rejected: Vec::new() };
    let mut rest = offered;
    while !rest.is_empty() {
        let outcome = publish(sink, &rest[..batch.min(rest.len())]).await?;
        let (acked, left) = rest.split_at(outcome.acked);
        fate.delivered.extend_from_slice(acked);
        rest = left;
        match outcome.stop {
            None | Some(Stop::Underway) => {}
            Some(Stop::Reject { .. }) => {
                fate.rejected.extend_from_slice(&rest[..1]);
                rest = &rest[1..];
            }
            Some(Stop::Hold { what }) => return Err(format!("holds, though nothing is missing: {what}")),
            Some(Stop::Reconnect { .. }) => reconnect(sink).await?,
        }
    }
    Ok(fate)
}

async fn reconnect(sink: &mut dyn Sink) -> Result<(), String> {
    // Ends: `check` runs out of patience.
    loop {
        match sink.connect().await {
            Ok(()) => return Ok(()),
            Err(NotReady::Later(_)) => sleep(Duration::from_millis(50)).await,
            Err(NotReady::Never(why)) => return Err(format!("gives up for ever: {why}")),
        }
    }
}

fn all_acked(batch: &[Arc<Event>], outcome: &Outcome) -> Result<(), String> {
    if *outcome == Outcome::all(batch.len()) {
        Ok(())
    } else {
        Err(format!("a batch of {} was answered with {outcome:?}", batch.len()))
    }
}

// Each event once, in order within its key.
fn same(offered: &[Arc<Event>], seen: &[Seen]) -> Verdict {
    no_hole(offered, seen)?;
    if seen.len() == offered.len() {
        Ok(Kept::Yes)
    } else {
        Err(format!("{} events offered once, {} seen", offered.len(), seen.len()))
    }
}

// Within a key, a consumer sees the first event first, and after each event the next one or one that it saw before.
fn no_hole(offered: &[Arc<Event>], seen: &[Seen]) -> Verdict {
    let mut expected: HashMap<&str, HashMap<&str, usize>> = HashMap::new();
    for event in offered {
        let of_key = expected.entry(event.partition_key()).or_default();
        let number = of_key.len();
        of_key.insert(event.id(), number);
    }
    let mut next: HashMap<&str, usize> = HashMap::new();
    let mut first_seen: HashMap<&str, usize> = HashMap::new();
    for Seen { key, id } in seen {
        let Some(number) = expected.get(key.as_str()).and_then(|of_key| of_key.get(id.as_str())) else {
            return Err(format!("{id} under the key {key:?} was seen and should not be there"));
        };
        let next = next.entry(key).or_default();
        if number > next {
            return Err(format!("key {key:?}: number {number} was seen where number {next} was due"));
        }
        *next = number + 1;
        let reached = first_seen.entry(key).or_default();
        *reached = (*reached).max(number + 1);
    }
    for (key, of_key) in &expected {
        let reached = first_seen.get(key).copied().unwrap_or_default();
        if reached != of_key.len() {
            return Err(format!("key {key:?}: {reached} of {} events were seen", of_key.len()));
        }
    }
    Ok(Kept::Yes)
}

fn ids(events: &[Arc<Event>]) -> Vec<&str> {
    events.iter().map(|event| event.id()).collect()
}
