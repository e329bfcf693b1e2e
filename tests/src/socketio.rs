//! The official socket.io server, which its test starts and owns: tests/services/README.md.

use std::process::Stdio;

use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::time::timeout;

use crate::{PATIENCE, service};

/// A server that ends with its test.
pub struct SocketIo {
    /// Where it listens, on 127.0.0.1.
    pub port: u16,
    stdin: ChildStdin,
    stdout: Lines<BufReader<ChildStdout>>,
    _process: Child,
}

impl SocketIo {
    /// Of this major version, with these options beside: tests/services/README.md.
    pub async fn start(major: u8, mut options: Value) -> Self {
        options["major"] = json!(major);
        let mut node = Command::new(service("/tools/node"));
        node.arg(service("/socketio")).arg(options.to_string()).stdin(Stdio::piped()).stdout(Stdio::piped()).kill_on_drop(true);
        let mut process = node.spawn().unwrap();
        let (stdin, stdout) = (process.stdin.take().unwrap(), process.stdout.take().unwrap());
        let mut server = Self { port: 0, stdin, stdout: BufReader::new(stdout).lines(), _process: process };
        server.port = server.read().await["port"].as_u64().unwrap().try_into().unwrap();
        server
    }

    /// The next line with this `event`; what is printed before it is passed over.
    pub async fn next(&mut self, event: &str) -> Value {
        loop {
            let line = self.read().await;
            if line["event"] == event {
                return line;
            }
        }
    }

    /// Emits `notification` with `text` as its one argument.
    pub async fn emit(&mut self, text: &str) {
        self.command(&json!({ "emit": text })).await;
    }

    /// One command of `server.js`.
    pub async fn command(&mut self, command: &Value) {
        self.stdin.write_all(format!("{command}\n").as_bytes()).await.unwrap();
    }

    /// The next line, whenever it comes. Cancel safe.
    pub async fn line(&mut self) -> Value {
        let line = self.stdout.next_line().await.unwrap();
        serde_json::from_str(&line.expect("the socket.io server ended: run `cargo xtask setup`")).unwrap()
    }

    async fn read(&mut self) -> Value {
        timeout(PATIENCE, self.line()).await.expect("the socket.io server is silent")
    }
}
