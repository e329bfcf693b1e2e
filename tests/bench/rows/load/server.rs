use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt as _, AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, BufReader};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::yield_now;
use tokio::time::{Instant, sleep_until};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

use super::frame::{Frame, stamp_now};
use super::plan::{Plan, Wish};

/// Serves until standard input ends, which is also where its orders come from. Says on standard output where it listens.
pub(crate) async fn serve(tls: Option<[PathBuf; 2]>) {
    let acceptor = tls.map(|[certificate, key]| {
        let chain = CertificateDer::pem_file_iter(certificate).unwrap().collect::<Result<Vec<_>, _>>().unwrap();
        let key = PrivateKeyDer::from_pem_file(key).unwrap();
        TlsAcceptor::from(Arc::new(ServerConfig::builder().with_no_client_auth().with_single_cert(chain, key).unwrap()))
    });
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    println!("{}", serde_json::json!({ "port": port }));
    let origin = if acceptor.is_some() { format!("https://localhost:{port}") } else { format!("http://127.0.0.1:{port}") };

    let (plan, wishes) = Plan::new();
    let (joined, joining) = watch::channel(0);
    let service = Service { origin: origin.into(), plan, joined: Arc::new(joined), frame: Arc::new(Frame::new()) };
    let accepting = async {
        loop {
            let (socket, _) = listener.accept().await.unwrap();
            socket.set_nodelay(true).unwrap();
            let (service, acceptor) = (service.clone(), acceptor.clone());
            // A contender that is ended closes its sockets as it likes.
            tokio::spawn(async move {
                match acceptor {
                    Some(tls) => service.connection(tls.accept(socket).await?).await,
                    None => service.connection(socket).await,
                }
            });
        }
    };
    tokio::select! {
        () = obey(wishes, joining) => {}
        () = accepting => {}
    }
}

async fn obey(wishes: watch::Sender<Wish>, mut joining: watch::Receiver<usize>) {
    let mut orders = BufReader::new(tokio::io::stdin()).lines();
    while let Some(order) = orders.next_line().await.unwrap() {
        let mut words = order.split(' ');
        let (verb, mut number) = (words.next().unwrap(), || words.next().unwrap().parse::<u64>().unwrap());
        match verb {
            "await" => {
                let wanted = usize::try_from(number()).unwrap();
                joining.wait_for(|joined| *joined >= wanted).await.unwrap();
                println!("joined");
            }
            "send" => wishes.send(Wish::Below { limit: number() }).unwrap(),
            "pace" => {
                let (count, apart) = (number(), Duration::from_nanos(1_000_000_000 / number()));
                wishes.send(Wish::Pace { count, apart, begun: Instant::now() }).unwrap();
            }
            other => panic!("not an order: {other}"),
        }
    }
}

#[derive(Clone)]
struct Service {
    origin: Arc<str>,
    plan: Plan,
    joined: Arc<watch::Sender<usize>>,
    frame: Arc<Frame>,
}

impl Service {
    /// One request after the other, until one of them opens a websocket.
    async fn connection(self, mut socket: impl AsyncRead + AsyncWrite + Unpin + Send + 'static) -> std::io::Result<()> {
        let mut buffer = Vec::new();
        loop {
            let Some(head) = take_head(&mut buffer) else {
                if socket.read_buf(&mut buffer).await? == 0 {
                    return Ok(());
                }
                continue;
            };
            let header = |name: &str| {
                let mut lines = head.lines().filter_map(|line| line.split_once(':'));
                lines.find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim().to_owned())
            };
            if let Some(key) = header("sec-websocket-key") {
                let accept = derive_accept_key(key.as_bytes());
                let answer = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n";
                socket.write_all(format!("{answer}Sec-WebSocket-Accept: {accept}\r\n\r\n").as_bytes()).await?;
                return self.session(socket, buffer).await;
            }
            let (status, body) = self.graph(head.split(' ').nth(1).unwrap_or_default());
            let length = body.len();
            let head = format!("HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n");
            socket.write_all((head + &body).as_bytes()).await?;
        }
    }

    fn graph(&self, asked: &str) -> (&'static str, String) {
        let path = asked.split('?').next().unwrap_or_default();
        let Some(drive) = path.strip_prefix("/v1.0/drives/") else {
            return ("404 Not Found", r#"{"error":{"code":"itemNotFound"}}"#.to_owned());
        };
        let answer = match drive.split_once('/') {
            None => serde_json::json!({ "id": drive, "driveType": "business" }),
            Some((drive, "root/subscriptions/socketIo")) => {
                serde_json::json!({ "id": drive, "notificationUrl": format!("{}/notifications?token={drive}", self.origin) })
            }
            Some(_) => return ("400 Bad Request", r#"{"error":{"code":"notSupported"}}"#.to_owned()),
        };
        ("200 OK", answer.to_string())
    }

    /// engine.io and socket.io, until the namespace is joined; then whatever the plan says.
    async fn session(
        mut self,
        mut socket: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
        mut buffer: Vec<u8>,
    ) -> std::io::Result<()> {
        socket.write_all(&small(r#"0{"sid":"bench","upgrades":[],"pingInterval":25000,"pingTimeout":20000}"#)).await?;
        loop {
            let Some(text) = take_text(&mut buffer) else {
                if socket.read_buf(&mut buffer).await? == 0 {
                    return Ok(());
                }
                continue;
            };
            if text.starts_with("40/notifications") {
                socket.write_all(&small(r#"40/notifications,{"sid":"bench-notifications"}"#)).await?;
                break;
            }
            if text.starts_with("40") {
                socket.write_all(&small(r#"40{"sid":"bench-root"}"#)).await?;
            }
        }
        let mut turn = 0;
        self.joined.send_modify(|joined| {
            turn = *joined;
            *joined += 1;
        });
        let ((mut reader, writer), mut nowhere) = (tokio::io::split(socket), tokio::io::sink());
        tokio::select! {
            // Pongs, and the end.
            read = tokio::io::copy(&mut reader, &mut nowhere) => read.map(drop),
            written = self.send(writer, u64::try_from(turn).unwrap()) => written,
        }
    }

    async fn send(&mut self, mut socket: impl AsyncWrite + Unpin, turn: u64) -> std::io::Result<()> {
        let mut out = Vec::new();
        let mut ping = Instant::now() + PING;
        let mut next = turn;
        loop {
            out.clear();
            let mut due = ping;
            match self.plan.wish() {
                Wish::Nothing => {}
                Wish::Below { limit } => {
                    for number in self.plan.take(limit).into_iter().flatten() {
                        self.frame.append(number, None, &mut out);
                    }
                }
                Wish::Pace { count, apart, begun } => {
                    let at = begun + apart * u32::try_from(next).unwrap();
                    if next < count && at <= Instant::now() {
                        self.frame.append(next, Some(stamp_now()), &mut out);
                        next += u64::try_from(*self.joined.borrow()).unwrap();
                    } else if next < count {
                        due = due.min(at);
                    }
                }
            }
            if ping <= Instant::now() {
                out.extend_from_slice(&small("2"));
                ping += PING;
            }
            if out.is_empty() {
                tokio::select! {
                    () = self.plan.changed() => {}
                    () = sleep_until(due) => {}
                }
            } else {
                socket.write_all(&out).await?;
                socket.flush().await?;
                // Each in its turn: one that has room for much would take much.
                yield_now().await;
            }
        }
    }
}

/// A little more often than was promised.
const PING: Duration = Duration::from_secs(20);

/// The first request in the buffer, once it is whole. None of them has a body.
fn take_head(buffer: &mut Vec<u8>) -> Option<String> {
    let end = memchr::memmem::find(buffer, b"\r\n\r\n")? + 4;
    Some(String::from_utf8(buffer.drain(..end).collect()).unwrap())
}

/// A text frame of a server's.
fn small(text: &str) -> Vec<u8> {
    let length = u8::try_from(text.len()).unwrap();
    assert!(length < 126);
    [&[0x81, length], text.as_bytes()].concat()
}

/// The first of a client's frames, unmasked, once it is whole. What they say here is short.
fn take_text(buffer: &mut Vec<u8>) -> Option<String> {
    let length = usize::from(buffer.get(1)? & 0x7f);
    assert!(length < 126, "a client that has little to say");
    if buffer.len() < 6 + length {
        return None;
    }
    let frame: Vec<u8> = buffer.drain(..6 + length).collect();
    let text = frame[6..].iter().zip(frame[2..6].iter().cycle()).map(|(byte, mask)| byte ^ mask).collect();
    Some(String::from_utf8(text).unwrap_or_default())
}
