//! What the client's errors are in our words. Never theirs: they may hold the URL.

use crate::words::{retry, socket, status};
use crate::{Ended, OpenError, Who, Why};

/// Why there is no connection.
pub(super) fn not_connected(error: &rust_socketio::Error) -> OpenError {
    use rust_engineio::Error as Engine;
    use rust_socketio::Error as Client;
    use tungstenite_0_21::Error as Socket;

    let Client::IncompleteResponseFromEngineIo(error) = error else {
        return retry("the handshake failed");
    };
    match error {
        Engine::WebsocketError(Socket::Http(response)) => status(response.status().as_u16()),
        Engine::WebsocketError(Socket::Io(error)) => retry(socket(error)),
        Engine::WebsocketError(Socket::Tls(error)) if error.to_string().contains("certificate") => {
            retry("the server's certificate is not trusted")
        }
        Engine::WebsocketError(Socket::Tls(_)) => retry("the TLS handshake failed"),
        Engine::WebsocketError(Socket::Protocol(_)) => retry("the server does not speak websocket"),
        Engine::WebsocketError(_) | Engine::IncompletePacket() => retry("the connection was closed in the handshake"),
        Engine::InvalidUrl(_) | Engine::InvalidUrlScheme(_) => OpenError::Unusable("rust_socketio cannot dial this URL".into()),
        _ => retry("the engine.io handshake was not understood"),
    }
}

/// What the client's own error says about the end that follows it; `None` for what is not one of its errors.
///
/// `EngineIO Error` is all it says of the engine: a missed ping, a lost socket and a malformed packet alike.
pub(super) fn last_word(error: &str) -> Option<Ended> {
    const MALFORMED: [(&str, &str); 7] = [
        ("string is not json serializable", "not JSON"),
        ("Invalid packet id", "unknown packet type"),
        ("Error while parsing an incomplete packet", "incomplete packet"),
        ("Got an invalid packet", "invalid packet"),
        ("An error occurred while decoding the utf-8", "not UTF-8"),
        ("Error while parsing an integer", "invalid number"),
        ("Invalid packet type while reading attachments", "an attachment is missing"),
    ];
    if error == "EngineIO Error" {
        return Some(Ended { by: Who::Network, why: Why::Closed });
    }
    let (_, word) = MALFORMED.iter().find(|(start, _)| error.starts_with(start))?;
    Some(Ended { by: Who::Server, why: Why::Malformed((*word).to_owned()) })
}
