//! What a producer sends first of a key goes alone: a broker takes any sequence number from a producer that it does not know yet.

use std::time::{Duration, Instant};

use drivetap_sink::contract::{Drive, publish};
use drivetap_sink::{Outcome, Sink, Stop};
use drivetap_sink_kafka::{KafkaConfig, KafkaSink};
use rdkafka::mocking::MockCluster;

#[tokio::test]
async fn after_a_record_that_librdkafka_does_not_take_the_next_of_its_key_goes_alone() {
    let cluster = MockCluster::new(1).unwrap();
    cluster.create_topic("mocked", 1, 1).unwrap();
    let mut config = KafkaConfig::new(cluster.bootstrap_servers(), "mocked");
    config
        .librdkafka
        .extend([("message.max.bytes", "20000"), ("batch.size", "15000")].map(|(k, v)| (k.to_owned(), v.to_owned())));
    let mut sink = KafkaSink::new(config).unwrap();
    sink.connect().await.unwrap();

    // The connection and the producer's id are there.
    assert_eq!(publish(&mut sink, &[Drive::new("b!two").change("before")]).await, Outcome::all(1));
    let mut drive = Drive::new("b!one");
    let large = [drive.change_of(30_000), drive.change("behind it")];
    let outcome = publish(&mut sink, &large).await;
    assert!(matches!(&outcome, Outcome { acked: 0, stop: Some(Stop::Reject { .. }) }), "{outcome:?}");

    // One answer for the first of them, one for the others.
    let round_trip = Duration::from_millis(600);
    cluster.broker_round_trip_time(1, round_trip).unwrap();
    let next: Vec<_> = (0..5).map(|n| drive.change(&format!("file-{n}"))).collect();
    let begun = Instant::now();
    assert_eq!(publish(&mut sink, &next).await, Outcome::all(5));
    assert!(begun.elapsed() >= 2 * round_trip, "{:?}", begun.elapsed());
    Box::new(sink).close(Duration::from_secs(5)).await;
}
