//! What servers and systems say, in our words. Never theirs: they may hold the URL.

use std::io;

use drivetap_core::NotificationUrl;
use serde_json::Value;

use crate::{Ended, OpenError, Why};

/// What an answer to the upgrade other than 101 asks for. `408`, `425`, `429` and `5xx` pass by themselves; any other `4xx` is about
/// this endpoint.
pub(crate) fn status(code: u16) -> OpenError {
    let reason = format!("HTTP status {code}");
    match code {
        408 | 425 | 429 => OpenError::Retry { reason },
        400..500 => OpenError::Refetch { reason },
        _ => OpenError::Retry { reason },
    }
}

/// What went wrong with a socket.
pub(crate) fn socket(error: &io::Error) -> &'static str {
    use io::ErrorKind as Kind;

    match error.kind() {
        Kind::ConnectionRefused => "connection refused",
        Kind::ConnectionReset | Kind::ConnectionAborted | Kind::BrokenPipe | Kind::UnexpectedEof => {
            "connection lost in the handshake"
        }
        Kind::TimedOut => "connection timed out",
        Kind::HostUnreachable | Kind::NetworkUnreachable | Kind::NetworkDown => "network unreachable",
        // std's resolver has no kind of its own for it.
        _ if error.to_string().starts_with("failed to lookup address") => "the host name was not found",
        _ => "connection failed",
    }
}

/// What an end in the middle of the handshake asks for.
pub(crate) fn ended_early(ended: &Ended) -> OpenError {
    match ended {
        Ended { why: Why::Disconnect, .. } => {
            OpenError::Refetch { reason: "the server left the namespace in the handshake".into() }
        }
        ended => OpenError::Retry { reason: format!("{ended} in the handshake") },
    }
}

/// What a server said when it refused the namespace: `{"message":…}`, as far as it can be shown. Long words and whatever repeats a value
/// of the URL's query are left out, for a server may well answer with the token that it did not like.
pub(crate) fn connect_error(data: &str, url: &NotificationUrl) -> String {
    let said = serde_json::from_str::<Value>(data).ok();
    let message = said.as_ref().and_then(|said| said.get("message")?.as_str()).unwrap_or_default();
    let secrets: Vec<&str> = url.expose_query().split('&').filter_map(|pair| Some(pair.split_once('=')?.1)).collect();
    let secret = |word: &str| {
        let core = word.trim_matches(|c: char| !c.is_alphanumeric());
        word.chars().count() > 24
            || secrets.iter().any(|value| core.len() >= 4 && value.contains(core) || value.len() >= 4 && word.contains(value))
    };
    let plain = |word: &str| word.chars().all(|c| c.is_alphanumeric() || c.is_ascii_graphic());
    let shown: Vec<&str> =
        message.split_whitespace().take(16).map(|word| if plain(word) && !secret(word) { word } else { "…" }).collect();
    match shown.join(" ") {
        shown if shown.is_empty() => "the namespace was refused".to_owned(),
        shown => format!("the namespace was refused: {shown}"),
    }
}

pub(crate) fn retry(reason: &str) -> OpenError {
    OpenError::Retry { reason: reason.to_owned() }
}

#[cfg(test)]
mod tests {
    use drivetap_core::NotificationHosts;

    use super::*;

    #[test]
    fn a_refusal_never_repeats_the_query() {
        let url = NotificationUrl::parse(
            "https://a.svc.ms/notifications?token=s3cr3t-t0ken&applicationId=0f1e2d3c",
            &NotificationHosts::default(),
        )
        .unwrap();
        let cases = [
            (r#"{"message":"Invalid token"}"#, "the namespace was refused: Invalid token"),
            (r#"{"message":"bad token s3cr3t-t0ken."}"#, "the namespace was refused: bad token …"),
            (r#"{"message":"token=s3cr3t-t0ken is bad"}"#, "the namespace was refused: … is bad"),
            (r#"{"message":"app 2d3c: gone"}"#, "the namespace was refused: app … gone"),
            (r#"{"message":"eyJ0eXAiOiJKV1QiLCJhbGciOiJSUzI1NiJ9"}"#, "the namespace was refused: …"),
            ("{\"message\":\"red \\u001b[31m \\u202e\"}", "the namespace was refused: red … …"),
            (r#"{"message":7}"#, "the namespace was refused"),
            ("not JSON", "the namespace was refused"),
        ];
        for (data, shown) in cases {
            assert_eq!(connect_error(data, &url), shown, "{data}");
        }
    }

    #[test]
    fn an_http_status_says_what_comes_next() {
        for code in [400, 401, 403, 404, 410] {
            assert_eq!(status(code), OpenError::Refetch { reason: format!("HTTP status {code}") });
        }
        for code in [200, 302, 408, 429, 500, 502, 503] {
            assert_eq!(status(code), OpenError::Retry { reason: format!("HTTP status {code}") });
        }
    }
}
