use std::num::NonZeroU32;
use std::sync::Arc;

use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

use super::*;

/// A gate of which nothing is left but what comes every 100 ms.
async fn spent() -> Arc<Gate> {
    let gate = Arc::new(Gate::new(tenth_of_a_second()));
    for _ in 0..333 {
        gate.pass(Urgency::Safety).await;
    }
    gate
}

/// 333 at once, 3,000 in the 300 s.
fn tenth_of_a_second() -> Quota {
    Quota::in_five_minutes(NonZeroU32::new(3_333).unwrap())
}

/// Waits in line, and says `name` when it is through.
fn waiter(gate: &Arc<Gate>, urgency: Urgency, name: &'static str, through: &mpsc::Sender<&'static str>) -> JoinHandle<()> {
    let (gate, through) = (Arc::clone(gate), through.clone());
    tokio::spawn(async move {
        gate.pass(urgency).await;
        through.send(name).await.unwrap();
    })
}

fn millis(since: Instant) -> u128 {
    // tokio's timer counts in milliseconds, and rounds up.
    since.elapsed().as_millis()
}

#[tokio::test(start_paused = true)]
async fn the_most_urgent_goes_first_and_within_one_urgency_whoever_came_first() {
    let gate = spent().await;
    let (sender, mut through) = mpsc::channel(16);
    let begun = Instant::now();
    let mut tasks = Vec::new();
    for (urgency, name) in [
        (Urgency::Safety, "safety"),
        (Urgency::First, "first"),
        (Urgency::Signalled, "signalled 1"),
        (Urgency::Endpoint, "endpoint 1"),
        (Urgency::Signalled, "signalled 2"),
        (Urgency::Endpoint, "endpoint 2"),
    ] {
        tasks.push(waiter(&gate, urgency, name, &sender));
        tokio::task::yield_now().await;
    }
    assert_eq!(gate.status(), GateStatus { waiting: 6, shut_for: None });
    for (n, want) in ["endpoint 1", "endpoint 2", "signalled 1", "signalled 2", "first", "safety"].into_iter().enumerate() {
        assert_eq!(through.recv().await, Some(want));
        let due = 100 * (u128::try_from(n).unwrap() + 1);
        assert!((due..=due + 1).contains(&millis(begun)), "{want} after {} ms", millis(begun));
    }
    assert_eq!(gate.status().waiting, 0);
}

#[tokio::test(start_paused = true)]
async fn an_endpoint_behind_a_thousand_walks_waits_for_one_token() {
    let gate = spent().await;
    let (sender, mut through) = mpsc::channel(2_000);
    for _ in 0..1_000 {
        waiter(&gate, Urgency::Signalled, "walk", &sender);
    }
    sleep(Duration::from_millis(950)).await;
    while through.try_recv().is_ok() {}
    let begun = Instant::now();
    gate.pass(Urgency::Endpoint).await;
    assert!(millis(begun) <= 100, "{} ms", millis(begun));
    assert!(through.try_recv().is_err(), "no walk was let through before it");
}

#[tokio::test(start_paused = true)]
async fn retry_after_stops_everybody_for_exactly_that_long() {
    let gate = Arc::new(Gate::default());
    gate.pass(Urgency::Endpoint).await;
    assert!(gate.shut(Duration::from_secs(30)), "news");
    sleep(Duration::from_secs(10)).await;
    assert!(!gate.shut(Duration::from_secs(5)), "a shorter one that ends earlier changes nothing");
    assert_eq!(gate.status().shut_for, Some(Duration::from_secs(20)));
    let (sender, mut through) = mpsc::channel(16);
    let begun = Instant::now();
    waiter(&gate, Urgency::Safety, "safety", &sender);
    tokio::task::yield_now().await;
    waiter(&gate, Urgency::Endpoint, "endpoint", &sender);
    assert_eq!((through.recv().await, begun.elapsed()), (Some("endpoint"), Duration::from_secs(20)));
    assert_eq!((through.recv().await, begun.elapsed()), (Some("safety"), Duration::from_secs(20)), "the bucket was full");
    assert!(!gate.is_shut());
}

#[tokio::test(start_paused = true)]
async fn retry_after_that_comes_while_somebody_waits_for_a_token_holds_it_too() {
    let gate = spent().await;
    let (sender, mut through) = mpsc::channel(1);
    let begun = Instant::now();
    waiter(&gate, Urgency::First, "first", &sender);
    sleep(Duration::from_millis(50)).await;
    gate.shut(Duration::from_secs(60));
    through.recv().await;
    assert_eq!(begun.elapsed(), Duration::from_millis(60_050));
}

#[tokio::test(start_paused = true)]
async fn a_waiter_that_is_dropped_gives_its_place_up_wherever_it_stood() {
    let gate = spent().await;
    let (sender, mut through) = mpsc::channel(16);
    let begun = Instant::now();
    let front = waiter(&gate, Urgency::Endpoint, "front", &sender);
    let middle = waiter(&gate, Urgency::Signalled, "middle", &sender);
    waiter(&gate, Urgency::Safety, "back", &sender);
    sleep(Duration::from_millis(50)).await;
    front.abort();
    middle.abort();
    assert_eq!(through.recv().await, Some("back"), "and no token was spent on those that are gone");
    assert!((100..=101).contains(&millis(begun)), "{} ms", millis(begun));
    assert_eq!(gate.status().waiting, 0);
    let passed = timeout(Duration::from_millis(50), gate.pass(Urgency::Safety)).await;
    assert!(passed.is_err());
    assert_eq!(gate.status().waiting, 0);
}
