//! What a session leaves behind: nothing. Alone in its process, because it counts threads and descriptors.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    dead_code,
    reason = "helpers of tests, some of them for others"
)]

#[path = "transport/server.rs"]
mod server;

use std::num::NonZeroUsize;
use std::time::Duration;

use drivetap_transport::{Limits, Native, NativeConfig, RustSocketIo, RustSocketIoConfig, Transport};
use tokio::time::{sleep, timeout};

use crate::server::{PATIENCE, Server};

/// One test, so that nothing else runs beside it.
#[tokio::test]
async fn every_session_gives_its_threads_and_its_descriptors_back() {
    gives_back(&RustSocketIo::new(&RustSocketIoConfig::default()).unwrap(), 1).await;
    rustls::crypto::ring::default_provider().install_default().unwrap();
    gives_back(&Native::new(&NativeConfig::default()).unwrap(), 0).await;
}

async fn gives_back(transport: &dyn Transport, threads: usize) {
    let server = Server::start().await;
    let (url, limits) = (server.url(), Limits::default());
    let before = left();
    for round in ["dropped", "closed", "ended by the server", "ended by a panic", "ended by a malformed frame"] {
        let mut kept = Vec::new();
        for _ in 0..10 {
            let (opened, socket) = tokio::join!(transport.open(&url, &limits), server.join());
            kept.push((opened.unwrap(), socket));
        }
        assert_eq!(left().threads, before.threads + 10 * threads, "{threads} threads a session");
        // Ended sessions are kept: it is the end that gives back, not the drop.
        let mut ended = Vec::new();
        for (mut session, mut socket) in kept {
            match round {
                "dropped" => drop(session),
                "closed" => session.close(Duration::from_secs(1)).await,
                _ => {
                    match round {
                        "ended by the server" => socket.send("41/notifications,").await,
                        "ended by a panic" => socket.send(r#"451-/notifications,["x",{"_placeholder":true,"num":0}]"#).await,
                        _ => socket.send("4{").await,
                    }
                    if round == "ended by a panic" {
                        socket.close().await;
                    } else {
                        socket.closed().await;
                    }
                    session.recv(&mut Vec::new(), NonZeroUsize::MIN).await.unwrap_err();
                    ended.push(session);
                    continue;
                }
            }
            socket.closed().await;
        }
        let gone = async {
            while left() != before {
                sleep(Duration::from_millis(10)).await;
            }
        };
        timeout(PATIENCE, gone).await.unwrap_or_else(|_| panic!("{round}: {:?} is left of {before:?}", left()));
    }
}

#[derive(Debug, PartialEq)]
struct Left {
    threads: usize,
    descriptors: usize,
}

fn left() -> Left {
    let count = |directory| std::fs::read_dir(directory).unwrap().count();
    Left { threads: count("/proc/self/task"), descriptors: count("/proc/self/fd") }
}
