//! Every transport, held to the one contract.

use std::sync::Arc;

use async_trait::async_trait;
use drivetap_core::NotificationUrl;
use drivetap_transport::conformance::{Answer, Harness, Peer, TOKEN, check};
use drivetap_transport::{
    Memory, MemoryOpening, MemoryPeer, MemoryServer, OpenError, RustSocketIo, RustSocketIoConfig, Transport, memory,
};

use crate::native::native;
use crate::server::{Server, Socket, url};

#[tokio::test(start_paused = true)]
async fn the_in_memory_twin_keeps_the_contract() {
    check(async || {
        let (transport, server) = memory();
        Twin { transport, server }
    })
    .await;
}

#[tokio::test]
async fn rust_socketio_keeps_the_contract() {
    let transport = Arc::new(RustSocketIo::new(&RustSocketIoConfig::default()).unwrap());
    check(async || Raw { transport: transport.clone(), server: Server::start().await }).await;
}

#[tokio::test]
async fn native_keeps_the_contract() {
    let transport = Arc::new(native());
    check(async || Raw { transport: transport.clone(), server: Server::start().await }).await;
}

struct Twin {
    transport: Memory,
    server: MemoryServer,
}

enum TwinPeer {
    Unanswered(MemoryOpening),
    Open(MemoryPeer),
    Refused,
}

#[async_trait]
impl Harness for Twin {
    fn transport(&self) -> Arc<dyn Transport> {
        Arc::new(self.transport.clone())
    }

    fn url(&self) -> NotificationUrl {
        url(&format!("https://a.svc.ms/notifications?token={TOKEN}"))
    }

    async fn answer(&mut self, answer: Answer) -> Box<dyn Peer> {
        let opening = self.server.next().await.expect("the transport is kept");
        Box::new(match answer {
            Answer::Join => TwinPeer::Open(opening.accept()),
            Answer::Silence => TwinPeer::Unanswered(opening),
            Answer::Refuse => {
                opening.refuse(OpenError::Refetch { reason: "expired".into() });
                TwinPeer::Refused
            }
        })
    }
}

impl TwinPeer {
    fn open(&self) -> &MemoryPeer {
        match self {
            Self::Open(peer) => peer,
            Self::Unanswered(_) | Self::Refused => panic!("no session"),
        }
    }
}

#[async_trait]
impl Peer for TwinPeer {
    async fn notify(&mut self, argument: &str) {
        self.open().notify(argument);
    }

    async fn event(&mut self, _name: &str, _argument: &str) {}

    async fn leave(&mut self) {
        self.open().leave();
    }

    async fn lose(&mut self) {
        *self = Self::Refused;
    }

    async fn ping(&mut self) {
        assert!(self.open().is_open());
    }

    async fn closed(&mut self) {
        match self {
            Self::Unanswered(opening) => opening.abandoned().await,
            Self::Open(peer) => drop(peer.closed().await),
            Self::Refused => {}
        }
    }
}

struct Raw {
    transport: Arc<dyn Transport>,
    server: Server,
}

#[async_trait]
impl Harness for Raw {
    fn transport(&self) -> Arc<dyn Transport> {
        self.transport.clone()
    }

    fn url(&self) -> NotificationUrl {
        self.server.url()
    }

    async fn answer(&mut self, answer: Answer) -> Box<dyn Peer> {
        let socket = match answer {
            Answer::Join => self.server.join().await,
            Answer::Silence => self.server.upgrade().await,
            Answer::Refuse => {
                let mut socket = self.server.upgrade().await;
                socket.handshake(25_000, 20_000).await;
                socket.expect("40/notifications,").await;
                socket.send(&format!(r#"44/notifications,{{"message":"no {TOKEN}"}}"#)).await;
                socket
            }
        };
        Box::new(RawPeer(Some(socket)))
    }
}

struct RawPeer(Option<Socket>);

impl RawPeer {
    fn socket(&mut self) -> &mut Socket {
        self.0.as_mut().expect("the socket is not lost")
    }
}

#[async_trait]
impl Peer for RawPeer {
    async fn notify(&mut self, argument: &str) {
        self.socket().notify(argument).await;
    }

    async fn event(&mut self, name: &str, argument: &str) {
        self.socket().send(&format!(r#"42/notifications,["{name}",{argument}]"#)).await;
    }

    async fn leave(&mut self) {
        self.socket().send("41/notifications,").await;
    }

    async fn lose(&mut self) {
        self.0 = None;
    }

    async fn ping(&mut self) {
        self.socket().ping().await;
    }

    async fn closed(&mut self) {
        self.socket().closed().await;
    }
}
