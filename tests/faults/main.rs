//! The fault matrix on real processes: `cargo xtask faults`.
//!
//! A row is a fault at a sink, or a fault on Graph's side with all sinks at once. Rows are mostly waiting, so several are played at a
//! time, each in a lane with servers of its own.

#![expect(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a row that cannot go on has failed, and says why")]

mod lane;
mod official;
mod process;
mod report;
mod rows;
mod setup;
mod sinks;
mod stage;
mod story;

use std::collections::VecDeque;
use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use clap::{Parser, ValueEnum};
use tokio::sync::oneshot;
use tokio::task::JoinSet;

use crate::lane::Lane;
use crate::report::{Outcome, Played, Report};
use crate::rows::{Row, Sinks};
use crate::sinks::Kind;
use crate::stage::Stage;

#[derive(Parser)]
#[command(name = "cargo xtask faults")]
struct Args {
    /// Play only the rows of these names, `NAME` or `NAME:SINK`, with commas between.
    #[arg(long, value_delimiter = ',')]
    only: Vec<String>,
    /// Play only what has not passed in the run before.
    #[arg(long)]
    resume: bool,
    /// Say which rows there are.
    #[arg(long)]
    list: bool,
    /// `[network] transport` of every row; the program's own default where nothing is said.
    #[arg(long)]
    transport: Option<Transport>,
    /// Rows at a time.
    #[arg(long, default_value_t = 4)]
    lanes: usize,
    /// Where results are kept, one row after another; what `--resume` reads.
    #[arg(long)]
    results: PathBuf,
    /// Where the Markdown goes, with its JSON beside it, when every row was played.
    #[arg(long)]
    docs: Option<PathBuf>,
}

/// What speaks socket.io.
#[derive(Clone, Copy, ValueEnum)]
enum Transport {
    Native,
    RustSocketio,
}

impl Transport {
    fn name(self) -> &'static str {
        match self {
            Self::Native => "native",
            Self::RustSocketio => "rust-socketio",
        }
    }
}

/// One row at one sink, or at all of them.
struct Part {
    row: Arc<Row>,
    sinks: Vec<Kind>,
}

#[tokio::main]
async fn main() -> ExitCode {
    let args = Args::parse();
    let mut parts = parts();
    if let Some(unknown) = args.only.iter().find(|name| !parts.iter().any(|part| part.answers_to(name))) {
        eprintln!("no row is named {unknown}: --list says which there are");
        return ExitCode::FAILURE;
    }
    parts.retain(|part| args.only.is_empty() || args.only.iter().any(|name| part.answers_to(name)));
    if args.list {
        parts.iter().for_each(|part| println!("{:30} {}", part.name(), part.row.about));
        return ExitCode::SUCCESS;
    }
    let before = if args.resume { Report::read(&args.results) } else { Report::default() };
    let keep = |part: &Part| before.rows.iter().find(|played| part.played(played) && !played.failed());
    let order: Vec<_> = parts.iter().map(|part| (part.row.name.to_owned(), part.sinks.clone())).collect();
    let done: Vec<_> = parts.iter().filter_map(keep).cloned().collect();
    let left: VecDeque<_> = parts.into_iter().filter(|part| keep(part).is_none()).collect();

    let begin = Instant::now();
    let report =
        Report { machine: report::machine(), versions: report::versions(), command: command(&args), took_s: 0, rows: done };
    let shared = Arc::new(Shared {
        left: Mutex::new(left),
        report: Mutex::new(report),
        results: args.results.clone(),
        transport: args.transport,
    });
    // A row that fails says why in the table.
    std::panic::set_hook(Box::new(|_| {}));
    println!("{}", report::HEAD);
    let mut lanes = JoinSet::new();
    for _ in 0..args.lanes.max(1) {
        lanes.spawn(play_all(Arc::clone(&shared)));
    }
    while let Some(lane) = lanes.join_next().await {
        lane.unwrap();
    }

    let mut report = shared.report.lock().unwrap();
    report.took_s = before.took_s + begin.elapsed().as_secs();
    report.rows.sort_by_key(|played| order.iter().position(|(row, sinks)| played.is(row, sinks)));
    report.write(&args.results);
    if let Some(docs) = args.docs.filter(|_| args.only.is_empty()) {
        fs::write(&docs, report.markdown()).unwrap();
        report.write(&docs.with_extension("json"));
    }
    let failed = report.rows.iter().filter(|played| played.failed()).count();
    eprintln!("{} runs, {failed} failed, {} s", report.rows.len(), report.took_s);
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// As one would type it, so that a table can say how it was made.
fn command(args: &Args) -> String {
    let only = if args.only.is_empty() { String::new() } else { format!(" --only {}", args.only.join(",")) };
    let transport = args.transport.map(|it| format!(" --transport {}", it.name())).unwrap_or_default();
    format!("cargo xtask faults{only}{transport}")
}

struct Shared {
    left: Mutex<VecDeque<Part>>,
    report: Mutex<Report>,
    results: PathBuf,
    transport: Option<Transport>,
}

/// Every row at every sink.
fn parts() -> Vec<Part> {
    let mut parts = Vec::new();
    for row in rows::all().into_iter().map(Arc::new) {
        let each = Kind::ALL.iter().map(|kind| vec![*kind]);
        let sinks: Vec<_> = if let Sinks::Each(_) = row.sinks { each.collect() } else { vec![Kind::ALL.to_vec()] };
        parts.extend(sinks.into_iter().map(|sinks| Part { row: Arc::clone(&row), sinks }));
    }
    parts
}

impl Part {
    fn name(&self) -> String {
        match (&self.row.sinks, self.sinks.as_slice()) {
            (Sinks::Each(_), [sink]) => format!("{}:{sink}", self.row.name),
            _ => self.row.name.to_owned(),
        }
    }

    fn answers_to(&self, name: &str) -> bool {
        name == self.name() || name == self.row.name
    }

    fn played(&self, played: &Played) -> bool {
        played.is(self.row.name, &self.sinks)
    }
}

async fn play_all(shared: Arc<Shared>) {
    let mut lane = Lane::default();
    loop {
        let Some(part) = shared.left.lock().unwrap().pop_front() else { return };
        let outcome;
        let log = shared.results.with_file_name(format!("{}.log", part.name().replace(':', "-")));
        (outcome, lane) = play(&part, lane, log, shared.transport).await;
        let (row, about) = (part.row.name.to_owned(), part.row.about.to_owned());
        let played = Played { row, about, sinks: part.sinks, outcome };
        played.lines().iter().for_each(|line| println!("{line}"));
        let mut report = shared.report.lock().unwrap();
        report.rows.push(played);
        report.write(&shared.results);
    }
}

/// Longer than any row may take. What hangs this long is the harness itself.
const HANGS: Duration = Duration::from_secs(420);

/// Plays one row, and gives the lane back; a new one when the row failed, whose servers are in an unknown state.
async fn play(part: &Part, lane: Lane, log: PathBuf, transport: Option<Transport>) -> (Outcome, Lane) {
    if let (Sinks::Each(not_here), [sink]) = (&part.row.sinks, part.sinks.as_slice())
        && let Some(why) = not_here(*sink)
    {
        return (Outcome::NotApplicable { why: why.to_owned() }, lane);
    }
    if let Some(why) = (part.row.needs)() {
        return (Outcome::NotRun { why }, lane);
    }
    let (row, sinks) = (Arc::clone(&part.row), part.sinks.clone());
    let (give_back, given_back) = oneshot::channel();
    let played = tokio::spawn(tokio::time::timeout(HANGS, async move {
        let mut stage = Stage::new(&sinks, lane, log).await;
        stage.setup.network.extend(transport.map(|it| ("transport", it.name())));
        (row.play)(&mut stage).await;
        let recovery = stage.recovery(row.limit).await;
        let measured = stage.finish().await;
        let outcome =
            Outcome::Passed { recovery_ms: recovery.as_millis().try_into().unwrap(), peak_rss_kib: stage.peak_kib(), measured };
        // The receiver waits as long as this task runs.
        drop(give_back.send(stage.give_back_lane()));
        outcome
    }));
    let failed = |why: String| Outcome::Failed { why };
    let outcome = match played.await {
        Ok(Ok(outcome)) => outcome,
        Ok(Err(_)) => failed(format!("the row hung for {} s", HANGS.as_secs())),
        Err(panic) => failed(reason(panic)),
    };
    (outcome, given_back.await.unwrap_or_default())
}

/// What a panic said.
fn reason(error: tokio::task::JoinError) -> String {
    let Ok(panic) = error.try_into_panic() else { return "the row was cancelled".to_owned() };
    let text = panic.downcast_ref::<String>().map(String::as_str).or_else(|| panic.downcast_ref::<&str>().copied());
    text.unwrap_or("the row panicked").to_owned()
}
