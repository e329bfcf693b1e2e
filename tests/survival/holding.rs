//! A forwarder that keeps back what some connections were given and lets others pass: a network that delivers late.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use drivetap_tests::free_port;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, copy};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

/// Ends with its test.
pub(crate) struct Holding {
    address: SocketAddr,
    shared: Arc<Shared>,
    _accepting: JoinSet<()>,
}

struct Shared {
    upstream: SocketAddr,
    opened: AtomicU64,
    /// Connections with such a number keep what they are given.
    held: watch::Sender<Range<u64>>,
    released: AtomicUsize,
}

impl Holding {
    pub(crate) async fn start(upstream: SocketAddr) -> Self {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, free_port()));
        let listener = TcpListener::bind(address).await.unwrap();
        let held = watch::Sender::new(0..0);
        let shared = Arc::new(Shared { upstream, opened: AtomicU64::new(0), held, released: AtomicUsize::new(0) });
        let mut accepting = JoinSet::new();
        accepting.spawn(accept(listener, Arc::clone(&shared)));
        Self { address, shared, _accepting: accepting }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// What is open now keeps what it is given; what is opened from now on does not.
    pub(crate) fn hold_old(&self) {
        self.shared.held.send_replace(0..self.shared.opened.load(Ordering::SeqCst));
    }

    /// Whatever is open, now or later, keeps what it is given.
    pub(crate) fn hold_all(&self) {
        self.shared.held.send_replace(0..u64::MAX);
    }

    /// What was kept arrives.
    pub(crate) fn release(&self) {
        self.shared.held.send_replace(0..0);
    }

    /// How many bytes arrived late.
    pub(crate) fn released(&self) -> usize {
        self.shared.released.load(Ordering::SeqCst)
    }
}

async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    let mut connections = JoinSet::new();
    while let Ok((client, _)) = listener.accept().await {
        let number = shared.opened.fetch_add(1, Ordering::SeqCst);
        let shared = Arc::clone(&shared);
        connections.spawn(async move { drop(carry(client, number, &shared).await) });
        while connections.try_join_next().is_some() {}
    }
}

/// The server goes on reading after the client has gone: that is the point.
async fn carry(mut client: TcpStream, number: u64, shared: &Shared) -> io::Result<()> {
    let mut server = TcpStream::connect(shared.upstream).await?;
    server.set_nodelay(true)?;
    client.set_nodelay(true)?;
    let (mut from_server, mut to_server) = server.split();
    let (mut from_client, mut to_client) = client.split();
    let forth = async {
        let mut held = shared.held.subscribe();
        let mut buffer = vec![0; 1 << 20];
        loop {
            let count = from_client.read(&mut buffer).await?;
            if count == 0 {
                // The answers to what came late still have a moment to come.
                return to_server.shutdown().await;
            }
            let late = held.borrow().contains(&number);
            if held.wait_for(|held| !held.contains(&number)).await.is_ok() && late {
                shared.released.fetch_add(count, Ordering::SeqCst);
            }
            to_server.write_all(&buffer[..count]).await?;
        }
    };
    let back = async { copy(&mut from_server, &mut to_client).await.map(|_| ()) };
    // Nobody may be left to take the answers; the requests arrive all the same.
    let (forth, _) = tokio::join!(forth, back);
    forth
}
