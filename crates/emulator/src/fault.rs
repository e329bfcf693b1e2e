//! Scripted answers: what the next requests get instead of the truth.

use std::{collections::VecDeque, time::Duration};

use serde::{Deserialize, Serialize};

use crate::{refused::LoginError, switches::Gone};

/// Faults that may wait at once; one more is refused.
const MAX_FAULTS: usize = 1_024;

/// Which requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Route {
    /// `…/subscriptions/socketIo`
    Endpoint,
    /// `/me/drive` and the like
    Drive,
    /// `…/root/delta`
    Delta,
    /// `/me/drives`, `/me/memberOf`, `/sites` and a site's `/lists`
    Browse,
    /// `/oauth2/v2.0/token` and `/devicecode`
    Token,
    /// `/oauth2/v2.0/authorize`
    Authorize,
    /// The websocket's upgrade at `/socket.io/`
    Socket,
    /// All of these
    #[default]
    Any,
}

/// One scripted answer. Faults form a queue: a request takes the first that fits its route.
///
/// ```
/// use drivetap_emulator::{Fault, Route};
/// use std::time::Duration;
///
/// // The next two delta requests are throttled, half a second late.
/// let fault = Fault::throttled(Route::Delta, 7).times(2).delayed(Duration::from_millis(500));
/// ```
///
/// As JSON, for the control API: `{"route":"delta","times":2,"answer":{"error":{"status":429,"code":
/// "activityLimitReached","retry_after_s":7}}}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fault {
    /// Which requests; any by default.
    #[serde(default)]
    pub route: Route,
    /// How many of them: 1 by default.
    #[serde(default = "once")]
    pub times: u32,
    /// Requests that pass unharmed before the first: 0 by default.
    #[serde(default)]
    pub after: u32,
    /// Time before the answer, in milliseconds: 0 by default.
    #[serde(default)]
    pub delay_ms: u64,
    /// The answer.
    pub answer: Answer,
}

/// What a faulty request gets.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Answer {
    /// Graph's JSON error body.
    Error {
        /// HTTP status.
        status: u16,
        /// `error.code`
        code: String,
        /// `Retry-After`, in seconds.
        #[serde(default)]
        retry_after_s: Option<u32>,
    },
    /// `410 Gone`.
    Gone(Gone),
    /// A refusal of the identity platform, in its words: on `Token` a body, on `Authorize` what the browser is sent on with.
    /// Elsewhere it is the truth.
    Login(LoginError),
    /// Any status, headers and body.
    Raw {
        /// HTTP status.
        status: u16,
        /// Header names and values.
        #[serde(default)]
        headers: Vec<(String, String)>,
        /// The body, as it is.
        #[serde(default)]
        body: String,
    },
    /// The truth; with a delay, the truth late.
    Truth,
    /// No answer as long as the client waits.
    Hang,
    /// The connection is reset.
    Reset,
}

impl Fault {
    /// An answer for the next request on `route`.
    pub fn new(route: Route, answer: Answer) -> Self {
        Self { route, times: 1, after: 0, delay_ms: 0, answer }
    }

    /// Graph's error body with `status` and `code`.
    pub fn error(route: Route, status: u16, code: &str) -> Self {
        Self::new(route, Answer::Error { status, code: code.to_owned(), retry_after_s: None })
    }

    /// `429` with `Retry-After`.
    pub fn throttled(route: Route, retry_after_s: u32) -> Self {
        Self::new(
            route,
            Answer::Error { status: 429, code: "activityLimitReached".to_owned(), retry_after_s: Some(retry_after_s) },
        )
    }

    /// `503 serviceNotAvailable`, with or without `Retry-After`.
    pub fn unavailable(route: Route, retry_after_s: Option<u32>) -> Self {
        Self::new(route, Answer::Error { status: 503, code: "serviceNotAvailable".to_owned(), retry_after_s })
    }

    /// `400 notSupported`, which some business accounts get for a while (abraunegg/onedrive#3637).
    pub fn not_supported() -> Self {
        Self::error(Route::Endpoint, 400, "notSupported")
    }

    /// A refusal of the token endpoint for the next request there.
    pub fn login(error: LoginError) -> Self {
        Self::new(Route::Token, Answer::Login(error))
    }

    /// `401` with a claims challenge: Graph wants a token that a policy has looked at again
    /// (<https://learn.microsoft.com/en-us/entra/identity-platform/claims-challenge>).
    pub fn claims_challenge(route: Route) -> Self {
        let challenge = "Bearer realm=\"\", authorization_uri=\"https://login.microsoftonline.com/common/oauth2/authorize\", \
                         error=\"insufficient_claims\", \
                         claims=\"eyJhY2Nlc3NfdG9rZW4iOnsibmJmIjp7ImVzc2VudGlhbCI6dHJ1ZSwidmFsdWUiOiIxNjA0MTA2NjUxIn19fQ==\"";
        Self::new(
            route,
            Answer::Raw {
                status: 401,
                headers: vec![
                    ("WWW-Authenticate".to_owned(), challenge.to_owned()),
                    ("Content-Type".to_owned(), "application/json".to_owned()),
                ],
                body: r#"{"error":{"code":"InvalidAuthenticationToken","message":"Continuous access evaluation resulted in challenge"}}"#
                    .to_owned(),
            },
        )
    }

    /// `410 Gone` for the next delta request.
    pub fn gone(gone: Gone) -> Self {
        Self::new(Route::Delta, Answer::Gone(gone))
    }

    /// A gateway's HTML page.
    pub fn html(route: Route, status: u16) -> Self {
        Self::new(
            route,
            Answer::Raw {
                status,
                headers: vec![("Content-Type".to_owned(), "text/html; charset=utf-8".to_owned())],
                body: "<!DOCTYPE html><html><head><title>Service Unavailable</title></head><body><h2>Our services aren't \
                       available right now</h2></body></html>"
                    .to_owned(),
            },
        )
    }

    /// A status and nothing else.
    pub fn empty(route: Route, status: u16) -> Self {
        Self::new(route, Answer::Raw { status, headers: Vec::new(), body: String::new() })
    }

    pub(crate) fn login_error(&self) -> Option<LoginError> {
        match self.answer {
            Answer::Login(error) => Some(error),
            _ => None,
        }
    }

    /// For so many requests.
    #[must_use]
    pub fn times(mut self, times: u32) -> Self {
        self.times = times;
        self
    }

    /// After so many unharmed requests.
    #[must_use]
    pub fn after(mut self, requests: u32) -> Self {
        self.after = requests;
        self
    }

    /// So much later than the truth would come.
    #[must_use]
    pub fn delayed(mut self, delay: Duration) -> Self {
        self.delay_ms = u64::try_from(delay.as_millis()).unwrap_or(u64::MAX);
        self
    }
}

fn once() -> u32 {
    1
}

/// The faults that wait.
#[derive(Debug, Default)]
pub(crate) struct Faults(VecDeque<Fault>);

impl Faults {
    /// False where too many wait already.
    pub(crate) fn push(&mut self, fault: Fault) -> bool {
        let room = self.0.len() < MAX_FAULTS;
        if room && fault.times > 0 {
            self.0.push_back(fault);
        }
        room
    }

    pub(crate) fn clear(&mut self) {
        self.0.clear();
    }

    pub(crate) fn waiting(&self) -> usize {
        self.0.len()
    }

    /// What a request on `route` gets instead of the truth.
    pub(crate) fn take(&mut self, route: Route) -> Option<Fault> {
        let at = self.0.iter().position(|fault| fault.route == route || fault.route == Route::Any)?;
        let fault = self.0.get_mut(at)?;
        if fault.after > 0 {
            fault.after -= 1;
            return None;
        }
        fault.times = fault.times.saturating_sub(1);
        if fault.times == 0 { self.0.remove(at) } else { Some(fault.clone()) }
    }
}

#[cfg(test)]
mod tests {
    use super::{Fault, Faults, Route};

    #[test]
    fn a_request_takes_the_first_fault_of_its_route_as_often_as_it_says() {
        let mut faults = Faults::default();
        faults.push(Fault::empty(Route::Delta, 500).times(2).after(1));
        faults.push(Fault::empty(Route::Any, 502));
        let mut taken = |route| faults.take(route).map(|fault| fault.answer);
        assert_eq!(taken(Route::Delta), None, "one passes unharmed");
        assert_eq!(taken(Route::Drive), Some(Fault::empty(Route::Any, 502).answer));
        assert_eq!(taken(Route::Delta), Some(Fault::empty(Route::Delta, 500).answer));
        assert_eq!(taken(Route::Delta), Some(Fault::empty(Route::Delta, 500).answer));
        assert_eq!(taken(Route::Delta), None);
    }
}
