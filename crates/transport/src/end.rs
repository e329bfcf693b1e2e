use std::fmt;
use std::time::Duration;

use crate::Limits;

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

impl OpenError {
    /// The system, or a limit of ours, has no room for one more.
    #[cfg(any(feature = "native", feature = "rust-socketio"))]
    pub(crate) const NO_ROOM: Self = Self::Busy { after: Duration::from_secs(10) };

    pub(crate) fn no_answer(limits: &Limits) -> Self {
        Self::Retry { reason: format!("no answer within {:?}", limits.open) }
    }
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
