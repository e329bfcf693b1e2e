//! The contract suite on the shared Redis: in the clear as the default user, and over TLS as an ACL user.

use std::collections::HashSet;
use std::sync::Arc;

use crate::common::{Subscriber, config, services, text};
use async_trait::async_trait;
use drivetap_sink::Sink;
use drivetap_sink::contract::{Ability, Forwarder, Harness, Outage, Seen, check};
use drivetap_sink_redis::{RedisConfig, RedisSink};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keeps_every_promise_in_the_clear() {
    let services = services();
    let address = text(&services, "/redis/plain");
    let forwarder = Forwarder::start("127.0.0.1:0", &address).await.unwrap();
    let config = config(&format!("redis://{}", forwarder.address()), "");
    check(&mut Redis::new(address, forwarder, config)).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keeps_every_promise_over_tls_as_an_acl_user() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let services = services();
    let forwarder = Forwarder::start("127.0.0.1:0", &text(&services, "/redis/tls")).await.unwrap();
    let mut config = config(&format!("rediss://localhost:{}", forwarder.address().port()), "");
    config.username = Some(text(&services, "/redis/acl/username"));
    config.password = Some(text(&services, "/redis/acl/password").into());
    config.ca_pem = Some(std::fs::read(text(&services, "/tls/ca")).unwrap());
    check(&mut Redis::new(text(&services, "/redis/plain"), forwarder, config)).await.unwrap();
}

struct Redis {
    address: String,
    forwarder: Arc<Forwarder>,
    config: RedisConfig,
    places: usize,
    subscriber: Option<Subscriber>,
}

impl Redis {
    fn new(address: String, forwarder: Arc<Forwarder>, mut config: RedisConfig) -> Self {
        config.max_message_bytes = 200_000;
        Self { address, forwarder, config, places: 0, subscriber: None }
    }
}

#[async_trait]
impl Harness for Redis {
    async fn fresh(&mut self) -> Box<dyn Sink> {
        self.places += 1;
        self.config.channel =
            format!("drive-contract-{}-{}-{}", std::process::id(), self.forwarder.address().port(), self.places);
        self.subscriber = Some(Subscriber::on(&self.address, &self.config.channel).await);
        Box::new(RedisSink::new(self.config.clone()))
    }

    async fn read_back(&mut self, distinct: usize) -> Vec<Seen> {
        let subscriber = self.subscriber.as_mut().unwrap();
        subscriber
            .read(|seen| {
                seen.len() >= distinct && distinct <= seen.iter().map(|event| event["id"].as_str()).collect::<HashSet<_>>().len()
            })
            .await;
        let word = |event: &serde_json::Value, name| event[name].as_str().unwrap().to_owned();
        subscriber.seen.iter().map(|event| Seen { key: word(event, "partitionkey"), id: word(event, "id") }).collect()
    }

    fn outage(&self) -> Ability<Arc<dyn Outage>> {
        let outage: Arc<dyn Outage> = self.forwarder.clone();
        Ability::Has(outage)
    }

    fn too_large(&self) -> Ability<usize> {
        Ability::Has(self.config.max_message_bytes)
    }
}
