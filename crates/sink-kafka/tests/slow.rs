//! A broker that answers slowly is no broker that answers nobody.

use std::time::Duration;

use drivetap_sink::contract::{events, publish};
use drivetap_sink::{Outcome, Sink, Stop};
use drivetap_sink_kafka::{KafkaConfig, KafkaSink};
use rdkafka::mocking::MockCluster;

#[tokio::test]
async fn a_producer_that_delivers_a_part_of_a_partitions_records_is_not_given_up_for_another() {
    let cluster = MockCluster::new(2).unwrap();
    cluster.create_topic("mocked", 1, 2).unwrap();
    cluster.partition_leader("mocked", 0, Some(1)).unwrap();
    // The other one says at once who leads.
    let (_, second) = cluster.bootstrap_servers().split_once(',').map(|(a, b)| (a.to_owned(), b.to_owned())).unwrap();
    let mut config = KafkaConfig::new(second, "mocked");
    config.delivery_timeout = Duration::from_millis(1_500);
    config.connect_timeout = Duration::from_secs(2);
    // A record a request, and one of them after the other.
    let keys = [("batch.size", "1"), ("max.in.flight.requests.per.connection", "1")];
    config.librdkafka = keys.map(|(key, value)| (key.to_owned(), value.to_owned())).into();
    let mut sink = KafkaSink::new(config).unwrap();
    sink.connect().await.unwrap();
    let events = events(6, 1);
    assert_eq!(publish(&mut sink, &events[..1]).await, Outcome::all(1));

    // Nothing comes until the second wait for the producer, and then one report of five.
    cluster.broker_round_trip_time(1, Duration::from_millis(5_700)).unwrap();
    for waited in ["first", "second"] {
        let outcome = publish(&mut sink, &events[1..]).await;
        assert!(matches!(&outcome, Outcome { acked: 0, stop: Some(Stop::Reconnect { .. }) }), "{waited}: {outcome:?}");
        sink.connect().await.unwrap();
    }
    let outcome = publish(&mut sink, &events[1..]).await;
    assert!(matches!(&outcome, Outcome { acked: 1, .. }), "{outcome:?}");
    Box::new(sink).close(Duration::from_millis(100)).await;
}
