//! What was asked of the emulator, for tests to read.

use std::{collections::VecDeque, fmt};

use jiff::Timestamp;
use serde::Serialize;

use crate::fault::Route;

/// Requests that are remembered; the oldest goes first.
const MAX_REQUESTS: usize = 10_000;

/// One request as it came in.
#[derive(Debug, Clone, Serialize)]
pub struct Request {
    /// Counts from 1 over the emulator's life.
    pub number: u64,
    /// Which connection it came on, counted from 0: two requests with one number shared it.
    pub connection: u64,
    /// When its head had been read.
    pub at: Timestamp,
    /// What it was for; `None` for a path that is not Graph's.
    pub route: Option<Route>,
    /// `GET` or `POST`.
    pub method: String,
    /// The path, not decoded.
    pub path: String,
    /// The query, not decoded; empty without one.
    pub query: String,
    /// The bearer token. It can be compared, and not printed.
    #[serde(skip)]
    pub bearer: Option<Secret>,
    /// The account whose token that is.
    pub account: Option<String>,
    /// Headers of interest (`Content-Type`, `User-Agent`, `client-request-id`, `deltaExcludeParent`, `Prefer`), names in
    /// lower case.
    pub headers: Vec<(String, String)>,
    /// The status it was answered with; `None` while it waits and after a reset.
    pub status: Option<u16>,
}

impl Request {
    /// The value of a header of interest.
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut headers = self.headers.iter();
        headers.find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }
}

/// A token. People point clients with real tokens at an emulator: nothing here prints one.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Secret(String);

impl Secret {
    /// Whether it is this one.
    pub fn is(&self, token: &str) -> bool {
        self.0 == token
    }
}

impl From<&str> for Secret {
    fn from(token: &str) -> Self {
        Self(token.to_owned())
    }
}

impl From<String> for Secret {
    fn from(token: String) -> Self {
        Self(token)
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// Counts since the start.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Stats {
    /// Requests to Graph, the token endpoint and the socket service.
    pub requests: u64,
    /// Changes made to drives.
    pub changes: u64,
    /// Notifications sent, over all sockets.
    pub notifications: u64,
    /// Notifications that found a socket's buffer full, or a schedule too long, and were not sent.
    pub dropped_notifications: u64,
    /// Sockets that entered the namespace since the start.
    pub joined: u64,
    /// Sockets in the namespace now.
    pub subscribers: usize,
    /// Websocket connections open now, in the namespace or not, the stalled ones included.
    pub open_sockets: usize,
    /// Faults that wait for their request.
    pub faults: usize,
}

#[derive(Debug, Default)]
pub(crate) struct Journal {
    requests: VecDeque<Request>,
    last: u64,
}

impl Journal {
    /// Writes the request down and returns its number.
    pub(crate) fn open(&mut self, mut request: Request) -> u64 {
        self.last += 1;
        request.number = self.last;
        if self.requests.len() == MAX_REQUESTS {
            self.requests.pop_front();
        }
        self.requests.push_back(request);
        self.last
    }

    pub(crate) fn close(&mut self, number: u64, status: u16) {
        if let Ok(at) = self.requests.binary_search_by_key(&number, |request| request.number)
            && let Some(request) = self.requests.get_mut(at)
        {
            request.status = Some(status);
        }
    }

    pub(crate) fn requests(&self) -> impl Iterator<Item = &Request> {
        self.requests.iter()
    }

    pub(crate) fn total(&self) -> u64 {
        self.last
    }
}
