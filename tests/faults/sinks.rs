//! A sink of the program under test, and what arrived at it.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use drivetap_tests::Consumer;
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::message::{Headers as _, Message};
use rdkafka::{Offset, TopicPartitionList};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::lane::Subscriber;
use crate::process::Lines;

/// Where events go.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Kind {
    Stdout,
    Kafka,
    Redis,
}

impl Kind {
    pub(crate) const ALL: [Self; 3] = [Self::Stdout, Self::Kafka, Self::Redis];

    /// Its name in the configuration, in the program's last lines and in the table.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Stdout => "stdout",
            Self::Kafka => "kafka",
            Self::Redis => "redis",
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// One sink of a row.
pub(crate) struct SinkUnderTest {
    pub(crate) kind: Kind,
    /// A live one may lose; then it says so.
    pub(crate) live: bool,
    pub(crate) consumer: Consumer,
    source: Source,
}

/// Where the events are read back from.
pub(crate) enum Source {
    Stdout { lines: Lines, read: usize },
    Kafka(Tail),
    Redis { channel: String, read: usize, subscriber: Subscriber },
}

impl SinkUnderTest {
    pub(crate) fn new(kind: Kind, live: bool, source: Source) -> Self {
        Self { kind, live, consumer: Consumer::default(), source }
    }

    /// Folds what has arrived since. `acknowledged` reads the relay's ledger of a channel.
    pub(crate) fn read(&mut self, acknowledged: impl Fn(&str, usize) -> Vec<String>) {
        let parse = |text: String| serde_json::from_str(&text).unwrap_or_else(|error| panic!("no event ({error}): {text}"));
        let events: Vec<Value> = match &mut self.source {
            Source::Stdout { lines, read } => {
                let new: Vec<_> = lines.lock().unwrap().iter().skip(*read).cloned().collect();
                *read += new.len();
                new.into_iter().map(parse).collect()
            }
            Source::Kafka(tail) => std::mem::take(&mut *tail.events.lock().unwrap()),
            Source::Redis { channel, read, .. } => {
                let new = acknowledged(channel, *read);
                *read += new.len();
                new.into_iter().map(parse).collect()
            }
        };
        events.iter().for_each(|event| self.consumer.take(event));
    }

    /// Messages that Redis acknowledged and its subscriber did not hear.
    pub(crate) fn subscriber_lost(&self) -> Option<u64> {
        match &self.source {
            Source::Redis { subscriber, .. } => Some(self.consumer.events.saturating_sub(subscriber.heard())),
            _ => None,
        }
    }

    /// The topic was deleted and made again: offsets begin anew, and what was read of the old one stays read.
    pub(crate) fn topic_made_again(&mut self) {
        if let Source::Kafka(tail) = &mut self.source {
            tail.begin_again();
        }
    }
}

/// Reads a topic's one partition from its beginning, for as long as the row lasts. Outages are librdkafka's to wait out.
pub(crate) struct Tail {
    client: ClientConfig,
    topic: String,
    events: Arc<Mutex<Vec<Value>>>,
    reading: Option<Reading>,
}

struct Reading {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<()>,
}

impl Tail {
    pub(crate) fn of(client: ClientConfig, topic: &str) -> Self {
        let mut tail = Self { client, topic: topic.to_owned(), events: Arc::default(), reading: None };
        tail.begin_again();
        tail
    }

    fn begin_again(&mut self) {
        self.stop();
        let mut client = self.client.clone();
        client.set("group.id", "faults").set("enable.auto.commit", "false").set("fetch.wait.max.ms", "100");
        client.set("reconnect.backoff.max.ms", "500").set("auto.offset.reset", "earliest");
        let consumer: BaseConsumer = client.create().unwrap();
        let mut all = TopicPartitionList::new();
        all.add_partition_offset(&self.topic, 0, Offset::Beginning).unwrap();
        consumer.assign(&all).unwrap();
        let (stop, events) = (Arc::new(AtomicBool::new(false)), Arc::clone(&self.events));
        let stopped = Arc::clone(&stop);
        let thread = std::thread::spawn(move || {
            while !stopped.load(Ordering::Relaxed) {
                // An error is an outage that a row made; what is missing after it is found by the fold.
                if let Some(Ok(message)) = consumer.poll(Duration::from_millis(100)) {
                    events.lock().unwrap().push(event(&message));
                }
            }
        });
        self.reading = Some(Reading { stop, thread });
    }

    fn stop(&mut self) {
        if let Some(reading) = self.reading.take() {
            reading.stop.store(true, Ordering::Relaxed);
            // A panic of its own was printed.
            drop(reading.thread.join());
        }
    }
}

impl Drop for Tail {
    fn drop(&mut self) {
        self.stop();
    }
}

/// CloudEvents' binary mode, as structured JSON.
fn event(message: &impl Message) -> Value {
    let text = |bytes: Option<&[u8]>| String::from_utf8(bytes.unwrap_or_default().to_vec()).expect("headers are UTF-8");
    let headers = message.headers().into_iter().flat_map(|headers| headers.iter());
    let headers: BTreeMap<_, _> = headers.map(|header| (header.key.to_owned(), text(header.value))).collect();
    let attributes = headers.iter().filter_map(|(name, value)| Some((name.strip_prefix("ce_")?, value)));
    let mut event: Map<_, _> = attributes.map(|(name, value)| (name.to_owned(), value.as_str().into())).collect();
    event.insert("data".to_owned(), serde_json::from_slice(message.payload().unwrap_or_default()).expect("data is JSON"));
    event.into()
}
