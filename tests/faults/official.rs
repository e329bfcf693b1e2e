//! The official socket.io server in the place of the emulator's: the same faults, in somebody else's words.

use std::time::Duration;

use drivetap_tests::{SocketIo, until};
use serde_json::{Value, json};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::sleep;

/// A running server, and who keeps its pipes.
pub(crate) struct Official {
    pub(crate) origin: String,
    commands: mpsc::Sender<Value>,
    heard: watch::Receiver<Heard>,
    _keeping: JoinSet<()>,
}

/// What the server said.
#[derive(Clone, Copy, Default)]
struct Heard {
    joined: usize,
    left: usize,
    refused: usize,
}

impl Official {
    pub(crate) async fn start() -> Self {
        let server = SocketIo::start(4, json!({ "pingInterval": 2_000, "pingTimeout": 2_000 })).await;
        let origin = format!("http://127.0.0.1:{}", server.port);
        let (commands, orders) = mpsc::channel(64);
        let (say, heard) = watch::channel(Heard::default());
        let mut keeping = JoinSet::new();
        keeping.spawn(keep(server, orders, say));
        Self { origin, commands, heard, _keeping: keeping }
    }

    pub(crate) async fn command(&self, command: Value) {
        self.commands.send(command).await.unwrap();
    }

    /// A signal, in the words of the one that was captured.
    pub(crate) async fn signal(&self) {
        let payload = json!({ "value": [{ "subscriptionId": "5554a2f6-1959-4b95-96f4-369b49212df9" }] });
        self.command(json!({ "emit": payload.to_string() })).await;
    }

    /// Signals, for as long as somebody asks for more.
    pub(crate) async fn signals(&self) {
        loop {
            sleep(Duration::from_millis(300)).await;
            self.signal().await;
        }
    }

    pub(crate) async fn joined(&self) {
        until("it joins the official server", || self.is_joined()).await;
    }

    pub(crate) fn is_joined(&self) -> bool {
        let Heard { joined, left, .. } = *self.heard.borrow();
        joined > left
    }

    pub(crate) fn refused(&self) -> usize {
        self.heard.borrow().refused
    }
}

async fn keep(mut server: SocketIo, mut orders: mpsc::Receiver<Value>, say: watch::Sender<Heard>) {
    loop {
        tokio::select! {
            line = server.line() => say.send_modify(|heard| match line["event"].as_str() {
                Some("connect") => heard.joined += 1,
                Some("disconnect") => heard.left += 1,
                Some("refused") => heard.refused += 1,
                _ => {}
            }),
            order = orders.recv() => match order {
                Some(order) => server.command(&order).await,
                None => return,
            },
        }
    }
}
