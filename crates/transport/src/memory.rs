use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use drivetap_core::{Notification, NotificationUrl};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::timeout;

use crate::inbox::Inbox;
use crate::{Ended, Limits, OpenError, Session, Transport, Who, Why};

/// A transport without a socket, and the server at its other end: for tests of whatever stands on a [`Transport`].
///
/// It keeps the same contract as the others (the conformance suite holds it to that) and needs no clock but tokio's, so that tests
/// under `start_paused` decide about time. Sixteen openings wait for the server; a seventeenth waits in `open`.
///
/// ```
/// # tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build()?.block_on(async {
/// use std::num::NonZeroUsize;
///
/// use drivetap_core::{NotificationHosts, NotificationUrl};
/// use drivetap_transport::{Limits, Transport, memory};
///
/// let url = NotificationUrl::parse("https://a.svc.ms/notifications?token=t", &NotificationHosts::default())?;
/// let (transport, mut server) = memory();
/// let limits = Limits::default();
/// let (session, peer) = tokio::join!(transport.open(&url, &limits), async { Some(server.next().await?.accept()) });
/// let (mut session, peer) = (session?, peer.ok_or("nobody called")?);
///
/// peer.notify(r#"{"value":[{"subscriptionId":"5554a2f6"}]}"#);
/// let mut out = Vec::new();
/// session.recv(&mut out, NonZeroUsize::MIN).await?;
/// assert_eq!(out[0].subscription_id(), Some("5554a2f6"));
///
/// drop(session);
/// assert_eq!(peer.closed().await, drivetap_transport::Farewell::Dropped);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[must_use]
pub fn memory() -> (Memory, MemoryServer) {
    let (openings, waiting) = mpsc::channel(16);
    (Memory { openings }, MemoryServer { waiting })
}

/// The client's half of [`memory()`].
#[derive(Clone, Debug)]
pub struct Memory {
    openings: mpsc::Sender<MemoryOpening>,
}

/// The server's half of [`memory()`]. Once dropped, every `open` is answered like a refused connection.
#[derive(Debug)]
pub struct MemoryServer {
    waiting: mpsc::Receiver<MemoryOpening>,
}

impl MemoryServer {
    /// Waits for the next `open`; `None` once every [`Memory`] is gone. Cancel safe.
    pub async fn next(&mut self) -> Option<MemoryOpening> {
        self.waiting.recv().await
    }
}

/// An `open` that waits for its answer. As long as it is kept, the handshake stays unanswered; dropped, it is a lost connection.
#[derive(Debug)]
pub struct MemoryOpening {
    url: NotificationUrl,
    limits: Limits,
    answer: oneshot::Sender<Result<MemorySession, OpenError>>,
}

impl MemoryOpening {
    /// The URL that is opened.
    #[must_use]
    pub fn url(&self) -> &NotificationUrl {
        &self.url
    }

    /// The limits it is opened within.
    #[must_use]
    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    /// Opens the session. If the `open` was given up meanwhile, the peer finds it closed.
    #[must_use]
    pub fn accept(self) -> MemoryPeer {
        let line =
            Arc::new(Line { inbox: Inbox::default(), farewell: watch::Sender::default(), frame_bytes: self.limits.frame_bytes });
        // When the `open` was given up, the session comes back here, and its drop tells the peer.
        drop(self.answer.send(Ok(MemorySession(Arc::clone(&line)))));
        MemoryPeer(line)
    }

    /// Answers with an error.
    pub fn refuse(self, error: OpenError) {
        drop(self.answer.send(Err(error)));
    }

    /// Waits until the `open` is given up, by its deadline or its caller.
    pub async fn abandoned(&mut self) {
        self.answer.closed().await;
    }
}

/// The server's end of an open session. Dropped, it is a lost connection.
#[derive(Debug)]
pub struct MemoryPeer(Arc<Line>);

impl MemoryPeer {
    /// Sends one frame with a `notification` event, whose second argument is `argument`: JSON text, read as
    /// [`Notification::parse`] does. What is no notification, or above the limit, ends the session.
    pub fn notify(&self, argument: &str) {
        if let Err(ended) = self.0.inbox.frame(argument, self.0.frame_bytes) {
            self.end(ended);
        }
    }

    /// Leaves the namespace, as a server does when it is done.
    pub fn leave(&self) {
        self.end(Ended { by: Who::Server, why: Why::Disconnect });
    }

    /// Ends the session in any other way. A first end stays.
    pub fn end(&self, ended: Ended) {
        self.0.inbox.end(ended);
        self.0.close(Farewell::Ended);
    }

    /// Whether the session stands.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.0.farewell.borrow().is_none()
    }

    /// Waits until the session is closed, and says how. Cancel safe.
    pub async fn closed(&self) -> Farewell {
        let mut farewell = self.0.farewell.subscribe();
        // An error means that its sender is gone, and this peer holds it.
        let closed = farewell.wait_for(Option::is_some).await;
        closed.ok().and_then(|farewell| *farewell).unwrap_or(Farewell::Dropped)
    }
}

impl Drop for MemoryPeer {
    fn drop(&mut self) {
        self.end(Ended { by: Who::Network, why: Why::Closed });
    }
}

/// How a session came to be closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Farewell {
    /// The client said goodbye, with [`Session::close`].
    Goodbye,
    /// The client dropped it.
    Dropped,
    /// It had ended before, by what the server sent or did.
    Ended,
}

/// What the two ends of a session share.
#[derive(Debug)]
struct Line {
    inbox: Inbox,
    farewell: watch::Sender<Option<Farewell>>,
    frame_bytes: usize,
}

impl Line {
    /// A first farewell stays.
    fn close(&self, how: Farewell) {
        self.farewell.send_if_modified(|said| said.is_none() && said.replace(how).is_none());
    }
}

#[async_trait]
impl Transport for Memory {
    async fn open(&self, url: &NotificationUrl, limits: &Limits) -> Result<Box<dyn Session>, OpenError> {
        let (answer, answered) = oneshot::channel();
        let opening = MemoryOpening { url: url.clone(), limits: limits.clone(), answer };
        let attempt = async {
            let refused = |_| OpenError::Retry { reason: "connection refused".into() };
            self.openings.send(opening).await.map_err(refused)?;
            answered.await.unwrap_or_else(|_| Err(OpenError::Retry { reason: "connection closed in the handshake".into() }))
        };
        let session = timeout(limits.open, attempt).await.unwrap_or_else(|_| Err(OpenError::no_answer(limits)))?;
        Ok(Box::new(session))
    }
}

#[derive(Debug)]
struct MemorySession(Arc<Line>);

#[async_trait]
impl Session for MemorySession {
    async fn recv(&mut self, out: &mut Vec<Notification>, max: NonZeroUsize) -> Result<(), Ended> {
        self.0.inbox.recv(out, max).await
    }

    fn take_merged(&mut self) -> u64 {
        self.0.inbox.take_merged()
    }

    /// 25 s, socket.io's default.
    fn ping_interval(&self) -> Duration {
        Duration::from_secs(25)
    }

    async fn close(self: Box<Self>, _within: Duration) {
        self.0.close(Farewell::Goodbye);
    }
}

impl Drop for MemorySession {
    fn drop(&mut self) {
        self.0.close(Farewell::Dropped);
    }
}
