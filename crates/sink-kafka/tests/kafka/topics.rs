//! Topics that are missing, go away, or may not be written.

use std::process::Command;
use std::time::{Duration, Instant};

use drivetap_sink::contract::{events, publish};
use drivetap_sink::{Outcome, Stop};
use drivetap_sink_kafka::{KafkaConfig, KafkaSink};

use crate::broker::{connected, delete_topic, ids, later, make_topic, new_topic, plaintext, read_ids, service, unique};

#[tokio::test]
async fn a_missing_topic_is_named_with_the_command_that_makes_it() {
    let topic = unique("missing");
    let reason = later(plaintext(&topic, &[])).await;
    let (complaint, command) = reason.split_once("; make it: ").unwrap();
    assert_eq!(complaint, format!("topic `{topic}` does not exist"));

    // Without `connect`, as after a hold.
    let events = events(3, 1);
    let mut sink = KafkaSink::new(plaintext(&topic, &[])).unwrap();
    assert_eq!(publish(&mut sink, &events).await, Outcome::stopped(0, Stop::Hold { what: reason.clone() }));

    // The words are only worth something if the command does what they say.
    let arguments = command.strip_prefix("kafka-topics.sh ").unwrap().split(' ');
    let made = Command::new(service("/tools/java"))
        .args(["-cp", &service("/kafka/classpath"), "org.apache.kafka.tools.TopicCommand"])
        .args(arguments)
        .output()
        .unwrap();
    assert!(made.status.success(), "{made:?}");
    assert_eq!(publish(&mut sink, &events).await, Outcome::all(3));
    assert_eq!(read_ids(&topic, 3).await, ids(&events));
}

#[tokio::test]
async fn a_topic_that_goes_away_is_held_and_goes_on_when_it_is_back() {
    let topic = new_topic("deleted", 1, &[]).await;
    let events = events(20, 1);
    let patient = KafkaConfig { delivery_timeout: Duration::from_secs(60), ..plaintext(&topic, &[]) };
    let mut sink = connected(patient).await;
    assert_eq!(publish(&mut sink, &events[..5]).await, Outcome::all(5));
    delete_topic(&topic).await;
    let start = Instant::now();
    let outcome = publish(&mut sink, &events[5..]).await;
    let Some(Stop::Hold { what }) = &outcome.stop else { panic!("{outcome:?}") };
    assert!(what.starts_with(&format!("topic `{topic}` does not exist; make it: kafka-topics.sh ")), "{what}");
    // By librdkafka's word, not by running out of time.
    assert!(start.elapsed() < Duration::from_secs(50), "{:?}", start.elapsed());
    assert_eq!(outcome.acked, 0);

    make_topic(&topic, 1, &[]).await;
    assert_eq!(publish(&mut sink, &events[5..]).await, Outcome::all(15));
    assert_eq!(read_ids(&topic, 15).await, ids(&events[5..]));
}

#[tokio::test]
async fn a_topic_that_may_not_be_written_is_held_with_the_command_that_gives_permission() {
    let topic = new_topic(&format!("{}sink", service("/kafka/denied_prefix")), 1, &[]).await;
    let events = events(20, 1);
    let mut sink = connected(plaintext(&topic, &[])).await;
    // Each time: a hold is no state that the sink stays in or falls out of.
    for _ in 0..2 {
        let Outcome { acked: 0, stop: Some(Stop::Hold { what }) } = publish(&mut sink, &events).await else { panic!("not held") };
        let words = format!("no permission to write to topic `{topic}`; give it: kafka-acls.sh ");
        assert!(what.starts_with(&words), "{what}");
        assert!(what.ends_with(&format!(" --producer --topic {topic}")), "{what}");
    }
}
