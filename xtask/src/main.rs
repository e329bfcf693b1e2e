//! The project's workflow, so that nobody has to remember it: `cargo xtask --help`.
//!
//! Everything that xtask itself has to say goes to standard error; standard output is left to what it runs.

mod bench;
mod ci;
mod faults;
mod mark;
mod nightly;
mod repo;
mod run;
mod sabotage;
mod services;
mod setup;
mod signals;
mod test;
mod tidy;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::repo::Repo;

#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", about = "The project's workflow.")]
struct Args {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Install what the tests and the checks need; says what is missing where it may not install.
    Setup,
    /// Start, stop or show the real Kafka and the real Redis that tests use.
    Services {
        #[command(subcommand)]
        action: services::Action,
    },
    /// Set up, start the services, run every test, stop the services.
    Test {
        /// Run only tests whose name contains this, and anything else `cargo test` takes.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        filter: Vec<String>,
    },
    /// Play the fault matrix on real processes, and write docs/faults.md; `-- --help` says more.
    Faults {
        /// `--only NAME,…`, `--resume`, `--list`, `--lanes N`.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        words: Vec<String>,
    },
    /// Check what no compiler checks: layers, lints, README, dependency trees, exceptions, the list of words.
    Tidy {
        /// Write tests/cli/words.txt first, every text that drivetap has for a person.
        #[arg(long)]
        write: bool,
    },
    /// Break the code, one line at a time, in a copy of the workspace, and see that a named test fails each time.
    Sabotage {
        /// Only the defects whose name contains this.
        only: Option<String>,
    },
    /// Everything that has to pass before a change goes in.
    Ci,
    /// Measure the built program next to what it is measured against.
    Bench(bench::Bench),
    /// What takes longer than a change can wait for: the fuzz targets, from where they stopped.
    Nightly(nightly::Nightly),
    /// Wait for the end of whoever holds the other end of standard input, then stop what it started.
    #[command(hide = true)]
    Keep(services::keeper::Keep),
}

fn main() -> ExitCode {
    match perform(Args::parse().task) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("xtask: error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn perform(task: Task) -> anyhow::Result<ExitCode> {
    let repo = Repo::find()?;
    let done = |()| ExitCode::SUCCESS;
    match task {
        Task::Setup => setup::everything(&repo).map(done),
        Task::Services { action } => services::perform(&repo, action).map(done),
        Task::Test { filter } => test::run(&repo, &filter),
        Task::Faults { words } => faults::run(&repo, &words),
        Task::Tidy { write } => tidy::run(&repo, write).map(done),
        Task::Sabotage { only } => sabotage::run(&repo, only.as_deref()),
        Task::Ci => ci::run(&repo),
        Task::Bench(bench) => bench.run(&repo),
        Task::Nightly(nightly) => nightly.run(&repo).map(done),
        Task::Keep(keep) => keep.until_the_end().map(done),
    }
}
