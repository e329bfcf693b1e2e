use std::future::pending;
use std::io::{self, ErrorKind, Write};
use std::mem;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use drivetap_core::Event;
use drivetap_sink::{NotReady, Outcome, Sink, Stop};
use tokio::sync::watch;
use tokio::task::{JoinHandle, spawn_blocking};
use tokio::time::timeout;

use crate::Format;
use crate::line::{Lines, Torn};

/// Writes events to standard output, or to another writer, one a line; flushed after each batch.
///
/// An event is acknowledged when its whole line was handed to the operating system. The writing is done on a thread for blocking work: a
/// reader that takes its time (a pager, a terminal after Ctrl-S) holds up no other task. When 1,024 lines are not written within
/// [`stalled_after`](Self::stalled_after) the sink holds, and goes on with the same write when it is offered the same events again: no
/// line appears twice because of that.
///
/// A **closed pipe** is for good: from then on every `publish` is [`Stop::Hold`], and [`closed`](Self::closed) tells a program that ends
/// with its reader. Another error (a full disk) holds too; the line that it tore is finished, not begun anew, when it is offered again.
///
/// It needs a tokio runtime. A runtime that is dropped waits for a write that is stuck: end one with `shutdown_timeout`.
pub struct StdoutSink<W = Box<dyn Write + Send>> {
    state: State<W>,
    format: Format,
    stalled_after: Duration,
    closed: watch::Sender<bool>,
    width: fn() -> usize,
}

impl StdoutSink {
    /// Onto the process's standard output; a text is no wider than its terminal. One that was closed when the process began (`>&-`) is a closed pipe from the start.
    ///
    /// Rust's runtime opens `/dev/null` in its place, for reading and writing, before `main`; a shell's `>/dev/null` opens it for writing.
    /// That is how the two are told apart. A parent that hands `/dev/null` down open for both (`daemon(3)`, Python's `DEVNULL`) looks as
    /// a closed one does, and counts as one: nobody reads there either, and an event that is held is not lost.
    #[must_use]
    pub fn new(format: Format) -> Self {
        let mut sink = Self::onto(stdout(), format);
        sink.width = terminal_width;
        if was_closed() {
            sink.state = State::Gone;
            sink.closed.send_replace(true);
        }
        sink
    }
}

impl<W> StdoutSink<W> {
    /// Onto any writer. Its `write` may block.
    #[must_use]
    pub fn onto(out: W, format: Format) -> Self {
        let state = State::Idle { out, torn: None };
        Self { state, format, stalled_after: Duration::from_secs(5), closed: watch::Sender::new(false), width: || usize::MAX }
    }

    /// After how long up to 1,024 lines that are not written are a [`Stop::Hold`]. Default: 5 s.
    #[must_use]
    pub fn stalled_after(mut self, time: Duration) -> Self {
        self.stalled_after = time;
        self
    }

    /// Tells when the reader has gone away.
    #[must_use]
    pub fn closed(&self) -> Closed {
        Closed(self.closed.subscribe())
    }
}

/// Whether the pipe that a [`StdoutSink`] writes to was closed by its reader. It is noticed by the write that fails.
#[derive(Clone, Debug)]
pub struct Closed(watch::Receiver<bool>);

impl Closed {
    /// Whether it was noticed.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        *self.0.borrow()
    }

    /// Waits until it is noticed; for ever when the sink is gone without it. Cancel safe.
    pub async fn wait(&mut self) {
        if self.0.wait_for(|closed| *closed).await.is_err() {
            pending::<()>().await;
        }
    }
}

enum State<W> {
    Idle { out: W, torn: Option<Torn> },
    Writing(Writing<W>),
    Gone,
}

// A write on its thread, and the events that it writes.
struct Writing<W> {
    events: Vec<Arc<Event>>,
    done: JoinHandle<(W, Lines, io::Result<()>)>,
}

/// How many lines are written in one go: what a slow reader takes within `stalled_after`, and what stands in memory as text.
const AT_ONCE: usize = 1_024;
const CLOSED: &str = "standard output was closed";

#[async_trait]
impl<W: Write + Send + 'static> Sink for StdoutSink<W> {
    async fn connect(&mut self) -> Result<(), NotReady> {
        match self.state {
            State::Gone => Err(NotReady::Later(CLOSED.to_owned())),
            State::Idle { .. } | State::Writing(_) => Ok(()),
        }
    }

    async fn publish(&mut self, batch: &[Arc<Event>]) -> Outcome {
        let mut acked = 0;
        while acked < batch.len() {
            let upto = batch.len().min(acked + AT_ONCE);
            let (written, result) = self.write(&batch[acked..upto]).await;
            acked += written;
            if let Err(what) = result {
                return Outcome::stopped(acked, Stop::Hold { what });
            }
        }
        Outcome::all(acked)
    }

    fn is_gone(&self) -> bool {
        matches!(self.state, State::Gone)
    }

    async fn close(self: Box<Self>, within: Duration) {
        if let State::Writing(writing) = self.state {
            // What is not written by then was not acknowledged.
            let _ = timeout(within, writing.done).await;
        }
    }
}

impl<W: Write + Send + 'static> StdoutSink<W> {
    // One write: the one that stalled before, or of `events`. How many of `events` stand as whole lines now, and why no more.
    async fn write(&mut self, events: &[Arc<Event>]) -> (usize, Result<(), String>) {
        let mut writing = match mem::replace(&mut self.state, State::Gone) {
            State::Idle { out, torn } => start(out, Lines::new(events, self.format, (self.width)(), torn), events),
            State::Writing(writing) => writing,
            State::Gone => return (0, Err(CLOSED.to_owned())),
        };
        let Ok(done) = timeout(self.stalled_after, &mut writing.done).await else {
            self.state = State::Writing(writing);
            return (0, Err(format!("standard output takes nothing: a batch is not written after {:?}", self.stalled_after)));
        };
        // A writer that panics is gone, and with it what it wrote.
        let Ok((out, lines, result)) = done else {
            return (0, Err(CLOSED.to_owned()));
        };
        let offered_again = writing.events.iter().zip(events).all(|(a, b)| a.id() == b.id());
        let whole = if offered_again { lines.whole().min(events.len()) } else { 0 };
        match result {
            Ok(()) => {
                self.state = State::Idle { out, torn: None };
                (whole, Ok(()))
            }
            Err(error) if error.kind() == ErrorKind::BrokenPipe => {
                self.closed.send_replace(true);
                (whole, Err(CLOSED.to_owned()))
            }
            Err(error) => {
                self.state = State::Idle { out, torn: lines.into_torn() };
                (whole, Err(format!("standard output cannot be written: {error}")))
            }
        }
    }
}

fn start<W: Write + Send + 'static>(mut out: W, mut lines: Lines, events: &[Arc<Event>]) -> Writing<W> {
    let done = spawn_blocking(move || {
        let result = lines.write_to(&mut out);
        (out, lines, result)
    });
    Writing { events: events.to_vec(), done }
}

/// The columns of the terminal, where there is one: it may have another size by the next line.
#[cfg(unix)]
fn terminal_width() -> usize {
    let size = rustix::termios::tcgetwinsize(io::stdout());
    // A terminal that knows no size says 0.
    size.ok().map(|size| usize::from(size.ws_col)).filter(|columns| *columns > 0).unwrap_or(usize::MAX)
}

#[cfg(not(unix))]
fn terminal_width() -> usize {
    usize::MAX
}

/// Whether what stands in for standard output is what the runtime puts there for a closed one.
#[cfg(unix)]
fn was_closed() -> bool {
    use rustix::fs::{OFlags, fcntl_getfl, fstat, stat};

    let out = io::stdout();
    let (Ok(out_stat), Ok(null), Ok(flags)) = (fstat(&out), stat("/dev/null"), fcntl_getfl(&out)) else {
        return false;
    };
    let same_device = (out_stat.st_mode, out_stat.st_rdev) == (null.st_mode, null.st_rdev);
    same_device && flags & OFlags::RWMODE == OFlags::RDWR
}

#[cfg(not(unix))]
fn was_closed() -> bool {
    false
}

// The descriptor itself: std's buffer in front of it does not tell how much of a write that failed was written.
#[cfg(unix)]
fn stdout() -> Box<dyn Write + Send> {
    use std::fs::File;
    use std::os::fd::AsFd as _;

    match io::stdout().as_fd().try_clone_to_owned() {
        Ok(descriptor) => Box::new(File::from(descriptor)),
        Err(_) => Box::new(io::stdout()),
    }
}

#[cfg(not(unix))]
fn stdout() -> Box<dyn Write + Send> {
    Box::new(io::stdout())
}
