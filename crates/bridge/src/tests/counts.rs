//! What the metrics say, held against what the sinks say.

use std::collections::HashMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use metrics::{Counter, Gauge, Histogram, Key, KeyName, Metadata, Recorder, SharedString, Unit};

use super::*;

/// Keeps counters by their name.
#[derive(Default)]
struct Counters(Mutex<HashMap<String, Arc<AtomicU64>>>);

impl Counters {
    fn of(&self, name: &str) -> u64 {
        self.0.lock().unwrap().get(name).map_or(0, |count| count.load(Ordering::Relaxed))
    }
}

impl Recorder for Counters {
    fn describe_counter(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn describe_gauge(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn describe_histogram(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn register_counter(&self, key: &Key, _: &Metadata<'_>) -> Counter {
        Counter::from_arc(Arc::clone(self.0.lock().unwrap().entry(key.name().to_owned()).or_default()))
    }

    fn register_gauge(&self, _: &Key, _: &Metadata<'_>) -> Gauge {
        Gauge::noop()
    }

    fn register_histogram(&self, _: &Key, _: &Metadata<'_>) -> Histogram {
        Histogram::noop()
    }
}

#[tokio::test(start_paused = true)]
async fn every_notification_that_is_received_is_published_merged_or_counted_as_unpublished() {
    let counters = Counters::default();
    let _guard = metrics::set_default_local_recorder(&counters);
    for (signals, unpublished) in [(true, 0), (false, 10)] {
        let (received, left) = ("drivetap_notifications_received_total", "drivetap_notifications_unpublished_total");
        let before = (counters.of(received), counters.of(left));
        let graph = MemoryGraph::new();
        let drive = graph.mount(&Resource::Me, "b!x", DriveType::Business);
        let emit = Emit { signals, changes: true };
        let mut world = World::start(graph, drive, Arc::default(), |builder| {
            builder.subscription(AccountName::default(), SubscriptionSettings { emit, ..watch("me") })
        });
        let peer = world.connect().await;
        tokio::time::sleep(Duration::from_secs(5)).await;
        for _ in 0..10 {
            peer.notify(&tap());
        }
        tokio::time::sleep(Duration::from_secs(5)).await;
        let counts = world.stop().await.sinks[0].counts;
        assert_eq!(counters.of(received) - before.0, 10);
        assert_eq!(counters.of(left) - before.1, unpublished);
        assert_eq!(counts.delivered + counts.merged + counts.abandoned, 10 - unpublished);
    }
}
