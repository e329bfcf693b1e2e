//! `cargo xtask bench`: how fast the built program is, next to what it is measured against.

use std::path::PathBuf;
use std::process::{Command, ExitCode};

use anyhow::{Context, Result};
use clap::Subcommand;

use crate::mark::{Mark, TESTS};
use crate::repo::Repo;
use crate::run::{line, run, say};
use crate::services::keeper::Keeper;
use crate::services::{self, State};
use crate::setup;
use crate::signals::Interrupted;

#[derive(Subcommand)]
pub(crate) enum Bench {
    /// Walk emulated items to standard output and to Kafka with the cursor in redb, next to the bare loop over the same pages.
    Walk {
        /// How many items the drive has.
        #[arg(long, default_value_t = 100_000)]
        items: usize,
        /// How many times each contender has its turn.
        #[arg(long, default_value_t = 5)]
        rounds: usize,
        /// The profile of the program under test: `release`, or `dist`, which is what is shipped and takes long to build.
        #[arg(long, default_value = "release")]
        profile: String,
        /// Keep the table and its JSON in `docs/`.
        #[arg(long)]
        save: bool,
    },
}

/// The exit code is that of the benchmark.
pub(crate) fn perform(repo: &Repo, bench: &Bench) -> Result<ExitCode> {
    let Bench::Walk { items, rounds, profile, save } = bench;
    let (dir, name) = (repo.services_dir(), services::new_run());
    let mark = Mark::of_run(TESTS, &dir, &name);
    let interrupted = Interrupted::by_signals_that_kill(mark.clone())?;
    let tools = setup::for_tests(repo)?;
    let program = build(repo, profile)?;
    // Before anything is started that would take its time from the compiler.
    run(Command::new("cargo").args(BENCH).arg("--no-run").current_dir(&repo.root))?;
    interrupted.check()?;

    let _lock = services::lock(&dir)?;
    let keeper = Keeper::start(&dir, &name)?;
    let code = services::up(repo, &tools, Some(&name)).and_then(|state| {
        let mut command = Command::new("cargo");
        command.args(BENCH).arg("--").arg("--program").arg(&program).current_dir(&repo.root);
        command.args(["--items", &items.to_string(), "--rounds", &rounds.to_string()]);
        if *save {
            command.arg("--save").arg(repo.root.join("docs"));
        }
        command.env(services::VARIABLE, State::path(&state.dir));
        mark.put_on(&mut command);
        say(format_args!("$ {}", line(&command)));
        command.status().context("cannot run cargo")
    });
    keeper.finish()?;
    if let Some(code) = interrupted.exit_code() {
        return Ok(code);
    }
    Ok(if code?.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

const BENCH: [&str; 6] = ["bench", "--locked", "--package", "drivetap-tests", "--bench", "walk"];

fn build(repo: &Repo, profile: &str) -> Result<PathBuf> {
    run(Command::new("cargo")
        .args(["build", "--locked", "--package", "drivetap", "--profile", profile])
        .current_dir(&repo.root))?;
    Ok(repo.target.join(profile).join("drivetap"))
}
