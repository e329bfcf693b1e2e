//! Shutdown, renewal and failure at the worst moment; each was found by trying to break it.

use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicBool, Ordering};

use drivetap_core::feed::Record;
use drivetap_core::{Drive, FeedId, Notification, NotificationUrl};
use drivetap_transport::{Ended, Limits, OpenError, Session, Transport};

use super::*;
use crate::store::{Epoch, StoreError};

#[tokio::test(start_paused = true)]
async fn an_account_that_somebody_else_signs_in_to_walks_their_drive_and_not_the_kept_one() {
    let me = |builder: PipelineBuilder| builder.subscription(AccountName::default(), watch("me"));
    let mut world = World::new();
    let _peer = world.connect().await;
    tokio::time::sleep(Duration::from_secs(3)).await;
    world.stop().await;
    let (graph, store) = (world.graph.clone(), Arc::clone(&world.store));
    let theirs = graph.mount(&Resource::Me, "b!theirs", DriveType::Business);
    let mut world = World::start(graph.clone(), theirs.clone(), Arc::clone(&store), me);
    let peer = world.connect().await;
    tokio::time::sleep(Duration::from_secs(3)).await;
    world.change("a");
    peer.notify(&tap());
    world.changed(1).await;
    assert!(world.changes()[0].source().contains("b!theirs"), "{}", world.changes()[0].to_json());
    world.stop().await;

    // Who cannot be asked is taken for who it was.
    graph.fail_drive(Failure::new(Remedy::Retry { after: None }, "HTTP 503"));
    let mut world = World::start(graph, theirs, store, me);
    let peer = world.connect().await;
    tokio::time::sleep(Duration::from_secs(3)).await;
    world.change("b");
    peer.notify(&tap());
    world.changed(1).await;
    world.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_look_up_that_fails_and_answers_late_makes_no_latest_of_a_beginning_and_loses_nothing() {
    let graph = MemoryGraph::new();
    let drive = graph.mount(&Resource::Me, "b!x", DriveType::Business);
    for (remedy, code) in [
        (Remedy::Retry { after: None }, "HTTP 503"),
        (Remedy::Retry { after: Some(Duration::from_secs(30)) }, "activityLimitReached"),
        (Remedy::RetrySlowly { after: None }, "itemNotFound"),
    ] {
        graph.fail_drive(Failure::new(remedy, code));
    }
    graph.upsert(&drive, "before", json!({"name": "before"}));
    let beginning = SubscriptionSettings { start: Start::Beginning, ..watch("me") };
    let mut world = World::start(graph, drive, Arc::default(), |builder| builder.subscription(AccountName::default(), beginning));
    tokio::time::sleep(Duration::from_secs(10)).await;
    world.change("meanwhile");
    let peer = world.connect().await;
    world.change("with the first walk under way");
    peer.notify(&tap());
    world.changed(3).await;
    let subjects: Vec<_> = world.changes().iter().map(|event| event.subject().unwrap().to_owned()).collect();
    assert_eq!(subjects, ["before", "meanwhile", "with the first walk under way"]);
    world.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_subscription_from_the_beginning_whose_drive_is_known_late_begins_though_another_began_with_the_latest() {
    let graph = MemoryGraph::new();
    let drive = graph.mount(&Resource::Me, "b!x", DriveType::Business);
    graph.mount(&"drive:b!x".parse().unwrap(), "b!x", DriveType::Business);
    graph.fail_drive(Failure::new(Remedy::RetrySlowly { after: Some(Duration::from_secs(120)) }, "itemNotFound"));
    graph.upsert(&drive, "before", json!({"name": "before"}));
    let account = AccountName::default;
    let beginning = SubscriptionSettings { start: Start::Beginning, ..watch("drive:b!x") };
    let mut world = World::start(graph, drive, Arc::default(), |builder| {
        builder.subscription(account(), beginning).subscription(account(), watch("me"))
    });
    let _peer = world.connect().await;
    tokio::time::sleep(Duration::from_secs(10)).await;
    assert!(world.changes().is_empty(), "it began with the latest: the other drive is not known yet");
    tokio::time::sleep(Duration::from_secs(600)).await;
    assert_eq!(world.changes().iter().map(|event| event.subject().unwrap().to_owned()).collect::<Vec<_>>(), ["before"]);
    world.stop().await;
}

#[tokio::test(start_paused = true)]
async fn shutdown_is_seen_while_a_feed_is_joined() {
    let graph = MemoryGraph::new();
    let drive = graph.mount(&Resource::Me, "b!x", DriveType::Business);
    graph.mount(&"drive:b!x".parse().unwrap(), "b!x", DriveType::Business);
    graph.fail_drive(Failure::new(Remedy::RetrySlowly { after: Some(Duration::from_secs(120)) }, "itemNotFound"));
    let account = AccountName::default;
    let mut world = World::start(graph, drive, Arc::default(), |builder| {
        builder.subscription(account(), watch("me")).subscription(account(), watch("drive:b!x"))
    });
    let peer = world.connect().await;
    tokio::time::sleep(Duration::from_secs(5)).await;
    world.place.cut();
    world.change("a");
    peer.notify(&tap());
    tokio::time::sleep(Duration::from_secs(1200)).await;
    let begun = Instant::now();
    world.stop.take().unwrap().send(()).unwrap();
    let ended = tokio::time::timeout(Duration::from_secs(3600), &mut world.task).await;
    assert!(ended.is_ok(), "SIGTERM is not seen for an hour (deadline 30 s)");
    assert!(begun.elapsed() < Duration::from_secs(40), "{:?}", begun.elapsed());
}

#[tokio::test(start_paused = true)]
async fn both_old_sessions_are_closed_after_a_renewal() {
    let graph = MemoryGraph::new();
    graph.set_lifetime(None);
    let drive = graph.mount(&Resource::Me, "b!x", DriveType::Business);
    graph.mount(&"drive:b!x".parse().unwrap(), "b!x", DriveType::Business);
    let account = AccountName::default;
    let (sink, place) = MemorySink::new();
    let mut settings = SinkSettings::new("small", Role::Durable);
    settings.signals = 1;
    let mut world = World::start(graph, drive, Arc::default(), |builder| {
        builder.subscription(account(), watch("me")).subscription(account(), watch("drive:b!x")).sink(settings, Box::new(sink))
    });
    let one = world.connect().await;
    let two = world.connect().await;
    tokio::time::sleep(Duration::from_secs(1795)).await;
    place.cut();
    // fills the line, then the reader of one waits for room while it is renewed
    for _ in 0..3 {
        one.notify(&tap());
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let _three = world.connect().await;
    let _four = world.connect().await;
    tokio::time::sleep(Duration::from_secs(60)).await;
    let (a, b) = (one.is_open(), two.is_open());
    assert!(!a && !b, "an old session stays open: one={a} two={b}");
}

#[tokio::test(start_paused = true)]
async fn signals_in_hand_at_shutdown_are_counted() {
    let graph = MemoryGraph::new();
    let drive = graph.mount(&Resource::Me, "b!x", DriveType::Business);
    let (sink, place) = MemorySink::new();
    let mut settings = SinkSettings::new("small", Role::Durable);
    settings.signals = 1;
    let mut world = World::start(graph, drive, Arc::default(), |builder| {
        builder.subscription(AccountName::default(), watch("me")).sink(settings, Box::new(sink))
    });
    let peer = world.connect().await;
    tokio::time::sleep(Duration::from_secs(5)).await;
    place.cut();
    for _ in 0..10 {
        peer.notify(&tap());
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let report = world.stop().await;
    for sink in &report.sinks {
        let c = sink.counts;
        assert_eq!(c.delivered + c.merged + c.abandoned, 10, "{sink}");
    }
}

/// A transport whose sessions hand out as ours does: some at a time, and the next ones after a moment.
struct InBatches(Arc<dyn Transport>);

struct Batches {
    session: Box<dyn Session>,
    begun: bool,
}

#[async_trait::async_trait]
impl Transport for InBatches {
    async fn open(&self, url: &NotificationUrl, limits: &Limits) -> Result<Box<dyn Session>, OpenError> {
        let session = self.0.open(url, limits).await?;
        Ok(Box::new(Batches { session, begun: false }))
    }
}

#[async_trait::async_trait]
impl Session for Batches {
    async fn recv(&mut self, out: &mut Vec<Notification>, max: NonZeroUsize) -> Result<(), Ended> {
        if std::mem::replace(&mut self.begun, true) {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        self.session.recv(out, max.min(NonZeroUsize::MIN.saturating_add(63))).await
    }

    fn take_merged(&mut self) -> u64 {
        self.session.take_merged()
    }

    fn ping_interval(&self) -> Duration {
        self.session.ping_interval()
    }

    async fn close(self: Box<Self>, within: Duration) {
        self.session.close(within).await;
    }
}

#[tokio::test(start_paused = true)]
async fn signals_that_a_session_hands_out_in_batches_are_counted_when_it_is_closed() {
    let graph = MemoryGraph::new();
    let drive = graph.mount(&Resource::Me, "b!x", DriveType::Business);
    let (sink, place) = MemorySink::new();
    let mut settings = SinkSettings::new("small", Role::Durable);
    settings.signals = 1;
    let mut world = World::start(graph, drive, Arc::default(), |mut builder| {
        builder.transport = Arc::new(InBatches(builder.transport));
        builder.subscription(AccountName::default(), watch("me")).sink(settings, Box::new(sink))
    });
    let peer = world.connect().await;
    tokio::time::sleep(Duration::from_secs(5)).await;
    place.cut();
    for _ in 0..1_000 {
        peer.notify(&tap());
    }
    tokio::time::sleep(Duration::from_millis(10)).await;
    let report = world.stop().await;
    for sink in &report.sinks {
        let c = sink.counts;
        assert_eq!(c.delivered + c.merged + c.abandoned, 1_000, "{sink}");
    }
}

#[tokio::test(start_paused = true)]
async fn signals_of_a_retiring_session_are_counted() {
    let mut lost = vec![];
    for _ in 0..8 {
        let graph = MemoryGraph::new();
        graph.set_lifetime(None);
        let drive = graph.mount(&Resource::Me, "b!x", DriveType::Business);
        let (sink, place) = MemorySink::new();
        let mut settings = SinkSettings::new("small", Role::Durable);
        settings.signals = 1;
        let mut world = World::start(graph, drive, Arc::default(), |builder| {
            builder.subscription(AccountName::default(), watch("me")).sink(settings, Box::new(sink))
        });
        let peer = world.connect().await;
        tokio::time::sleep(Duration::from_secs(1798)).await;
        place.cut();
        for _ in 0..10 {
            peer.notify(&tap());
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        let _new = world.connect().await;
        tokio::time::sleep(Duration::from_secs(60)).await;
        place.mend();
        tokio::time::sleep(Duration::from_secs(120)).await;
        let report = world.stop().await;
        let c = report.sinks[0].counts;
        let gaps = world.place.events().iter().filter(|e| e.event_type() == EventType::Gap).count();
        lost.push((c.delivered + c.merged + c.abandoned, gaps));
    }
    assert!(lost.iter().all(|(n, _)| *n == 10), "(counted of 10, gaps told): {lost:?}");
}

/// A store that cannot be opened for a while.
struct Flaky {
    inner: MemoryStore,
    fail_open: AtomicBool,
}

#[async_trait::async_trait]
impl Store for Flaky {
    async fn open(&self, feed: &FeedId) -> Result<(Epoch, Option<Record>), StoreError> {
        if self.fail_open.load(Ordering::SeqCst) {
            return Err(StoreError::Unavailable("disk full".into()));
        }
        self.inner.open(feed).await
    }
    async fn save(&self, feed: &FeedId, epoch: Epoch, record: &Record) -> Result<(), StoreError> {
        self.inner.save(feed, epoch, record).await
    }
    async fn drive(&self, a: &AccountName, r: &Resource) -> Result<Option<Drive>, StoreError> {
        self.inner.drive(a, r).await
    }
    async fn keep_drive(&self, a: &AccountName, r: &Resource, d: &Drive) -> Result<(), StoreError> {
        self.inner.keep_drive(a, r, d).await
    }
}

#[tokio::test(start_paused = true)]
async fn a_store_that_fails_at_a_join_holds_and_does_not_end_the_service() {
    let graph = MemoryGraph::new();
    let drive = graph.mount(&Resource::Me, "b!x", DriveType::Business);
    graph.mount(&"drive:b!y".parse().unwrap(), "b!y", DriveType::Business);
    graph.fail_drive(Failure::new(Remedy::RetrySlowly { after: Some(Duration::from_secs(120)) }, "itemNotFound"));
    let account = AccountName::default;
    let store = Arc::new(Flaky { inner: MemoryStore::default(), fail_open: false.into() });
    let s2: Arc<dyn Store> = Arc::<Flaky>::clone(&store);
    let mut world = World::start(graph, drive, Arc::default(), |builder| {
        builder.subscription(account(), watch("me")).subscription(account(), watch("drive:b!y")).store(s2)
    });
    let _peer = world.connect().await;
    tokio::time::sleep(Duration::from_secs(5)).await;
    store.fail_open.store(true, Ordering::SeqCst);
    let ended = tokio::time::timeout(Duration::from_secs(1200), &mut world.task).await;
    assert!(ended.is_err(), "one unreadable moment of the store ended the whole service: {ended:?}");
}
