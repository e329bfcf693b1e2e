//! A real Redis for tests: the shared one of `cargo xtask test`, and servers of a test's own to kill.

use std::net::{Ipv4Addr, TcpListener};
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use drivetap_core::Event;
use drivetap_sink::contract::Drive;
use drivetap_sink::{Outcome, Sink};
use drivetap_sink_redis::{RedisConfig, RedisSink};
use futures_util::StreamExt as _;
use redis::aio::PubSub;
use serde_json::Value;
use tokio::process::{Child, Command};
use tokio::time::{Instant, sleep, timeout};

/// `state.json` of the services that are up.
pub(crate) fn services() -> Value {
    let path = std::env::var("DRIVETAP_SERVICES").expect("no services: run `cargo xtask test` (DRIVETAP_SERVICES is not set)");
    let text = std::fs::read_to_string(&path).expect("no services: run `cargo xtask test` (the state file cannot be read)");
    serde_json::from_str(&text).unwrap()
}

pub(crate) fn text(services: &Value, pointer: &str) -> String {
    services
        .pointer(pointer)
        .and_then(Value::as_str)
        .unwrap_or_else(|| panic!("{pointer} is not in the services' state"))
        .to_owned()
}

/// A server that belongs to one test and dies with it.
pub(crate) struct Server {
    pub(crate) address: String,
    args: Vec<String>,
    process: Child,
}

impl Server {
    pub(crate) async fn start(args: &[&str]) -> Self {
        let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap();
        let args: Vec<String> = args.iter().map(|arg| (*arg).to_owned()).collect();
        let process = spawn(&args, free.port());
        let server = Self { address: free.to_string(), args, process };
        server.up().await;
        server
    }

    pub(crate) async fn kill(&mut self) {
        self.process.kill().await.unwrap();
    }

    pub(crate) async fn start_again(&mut self) {
        let port = self.address.rsplit_once(':').unwrap().1.parse().unwrap();
        self.process = spawn(&self.args, port);
        self.up().await;
    }

    pub(crate) fn url(&self) -> String {
        format!("redis://{}", self.address)
    }

    pub(crate) async fn command(&self, command: &str) {
        let client = redis::Client::open(self.url()).unwrap();
        let mut connection = client.get_multiplexed_async_connection().await.unwrap();
        let mut words = command.split(' ');
        let mut cmd = redis::cmd(words.next().unwrap());
        for word in words {
            cmd.arg(word);
        }
        cmd.exec_async(&mut connection).await.unwrap();
    }

    async fn up(&self) {
        let deadline = Instant::now() + Duration::from_secs(10);
        while tokio::net::TcpStream::connect(&self.address).await.is_err() {
            assert!(Instant::now() < deadline, "redis-server did not come up");
            sleep(Duration::from_millis(20)).await;
        }
    }
}

fn spawn(args: &[String], port: u16) -> Child {
    Command::new("redis-server")
        .args(["--port", &port.to_string(), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"])
        .args(args)
        .stdout(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .expect("no redis-server in PATH: run `cargo xtask setup`")
}

/// Who listens on a channel.
pub(crate) struct Subscriber {
    pubsub: PubSub,
    pub(crate) seen: Vec<Value>,
}

impl Subscriber {
    pub(crate) async fn on(address: &str, channel: &str) -> Self {
        let client = redis::Client::open(format!("redis://{address}")).unwrap();
        let mut pubsub = client.get_async_pubsub().await.unwrap();
        pubsub.subscribe(channel).await.unwrap();
        Self { pubsub, seen: Vec::new() }
    }

    /// Reads until `done`, at most some seconds, then for as long as messages follow one another quickly.
    pub(crate) async fn read(&mut self, done: impl Fn(&[Value]) -> bool) {
        let deadline = Instant::now() + Duration::from_secs(5);
        let mut messages = self.pubsub.on_message();
        loop {
            let wait = if done(&self.seen) { Duration::from_millis(200) } else { deadline - Instant::now() };
            let Ok(Some(message)) = timeout(wait, messages.next()).await else {
                return;
            };
            self.seen.push(serde_json::from_slice(message.get_payload_bytes()).unwrap());
        }
    }

    pub(crate) async fn ids(&mut self, at_least: usize) -> Vec<String> {
        self.read(|seen| seen.len() >= at_least).await;
        self.seen.iter().map(|event| event["id"].as_str().unwrap().to_owned()).collect()
    }
}

pub(crate) async fn connected(config: RedisConfig) -> RedisSink {
    let mut sink = RedisSink::new(config);
    sink.connect().await.unwrap();
    sink
}

pub(crate) fn config(url: &str, channel: &str) -> RedisConfig {
    let mut config = RedisConfig::new(url.parse().unwrap(), channel);
    // A test that waits longer than this waits for nothing.
    config.connect_timeout = Duration::from_secs(3);
    config.response_timeout = Duration::from_secs(3);
    config
}

pub(crate) async fn publish_one(sink: &mut RedisSink) -> (Arc<Event>, Outcome) {
    let event = Drive::new("b!one").change("file.txt");
    let outcome = sink.publish(&[Arc::clone(&event)]).await;
    (event, outcome)
}
