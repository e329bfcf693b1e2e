//! Receive and parse: what a notification costs until a program has it, and nothing is done with it.

use std::time::Instant;

use tokio::io::AsyncReadExt as _;
use tokio::process::ChildStdout;
use tokio::time::timeout;

use super::contender::Contender;
use super::ledger::Ledger;
use super::load::{Load, number};
use super::report::{Column, Goal, Row, Sample};
use super::task::{Target, Task};
use super::{PATIENCE, SOCKETS, WINDOW, Wanted, mebi, micros, rate};

/// The last number is how many notifications it gets: enough for a second or two.
const CONTENDERS: [(&str, Contender, u64); 7] = [
    ("the load's ceiling: read, and not looked at", Contender::Rust("ceiling"), 2_000_000),
    (BARE, Contender::Rust("bare"), 1_000_000),
    (NATIVE, Contender::Rust("native"), 1_000_000),
    (RUST_SOCKETIO, Contender::Rust("rust-socketio"), 400_000),
    (NODE, Contender::Node("none"), 300_000),
    ("Python: python-socketio", Contender::Python, 40_000),
    ("drivetap, the program, to standard output", Contender::Drivetap, 400_000),
];

const BARE: &str = "bare: tokio-tungstenite and serde_json";
const NATIVE: &str = "drivetap-transport, `native`";
const RUST_SOCKETIO: &str = "rust_socketio";
const NODE: &str = "Node: socket.io-client";

pub(crate) async fn row(wanted: &Wanted) -> Row {
    let mut row = Row::new("receive", &[Column::CPU, Column::RATE, Column::PEAK], CONTENDERS.iter().map(|(name, ..)| *name));
    row.goals = vec![
        Goal::at_most(1.3, Column::CPU, NATIVE, BARE),
        Goal::at_most(0.45, Column::CPU, NATIVE, RUST_SOCKETIO),
        Goal::at_most(1.0 / 3.0, Column::CPU, NATIVE, NODE),
    ];
    for round in 0..wanted.rounds.unwrap_or(5) {
        for (name, contender, count) in CONTENDERS {
            let sample = measure(wanted, contender, count).await;
            eprintln!("receive, round {}: {name}: {sample}", round + 1);
            row.add(name, sample);
        }
    }
    row
}

async fn measure(wanted: &Wanted, contender: Contender, count: u64) -> Sample {
    let mut load = Load::start(None).await;
    let task = Task { origin: load.origin.clone(), sockets: SOCKETS, ca: None, to: Target::Nowhere { count } };
    let mut running = contender.join(wanted, &task, &mut load).await;
    let (cpu, begun) = (running.process.cpu(), Instant::now());
    if contender == Contender::Drivetap {
        let ledger = events(running.process.out(), count, &mut load).await;
        assert!(ledger.is_right(), "{contender:?}: {ledger}");
    } else {
        load.send(count).await;
        let said = timeout(PATIENCE, running.process.lines().next_line()).await;
        let said = said.unwrap_or_else(|_| panic!("{contender:?} did not see all: {}", running.process.errors())).unwrap();
        assert_eq!(said.as_deref(), Some("complete"), "{contender:?}: {}", running.process.errors());
    }
    let (seconds, cpu, peak) = (begun.elapsed().as_secs_f64(), running.process.cpu() - cpu, running.process.peak());
    running.process.stop().await;
    Sample::new().with(Column::CPU, micros(cpu, count)).with(Column::RATE, rate(count, seconds)).with(Column::PEAK, mebi(peak))
}

/// One a line, read as fast as it comes. The load stays a window ahead: what does not fit into a pipe would merge.
async fn events(mut out: ChildStdout, count: u64, load: &mut Load) -> Ledger {
    let mut ledger = Ledger::new(count);
    let (mut buffer, mut bytes) = (vec![0; 1024 * 1024], Vec::new());
    load.send(count.min(WINDOW)).await;
    let mut allowed = WINDOW;
    while !ledger.is_full() {
        if ledger.count + WINDOW / 2 > allowed {
            allowed = ledger.count + WINDOW;
            load.send(count.min(allowed)).await;
        }
        let read = timeout(PATIENCE, out.read(&mut buffer)).await.expect("events come").unwrap();
        assert!(read > 0, "it ended: {ledger}");
        bytes.extend_from_slice(&buffer[..read]);
        let whole = bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |last| last + 1);
        for line in bytes[..whole].split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
            ledger.see(number(line));
        }
        bytes.drain(..whole);
    }
    ledger
}
