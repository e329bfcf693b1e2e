//! A real Redis of a test's own.

use std::net::{Ipv4Addr, SocketAddr};
use std::process::Stdio;

use redis::{AsyncConnectionConfig, Client, FromRedisValue, RedisResult};
use tempfile::TempDir;
use tokio::process::{Child, Command};
use tokio::time::{Duration, Instant, sleep};

use crate::{PATIENCE, free_port, service};

/// A server that ends with its test. Its port stays its own while it is down.
pub struct RedisServer {
    address: SocketAddr,
    options: Vec<String>,
    dir: TempDir,
    process: Option<Child>,
}

impl RedisServer {
    /// Starts one, and waits until it answers. `options` are words of its command line: `["--maxmemory", "2mb"]`.
    pub async fn start(options: &[&str]) -> Self {
        let mut server = Self {
            address: (Ipv4Addr::LOCALHOST, free_port()).into(),
            options: options.iter().map(ToString::to_string).collect(),
            dir: tempfile::tempdir().unwrap(),
            process: None,
        };
        server.start_again().await;
        server
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// `redis://…`, as the default user.
    pub fn url(&self) -> String {
        format!("redis://{}", self.address)
    }

    /// `kill -9`, and the end of it.
    pub async fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.kill().await.unwrap();
        }
    }

    /// On the same port, with nothing kept.
    pub async fn start_again(&mut self) {
        self.kill().await;
        let mut command = Command::new(service("/tools/redis_server"));
        command.args(["--port", &self.address.port().to_string(), "--bind", "127.0.0.1"]);
        command.args(["--save", "", "--appendonly", "no", "--dir"]).arg(self.dir.path()).args(&self.options);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).kill_on_drop(true);
        self.process = Some(command.spawn().unwrap());
        let deadline = Instant::now() + PATIENCE;
        while let Err(error) = self.try_ask::<String>(&["PING"]).await {
            assert!(Instant::now() < deadline, "Redis does not answer: {error}");
            sleep(Duration::from_millis(20)).await;
        }
    }

    /// One command on a connection of its own: `["CLIENT", "KILL", "TYPE", "normal"]`.
    pub async fn ask<T: FromRedisValue>(&self, words: &[&str]) -> T {
        self.try_ask(words).await.unwrap_or_else(|error| panic!("{words:?}: {error}"))
    }

    async fn try_ask<T: FromRedisValue>(&self, words: &[&str]) -> RedisResult<T> {
        // A loaded machine takes longer than the client's half a second.
        let patient = AsyncConnectionConfig::new().set_connection_timeout(Some(PATIENCE)).set_response_timeout(Some(PATIENCE));
        let mut connection = Client::open(self.url())?.get_multiplexed_async_connection_with_config(&patient).await?;
        let (verb, rest) = words.split_first().expect("a command");
        redis::cmd(verb).arg(rest).query_async(&mut connection).await
    }
}
