//! What it costs to wait for a broker: a process of its own, because its CPU time is what is looked at.

#![cfg(target_os = "linux")]
#![expect(clippy::unwrap_used, reason = "a test that cannot go on ends with the reason")]

use std::time::{Duration, Instant};

use drivetap_sink::contract::{events, publish};
use drivetap_sink::{Outcome, Sink};
use drivetap_sink_kafka::{KafkaConfig, KafkaSink};
use rdkafka::mocking::MockCluster;

#[tokio::test]
async fn a_broker_that_takes_its_time_is_waited_for_and_not_asked_all_the_while() {
    let cluster = MockCluster::new(1).unwrap();
    cluster.create_topic("mocked", 1, 1).unwrap();
    let mut sink = KafkaSink::new(KafkaConfig::new(cluster.bootstrap_servers(), "mocked")).unwrap();
    sink.connect().await.unwrap();
    // Several requests' worth of one partition.
    let events = events(5_000, 1);
    assert_eq!(publish(&mut sink, &events[..1]).await, Outcome::all(1));

    cluster.broker_round_trip_time(1, Duration::from_millis(700)).unwrap();
    let (begun, used) = (Instant::now(), cpu_time());
    assert_eq!(publish(&mut sink, &events[1..]).await, Outcome::all(events.len() - 1));
    let (passed, used) = (begun.elapsed(), cpu_time() - used);
    assert!(passed > Duration::from_millis(2_000), "too few requests for this to show anything: {passed:?}");
    assert!(used < passed / 3, "{used:?} of CPU time in {passed:?}");
    Box::new(sink).close(Duration::from_secs(5)).await;
}

/// Of all threads: `utime` and `stime` of proc(5), in ticks of 10 ms.
fn cpu_time() -> Duration {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let (_, fields) = stat.rsplit_once(") ").unwrap();
    let ticks: u64 = fields.split(' ').skip(11).take(2).map(|field| field.parse::<u64>().unwrap()).sum();
    Duration::from_millis(ticks * 10)
}
