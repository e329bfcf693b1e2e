//! Receivers are counted, by channel.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::common::{Server, Subscriber, config, connected};
use drivetap_sink::contract::events;
use drivetap_sink::{Outcome, Sink as _};
use metrics::{Counter, Gauge, Histogram, Key, KeyName, Metadata, Recorder, SharedString, Unit};

#[tokio::test]
async fn every_receiver_of_every_message_is_counted() {
    let receivers = Receivers::default();
    metrics::set_global_recorder(receivers.clone()).unwrap();
    let server = Server::start(&[]).await;
    let mut sink = connected(config(&server.url(), CHANNEL)).await;
    assert_eq!(sink.publish(&events(5, 1)).await, Outcome::all(5));
    assert_eq!(receivers.0.load(Ordering::Relaxed), 0);

    let _first = Subscriber::on(&server.address, CHANNEL).await;
    assert_eq!(sink.publish(&events(5, 1)).await, Outcome::all(5));
    let _second = Subscriber::on(&server.address, CHANNEL).await;
    assert_eq!(sink.publish(&events(5, 1)).await, Outcome::all(5));
    assert_eq!(receivers.0.load(Ordering::Relaxed), 5 + 2 * 5);
}

// The process has one recorder, and other tests count too: on other channels.
const CHANNEL: &str = "drive-receivers";

#[derive(Clone, Default)]
struct Receivers(Arc<AtomicU64>);

impl Recorder for Receivers {
    fn describe_counter(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_gauge(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_histogram(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn register_counter(&self, key: &Key, _: &Metadata<'_>) -> Counter {
        let ours = key.labels().any(|label| (label.key(), label.value()) == ("channel", CHANNEL));
        if key.name() == "drivetap_redis_receivers_total" && ours {
            Counter::from_arc(Arc::clone(&self.0))
        } else {
            Counter::noop()
        }
    }

    fn register_gauge(&self, _: &Key, _: &Metadata<'_>) -> Gauge {
        Gauge::noop()
    }

    fn register_histogram(&self, _: &Key, _: &Metadata<'_>) -> Histogram {
        Histogram::noop()
    }
}
