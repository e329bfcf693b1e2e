//! The program, running: what it prints, and how it ends.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::process::Stdio;
use std::time::Duration;

use rustix::process::{Pid, kill_process};
use tokio::io::{AsyncBufReadExt as _, AsyncRead, BufReader};
use tokio::process::{Child, Command};
use tokio::sync::watch;
use tokio::time::timeout;

use super::drivetap;
use super::{Event, PATIENCE};

pub(crate) use rustix::process::Signal;

/// A process that dies with its test.
pub(crate) struct Program {
    child: Child,
    stdout: Output,
    stderr: Output,
}

/// What a program left.
#[derive(Debug)]
pub(crate) struct Ended {
    /// The exit code; `None` where a signal killed it.
    pub(crate) code: Option<i32>,
    pub(crate) stdout: Vec<String>,
    pub(crate) stderr: Vec<String>,
}

type Output = watch::Receiver<Vec<String>>;

impl Program {
    /// `drivetap ARGS…` in an environment with these variables and nothing else of ours.
    pub(crate) fn drivetap(args: impl IntoIterator<Item = impl AsRef<OsStr>>, env: &[(&str, &str)]) -> Self {
        let mut command = Command::new(drivetap());
        command.args(args).env_clear().envs(env.iter().copied());
        Self::spawn(command)
    }

    /// The same, with a reader of standard output that goes away after the first line.
    pub(crate) async fn with_an_impatient_reader(
        args: impl IntoIterator<Item = impl AsRef<OsStr>>,
        env: &[(&str, &str)],
    ) -> Self {
        let mut command = Command::new(drivetap());
        command.args(args).env_clear().envs(env.iter().copied());
        let (mut child, stderr) = piped(command);
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).await.unwrap();
        Self { child, stdout: watch::channel(vec![line.trim_end().to_owned()]).1, stderr }
    }

    /// Any other program.
    pub(crate) fn spawn(command: Command) -> Self {
        let (mut child, stderr) = piped(command);
        let stdout = lines(child.stdout.take().unwrap());
        Self { child, stdout, stderr }
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id().expect("it has ended")
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(Pid::from_raw(self.pid().try_into().unwrap()).unwrap(), signal).unwrap();
    }

    /// Waits until the events on standard output are `enough`, and returns them.
    pub(crate) async fn events(&self, what: &str, enough: impl Fn(&[Event]) -> bool) -> Vec<Event> {
        let parsed = |lines: &[String]| lines.iter().map(|line| Event::parse(line)).collect::<Vec<_>>();
        self.wait(&self.stdout, what, |lines| enough(&parsed(lines))).await;
        parsed(&self.stdout.borrow())
    }

    /// Waits until a line of standard output holds `part`.
    pub(crate) async fn prints(&self, part: &str) {
        self.wait(&self.stdout, part, |lines| lines.iter().any(|line| line.contains(part))).await;
    }

    /// Waits until a line of standard error holds `part`.
    pub(crate) async fn says(&self, part: &str) {
        self.wait(&self.stderr, part, |lines| lines.iter().any(|line| line.contains(part))).await;
    }

    /// Standard output so far.
    pub(crate) fn stdout(&self) -> Vec<String> {
        self.stdout.borrow().clone()
    }

    /// Standard error so far.
    pub(crate) fn stderr(&self) -> Vec<String> {
        self.stderr.borrow().clone()
    }

    /// Still running after a while in which it could have ended.
    pub(crate) async fn assert_stays(&mut self, while_: Duration) {
        if let Ok(status) = timeout(while_, self.child.wait()).await {
            panic!("it ended with {status:?}");
        }
    }

    /// SIGTERM, the drain, the end.
    pub(crate) async fn stop(self) -> Ended {
        self.signal(Signal::TERM);
        self.end().await
    }

    /// `kill -9`.
    pub(crate) async fn kill(self) -> Ended {
        self.signal(Signal::KILL);
        self.end().await
    }

    /// Waits for the end, and for the last of what was printed.
    pub(crate) async fn end(mut self) -> Ended {
        let Ok(status) = timeout(PATIENCE, self.child.wait()).await else {
            panic!("it does not end");
        };
        for output in [&mut self.stdout, &mut self.stderr] {
            // The sender goes with the end of the pipe.
            drop(timeout(PATIENCE, output.wait_for(|_| false)).await);
        }
        Ended { code: status.unwrap().code(), stdout: self.stdout(), stderr: self.stderr() }
    }

    async fn wait(&self, output: &Output, what: &str, done: impl Fn(&[String]) -> bool) {
        let mut output = output.clone();
        let found = timeout(PATIENCE, output.wait_for(|lines| done(lines))).await;
        match found {
            Ok(Ok(_)) => {}
            Ok(Err(_)) => panic!("it ended before this was seen: {what}"),
            Err(_) => panic!("not seen in {} s: {what}", PATIENCE.as_secs()),
        }
    }
}

impl Drop for Program {
    /// Whatever failed while it ran, what it said is wanted.
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("── standard output\n{}\n── standard error\n{}", self.stdout().join("\n"), self.stderr().join("\n"));
        }
    }
}

impl Ended {
    /// The events on standard output.
    pub(crate) fn events(&self) -> Vec<Event> {
        self.stdout.iter().map(|line| Event::parse(line)).collect()
    }

    /// It ended with `code`, and a line of standard error holds each of `parts`.
    #[track_caller]
    pub(crate) fn assert(&self, code: i32, parts: &[&str]) {
        assert_eq!(self.code, Some(code), "{self:#?}");
        for part in parts {
            assert!(self.stderr.iter().any(|line| line.contains(part)), "standard error lacks {part:?}: {self:#?}");
        }
    }

    /// The counts of the last line, `drained: delivered=… …`.
    #[track_caller]
    pub(crate) fn drained(&self) -> BTreeMap<String, u64> {
        let last = self.stderr.last().unwrap_or_else(|| panic!("nothing on standard error: {self:#?}"));
        let counts = last.strip_prefix("drained: ").unwrap_or_else(|| panic!("the last line is no report: {self:#?}"));
        parse_counts(counts)
    }

    /// The counts of the line `sink NAME: delivered=… …`.
    #[track_caller]
    pub(crate) fn sink(&self, name: &str) -> BTreeMap<String, u64> {
        let begin = format!("sink {name}: ");
        let line = self.stderr.iter().rev().find_map(|line| line.strip_prefix(&begin));
        parse_counts(line.unwrap_or_else(|| panic!("no report of {name}: {self:#?}")))
    }
}

fn parse_counts(text: &str) -> BTreeMap<String, u64> {
    let counts = text.split(' ').map(|pair| {
        let (name, count) = pair.split_once('=').unwrap_or_else(|| panic!("no count: {text}"));
        (name.to_owned(), count.parse().unwrap())
    });
    counts.collect()
}

/// Running, with standard output still to be read.
fn piped(mut command: Command) -> (Child, Output) {
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    let mut child = command.spawn().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let stderr = lines(child.stderr.take().unwrap());
    (child, stderr)
}

/// The lines of a pipe as they come. The task ends with the pipe, which ends with the process.
fn lines(pipe: impl AsyncRead + Unpin + Send + 'static) -> Output {
    let (sender, receiver) = watch::channel(Vec::new());
    tokio::spawn(async move {
        let mut lines = BufReader::new(pipe).lines();
        while let Some(line) = lines.next_line().await.unwrap() {
            sender.send_modify(|lines| lines.push(line));
        }
    });
    receiver
}
