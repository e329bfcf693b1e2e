//! `cargo xtask services`: a real Kafka and a real Redis, of our own, on free ports, with their data under `target/`.
//!
//! One set at most runs in a target directory. Whoever starts, stops or tests with it holds the lock. What a killed run
//! left behind is found by its mark (see [`crate::mark`]) and stopped when the next one starts.

mod certificates;
mod kafka;
pub(crate) mod keeper;
mod launch;
mod ports;
mod redis;
mod state;

use std::fs::{self, File};
use std::path::Path;
use std::time::Instant;

use anyhow::{Context, Result};
use clap::Subcommand;

pub(crate) use self::state::{State, VARIABLE};
use crate::mark::{Mark, SERVICE, TESTS};
use crate::repo::Repo;
use crate::run::say;
use crate::setup::{self, Tools};

#[derive(Clone, Copy, Subcommand)]
pub(crate) enum Action {
    /// Start Kafka and Redis, or say that they are up.
    Up,
    /// Stop both for certain, and whatever a killed run left behind.
    Down,
    /// Say what runs, and where; fails unless both are up.
    Status,
    /// Print the line for a shell that lets any cargo command find the services.
    Env,
}

pub(crate) fn perform(repo: &Repo, action: Action) -> Result<()> {
    let dir = repo.services_dir();
    match action {
        Action::Up => {
            let tools = setup::for_tests(repo)?;
            let _lock = lock(&dir)?;
            let state = up(repo, &tools, None)?;
            eprint!("{}", state.summary());
            println!("{}", export(&dir));
        }
        Action::Down => {
            let _lock = lock(&dir)?;
            down(&dir)?;
        }
        Action::Status => {
            let state = State::read(&dir)?;
            state.check_alive(&dir)?;
            eprint!("{}", state.summary());
        }
        Action::Env => {
            State::read(&dir)?.check_alive(&dir)?;
            println!("{}", export(&dir));
        }
    }
    Ok(())
}

/// Held while the services are started, stopped or tested with. The kernel lets go of it when its holder dies.
pub(crate) fn lock(dir: &Path) -> Result<File> {
    fs::create_dir_all(dir).with_context(|| format!("cannot make {}", dir.display()))?;
    let path = dir.join("lock");
    let file = File::create(&path).with_context(|| format!("cannot make {}", path.display()))?;
    if file.try_lock().is_err() {
        say("a test run holds the services of this target directory: waiting for its end");
        file.lock().with_context(|| format!("cannot lock {}", path.display()))?;
    }
    Ok(file)
}

/// Starts both, for a test run or until `services down`; unless both are up by `services up`. The caller holds the lock.
pub(crate) fn up(repo: &Repo, tools: &Tools, test_run: Option<&str>) -> Result<State> {
    let dir = repo.services_dir();
    if let Ok(state) = State::read(&dir)
        // With the lock in our hands, a test run that holds services is one that was killed.
        && !state.held_by_test
        && state.check_alive(&dir).is_ok()
    {
        say("services: up already");
        return Ok(state);
    }
    down(&dir)?;
    let begin = Instant::now();
    let result = start(repo, tools, test_run, &dir);
    match &result {
        Ok(_) => say(format_args!("services: up after {:.1} s", begin.elapsed().as_secs_f32())),
        // Half a set is none.
        Err(_) => down(&dir)?,
    }
    result
}

fn start(repo: &Repo, tools: &Tools, test_run: Option<&str>, dir: &Path) -> Result<State> {
    let run = test_run.map_or_else(new_run, ToOwned::to_owned);
    let mark = Mark::of_run(SERVICE, dir, &run);
    let tls = certificates::make(&dir.join("tls"))?;
    let mut ports = ports::Ports::default();

    let redis = redis::start(repo, tools, dir, &mark, &mut ports)?;
    let kafka = kafka::start(repo, tools, dir, &mark, &mut ports)?;
    let redis = redis.wait_until_up()?;
    let kafka = kafka.wait_until_up()?;

    let state = State {
        version: state::VERSION,
        dir: dir.to_owned(),
        run,
        held_by_test: test_run.is_some(),
        kafka,
        redis,
        tls,
        socketio: repo.service_sources().join("socketio/server.js"),
        tools: tools.clone(),
    };
    state.write()?;
    Ok(state)
}

/// The name of a run: what was started together is stopped together.
pub(crate) fn new_run() -> String {
    format!("{:016x}", fastrand::u64(..))
}

/// Stops every service and every test that any run in `dir` started. The caller holds the lock.
pub(crate) fn down(dir: &Path) -> Result<()> {
    let tests = Mark::of_any_run(TESTS, dir).kill()?;
    let services = Mark::of_any_run(SERVICE, dir).kill()?;
    State::remove(dir)?;
    if tests > 0 {
        say(format_args!("services: ended {tests} processes that a killed test run left behind"));
    }
    if services > 0 {
        say(format_args!("services: stopped ({services} processes)"));
    }
    Ok(())
}

/// A line for a shell.
fn export(dir: &Path) -> String {
    format!("export {}='{}'", VARIABLE, State::path(dir).display())
}
