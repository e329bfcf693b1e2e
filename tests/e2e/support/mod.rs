//! What the tests are written with.

mod binary;
mod event;
mod graph_stub;
mod http;
pub(crate) mod kafka;
mod program;
pub(crate) mod redis;
mod scene;
mod services;
mod socketio;

use std::net::{Ipv4Addr, TcpListener};
use std::time::Duration;

pub(crate) use self::binary::drivetap;
pub(crate) use self::event::{CHANGE, Event, GAP, RESYNC, SIGNAL, assert_valid, of_type};
pub(crate) use self::graph_stub::GraphStub;
pub(crate) use self::http::get;
pub(crate) use self::program::{Program, Signal};
pub(crate) use self::scene::{Scene, TOKEN, config};
pub(crate) use self::services::service;
pub(crate) use self::socketio::SocketIo;

/// How long a test waits for what must happen. Only a failure takes this long; a loaded machine gets there before.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// A name that no other test and no other run uses.
pub(crate) fn unique(prefix: &str) -> String {
    format!("{prefix}-{:016x}", fastrand::u64(..))
}

/// A loopback port that nobody listens on. Somebody else may take it, in theory.
pub(crate) fn closed_port() -> u16 {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port()
}

/// Waits until `done`, looking every 20 ms.
pub(crate) async fn until(what: &str, done: impl Fn() -> bool) {
    let looking = async {
        while !done() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    if tokio::time::timeout(PATIENCE, looking).await.is_err() {
        panic!("waited for {} s: {what}", PATIENCE.as_secs());
    }
}
