//! The way through a proxy.

use std::sync::{Arc, Mutex};

use drivetap_core::ProxySettings;
use drivetap_transport::conformance::TOKEN;
use drivetap_transport::{Limits, Native, NativeConfig, OpenError, Transport};
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncWrite, AsyncWriteExt, BufReader, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;

use crate::every::refusal;
use crate::native::install_ring;
use crate::server::{Server, url};
use crate::tls::Ca;

/// A name that only the proxy can reach.
const HOST: &str = "westeurope1-0.pushnp.svc.ms";

/// Takes CONNECT to anywhere to one place, and keeps what was said before the tunnel.
struct Proxy {
    port: u16,
    heads: Arc<Mutex<Vec<String>>>,
    task: JoinHandle<()>,
}

impl Proxy {
    async fn start(to: u16, answer: &'static str, tls: Option<TlsAcceptor>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let heads = Arc::new(Mutex::new(Vec::new()));
        let record = heads.clone();
        let task = tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                match &tls {
                    Some(tls) => serve(tls.accept(stream).await.unwrap(), to, answer, &record).await,
                    None => serve(stream, to, answer, &record).await,
                }
            }
        });
        Self { port, heads, task }
    }

    fn heads(&self) -> Vec<String> {
        self.heads.lock().unwrap().clone()
    }
}

async fn serve(stream: impl AsyncRead + AsyncWrite + Unpin, to: u16, answer: &str, record: &Mutex<Vec<String>>) {
    let mut stream = BufReader::new(stream);
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") && stream.read_line(&mut head).await.unwrap() > 0 {}
    record.lock().unwrap().push(head);
    stream.write_all(answer.as_bytes()).await.unwrap();
    stream.flush().await.unwrap();
    if answer.contains(" 200 ") {
        let mut upstream = TcpStream::connect(("127.0.0.1", to)).await.unwrap();
        // The client closes the tunnel when it likes.
        let _ = copy_bidirectional(&mut stream, &mut upstream).await;
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

const CONNECTED: &str = "HTTP/1.1 200 Connected\r\n\r\n";

fn transport(ca: &Ca, proxy: &str, no_proxy: Option<&str>) -> Native {
    install_ring();
    let env = |name: &str| if name == "NO_PROXY" { no_proxy.map(str::to_owned) } else { None };
    let proxy = ProxySettings::new(Some(proxy), env).unwrap();
    Native::new(&NativeConfig { ca_pem: Some(ca.pem.clone().into()), proxy, ..NativeConfig::default() }).unwrap()
}

#[tokio::test]
async fn a_proxy_is_asked_to_connect_and_sees_no_query() {
    let ca = Ca::new("ours");
    let server = Server::with_tls(ca.acceptor(HOST)).await;
    let url = url(&format!("https://{HOST}/notifications?token={TOKEN}"));
    for (scheme, tls) in [("http", None), ("https", Some(ca.acceptor("localhost")))] {
        let proxy = Proxy::start(server.port(), CONNECTED, tls).await;
        let transport = transport(&ca, &format!("{scheme}://alice:hunter2@localhost:{}", proxy.port), None);
        let limits = Limits::default();
        let (opened, mut socket) = tokio::join!(transport.open(&url, &limits), server.join());
        let session = opened.unwrap();
        socket.ping().await;
        drop(session);
        socket.closed().await;
        let heads = proxy.heads();
        assert_eq!(heads.len(), 1);
        assert!(heads[0].starts_with(&format!("CONNECT {HOST}:443 HTTP/1.1\r\nHost: {HOST}:443\r\n")), "{heads:?}");
        assert!(heads[0].contains("\r\nProxy-Authorization: Basic YWxpY2U6aHVudGVyMg==\r\n"), "{heads:?}");
        assert!(!heads[0].contains(TOKEN) && !heads[0].contains("notifications"), "{heads:?}");
    }
}

#[tokio::test]
async fn a_proxy_that_refuses_or_misspeaks_is_the_networks_fault() {
    let ca = Ca::new("ours");
    let url = url(&format!("https://{HOST}/notifications?token={TOKEN}"));
    for (answer, reason) in [
        ("HTTP/1.1 407 Proxy Authentication Required\r\n\r\n", "the proxy: HTTP status 407"),
        ("HTTP/1.1 503 Service Unavailable\r\n\r\n", "the proxy: HTTP status 503"),
        ("HTTP/1.1 200 Connected\r\n\r\nWelcome!", "the proxy: it speaks inside the tunnel"),
        ("220 smtp.example.com ESMTP\r\n\r\n", "the proxy: the server does not speak HTTP/1.1"),
    ] {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let proxy = Proxy::start(listener.local_addr().unwrap().port(), answer, None).await;
        let transport = transport(&ca, &format!("http://127.0.0.1:{}", proxy.port), None);
        assert_eq!(refusal(&transport, &url, &Limits::default()).await, OpenError::Retry { reason: reason.into() });
    }
    let transport = transport(&ca, "http://127.0.0.1:9", None);
    let error = refusal(&transport, &url, &Limits::default()).await;
    assert_eq!(error, OpenError::Retry { reason: "the proxy: connection refused".into() });
}

#[tokio::test]
async fn loopback_and_what_no_proxy_names_are_reached_directly() {
    let ca = Ca::new("ours");
    let server = Server::with_tls(ca.acceptor("localhost")).await;
    let proxy = Proxy::start(server.port(), CONNECTED, None).await;
    let address = format!("http://127.0.0.1:{}", proxy.port);
    let (direct, limits) = (transport(&ca, &address, None), Limits::default());
    let loopback = server.url();
    let (opened, _socket) = tokio::join!(direct.open(&loopback, &limits), server.join());
    opened.unwrap();

    let except = transport(&ca, &address, Some(".example, svc.ms"));
    let nowhere = url("https://nowhere.invalid.svc.ms/notifications?token=t");
    assert!(matches!(refusal(&except, &nowhere, &limits).await, OpenError::Retry { .. }));
    assert_eq!(proxy.heads(), [""; 0]);
}
