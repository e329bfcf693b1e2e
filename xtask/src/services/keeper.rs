//! Who stops the services of a test run: a process of its own that outlives it.
//!
//! A test run can end in any way, `kill -9` included. So a keeper holds the reading end of a pipe whose writing end only the
//! test run has; when that ends, in whatever way, the kernel closes the pipe and the keeper puts everything in order.
//! There is no other way down for a test run, so that this one is taken every time.

use std::io::Read as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::{env, io};

use anyhow::{Context, Result, bail};
use clap::Args;

use super::State;
use crate::mark::{CI, Mark, SERVICE, TESTS};
use crate::run::say;

/// The keeper's own command line.
#[derive(Args)]
pub(crate) struct Keep {
    /// The services' directory.
    dir: PathBuf,
    /// The test run, whose tests and services are to be ended with it. What `services up` started is another run's.
    run: String,
}

impl Keep {
    pub(crate) fn until_the_end(self) -> Result<()> {
        io::stdin().lock().read_to_end(&mut Vec::new()).context("the pipe from the test run")?;
        let tests = Mark::of_run(TESTS, &self.dir, &self.run).kill()?;
        let services = Mark::of_run(SERVICE, &self.dir, &self.run).kill()?;
        // The next run may have come already and written its own.
        if State::read(&self.dir).is_ok_and(|state| state.run == self.run) {
            State::remove(&self.dir)?;
        }
        if tests > 0 {
            say(format_args!("ended {tests} processes that the tests left behind"));
        }
        if services > 0 {
            say(format_args!("services: stopped ({services} processes)"));
        }
        Ok(())
    }
}

/// A keeper at work.
pub(crate) struct Keeper {
    child: Child,
}

impl Keeper {
    pub(crate) fn start(dir: &Path, run: &str) -> Result<Self> {
        let mut command = Command::new(env::current_exe().context("where xtask is")?);
        command.arg("keep").arg(dir).arg(run);
        // Whatever ends us must not end it: neither Ctrl-C in the terminal nor our own mark.
        command.process_group(0).env_remove(CI).stdin(Stdio::piped()).stdout(Stdio::null());
        Ok(Self { child: command.spawn().context("cannot start the keeper")? })
    }

    /// The regular end: what happens now is what would happen if we were killed.
    pub(crate) fn finish(mut self) -> Result<()> {
        // `wait` closes the pipe first.
        let status = self.child.wait()?;
        if !status.success() {
            bail!("the services could not be stopped for certain: {status}");
        }
        Ok(())
    }
}
