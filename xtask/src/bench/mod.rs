//! `cargo xtask bench`: how fast the built program is, next to what it is measured against.

mod quick;

use std::path::PathBuf;
use std::process::{Command, ExitCode};

use anyhow::{Context, Result};
use clap::builder::PossibleValue;
use clap::{Args, ValueEnum};

use crate::mark::{Mark, TESTS};
use crate::repo::Repo;
use crate::run::{line, run, say};
use crate::services::keeper::Keeper;
use crate::services::{self, State};
use crate::setup::{self, Contenders};
use crate::signals::Interrupted;

/// Real Kafka, real Redis, every contender in turn, several rounds.
#[derive(Args)]
pub(crate) struct Bench {
    /// What is measured; everything, one after the other, unless said.
    rows: Vec<Row>,
    /// How many times each contender has its turn; a row's own number unless said.
    #[arg(long)]
    rounds: Option<usize>,
    /// How many items a walk goes over; a row's own number unless said.
    #[arg(long)]
    items: Option<usize>,
    /// The profile of the program under test: `release`, or `dist`, which is what is shipped and takes long to build.
    #[arg(long, default_value = "release")]
    profile: String,
    /// Keep the tables and their JSON in `docs/`; with `--quick`, the counts.
    #[arg(long)]
    save: bool,
    /// Only count instructions, and fail where there are more than 5 % more of them than were committed.
    #[arg(long, conflicts_with_all = ["rows", "rounds", "items", "profile"])]
    quick: bool,
    /// With `--quick`: count what this branch and REV go back to, too, and compare with that instead of with what was committed.
    #[arg(long, value_name = "REV", requires = "quick", conflicts_with = "save")]
    against: Option<String>,
}

/// A row of the goals.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Row {
    /// From the socket to a program that does nothing with it.
    Receive,
    /// From the socket into a topic: rate and CPU.
    Kafka,
    /// Records that are there already into a topic, by the sink alone: rate.
    SinkKafka,
    /// From the socket to subscribers: rate and CPU.
    Redis,
    /// The peak of a process that is offered far more than its sink takes.
    Memory,
    /// What is added between the server's socket and a consumer's, at a hundred a second.
    Latency,
    /// What thousands of silent sockets over TLS take.
    Idle,
    /// A drive from its beginning, to standard output and to Kafka.
    Walk,
    /// A drive of a million items, to a program that counts them: rate, CPU, and what the process has resident.
    WalkMillion,
}

impl Row {
    /// The benchmark that measures it: a target of `tests/Cargo.toml`.
    fn target(self) -> &'static str {
        match self {
            Self::Walk => "walk",
            _ => "rows",
        }
    }
}

impl Bench {
    /// The exit code is that of the last benchmark that failed.
    pub(crate) fn run(&self, repo: &Repo) -> Result<ExitCode> {
        if self.quick {
            setup::for_counting()?;
            return quick::run(repo, self.save, self.against.as_deref()).map(|()| ExitCode::SUCCESS);
        }
        let (dir, name) = (repo.services_dir(), services::new_run());
        let mark = Mark::of_run(TESTS, &dir, &name);
        let interrupted = Interrupted::by_signals_that_kill(mark.clone())?;
        let rows = if self.rows.is_empty() { Row::value_variants() } else { &self.rows };
        let tools = setup::for_tests(repo)?;
        let contenders = setup::for_bench(repo)?;
        let program = self.build(repo)?;
        // Before anything is started that would take its time from the compiler.
        for target in ["rows", "walk"] {
            run(Command::new("cargo").args(bench(target)).arg("--no-run").current_dir(&repo.root))?;
        }
        interrupted.check()?;

        let _lock = services::lock(&dir)?;
        let keeper = Keeper::start(&dir, &name)?;
        let code = services::up(repo, &tools, Some(&name)).and_then(|state| {
            let mut code = ExitCode::SUCCESS;
            for row in rows {
                interrupted.check()?;
                let mut command = self.command(repo, *row, &program, &contenders);
                command.env(services::VARIABLE, State::path(&state.dir));
                mark.put_on(&mut command);
                say(format_args!("$ {}", line(&command)));
                if !command.status().context("cannot run cargo")?.success() {
                    code = ExitCode::FAILURE;
                }
            }
            Ok(code)
        });
        keeper.finish()?;
        match interrupted.exit_code() {
            Some(code) => Ok(code),
            None => code,
        }
    }

    fn build(&self, repo: &Repo) -> Result<PathBuf> {
        run(Command::new("cargo")
            .args(["build", "--locked", "--package", "drivetap", "--profile", &self.profile])
            .current_dir(&repo.root))?;
        Ok(repo.target.join(&self.profile).join("drivetap"))
    }

    fn command(&self, repo: &Repo, row: Row, program: &PathBuf, contenders: &Contenders) -> Command {
        let mut command = Command::new("cargo");
        command.args(bench(row.target())).arg("--").arg("--program").arg(program).current_dir(&repo.root);
        if let Some(rounds) = self.rounds {
            command.args(["--rounds", &rounds.to_string()]);
        }
        if self.save {
            command.arg("--save").arg(repo.root.join("docs"));
        }
        if let (Some(items), Row::Walk | Row::WalkMillion) = (self.items, row) {
            command.args(["--items", &items.to_string()]);
        }
        if row != Row::Walk {
            command.arg("--contenders").arg(&contenders.sources).arg("--python").arg(&contenders.python);
            command.arg("--kafka-jars").arg(setup::kafka_jars_dir(repo));
            command.args(row.to_possible_value().iter().map(PossibleValue::get_name));
        }
        command
    }
}

fn bench(target: &str) -> [&str; 6] {
    ["bench", "--locked", "--package", "drivetap-tests", "--bench", target]
}
