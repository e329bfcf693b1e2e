//! What the sink's topic refuses is kept in another one.

use std::sync::Arc;
use std::time::Duration;

use drivetap_core::Event;
use drivetap_sink::contract::Drive;
use drivetap_sink::{DeadLetter, DeadLetterBox, NotKept};
use drivetap_sink_kafka::{KafkaConfig, KafkaDeadLetters};

use crate::broker::{Found, delete_topic, make_topic, new_topic, plaintext, read, unique};

#[tokio::test]
async fn a_letter_is_whole_with_its_reason_in_headers_and_a_repeat_has_the_same_event_id() {
    let topic = new_topic("letters", 1, &[]).await;
    // The sink's own bound is what made the letter: it does not bind the letter.
    let mut letters = letters_in(&topic, &[("message.max.bytes", "2000"), ("queue.buffering.max.ms", "500")]);
    let event = Drive::new("b!one").change_of(900_000);
    for _ in 0..2 {
        letters.keep(&letter(&event)).await.unwrap();
    }
    Box::new(letters).close(Duration::from_secs(5)).await;

    let found = read(&topic, 1).await;
    assert_eq!(found.len(), 2);
    for record in &found {
        assert_eq!(record.key, event.partition_key());
        assert_eq!(record.timestamp, letter(&event).at.as_millisecond());
        assert_eq!(record.json(), serde_json::from_str::<serde_json::Value>(&letter(&event).to_json().unwrap()).unwrap());
        let header = |name: &str| record.header(name).unwrap_or_else(|| panic!("no {name}: {:?}", record.headers));
        assert_eq!(header("content-type"), "application/json");
        assert_eq!(
            KafkaDeadLetters::HEADERS.map(header),
            ["bus", "drive-events", "MSG_SIZE_TOO_LARGE", "it is too large", "io.drivetap.change.v1", event.id()]
        );
        assert_eq!(record.headers.len(), 7, "it is no CloudEvent, and has none of its headers");
    }
}

#[tokio::test]
async fn a_letter_that_is_too_large_for_its_topic_is_never_kept_and_the_next_one_is() {
    let topic = new_topic("small-letters", 1, &[("max.message.bytes", "20000")]).await;
    let mut letters = letters_in(&topic, &[("compression.type", "none")]);
    let mut drive = Drive::new("b!one");
    let Err(NotKept::Never(reason)) = letters.keep(&letter(&drive.change_of(30_000))).await else { panic!("kept") };
    assert!(reason.contains(&topic) && reason.contains("MSG_SIZE_TOO_LARGE"), "{reason}");
    let small = drive.change("small");
    letters.keep(&letter(&small)).await.unwrap();
    Box::new(letters).close(Duration::from_secs(5)).await;
    assert_eq!(read(&topic, 1).await.iter().map(Found::id).collect::<Vec<_>>(), [small.id()]);
}

#[tokio::test]
async fn a_topic_that_is_missing_or_taken_away_is_named_and_letters_go_on_once_it_is_there() {
    let topic = unique("late-letters");
    let mut letters = letters_in(&topic, &[]);
    let event = Drive::new("b!one").change("small");
    let Err(NotKept::Later(reason)) = letters.look().await else { panic!("found") };
    assert!(reason.contains(&format!("--create --topic {topic}")), "{reason}");
    assert_eq!(letters.keep(&letter(&event)).await, Err(NotKept::Later(reason)));
    make_topic(&topic, 1, &[]).await;
    letters.look().await.unwrap();
    letters.keep(&letter(&event)).await.unwrap();

    delete_topic(&topic).await;
    let Err(NotKept::Later(reason)) = letters.keep(&letter(&event)).await else { panic!("kept in a topic that is gone") };
    assert!(reason.contains(&format!("--create --topic {topic}")), "{reason}");
    make_topic(&topic, 1, &[]).await;
    letters.keep(&letter(&event)).await.unwrap();
    Box::new(letters).close(Duration::from_secs(5)).await;
    assert_eq!(read(&topic, 1).await.len(), 1);
}

fn letters_in(topic: &str, keys: &[(&str, &str)]) -> KafkaDeadLetters {
    let sink = KafkaConfig { dead_letter_topic: Some(topic.to_owned()), ..plaintext("drive-events", keys) };
    KafkaDeadLetters::new(&sink).unwrap().unwrap()
}

fn letter(event: &Arc<Event>) -> DeadLetter<'_> {
    let at = "2026-05-11T21:52:27Z".parse().unwrap();
    DeadLetter { at, sink: "bus", code: "MSG_SIZE_TOO_LARGE", reason: "it is too large", event }
}
