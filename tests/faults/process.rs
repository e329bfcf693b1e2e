//! The program under test, with a reader of its standard output that can be slow, stop or go.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use drivetap_tests::{PATIENCE, drivetap};
use rustix::process::{Pid, Signal, kill_process};
use tokio::io::{AsyncBufReadExt as _, AsyncRead, AsyncReadExt as _, BufReader};
use tokio::process::{Child, Command};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

/// Lines, complete ones only: a consumer of JSON lines drops half a line that a crash left.
pub(crate) type Lines = Arc<Mutex<Vec<String>>>;

/// How standard output is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reader {
    /// As fast as it comes.
    Keen,
    /// So many bytes a second.
    Slow(u32),
    /// Nothing is read; the pipe stays open.
    Stopped,
    /// The pipe is closed.
    Gone,
}

/// One life of the program.
pub(crate) struct Process {
    child: Child,
    reader: watch::Sender<Reader>,
    stderr: Lines,
    /// The ends of the two pipes.
    ended: Vec<JoinHandle<()>>,
}

/// How a life ended.
pub(crate) struct Ended {
    pub(crate) status: ExitStatus,
    pub(crate) stderr: Vec<String>,
}

/// What the program has of our environment.
const KEPT: [&str; 3] = ["PATH", "DRIVETAP_TESTS_OF", "DRIVETAP_CI_OF"];

impl Process {
    /// `drivetap run -c CONFIG`, which may be wrapped in another program.
    pub(crate) fn start(config: &Path, wrapper: &[String], env: &[(String, String)], stdout: Lines) -> Self {
        let words: Vec<_> = wrapper.iter().map(AsRef::as_ref).chain([drivetap().as_os_str()]).collect();
        let mut command = Command::new(words[0]);
        command.args(&words[1..]).args(["run", "-c"]).arg(config).env_clear();
        // The marks are what xtask ends the processes of a killed run by.
        let kept = std::env::vars_os().filter(|(name, _)| KEPT.iter().any(|kept| name == kept));
        command.envs(kept).envs(env.iter().cloned());
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
        let mut child = command.spawn().unwrap_or_else(|error| panic!("{command:?}: {error}"));
        let reader = watch::Sender::new(Reader::Keen);
        let stderr = Lines::default();
        let ended = vec![
            tokio::spawn(read_as_told(child.stdout.take().unwrap(), stdout, reader.subscribe())),
            tokio::spawn(read(child.stderr.take().unwrap(), Arc::clone(&stderr))),
        ];
        Self { child, reader, stderr, ended }
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id().expect("the program has ended")
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(Pid::from_raw(self.pid().try_into().unwrap()).unwrap(), signal).unwrap();
    }

    pub(crate) fn read_stdout(&self, how: Reader) {
        self.reader.send_replace(how);
    }

    pub(crate) fn stderr(&self) -> Vec<String> {
        self.stderr.lock().unwrap().clone()
    }

    /// `VmHWM`: the most memory that it ever had, in KiB.
    pub(crate) fn peak_kib(&self) -> u64 {
        let Some(pid) = self.child.id() else { return 0 };
        let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        line.and_then(|line| line.trim().strip_suffix(" kB")?.parse().ok()).unwrap_or_default()
    }

    /// It ended, though nobody asked it to.
    pub(crate) fn died(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().unwrap()
    }

    /// Waits for the end, and for the last of what was printed.
    pub(crate) async fn end(mut self) -> Ended {
        let status = timeout(PATIENCE, self.child.wait()).await.expect("the program does not end").unwrap();
        self.reader.send_if_modified(|reader| std::mem::replace(reader, Reader::Keen) != Reader::Keen);
        for pipe in self.ended {
            timeout(PATIENCE, pipe).await.expect("a pipe of the program does not end").unwrap();
        }
        let stderr = self.stderr.lock().unwrap().clone();
        Ended { status, stderr }
    }
}

impl Ended {
    /// The counts of `sink NAME: delivered=… …`, or of the last line with `drained`.
    pub(crate) fn counts(&self, of: &str) -> Option<BTreeMap<String, u64>> {
        let line = self.stderr.iter().rev().find_map(|line| line.strip_prefix(&format!("{of}: ")))?;
        let pairs = line.split(' ').map(|pair| pair.split_once('='));
        pairs.map(|pair| pair.and_then(|(name, count)| Some((name.to_owned(), count.parse().ok()?)))).collect()
    }
}

async fn read(pipe: impl AsyncRead + Unpin, lines: Lines) {
    let mut pipe = BufReader::new(pipe).lines();
    while let Ok(Some(line)) = pipe.next_line().await {
        lines.lock().unwrap().push(line);
    }
}

async fn read_as_told(mut pipe: impl AsyncRead + Unpin, lines: Lines, mut told: watch::Receiver<Reader>) {
    let (mut text, mut buffer) = (Vec::new(), vec![0; 64 * 1024]);
    loop {
        let now = *told.borrow_and_update();
        let most = match now {
            Reader::Gone => return,
            Reader::Stopped => {
                if told.changed().await.is_err() {
                    return;
                }
                continue;
            }
            Reader::Slow(rate) => (rate / 10).max(1).try_into().unwrap(),
            Reader::Keen => buffer.len(),
        };
        let count = tokio::select! {
            count = pipe.read(&mut buffer[..most]) => count.unwrap_or_default(),
            Ok(()) = told.changed() => continue,
        };
        if count == 0 {
            return;
        }
        text.extend_from_slice(&buffer[..count]);
        while let Some(end) = text.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = text.drain(..=end).collect();
            lines.lock().unwrap().push(String::from_utf8(line).expect("events are UTF-8").trim_end().to_owned());
        }
        if matches!(now, Reader::Slow(_)) {
            sleep(Duration::from_millis(100)).await;
        }
    }
}
