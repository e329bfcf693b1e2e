//! The suite that every sink passes.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use drivetap_sink::Sink;
use drivetap_sink::contract::{Ability, Forwarder, Harness, Outage, Seen, check};
use drivetap_sink_kafka::{KafkaConfig, KafkaSink, Mode};
use tokio::sync::Mutex;

use crate::broker::{new_topic, plaintext, read, service};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_keeps_the_contract_of_a_sink_in_binary_mode() {
    keeps_the_contract(Mode::Binary).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_keeps_the_contract_of_a_sink_in_structured_mode() {
    keeps_the_contract(Mode::Structured).await;
}

// Clients of this listener are sent to one fixed address: one forwarder at a time.
static PROXIED: Mutex<()> = Mutex::const_new(());

async fn keeps_the_contract(mode: Mode) {
    let _alone = PROXIED.lock().await;
    let forwarder = Forwarder::start(&service("/kafka/proxied/bootstrap"), &service("/kafka/proxied/upstream")).await.unwrap();
    let mut harness = Kafka { mode, forwarder: Arc::clone(&forwarder), topic: String::new() };
    let checked = check(&mut harness).await;
    // The next test listens on the same address.
    forwarder.stop().await;
    if let Err(broken) = checked {
        panic!("{broken}");
    }
}

struct Kafka {
    mode: Mode,
    forwarder: Arc<Forwarder>,
    topic: String,
}

#[async_trait]
impl Harness for Kafka {
    async fn fresh(&mut self) -> Box<dyn Sink> {
        self.topic = new_topic("contract", 3, &[]).await;
        let config = KafkaConfig {
            bootstrap_servers: self.forwarder.address().to_string(),
            mode: self.mode,
            // Cut connections are the suite's point: give up early.
            delivery_timeout: Duration::from_secs(3),
            connect_timeout: Duration::from_secs(2),
            ..plaintext(&self.topic, &[])
        };
        Box::new(KafkaSink::new(config).unwrap())
    }

    async fn read_back(&mut self, distinct: usize) -> Vec<Seen> {
        read(&self.topic, distinct).await.into_iter().map(|found| Seen { id: found.id(), key: found.key }).collect()
    }

    fn outage(&self) -> Ability<Arc<dyn Outage>> {
        let forwarder = Arc::clone(&self.forwarder);
        Ability::Has(forwarder)
    }

    fn too_large(&self) -> Ability<usize> {
        // librdkafka's `message.max.bytes`.
        Ability::Has(1_000_000)
    }
}
