//! A topic of the real Kafka, and what a consumer finds in it.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::message::{Headers, Message, OwnedHeaders};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use rdkafka::{ClientConfig, Offset, TopicPartitionList};
use serde_json::{Map, Value};

use super::{Event, PATIENCE, service, unique};

/// A topic with a name of its own.
pub(crate) struct Topic {
    pub(crate) name: String,
}

/// A record as a consumer finds it.
#[derive(Clone, Debug)]
pub(crate) struct Record {
    pub(crate) key: String,
    pub(crate) headers: BTreeMap<String, String>,
    pub(crate) value: String,
}

impl Topic {
    pub(crate) async fn new(prefix: &str) -> Self {
        Self::with(&unique(prefix), &[]).await
    }

    /// Of this name, with these settings.
    pub(crate) async fn with(name: &str, settings: &[(&str, &str)]) -> Self {
        let admin: AdminClient<DefaultClientContext> = client().create().unwrap();
        let topic = NewTopic::new(name, 3, TopicReplication::Fixed(1));
        let topic = settings.iter().fold(topic, |topic, (key, value)| topic.set(key, value));
        let made = admin.create_topics([&topic], &AdminOptions::new()).await.unwrap();
        assert_eq!(made, [Ok(name.to_owned())]);
        Self { name: name.to_owned() }
    }

    /// `[sink.NAME]` for this topic; more keys may follow.
    pub(crate) fn sink(&self, name: &str) -> String {
        let (servers, topic) = (bootstrap_servers(), &self.name);
        format!("[sink.{name}]\ntype = \"kafka\"\nbootstrap_servers = \"{servers}\"\ntopic = \"{topic}\"\n")
    }

    /// Reads from the beginning until the records are `enough`. One drive's records are in one partition, so in their order.
    pub(crate) async fn read(&self, what: &str, enough: impl Fn(&[Record]) -> bool + Send + 'static) -> Vec<Record> {
        let (topic, what) = (self.name.clone(), what.to_owned());
        tokio::task::spawn_blocking(move || read(&topic, &what, enough)).await.unwrap()
    }

    /// Adds records as they are, in their order.
    pub(crate) async fn write(&self, records: Vec<Record>) {
        let topic = self.name.clone();
        tokio::task::spawn_blocking(move || write(&topic, &records)).await.unwrap();
    }
}

impl Record {
    /// The event, in either of the two modes of CloudEvents.
    pub(crate) fn event(&self) -> Event {
        if self.headers["content-type"].starts_with("application/cloudevents+json") {
            return Event::parse(&self.value);
        }
        let attributes = self.headers.iter().filter_map(|(name, value)| Some((name.strip_prefix("ce_")?, value)));
        let mut event: Map<_, _> = attributes.map(|(name, value)| (name.to_owned(), Value::from(value.as_str()))).collect();
        event.insert("datacontenttype".to_owned(), self.headers["content-type"].as_str().into());
        event.insert("data".to_owned(), serde_json::from_str(&self.value).unwrap());
        Event(event.into())
    }
}

pub(crate) fn bootstrap_servers() -> String {
    service("/kafka/plaintext")
}

/// The consumer groups of that name that the broker knows.
pub(crate) async fn groups(name: &'static str) -> Vec<String> {
    let listed = tokio::task::spawn_blocking(move || {
        let consumer: BaseConsumer = client().create().unwrap();
        let list = consumer.client().fetch_group_list(None, PATIENCE).unwrap();
        list.groups().iter().map(|group| group.name().to_owned()).filter(|group| group == name).collect()
    });
    listed.await.unwrap()
}

/// The events of the records, in their order.
pub(crate) fn events(records: &[Record]) -> Vec<Event> {
    records.iter().map(Record::event).collect()
}

fn client() -> ClientConfig {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", bootstrap_servers());
    config
}

fn read(topic: &str, what: &str, enough: impl Fn(&[Record]) -> bool) -> Vec<Record> {
    let mut config = client();
    config.set("group.id", unique("reader")).set("enable.auto.commit", "false").set("fetch.wait.max.ms", "50");
    let consumer: BaseConsumer = config.create().unwrap();
    let mut all = TopicPartitionList::new();
    for partition in 0..3 {
        all.add_partition_offset(topic, partition, Offset::Beginning).unwrap();
    }
    consumer.assign(&all).unwrap();
    let deadline = Instant::now() + PATIENCE;
    let mut records = Vec::new();
    while !enough(&records) {
        match consumer.poll(Duration::from_millis(200)) {
            Some(message) => records.push(record(&message.unwrap())),
            None => assert!(Instant::now() < deadline, "not in {topic} after {} s: {what}: {records:#?}", PATIENCE.as_secs()),
        }
    }
    // What should not be there comes right behind.
    while let Some(message) = consumer.poll(Duration::from_millis(300)) {
        records.push(record(&message.unwrap()));
    }
    records
}

fn record(message: &impl Message) -> Record {
    let text = |bytes: Option<&[u8]>| String::from_utf8(bytes.unwrap().to_vec()).unwrap();
    let headers = message.headers().unwrap().iter().map(|header| (header.key.to_owned(), text(header.value)));
    Record { key: text(message.key()), headers: headers.collect(), value: text(message.payload()) }
}

fn write(topic: &str, records: &[Record]) {
    let producer: BaseProducer = client().set("enable.idempotence", "true").create().unwrap();
    for record in records {
        let headers = record.headers.iter().fold(OwnedHeaders::new(), |headers, (key, value)| {
            headers.insert(rdkafka::message::Header { key, value: Some(value) })
        });
        let message = BaseRecord::to(topic).key(&record.key).payload(&record.value).headers(headers);
        producer.send(message).map_err(|(error, _)| error).unwrap();
    }
    producer.flush(PATIENCE).unwrap();
}
