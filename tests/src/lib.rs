//! What the end-to-end tests and the fault matrix share: real servers of a test's own, and a network that fails on demand.
//!
//! | what | why it is here and not a mock |
//! |---|---|
//! | [`KafkaCluster`] | one or three KRaft nodes that can be killed, fenced off and brought back |
//! | [`RedisServer`] | a Redis that can be killed, reconfigured and asked |
//! | [`PublishRelay`] | a ledger of what Redis acknowledged: pub/sub keeps none |
//! | [`SocketIo`] | the official server |
//! | [`Consumer`] | folds what arrived at a sink, as a consumer that drops repeats does |
//! | [`Proxy`] | latency, trickle, silence, cut, reset, refusal, bad certificates; without root |
//!
//! A helper that cannot go on panics: it fails its test, or its row of the matrix, with the reason.

#![expect(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a helper that cannot go on fails its test")]

mod binary;
mod certificates;
mod consumer;
mod kafka;
mod proxy;
mod redis_server;
mod relay;
mod resp;
mod services;
mod socketio;
mod spread;

use std::collections::BTreeSet;
use std::net::{Ipv4Addr, TcpListener};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

pub use self::binary::drivetap;
pub use self::certificates::{Authority, Identity};
pub use self::consumer::{Consumer, Feed, Item, State, differences};
pub use self::kafka::{KafkaCluster, Listener};
pub use self::proxy::{Network, Proxy};
pub use self::redis_server::RedisServer;
pub use self::relay::{PublishRelay, Published};
pub use self::services::service;
pub use self::socketio::SocketIo;
pub use self::spread::Spread;

/// How long a test waits for what must happen. Only a failure takes this long; a loaded machine gets there before.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// A name that no other test and no other run uses.
pub fn unique(prefix: &str) -> String {
    format!("{prefix}-{:016x}", fastrand::u64(..))
}

/// A loopback port that nobody listens on now and that this process hands out once. It lies below Linux's ephemeral range: no
/// outgoing connection takes it while its server is down.
pub fn free_port() -> u16 {
    static TAKEN: Mutex<BTreeSet<u16>> = Mutex::new(BTreeSet::new());
    let mut taken = TAKEN.lock().unwrap_or_else(PoisonError::into_inner);
    let mut candidates = std::iter::repeat_with(|| fastrand::u16(15_000..32_000)).take(500);
    let free = |port: &u16| TcpListener::bind((Ipv4Addr::LOCALHOST, *port)).is_ok();
    candidates.find(|port| free(port) && taken.insert(*port)).expect("no free port")
}

/// Waits until `done`, looking every 20 ms.
pub async fn until(what: &str, done: impl Fn() -> bool) {
    let looking = async {
        while !done() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    if tokio::time::timeout(PATIENCE, looking).await.is_err() {
        panic!("waited for {} s: {what}", PATIENCE.as_secs());
    }
}
