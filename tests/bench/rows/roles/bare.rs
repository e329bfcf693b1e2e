//! The bare limit: a websocket library and serde, and a producer. No envelope, no queue, no retry.

use std::borrow::Cow;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::{SinkExt as _, StreamExt as _};
use rdkafka::ClientConfig;
use rdkafka::client::ClientContext;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::producer::{BaseRecord, DeliveryResult, Producer as _, ProducerContext, ThreadedProducer};
use serde::Deserialize;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::Notify;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::{WebSocketStream, client_async_with_config};
use tokio_util::either::Either;

use super::{Tally, authority};
use crate::PATIENCE;
use crate::task::{Target, Task};

/// An event's two arguments, of which the second is JSON once more.
#[derive(Deserialize)]
struct Packet<'a>(#[expect(dead_code, reason = "read as whatever reads it would")] &'a str, String);

#[derive(Deserialize)]
struct Body<'a> {
    #[serde(borrow)]
    value: Vec<Notification<'a>>,
}

/// What is sent, borrowed where it can be.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
#[expect(dead_code, reason = "read as whatever reads it would")]
struct Notification<'a> {
    #[serde(borrow)]
    subscription_id: Cow<'a, str>,
    #[serde(borrow)]
    client_state: Cow<'a, str>,
    #[serde(borrow)]
    expiration_date_time: Cow<'a, str>,
    #[serde(borrow)]
    resource: Cow<'a, str>,
    #[serde(borrow)]
    tenant_id: Cow<'a, str>,
    #[serde(borrow)]
    site_url: Cow<'a, str>,
    #[serde(borrow)]
    web_id: Cow<'a, str>,
}

pub(crate) async fn bare(task: Task) {
    let sink = match &task.to {
        Target::Nowhere { count } => Bare::Tally(Tally::new(*count)),
        Target::Kafka { servers, topic, linger_ms } => Bare::kafka(servers, topic, *linger_ms),
        Target::Redis { address, channel } => Bare::Redis(Redis::connect(address, channel).await),
        Target::Records { .. } => panic!("not a task for this: {task:?}"),
    };
    for n in 0..task.sockets {
        let socket = connect(&task, n).await;
        tokio::spawn(receive(socket, Task::drive(n), sink.clone()));
    }
    std::future::pending::<()>().await;
}

async fn receive(mut socket: Socket, drive: String, sink: Bare) {
    while let Some(message) = socket.next().await {
        let Ok(Message::Text(text)) = message else { continue };
        match text.strip_prefix("42/notifications,") {
            Some(packet) => {
                let Packet(_, body) = serde_json::from_str(packet).unwrap();
                let Body { value } = serde_json::from_str(&body).unwrap();
                sink.take(&drive, &body, &value).await;
            }
            None if text.as_str() == "2" => socket.send("3".into()).await.unwrap(),
            None => {}
        }
    }
}

/// Where it goes. The body is passed on as it came.
#[derive(Clone)]
enum Bare {
    Tally(Tally),
    Kafka { producer: Arc<ThreadedProducer<Delivered>>, topic: Arc<str> },
    Redis(Arc<Redis>),
}

impl Bare {
    fn kafka(servers: &str, topic: &str, linger_ms: u32) -> Self {
        Self::Kafka { producer: Arc::new(producer(servers, topic, linger_ms)), topic: topic.into() }
    }

    async fn take(&self, drive: &str, body: &str, value: &[Notification<'_>]) {
        match self {
            Self::Tally(tally) => value.iter().for_each(|notification| tally.see(&notification.site_url)),
            Self::Kafka { producer, topic } => {
                let mut record = BaseRecord::to(topic).key(drive).payload(body);
                loop {
                    match producer.send(record) {
                        Ok(()) => return,
                        Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), again)) => {
                            record = again;
                            tokio::time::sleep(Duration::from_millis(1)).await;
                        }
                        Err((error, _)) => panic!("{error}"),
                    }
                }
            }
            Self::Redis(redis) => redis.publish(body),
        }
    }
}

/// One that has found its topic, and ends the program where a record is refused.
pub(super) fn producer(servers: &str, topic: &str, linger_ms: u32) -> ThreadedProducer<Delivered> {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", servers).set("acks", "all").set("enable.idempotence", "true");
    config.set("compression.type", "none").set("linger.ms", linger_ms.to_string());
    let producer: ThreadedProducer<Delivered> = config.create_with_context(Delivered).unwrap();
    producer.client().fetch_metadata(Some(topic), PATIENCE).unwrap();
    producer
}

pub(super) struct Delivered;

impl ClientContext for Delivered {}

impl ProducerContext for Delivered {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        if let Err((error, _)) = result {
            panic!("{error}");
        }
    }
}

/// One connection, on which whatever waits is written at once.
struct Redis {
    channel: String,
    waiting: Mutex<Vec<u8>>,
    filled: Notify,
}

impl Redis {
    async fn connect(address: &str, channel: &str) -> Arc<Self> {
        let redis = Arc::new(Self { channel: channel.to_owned(), waiting: Mutex::default(), filled: Notify::new() });
        let (mut answers, mut commands) = TcpStream::connect(address).await.unwrap().into_split();
        let writer = Arc::clone(&redis);
        tokio::spawn(async move {
            loop {
                writer.filled.notified().await;
                let waiting = std::mem::take(&mut *writer.waiting.lock().unwrap());
                commands.write_all(&waiting).await.unwrap();
            }
        });
        tokio::spawn(async move {
            let mut buffer = vec![0; 64 * 1024];
            loop {
                let read = answers.read(&mut buffer).await.unwrap();
                assert!(read > 0 && !buffer[..read].contains(&b'-'), "an error from Redis");
            }
        });
        redis
    }

    fn publish(&self, body: &str) {
        let command = redis::cmd("PUBLISH").arg(&self.channel).arg(body).get_packed_command();
        self.waiting.lock().unwrap().extend_from_slice(&command);
        self.filled.notify_one();
    }
}

pub(super) type Socket = WebSocketStream<Either<TcpStream, TlsStream<TcpStream>>>;

/// In the namespace.
pub(super) async fn connect(task: &Task, n: usize) -> Socket {
    let address = task.origin.replacen("http", "ws", 1);
    let url = format!("{address}/socket.io/?EIO=4&transport=websocket&token={}", Task::drive(n));
    let (_, host) = task.origin.split_once("://").unwrap();
    let tcp = TcpStream::connect(host).await.unwrap();
    let wire = match &task.ca {
        Some(ca) => {
            let connector = TlsConnector::from(authority(ca));
            Either::Right(connector.connect("localhost".try_into().unwrap(), tcp).await.unwrap())
        }
        None => Either::Left(tcp),
    };
    // Over TLS it is asked for what a silent socket takes: then with a small buffer. Its own is what is fast.
    let read_buffer = if task.ca.is_some() { 4 * 1024 } else { WebSocketConfig::default().read_buffer_size };
    let config = WebSocketConfig::default().read_buffer_size(read_buffer);
    let (mut socket, _) = client_async_with_config(url, wire, Some(config)).await.unwrap();
    socket.send("40/notifications,".into()).await.unwrap();
    loop {
        let message = socket.next().await.unwrap().unwrap();
        if message.to_text().unwrap().starts_with("40/notifications") {
            return socket;
        }
    }
}
