use std::num::NonZeroUsize;
use std::time::Duration;

use async_trait::async_trait;
use drivetap_core::{Notification, NotificationUrl};

use crate::{Ended, OpenError};

/// Opens sessions.
#[async_trait]
pub trait Transport: Send + Sync {
    /// One attempt, within `limits.open`: the socket is up, the handshake is done, the namespace is joined.
    ///
    /// **Cancel safe:** dropping the future closes the socket.
    ///
    /// # Errors
    /// [`OpenError`] says what the caller does next.
    async fn open(&self, url: &NotificationUrl, limits: &Limits) -> Result<Box<dyn Session>, OpenError>;
}

/// An open session. Dropping it closes the socket, without goodbye.
#[async_trait]
pub trait Session: Send {
    /// Waits for one notification, then takes what is ready, up to `max`, and appends it to `out` in the order of arrival.
    ///
    /// **Cancel safe:** a dropped future has taken nothing that is not in `out`. Heartbeats run inside the session, whether or not anyone
    /// is in `recv`. What arrives meanwhile waits in a bounded queue; [`take_merged`](Self::take_merged) has the rule for full.
    ///
    /// # Errors
    /// [`Ended`], once everything that arrived before the end was handed out. Further calls return it again.
    async fn recv(&mut self, out: &mut Vec<Notification>, max: NonZeroUsize) -> Result<(), Ended>;

    /// How many notifications were merged into those handed out since the last call.
    ///
    /// A full queue must not stop the heartbeats, so it cannot make the server wait: the oldest waiting notifications give way to the
    /// newest, and are counted here. Nothing is lost by it, for a notification only says *that* a drive changed, and each one that
    /// is handed out says it again. Received = handed out + merged.
    fn take_merged(&mut self) -> u64;

    /// The server's `pingInterval`; what the transport assumes for it where it cannot know. A reader that has no room should wait for a
    /// quarter of it at most before it merges.
    fn ping_interval(&self) -> Duration;

    /// After the end: how long ago the server was last heard, in anything it sent. A connection can be dead for a while before that shows,
    /// and what the server sent meanwhile is missed. Zero while the session stands, and where the transport cannot tell.
    fn silence(&self) -> Duration {
        Duration::ZERO
    }

    /// Leaves the namespace and closes the socket; after `within` it is closed without goodbye. What still waits is dropped: who
    /// wants it calls [`recv`](Self::recv) until it is quiet. A session may hand over in batches, with a moment between them.
    async fn close(self: Box<Self>, within: Duration);
}

/// What a session may cost.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// For [`Transport::open`] as a whole. Default 15 s.
    pub open: Duration,
    /// The largest frame taken, in bytes. Default 1 MiB; the service's are some hundred bytes.
    pub frame_bytes: usize,
    /// The longest liveness deadline taken from a server's `pingInterval + pingTimeout`. Default 120 s.
    pub ping_ceiling: Duration,
    /// This session takes the place of an open one, which is closed once this one stands: it is never [`OpenError::Busy`]. Default false.
    pub renewal: bool,
}

impl Default for Limits {
    fn default() -> Self {
        Self { open: Duration::from_secs(15), frame_bytes: 1024 * 1024, ping_ceiling: Duration::from_secs(120), renewal: false }
    }
}
