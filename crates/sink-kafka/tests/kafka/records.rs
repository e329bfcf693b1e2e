//! What a consumer finds in the topic.

use std::collections::BTreeMap;
use std::sync::Arc;

use drivetap_core::{Event, ResyncPhase};
use drivetap_sink::contract::{Drive, events};
use drivetap_sink_kafka::{KafkaConfig, Mode};
use serde_json::{Value, json};

use crate::broker::{Found, connected, deliver, ids, new_topic, partitions, plaintext, read, read_ids};

async fn one_of_each() -> Vec<Arc<Event>> {
    // Not ASCII, so that a header or a key that is not raw UTF-8 shows.
    let mut drive = Drive::new("b!Übung-日本");
    vec![
        drive.change("Größe.txt"),
        drive.deletion("gone.txt"),
        drive.signal(),
        drive.gap(),
        drive.resync(&ResyncPhase::Started { code: "resyncRequired".to_owned() }),
        drive.resync(&ResyncPhase::Completed { items: 3 }),
    ]
}

async fn written(mode: Mode, events: &[Arc<Event>]) -> Vec<Found> {
    let topic = new_topic("records", 1, &[]).await;
    let mut sink = connected(KafkaConfig { mode, ..plaintext(&topic, &[]) }).await;
    assert_eq!(deliver(&mut sink, events).await, []);
    read(&topic, events.len()).await
}

#[tokio::test]
async fn binary_mode_has_the_attributes_as_headers_and_the_data_as_value() {
    let events = one_of_each().await;
    let found = written(Mode::Binary, &events).await;
    let change = &found[0];
    let expected = [
        ("ce_specversion", "1.0"),
        ("ce_id", events[0].id()),
        ("ce_type", "io.drivetap.change.v1"),
        ("ce_source", "https://graph.microsoft.com/v1.0/drives/b!%C3%9Cbung-%E6%97%A5%E6%9C%AC/root"),
        ("ce_subject", "01ITEM0000000001"),
        ("ce_time", "2026-05-28T20:26:41Z"),
        ("ce_recordedtime", "2026-05-28T20:26:41Z"),
        ("ce_partitionkey", "b!Übung-日本"),
        ("ce_resource", "drive:b!Übung-日本"),
        ("ce_account", "default"),
        ("ce_sequence", "00000000000000000001"),
        ("content-type", "application/json"),
    ];
    let headers: Vec<_> = change.headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    assert_eq!(headers, expected);
    assert_eq!(change.json()["item"]["name"], "Größe.txt");
    assert_eq!(found.len(), events.len());
    for (record, event) in found.iter().zip(&events) {
        let mut expected: BTreeMap<_, _> = event.attributes().map(|(name, value)| (format!("ce_{name}"), value)).collect();
        expected.insert("ce_specversion".to_owned(), "1.0".to_owned());
        expected.insert("content-type".to_owned(), "application/json".to_owned());
        assert_eq!(record.headers.iter().cloned().collect::<BTreeMap<_, _>>(), expected);
        assert_eq!(record.value, event.data().as_bytes());
    }
}

#[tokio::test]
async fn structured_mode_has_the_whole_event_as_value() {
    let events = one_of_each().await;
    let found = written(Mode::Structured, &events).await;
    assert_eq!(found.len(), events.len());
    for (record, event) in found.iter().zip(&events) {
        assert_eq!(record.headers, [("content-type".to_owned(), "application/cloudevents+json".to_owned())]);
        let mut expected: serde_json::Map<String, Value> =
            event.attributes().map(|(name, value)| (name.to_owned(), Value::from(value))).collect();
        expected.insert("specversion".to_owned(), json!("1.0"));
        expected.insert("datacontenttype".to_owned(), json!("application/json"));
        expected.insert("data".to_owned(), event.data_value());
        assert_eq!(record.json(), Value::Object(expected));
    }
}

#[tokio::test]
async fn a_records_key_is_the_drive_and_its_time_is_when_drivetap_received_the_event() {
    for mode in [Mode::Binary, Mode::Structured] {
        let events = one_of_each().await;
        for (record, event) in written(mode, &events).await.iter().zip(&events) {
            assert_eq!(record.key, "b!Übung-日本");
            assert_eq!(record.timestamp, event.recorded_time().as_millisecond());
        }
    }
}

#[tokio::test]
async fn keys_land_in_the_partitions_that_javas_clients_choose() {
    // murmur2 of each key, from Kafka's own UtilsTest (org.apache.kafka.common.utils).
    let hashes: [(&str, i32); 6] = [
        ("21", -973_932_308),
        ("foobar", -790_332_482),
        ("a-little-bit-long-string", -985_981_536),
        ("a-little-bit-longer-string", -1_486_304_829),
        ("lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58_897_971),
        ("abc", 479_470_107),
    ];
    let topic = new_topic("murmur2", 7, &[]).await;
    let events: Vec<_> = hashes.iter().map(|(key, _)| Drive::new(key).change("file.txt")).collect();
    let mut sink = connected(plaintext(&topic, &[])).await;
    assert_eq!(deliver(&mut sink, &events).await, []);
    let found = read(&topic, events.len()).await;
    // `toPositive`, then the remainder: BuiltInPartitioner.partitionForKey.
    let expected: BTreeMap<_, _> = hashes.iter().map(|(key, hash)| (*key, (hash & 0x7fff_ffff) % 7)).collect();
    assert_eq!(partitions(&found), expected);
}

#[tokio::test]
async fn librdkafkas_keys_override_the_defaults() {
    let topic = new_topic("override", 7, &[]).await;
    let events = events(21, 21);
    let mut sink = connected(plaintext(&topic, &[("partitioner", "consistent"), ("compression.codec", "lz4")])).await;
    assert_eq!(deliver(&mut sink, &events).await, []);
    let theirs = read(&topic, events.len()).await;

    let topic = new_topic("override", 7, &[]).await;
    let mut sink = connected(plaintext(&topic, &[])).await;
    assert_eq!(deliver(&mut sink, &events).await, []);
    assert_ne!(partitions(&theirs), partitions(&read(&topic, events.len()).await));
}

#[tokio::test]
async fn a_batch_larger_than_the_window_goes_through_it_in_order() {
    let topic = new_topic("window", 1, &[]).await;
    let events = events(200, 1);
    let narrow =
        KafkaConfig { in_flight_messages: 3.try_into().unwrap(), in_flight_bytes: 1, ..plaintext(&topic, &[("linger.ms", "0")]) };
    let mut sink = connected(narrow).await;
    assert_eq!(deliver(&mut sink, &events).await, []);
    assert_eq!(read_ids(&topic, events.len()).await, ids(&events));
}

#[tokio::test]
async fn without_idempotence_the_order_is_kept() {
    let topic = new_topic("plain", 1, &[]).await;
    let events = events(200, 1);
    let mut sink = connected(plaintext(&topic, &[("enable.idempotence", "false")])).await;
    assert_eq!(deliver(&mut sink, &events).await, []);
    assert_eq!(read_ids(&topic, events.len()).await, ids(&events));
}
