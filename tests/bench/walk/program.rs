//! The built program: `run -c` from the beginning, with its cursor in redb.

use std::collections::BTreeSet;
use std::process::Stdio;
use std::time::{Duration, Instant};

use drivetap_tests::{PATIENCE, service, unique};
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::message::{Headers as _, Message as _};
use rdkafka::{ClientConfig, Offset, TopicPartitionList};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tokio::io::AsyncReadExt as _;
use tokio::process::{Child, ChildStdout, Command};
use tokio::time::timeout;

use super::Wanted;
use super::pages::Served;
use super::report::rate;

/// Where the events go.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Target {
    Stdout,
    Kafka,
}

pub(crate) struct Program {
    child: Child,
}

impl Program {
    /// Items a second, from the first page that is asked for to the last event at its sink. Every item has to be there, once, in order.
    pub(crate) async fn walk(wanted: &Wanted, served: &Served, target: Target) -> f64 {
        let dir = tempfile::tempdir().unwrap();
        let topic = unique("bench-walk");
        let sink = match target {
            Target::Stdout => "type = \"stdout\"".to_owned(),
            Target::Kafka => {
                create(&topic).await;
                format!("type = \"kafka\"\nbootstrap_servers = \"{}\"\ntopic = \"{topic}\"", service("/kafka/plaintext"))
            }
        };
        // The quota is lifted: it is Graph's, and this is not about Graph.
        let config = format!(
            r#"
[graph]
base_url = "{}"
[account.default]
token = {{ env = "DRIVETAP_TOKEN" }}
requests_in_5_min = 1000000
[[subscription]]
resource = "me"
emit = ["changes"]
start = "beginning"
[state]
path = "state.redb"
[sink.bench]
{sink}
"#,
            served.base_url
        );
        let file = dir.path().join("drivetap.toml");
        std::fs::write(&file, config).unwrap();
        let mut command = Command::new(&wanted.program);
        command.args(["run".as_ref(), "-c".as_ref(), file.as_os_str()]);
        command.env("DRIVETAP_TOKEN", "EwB4A8l6BAAUopaque.access.token").env_remove("RUST_LOG");
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()).kill_on_drop(true);
        let mut child = command.spawn().unwrap_or_else(|error| panic!("{}: {error}", wanted.program.display()));
        let out = child.stdout.take().unwrap();
        let program = Self { child };
        let (seconds, subjects) = match target {
            Target::Stdout => on_stdout(out, served).await,
            Target::Kafka => on_kafka(topic, served).await,
        };
        program.stop().await;
        assert_eq!(subjects.len(), usize::try_from(served.items).unwrap(), "{target:?}: every item, and each once");
        rate(served.items, seconds)
    }

    async fn stop(mut self) {
        kill_process(Pid::from_raw(self.child.id().unwrap().try_into().unwrap()).unwrap(), Signal::TERM).unwrap();
        let status = timeout(PATIENCE, self.child.wait()).await.expect("it ends").unwrap();
        assert_eq!(status.code(), Some(0));
    }
}

/// Reads what comes as fast as it comes, and looks at it when all is there.
async fn on_stdout(mut out: ChildStdout, served: &Served) -> (f64, BTreeSet<String>) {
    let mut bytes = Vec::with_capacity(usize::try_from(served.bytes).unwrap() * 2);
    let mut lines = 0;
    let mut buffer = vec![0; 1024 * 1024];
    while lines < served.items {
        let read = timeout(PATIENCE, out.read(&mut buffer)).await.expect("events come").unwrap();
        assert!(read > 0, "it ended after {lines} events");
        let chunk = &buffer[..read];
        lines += u64::try_from(chunk.iter().filter(|byte| **byte == b'\n').count()).unwrap();
        bytes.extend_from_slice(chunk);
    }
    let seconds = served.clock().await;
    let events = bytes.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
    let subject = |(n, line): (usize, &[u8])| {
        let event: Value = serde_json::from_slice(line).unwrap();
        assert_eq!(event["sequence"], format!("{n:020}"));
        event["subject"].as_str().unwrap().to_owned()
    };
    (seconds, events.enumerate().map(subject).collect())
}

/// Waits until the broker has them all, then reads them.
async fn on_kafka(topic: String, served: &Served) -> (f64, BTreeSet<String>) {
    let (wanted, of) = (served.items, topic.clone());
    let all_there = tokio::task::spawn_blocking(move || {
        let consumer = consumer();
        let begun = Instant::now();
        loop {
            let high = |n| consumer.fetch_watermarks(&of, n, PATIENCE).map_or(0, |(_, high)| high);
            if (0..PARTITIONS).map(high).sum::<i64>() >= i64::try_from(wanted).unwrap() {
                return;
            }
            assert!(begun.elapsed() < PATIENCE * 5, "Kafka has not got all of it");
            std::thread::sleep(Duration::from_millis(5));
        }
    });
    all_there.await.unwrap();
    let seconds = served.clock().await;
    let wanted = usize::try_from(served.items).unwrap();
    (seconds, tokio::task::spawn_blocking(move || read(&topic, wanted)).await.unwrap())
}

const PARTITIONS: i32 = 3;

async fn create(topic: &str) {
    let admin: AdminClient<DefaultClientContext> = client().create().unwrap();
    let new = NewTopic::new(topic, PARTITIONS, TopicReplication::Fixed(1));
    assert_eq!(admin.create_topics([&new], &AdminOptions::new()).await.unwrap(), [Ok(topic.to_owned())]);
}

fn client() -> ClientConfig {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", service("/kafka/plaintext"));
    config
}

fn consumer() -> BaseConsumer {
    client().set("group.id", unique("reader")).set("enable.auto.commit", "false").create().unwrap()
}

fn read(topic: &str, wanted: usize) -> BTreeSet<String> {
    let consumer = consumer();
    let mut all = TopicPartitionList::new();
    for partition in 0..PARTITIONS {
        all.add_partition_offset(topic, partition, Offset::Beginning).unwrap();
    }
    consumer.assign(&all).unwrap();
    let mut subjects = BTreeSet::new();
    for n in 0..wanted {
        let message = consumer.poll(PATIENCE).expect("a record").unwrap();
        let headers = message.headers().unwrap();
        let value = |name| {
            let header = headers.iter().find(|header| header.key == name).unwrap_or_else(|| panic!("no {name}"));
            String::from_utf8(header.value.unwrap().to_vec()).unwrap()
        };
        // One drive's records are in one partition.
        assert_eq!(value("ce_sequence"), format!("{n:020}"));
        subjects.insert(value("ce_subject"));
    }
    subjects
}
