//! Code that panics, ours or a library user's: the pipeline ends and says so.

use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use drivetap_core::{Drive, Endpoint, Page, PageFrom};
use drivetap_graph::{Graph, Share};
use drivetap_sink::{Outcome, Sink};

use super::*;

/// A sink that breaks down at its first event, or when it is closed.
struct Fragile {
    at_close: bool,
}

#[async_trait]
impl Sink for Fragile {
    async fn connect(&mut self) -> Result<(), NotReady> {
        Ok(())
    }

    async fn publish(&mut self, batch: &[Arc<Event>]) -> Outcome {
        assert!(self.at_close, "the sink is broken");
        Outcome::all(batch.len())
    }

    async fn close(self: Box<Self>, _: Duration) {
        assert!(!self.at_close, "the sink is broken");
    }
}

fn with(sink: Fragile) -> World {
    let graph = MemoryGraph::new();
    let drive = graph.mount(&Resource::Me, "b!x", DriveType::Business);
    World::start(graph, drive, Arc::default(), |builder| {
        builder
            .subscription(AccountName::default(), watch("me"))
            .sink(SinkSettings::new("fragile", Role::Durable), Box::new(sink))
    })
}

#[tokio::test(start_paused = true)]
async fn a_sink_that_panics_ends_the_pipeline_with_an_internal_error() {
    let mut world = with(Fragile { at_close: false });
    let peer = world.connect().await;
    tokio::time::sleep(Duration::from_secs(3)).await;
    world.change("a");
    peer.notify(&tap());
    let ended = tokio::time::timeout(Duration::from_secs(60), &mut world.task).await;
    let error = ended.expect("it ends without being asked to").unwrap().unwrap_err();
    assert!(matches!(&error, RunError::Internal(why) if why.contains("the sink is broken")), "{error}");
    assert_eq!(world.changes().len(), 1, "the other sink was drained");
    let counts = world.handle.report().sinks[1].counts;
    assert_eq!((counts.delivered, counts.abandoned), (0, 2), "and what the broken one had is counted");
}

#[tokio::test(start_paused = true)]
async fn a_sink_that_panics_in_the_drain_is_told_of_too() {
    let mut world = with(Fragile { at_close: true });
    let _peer = world.connect().await;
    tokio::time::sleep(Duration::from_secs(3)).await;
    world.stop.take().unwrap().send(()).unwrap();
    let error = world.task.await.unwrap().unwrap_err();
    assert!(matches!(&error, RunError::Internal(why) if why.contains("the sink is broken")), "{error}");
}

/// Graph whose look-up breaks down, at once or when it is tried for the second time.
struct BrokenGraph {
    late: AtomicBool,
}

#[async_trait]
impl Graph for BrokenGraph {
    async fn endpoint(&self, _: &Resource) -> Result<Endpoint, Failure> {
        Err(Failure::retry("none"))
    }

    async fn drive(&self, _: &Resource) -> Result<Drive, Failure> {
        assert!(self.late.swap(false, Ordering::Relaxed), "the look-up is broken");
        Err(Failure::new(Remedy::Retry { after: Some(Duration::from_secs(30)) }, "none"))
    }

    async fn page(&self, _: &DriveId, _: &PageFrom, _: &mut Share) -> Result<Page, Failure> {
        Err(Failure::retry("none"))
    }
}

/// What a pipeline ends with of whose two look-ups one finds its drive and the other breaks down.
async fn with_broken_look_up(late: bool) -> RunError {
    let graph = MemoryGraph::new();
    let drive = graph.mount(&Resource::Me, "b!x", DriveType::Business);
    if late {
        // Then the one is found between the other's two attempts.
        graph.fail_drive(Failure::retry("none"));
    }
    let other: AccountName = "other".parse().unwrap();
    let broken = BrokenGraph { late: AtomicBool::new(late) };
    let mut world = World::start(graph, drive, Arc::default(), |builder| {
        builder
            .subscription(AccountName::default(), watch("me"))
            .account(other.clone(), Arc::new(broken))
            .subscription(other, watch("me"))
    });
    let ended = tokio::time::timeout(Duration::from_secs(60), &mut world.task).await;
    ended.expect("it ends without being asked to").unwrap().unwrap_err()
}

#[tokio::test(start_paused = true)]
async fn a_look_up_that_panics_ends_the_pipeline_with_an_internal_error() {
    let error = with_broken_look_up(false).await;
    assert!(matches!(&error, RunError::Internal(why) if why.contains("the look-up is broken")), "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_look_up_that_panics_after_another_one_ended_well_ends_it_too() {
    let error = with_broken_look_up(true).await;
    assert!(matches!(&error, RunError::Internal(why) if why.contains("the look-up is broken")), "{error}");
}
