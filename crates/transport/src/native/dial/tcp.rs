use std::io;
use std::time::Duration;

use socket2::{SockRef, TcpKeepalive};
use tokio::net::{TcpStream, lookup_host};
use tokio::time::timeout;

use super::Target;
use crate::OpenError;
use crate::words::{self, retry};

/// One address after the other, each within `limit`.
pub(super) async fn connect(target: Target<'_>, limit: Duration) -> Result<TcpStream, OpenError> {
    let mut last = retry("the host name was not found");
    let addresses = lookup_host((target.name(), target.port)).await.map_err(|error| refused(&error))?;
    for address in addresses {
        match timeout(limit, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => {
                tune(&stream);
                return Ok(stream);
            }
            Ok(Err(error)) => last = refused(&error),
            Err(_) => last = retry("connection timed out"),
        }
    }
    Err(last)
}

/// A pong does not wait for more to send with it, and the system asks now and then whether a silent peer is there: engine.io's pings
/// come from the server, whose word is all there is.
fn tune(stream: &TcpStream) {
    let keepalive = TcpKeepalive::new().with_time(Duration::from_secs(60)).with_interval(Duration::from_secs(20)).with_retries(3);
    // Where the system cannot do either, the session lives without.
    drop(stream.set_nodelay(true));
    drop(SockRef::from(stream).set_tcp_keepalive(&keepalive));
}

fn refused(error: &io::Error) -> OpenError {
    // ENFILE, EMFILE: there is no descriptor left.
    if matches!(error.raw_os_error(), Some(23 | 24)) { OpenError::NO_ROOM } else { retry(words::socket(error)) }
}
