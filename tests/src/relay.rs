//! What Redis acknowledged: pub/sub keeps nothing, so the ledger is read on the wire.

use std::collections::VecDeque;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use crate::{free_port, resp};

/// A relay in front of a Redis that writes down each `PUBLISH` which the server answered with a number.
pub struct PublishRelay {
    address: SocketAddr,
    shared: Arc<Shared>,
    _accepting: JoinSet<()>,
}

/// One acknowledged `PUBLISH`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Published {
    /// The channel.
    pub channel: String,
    /// The message.
    pub message: String,
    /// Who received it, by the server's own count.
    pub receivers: u64,
}

struct Shared {
    upstream: SocketAddr,
    acknowledged: Mutex<Vec<Published>>,
    refusal: Mutex<Option<String>>,
}

impl PublishRelay {
    /// In front of the server at `upstream`.
    pub async fn start(upstream: SocketAddr) -> Self {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, free_port()));
        let listener = TcpListener::bind(address).await.unwrap();
        let shared = Arc::new(Shared { upstream, acknowledged: Mutex::default(), refusal: Mutex::default() });
        let mut accepting = JoinSet::new();
        accepting.spawn(accept(listener, Arc::clone(&shared)));
        Self { address, shared, _accepting: accepting }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What the server acknowledged on this channel so far, in its order, from the `from`th on.
    pub fn acknowledged(&self, channel: &str, from: usize) -> Vec<Published> {
        let all = self.shared.acknowledged.lock().unwrap();
        all.iter().filter(|published| published.channel == channel).skip(from).cloned().collect()
    }

    /// Answers each `PUBLISH` with this error from now on, in the server's place: `OOM command not allowed …`. `None` lets them pass.
    ///
    /// Redis itself answers a plain `PUBLISH` with neither `OOM` nor `READONLY`; proxies and managed services in front of it do.
    pub fn refuse(&self, error: Option<&str>) {
        *self.shared.refusal.lock().unwrap() = error.map(str::to_owned);
    }
}

async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    let mut connections = JoinSet::new();
    while let Ok((client, _)) = listener.accept().await {
        let shared = Arc::clone(&shared);
        connections.spawn(async move {
            // Either side may go at any moment; the other is told by our end.
            drop(relay(client, &shared).await);
        });
        while connections.try_join_next().is_some() {}
    }
}

/// What the client is owed next.
enum Owed {
    /// The server's answer, to a `PUBLISH` or to something else.
    Answer(Option<(String, String)>),
    /// Ours.
    Refusal(String),
}

async fn relay(mut client: TcpStream, shared: &Shared) -> io::Result<()> {
    let mut server = TcpStream::connect(shared.upstream).await?;
    client.set_nodelay(true)?;
    server.set_nodelay(true)?;
    let (mut asked, mut answered) = (Vec::new(), Vec::new());
    let mut owed = VecDeque::new();
    loop {
        tokio::select! {
            count = client.read_buf(&mut asked) => {
                if count? == 0 {
                    return Ok(());
                }
                while let Some(length) = resp::frame(&asked) {
                    let command: Vec<u8> = asked.drain(..length).collect();
                    let next = owed_for(&command, shared);
                    if matches!(next, Owed::Answer(_)) {
                        server.write_all(&command).await?;
                    }
                    owed.push_back(next);
                }
            }
            count = server.read_buf(&mut answered) => {
                if count? == 0 {
                    return Ok(());
                }
                while let Some(length) = resp::frame(&answered) {
                    let answer: Vec<u8> = answered.drain(..length).collect();
                    // A push of RESP3 answers nothing.
                    if answer.first() != Some(&b'>') && let Some(Owed::Answer(Some(publish))) = owed.pop_front() {
                        note(publish, &answer, shared);
                    }
                    client.write_all(&answer).await?;
                    refuse(&mut owed, &mut client).await?;
                }
            }
        }
        refuse(&mut owed, &mut client).await?;
    }
}

/// Answers what is ours to answer and whose turn it is.
async fn refuse(owed: &mut VecDeque<Owed>, client: &mut TcpStream) -> io::Result<()> {
    while let Some(Owed::Refusal(error)) = owed.front() {
        client.write_all(format!("-{error}\r\n").as_bytes()).await?;
        owed.pop_front();
    }
    Ok(())
}

fn owed_for(command: &[u8], shared: &Shared) -> Owed {
    let words = resp::words(command);
    let [verb, channel, message] = words.as_slice() else { return Owed::Answer(None) };
    if !verb.eq_ignore_ascii_case(b"PUBLISH") {
        return Owed::Answer(None);
    }
    if let Some(error) = shared.refusal.lock().unwrap().clone() {
        return Owed::Refusal(error);
    }
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).expect("events are UTF-8");
    Owed::Answer(Some((text(channel), text(message))))
}

fn note((channel, message): (String, String), answer: &[u8], shared: &Shared) {
    let number = answer.strip_prefix(b":").and_then(|number| std::str::from_utf8(number).ok()?.trim_end().parse().ok());
    if let Some(receivers) = number {
        shared.acknowledged.lock().unwrap().push(Published { channel, message, receivers });
    }
}
