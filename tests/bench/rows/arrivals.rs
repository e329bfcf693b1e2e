//! What arrives at a sink, looked at from its other side: how many while they come, and which ones in the end.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use drivetap_tests::{service, unique};
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::message::Message as _;
use rdkafka::{ClientConfig, Offset, TopicPartitionList};
use tokio::task::spawn_blocking;

use super::PATIENCE;
use super::ledger::Ledger;
use super::load::number;
use super::task::Target;

/// The far side of a sink.
pub(crate) enum Arrivals {
    Kafka(Topic),
    Redis(Channel),
}

/// For everyone alike: drivetap's default.
const LINGER_MS: u32 = 1;

impl Arrivals {
    pub(crate) async fn on_kafka() -> (Self, Target) {
        let topic = Topic::create().await;
        let target = Target::Kafka { servers: service("/kafka/plaintext"), topic: topic.name.clone(), linger_ms: LINGER_MS };
        (Self::Kafka(topic), target)
    }

    pub(crate) fn on_redis(count: u64) -> (Self, Target) {
        let channel = Channel::subscribe(count);
        let target = Target::Redis { address: service("/redis/plain"), channel: channel.name.clone() };
        (Self::Redis(channel), target)
    }

    /// How many are there.
    pub(crate) async fn count(&self) -> u64 {
        match self {
            Self::Kafka(topic) => topic.count().await,
            Self::Redis(channel) => channel.count.load(Ordering::Relaxed),
        }
    }

    /// Which ones came. The topic is deleted.
    pub(crate) async fn finish(self, count: u64) -> Ledger {
        match self {
            Self::Kafka(topic) => topic.read(count).await,
            Self::Redis(channel) => spawn_blocking(|| channel.reader.join().unwrap()).await.unwrap(),
        }
    }
}

/// A topic of a run's own.
pub(crate) struct Topic {
    pub(crate) name: String,
    reader: Arc<BaseConsumer>,
}

const PARTITIONS: i32 = 3;

impl Topic {
    pub(crate) async fn create() -> Self {
        let name = unique("bench");
        let new = NewTopic::new(&name, PARTITIONS, TopicReplication::Fixed(1));
        assert_eq!(admin().create_topics([&new], &AdminOptions::new()).await.unwrap(), [Ok(name.clone())]);
        let reader = client().set("group.id", unique("reader")).set("enable.auto.commit", "false").create().unwrap();
        Self { name, reader: Arc::new(reader) }
    }

    pub(crate) async fn count(&self) -> u64 {
        let (name, reader) = (self.name.clone(), Arc::clone(&self.reader));
        let sum = move || {
            let high = |n| reader.fetch_watermarks(&name, n, PATIENCE).map_or(0, |(_, high)| high);
            (0..PARTITIONS).map(high).sum::<i64>()
        };
        u64::try_from(spawn_blocking(sum).await.unwrap()).unwrap()
    }

    /// Gives what comes, from the first record.
    pub(crate) fn reader(&self) -> Arc<BaseConsumer> {
        let mut all = TopicPartitionList::new();
        for partition in 0..PARTITIONS {
            all.add_partition_offset(&self.name, partition, Offset::Beginning).unwrap();
        }
        self.reader.assign(&all).unwrap();
        Arc::clone(&self.reader)
    }

    pub(crate) async fn read(self, count: u64) -> Ledger {
        let name = self.name.clone();
        let read = move || {
            let reader = self.reader();
            let mut ledger = Ledger::new(count);
            let there = |n| reader.fetch_watermarks(&self.name, n, PATIENCE).unwrap().1;
            for _ in 0..(0..PARTITIONS).map(there).sum() {
                let message = reader.poll(PATIENCE).expect("a record").unwrap();
                ledger.see(number(message.payload().unwrap()));
            }
            ledger
        };
        let ledger = spawn_blocking(read).await.unwrap();
        let deleted = admin().delete_topics(&[&name], &AdminOptions::new()).await.unwrap();
        assert_eq!(deleted, [Ok(name)]);
        ledger
    }
}

fn client() -> ClientConfig {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", service("/kafka/plaintext"));
    config
}

fn admin() -> AdminClient<DefaultClientContext> {
    client().create().unwrap()
}

/// A subscriber of a run's own, on a thread that reads as fast as it can.
pub(crate) struct Channel {
    name: String,
    count: Arc<AtomicU64>,
    reader: JoinHandle<Ledger>,
}

impl Channel {
    fn subscribe(count: u64) -> Self {
        let (name, socket) = subscribe();
        let (mut ledger, seen) = (Ledger::new(count), Arc::<AtomicU64>::default());
        let shown = Arc::clone(&seen);
        let reader = thread::spawn(move || {
            messages(socket, |message| {
                ledger.see(number(message));
                seen.store(ledger.count, Ordering::Relaxed);
                ledger.is_full()
            });
            ledger
        });
        Self { name, count: shown, reader }
    }
}

/// A channel's name, and the socket on which its messages come.
pub(crate) fn subscribe() -> (String, TcpStream) {
    let name = unique("bench");
    let mut socket = TcpStream::connect(service("/redis/plain")).unwrap();
    write!(socket, "SUBSCRIBE {name}\r\n").unwrap();
    let mut buffer = [0; 1024];
    let confirmed = socket.read(&mut buffer).unwrap();
    assert!(buffer[..confirmed].ends_with(b":1\r\n"), "subscribed");
    (name, socket)
}

/// Until `see` says that all have come, and for a moment more: one that comes twice would come then.
pub(crate) fn messages(mut socket: TcpStream, mut see: impl FnMut(&[u8]) -> bool) {
    let (mut buffer, mut bytes) = (vec![0; 256 * 1024], Vec::new());
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    loop {
        let Ok(read @ 1..) = socket.read(&mut buffer) else { return };
        bytes.extend_from_slice(&buffer[..read]);
        let (mut taken, mut all) = (0, false);
        while let Some((message, length)) = message(&bytes[taken..]) {
            all = see(message);
            taken += length;
        }
        bytes.drain(..taken);
        if all {
            socket.set_read_timeout(Some(Duration::from_millis(300))).unwrap();
        }
    }
}

/// The first message that is whole, `*3 $7 message $N CHANNEL $N PAYLOAD`, and the bytes that it takes.
fn message(bytes: &[u8]) -> Option<(&[u8], usize)> {
    let line = |from: usize| Some(from + memchr::memchr(b'\n', bytes.get(from..)?)? + 1);
    let head = line(line(line(line(0)?)?)?)?;
    let start = line(line(head)?)?;
    let length: usize = str::from_utf8(&bytes[line(head)? + 1..start - 2]).unwrap().parse().unwrap();
    Some((bytes.get(start..start + length)?, start + length + 2)).filter(|(_, whole)| bytes.len() >= *whole)
}
