use std::fmt;
use std::num::NonZeroUsize;
use std::pin::pin;
use std::time::Duration;

use drivetap_core::{Notification, NotificationUrl};

use crate::{Ended, Limits, OpenError, Transport, Who, Why};

/// A session with callbacks, in the shape of the JavaScript sample on Graph's page.
///
/// The callbacks run one after the other on the task that awaits [`run`](Self::run), with no lock held: they may borrow and change what is
/// around them, and a slow one delays its successor, never the heartbeats. One attempt, one session: what to do after the end is the
/// caller's to decide.
///
/// ```no_run
/// # async fn listen(transport: &dyn drivetap_transport::Transport, url: drivetap_core::NotificationUrl)
/// # -> Result<(), drivetap_transport::OpenError> {
/// use drivetap_transport::Listener;
///
/// let mut seen = 0;
/// let ended = Listener::new(transport, &url)
///     .on_connect(|| println!("connected"))
///     .on_notification(|_| seen += 1)
///     .on_end(|ended| println!("{ended}"))
///     .run(std::future::pending())
///     .await?;
/// # Ok(())
/// # }
/// ```
#[must_use = "a listener does nothing until it is run"]
pub struct Listener<'a> {
    transport: &'a dyn Transport,
    url: &'a NotificationUrl,
    limits: Limits,
    on_connect: Box<dyn FnMut() + Send + 'a>,
    on_notification: Box<dyn FnMut(Notification) + Send + 'a>,
    on_end: Box<dyn FnMut(&Ended) + Send + 'a>,
}

impl<'a> Listener<'a> {
    /// A listener on one URL, with default [`Limits`] and no callbacks.
    pub fn new(transport: &'a dyn Transport, url: &'a NotificationUrl) -> Self {
        Self {
            transport,
            url,
            limits: Limits::default(),
            on_connect: Box::new(|| {}),
            on_notification: Box::new(|_| {}),
            on_end: Box::new(|_| {}),
        }
    }

    /// Other limits than the default ones.
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// Called once the namespace is joined.
    pub fn on_connect(mut self, f: impl FnMut() + Send + 'a) -> Self {
        self.on_connect = Box::new(f);
        self
    }

    /// Called for each notification, in the order of arrival.
    pub fn on_notification(mut self, f: impl FnMut(Notification) + Send + 'a) -> Self {
        self.on_notification = Box::new(f);
        self
    }

    /// Called once, after the last notification, if the session was opened.
    pub fn on_end(mut self, f: impl FnMut(&Ended) + Send + 'a) -> Self {
        self.on_end = Box::new(f);
        self
    }

    /// Opens the session and reads it to its end, or until `shutdown` completes; then it says goodbye, for a second at most.
    ///
    /// Returns how it ended: by [`Who::Us`] after `shutdown`.
    ///
    /// # Errors
    /// When the session could not be opened.
    pub async fn run(mut self, shutdown: impl Future<Output = ()>) -> Result<Ended, OpenError> {
        let mut shutdown = pin!(shutdown);
        let stopped = Ended { by: Who::Us, why: Why::Closed };
        let mut session = tokio::select! {
            biased;
            () = &mut shutdown => return Ok(stopped),
            opened = self.transport.open(self.url, &self.limits) => opened?,
        };
        (self.on_connect)();
        let mut batch = Vec::new();
        let ended = loop {
            tokio::select! {
                biased;
                () = &mut shutdown => {
                    session.close(GOODBYE).await;
                    break stopped;
                }
                received = session.recv(&mut batch, BATCH) => if let Err(ended) = received {
                    break ended;
                },
            }
            batch.drain(..).for_each(&mut self.on_notification);
        };
        (self.on_end)(&ended);
        Ok(ended)
    }
}

impl fmt::Debug for Listener<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Listener").field("url", self.url).field("limits", &self.limits).finish_non_exhaustive()
    }
}

const BATCH: NonZeroUsize = NonZeroUsize::new(64).unwrap();
const GOODBYE: Duration = Duration::from_secs(1);
