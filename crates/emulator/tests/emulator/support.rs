//! A client that shares nothing with the emulator: HTTP by hand, and a websocket that shows every frame.

use std::time::Duration;

use drivetap_emulator::Emulator;
use futures_util::{SinkExt, StreamExt};
use serde_json::Value;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};
use tokio_tungstenite::{WebSocketStream, client_async, tungstenite::Message};

/// Nothing on loopback takes this long.
pub(crate) const SOON: Duration = Duration::from_secs(5);

pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: String,
}

impl Reply {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|_| panic!("not JSON: {}", self.body))
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let mut headers = self.headers.iter();
        let found = headers.find(|(key, _)| key.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_str())
    }
}

/// One request on a connection of its own.
pub(crate) async fn send(method: &str, url: &str, headers: &[(&str, &str)], body: &str) -> Option<Reply> {
    let rest = url.strip_prefix("http://").unwrap();
    let (host, path) = rest.split_once('/').unwrap();
    let mut tcp = TcpStream::connect(host).await.unwrap();
    let mut head = format!("{method} /{path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n");
    for (name, value) in headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    head.push_str(&format!("Content-Length: {}\r\n\r\n{body}", body.len()));
    tcp.write_all(head.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    tokio::time::timeout(SOON, tcp.read_to_end(&mut answer)).await.unwrap().ok()?;
    let answer = String::from_utf8(answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n")?;
    let mut lines = head.lines();
    let status = lines.next()?.split(' ').nth(1)?.parse().unwrap();
    let headers = lines.filter_map(|line| line.split_once(": "));
    Some(Reply {
        status,
        headers: headers.map(|(name, value)| (name.to_owned(), value.to_owned())).collect(),
        body: body.to_owned(),
    })
}

/// An object's keys, sorted: JSON gives their order no meaning.
pub(crate) fn keys(value: &Value) -> Vec<&str> {
    let mut keys: Vec<_> = value.as_object().expect("an object").keys().map(String::as_str).collect();
    keys.sort_unstable();
    keys
}

/// A GET as a well-behaved client sends it.
pub(crate) async fn get(url: &str) -> Reply {
    get_with(url, &[("deltaExcludeParent", "true")]).await
}

pub(crate) async fn get_with(url: &str, more: &[(&str, &str)]) -> Reply {
    let mut headers = vec![("Authorization", "Bearer some-token"), ("Content-Type", "application/json")];
    headers.extend(more);
    send("GET", url, &headers, "").await.unwrap()
}

/// A URL to listen on, from the endpoint's answer.
pub(crate) async fn notification_url(emulator: &Emulator, drive_path: &str) -> String {
    let reply = get(&format!("{}{drive_path}/root/subscriptions/socketIo", emulator.base_url())).await;
    assert_eq!(reply.status, 200, "{}", reply.body);
    reply.json()["notificationUrl"].as_str().unwrap().to_owned()
}

/// A websocket, frame by frame.
pub(crate) struct Socket(WebSocketStream<TcpStream>);

impl Socket {
    /// The upgrade alone; `Err` is the HTTP status that refused it.
    pub(crate) async fn upgrade(url: &str) -> Result<Self, u16> {
        let rest = url.strip_prefix("http://").unwrap();
        let (host, path) = rest.split_once('/').unwrap();
        let query = path.split_once('?').unwrap().1;
        let tcp = TcpStream::connect(host).await.unwrap();
        let request = format!("ws://{host}/socket.io/?EIO=4&transport=websocket&{query}");
        match client_async(request, tcp).await {
            Ok((websocket, _)) => Ok(Self(websocket)),
            Err(tokio_tungstenite::tungstenite::Error::Http(response)) => Err(response.status().as_u16()),
            Err(error) => panic!("{error}"),
        }
    }

    /// The whole handshake, as the JavaScript client makes it.
    pub(crate) async fn listen(url: &str) -> Self {
        let mut socket = Self::upgrade(url).await.unwrap();
        assert!(socket.next().await.unwrap().starts_with("0{"));
        socket.say("40/notifications,").await;
        let joined = socket.next().await.unwrap();
        assert!(joined.starts_with("40/notifications,{\"sid\":"), "{joined}");
        socket
    }

    /// The next text frame; `None` at the end of the stream, however it ends. Pings are answered on the way.
    pub(crate) async fn next(&mut self) -> Option<String> {
        tokio::time::timeout(SOON, self.frame()).await.expect("a frame or an end")
    }

    async fn frame(&mut self) -> Option<String> {
        loop {
            match self.0.next().await {
                Some(Ok(Message::Text(text))) if text.as_str() == "2" => self.say("3").await,
                Some(Ok(Message::Text(text))) => return Some(text.to_string()),
                Some(Ok(Message::Close(_)) | Err(_)) | None => return None,
                Some(Ok(_)) => {}
            }
        }
    }

    /// Whether nothing but pings comes for this long.
    pub(crate) async fn silent_for(&mut self, time: Duration) -> bool {
        tokio::time::timeout(time, self.frame()).await.is_err()
    }

    pub(crate) async fn say(&mut self, text: &str) {
        self.0.send(Message::text(text)).await.unwrap();
    }

    /// The next notification's second argument.
    pub(crate) async fn signal(&mut self) -> Value {
        let frame = self.next().await.expect("a signal");
        let event = frame.strip_prefix("42/notifications,").unwrap_or_else(|| panic!("{frame}"));
        let event: Value = serde_json::from_str(event).unwrap();
        assert_eq!(event[0], "notification");
        event[1].clone()
    }
}

/// Tries again until it holds; what never holds fails the test.
pub(crate) async fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let started = tokio::time::Instant::now();
    while !holds() {
        assert!(started.elapsed() < SOON, "never: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
