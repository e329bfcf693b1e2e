use std::error::Error as _;
use std::time::Duration;

use drivetap_core::{Failure, Link, Remedy, RequestId, SubscriptionError};

use super::answer::AnswerFault;
use crate::token::TokenError;

/// What a request is for; it decides what an error means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum What {
    Endpoint,
    Drive,
    /// A page of delta from the root, or `token=latest`.
    Page,
    /// A page of delta by a link that Graph gave.
    Cursor,
    Look,
}

/// Why a request has no answer. Nothing in it or in its words holds a URL, a token or a body.
#[derive(Debug, thiserror::Error)]
pub(super) enum Error {
    #[error(transparent)]
    Token(#[from] TokenError),
    #[error("{}", network_words(.0))]
    Network(reqwest::Error),
    #[error("{}", .0.code())]
    Refused(Refused),
    #[error(transparent)]
    Answer(#[from] AnswerFault),
    #[error(transparent)]
    Subscription(#[from] SubscriptionError),
    #[error("the stored cursor is not under base_url's version prefix, so it is not used")]
    ForeignCursor,
}

/// An answer with another status than 200.
#[derive(Debug, Default)]
pub(super) struct Refused {
    pub(super) status: u16,
    /// Graph's codes, outer first.
    pub(super) codes: Vec<String>,
    pub(super) retry_after: Option<Duration>,
    pub(super) location: Option<Link>,
    /// `WWW-Authenticate` asks for claims that the token does not have: a conditional-access policy.
    pub(super) claims: bool,
    /// As the body says it. The header comes first.
    pub(super) request_id: Option<RequestId>,
}

impl Error {
    /// Whether the connection should not be used again.
    pub(super) fn spends_connection(&self) -> bool {
        match self {
            Self::Refused(refused) => refused.status == 503,
            Self::Network(error) => error.is_timeout(),
            _ => false,
        }
    }

    pub(super) fn is_unauthorized(&self) -> bool {
        matches!(self, Self::Refused(Refused { status: 401, .. }))
    }

    /// What the caller does next.
    pub(super) fn failure(&self, what: What) -> Failure {
        let remedy = match self {
            Self::Refused(refused) => refused.remedy(what),
            // The source said nothing in time; it may the next time. Everything else needs a person.
            Self::Token(TokenError::TimedOut { .. }) => Remedy::Retry { after: None },
            Self::Token(TokenError::Login { why, .. }) if why.passes() => Remedy::Retry { after: None },
            Self::Token(_) => Remedy::SignIn,
            Self::Network(_) | Self::Answer(_) => Remedy::Retry { after: None },
            Self::Subscription(SubscriptionError::NotAnObject) => Remedy::Retry { after: None },
            // A place that is not dialled stays one until the configuration or Graph changes; so does a cursor of another base URL.
            Self::Subscription(_) | Self::ForeignCursor => Remedy::RetrySlowly { after: None },
        };
        // Some of the words name a host that came from outside.
        Failure::new(remedy, self.to_string().chars().take(200).collect::<String>())
    }
}

impl Refused {
    /// Every spelling of "this cursor is no longer known": the delta page's, the errors page's, and the ones seen in the wild
    /// (OneDrive/onedrive-api-docs#1356). With a 410 any code will do.
    const RESYNC: [&str; 6] = [
        "resyncRequired",
        "resyncChangesApplyDifferences",
        "resyncChangesUploadDifferences",
        "resyncApplyDifferences",
        "resyncUploadDifferences",
        "syncStateNotFound",
    ];

    fn remedy(&self, what: What) -> Remedy {
        let after = self.retry_after;
        let says = |known: &[&str]| self.codes.iter().any(|code| known.iter().any(|known| known.eq_ignore_ascii_case(code)));
        let delta = matches!(what, What::Page | What::Cursor);
        match self.status {
            410 if delta => Remedy::Resync { location: self.location.clone() },
            400..500 if delta && says(&Self::RESYNC) => Remedy::Resync { location: self.location.clone() },
            // "The provided token is not valid" comes under several codes; `notSupported` is said of the drive.
            400 if what == What::Cursor && !says(&["notSupported"]) => Remedy::RetryThenResync { after },
            401 => Remedy::SignIn,
            408 | 425 | 429 => Remedy::Retry { after },
            400..500 => Remedy::RetrySlowly { after },
            // 5xx, a redirect that is not followed, a 2xx that is no answer.
            _ => Remedy::Retry { after },
        }
    }

    /// The innermost code, which is the most exact; without one, the status.
    fn code(&self) -> String {
        match self.codes.last() {
            _ if self.claims => "insufficient_claims".to_owned(),
            Some(code) => code.clone(),
            None if (300..400).contains(&self.status) => format!("HTTP {} (redirects are not followed)", self.status),
            None => format!("HTTP {}", self.status),
        }
    }
}

/// A network fault in one line: what failed, and the innermost reason ("Connection refused", "invalid peer certificate: …"); which end it was
/// where a proxy is between.
pub(crate) fn network_words(error: &reqwest::Error) -> String {
    let failed = match (error.is_connect(), error.is_timeout()) {
        (true, true) => return "connect timeout".to_owned(),
        (false, true) => return "timeout".to_owned(),
        (true, false) => "connect",
        (false, false) if error.is_body() || error.is_decode() => "the answer broke off",
        (false, false) => "network",
    };
    let sources: Vec<String> = std::iter::successors(error.source(), |&outer| outer.source()).map(ToString::to_string).collect();
    // hyper-util's words: its type is private to it.
    let at_the_proxy = sources.iter().any(|source| source.starts_with(TUNNEL));
    match sources.last() {
        Some(reason) => {
            let reason = reason.strip_prefix(TUNNEL).unwrap_or(reason);
            let reason = if at_the_proxy && reason == "unsuccessful" { "it refuses to connect there" } else { reason };
            let reason: String = reason.chars().filter(|c| !c.is_control()).take(160).collect();
            let at = if at_the_proxy { "the proxy: " } else { "" };
            format!("{failed}: {at}{reason}")
        }
        None => failed.to_owned(),
    }
}

/// How each error of CONNECT begins.
const TUNNEL: &str = "tunnel error: ";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_status_has_its_remedy() {
        let after = Some(Duration::from_secs(7));
        let location = Link::new("/v1.0/drives/d/root/delta?token=new").ok();
        let check = |what, status, codes: &[&str], remedy: Remedy, code: &str| {
            let codes = codes.iter().map(|&c| c.to_owned()).collect();
            let refused = Refused { status, codes, retry_after: after, location: location.clone(), ..Refused::default() };
            let failure = Error::Refused(refused).failure(what);
            assert_eq!(failure, Failure::new(remedy, code), "{what:?} {status}");
        };
        let retry = || Remedy::Retry { after };
        let slowly = || Remedy::RetrySlowly { after };
        let resync = || Remedy::Resync { location: location.clone() };
        use What::{Cursor, Drive, Endpoint, Page};

        check(Endpoint, 429, &["activityLimitReached", "throttledRequest"], retry(), "throttledRequest");
        check(Endpoint, 503, &["serviceNotAvailable"], retry(), "serviceNotAvailable");
        check(Endpoint, 500, &[], retry(), "HTTP 500");
        check(Endpoint, 504, &[], retry(), "HTTP 504");
        check(Endpoint, 302, &[], retry(), "HTTP 302 (redirects are not followed)");
        check(Endpoint, 204, &[], retry(), "HTTP 204");
        check(Endpoint, 408, &[], retry(), "HTTP 408");
        check(Endpoint, 400, &["notSupported"], slowly(), "notSupported");
        check(Endpoint, 403, &["accessDenied"], slowly(), "accessDenied");
        check(Drive, 404, &["itemNotFound"], slowly(), "itemNotFound");
        check(Endpoint, 410, &[], slowly(), "HTTP 410");
        check(Endpoint, 400, &["resyncRequired"], slowly(), "resyncRequired");
        check(Endpoint, 401, &["InvalidAuthenticationToken"], Remedy::SignIn, "InvalidAuthenticationToken");
        check(Page, 401, &[], Remedy::SignIn, "HTTP 401");
        check(Page, 403, &["accessDenied"], slowly(), "accessDenied");
        check(Page, 404, &["itemNotFound"], slowly(), "itemNotFound");
        check(Page, 410, &[], resync(), "HTTP 410");
        check(Page, 410, &["somethingNew"], resync(), "somethingNew");
        check(Page, 410, &["resyncRequired", "resyncChangesApplyDifferences"], resync(), "resyncChangesApplyDifferences");
        check(Page, 410, &["resyncRequired"], resync(), "resyncRequired");
        check(Page, 410, &["resyncUploadDifferences"], resync(), "resyncUploadDifferences");
        check(Page, 400, &["resyncRequired"], resync(), "resyncRequired");
        check(Page, 404, &["SyncStateNotFound"], resync(), "SyncStateNotFound");
        check(Page, 400, &["invalidRequest", "resyncApplyDifferences"], resync(), "resyncApplyDifferences");
        check(Page, 400, &["invalidRequest"], slowly(), "invalidRequest");
        check(Page, 500, &["resyncRequired"], retry(), "resyncRequired");
        let not_accepted = || Remedy::RetryThenResync { after };
        check(Cursor, 400, &["invalidRequest"], not_accepted(), "invalidRequest");
        check(Cursor, 400, &["BadRequest", "invalidToken"], not_accepted(), "invalidToken");
        check(Cursor, 400, &[], not_accepted(), "HTTP 400");
        check(Cursor, 400, &["notSupported"], slowly(), "notSupported");
        check(Cursor, 400, &["resyncRequired"], resync(), "resyncRequired");
        check(Cursor, 410, &[], resync(), "HTTP 410");
        check(Cursor, 401, &[], Remedy::SignIn, "HTTP 401");
        check(Cursor, 403, &["accessDenied"], slowly(), "accessDenied");
        check(Cursor, 404, &["itemNotFound"], slowly(), "itemNotFound");
        check(Cursor, 429, &[], retry(), "HTTP 429");
        check(Cursor, 503, &[], retry(), "HTTP 503");
    }

    #[test]
    fn a_claims_challenge_is_named() {
        let refused = Refused { status: 401, codes: vec!["x".to_owned()], claims: true, ..Refused::default() };
        let failure = Error::Refused(refused).failure(What::Drive);
        assert_eq!(failure, Failure::new(Remedy::SignIn, "insufficient_claims"));
    }

    #[test]
    fn what_is_wrong_before_or_after_the_request_has_its_remedy_too() {
        let check = |error: Error, remedy: Remedy| assert_eq!(error.failure(What::Endpoint).remedy, remedy, "{error}");
        check(TokenError::ApplicationOnly.into(), Remedy::SignIn);
        check(TokenError::Empty.into(), Remedy::SignIn);
        let slow = TokenError::TimedOut { program: "az".to_owned(), within: Duration::from_secs(30) };
        check(slow.into(), Remedy::Retry { after: None });
        check(AnswerFault::Html.into(), Remedy::Retry { after: None });
        check(SubscriptionError::NotAnObject.into(), Remedy::Retry { after: None });
        check(SubscriptionError::NoUrl.into(), Remedy::RetrySlowly { after: None });
        check(Error::ForeignCursor, Remedy::RetrySlowly { after: None });
    }
}
