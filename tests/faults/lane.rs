//! What one row after another is run on: a broker and a Redis of its own, started when they are first wanted.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use drivetap_tests::{KafkaCluster, Listener, Network, PATIENCE, Proxy, PublishRelay, RedisServer};
use futures_util::StreamExt as _;
use tokio::task::JoinSet;
use tokio::time::sleep;

/// Servers that one row at a time has for itself. A row that fails leaves them in an unknown state: they are thrown away.
#[derive(Default)]
pub(crate) struct Lane {
    kafka: Option<KafkaCluster>,
    redis: Option<Redis>,
}

/// A Redis behind a relay that keeps the ledger, behind a proxy that is the network.
pub(crate) struct Redis {
    pub(crate) server: RedisServer,
    pub(crate) relay: PublishRelay,
    pub(crate) proxy: Proxy,
}

/// Who listens to a channel, at the server itself, and comes back when it is cut off.
pub(crate) struct Subscriber {
    heard: Arc<AtomicU64>,
    _listening: JoinSet<()>,
}

impl Lane {
    pub(crate) async fn kafka(&mut self) -> &mut KafkaCluster {
        if self.kafka.is_none() {
            self.kafka = Some(KafkaCluster::start(1).await);
        }
        self.kafka.as_mut().unwrap()
    }

    pub(crate) async fn redis(&mut self) -> &mut Redis {
        if self.redis.is_none() {
            self.redis = Some(Redis::start().await);
        }
        self.redis.as_mut().unwrap()
    }

    /// The broker, in a row that has Kafka among its sinks.
    pub(crate) fn broker(&mut self) -> &mut KafkaCluster {
        self.kafka.as_mut().expect("a row with Kafka")
    }

    /// The network as it should be, for the next row.
    pub(crate) fn calm(&self) {
        let kafka =
            self.kafka.iter().flat_map(|kafka| [Listener::Plain, Listener::Sasl, Listener::Named].map(|it| kafka.proxies(it)));
        for proxy in kafka.flatten().chain(self.redis.iter().map(|redis| &redis.proxy)) {
            proxy.set(Network::Open);
            proxy.identify(None);
            proxy.cut();
        }
        self.redis.iter().for_each(|redis| redis.relay.refuse(None));
    }

    /// Three nodes in the place of the one, for one row.
    pub(crate) fn with(kafka: KafkaCluster) -> Self {
        Self { kafka: Some(kafka), redis: None }
    }
}

impl Redis {
    async fn start() -> Self {
        let server = RedisServer::start(&[]).await;
        let relay = PublishRelay::start(server.address()).await;
        let proxy = Proxy::start(relay.address()).await;
        Self { server, relay, proxy }
    }

    /// `kill -9`. The network says what a host without a server says: refused.
    pub(crate) async fn kill(&mut self) {
        self.proxy.set(Network::Refused);
        self.server.kill().await;
    }

    pub(crate) async fn start_again(&mut self) {
        self.server.start_again().await;
        self.proxy.set(Network::Open);
    }
}

impl Subscriber {
    pub(crate) async fn on(server: &RedisServer, channel: &str) -> Self {
        let heard = Arc::new(AtomicU64::new(0));
        let mut listening = JoinSet::new();
        listening.spawn(listen(server.url(), channel.to_owned(), Arc::clone(&heard)));
        // The first subscription stands before anything is published.
        let begin = Instant::now();
        while server.ask::<(String, u64)>(&["PUBSUB", "NUMSUB", channel]).await.1 == 0 {
            assert!(begin.elapsed() < PATIENCE, "nobody subscribes to {channel}");
            sleep(Duration::from_millis(10)).await;
        }
        Self { heard, _listening: listening }
    }

    pub(crate) fn heard(&self) -> u64 {
        self.heard.load(Ordering::Relaxed)
    }
}

async fn listen(url: String, channel: String, heard: Arc<AtomicU64>) {
    let client = redis::Client::open(url).unwrap();
    loop {
        if let Ok(mut pubsub) = client.get_async_pubsub().await
            && pubsub.subscribe(&channel).await.is_ok()
        {
            let mut messages = pubsub.on_message();
            while messages.next().await.is_some() {
                heard.fetch_add(1, Ordering::Relaxed);
            }
        }
        sleep(Duration::from_millis(50)).await;
    }
}
