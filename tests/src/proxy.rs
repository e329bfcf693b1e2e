//! A TCP proxy between the program and a server: the network, failing on demand.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use crate::{Identity, free_port};

/// A forwarder on a loopback port of its own, which stays its own while it refuses.
///
/// [`set`](Self::set) is weather: it holds for what is open and for what comes. [`cut`](Self::cut), [`reset`](Self::reset) and
/// [`freeze`](Self::freeze) strike what is open now, once. With an [`Identity`] it ends TLS, and the server behind it sees plain text.
pub struct Proxy {
    address: SocketAddr,
    shared: Arc<Shared>,
    _accepting: JoinSet<()>,
}

/// How the network is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Network {
    /// As it should be.
    Open,
    /// Everything takes this much longer, in each direction.
    Latency(Duration),
    /// A trickle, in each direction.
    BytesPerSecond(u32),
    /// Connections are accepted, nothing passes, and nobody says so. What was sent meanwhile arrives when it opens.
    Silent,
    /// Nobody listens.
    Refused,
}

#[derive(Clone, Copy, Debug)]
enum Strike {
    Cut,
    Reset,
    Freeze,
}

struct Shared {
    upstream: Mutex<SocketAddr>,
    identity: Mutex<Option<TlsAcceptor>>,
    network: watch::Sender<Network>,
    strikes: watch::Sender<Strike>,
    open: watch::Sender<usize>,
}

impl Proxy {
    /// Forwards to `upstream`, which need not be there yet.
    pub async fn start(upstream: SocketAddr) -> Self {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, free_port()));
        let shared = Arc::new(Shared {
            upstream: Mutex::new(upstream),
            identity: Mutex::default(),
            network: watch::Sender::new(Network::Open),
            strikes: watch::Sender::new(Strike::Cut),
            open: watch::Sender::new(0),
        });
        let listener = TcpListener::bind(address).await.unwrap();
        let mut accepting = JoinSet::new();
        accepting.spawn(accept(listener, address, Arc::clone(&shared)));
        Self { address, shared, _accepting: accepting }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where new connections lead now.
    pub fn leads_to(&self) -> SocketAddr {
        *self.shared.upstream.lock().unwrap()
    }

    /// Where new connections lead from now on.
    pub fn lead_to(&self, upstream: SocketAddr) {
        *self.shared.upstream.lock().unwrap() = upstream;
    }

    /// Speaks TLS to new connections under this identity, or plain text with `None`.
    pub fn identify(&self, identity: Option<&Identity>) {
        *self.shared.identity.lock().unwrap() = identity.map(Identity::acceptor);
    }

    /// The network from now on.
    pub fn set(&self, network: Network) {
        self.shared.network.send_replace(network);
    }

    /// FIN, in both directions, on everything that is open.
    pub fn cut(&self) {
        self.shared.strikes.send_replace(Strike::Cut);
    }

    /// RST, in both directions, on everything that is open.
    pub fn reset(&self) {
        self.shared.strikes.send_replace(Strike::Reset);
    }

    /// What is open is dead for ever, and neither side is told: half-open TCP. New connections are not touched.
    pub fn freeze(&self) {
        self.shared.strikes.send_replace(Strike::Freeze);
    }

    /// Connections that are open now, frozen ones included.
    pub fn open(&self) -> usize {
        *self.shared.open.borrow()
    }
}

async fn accept(listener: TcpListener, address: SocketAddr, shared: Arc<Shared>) {
    let mut connections = JoinSet::new();
    let mut network = shared.network.subscribe();
    let mut listener = Some(listener);
    loop {
        if *network.borrow_and_update() == Network::Refused {
            listener = None;
        } else if listener.is_none() {
            // The kernel may need a moment to give the port back.
            listener = TcpListener::bind(address).await.ok();
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        let accepted = async {
            match &listener {
                Some(listener) => listener.accept().await,
                None if *shared.network.borrow() == Network::Refused => std::future::pending().await,
                None => Err(io::ErrorKind::AddrInUse.into()),
            }
        };
        tokio::select! {
            Ok((client, _)) = accepted => { connections.spawn(serve(client, Arc::clone(&shared))); }
            changed = network.changed() => if changed.is_err() { return },
            Some(_) = connections.join_next() => {}
            else => {}
        }
    }
}

async fn serve(client: TcpStream, shared: Arc<Shared>) {
    shared.open.send_modify(|open| *open += 1);
    // A strike meets what is being connected, too.
    let strikes = shared.strikes.subscribe();
    let upstream = *shared.upstream.lock().unwrap();
    let acceptor = shared.identity.lock().unwrap().clone();
    // A socket that refuses the option still works.
    drop(client.set_nodelay(true));
    match (acceptor, TcpStream::connect(upstream).await) {
        (None, Ok(server)) => carry(client, |client| client, server, &shared, strikes).await,
        (Some(acceptor), Ok(server)) => {
            // A client that does not like the certificate has gone, and that is its right.
            if let Ok(client) = acceptor.accept(client).await {
                carry(client, |client: &TlsStream<TcpStream>| client.get_ref().0, server, &shared, strikes).await;
            }
        }
        // Nobody behind us: the client is told as a load balancer would tell it.
        (_, Err(_)) => drop(client.set_zero_linger()),
    }
    shared.open.send_modify(|open| *open -= 1);
}

/// Both directions, until either side ends or a strike ends both.
async fn carry<S>(
    mut client: S,
    tcp: impl Fn(&S) -> &TcpStream,
    mut server: TcpStream,
    shared: &Shared,
    mut strikes: watch::Receiver<Strike>,
) where
    S: AsyncRead + AsyncWrite + Unpin,
{
    drop(server.set_nodelay(true));
    let strike = {
        let (client_reads, client_writes) = tokio::io::split(&mut client);
        let (server_reads, server_writes) = server.split();
        tokio::select! {
            // A side that ended, as a server does that was killed, ends the other.
            _ = forward(client_reads, server_writes, shared.network.subscribe()) => Strike::Cut,
            _ = forward(server_reads, client_writes, shared.network.subscribe()) => Strike::Cut,
            Ok(()) = strikes.changed() => *strikes.borrow(),
        }
    };
    match strike {
        Strike::Cut => {}
        Strike::Reset => {
            drop(tcp(&client).set_zero_linger());
            drop(server.set_zero_linger());
        }
        // Until the proxy goes.
        Strike::Freeze => std::future::pending().await,
    }
}

async fn forward(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    mut network: watch::Receiver<Network>,
) -> io::Result<()> {
    let mut buffer = [0; 16 * 1024];
    loop {
        let trickle = matches!(*network.borrow(), Network::BytesPerSecond(_));
        let most = if trickle { DROP } else { buffer.len() };
        let count = from.read(&mut buffer[..most]).await?;
        if count == 0 {
            return to.shutdown().await;
        }
        pass(count, &mut network).await;
        to.write_all(&buffer[..count]).await?;
        to.flush().await?;
    }
}

/// Bytes at once of a trickle.
const DROP: usize = 256;

/// Waits until so many bytes may pass.
async fn pass(bytes: usize, network: &mut watch::Receiver<Network>) {
    loop {
        let now = *network.borrow_and_update();
        let wait = match now {
            Network::Open => return,
            Network::Latency(wait) => wait,
            Network::BytesPerSecond(rate) => Duration::from_secs(bytes.try_into().unwrap()) / rate,
            Network::Silent | Network::Refused => Duration::MAX,
        };
        tokio::select! {
            () = tokio::time::sleep(wait) => return,
            Ok(()) = network.changed() => {}
        }
    }
}
