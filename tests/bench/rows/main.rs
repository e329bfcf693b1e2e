//! What a notification costs, or an item of a walk, next to what else could carry it: `cargo xtask bench` runs it.
//!
//! Every contender is a process of its own, and so is the load; rounds are interleaved, and what counts are ratios within a round: what
//! else the machine does meanwhile is the same for all of them. Each notification has a number, and a run in which one is missing or
//! comes twice is an error, not a result.

#![expect(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a benchmark that cannot go on ends with the reason")]

mod arrivals;
mod contender;
mod idle;
mod latency;
mod ledger;
mod load;
mod memory;
mod million;
mod pages;
mod process;
mod produce;
mod rate;
mod receive;
mod report;
mod roles;
mod task;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use tokio::runtime::Runtime;

use self::report::Row;
use self::task::Task;

/// How long something that must happen may take.
const PATIENCE: Duration = Duration::from_secs(120);
/// In each row that does not say otherwise.
const SOCKETS: usize = 50;

/// How many may be on their way where the far side is looked at. Few enough for drivetap not to merge any: its sockets keep 256 KiB each.
const WINDOW: u64 = 8_000;

/// What is asked for on the command line.
#[derive(Parser)]
struct Wanted {
    /// The rows, one after the other.
    rows: Vec<String>,
    /// How many times each contender has its turn; a row's own number unless said.
    #[arg(long)]
    rounds: Option<usize>,
    /// The program under test.
    #[arg(long)]
    program: PathBuf,
    /// The folder of the contenders that are not written in Rust.
    #[arg(long)]
    contenders: PathBuf,
    /// The Python that has what its contender imports.
    #[arg(long)]
    python: PathBuf,
    /// The folder of the jars that the broker came with.
    #[arg(long)]
    kafka_jars: PathBuf,
    /// How many items a walk goes over.
    #[arg(long, default_value_t = 1_000_000)]
    items: u64,
    /// Where the tables and their JSON go, if anywhere.
    #[arg(long)]
    save: Option<PathBuf>,
}

fn main() -> ExitCode {
    rustls::crypto::ring::default_provider().install_default().expect("the first to install it");
    let args: Vec<String> = std::env::args().filter(|arg| arg != "--bench").collect();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let task = |text: &str| serde_json::from_str::<Task>(text).unwrap();
    match args.iter().skip(1).map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["load"] => runtime.block_on(load::serve(None)),
        ["load", certificate, key] => runtime.block_on(load::serve(Some([certificate.into(), key.into()]))),
        ["ceiling", text] => runtime.block_on(roles::ceiling(task(text))),
        ["bare", text] => runtime.block_on(roles::bare(task(text))),
        ["sink", text] => runtime.block_on(roles::sink(task(text))),
        ["threaded", text] => roles::threaded(&task(text)),
        ["pages", items] => pages::serve(items.parse().unwrap(), false),
        ["pages", items, "gzip"] => pages::serve(items.parse().unwrap(), true),
        ["fetch", text] => roles::fetch(&task(text)),
        ["library", text] => several_threads().block_on(roles::library(task(text))),
        ["walk-ids", text] => runtime.block_on(roles::walk(task(text), roles::id)),
        ["walk-trees", text] => runtime.block_on(roles::walk(task(text), roles::tree)),
        ["native", text] => runtime.block_on(roles::native(task(text))),
        ["rust-socketio", text] => runtime.block_on(roles::rust_socket_io(task(text))),
        _ => runtime.block_on(run(&Wanted::parse_from(args))),
    }
    ExitCode::SUCCESS
}

/// What `#[tokio::main]` makes.
fn several_threads() -> Runtime {
    tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap()
}

async fn run(wanted: &Wanted) {
    for name in &wanted.rows {
        let row: Row = match name.as_str() {
            "receive" => receive::row(wanted).await,
            "kafka" => rate::kafka(wanted).await,
            "redis" => rate::redis(wanted).await,
            "sink-kafka" => produce::row(wanted).await,
            "memory" => memory::row(wanted).await,
            "latency" => latency::row(wanted).await,
            "idle" => idle::row(wanted).await,
            "walk-million" => million::row(wanted).await,
            other => panic!("no such row: {other}"),
        };
        println!("{row}");
        if let Some(dir) = &wanted.save {
            row.save(dir);
        }
    }
}

#[expect(clippy::as_conversions, clippy::cast_precision_loss, reason = "a count, far below 2^52")]
fn rate(count: u64, seconds: f64) -> f64 {
    count as f64 / seconds
}

/// Of each.
fn micros(time: Duration, count: u64) -> f64 {
    time.as_secs_f64() * 1e6 / rate(count, 1.0)
}

fn mebi(kibi: u64) -> f64 {
    rate(kibi, 1024.0)
}
