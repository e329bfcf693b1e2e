//! What a socket costs that says nothing: thousands of them over TLS, and the memory of the process that holds them.

use std::time::Duration;

use drivetap_tests::service;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::time::sleep;

use super::Wanted;
use super::contender::Contender;
use super::load::{Load, Tls};
use super::rate;
use super::report::{Column, Goal, Row, Sample};
use super::task::{Target, Task};

const CONTENDERS: [(&str, Contender, ()); 6] = [
    (BARE, Contender::Rust("bare"), ()),
    (NATIVE, Contender::Rust("native"), ()),
    (RUST_SOCKETIO, Contender::Rust("rust-socketio"), ()),
    ("Node: socket.io-client", Contender::Node("none"), ()),
    ("Python: python-socketio", Contender::Python, ()),
    ("drivetap, the program, with a feed each", Contender::Drivetap, ()),
];

const BARE: &str = "bare: tokio-tungstenite over rustls, with read buffers of 4 KiB";
const NATIVE: &str = "drivetap-transport, `native`";
const RUST_SOCKETIO: &str = "rust_socketio";

const SOCKETS: usize = 4_000;
/// What a process takes with a few of them is its own.
const FEW: usize = 50;

pub(crate) async fn row(wanted: &Wanted) -> Row {
    raise_the_limit_of_files();
    let mut row = Row::new("idle", &[Column::EACH], CONTENDERS.iter().map(|(name, ..)| *name));
    row.goals =
        vec![Goal::no_more_than(18.0, Column::EACH, NATIVE), Goal::at_most(1.0 / 3.0, Column::EACH, NATIVE, RUST_SOCKETIO)];
    for round in 1..=wanted.rounds.unwrap_or(3) {
        for (what, contender, ()) in CONTENDERS {
            let (few, many) = (resident(wanted, contender, FEW).await, resident(wanted, contender, SOCKETS).await);
            let sockets = u64::try_from(SOCKETS - FEW).unwrap();
            let sample = Sample::new().with(Column::EACH, rate(many.saturating_sub(few), rate(sockets, 1.0)));
            eprintln!("idle, round {round}: {what}: {sample}");
            row.add(what, sample);
        }
    }
    row
}

async fn resident(wanted: &Wanted, contender: Contender, sockets: usize) -> u64 {
    let (certificate, key) = (service("/tls/server_cert"), service("/tls/server_key"));
    let mut load = Load::start(Some(&Tls { certificate, key })).await;
    let to = Target::Nowhere { count: 1 };
    let task = Task { origin: load.origin.clone(), sockets, ca: Some(service("/tls/ca")), to };
    let running = contender.join(wanted, &task, &mut load).await;
    // What was needed for the last handshakes is given back.
    sleep(Duration::from_secs(2)).await;
    let resident = running.process.resident();
    running.process.stop().await;
    resident
}

/// As far as is allowed, for this process and those that it starts.
fn raise_the_limit_of_files() {
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }).unwrap();
}
