use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet};

use super::Outage;

/// A TCP forwarder between a sink and its service: a connection that a test can lose without touching a service that others use.
///
/// While it is cut, connections are accepted and closed at once: the port stays the same. Dropping it ends every connection.
#[derive(Debug)]
pub struct Forwarder {
    address: SocketAddr,
    connections: Arc<Mutex<Connections>>,
    task: Mutex<Option<JoinHandle<()>>>,
}

// `None` while cut.
type Connections = Option<JoinSet<()>>;

impl Forwarder {
    /// Listens on `listen` (`127.0.0.1:0` for a free port) and forwards to `upstream`.
    ///
    /// # Errors
    /// When `listen` cannot be bound.
    pub async fn start(listen: &str, upstream: &str) -> io::Result<Arc<Self>> {
        let listener = TcpListener::bind(listen).await?;
        let address = listener.local_addr()?;
        let connections = Arc::new(Mutex::new(Some(JoinSet::new())));
        let task = tokio::spawn(accept(listener, upstream.to_owned(), Arc::clone(&connections)));
        Ok(Arc::new(Self { address, connections, task: Mutex::new(Some(task)) }))
    }

    /// Where to connect.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Ends every connection and gives the port back: once this returns, another forwarder can listen there. Dropping alone says no
    /// more than that it will be given back some time.
    pub async fn stop(&self) {
        self.cut().await;
        let task = self.task.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(task) = task {
            task.abort();
            // It ends as cancelled: there is no other end.
            let _ = task.await;
        }
    }
}

#[async_trait]
impl Outage for Forwarder {
    async fn cut(&self) {
        let connections = self.connections.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(mut connections) = connections {
            connections.shutdown().await;
        }
    }

    async fn mend(&self) {
        self.connections.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert_with(JoinSet::new);
    }
}

impl Drop for Forwarder {
    fn drop(&mut self) {
        if let Some(task) = self.task.lock().unwrap_or_else(PoisonError::into_inner).take() {
            task.abort();
        }
    }
}

async fn accept(listener: TcpListener, upstream: String, connections: Arc<Mutex<Connections>>) {
    while let Ok((client, _)) = listener.accept().await {
        if let Some(connections) = &mut *connections.lock().unwrap_or_else(PoisonError::into_inner) {
            while connections.try_join_next().is_some() {}
            connections.spawn(forward(client, upstream.clone()));
        }
    }
}

async fn forward(mut client: TcpStream, upstream: String) {
    if let Ok(mut server) = TcpStream::connect(&upstream).await {
        // Small writes must not wait for one another: a test would measure Nagle's algorithm.
        let _ = (client.set_nodelay(true), server.set_nodelay(true));
        let _ = copy_bidirectional(&mut client, &mut server).await;
    }
}
