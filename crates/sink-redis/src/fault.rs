//! What an error of Redis or of the connection means for the dispatcher.

use drivetap_sink::Stop;
use redis::{ErrorKind, RedisError, ServerError, ServerErrorKind};
use secrecy::{ExposeSecret as _, SecretString};

use crate::RedisConfig;

/// How much of a server's text is repeated, in characters.
const MOST_SAID: usize = 300;

// Some of the ways in which the system and redis-rs say that the other side has gone.
const CLOSED: &[&str] =
    &["reset by peer", "Broken pipe", "broken pipe", "unexpected end of file", "unexpectedly closed", "terminated", "EOF", "eof"];

/// A connection that could not be made, for a person.
pub(crate) fn not_connected(config: &RedisConfig, error: &RedisError) -> String {
    let why = match (error.kind(), error.code()) {
        (ErrorKind::Io, _) if config.url.tls() => of_certificate(config, &error.to_string()),
        (ErrorKind::AuthenticationFailed, _) => format!("it refuses the password of the user {}", user(config)),
        (_, Some("NOAUTH")) => "it asks for a password, and none is configured".to_owned(),
        _ => error.to_string(),
    };
    said(config, &format!("{}: {why}", config.url))
}

/// What a TLS server says of the client's certificate. In TLS 1.3 it says so when the handshake is over, and may be heard no more then: its
/// alert is lost where it closes a connection on which something came in that it has not read.
fn of_certificate(config: &RedisConfig, error: &str) -> String {
    let alert = error.contains("received fatal alert");
    let says = |parts: &[&str]| parts.iter().any(|part| error.contains(part));
    let asks = "asks for a client certificate, and none is configured: cert_file, key_file";
    let refuses = "refuses the client certificate (its authority or its dates)";
    match &config.client_certificate {
        None if alert && says(&["CertificateRequired", "HandshakeFailure"]) => format!("it {asks} ({error})"),
        Some(_) if alert && says(&["UnknownCA", "Certificate", "AccessDenied", "HandshakeFailure"]) => {
            format!("it {refuses} ({error})")
        }
        None if !alert && says(CLOSED) => format!("{error}; where it {asks}"),
        Some(_) if !alert && says(CLOSED) => format!("{error}; where it {refuses}"),
        _ => error.to_owned(),
    }
}

/// The connection broke under a chunk: nobody knows what of it was carried out.
pub(crate) fn lost(config: &RedisConfig, error: &RedisError) -> Stop {
    Stop::Reconnect { reason: said(config, &format!("{}: {error}", config.url)) }
}

/// Redis answered a `PUBLISH` with an error.
pub(crate) fn refused(config: &RedisConfig, error: &ServerError) -> Stop {
    let answer = format!("{} {}", error.code(), error.details().unwrap_or_default());
    let channel = &config.channel;
    match error.code() {
        "NOPERM" => {
            let user = user(config);
            let what = format!(
                "the user {user} may not publish on the channel {channel}: ACL SETUSER {user} +publish &{channel} ({})",
                answer.trim_end()
            );
            Stop::Hold { what: said(config, &what) }
        }
        // Back-pressure: the connection is fine, and another one would be told the same.
        "OOM" => Stop::Hold { what: said(config, &format!("Redis is out of memory ({answer})")) },
        _ if answer.contains("invalid bulk length") => {
            Stop::Reject { code: "PROTO_MAX_BULK_LEN".to_owned(), reason: said(config, &answer) }
        }
        // Loading, a failover that left a replica here (READONLY), a password set since (NOAUTH), a script that blocks: the dispatcher's
        // back-off is the wait, and a new connection finds the new primary or is told what is missing.
        _ => Stop::Reconnect { reason: said(config, &format!("{}: {answer}", config.url)) },
    }
}

/// The server is not the one to publish to, or no longer.
pub(crate) fn replica(config: &RedisConfig) -> String {
    format!("{}: this server is a replica: subscribers of its primary would not hear what is published here", config.url)
}

/// Whether the server did answer, and only will not tell what it was asked: no permission, or a service without that command.
pub(crate) fn does_not_tell(error: &RedisError) -> bool {
    matches!(error.kind(), ErrorKind::Server(ServerErrorKind::NoPerm | ServerErrorKind::ResponseError))
}

fn user(config: &RedisConfig) -> &str {
    config.username().unwrap_or("default")
}

// A server's text is input. Redis repeats the arguments of a command that it does not know, which may be AUTH with its password.
fn said(config: &RedisConfig, text: &str) -> String {
    let secret = config.password().map(SecretString::expose_secret).filter(|secret| !secret.is_empty());
    let text = secret.map_or_else(|| text.to_owned(), |secret| text.replace(secret, "…"));
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(MOST_SAID).collect()
}

#[cfg(test)]
mod tests {
    use redis::Value;

    use super::*;

    #[test]
    fn an_answer_is_named_for_what_the_dispatcher_does_next() {
        let config = RedisConfig::new("redis://feed:s3cret@h".parse().unwrap(), "drive-events");
        for (answer, stop, says) in [
            ("NOPERM No permissions to access a channel", "Hold", "ACL SETUSER feed +publish &drive-events"),
            ("OOM command not allowed when used memory > 'maxmemory'.", "Hold", "out of memory"),
            ("ERR Protocol error: invalid bulk length", "Reject", "invalid bulk length"),
            ("READONLY You can't write against a read only replica.", "Reconnect", "READONLY"),
            ("LOADING Redis is loading the dataset in memory", "Reconnect", "LOADING"),
            ("NOAUTH Authentication required.", "Reconnect", "NOAUTH"),
            ("BUSY Redis is busy running a script.", "Reconnect", "BUSY"),
            ("ERR unknown command 'AUTH', with args beginning with: 'feed' 's3cret' \u{1b}[2J", "Reconnect", "'feed' '…'  [2J"),
        ] {
            let Ok(Value::ServerError(error)) = redis::parse_redis_value(format!("-{answer}\r\n").as_bytes()) else {
                panic!("{answer} is an error");
            };
            let stopped = format!("{:?}", refused(&config, &error));
            assert!(stopped.starts_with(stop) && stopped.contains(says), "{answer}: {stopped}");
        }
    }

    #[test]
    fn a_servers_text_is_cut() {
        let config = RedisConfig::new("redis://h".parse().unwrap(), "drive-events");
        assert_eq!(said(&config, &"é".repeat(1_000)).chars().count(), MOST_SAID);
    }
}
