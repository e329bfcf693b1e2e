//! Records that Kafka does not take, and clusters that do not answer.

use std::sync::Arc;
use std::time::Duration;

use drivetap_core::Event;
use drivetap_sink::contract::{Drive, events, publish};
use drivetap_sink::{NotReady, Outcome, Sink, Stop};
use drivetap_sink_kafka::{KafkaConfig, KafkaSink};

use crate::broker::{connected, deliver, ids, in_order, later, new_topic, plaintext, read_ids};

#[tokio::test]
async fn what_is_too_large_for_librdkafka_is_rejected_and_its_neighbours_go() {
    let topic = new_topic("large", 1, &[]).await;
    let (events, large) = with_one_of(20, 7, 30_000);
    let mut sink = connected(plaintext(&topic, &[("message.max.bytes", "20000"), ("batch.size", "15000")])).await;
    let outcome = publish(&mut sink, &events).await;
    let Some(Stop::Reject { code, reason }) = &outcome.stop else { panic!("{outcome:?}") };
    assert_eq!((outcome.acked, code.as_str()), (7, "MSG_SIZE_TOO_LARGE"));
    assert!(reason.contains(&topic), "{reason}");
    assert_eq!(publish(&mut sink, &events[8..]).await, Outcome::all(12));
    assert_eq!(read_ids(&topic, 19).await, without(&events, &large));
}

#[tokio::test]
async fn what_is_too_large_for_the_topic_is_found_among_its_neighbours_and_rejected_alone() {
    let topic = new_topic("large", 1, &[("max.message.bytes", "20000")]).await;
    let (events, large) = with_one_of(60, 37, 30_000);
    let mut sink = connected(plaintext(&topic, &[("compression.type", "none")])).await;
    assert_eq!(deliver(&mut sink, &events).await, [(large.clone(), "MSG_SIZE_TOO_LARGE".to_owned())]);
    in_order(&read_ids(&topic, 59).await, &without(&events, &large));
    // The producer that was given up took nothing with it.
    assert_eq!(publish(&mut sink, &events[..1]).await, Outcome::all(1));
}

#[tokio::test]
async fn what_was_on_its_way_behind_a_refused_record_does_not_overtake_it() {
    // A dead letter leaves its stub in the event's place: it must come before what follows. Small batches, so that several are on their
    // way at once; all of one partition; and this thread sleeps, so that it is not our quick reaction that holds them up.
    let topic = new_topic("overtaking", 1, &[("max.message.bytes", "20000")]).await;
    let (events, large) = with_one_of(100, 20, 30_000);
    let mut sink = connected(plaintext(&topic, &[("compression.type", "none"), ("batch.size", "3000")])).await;
    let mut rest = &events[..];
    while rest.first().is_some_and(|event| event.id() != large) {
        let (outcome, ()) = tokio::join!(publish(&mut sink, rest), async { std::thread::sleep(Duration::from_millis(500)) });
        rest = &rest[outcome.acked..];
    }
    in_order(&read_ids(&topic, 20).await, &ids(&events[..20]));
}

#[tokio::test]
async fn what_was_on_its_way_behind_a_new_producers_first_record_does_not_overtake_it() {
    // A broker takes any sequence number from a producer that it does not know yet.
    let topic = new_topic("overtaking", 1, &[("max.message.bytes", "20000")]).await;
    let (events, large) = with_one_of(100, 0, 30_000);
    let mut sink = connected(plaintext(&topic, &[("compression.type", "none"), ("batch.size", "3000")])).await;
    let (outcome, ()) = tokio::join!(publish(&mut sink, &events), async { std::thread::sleep(Duration::from_millis(500)) });
    assert_eq!(outcome.acked, 0);
    assert_eq!(read_ids(&topic, 0).await, Vec::<String>::new());
    assert_eq!(deliver(&mut sink, &events).await, [(large.clone(), "MSG_SIZE_TOO_LARGE".to_owned())]);
    in_order(&read_ids(&topic, 99).await, &without(&events, &large));
}

#[tokio::test]
async fn a_batch_that_is_too_large_as_a_whole_goes_in_parts() {
    let topic = new_topic("whole", 1, &[("max.message.bytes", "5000")]).await;
    let events = events(40, 1);
    let mut sink = connected(plaintext(&topic, &[("compression.type", "none")])).await;
    assert_eq!(deliver(&mut sink, &events).await, []);
    in_order(&read_ids(&topic, 40).await, &ids(&events));
}

#[tokio::test]
async fn a_record_that_the_broker_refuses_for_its_content_is_rejected_by_name() {
    // The contract's events are older than that.
    let topic = new_topic("stale", 1, &[("message.timestamp.before.max.ms", "1000")]).await;
    let events = events(3, 1);
    let mut sink = connected(plaintext(&topic, &[])).await;
    let expected: Vec<_> = ids(&events).into_iter().map(|id| (id, "INVALID_TIMESTAMP".to_owned())).collect();
    assert_eq!(deliver(&mut sink, &events).await, expected);
    assert_eq!(read_ids(&topic, 0).await, Vec::<String>::new());
}

#[tokio::test]
async fn a_cluster_that_is_not_there_is_a_reason_to_wait() {
    // Nobody listens on port 1, and `.invalid` is no domain (RFC 6761).
    for (servers, words) in [("127.0.0.1:1", "Connection refused"), ("kafka.invalid:9092", "resolve")] {
        let config = KafkaConfig { connect_timeout: Duration::from_secs(2), ..KafkaConfig::new(servers, "t") };
        let reason = later(config).await;
        assert!(reason.contains(servers) && reason.contains(words), "{reason}");
    }
}

#[tokio::test]
async fn keys_that_contradict_each_other_are_a_reason_to_stop() {
    let mut sink = KafkaSink::new(plaintext("t", &[("acks", "1")])).unwrap();
    let Err(NotReady::Never(reason)) = sink.connect().await else { panic!("acks=1 is taken") };
    assert!(reason.contains("acks"), "{reason}");
}

#[tokio::test]
async fn a_connect_that_was_dropped_does_not_hinder_the_next() {
    let topic = new_topic("dropped", 1, &[]).await;
    let events = events(3, 1);
    let mut sink = KafkaSink::new(plaintext(&topic, &[])).unwrap();
    for wait in [0, 1, 10] {
        let _ = tokio::time::timeout(Duration::from_millis(wait), sink.connect()).await;
    }
    sink.connect().await.unwrap();
    assert_eq!(publish(&mut sink, &events).await, Outcome::all(3));
    Box::new(sink).close(Duration::from_secs(5)).await;
    assert_eq!(read_ids(&topic, 3).await, ids(&events));
}

/// `n` events of one drive of which number `at` is of more than `bytes`; and that one's id.
fn with_one_of(n: usize, at: usize, bytes: usize) -> (Vec<Arc<Event>>, String) {
    let mut drive = Drive::new("b!drive-0");
    let events: Vec<_> = (0..n).map(|i| if i == at { drive.change_of(bytes) } else { drive.change("small.txt") }).collect();
    let large = events[at].id().to_owned();
    (events, large)
}

fn without(events: &[Arc<Event>], id: &str) -> Vec<String> {
    ids(events).into_iter().filter(|other| other != id).collect()
}
