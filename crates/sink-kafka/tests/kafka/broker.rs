//! The real Kafka: where it is, topics of a test's own, and what a consumer finds in them.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use drivetap_core::Event;
use drivetap_sink::{NotReady, Outcome, Sink, Stop};
use drivetap_sink_kafka::{KafkaConfig, KafkaDeadLetters, KafkaSink};
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::message::{Headers, Message};
use rdkafka::{ClientConfig, Offset, TopicPartitionList};
use serde_json::Value;

/// `state.json` of `cargo xtask services`, whole.
pub(crate) fn services() -> Value {
    let Ok(path) = std::env::var("DRIVETAP_SERVICES") else {
        panic!("this test needs a real Kafka: run `cargo xtask test`");
    };
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}: run `cargo xtask test`"));
    serde_json::from_str(&text).unwrap()
}

/// The text at `pointer` in `state.json`.
pub(crate) fn service(pointer: &str) -> String {
    services().pointer(pointer).and_then(Value::as_str).unwrap_or_else(|| panic!("state.json has no {pointer}")).to_owned()
}

/// A configuration for the listener at `pointer`, impatient enough for tests.
pub(crate) fn config(pointer: &str, topic: &str) -> KafkaConfig {
    KafkaConfig {
        connect_timeout: Duration::from_secs(8),
        delivery_timeout: Duration::from_secs(15),
        ..KafkaConfig::new(service(pointer), topic)
    }
}

/// [`config`] for the listener without TLS or sign-in, with librdkafka's `keys`.
pub(crate) fn plaintext(topic: &str, keys: &[(&str, &str)]) -> KafkaConfig {
    with(config("/kafka/plaintext", topic), keys)
}

pub(crate) fn with(mut config: KafkaConfig, keys: &[(&str, &str)]) -> KafkaConfig {
    config.librdkafka.extend(keys.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())));
    config
}

/// A sink that is connected.
pub(crate) async fn connected(config: KafkaConfig) -> KafkaSink {
    let mut sink = KafkaSink::new(config).unwrap();
    sink.connect().await.unwrap();
    sink
}

/// The dispatcher in small: offers again from the first event that is not durable. Returns what was rejected, with its code.
pub(crate) async fn deliver(sink: &mut KafkaSink, events: &[Arc<Event>]) -> Vec<(String, String)> {
    let (mut rest, mut rejected) = (events, Vec::new());
    while !rest.is_empty() {
        let Outcome { acked, stop } = sink.publish(rest).await;
        rest = &rest[acked..];
        match stop {
            None | Some(Stop::Underway) => {}
            Some(Stop::Reject { code, .. }) => {
                rejected.push((rest[0].id().to_owned(), code));
                rest = &rest[1..];
            }
            Some(Stop::Reconnect { .. }) => sink.connect().await.unwrap(),
            Some(Stop::Hold { what }) => panic!("holds: {what}"),
        }
    }
    rejected
}

/// The reason of a `connect` that has to fail for now.
pub(crate) async fn later(config: KafkaConfig) -> String {
    let start = Instant::now();
    let within = config.connect_timeout + Duration::from_secs(3);
    let Err(NotReady::Later(reason)) = KafkaSink::new(config).unwrap().connect().await else {
        panic!("connect did not answer `Later`");
    };
    assert!(start.elapsed() < within, "one attempt took {:?}", start.elapsed());
    reason
}

/// A name that no other test and no other run uses.
pub(crate) fn unique(prefix: &str) -> String {
    static COUNT: AtomicUsize = AtomicUsize::new(0);
    let now = jiff::Timestamp::now().as_millisecond();
    format!("{prefix}-{now}-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed))
}

/// Makes a topic with a name of its own, and waits until the broker shows it.
pub(crate) async fn new_topic(prefix: &str, partitions: i32, settings: &[(&str, &str)]) -> String {
    let name = unique(prefix);
    make_topic(&name, partitions, settings).await;
    name
}

pub(crate) async fn make_topic(name: &str, partitions: i32, settings: &[(&str, &str)]) {
    // The contract's events bear dates of the past: without this the broker may delete them while a test reads.
    let forever = NewTopic::new(name, partitions, TopicReplication::Fixed(1)).set("retention.ms", "-1");
    let topic = settings.iter().fold(forever, |topic, (key, value)| topic.set(key, value));
    let made = admin().create_topics([&topic], &AdminOptions::new()).await.unwrap();
    assert_eq!(made, [Ok(name.to_owned())]);
    until(name, |known| known).await;
}

pub(crate) async fn delete_topic(name: &str) {
    let gone = admin().delete_topics(&[name], &AdminOptions::new()).await.unwrap();
    assert_eq!(gone, [Ok(name.to_owned())]);
    until(name, |known| !known).await;
}

// The controller answers before the broker knows.
async fn until(topic: &str, done: fn(bool) -> bool) {
    let deadline = Instant::now() + Duration::from_secs(10);
    let admin = admin();
    loop {
        let metadata = admin.inner().fetch_metadata(Some(topic), Duration::from_secs(5)).unwrap();
        let described = &metadata.topics()[0];
        let known = described.error().is_none() && described.partitions().iter().any(|partition| partition.leader() >= 0);
        if done(known) {
            return;
        }
        assert!(Instant::now() < deadline, "topic {topic}: nothing changes");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

fn admin() -> AdminClient<DefaultClientContext> {
    ClientConfig::new().set("bootstrap.servers", service("/kafka/plaintext")).create().unwrap()
}

/// A record as a consumer found it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Found {
    pub(crate) partition: i32,
    pub(crate) key: String,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) value: Vec<u8>,
    pub(crate) timestamp: i64,
}

impl Found {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.value).unwrap()
    }

    /// The event's id, in either mode and in a dead letter.
    pub(crate) fn id(&self) -> String {
        let named = self.header("ce_id").or_else(|| self.header(KafkaDeadLetters::EVENT_ID));
        named.map_or_else(|| self.json()["id"].as_str().unwrap().to_owned(), ToOwned::to_owned)
    }
}

/// Everything in `topic`, each partition in its order: until `distinct` ids were found and the end of every partition was reached,
/// or until nothing came for 5 s.
pub(crate) async fn read(topic: &str, distinct: usize) -> Vec<Found> {
    read_at(&service("/kafka/plaintext"), topic, distinct).await
}

/// [`read`], from another cluster.
pub(crate) async fn read_at(servers: &str, topic: &str, distinct: usize) -> Vec<Found> {
    let (servers, topic) = (servers.to_owned(), topic.to_owned());
    tokio::task::spawn_blocking(move || read_blocking(&servers, &topic, distinct)).await.unwrap()
}

/// The ids in `topic` in their order; for a topic of one partition.
pub(crate) async fn read_ids(topic: &str, distinct: usize) -> Vec<String> {
    read(topic, distinct).await.iter().map(Found::id).collect()
}

fn read_blocking(servers: &str, topic: &str, distinct: usize) -> Vec<Found> {
    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", servers)
        .set("group.id", "drivetap-tests")
        .set("enable.auto.commit", "false")
        .set("fetch.wait.max.ms", "50")
        .create()
        .unwrap();
    let metadata = consumer.fetch_metadata(Some(topic), Duration::from_secs(10)).unwrap();
    let mut whole = TopicPartitionList::new();
    for partition in metadata.topics()[0].partitions() {
        whole.add_partition_offset(topic, partition.id(), Offset::Beginning).unwrap();
    }
    consumer.assign(&whole).unwrap();
    let (mut found, mut ids) = (Vec::new(), HashSet::new());
    loop {
        // Once all is there, a moment is enough to see what should not be.
        let patience = if ids.len() >= distinct { Duration::from_millis(500) } else { Duration::from_secs(5) };
        let Some(message) = consumer.poll(patience) else { return found };
        let record = as_found(&message.unwrap());
        ids.insert(record.id());
        found.push(record);
    }
}

fn as_found(message: &impl Message) -> Found {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    Found {
        partition: message.partition(),
        key: text(message.key().unwrap()),
        headers: message
            .headers()
            .map(|headers| headers.iter().map(|h| (h.key.to_owned(), text(h.value.unwrap()))).collect())
            .unwrap_or_default(),
        value: message.payload().unwrap().to_vec(),
        timestamp: message.timestamp().to_millis().unwrap(),
    }
}

/// The ids of `events` in their order.
pub(crate) fn ids(events: &[Arc<Event>]) -> Vec<String> {
    events.iter().map(|event| event.id().to_owned()).collect()
}

/// The partition of each key that occurs in `found`.
pub(crate) fn partitions(found: &[Found]) -> BTreeMap<&str, i32> {
    found.iter().map(|record| (record.key.as_str(), record.partition)).collect()
}

/// After each id comes the next one or one that was seen before, and none is missing.
pub(crate) fn in_order(seen: &[String], expected: &[String]) {
    let mut next = 0;
    for id in seen {
        let number = expected.iter().position(|other| other == id).unwrap();
        assert!(number <= next, "number {number} was seen where {next} was due");
        next = number + 1;
    }
    assert_eq!(next, expected.len());
}
