//! The pipeline on in-memory twins and paused time.

mod broken;
mod counts;
mod gate;
mod hostile;
mod live;

use std::sync::Arc;
use std::time::Duration;

use drivetap_core::feed::{Emit, Start, SubscriptionSettings};
use drivetap_core::{AccountName, DriveId, DriveType, Event, EventType, Failure, Remedy, Resource};
use drivetap_graph::MemoryGraph;
use drivetap_sink::{MemoryPlace, MemorySink, NotReady};
use drivetap_transport::{MemoryPeer, MemoryServer, memory};
use serde_json::json;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use crate::clock::Clock;
use crate::{Handle, MemoryStore, Pipeline, PipelineBuilder, Report, Role, RunError, SinkSettings, Store};

const BOTH: Emit = Emit { signals: true, changes: true };

struct World {
    graph: MemoryGraph,
    drive: DriveId,
    server: MemoryServer,
    place: MemoryPlace,
    store: Arc<MemoryStore>,
    stop: Option<oneshot::Sender<()>>,
    task: JoinHandle<Result<Report, RunError>>,
    handle: Handle,
}

impl World {
    fn new() -> Self {
        let graph = MemoryGraph::new();
        let drive = graph.mount(&Resource::Me, "b!x", DriveType::Business);
        Self::start(graph, drive, Arc::default(), |builder| builder.subscription(AccountName::default(), watch("me")))
    }

    fn start(
        graph: MemoryGraph,
        drive: DriveId,
        store: Arc<MemoryStore>,
        more: impl FnOnce(PipelineBuilder) -> PipelineBuilder,
    ) -> Self {
        let (transport, server) = memory();
        let (sink, place) = MemorySink::new();
        let clock = Clock::FollowsTokio { since: Instant::now(), wall: "2026-11-23T10:00:00Z".parse().unwrap() };
        let kept: Arc<dyn Store> = Arc::<MemoryStore>::clone(&store);
        let builder = Pipeline::builder("https://graph.microsoft.com/v1.0", Arc::new(transport))
            .account(AccountName::default(), Arc::new(graph.clone()))
            .sink(SinkSettings::new("main", Role::Durable), Box::new(sink))
            .store(kept)
            .clock(clock);
        let pipeline = more(builder).build().unwrap();
        let handle = pipeline.handle();
        let (stop, stopped) = oneshot::channel::<()>();
        let shutdown = async {
            let _ = stopped.await;
        };
        let task = tokio::spawn(pipeline.run(shutdown, Duration::from_secs(30)));
        Self { graph, drive, server, place, store, stop: Some(stop), task, handle }
    }

    async fn connect(&mut self) -> MemoryPeer {
        self.server.next().await.unwrap().accept()
    }

    fn change(&self, id: &str) {
        self.graph.upsert(&self.drive, id, json!({"name": id}));
    }

    async fn stop(&mut self) -> Report {
        self.stop.take().unwrap().send(()).unwrap();
        (&mut self.task).await.unwrap().unwrap()
    }

    fn changes(&self) -> Vec<Arc<Event>> {
        self.place.events().into_iter().filter(|event| event.event_type() == EventType::Change).collect()
    }

    /// Waits until that many changes arrived.
    async fn changed(&self, n: usize) {
        for _ in 0..10_000 {
            if self.changes().len() >= n {
                return;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        panic!("{} of {n} changes arrived", self.changes().len());
    }
}

fn watch(resource: &str) -> SubscriptionSettings {
    SubscriptionSettings { resource: resource.parse().unwrap(), emit: BOTH, start: Start::Latest }
}

fn tap() -> String {
    json!({"value": [{"subscriptionId": "s"}]}).to_string()
}

#[tokio::test(start_paused = true)]
async fn a_signal_and_the_changes_behind_it_arrive() {
    let mut world = World::new();
    let peer = world.connect().await;
    tokio::time::sleep(Duration::from_secs(3)).await;
    world.change("a");
    world.change("b");
    peer.notify(&tap());
    world.changed(2).await;
    let subjects: Vec<_> = world.changes().iter().map(|event| event.subject().unwrap().to_owned()).collect();
    assert_eq!(subjects, ["a", "b"]);
    assert!(world.place.events().iter().any(|event| event.event_type() == EventType::Signal));
    assert!(world.handle.status().is_ready());
    let report = world.stop().await;
    assert_eq!(report.total().delivered, 3);
    assert_eq!(report.total().abandoned, 0);
    assert!(!peer.is_open(), "the session was closed");
}

#[tokio::test(start_paused = true)]
async fn what_changes_while_it_is_down_arrives_after_the_restart_and_nothing_twice() {
    let mut world = World::new();
    let _peer = world.connect().await;
    tokio::time::sleep(Duration::from_secs(3)).await;
    world.stop().await;
    world.change("while-down");
    let (graph, drive, store) = (world.graph.clone(), world.drive.clone(), Arc::clone(&world.store));
    let again = |builder: PipelineBuilder| builder.subscription(AccountName::default(), watch("me"));
    let mut world = World::start(graph.clone(), drive.clone(), Arc::clone(&store), again);
    let _peer = world.connect().await;
    world.changed(1).await;
    tokio::time::sleep(Duration::from_secs(30)).await;
    let gap = world.place.events().into_iter().find(|event| event.event_type() == EventType::Gap).unwrap();
    assert_eq!(gap.data_value()["reason"], "restart");
    world.stop().await;
    let mut world = World::start(graph, drive, store, again);
    let _peer = world.connect().await;
    tokio::time::sleep(Duration::from_secs(30)).await;
    assert!(world.changes().is_empty(), "the cursor is behind what was acknowledged");
    world.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_durable_sink_that_is_down_holds_the_cursor_and_loses_nothing() {
    let mut world = World::new();
    let peer = world.connect().await;
    tokio::time::sleep(Duration::from_secs(3)).await;
    world.place.cut();
    for n in 0..2_000 {
        world.change(&format!("item-{n}"));
    }
    peer.notify(&tap());
    tokio::time::sleep(Duration::from_secs(3600)).await;
    assert!(world.changes().is_empty());
    world.place.mend();
    world.changed(2_000).await;
    let sequences: Vec<u64> = world.changes().iter().map(|event| event.sequence().unwrap().0).collect();
    assert_eq!(sequences, (0..2_000).collect::<Vec<u64>>());
    world.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_session_that_ends_is_replaced_and_followed_by_a_walk() {
    let mut world = World::new();
    let peer = world.connect().await;
    tokio::time::sleep(Duration::from_secs(20)).await;
    peer.leave();
    world.change("unheard");
    let _peer = world.connect().await;
    world.changed(1).await;
    assert!(world.place.events().iter().any(|event| event.event_type() == EventType::Gap));
    world.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_renewal_overlaps() {
    let mut world = World::new();
    let old = world.connect().await;
    let opening = world.server.next().await.unwrap();
    assert!(opening.limits().renewal);
    assert!(old.is_open(), "the old session works until the new one is open");
    let _new = opening.accept();
    old.closed().await;
    world.stop().await;
}

#[tokio::test(start_paused = true)]
async fn two_subscriptions_of_one_drive_share_its_walk() {
    let graph = MemoryGraph::new();
    let by_id: Resource = "drive:b!x".parse().unwrap();
    let drive = graph.mount(&Resource::Me, "b!x", DriveType::Business);
    graph.mount(&by_id, "b!x", DriveType::Business);
    let account = AccountName::default;
    let mut world = World::start(graph, drive, Arc::default(), |builder| {
        builder.subscription(account(), watch("me")).subscription(account(), watch("drive:b!x"))
    });
    let one = world.connect().await;
    let two = world.connect().await;
    tokio::time::sleep(Duration::from_secs(3)).await;
    world.change("a");
    one.notify(&tap());
    two.notify(&tap());
    world.changed(1).await;
    tokio::time::sleep(Duration::from_secs(120)).await;
    assert_eq!(world.changes().len(), 1, "a change is published once a feed");
    assert_eq!(world.changes()[0].resource(), "me");
    assert_eq!(world.handle.status().feeds.len(), 1);
    world.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_drive_that_becomes_known_late_joins_the_feed_that_runs() {
    let graph = MemoryGraph::new();
    let drive = graph.mount(&Resource::Me, "b!x", DriveType::Business);
    graph.mount(&"drive:b!x".parse().unwrap(), "b!x", DriveType::Business);
    // One of the two look-ups fails, whichever comes first, and is repeated slowly.
    graph.fail_drive(Failure::new(Remedy::RetrySlowly { after: None }, "itemNotFound"));
    let account = AccountName::default;
    let mut world = World::start(graph, drive, Arc::default(), |builder| {
        builder.subscription(account(), watch("me")).subscription(account(), watch("drive:b!x"))
    });
    let first = world.connect().await;
    assert_eq!(world.handle.status().unresolved.len(), 1);
    let _one = world.connect().await;
    let _two = world.connect().await;
    assert!(!first.is_open(), "the feed started again with both");
    assert!(world.handle.status().unresolved.is_empty());
    assert_eq!(world.handle.status().feeds[0].status.lanes.len(), 2);
    world.change("a");
    world.changed(1).await;
    world.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_drive_is_listened_to_while_a_join_waits_for_a_durable_sink_that_is_away() {
    let graph = MemoryGraph::new();
    let drive = graph.mount(&Resource::Me, "b!x", DriveType::Business);
    graph.mount(&"drive:b!x".parse().unwrap(), "b!x", DriveType::Business);
    graph.fail_drive(Failure::new(Remedy::RetrySlowly { after: None }, "itemNotFound"));
    let account = AccountName::default;
    let mut world = World::start(graph, drive, Arc::default(), |builder| {
        builder.subscription(account(), watch("me")).subscription(account(), watch("drive:b!x"))
    });
    let first = world.connect().await;
    tokio::time::sleep(Duration::from_secs(5)).await;
    world.place.cut();
    world.change("a");
    first.notify(&tap());
    tokio::time::sleep(Duration::from_secs(1800)).await;
    assert!(world.handle.status().unresolved.is_empty(), "the other one is known by now");
    assert!(world.handle.status().is_ready(), "and the drive has its session all the same");
    world.place.mend();
    let _one = world.connect().await;
    let _two = world.connect().await;
    assert_eq!(world.handle.status().feeds[0].status.lanes.len(), 2);
    world.changed(1).await;
    world.stop().await;
}

#[tokio::test(start_paused = true)]
async fn what_is_not_known_yet_is_told_for_each_account_and_not_by_its_name_alone() {
    let missing = || Failure::new(Remedy::RetrySlowly { after: None }, "itemNotFound");
    let (one, two) = (MemoryGraph::new(), MemoryGraph::new());
    let drive = one.mount(&Resource::Me, "b!x", DriveType::Business);
    two.mount(&Resource::Me, "b!y", DriveType::Business);
    one.fail_drive(missing());
    two.fail_drive(missing());
    two.fail_drive(missing());
    let other: AccountName = "other".parse().unwrap();
    let mut world = World::start(one, drive, Arc::default(), |builder| {
        builder
            .subscription(AccountName::default(), watch("me"))
            .account(other.clone(), Arc::new(two))
            .subscription(other.clone(), watch("me"))
    });
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert_eq!(world.handle.status().unresolved.len(), 2);
    // Slow retries come a minute or more apart: one account's second look-up finds its drive, the other's fails again.
    let _peer = world.connect().await;
    let unresolved: Vec<_> = world.handle.status().unresolved.into_iter().map(|it| (it.account, it.resource)).collect();
    assert_eq!(unresolved, [(other, Resource::Me)]);
    world.stop().await;
}

#[tokio::test(start_paused = true)]
async fn sign_in_refused_for_every_account_ends_it_and_for_one_does_not() {
    let refused = || Failure::new(Remedy::SignIn, "InvalidAuthenticationToken");
    let graph = MemoryGraph::new();
    let drive = graph.mount(&Resource::Me, "b!x", DriveType::Business);
    // A service may be started before the network is up: that says nothing of the token.
    graph.fail_drive(Failure::retry("connection refused"));
    graph.fail_drive(refused());
    let world = World::start(graph, drive, Arc::default(), |builder| builder.subscription(AccountName::default(), watch("me")));
    let error = world.task.await.unwrap().unwrap_err();
    assert_eq!(error, RunError::SignIn("InvalidAuthenticationToken".to_owned()));

    let (good, bad) = (MemoryGraph::new(), MemoryGraph::new());
    let drive = good.mount(&Resource::Me, "b!x", DriveType::Business);
    bad.mount(&Resource::Me, "b!y", DriveType::Business);
    bad.fail_drive(refused());
    let other: AccountName = "other".parse().unwrap();
    let mut world = World::start(good, drive, Arc::default(), |builder| {
        builder
            .subscription(AccountName::default(), watch("me"))
            .account(other.clone(), Arc::new(bad))
            .subscription(other, watch("me"))
    });
    let _one = world.connect().await;
    let _two = world.connect().await;
    assert_eq!(world.handle.status().feeds.len(), 2, "its source was read again after 60 s");
    world.stop().await;
}

#[tokio::test(start_paused = true)]
async fn an_account_that_was_let_in_since_keeps_it_running_whatever_another_is_told_first() {
    let refused = || Failure::new(Remedy::SignIn, "InvalidAuthenticationToken");
    let (good, bad) = (MemoryGraph::new(), MemoryGraph::new());
    let drive = good.mount(&Resource::Me, "b!x", DriveType::Business);
    good.fail_drive(refused());
    // Of the other's token nothing is known for some minutes: its login host is away.
    for _ in 0..20 {
        bad.fail_drive(Failure::retry("connection refused"));
    }
    for _ in 0..3 {
        bad.fail_drive(refused());
    }
    let other: AccountName = "other".parse().unwrap();
    let mut world = World::start(good, drive, Arc::default(), |builder| {
        builder
            .subscription(AccountName::default(), watch("me"))
            .account(other.clone(), Arc::new(bad.clone()))
            .subscription(other, watch("me"))
    });
    let _peer = world.connect().await;
    assert!(bad.calls().len() < 20, "the first is let in before the other is refused: {}", bad.calls().len());
    tokio::time::sleep(Duration::from_secs(3600)).await;
    assert!(bad.calls().len() > 20, "the other was refused: {}", bad.calls().len());
    assert!(!world.task.is_finished(), "the first account works");
    world.stop().await;
}

#[tokio::test(start_paused = true)]
async fn the_drain_ends_at_its_deadline_and_says_what_is_left() {
    let mut world = World::new();
    let peer = world.connect().await;
    tokio::time::sleep(Duration::from_secs(3)).await;
    world.place.cut();
    world.place.refuse(std::iter::repeat_n(NotReady::Later("down".to_owned()), 1_000));
    for n in 0..20_000 {
        world.change(&format!("item-{n}"));
    }
    peer.notify(&tap());
    tokio::time::sleep(Duration::from_secs(10)).await;
    let queued = world.handle.status().sinks[0].queued_bytes;
    assert!(queued <= 8 * 1024 * 1024, "the window is bounded: {queued}");
    let begun = Instant::now();
    let report = world.stop().await;
    assert!(begun.elapsed() <= Duration::from_secs(30), "{:?}", begun.elapsed());
    let total = report.total();
    assert_eq!(total.delivered, 0);
    assert_eq!(total.abandoned % 200, 1, "a signal and whole pages, the one that found no room included: {total}");
}
