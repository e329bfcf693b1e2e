//! A contender's process, and what it takes.

use std::fs;
use std::process::Stdio;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::time::timeout;

use super::PATIENCE;

pub(crate) struct Process {
    child: Child,
    /// Its end is the contender's end.
    input: ChildStdin,
    out: Option<ChildStdout>,
    /// What it said on standard error, shown where it fails.
    errors: tempfile::NamedTempFile,
}

impl Process {
    pub(crate) fn start(command: &mut Command) -> Self {
        let errors = tempfile::NamedTempFile::new().unwrap();
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(errors.reopen().unwrap()).kill_on_drop(true);
        let mut child = command.spawn().unwrap_or_else(|error| panic!("{command:?}: {error}"));
        let (input, out) = (child.stdin.take().unwrap(), child.stdout.take());
        Self { child, input, out, errors }
    }

    pub(crate) async fn say(&mut self, word: &str) {
        self.input.write_all(word.as_bytes()).await.unwrap();
    }

    pub(crate) fn lines(&mut self) -> Lines<BufReader<ChildStdout>> {
        BufReader::new(self.out()).lines()
    }

    pub(crate) fn out(&mut self) -> ChildStdout {
        self.out.take().expect("read by one")
    }

    /// What it said on standard error so far.
    pub(crate) fn errors(&self) -> String {
        fs::read_to_string(self.errors.path()).unwrap()
    }

    /// The time that its threads, those that ended too, were on a core: user and system.
    pub(crate) fn cpu(&self) -> Duration {
        let stat = self.read("stat");
        // The name of the program stands in parentheses and may hold anything.
        let fields: Vec<_> = stat.rsplit_once(')').unwrap().1.split_whitespace().collect();
        let ticks = |n: usize| fields[n].parse::<u64>().unwrap();
        Duration::from_millis((ticks(11) + ticks(12)) * 1000 / rustix::param::clock_ticks_per_second())
    }

    /// The most that was ever resident, in KiB.
    pub(crate) fn peak(&self) -> u64 {
        self.status("VmHWM:")
    }

    /// What is resident now, in KiB.
    pub(crate) fn resident(&self) -> u64 {
        self.status("VmRSS:")
    }

    fn status(&self, name: &str) -> u64 {
        let status = self.read("status");
        let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
        line.trim().strip_suffix(" kB").unwrap().parse().unwrap()
    }

    fn read(&self, file: &str) -> String {
        let path = format!("/proc/{}/{file}", self.child.id().expect("it runs"));
        fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}: {}", self.errors()))
    }

    /// Waits until it has ended by itself.
    pub(crate) async fn ended(&mut self) {
        self.child.wait().await.unwrap();
    }

    /// Asks it to end, and waits for that. Answers with what it said on standard error.
    pub(crate) async fn stop(mut self) -> String {
        kill_process(Pid::from_raw(self.child.id().unwrap().try_into().unwrap()).unwrap(), Signal::TERM).unwrap();
        timeout(PATIENCE, self.child.wait()).await.expect("it ends").unwrap();
        self.errors()
    }
}
