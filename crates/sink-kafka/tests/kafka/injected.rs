//! Answers that a healthy broker does not give: injected into librdkafka's own mock cluster.
//!
//! It checks no sequence numbers: a request behind a refused one is stored, where a real broker refuses it, too. So requests go one by
//! one, and the order is that in which events are seen for the last time; what is stricter is in `refusals.rs`, on a real broker.

use std::time::Duration;

use drivetap_sink::contract::{events, publish};
use drivetap_sink::{Outcome, Sink, Stop};
use drivetap_sink_kafka::{KafkaConfig, KafkaSink};
use rdkafka::mocking::MockCluster;
use rdkafka::types::{RDKafkaApiKey, RDKafkaRespErr};

use crate::broker::{Found, ids, read_at};

/// How the sink goes on after an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum GoesOn {
    /// librdkafka tries again by itself, and the sink says nothing.
    Inside,
    /// The producer is given up and another one is offered the rest.
    Anew,
    /// Somebody has to do something first.
    Held,
}

#[tokio::test]
async fn whatever_a_broker_answers_nothing_is_lost_and_all_is_offered_again_in_order() {
    use GoesOn::{Anew, Held, Inside};
    use RDKafkaRespErr::*;
    for (answer, goes_on) in [
        (RD_KAFKA_RESP_ERR_NOT_LEADER_FOR_PARTITION, Inside),
        (RD_KAFKA_RESP_ERR_LEADER_NOT_AVAILABLE, Inside),
        (RD_KAFKA_RESP_ERR_REQUEST_TIMED_OUT, Inside),
        (RD_KAFKA_RESP_ERR_NOT_ENOUGH_REPLICAS, Inside),
        (RD_KAFKA_RESP_ERR_NOT_ENOUGH_REPLICAS_AFTER_APPEND, Inside),
        (RD_KAFKA_RESP_ERR_KAFKA_STORAGE_ERROR, Inside),
        (RD_KAFKA_RESP_ERR_UNKNOWN_PRODUCER_ID, Inside),
        // Vector publishes nothing more after a fatal error until it is restarted (vectordotdev/vector#14290).
        (RD_KAFKA_RESP_ERR_OUT_OF_ORDER_SEQUENCE_NUMBER, Anew),
        (RD_KAFKA_RESP_ERR_INVALID_PRODUCER_EPOCH, Anew),
        (RD_KAFKA_RESP_ERR_UNKNOWN, Anew),
        (RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED, Held),
        (RD_KAFKA_RESP_ERR_CLUSTER_AUTHORIZATION_FAILED, Held),
    ] {
        let cluster = MockCluster::new(1).unwrap();
        cluster.create_topic("mocked", 1, 1).unwrap();
        let mut config = KafkaConfig::new(cluster.bootstrap_servers(), "mocked");
        let keys = [("batch.size", "3000"), ("max.in.flight.requests.per.connection", "1")];
        config.librdkafka = keys.map(|(key, value)| (key.to_owned(), value.to_owned())).into();
        let events = events(200, 1);
        let mut sink = KafkaSink::new(config).unwrap();
        sink.connect().await.unwrap();
        assert_eq!(publish(&mut sink, &events[..50]).await, Outcome::all(50), "{answer:?}");

        cluster.request_errors(RDKafkaApiKey::Produce, &[answer, answer]);
        let (mut rest, mut said) = (&events[50..], Vec::new());
        while !rest.is_empty() {
            let Outcome { acked, stop } = sink.publish(rest).await;
            rest = &rest[acked..];
            match stop {
                None | Some(Stop::Underway) => {}
                Some(Stop::Reconnect { reason }) => {
                    said.push((Anew, reason));
                    sink.connect().await.unwrap();
                }
                Some(Stop::Hold { what }) => said.push((Held, what)),
                Some(Stop::Reject { code, .. }) => panic!("{answer:?} is no fault of an event's: {code}"),
            }
            assert!(said.len() < 20, "{answer:?}: {said:#?}");
        }
        let kinds: Vec<GoesOn> = said.iter().map(|(kind, _)| *kind).collect();
        match goes_on {
            Inside => assert_eq!(kinds, [], "{answer:?}: {said:#?}"),
            other => assert!(!kinds.is_empty() && kinds.iter().all(|kind| *kind == other), "{answer:?}: {said:#?}"),
        }
        Box::new(sink).close(Duration::from_secs(5)).await;
        let found = read_at(&cluster.bootstrap_servers(), "mocked", events.len()).await;
        let mut last: Vec<String> = Vec::new();
        for id in found.iter().rev().map(Found::id) {
            if !last.contains(&id) {
                last.insert(0, id);
            }
        }
        assert_eq!(last, ids(&events), "{answer:?}: {said:#?}");
    }
}
