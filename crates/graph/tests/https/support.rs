//! A Graph that answers what a test tells it to, over real sockets.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::extract::connect_info::{ConnectInfo, Connected};
use axum::http::{HeaderMap, Response, Version};
use axum::serve::{IncomingStream, Listener};
use drivetap_graph::{AccessToken, GraphClient, GraphConfig};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::server::TlsStream;

pub(crate) const TOKEN: &str = "EwB4A8l6BAAUO9chh8cJscQLmU";

/// A request as it arrived.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) line: String,
    pub(crate) headers: HeaderMap,
    pub(crate) version: Version,
    pub(crate) peer: SocketAddr,
}

impl Seen {
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map(|value| value.to_str().unwrap()).unwrap_or_default()
    }
}

/// A server on loopback; dropping it closes it.
pub(crate) struct Server {
    pub(crate) addr: SocketAddr,
    seen: Arc<Mutex<Vec<Seen>>>,
    task: JoinHandle<()>,
}

impl Server {
    /// `answer` is given each request and its number, from 0.
    pub(crate) async fn start(answer: impl Fn(&Seen, usize) -> Reply + Clone + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        Self::serve(listener, addr, answer)
    }

    /// The same over TLS, with a certificate for `name`.
    pub(crate) async fn start_tls(
        tls: ServerConfig,
        answer: impl Fn(&Seen, usize) -> Reply + Clone + Send + Sync + 'static,
    ) -> Self {
        let tcp = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = tcp.local_addr().unwrap();
        Self::serve(TlsListener { tcp, tls: Arc::new(tls).into() }, addr, answer)
    }

    fn serve<L>(listener: L, addr: SocketAddr, answer: impl Fn(&Seen, usize) -> Reply + Clone + Send + Sync + 'static) -> Self
    where
        L: Listener,
        L::Addr: std::fmt::Debug,
        Peer: for<'a> Connected<IncomingStream<'a, L>>,
    {
        let seen = Arc::new(Mutex::new(Vec::new()));
        let record = seen.clone();
        let handle = move |ConnectInfo(Peer(peer)): ConnectInfo<Peer>, request: Request| {
            let path = request.uri().path_and_query().map_or("", |path| path.as_str());
            let line = format!("{} {path}", request.method());
            let seen = Seen { line, headers: request.headers().clone(), version: request.version(), peer };
            let mut all = record.lock().unwrap();
            let reply = answer(&seen, all.len());
            all.push(seen);
            async move {
                tokio::time::sleep(reply.after).await;
                reply.response
            }
        };
        let app = Router::new().fallback(handle).into_make_service_with_connect_info::<Peer>();
        let task = tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
        Self { addr, seen, task }
    }

    pub(crate) fn base(&self) -> String {
        format!("http://{}/v1.0", self.addr)
    }

    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }

    pub(crate) fn config(&self) -> GraphConfig {
        GraphConfig { base_url: self.base().parse().unwrap(), ..GraphConfig::default() }
    }

    /// A client of this server, with [`TOKEN`].
    pub(crate) fn client(&self) -> GraphClient {
        client(self.config())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

pub(crate) fn client(config: GraphConfig) -> GraphClient {
    install_ring();
    GraphClient::new(config, Arc::new(AccessToken::new(TOKEN).unwrap())).unwrap()
}

pub(crate) fn install_ring() {
    // A second test of the same process finds it installed.
    let _ = rustls::crypto::ring::default_provider().install_default();
}

/// What a server answers, and how long it thinks about it.
pub(crate) struct Reply {
    after: Duration,
    response: Response<Body>,
}

impl Reply {
    pub(crate) fn new(status: u16, headers: &[(&str, &str)], body: impl Into<Body>) -> Self {
        let mut response = Response::builder().status(status);
        for (name, value) in headers {
            response = response.header(*name, *value);
        }
        Self { after: Duration::ZERO, response: response.body(body.into()).unwrap() }
    }

    pub(crate) fn ok(body: impl Into<Body>) -> Self {
        Self::new(200, &[("content-type", "application/json")], body)
    }

    /// Graph's error body, with an inner code where there is one.
    pub(crate) fn error(status: u16, headers: &[(&str, &str)], code: &str, inner: Option<&str>) -> Self {
        let inner = inner.map(|code| format!(r#","innerError":{{"code":"{code}"}}"#)).unwrap_or_default();
        Self::new(status, headers, format!(r#"{{"error":{{"code":"{code}","message":"words"{inner}}}}}"#))
    }

    pub(crate) fn after(self, after: Duration) -> Self {
        Self { after, ..self }
    }
}

#[derive(Clone)]
pub(crate) struct Peer(SocketAddr);

impl Connected<IncomingStream<'_, TcpListener>> for Peer {
    fn connect_info(stream: IncomingStream<'_, TcpListener>) -> Self {
        Self(*stream.remote_addr())
    }
}

impl Connected<IncomingStream<'_, TlsListener>> for Peer {
    fn connect_info(stream: IncomingStream<'_, TlsListener>) -> Self {
        Self(*stream.remote_addr())
    }
}

pub(crate) struct TlsListener {
    tcp: TcpListener,
    tls: TlsAcceptor,
}

impl Listener for TlsListener {
    type Io = TlsStream<TcpStream>;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        loop {
            let (tcp, peer) = self.tcp.accept().await.unwrap();
            // A client that does not trust the certificate leaves here; the next one is welcome.
            if let Ok(stream) = self.tls.accept(tcp).await {
                return (stream, peer);
            }
        }
    }

    fn local_addr(&self) -> std::io::Result<Self::Addr> {
        self.tcp.local_addr()
    }
}
