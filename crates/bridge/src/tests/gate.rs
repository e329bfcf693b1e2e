//! What the feeds of an account, and of a process, share.

use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use drivetap_core::{Drive, Endpoint, Page, PageFrom};
use drivetap_graph::{Call, Graph, Share, Walks};

use super::*;

fn busy(after: u64) -> Failure {
    Failure::new(Remedy::Retry { after: Some(Duration::from_secs(after)) }, "activityLimitReached")
}

fn drives(graph: &MemoryGraph, count: usize) -> Vec<(Resource, DriveId)> {
    let mount = |n| {
        let resource: Resource = format!("drive:b!{n}").parse().unwrap();
        let drive = graph.mount(&resource, &format!("b!{n}"), DriveType::Business);
        (resource, drive)
    };
    (0..count).map(mount).collect()
}

fn changes_of(resource: &Resource, start: Start) -> SubscriptionSettings {
    SubscriptionSettings { resource: resource.clone(), emit: Emit { signals: false, changes: true }, start }
}

#[tokio::test(start_paused = true)]
async fn what_graph_asks_of_one_feed_holds_all_feeds_of_the_account_and_no_other() {
    let (graph, elsewhere) = (MemoryGraph::new(), MemoryGraph::new());
    let mounted = drives(&graph, 3);
    let drive = mounted[0].1.clone();
    elsewhere.mount(&Resource::Me, "b!elsewhere", DriveType::Business);
    let other: AccountName = "other".parse().unwrap();
    let mut world = World::start(graph.clone(), drive, Arc::default(), |mut builder| {
        for (resource, _) in &mounted {
            builder = builder.subscription(AccountName::default(), watch(&resource.to_string()));
        }
        builder.account(other.clone(), Arc::new(elsewhere.clone())).subscription(other, watch("me"))
    });
    let mut peers = Vec::new();
    for _ in 0..4 {
        peers.push(world.connect().await);
    }
    tokio::time::sleep(Duration::from_secs(5)).await;
    // The next page that anyone asks for is refused; then every feed of both accounts has a reason to ask.
    let _ = (graph.take_calls(), elsewhere.take_calls());
    graph.fail_page(busy(90));
    for peer in &peers {
        peer.notify(&tap());
    }
    tokio::time::sleep(Duration::from_secs(80)).await;
    let asked = graph.take_calls();
    assert!((1..=3).contains(&asked.len()), "only what was on its way already: {asked:?}");
    assert!(elsewhere.take_calls().len() > 1, "the other account goes on");
    let status = world.handle.status();
    let shut: Vec<_> = status.accounts.iter().map(|account| account.gate.shut_for.is_some()).collect();
    assert_eq!(shut, [true, false]);
    assert_eq!(status.feeds.iter().filter(|feed| feed.held_back > 0).count(), status.accounts[0].gate.waiting);
    tokio::time::sleep(Duration::from_secs(20)).await;
    let asked = graph.take_calls();
    let pages = mounted.iter().filter(|(_, drive)| asked.iter().any(|call| matches!(call, Call::Page(of, _) if of == drive)));
    assert_eq!(pages.count(), 3, "then all of them are asked for: {asked:?}");
    world.stop().await;
}

/// Graph that refuses the token for as long as it is told to, and says so after a while.
#[derive(Clone, Default)]
struct Revocable {
    graph: MemoryGraph,
    revoked: Arc<AtomicBool>,
}

impl Revocable {
    async fn token(&self) -> Result<(), Failure> {
        tokio::time::sleep(Duration::from_millis(100)).await;
        match self.revoked.load(Ordering::Relaxed) {
            true => Err(Failure::new(Remedy::SignIn, "InvalidAuthenticationToken")),
            false => Ok(()),
        }
    }
}

#[async_trait]
impl Graph for Revocable {
    async fn endpoint(&self, resource: &Resource) -> Result<Endpoint, Failure> {
        let answer = self.graph.endpoint(resource).await;
        self.token().await.and(answer)
    }

    async fn drive(&self, resource: &Resource) -> Result<Drive, Failure> {
        let answer = self.graph.drive(resource).await;
        self.token().await.and(answer)
    }

    async fn page(&self, drive: &DriveId, from: &PageFrom, share: &mut Share) -> Result<Page, Failure> {
        let answer = self.graph.page(drive, from, share).await;
        self.token().await.and(answer)
    }
}

#[tokio::test(start_paused = true)]
async fn a_refused_token_pauses_the_account_and_is_tried_once_a_minute_however_many_its_drives_are() {
    let revocable = Revocable::default();
    let mounted = drives(&revocable.graph, 20);
    let account: AccountName = "many".parse().unwrap();
    let own = MemoryGraph::new();
    let drive = own.mount(&Resource::Me, "b!x", DriveType::Business);
    let mut world = World::start(own, drive, Arc::default(), |mut builder| {
        builder = builder.account(account.clone(), Arc::new(revocable.clone()));
        builder = builder.subscription(AccountName::default(), watch("me"));
        for (resource, _) in &mounted {
            builder = builder.subscription(account.clone(), watch(&resource.to_string()));
        }
        builder
    });
    let mut peers = Vec::new();
    for _ in 0..21 {
        peers.push(world.connect().await);
    }
    tokio::time::sleep(Duration::from_secs(60)).await;
    revocable.revoked.store(true, Ordering::Relaxed);
    for (n, (_, drive)) in mounted.iter().enumerate() {
        revocable.graph.upsert(drive, &format!("item-{n}"), json!({"name": "x"}));
    }
    let _ = revocable.graph.take_calls();
    for peer in &peers {
        peer.notify(&tap());
    }
    tokio::time::sleep(Duration::from_secs(605)).await;
    let asked = revocable.graph.take_calls().len();
    assert!((10..=30).contains(&asked), "those that were on their way, and one a minute: {asked}");
    revocable.revoked.store(false, Ordering::Relaxed);
    tokio::time::sleep(Duration::from_secs(65)).await;
    assert_eq!(world.changes().len(), 20, "all of them go on when one was let in");
    world.stop().await;
}

/// Graph whose pages are large where they hold an item.
struct Large {
    graph: Revocable,
    /// They are never through.
    stalled: bool,
}

#[async_trait]
impl Graph for Large {
    async fn endpoint(&self, resource: &Resource) -> Result<Endpoint, Failure> {
        self.graph.endpoint(resource).await
    }

    async fn drive(&self, resource: &Resource) -> Result<Drive, Failure> {
        self.graph.drive(resource).await
    }

    async fn page(&self, drive: &DriveId, from: &PageFrom, share: &mut Share) -> Result<Page, Failure> {
        let page = self.graph.page(drive, from, share).await?;
        if !page.items.is_empty() {
            share.grow(2 * Walks::SMALL).await;
            if self.stalled {
                std::future::pending::<()>().await;
            }
        }
        Ok(page)
    }
}

#[tokio::test(start_paused = true)]
async fn a_page_that_was_let_in_and_waits_for_its_bytes_holds_nobody_up_whose_token_was_refused() {
    let (stalled, revocable) = (Revocable::default(), Revocable::default());
    let held = stalled.graph.mount(&Resource::Me, "b!held", DriveType::Business);
    let mounted = drives(&revocable.graph, 5);
    let (first, many): (AccountName, AccountName) = ("first".parse().unwrap(), "many".parse().unwrap());
    let own = MemoryGraph::new();
    let drive = own.mount(&Resource::Me, "b!x", DriveType::Business);
    let mut world = World::start(own, drive, Arc::default(), |mut builder| {
        builder = builder.account(first.clone(), Arc::new(Large { graph: stalled.clone(), stalled: true }));
        builder = builder.account(many.clone(), Arc::new(Large { graph: revocable.clone(), stalled: false }));
        builder = builder.subscription(AccountName::default(), watch("me")).subscription(first, watch("me"));
        for (resource, _) in &mounted {
            builder = builder.subscription(many.clone(), watch(&resource.to_string()));
        }
        builder
    });
    let mut peers = Vec::new();
    for _ in 0..7 {
        peers.push(world.connect().await);
    }
    tokio::time::sleep(Duration::from_secs(60)).await;
    let notify = || peers.iter().for_each(|peer| peer.notify(&tap()));
    // One page is large at a time, and here is one that stays.
    stalled.graph.upsert(&held, "item", json!({"name": "x"}));
    notify();
    tokio::time::sleep(Duration::from_secs(120)).await;
    revocable.revoked.store(true, Ordering::Relaxed);
    for (n, (_, drive)) in mounted.iter().enumerate() {
        revocable.graph.upsert(drive, &format!("item-{n}"), json!({"name": "x"}));
    }
    notify();
    tokio::time::sleep(Duration::from_secs(200)).await;
    revocable.revoked.store(false, Ordering::Relaxed);
    let _ = revocable.graph.take_calls();
    tokio::time::sleep(Duration::from_secs(100)).await;
    let asked = revocable.graph.take_calls();
    let pages = mounted.iter().filter(|(_, drive)| asked.iter().any(|call| matches!(call, Call::Page(of, _) if of == drive)));
    assert_eq!(pages.count(), 5, "none of them is through, and all of them ask: {asked:?}");
    assert!(world.changes().is_empty(), "the budget is held");
}

#[tokio::test(start_paused = true)]
async fn a_look_up_waits_for_the_gate_too() {
    let graph = MemoryGraph::new();
    let mounted = drives(&graph, 2);
    graph.fail_drive(busy(60));
    let drive = mounted[0].1.clone();
    let begun = Instant::now();
    let mut world = World::start(graph.clone(), drive, Arc::default(), |mut builder| {
        for (resource, _) in &mounted {
            builder = builder.subscription(AccountName::default(), watch(&resource.to_string()));
        }
        builder
    });
    tokio::time::sleep(Duration::from_secs(59)).await;
    assert!(graph.calls().len() <= 2, "{:?}", graph.calls());
    let _one = world.connect().await;
    assert!(begun.elapsed() >= Duration::from_secs(60), "{:?}", begun.elapsed());
    let _two = world.connect().await;
    world.stop().await;
}

#[tokio::test(start_paused = true)]
async fn sixteen_walks_at_once_in_the_process() {
    let graph = MemoryGraph::new();
    graph.set_delay(Duration::from_secs(1));
    let mounted = drives(&graph, 40);
    for (_, drive) in &mounted {
        for n in 0..401 {
            graph.upsert(drive, &format!("item-{n}"), json!({"name": "x"}));
        }
    }
    let drive = mounted[0].1.clone();
    let world = World::start(graph.clone(), drive, Arc::default(), |mut builder| {
        for (resource, _) in &mounted {
            builder = builder.subscription(AccountName::default(), changes_of(resource, Start::Beginning));
        }
        builder
    });
    // Look-ups take a second; then walks of three pages, a second each.
    let mut most = 0;
    let mut begun = Vec::new();
    for _ in 0..100 {
        tokio::time::sleep(Duration::from_millis(100)).await;
        most = most.max(world.handle.status().walks);
        let roots = |call: &Call| matches!(call, Call::Page(_, PageFrom::Root));
        begun.push(graph.calls().iter().filter(|call| roots(call)).count());
    }
    assert_eq!(most, 16);
    assert!(begun.contains(&16) && begun.contains(&32) && begun.contains(&40), "a walk that began goes on to its end: {begun:?}");
    assert!(!begun.iter().any(|n| (17..32).contains(n)), "{begun:?}");
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(world.changes().len(), 40 * 401);
    let status = world.handle.status();
    assert_eq!((status.walks, status.page_bytes), (0, 0), "nothing is kept when nothing is done");
    drop(world);
}

#[tokio::test(start_paused = true)]
async fn walks_that_wait_for_a_sink_let_a_new_feed_find_its_place() {
    let graph = MemoryGraph::new();
    let mounted = drives(&graph, 64);
    for (_, drive) in &mounted {
        for n in 0..400 {
            graph.upsert(drive, &format!("item-{n}"), json!({"name": "x".repeat(2_000)}));
        }
    }
    graph.mount(&"drive:b!new".parse().unwrap(), "b!new", DriveType::Business);
    let drive = mounted[0].1.clone();
    let mut world = World::start(graph.clone(), drive, Arc::default(), |mut builder| {
        for (resource, _) in &mounted {
            builder = builder.subscription(AccountName::default(), changes_of(resource, Start::Beginning));
        }
        builder.subscription(AccountName::default(), watch("drive:b!new"))
    });
    world.place.cut();
    let _new = world.connect().await;
    tokio::time::sleep(Duration::from_secs(3600)).await;
    let status = world.handle.status();
    assert_eq!(status.page_bytes, Walks::BUDGET, "everything that may be held is held");
    let asked = graph.calls().len();
    tokio::time::sleep(Duration::from_secs(3600)).await;
    assert_eq!(
        graph.calls().iter().skip(asked).filter(|call| matches!(call, Call::Page(..))).count(),
        0,
        "and Graph is left alone"
    );
    world.place.mend();
    tokio::time::sleep(Duration::from_secs(600)).await;
    assert_eq!(world.changes().len(), 64 * 400);
    assert_eq!(world.handle.status().page_bytes, 0);
    world.stop().await;
}
