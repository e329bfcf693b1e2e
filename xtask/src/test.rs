//! `cargo xtask test [filter]`: every test, on real services.

use std::process::{Command, ExitCode};
use std::time::Instant;

use anyhow::{Context, Result};

use crate::mark::{Mark, TESTS};
use crate::repo::Repo;
use crate::run::{line, say};
use crate::services::keeper::Keeper;
use crate::services::{self, State};
use crate::setup;
use crate::signals::Interrupted;

/// The exit code is that of `cargo test`.
pub(crate) fn run(repo: &Repo, filter: &[String]) -> Result<ExitCode> {
    on_services(repo, || Ok(()), |state, mark| cargo_test(repo, state, mark, filter))
}

/// Sets up, starts the services, does `work`, and ends everything that the work left behind. What carries the mark is ended by a
/// signal to us, too.
pub(crate) fn on_services(
    repo: &Repo,
    set_up: impl FnOnce() -> Result<()>,
    work: impl FnOnce(&State, &Mark) -> Result<ExitCode>,
) -> Result<ExitCode> {
    let dir = repo.services_dir();
    let run = services::new_run();
    let mark = Mark::of_run(TESTS, &dir, &run);
    let interrupted = Interrupted::by_signals_that_kill(mark.clone())?;

    let tools = setup::for_tests(repo)?;
    set_up()?;
    interrupted.check()?;
    let _lock = services::lock(&dir)?;
    let keeper = Keeper::start(&dir, &run)?;
    let code = services::up(repo, &tools, Some(&run)).and_then(|state| {
        interrupted.check()?;
        work(&state, &mark)
    });
    keeper.finish()?;
    interrupted.exit_code().map_or(code, Ok)
}

/// One profile and one feature set, the same as clippy's and rustdoc's in `ci`: librdkafka and OpenSSL are built once.
fn cargo_test(repo: &Repo, state: &State, mark: &Mark, filter: &[String]) -> Result<ExitCode> {
    // Who names a package wants that one.
    let one_package = filter.iter().take_while(|word| *word != "--").any(|word| word.starts_with("-p") || word == "--package");
    let scope = if one_package { None } else { Some("--workspace") };
    let mut command = Command::new("cargo");
    command.args(["test", "--locked"]).args(scope).args(filter).current_dir(&repo.root);
    command.env(services::VARIABLE, State::path(&state.dir));
    timed(mark.put_on(&mut command))
}

/// Runs it, and says how long it took. The exit code is its own.
pub(crate) fn timed(command: &mut Command) -> Result<ExitCode> {
    let line = line(command);
    say(format_args!("$ {line}"));
    let begin = Instant::now();
    let status = command.status().with_context(|| format!("cannot run `{line}`"))?;
    say(format_args!("{status} after {} s", begin.elapsed().as_secs()));
    Ok(match status.code() {
        Some(0) => ExitCode::SUCCESS,
        Some(code) => ExitCode::from(u8::try_from(code).unwrap_or(1)),
        None => ExitCode::FAILURE,
    })
}
