//! Memory is bounded by what is configured, whatever is offered and however long a sink takes nothing.

use std::fs;
use std::process::Stdio;
use std::time::{Duration, Instant};

use drivetap_emulator::{Config, DriveKind, Limits, NewDrive, Switches};
use serde_json::Value;
use tokio::io::{AsyncBufReadExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStderr, ChildStdout, Command};
use tokio::time::{sleep, timeout};

use crate::support::{CHANGE, PATIENCE, SIGNAL, Scene, TOKEN, closed_port, config, drivetap, get};

const DRIVES: usize = 50;
const ITEMS: usize = 100_000;
const SIGNALS: u64 = 200_000;
/// The contract's: with the default configuration, at the peak.
const MOST_KIB: u64 = 150 * 1000;

/// 200,000 signals and a walk of 100,000 items over fifty drives, in pages of a thousand, meet a pipe that nobody reads: what is held
/// fills every window there is, pages of more than a MiB and the budget of all pages among them. Then somebody reads.
#[tokio::test(flavor = "multi_thread")]
async fn a_stalled_sink_costs_a_bounded_memory_and_loses_nothing() {
    // Drives are filled before anyone listens; from then on every notification is asked for.
    let switches = Switches { page_size: 1_000, signals_per_change: 0, notifications_per_frame: 10, ..Switches::default() };
    let limits = Limits { items: ITEMS, ..Limits::default() };
    let scene = Scene::with(Config { switches, limits, ..Config::default() }).await;
    let mut subscriptions = String::new();
    for n in 0..DRIVES {
        let new = NewDrive { id: Some(format!("b!stalled-{n:02}")), kind: DriveKind::Business, name: None };
        let drive = scene.graph.add_drive(new).unwrap();
        // The root is one of them.
        drive.burst(ITEMS / DRIVES - 1).unwrap();
        let emit = if n == 0 { r#"["signals", "changes"]"# } else { r#"["changes"]"# };
        let resource = format!("drive:{}", drive.id());
        subscriptions += &format!("[[subscription]]\nresource = \"{resource}\"\nemit = {emit}\nstart = \"beginning\"\n");
    }
    let stalled = Stalled::start(&scene, &subscriptions);
    scene.subscribed(DRIVES).await;

    let drive = scene.graph.drive("b!stalled-00").unwrap();
    let sent = || scene.graph.stats().notifications;
    while sent() < SIGNALS {
        // As many as a socket's buffer at the server takes; what is dropped there was never sent.
        drive.signal(50);
        let before = sent();
        let begun = Instant::now();
        while sent() == before && begun.elapsed() < Duration::from_secs(5) {
            sleep(Duration::from_millis(1)).await;
        }
    }
    stalled.until_metric("drivetap_notifications_received_total", |received| received == sent()).await;
    // Nothing more is asked for: every window is full.
    let full = stalled.until_metric("drivetap_page_bytes", |bytes| bytes > 32 * 1024 * 1024).await;
    sleep(Duration::from_secs(3)).await;
    let waits = stalled.peak();
    eprintln!("peak while it waits: {waits} KiB; {full} bytes of pages in hand");

    let read = stalled.read_on(sent()).await;
    eprintln!("peak at the end: {} KiB; {read:?}", read.peak);
    assert_eq!(read.changes, ITEMS, "every item");
    assert_eq!(read.notifications, sent(), "each signal says how many it stands for");
    assert!(read.signals < sent() / 10, "they were merged: {}", read.signals);
    assert!(waits <= MOST_KIB && read.peak <= MOST_KIB, "{waits} and {} KiB", read.peak);
}

/// The program with a standard output that is a pipe, full and not read.
struct Stalled {
    child: Child,
    out: ChildStdout,
    errors: Lines<BufReader<ChildStderr>>,
    admin: String,
}

#[derive(Debug, Default)]
struct Read {
    changes: usize,
    signals: u64,
    notifications: u64,
    peak: u64,
}

impl Stalled {
    fn start(scene: &Scene, subscriptions: &str) -> Self {
        let admin = format!("127.0.0.1:{}", closed_port());
        let rest = format!(
            "{subscriptions}[state]\npath = \"state.redb\"\n[sink.console]\ntype = \"stdout\"\n[admin]\nlisten = \"{admin}\"\n"
        );
        let file = scene.path("drivetap.toml");
        fs::write(&file, config(&scene.graph.base_url(), &rest)).unwrap();
        let mut command = Command::new(drivetap());
        command.arg("run").arg("-c").arg(file).env_clear().env("DRIVETAP_TOKEN", TOKEN).env("RUST_LOG", "error");
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
        let mut child = command.spawn().unwrap();
        let out = child.stdout.take().unwrap();
        let errors = BufReader::new(child.stderr.take().unwrap()).lines();
        Self { child, out, errors, admin }
    }

    /// `VmHWM`: the most that was ever resident, in KiB.
    fn peak(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id().unwrap())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
        line.trim().strip_suffix(" kB").unwrap().parse().unwrap()
    }

    /// Waits until a number of `/metrics` is as wanted.
    async fn until_metric(&self, name: &str, wanted: impl Fn(u64) -> bool) -> u64 {
        let begun = Instant::now();
        let mut last = None;
        while begun.elapsed() < PATIENCE * 3 {
            let (_, metrics) = get(&self.admin, "/metrics").await.unwrap();
            last = metrics.lines().find_map(|line| line.strip_prefix(name)?.trim().parse::<u64>().ok());
            if let Some(value) = last.filter(|value| wanted(*value)) {
                return value;
            }
            sleep(Duration::from_millis(50)).await;
        }
        panic!("{name} is {last:?}")
    }

    /// Reads until everything was there, then ends the program, and holds its counts to what came.
    async fn read_on(mut self, sent: u64) -> Read {
        let mut read = Read::default();
        let mut lines = BufReader::new(&mut self.out).lines();
        while read.changes < ITEMS || read.notifications < sent {
            let line = timeout(PATIENCE, lines.next_line()).await.unwrap_or_else(|_| panic!("nothing more after {read:?}"));
            let event: Value = serde_json::from_str(&line.unwrap().unwrap()).unwrap();
            if event["type"] == CHANGE {
                read.changes += 1;
            } else if event["type"] == SIGNAL {
                read.signals += 1;
                read.notifications += event["data"]["merged"].as_u64().unwrap_or(1);
            }
        }
        read.peak = self.peak();
        let pid = rustix::process::Pid::from_raw(self.child.id().unwrap().try_into().unwrap()).unwrap();
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
        let mut last = String::new();
        while let Some(line) = timeout(PATIENCE, self.errors.next_line()).await.expect("it ends").unwrap() {
            last = line;
        }
        let delivered = u64::try_from(read.changes).unwrap() + read.signals;
        let merged = sent - read.signals;
        assert_eq!(last, format!("drained: delivered={delivered} dead_lettered=0 abandoned=0 merged={merged}"));
        read
    }
}
