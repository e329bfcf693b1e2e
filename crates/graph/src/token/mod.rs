//! Access tokens and where they come from.

mod claims;
mod command;
mod env;
mod file;

use std::fmt;
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use secrecy::{ExposeSecret, SecretString};

use claims::Claims;

use crate::login::LoginError;
pub use command::CommandToken;
pub use env::EnvToken;
pub use file::FileToken;

/// Gives the token that a request is sent with. Asked before every request, so a source caches what is dear.
///
/// **Cancel safe:** a dropped future has changed nothing that a later call relies on.
///
/// An [`AccessToken`] is its own source: `Arc::new(AccessToken::new("…")?)`.
#[async_trait]
pub trait TokenSource: fmt::Debug + Send + Sync {
    /// The token to use now.
    ///
    /// `refused` is the token that Graph has just answered with 401: a source that keeps a copy looks further than that copy. When it
    /// has nothing else it may give the same token again; the caller then says that sign-in is needed, and does not ask a third time.
    ///
    /// # Errors
    /// [`TokenError`] where there is no token that could be sent.
    async fn token(&self, refused: Option<&AccessToken>) -> Result<AccessToken, TokenError>;
}

/// A token that Graph may take: never empty, fit for a header, and not an application's.
///
/// A work account's token is a JWT, and its payload is read without verifying it, for its scopes and its expiry alone; a personal
/// account's token is opaque, and nothing is guessed about it. Prints as `AccessToken(…)`.
#[derive(Clone)]
pub struct AccessToken {
    secret: SecretString,
    scopes: Option<Vec<String>>,
    expires: Option<Timestamp>,
}

impl AccessToken {
    /// The longest token taken, in bytes.
    pub const MAX: usize = 64 * 1024;

    /// From a token's text; white space around it is dropped.
    ///
    /// # Errors
    /// [`TokenError::Empty`], [`TokenError::TooLong`], [`TokenError::Characters`], and [`TokenError::ApplicationOnly`] for a JWT with
    /// `roles` (or `idtyp` `app`) and no `scp`: Graph offers the endpoint with delegated permission only.
    pub fn new(written: &str) -> Result<Self, TokenError> {
        let written = written.trim();
        if written.is_empty() {
            return Err(TokenError::Empty);
        }
        if written.len() > Self::MAX {
            return Err(TokenError::TooLong);
        }
        if !written.bytes().all(|b| (0x21..0x7f).contains(&b)) {
            return Err(TokenError::Characters);
        }
        let claims = Claims::of(written).unwrap_or_default();
        if claims.is_application() {
            return Err(TokenError::ApplicationOnly);
        }
        Ok(Self { expires: claims.expires(), scopes: claims.scopes(), secret: written.to_owned().into() })
    }

    /// The delegated permissions in it (`scp`). `None` for an opaque token: unknown, not empty.
    #[must_use]
    pub fn scopes(&self) -> Option<&[String]> {
        self.scopes.as_deref()
    }

    /// When it expires, where it says so.
    #[must_use]
    pub fn expires(&self) -> Option<Timestamp> {
        self.expires
    }

    /// The token. A secret: for the `Authorization` header alone.
    #[must_use]
    pub fn expose(&self) -> &str {
        self.secret.expose_secret()
    }
}

#[async_trait]
impl TokenSource for AccessToken {
    async fn token(&self, _refused: Option<&AccessToken>) -> Result<AccessToken, TokenError> {
        Ok(self.clone())
    }
}

impl PartialEq for AccessToken {
    fn eq(&self, other: &Self) -> bool {
        self.expose() == other.expose()
    }
}

impl Eq for AccessToken {}

impl fmt::Debug for AccessToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AccessToken(…)")
    }
}

/// Why there is no token to send. No variant holds any part of one.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    /// Nothing, or white space only.
    #[error("the access token is empty")]
    Empty,
    /// Above [`AccessToken::MAX`].
    #[error("the access token is longer than 64 KiB")]
    TooLong,
    /// White space inside, control characters or non-ASCII: it would not be one header value.
    #[error("the access token contains characters that no token has; give the bare token, without `Bearer` and on one line")]
    Characters,
    /// An application's own token. Exit code 77.
    #[error(
        "Application: Not supported (the token is an application's own; Graph gives this endpoint to a signed-in person only)"
    )]
    ApplicationOnly,
    /// The environment has no such variable.
    #[error("the environment variable {0} is not set")]
    NotSet(String),
    /// The file could not be read.
    #[error("the token file {path} cannot be read")]
    File {
        /// Which.
        path: String,
        /// Why.
        source: std::io::Error,
    },
    /// The command could not be started.
    #[error("the command {program:?} cannot be run")]
    Spawn {
        /// Which.
        program: String,
        /// Why.
        source: std::io::Error,
    },
    /// The command said that it failed. Its output is not repeated: it could hold a token.
    #[error("the command {program:?} failed ({status}); run it in a terminal to see why")]
    Exit {
        /// Which.
        program: String,
        /// Its exit status, in words.
        status: String,
    },
    /// The command took too long and was ended.
    #[error("the command {program:?} did not finish within {} s", within.as_secs())]
    TimedOut {
        /// Which.
        program: String,
        /// The limit.
        within: Duration,
    },
    /// The command's JSON has no `accessToken`.
    #[error("the command {program:?} printed JSON without a string `accessToken`")]
    NoAccessToken {
        /// Which.
        program: String,
    },
    /// A login gives none. [`LoginError`] says what a person does, or that it passes.
    #[error("login {name:?}: {why}")]
    Login {
        /// Which.
        name: String,
        /// Why.
        why: LoginError,
    },
    /// A source of the user's own has none; its words.
    #[error("{0}")]
    Other(String),
}

/// The wall clock, read here and nowhere else in tokens and logins.
pub(crate) fn wall() -> Timestamp {
    Timestamp::now()
}

#[cfg(test)]
mod tests {
    use base64::Engine;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;

    use super::*;

    fn jwt(payload: &str) -> String {
        let part = |text: &str| URL_SAFE_NO_PAD.encode(text);
        format!("{}.{}.{}", part(r#"{"alg":"RS256","typ":"JWT"}"#), part(payload), part("signature"))
    }

    #[test]
    fn a_token_is_fit_for_a_header_or_refused_in_clear_words() {
        let check = |written: &str, want: Result<&str, &str>| {
            let got = AccessToken::new(written);
            assert_eq!(
                got.as_ref().map(AccessToken::expose).map_err(|e| e.to_string().chars().take(24).collect()),
                want.map_err(|e| e.chars().take(24).collect::<String>()),
                "{written:?}"
            );
        };
        check(" EwB4A8l6BAAU\n", Ok("EwB4A8l6BAAU"));
        check("t!*$%~", Ok("t!*$%~"));
        check("", Err("the access token is empty"));
        check(" \r\n", Err("the access token is empty"));
        check("Bearer abc", Err("the access token contains characters"));
        check("a\r\nX-Evil: 1", Err("the access token contains characters"));
        check("tökén", Err("the access token contains characters"));
        check(&"a".repeat(AccessToken::MAX + 1), Err("the access token is longer"));
    }

    #[test]
    fn an_applications_token_is_refused_and_nothing_is_guessed_about_an_opaque_one() {
        let check = |written: &str, want: Option<Option<&[&str]>>| {
            let got = AccessToken::new(written);
            match (&got, want) {
                (Err(TokenError::ApplicationOnly), None) => {}
                (Ok(token), Some(want)) => {
                    let scopes: Option<Vec<&str>> = token.scopes().map(|s| s.iter().map(String::as_str).collect());
                    assert_eq!(scopes.as_deref(), want, "{written}");
                }
                _ => panic!("{written}: {got:?}"),
            }
        };
        check(&jwt(r#"{"roles":["Files.Read.All"]}"#), None);
        check(&jwt(r#"{"idtyp":"app"}"#), None);
        check(&jwt(r#"{"roles":["Files.Read.All"],"scp":""}"#), None);
        check(&jwt(r#"{"scp":"Files.Read User.Read"}"#), Some(Some(&["Files.Read", "User.Read"])));
        check(&jwt(r#"{"roles":["Contoso.Admin"],"scp":"Files.Read"}"#), Some(Some(&["Files.Read"])));
        check(&jwt(r#"{"sub":"x"}"#), Some(None));
        check(&jwt("[]"), Some(None));
        check(&jwt(r#"{"roles":7,"scp":["a"],"exp":"soon"}"#), Some(None));
        check("EwB4A8l6BAAUO9chh8cJscQLmU", Some(None));
        check("a.b.c", Some(None));
        check("..", Some(None));
        check("a.!.c.d", Some(None));
        let words = AccessToken::new(&jwt(r#"{"roles":["x"]}"#)).err().map(|e| e.to_string());
        assert!(words.is_some_and(|w| w.starts_with("Application: Not supported")));
    }

    #[test]
    fn a_jwts_expiry_is_read_and_an_absurd_one_is_not() {
        let expires = |payload: &str| AccessToken::new(&jwt(payload)).ok().and_then(|t| t.expires());
        assert_eq!(expires(r#"{"exp":1766546770}"#), "2025-12-24T03:26:10Z".parse().ok());
        assert_eq!(expires(r#"{"exp":1e300}"#), None);
        assert_eq!(expires(r#"{"exp":9223372036854775807}"#), None);
    }

    #[test]
    fn a_token_does_not_print() {
        let token = AccessToken::new("EwB4A8l6BAAUO9").expect("a token");
        assert_eq!(format!("{token:?}"), "AccessToken(…)");
    }
}
