use std::fmt;
use std::time::Duration;

use crate::delta::Link;
use crate::request_id::RequestId;

/// A request to Graph that did not succeed, reduced to what [`Feed`](crate::Feed) does next.
///
/// The HTTP client makes one of its error; its words are for logs, `remedy` decides. A person reads it as it is displayed, `code` and
/// `request_id` together. What counts, compares or is published takes `code`: an id is another one each time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// What to do next.
    pub remedy: Remedy,
    /// Graph's error code, the HTTP status or a word for a network fault: short, without secrets, for logs and status.
    pub code: String,
    /// Graph's `request-id`, where Graph answered and named one: what Microsoft's support asks for.
    pub request_id: Option<RequestId>,
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
    /// A failure of a request that Graph gave no `request-id`.
    #[must_use]
    pub fn new(remedy: Remedy, code: impl Into<String>) -> Self {
        Self { remedy, code: code.into(), request_id: None }
    }

    /// A failure that may pass by itself.
    #[must_use]
    pub fn retry(code: impl Into<String>) -> Self {
        Self::new(Remedy::Retry { after: None }, code)
    }

    /// The same, of the request that Graph calls by this id.
    #[must_use]
    pub fn of_request(self, request_id: Option<RequestId>) -> Self {
        Self { request_id, ..self }
    }
}

/// `itemNotFound (request-id f267729a-ba8c-4b44-b7f4-4a3c64b5d6f2)`, or the code alone.
impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.code)?;
        match &self.request_id {
            Some(id) => write!(f, " (request-id {id})"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_person_reads_the_code_and_the_id_where_there_is_one() {
        let failure = Failure::new(Remedy::SignIn, "InvalidAuthenticationToken");
        assert_eq!(failure.to_string(), "InvalidAuthenticationToken");
        let failure = failure.of_request(RequestId::new("1a2b-3c"));
        assert_eq!(failure.to_string(), "InvalidAuthenticationToken (request-id 1a2b-3c)");
    }
}
