use std::fmt;
use std::time::Duration;

use crate::delta::Link;

/// A request to Graph that did not succeed, reduced to what [`Feed`](crate::Feed) does next.
///
/// The HTTP client makes one of its error; its words are for logs, `remedy` decides.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// What to do next.
    pub remedy: Remedy,
    /// Graph's error code, the HTTP status or a word for a network fault: short, without secrets, for logs and status.
    pub code: String,
}

/// What helps against a [`Failure`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Remedy {
    /// It may pass by itself: back off, and never before `after` (`Retry-After`) where Graph named a time.
    Retry {
        /// `Retry-After`.
        after: Option<Duration>,
    },
    /// Only time or an administrator helps (`400 notSupported`, 403, 404): retry slowly, never give up.
    RetrySlowly {
        /// `Retry-After`.
        after: Option<Duration>,
    },
    /// Graph does not accept the cursor (400), as if it had never given it: retry slowly a few times, then enumerate as after a 410.
    RetryThenResync {
        /// `Retry-After`.
        after: Option<Duration>,
    },
    /// The token was refused and its source has no other: ask again when the source is read again.
    SignIn,
    /// `410 Gone`: the cursor is no longer known; enumerate from `location`, else from the root.
    Resync {
        /// Where Graph says that a fresh enumeration starts.
        location: Option<Link>,
    },
}

impl Failure {
    /// A failure that may pass by itself.
    #[must_use]
    pub fn retry(code: impl Into<String>) -> Self {
        Self { remedy: Remedy::Retry { after: None }, code: code.into() }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.code)
    }
}
