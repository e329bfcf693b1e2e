//! A socket.io server made of plain websocket messages, so that it can misbehave in every way.

use std::time::Duration;

use drivetap_core::{NotificationHosts, NotificationUrl};
use drivetap_transport::conformance::TOKEN;
use futures_util::{SinkExt, StreamExt};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_tungstenite::tungstenite::handshake::server::{ErrorResponse, Request, Response};
use tokio_tungstenite::tungstenite::{Bytes, Message};
use tokio_tungstenite::{WebSocketStream, accept_hdr_async};

/// For whatever has to happen.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);

pub(crate) struct Server {
    listener: TcpListener,
    tls: Option<TlsAcceptor>,
}

impl Server {
    pub(crate) async fn start() -> Self {
        Self { listener: TcpListener::bind("127.0.0.1:0").await.unwrap(), tls: None }
    }

    pub(crate) async fn with_tls(acceptor: TlsAcceptor) -> Self {
        Self { tls: Some(acceptor), ..Self::start().await }
    }

    pub(crate) fn port(&self) -> u16 {
        self.listener.local_addr().unwrap().port()
    }

    pub(crate) fn url(&self) -> NotificationUrl {
        self.url_to("/notifications", &format!("token={TOKEN}"))
    }

    pub(crate) fn url_to(&self, path: &str, query: &str) -> NotificationUrl {
        let port = self.port();
        let origin = if self.tls.is_some() { format!("https://localhost:{port}") } else { format!("http://127.0.0.1:{port}") };
        url(&format!("{origin}{path}?{query}"))
    }

    /// The next connection, before a byte was read.
    pub(crate) async fn tcp(&self) -> TcpStream {
        let (stream, _) = timeout(PATIENCE, self.listener.accept()).await.expect("a connection").unwrap();
        stream
    }

    /// The next connection, after the upgrade.
    pub(crate) async fn upgrade(&self) -> Socket {
        let tcp = self.tcp().await;
        let stream: Box<dyn Stream> = match &self.tls {
            Some(acceptor) => Box::new(acceptor.accept(tcp).await.unwrap()),
            None => Box::new(tcp),
        };
        let mut uri = String::new();
        #[expect(clippy::result_large_err, reason = "tungstenite's own signature")]
        let note = |request: &Request, response: Response| -> Result<Response, ErrorResponse> {
            uri = request.uri().to_string();
            Ok(response)
        };
        let socket = accept_hdr_async(stream, note).await.unwrap();
        Socket { socket, uri }
    }

    /// The next connection, refused with this status.
    pub(crate) async fn refuse(&self, status: u16) {
        #[expect(clippy::result_large_err, reason = "tungstenite's own signature")]
        let refuse = |_: &Request, _: Response| -> Result<Response, ErrorResponse> {
            let mut refusal = ErrorResponse::new(Some(format!("no {TOKEN}")));
            *refusal.status_mut() = status.try_into().unwrap();
            Err(refusal)
        };
        accept_hdr_async(self.tcp().await, refuse).await.expect_err("refused");
    }

    /// The next connection, whose TLS the client turns down.
    pub(crate) async fn fail_tls(&self) {
        let acceptor = self.tls.clone().unwrap();
        drop(acceptor.accept(self.tcp().await).await);
    }

    /// The next connection, answered in HTTP without TLS.
    pub(crate) async fn answer_in_plain(&self) {
        self.tcp().await.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await.unwrap();
    }

    /// The next connection, in the namespace.
    pub(crate) async fn join(&self) -> Socket {
        let mut socket = self.upgrade().await;
        socket.handshake(25_000, 20_000).await;
        socket.join().await;
        socket
    }
}

pub(crate) fn url(written: &str) -> NotificationUrl {
    NotificationUrl::parse(written, &NotificationHosts::new(&["*.svc.ms"], true).unwrap()).unwrap()
}

pub(crate) struct Socket {
    socket: WebSocketStream<Box<dyn Stream>>,
    /// What the upgrade asked for.
    pub(crate) uri: String,
}

pub(crate) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

impl Socket {
    pub(crate) async fn handshake(&mut self, interval: u64, timeout: u64) {
        let values = format!(r#""pingInterval":{interval},"pingTimeout":{timeout},"maxPayload":1000000"#);
        self.send(&format!(r#"0{{"sid":"a","upgrades":[],{values}}}"#)).await;
    }

    /// Lets the client into its namespace.
    pub(crate) async fn join(&mut self) {
        self.expect("40/notifications,").await;
        self.send(r#"40/notifications,{"sid":"b"}"#).await;
    }

    pub(crate) async fn send(&mut self, text: &str) {
        self.socket.send(Message::text(text)).await.unwrap();
    }

    pub(crate) async fn notify(&mut self, argument: &str) {
        self.send(&format!(r#"42/notifications,["notification",{argument}]"#)).await;
    }

    pub(crate) async fn send_binary(&mut self, bytes: &'static [u8]) {
        self.socket.send(Message::binary(Bytes::from_static(bytes))).await.unwrap();
    }

    /// The websocket's own goodbye, from both sides, and then the socket's end.
    pub(crate) async fn close(mut self) {
        self.socket.close(None).await.unwrap();
        self.closed().await;
    }

    /// Waits for this text, and passes over others.
    pub(crate) async fn expect(&mut self, text: &str) {
        let wait = async {
            loop {
                match self.socket.next().await {
                    Some(Ok(Message::Text(heard))) if heard.as_str() == text => return,
                    Some(Ok(_)) => {}
                    end => panic!("no {text:?}, but {end:?}"),
                }
            }
        };
        timeout(PATIENCE, wait).await.unwrap_or_else(|_| panic!("no {text:?}"));
    }

    pub(crate) async fn ping(&mut self) {
        self.send("2").await;
        self.expect("3").await;
    }

    /// Waits for the client's end to be closed, and gives the texts that came before.
    pub(crate) async fn closed(&mut self) -> Vec<String> {
        let mut heard = Vec::new();
        let wait = async {
            while let Some(Ok(message)) = self.socket.next().await {
                if let Message::Text(text) = message {
                    heard.push(text.to_string());
                }
            }
        };
        timeout(PATIENCE, wait).await.expect("the client's socket is closed");
        heard
    }
}
