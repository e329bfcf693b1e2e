//! How fast a drive is walked: the built program, to standard output and to Kafka with its cursor in redb, next to the bare loop over the
//! same pages. `cargo xtask bench walk` runs it.
//!
//! Every contender is a process of its own, and so is the server of the pages; rounds are interleaved, and only ratios within a round
//! count: what else the machine does meanwhile is the same for all of them.

#![expect(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a benchmark that cannot go on ends with the reason")]

mod bare;
mod pages;
mod program;
mod report;

use std::path::PathBuf;
use std::process::ExitCode;

use serde_json::Value;
use tokio::process::Command;

use self::pages::Served;
use self::program::{Program, Target};
use self::report::{Report, Round};

/// What is asked for on the command line.
struct Wanted {
    items: usize,
    rounds: usize,
    /// The program under test.
    program: PathBuf,
    /// Where the table and its JSON go, if anywhere.
    save: Option<PathBuf>,
}

#[tokio::main]
async fn main() -> ExitCode {
    rustls::crypto::ring::default_provider().install_default().expect("the first to install it");
    let args: Vec<String> = std::env::args().skip(1).filter(|arg| arg != "--bench").collect();
    match args.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["serve", items] => pages::serve(items.parse().unwrap()).await,
        ["bare", base_url] => println!("{}", bare::walk(base_url, true).await),
        ["fetch", base_url] => println!("{}", bare::walk(base_url, false).await),
        _ => return run(&Wanted::read(&args)).await,
    }
    ExitCode::SUCCESS
}

async fn run(wanted: &Wanted) -> ExitCode {
    let served = Served::start(wanted.items).await;
    eprintln!("{} items in {} pages, {} KiB", served.items, served.pages, served.bytes / 1024);
    // The broker runs on a virtual machine that compiles what it runs often: new, it takes three times as long.
    for n in 1..=Report::WARM_UP {
        let rate = Program::walk(wanted, &served, Target::Kafka).await;
        eprintln!("warming the broker up {n}: Kafka {rate:.0} items/s");
    }
    let mut rounds = Vec::new();
    for n in 1..=wanted.rounds {
        let round = Round {
            server: contender("fetch", &served).await,
            bare: contender("bare", &served).await,
            stdout: Program::walk(wanted, &served, Target::Stdout).await,
            kafka: Program::walk(wanted, &served, Target::Kafka).await,
        };
        eprintln!("round {n}: {round}");
        rounds.push(round);
    }
    let report = Report { served, rounds };
    println!("{report}");
    if let Some(dir) = &wanted.save {
        report.save(dir);
    }
    if report.is_fast_enough() {
        return ExitCode::SUCCESS;
    }
    eprintln!("slower than {} of the bare loop", Report::LEAST);
    ExitCode::FAILURE
}

/// Items a second of this executable in another role.
async fn contender(role: &str, served: &Served) -> f64 {
    let output = Command::new(std::env::current_exe().unwrap()).args([role, &served.base_url]).output().await.unwrap();
    assert!(output.status.success(), "{role}: {}", String::from_utf8_lossy(&output.stderr));
    let walked: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(walked["items"], served.items, "{role}");
    report::rate(served.items, walked["seconds"].as_f64().unwrap())
}

impl Wanted {
    fn read(args: &[String]) -> Self {
        let mut wanted = Self { items: 100_000, rounds: 5, program: PathBuf::from("drivetap"), save: None };
        for pair in args.chunks(2) {
            match pair {
                [name, value] if name == "--items" => wanted.items = value.parse().unwrap(),
                [name, value] if name == "--rounds" => wanted.rounds = value.parse().unwrap(),
                [name, value] if name == "--program" => wanted.program = value.into(),
                [name, value] if name == "--save" => wanted.save = Some(value.into()),
                other => panic!("not an argument: {other:?}"),
            }
        }
        wanted
    }
}
