use std::pin::pin;

use drivetap_core::NotificationUrl;
use tokio::sync::{mpsc, oneshot};
use tokio::task::yield_now;
use tokio::time::{Instant, sleep_until};

use super::backlog::{Backlog, Batch};
use super::handle::Handle;
use crate::native::dial::{Lost, Wire};
use crate::native::frames::{Broken, Message};
use crate::native::session::{Heard, Input, Session};
use crate::native::socket::Namespace;
use crate::{Ended, Limits, OpenError, Who, Why, words};

/// A socket, and the session on it. Dropping it closes the socket.
pub(in crate::native) struct Line {
    wire: Wire,
    session: Session,
    backlog: Backlog,
    /// Bytes were read, and not every message of them was taken.
    unread: bool,
    /// When bytes were last read.
    heard: Instant,
}

/// The end of a line, and when its server was last heard.
pub(super) struct Fallen {
    pub(super) ended: Ended,
    pub(super) heard: Instant,
}

/// What a step came to.
enum Step {
    /// Bytes came, and of what they complete a batch was taken, or all.
    Read,
    Joined,
    /// By the server, in these words.
    Refused(String),
}

impl Line {
    pub(in crate::native) fn new(wire: Wire, url: &NotificationUrl, limits: &Limits) -> Self {
        let heard = Instant::now();
        let session = Session::new(Namespace(url.expose_namespace()), limits, heard.into_std());
        // The answer to the upgrade may have brought some already.
        Self { wire, session, backlog: Backlog::default(), unread: true, heard }
    }

    /// Goes through the handshake into the namespace. The caller sets the time for it.
    pub(in crate::native) async fn join(mut self, url: &NotificationUrl) -> Result<Self, OpenError> {
        loop {
            match self.step().await {
                Ok(Step::Read) => {}
                Ok(Step::Joined) => return Ok(self),
                Ok(Step::Refused(data)) => {
                    return Err(OpenError::Refetch { reason: words::connect_error(&data, url) });
                }
                Err(ended) => return Err(words::ended_early(&ended)),
            }
        }
    }

    /// Gives the line to a task of its own.
    pub(in crate::native) fn drive(self) -> Handle {
        let ping_interval = self.session.ping_interval();
        // One batch waits for the reader; more wait in the backlog, which knows what to do when it is full.
        let (outlet, inlet) = mpsc::channel(1);
        let (goodbye, goodbye_asked) = oneshot::channel();
        Handle::new(tokio::spawn(self.run(outlet, goodbye_asked)), inlet, goodbye, ping_interval)
    }

    async fn run(mut self, outlet: mpsc::Sender<Batch>, goodbye: oneshot::Receiver<()>) -> Fallen {
        let Err(ended) = self.live(&outlet, goodbye).await else {
            return self.leave().await;
        };
        // The end closes the socket, whenever the reader hears of it.
        let Self { wire, mut backlog, heard, .. } = self;
        drop(wire);
        while !backlog.is_empty() && outlet.send(backlog.batch()).await.is_ok() {}
        Fallen { ended, heard }
    }

    /// Waits for whatever comes first, and does it, until goodbye is asked for. Reading waits for nobody: what the reader does not take
    /// is the backlog's concern.
    async fn live(&mut self, outlet: &mpsc::Sender<Batch>, mut goodbye: oneshot::Receiver<()>) -> Result<(), Ended> {
        let mut silence = pin!(sleep_until(self.deadline()));
        loop {
            let (some, much) = (!self.backlog.is_empty(), self.backlog.len() >= Backlog::BATCH);
            tokio::select! {
                biased;
                // A handle that is gone without a word ends this task anyway.
                _ = &mut goodbye => return Ok(()),
                Ok(room) = outlet.reserve(), if much => room.send(self.backlog.batch()),
                step = self.step() => {
                    drop(step?);
                    if self.backlog.len() >= Backlog::BATCH {
                        // A server that sends without a pause gives the runtime none either: a reader on this thread has its turn now,
                        // or would find its notifications merged.
                        yield_now().await;
                    }
                }
                Ok(room) = outlet.reserve(), if some => room.send(self.backlog.batch()),
                () = &mut silence => {
                    if let Heard::Ended(ended) = self.session.handle(Instant::now().into_std(), Input::Timeout) {
                        return Err(ended);
                    }
                    // A ping has moved it meanwhile.
                    silence.as_mut().reset(self.deadline());
                }
            }
        }
    }

    /// Says goodbye. What still waits is dropped.
    async fn leave(mut self) -> Fallen {
        let left = self.session.handle(Instant::now().into_std(), Input::Leave);
        if self.queue_output().is_ok() {
            // Goodbye or not, the socket is closed.
            drop(self.wire.close().await);
        }
        let ended = match left {
            Heard::Ended(ended) => ended,
            _ => Ended { by: Who::Us, why: Why::Closed },
        };
        Fallen { ended, heard: self.heard }
    }

    /// Takes of what was read, or reads and takes that: a batch at most, so that a reader has its turn. Cancel safe.
    async fn step(&mut self) -> Result<Step, Ended> {
        if !self.unread {
            self.queue_output()?;
            self.wire.read().await?;
            self.unread = true;
            self.heard = Instant::now();
        }
        let now = self.heard.into_std();
        let enough = self.backlog.len() + Backlog::BATCH;
        while self.backlog.len() < enough {
            if !self.wire.advance()? {
                self.unread = false;
                break;
            }
            let input = match self.wire.message()? {
                Message::Text(text) => Input::Text(text),
                Message::Binary(bytes) => Input::Binary(bytes),
                Message::Ping(_) => {
                    self.wire.pong()?;
                    continue;
                }
                Message::Pong => continue,
                Message::Close => return Err(Ended { by: Who::Server, why: Why::Closed }),
            };
            match self.session.handle(now, input) {
                Heard::Nothing => {}
                Heard::Joined => return Ok(Step::Joined),
                Heard::Notification(argument) => self.backlog.push(argument)?,
                Heard::Refused(data) => return Ok(Step::Refused(data.to_owned())),
                Heard::Ended(ended) => return Err(ended),
            }
        }
        // A server that talks without an end is no excuse for its missing pings.
        match self.session.handle(now, Input::Timeout) {
            Heard::Ended(ended) => Err(ended),
            _ => Ok(Step::Read),
        }
    }

    fn queue_output(&mut self) -> Result<(), Lost> {
        while self.wire.has_room() {
            let Some(text) = self.session.poll() else {
                break;
            };
            self.wire.send(&text)?;
        }
        Ok(())
    }

    fn deadline(&self) -> Instant {
        self.session.timeout().map_or_else(Instant::now, Instant::from_std)
    }
}

impl From<Lost> for Ended {
    fn from(lost: Lost) -> Self {
        match lost {
            Lost::Socket => Self { by: Who::Network, why: Why::Closed },
            Lost::Broken(Broken::TooLarge) => Self { by: Who::Us, why: Why::TooLarge },
            Lost::Broken(broken) => Self { by: Who::Server, why: Why::Malformed(broken.to_string()) },
            Lost::Random => Self { by: Who::Us, why: Why::Internal("no random numbers".into()) },
        }
    }
}
