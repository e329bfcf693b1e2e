use std::io;

use drivetap_core::NotificationUrl;
use tokio::io::AsyncWriteExt;
use tungstenite::handshake::client::generate_key;
use tungstenite::handshake::derive_accept_key;

use super::head::{self, Head};
use super::wire::Stream;
use crate::OpenError;
use crate::words::{self, retry};

/// Asks for the websocket, and gives what the server has said in it already.
///
/// Written here and not by tungstenite: the query goes out byte for byte (`http::Uri` takes no `<`), and nothing logs it.
pub(super) async fn upgrade(stream: &mut Box<dyn Stream>, url: &NotificationUrl) -> Result<Vec<u8>, OpenError> {
    let key = generate_key();
    let lost = |error: io::Error| retry(words::socket(&error));
    stream.write_all(request(url, &key).as_bytes()).await.map_err(lost)?;
    stream.flush().await.map_err(lost)?;
    let (answer, already) = head::read(stream).await.map_err(retry)?;
    if answer.status != 101 {
        return Err(words::status(answer.status));
    }
    if agrees(&answer, &key) { Ok(already) } else { Err(retry("the server does not speak websocket")) }
}

fn request(url: &NotificationUrl, key: &str) -> String {
    let and = if url.expose_query().is_empty() { "" } else { "&" };
    let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
    format!(
        "GET /socket.io/?{}{and}EIO=4&transport=websocket HTTP/1.1\r\nHost: {}{port}\r\nUpgrade: websocket\r\nConnection: \
         Upgrade\r\nSec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n\r\n",
        url.expose_query(),
        url.host(),
    )
}

/// RFC 6455, 4.1. Extensions and subprotocols were not offered, so that none can be agreed on.
fn agrees(answer: &Head, key: &str) -> bool {
    let accepted = derive_accept_key(key.as_bytes());
    answer.has("upgrade", "websocket")
        && answer.has("connection", "upgrade")
        && answer.values("sec-websocket-accept").eq([accepted.as_str()])
        && answer.values("sec-websocket-extensions").chain(answer.values("sec-websocket-protocol")).all(str::is_empty)
}
