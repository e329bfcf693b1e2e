//! The load: a server of notifications in a process of its own, that sends them as fast as the socket takes them, within a window, or at
//! a pace.
//!
//! It is Graph, as far as drivetap asks it, and the socket.io service behind it, as far as any contender does. What it sends is framed by
//! copying a template and writing a number into it, so that making a notification costs a fraction of what reading one does; how fast
//! that is stands in each table, as the rate of a reader that looks at nothing.

mod frame;
mod plan;
mod server;

use std::process::Stdio;

use serde_json::Value;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::time::timeout;

pub(crate) use self::frame::{FRAME, Frame, body, number, stamp_now, stamped};
pub(crate) use self::server::serve;
use super::PATIENCE;

/// The server's process, which ends with this.
pub(crate) struct Load {
    /// `http://127.0.0.1:PORT`, or `https://localhost:PORT`.
    pub(crate) origin: String,
    commands: ChildStdin,
    said: Lines<BufReader<ChildStdout>>,
    _process: Child,
}

/// The certificate that it shows, and its key: PEM files.
pub(crate) struct Tls {
    pub(crate) certificate: String,
    pub(crate) key: String,
}

impl Load {
    pub(crate) async fn start(tls: Option<&Tls>) -> Self {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.arg("load").args(tls.iter().flat_map(|tls| [&tls.certificate, &tls.key]));
        let mut process = command.stdin(Stdio::piped()).stdout(Stdio::piped()).kill_on_drop(true).spawn().unwrap();
        let mut said = BufReader::new(process.stdout.take().unwrap()).lines();
        let first = said.next_line().await.unwrap().expect("the load says where it listens");
        let port = serde_json::from_str::<Value>(&first).unwrap()["port"].as_u64().unwrap();
        let origin = if tls.is_some() { format!("https://localhost:{port}") } else { format!("http://127.0.0.1:{port}") };
        Self { origin, commands: process.stdin.take().unwrap(), said, _process: process }
    }

    /// Waits until so many sockets are in the namespace.
    pub(crate) async fn joined(&mut self, sockets: usize) {
        self.command(format_args!("await {sockets}")).await;
        assert_eq!(self.answer("sockets to join").await, "joined");
    }

    /// Everything below number `limit`, as fast as the sockets take it. A higher limit than before sends on.
    pub(crate) async fn send(&mut self, limit: u64) {
        self.command(format_args!("send {limit}")).await;
    }

    /// So many a second, each with the time at which it was sent.
    pub(crate) async fn pace(&mut self, count: u64, per_second: u64) {
        self.command(format_args!("pace {count} {per_second}")).await;
    }

    async fn command(&mut self, line: std::fmt::Arguments<'_>) {
        self.commands.write_all(format!("{line}\n").as_bytes()).await.unwrap();
    }

    async fn answer(&mut self, what: &str) -> String {
        let line = timeout(PATIENCE, self.said.next_line()).await.unwrap_or_else(|_| panic!("waited for {what}"));
        line.unwrap().expect("the load is there")
    }
}
