//! A socket.io session behind a trait: one attempt, one session.
//!
//! A transport never retries, never sleeps, never logs a URL. Everything a server sends is input: it can end a session, never the process.

use std::fmt;
use std::num::NonZeroUsize;
use std::time::Duration;

use async_trait::async_trait;
use drivetap_core::{Notification, NotificationUrl};

/// Opens sessions.
#[async_trait]
pub trait Transport: Send + Sync {
    /// One attempt, within `limits.open`: the socket is up, the handshake is done, the namespace is joined.
    ///
    /// Dropping the future closes the socket.
    ///
    /// # Errors
    /// [`OpenError`] says what the caller does next.
    async fn open(&self, url: &NotificationUrl, limits: &Limits) -> Result<Box<dyn Session>, OpenError>;
}

/// An open session. Dropping it closes the socket.
#[async_trait]
pub trait Session: Send {
    /// Waits for one notification, then takes what is ready, up to `max`, and appends it to `out` in the order of arrival.
    ///
    /// **Cancel safe:** a dropped future has taken nothing that is not in `out`. Heartbeats run inside the session, whether or not anyone
    /// is in `recv`.
    ///
    /// # Errors
    /// [`Ended`], once everything that arrived before the end was handed out. Further calls return it again.
    async fn recv(&mut self, out: &mut Vec<Notification>, max: NonZeroUsize) -> Result<(), Ended>;

    /// How long this session may stay silent before its transport ends it: the server's `pingInterval`.
    fn ping_interval(&self) -> Duration;

    /// Leaves the namespace and closes the socket; after `within` it is closed without goodbye.
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
}

impl Default for Limits {
    fn default() -> Self {
        Self { open: Duration::from_secs(15), frame_bytes: 1024 * 1024, ping_ceiling: Duration::from_secs(120) }
    }
}

/// Why a session could not be opened, named for what the caller does next.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OpenError {
    /// The server refused this endpoint: ask Graph for a new one.
    #[error("the endpoint was refused: {reason}")]
    Refetch {
        /// What the server said, or did.
        reason: String,
    },
    /// The network's fault: try again.
    #[error("{reason}")]
    Retry {
        /// What happened.
        reason: String,
    },
    /// The transport has no room for another session: try again after that time.
    #[error("no room for another session")]
    Busy {
        /// How long to wait.
        after: Duration,
    },
    /// This transport can never open this URL.
    #[error("{0}")]
    Unusable(String),
}

/// The end of a session.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{why} ({by})")]
pub struct Ended {
    /// Whose doing it was.
    pub by: Who,
    /// What it was.
    pub why: Why,
}

/// Whose doing the end of a session was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Who {
    /// The server said goodbye, or sent what ends a session.
    Server,
    /// Something between here and there.
    Network,
    /// This side: a limit, or a fault in the transport.
    Us,
}

impl fmt::Display for Who {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Server => "by the server",
            Self::Network => "by the network",
            Self::Us => "by us",
        })
    }
}

/// What the end of a session was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Why {
    /// The namespace was left (`41`) or the engine closed (`1`).
    Disconnect,
    /// The socket was closed or lost.
    Closed,
    /// No ping within the liveness deadline.
    Silent,
    /// A frame above [`Limits::frame_bytes`].
    TooLarge,
    /// A frame that is not engine.io, socket.io or a notification; the word says what it was.
    Malformed(String),
    /// The transport's own fault (a panic in what it wraps); the word says what it was.
    Internal(String),
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Disconnect => f.write_str("disconnected"),
            Self::Closed => f.write_str("connection closed"),
            Self::Silent => f.write_str("no ping in time"),
            Self::TooLarge => f.write_str("a frame above the limit"),
            Self::Malformed(what) => write!(f, "malformed frame: {what}"),
            Self::Internal(what) => write!(f, "internal error: {what}"),
        }
    }
}
