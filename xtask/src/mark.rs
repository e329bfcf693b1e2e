//! Knowing our own processes, for certain, and ending them.
//!
//! A process id says little: the process may be gone and its number another's by now, and what it started is not in
//! it. So everything we start carries a mark, a variable in its environment that says which run of ours it belongs to.
//! Children inherit it, the kernel shows it in `/proc`, nobody else carries it, and no file has to be written in time.

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};
use std::{fs, process, thread};

use anyhow::{Result, bail};
use rustix::process::{Pid, Signal, kill_process};

/// The variable that a shared service carries.
pub(crate) const SERVICE: &str = "DRIVETAP_SERVICE_OF";
/// The variable that a test run carries: cargo, the tests, and what they start.
pub(crate) const TESTS: &str = "DRIVETAP_TESTS_OF";
/// The variable that the steps of `cargo xtask ci` carry.
pub(crate) const CI: &str = "DRIVETAP_CI_OF";

/// How long a killed process may take to disappear.
const GONE_WITHIN: Duration = Duration::from_secs(10);

/// One kind of process of one run, or of every run in a directory.
#[derive(Clone)]
pub(crate) struct Mark {
    /// `NAME=VALUE`, as it stands in `/proc/PID/environ`.
    assignment: String,
    /// A mark of a directory fits every run in it.
    whole: bool,
}

/// A marked process that lives.
pub(crate) struct Process {
    pub(crate) pid: i32,
    pub(crate) command: String,
}

impl Mark {
    /// What belongs to one run.
    pub(crate) fn of_run(variable: &str, dir: &Path, run: &str) -> Self {
        Self { assignment: format!("{variable}={}#{run}", dir.display()), whole: true }
    }

    /// What belongs to any run in this directory, such as one that was killed and left its services behind.
    pub(crate) fn of_any_run(variable: &str, dir: &Path) -> Self {
        Self { assignment: format!("{variable}={}#", dir.display()), whole: false }
    }

    /// Marks what `command` will start.
    ///
    /// The mark must be that of a run: a directory's mark fits no process by itself.
    pub(crate) fn put_on<'a>(&self, command: &'a mut Command) -> &'a mut Command {
        match self.assignment.split_once('=') {
            Some((variable, value)) => command.env(variable, value),
            None => command,
        }
    }

    /// Every living process that carries the mark, except for this one.
    pub(crate) fn find(&self) -> Vec<Process> {
        let own = process::id().to_string();
        let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
        entries
            .filter_map(|entry| {
                let pid = entry.file_name().into_string().ok().filter(|name| *name != own)?;
                let number = pid.parse().ok()?;
                // Unreadable is another user's or gone; a zombie's is empty.
                let environment = fs::read(entry.path().join("environ")).ok()?;
                let ours = environment.split(|byte| *byte == 0).any(|variable| self.fits(variable));
                ours.then(|| Process { pid: number, command: command_of(&entry.path()) })
            })
            .collect()
    }

    /// Kills every process that carries the mark, and what those start meanwhile, and waits until none is left.
    ///
    /// At once, not gently: what carries a mark is a test, or a service whose data is thrown away.
    pub(crate) fn kill(&self) -> Result<usize> {
        let deadline = Instant::now() + GONE_WITHIN;
        let mut killed = 0;
        loop {
            let found = self.find();
            if found.is_empty() {
                return Ok(killed);
            }
            if Instant::now() > deadline {
                let names: Vec<_> = found.iter().map(|process| format!("{} ({})", process.pid, process.command)).collect();
                bail!("these processes do not end: {}", names.join(", "));
            }
            killed = killed.max(found.len());
            for process in found {
                if let Some(pid) = Pid::from_raw(process.pid) {
                    // An error means that it ended by itself; the next turn looks.
                    let _ = kill_process(pid, Signal::KILL);
                }
            }
            thread::sleep(Duration::from_millis(20));
        }
    }

    fn fits(&self, variable: &[u8]) -> bool {
        let ours = self.assignment.as_bytes();
        if self.whole { variable == ours } else { variable.starts_with(ours) }
    }
}

/// The command line of a process, cut to something that fits a line.
fn command_of(process: &Path) -> String {
    let bytes = fs::read(process.join("cmdline")).unwrap_or_default();
    let line = String::from_utf8_lossy(&bytes).replace('\0', " ");
    line.chars().take(60).collect::<String>().trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A shell with a child of its own: the mark must reach both.
    fn shell_and_child(mark: &Mark) -> process::Child {
        mark.put_on(Command::new("sh").args(["-c", "sleep 600 & wait"])).spawn().unwrap()
    }

    #[test]
    fn a_run_ends_with_its_grandchildren_and_nobody_else() {
        let dir = tempfile::tempdir().unwrap();
        let (ours, other) = (Mark::of_run(TESTS, dir.path(), "1"), Mark::of_run(TESTS, dir.path(), "12"));
        let mut mine = shell_and_child(&ours);
        let mut theirs = shell_and_child(&other);
        let mut unmarked = Command::new("sleep").arg("600").spawn().unwrap();
        while ours.find().len() < 2 || other.find().len() < 2 {
            thread::sleep(Duration::from_millis(5));
        }

        assert_eq!(ours.kill().unwrap(), 2);
        assert!(ours.find().is_empty());
        assert!(mine.wait().unwrap().code().is_none(), "killed by a signal");
        assert!(theirs.try_wait().unwrap().is_none(), "another run lives on");
        assert!(unmarked.try_wait().unwrap().is_none(), "what is not ours lives on");

        assert_eq!(Mark::of_any_run(TESTS, dir.path()).kill().unwrap(), 2, "a later run finds what was left");
        theirs.wait().unwrap();
        unmarked.kill().unwrap();
        unmarked.wait().unwrap();
    }
}
