//! The twin in memory keeps delta's promises.

#![expect(clippy::unwrap_used, reason = "a test that cannot set itself up fails")]

use std::num::NonZeroUsize;
use std::time::Duration;

use drivetap_core::{DriveId, DriveType, Failure, Link, Page, PageEnd, PageFrom, Remedy, Resource};
use drivetap_graph::{Call, Graph, MemoryGraph, Share, pages};
use futures_util::TryStreamExt;
use serde_json::json;

fn graph() -> (MemoryGraph, DriveId) {
    let graph = MemoryGraph::new();
    let drive = graph.mount(&Resource::Me, "b!d", DriveType::Business);
    (graph, drive)
}

/// The ids of a walk, `-` before a deleted one, and where the next walk starts.
async fn walk(graph: &MemoryGraph, drive: &DriveId, from: PageFrom) -> (Vec<String>, PageFrom) {
    let pages: Vec<Page> = pages(graph, drive, from).try_collect().await.unwrap();
    let name = |item: &drivetap_core::Item| format!("{}{}", if item.is_deleted() { "-" } else { "" }, item.id());
    let ids = pages.iter().flat_map(|page| page.items.iter().map(name)).collect();
    let end = &pages.last().unwrap().end;
    assert!(matches!(end, PageEnd::Delta(_)), "a walk ends with a deltaLink");
    (ids, PageFrom::Link(end.link().clone()))
}

#[tokio::test]
async fn a_walk_shows_the_latest_state_of_what_changed_after_its_cursor() {
    let (graph, drive) = graph();
    let (nothing, start) = walk(&graph, &drive, PageFrom::Root).await;
    assert!(nothing.is_empty());
    for id in ["a", "b", "c"] {
        graph.upsert(&drive, id, json!({"name": id}));
    }
    graph.upsert(&drive, "a", json!({"name": "again"}));
    graph.delete(&drive, "b");
    assert_eq!(walk(&graph, &drive, start).await.0, ["c", "a", "-b"]);
    let (root, cursor) = walk(&graph, &drive, PageFrom::Root).await;
    assert_eq!(root, ["c", "a"], "from the root there are no tombstones");
    assert!(walk(&graph, &drive, cursor.clone()).await.0.is_empty());
    assert!(walk(&graph, &drive, PageFrom::Latest).await.0.is_empty());
    graph.upsert(&drive, "d", json!({}));
    assert_eq!(walk(&graph, &drive, cursor).await.0, ["d"]);
}

#[tokio::test]
async fn an_item_that_changes_during_a_walk_is_in_the_next_one() {
    let (graph, drive) = graph();
    graph.set_page_size(NonZeroUsize::new(2).unwrap());
    for id in ["a", "b", "c", "d", "e"] {
        graph.upsert(&drive, id, json!({}));
    }
    let first = graph.page(&drive, &PageFrom::Root, &mut Share::alone()).await.unwrap();
    let PageEnd::Next(next) = first.end else { panic!("there is more") };
    graph.upsert(&drive, "a", json!({"n": 2}));
    graph.delete(&drive, "d");
    let (rest, cursor) = walk(&graph, &drive, PageFrom::Link(next)).await;
    assert_eq!(rest, ["c", "e"]);
    assert_eq!(walk(&graph, &drive, cursor).await.0, ["a", "-d"]);
}

#[tokio::test]
async fn an_expired_cursor_is_a_resync_from_a_location() {
    let (graph, drive) = graph();
    graph.set_page_size(NonZeroUsize::MIN);
    graph.upsert(&drive, "a", json!({}));
    graph.upsert(&drive, "b", json!({}));
    let (_, cursor) = walk(&graph, &drive, PageFrom::Root).await;
    let midway = graph.page(&drive, &PageFrom::Root, &mut Share::alone()).await.unwrap().end.link().clone();
    graph.expire_cursors(&drive);
    for stale in [cursor, PageFrom::Link(midway)] {
        let failure = graph.page(&drive, &stale, &mut Share::alone()).await.unwrap_err();
        assert_eq!(failure.code, "resyncRequired");
        let Remedy::Resync { location: Some(location) } = failure.remedy else { panic!("{failure:?}") };
        let (all, fresh) = walk(&graph, &drive, PageFrom::Link(location)).await;
        assert_eq!(all, ["a", "b"]);
        assert!(walk(&graph, &drive, fresh).await.0.is_empty());
    }
    let nonsense = PageFrom::Link(Link::new("/v1.0/drives/x/root/delta?token=x").unwrap());
    let failure = graph.page(&drive, &nonsense, &mut Share::alone()).await.unwrap_err();
    assert_eq!(failure.remedy, Remedy::Resync { location: None });
}

#[tokio::test(start_paused = true)]
async fn failures_come_in_order_answers_take_their_time_and_everything_asked_is_kept() {
    let (graph, drive) = graph();
    let asked = graph.clone();
    graph.set_delay(Duration::from_secs(5));
    graph.fail_endpoint(Failure::retry("one"));
    graph.fail_drive(Failure::retry("two"));
    graph.fail_page(Failure::retry("three"));
    let started = tokio::time::Instant::now();
    assert_eq!(asked.endpoint(&Resource::Me).await, Err(Failure::retry("one")));
    assert_eq!(asked.drive(&Resource::Me).await, Err(Failure::retry("two")));
    assert_eq!(asked.page(&drive, &PageFrom::Latest, &mut Share::alone()).await, Err(Failure::retry("three")));
    let one = asked.endpoint(&Resource::Me).await.unwrap();
    let two = asked.endpoint(&Resource::Me).await.unwrap();
    assert_eq!(started.elapsed(), Duration::from_secs(25));
    assert_ne!(one.subscription.notification_url, two.subscription.notification_url);
    assert_eq!(one.lifetime, Some(Duration::from_secs(3600)));
    assert_eq!(graph.take_calls().len(), 5);
    assert_eq!(graph.drive(&Resource::Me).await.unwrap().id, drive);
    assert_eq!(graph.calls(), [Call::Drive(Resource::Me)]);
    let unknown: Resource = "drive:b!other".parse().unwrap();
    assert_eq!(graph.endpoint(&unknown).await.unwrap_err().code, "itemNotFound");
}
