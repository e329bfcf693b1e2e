use std::fmt;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};

use super::application::Application;
use crate::base_url::BaseUrl;
use crate::token::AccessToken;

/// What is kept of a sign-in. Its tokens do not print.
#[derive(Clone)]
pub struct Login {
    /// What signed in, and where it is renewed.
    pub application: Application,
    /// The Graph that its tokens are for: they are shown to no other.
    pub graph: BaseUrl,
    /// Who, as Graph calls them; `None` where Graph did not say.
    pub user: Option<String>,
    /// The permissions that were given.
    pub scopes: Vec<String>,
    /// When the person signed in.
    pub signed_in: Timestamp,
    /// When the access token was given, by this machine's clock.
    pub issued: Timestamp,
    /// When it expires, by this machine's clock.
    pub expires: Timestamp,
    pub(super) access: AccessToken,
    pub(super) refresh: Option<SecretString>,
}

impl Login {
    /// How early a token is renewed, at most.
    const EARLY: Duration = Duration::from_secs(300);

    /// Whether it can renew itself.
    #[must_use]
    pub fn renews(&self) -> bool {
        self.refresh.is_some()
    }

    /// The token that was given last, good or not.
    #[must_use]
    pub fn access(&self) -> &AccessToken {
        &self.access
    }

    /// Whether the token is over. The server has the last word; this only spares a request that would be refused.
    #[must_use]
    pub fn is_over(&self, now: Timestamp) -> bool {
        now >= self.expires
    }

    /// Whether it is time for a new token: five minutes before the end, or in the last quarter of a shorter life.
    #[must_use]
    pub fn is_due(&self, now: Timestamp) -> bool {
        let life = self.expires.duration_since(self.issued).max(SignedDuration::ZERO);
        let early = (life / 4).min(SignedDuration::try_from(Self::EARLY).unwrap_or(SignedDuration::ZERO));
        self.expires.checked_sub(early).is_ok_and(|due| now >= due)
    }
}

impl fmt::Debug for Login {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Login").field("user", &self.user).field("expires", &self.expires).finish_non_exhaustive()
    }
}

/// The record as it is written down. Version 1.
#[derive(Serialize, Deserialize)]
pub(super) struct Written {
    version: u32,
    #[serde(flatten)]
    application: Application,
    graph: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    user: Option<String>,
    granted: Vec<String>,
    signed_in: Timestamp,
    issued: Timestamp,
    expires: Timestamp,
    access_token: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    refresh_token: Option<String>,
}

/// The version alone: all that is promised of a newer one.
#[derive(Deserialize)]
pub(super) struct Version {
    pub(super) version: u32,
}

impl Written {
    pub(super) const VERSION: u32 = 1;
}

/// What a file says whose login is in the keyring: nothing secret. Version 2, so that a drivetap that knows no keyring says so.
#[derive(Serialize, Deserialize)]
pub(super) struct Marker {
    version: u32,
    /// The name there of what [`Written`] is.
    pub(super) keyring: String,
    /// To sign in as the last time, when the keyring has forgotten.
    #[serde(flatten)]
    pub(super) application: Application,
    pub(super) graph: String,
}

impl Marker {
    pub(super) const VERSION: u32 = 2;

    pub(super) fn new(keyring: String, login: &Login) -> Self {
        Self { version: Self::VERSION, keyring, application: login.application.clone(), graph: login.graph.to_string() }
    }
}

impl From<&Login> for Written {
    fn from(login: &Login) -> Self {
        Self {
            version: Self::VERSION,
            application: login.application.clone(),
            graph: login.graph.to_string(),
            user: login.user.clone(),
            granted: login.scopes.clone(),
            signed_in: login.signed_in,
            issued: login.issued,
            expires: login.expires,
            access_token: login.access.expose().to_owned(),
            refresh_token: login.refresh.as_ref().map(|token| token.expose_secret().to_owned()),
        }
    }
}

impl Written {
    /// `None` where a part makes no sense.
    pub(super) fn read(self) -> Option<Login> {
        Some(Login {
            application: self.application,
            graph: self.graph.parse().ok()?,
            user: self.user,
            scopes: self.granted,
            signed_in: self.signed_in,
            issued: self.issued,
            expires: self.expires,
            access: AccessToken::new(&self.access_token).ok()?,
            refresh: self.refresh_token.map(SecretString::from),
        })
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::super::application::Scope;
    use super::*;

    pub(in super::super) fn login() -> Login {
        Login {
            application: Application {
                login_url: "https://login.microsoftonline.com".parse().expect("a URL"),
                tenant: "common".parse().expect("a tenant"),
                client_id: "an-app".parse().expect("an id"),
                scopes: Scope::defaults(),
            },
            graph: BaseUrl::default(),
            user: Some("Adele Vance".to_owned()),
            scopes: vec!["Files.Read".to_owned()],
            signed_in: at("2026-01-01T00:00:00Z"),
            issued: at("2026-01-01T00:00:00Z"),
            expires: at("2026-01-01T01:00:00Z"),
            access: AccessToken::new("EwB4-access").expect("a token"),
            refresh: Some("M.C5-refresh".to_owned().into()),
        }
    }

    fn at(text: &str) -> Timestamp {
        text.parse().expect("a time")
    }

    #[test]
    fn a_token_is_due_five_minutes_before_its_end_or_in_the_last_quarter_of_a_short_life() {
        let mut login = login();
        assert!(!login.is_due(at("2026-01-01T00:54:59Z")));
        assert!(login.is_due(at("2026-01-01T00:55:00Z")) && !login.is_over(at("2026-01-01T00:55:00Z")));
        assert!(login.is_over(at("2026-01-01T01:00:00Z")));
        login.expires = at("2026-01-01T00:00:04Z");
        assert!(!login.is_due(at("2026-01-01T00:00:02Z")) && login.is_due(at("2026-01-01T00:00:03Z")));
        login.issued = at("2027-01-01T00:00:00Z");
        assert!(login.is_due(at("2026-01-01T00:00:04Z")), "a clock that was set back does no harm");
    }

    #[test]
    fn a_login_is_read_as_it_was_written_and_does_not_print_its_tokens() {
        let login = login();
        let text = serde_json::to_string(&Written::from(&login)).expect("JSON");
        let read = serde_json::from_str::<Written>(&text).expect("JSON").read().expect("a login");
        assert_eq!((&read.application, &read.graph, &read.user), (&login.application, &login.graph, &login.user));
        assert_eq!((read.access(), read.renews(), read.expires), (login.access(), true, login.expires));
        let printed = format!("{login:?}");
        assert!(!printed.contains("EwB4") && !printed.contains("M.C5"), "{printed}");
    }
}
