use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::serve::Listener;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Sleep, sleep};

/// A listener whose clients cost a bounded number of descriptors: so many connections at once, each read from for so long.
///
/// Full: the next one waits in the system's backlog until another ends, which takes no longer than a connection's life. A client that
/// connects and says nothing, or says it slowly, is hung up on; an answer that is on its way is still written.
pub(crate) struct Bounded {
    tcp: TcpListener,
    room: Arc<Semaphore>,
    life: Duration,
}

impl Bounded {
    pub(crate) fn new(tcp: TcpListener, connections: usize, life: Duration) -> Self {
        Self { tcp, room: Arc::new(Semaphore::new(connections)), life }
    }
}

impl Listener for Bounded {
    type Io = Connection;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Connection, SocketAddr) {
        // `None` where the semaphore was closed, which nobody does.
        let room = Arc::clone(&self.room).acquire_owned().await.ok();
        let (tcp, address) = Listener::accept(&mut self.tcp).await;
        (Connection { tcp, over: Box::pin(sleep(self.life)), _room: room }, address)
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.tcp.local_addr()
    }
}

/// A connection that reads as ended when its time is over.
pub(crate) struct Connection {
    tcp: TcpStream,
    over: Pin<Box<Sleep>>,
    _room: Option<OwnedSemaphorePermit>,
}

impl AsyncRead for Connection {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if self.over.as_mut().poll(cx).is_ready() {
            return Poll::Ready(Ok(()));
        }
        Pin::new(&mut self.tcp).poll_read(cx, buf)
    }
}

impl AsyncWrite for Connection {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.tcp).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tcp).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tcp).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;
    use std::time::Instant;

    use axum::Router;
    use axum::routing::get;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;

    const LIFE: Duration = Duration::from_millis(300);

    #[tokio::test]
    async fn clients_that_say_nothing_are_hung_up_on_and_make_room() {
        let tcp = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a port");
        let address = tcp.local_addr().expect("an address");
        let app = Router::new().route("/", get(async || "ok"));
        let served = tokio::spawn(axum::serve(Bounded::new(tcp, 1, LIFE), app).into_future());

        let begun = Instant::now();
        let mut silent = TcpStream::connect(address).await.expect("connected");
        let mut asking = TcpStream::connect(address).await.expect("in the backlog");
        asking.write_all(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").await.expect("sent");
        let mut answer = String::new();
        asking.read_to_string(&mut answer).await.expect("answered");
        assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
        assert!(begun.elapsed() >= LIFE, "two at once, after {:?}", begun.elapsed());
        assert_eq!(silent.read(&mut [0; 16]).await.expect("hung up"), 0);
        served.abort();
    }
}
