//! Kafka: real brokers that are killed, frozen, moved, emptied and closed to us.
//!
//! The ledger is the topic: read to its end by a consumer of the test's own.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use drivetap_core::Event;
use drivetap_sink::Sink as _;
use drivetap_sink::contract::Drive;
use drivetap_sink_kafka::{KafkaConfig, KafkaSink};
use drivetap_tests::{KafkaCluster, Listener, PATIENCE, unique, until};
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::message::{Headers as _, Message as _};
use rdkafka::{ClientConfig, Offset, TopicPartitionList};
use tokio::sync::{Mutex, MutexGuard};
use tokio::task::JoinHandle;
use tokio::time::sleep;

use crate::holding::Holding;
use crate::{Progress, ROUND, assert_nothing_lost, deliver};

/// A cluster is three processes of Java at most: one test at a time has one.
static ONE_CLUSTER: Mutex<()> = Mutex::const_new(());

/// A cluster of the test's own, and a topic on it.
struct Stand {
    cluster: KafkaCluster,
    topic: String,
    _alone: MutexGuard<'static, ()>,
}

impl Stand {
    async fn of(nodes: usize, name: &str) -> Self {
        let alone = ONE_CLUSTER.lock().await;
        let cluster = KafkaCluster::start(nodes).await;
        let topic = unique(name);
        cluster.create_topic(&topic).await;
        Self { cluster, topic, _alone: alone }
    }

    /// A delivery with [`config`]'s short limits, over this listener.
    async fn delivery(&self, listener: Listener) -> Delivery {
        Delivery::start(config(&self.cluster, listener, &self.topic)).await
    }

    /// A delivery with the limits that are shipped.
    async fn shipped(&self) -> Delivery {
        Delivery::start(KafkaConfig::new(self.cluster.bootstrap(Listener::Plain), &self.topic)).await
    }

    /// Ends the delivery: all of it is in the topic, in order.
    async fn lost_nothing(&self, delivery: Delivery) {
        let events = delivery.end().await;
        assert_nothing_lost(&read(self.cluster.client(), &self.topic).await, &events);
    }
}

fn config(cluster: &KafkaCluster, listener: Listener, topic: &str) -> KafkaConfig {
    let mut config = KafkaConfig::new(cluster.bootstrap(listener), topic);
    // Shorter than any fault here: what is away is away longer than any timeout.
    config.connect_timeout = Duration::from_secs(2);
    config.delivery_timeout = Duration::from_secs(5);
    // Several requests a round, as many on their way at once as librdkafka allows.
    let mut keys = vec![("socket.timeout.ms", "3000"), ("batch.size", "8000")];
    if listener == Listener::Sasl {
        keys.extend([
            ("security.protocol", "sasl_plaintext"),
            ("sasl.mechanism", "SCRAM-SHA-256"),
            ("sasl.username", KafkaCluster::USERNAME),
            ("sasl.password", KafkaCluster::PASSWORD),
        ]);
    }
    config.librdkafka = keys.into_iter().map(|(key, value)| (key.to_owned(), value.to_owned())).collect();
    config
}

/// From now on what goes through [`Listener::Plain`] can be kept back.
async fn behind_holding(cluster: &KafkaCluster) -> Holding {
    let proxy = cluster.proxies(Listener::Plain)[0];
    let holding = Holding::start(proxy.leads_to()).await;
    proxy.lead_to(holding.address());
    holding
}

/// A sink that is given events without end, so that something is always on its way when a fault strikes.
struct Delivery {
    progress: Arc<Progress>,
    enough: Arc<AtomicBool>,
    task: JoinHandle<Vec<Arc<Event>>>,
}

impl Delivery {
    async fn start(config: KafkaConfig) -> Self {
        let mut sink = KafkaSink::new(config).unwrap();
        sink.connect().await.unwrap();
        let (progress, enough) = <(Arc<Progress>, Arc<AtomicBool>)>::default();
        let (shared, asked) = (Arc::clone(&progress), Arc::clone(&enough));
        let task = tokio::spawn(async move {
            let mut drives = ["b!one", "b!two", "b!three"].map(Drive::new);
            let mut offered = Vec::new();
            while !asked.load(Ordering::SeqCst) {
                let round: Vec<_> = (0..ROUND).map(|n| drives[n % 3].change("a.txt")).collect();
                deliver(&mut sink, &round, &shared).await;
                offered.extend(round);
                sleep(Duration::from_millis(50)).await;
            }
            Box::new(sink).close(Duration::from_secs(5)).await;
            offered
        });
        Self { progress, enough, task }
    }

    /// Waits until so many more are acknowledged.
    async fn goes_on(&self, more: usize) {
        let n = self.progress.acked() + more;
        until(&format!("{n} are acknowledged: {:#?}", self.progress.said()), || self.progress.acked() >= n).await;
    }

    /// Waits until the sink is held.
    async fn is_held(&self) {
        until("it is held", || !self.progress.said().holds.is_empty()).await;
    }

    /// Everything that was offered; all of it is acknowledged.
    async fn end(self) -> Vec<Arc<Event>> {
        self.goes_on(1_000).await;
        self.enough.store(true, Ordering::SeqCst);
        self.task.await.unwrap()
    }
}

/// The ids in a topic of one partition, in their order, to its end.
async fn read(client: ClientConfig, topic: &str) -> Vec<String> {
    let topic = topic.to_owned();
    let reading = tokio::task::spawn_blocking(move || {
        let consumer: BaseConsumer =
            client.clone().set("group.id", "survival").set("enable.partition.eof", "true").create().unwrap();
        let mut whole = TopicPartitionList::new();
        whole.add_partition_offset(&topic, 0, Offset::Beginning).unwrap();
        consumer.assign(&whole).unwrap();
        let (mut ids, begin) = (Vec::new(), Instant::now());
        loop {
            match consumer.poll(Duration::from_millis(500)) {
                Some(Ok(message)) => {
                    let headers = message.headers().unwrap();
                    let id = headers.iter().find(|header| header.key == "ce_id").unwrap().value.unwrap();
                    ids.push(String::from_utf8(id.to_vec()).unwrap());
                }
                Some(Err(rdkafka::error::KafkaError::PartitionEOF(_))) => return ids,
                Some(Err(error)) => assert!(begin.elapsed() < PATIENCE, "{error}"),
                None => assert!(begin.elapsed() < PATIENCE, "the topic has no end"),
            }
        }
    });
    reading.await.unwrap()
}

/// Vector loses records and locks up when a broker bounces (vectordotdev/vector#24193).
#[tokio::test(flavor = "multi_thread")]
async fn a_broker_that_is_killed_and_comes_back_twice_gets_everything_in_order() {
    let mut stand = Stand::of(1, "bounce").await;
    let delivery = stand.delivery(Listener::Plain).await;
    for _ in 0..2 {
        delivery.goes_on(2_000).await;
        stand.cluster.kill(1).await;
        stand.cluster.start_again(1).await;
    }
    stand.lost_nothing(delivery).await;
}

/// Vector drops what is older than five minutes (vectordotdev/vector#14259) and loses records when the whole cluster restarts
/// (vectordotdev/vector#10398).
#[tokio::test(flavor = "multi_thread")]
async fn all_brokers_away_longer_than_any_timeout_cost_nothing() {
    let mut stand = Stand::of(1, "away").await;
    let delivery = stand.delivery(Listener::Plain).await;
    delivery.goes_on(2_000).await;
    stand.cluster.kill(1).await;
    // It stalls, is asked to reconnect, and finds nobody, several times over.
    sleep(Duration::from_secs(25)).await;
    let said = delivery.progress.said();
    assert!(said.reconnects.iter().any(|why| why.contains("acknowledged nothing for 5s")), "{said:#?}");
    assert!(said.reconnects.iter().any(|why| why.contains("is not reachable")), "{said:#?}");
    assert!(said.holds.is_empty(), "{said:#?}");
    stand.cluster.start_again(1).await;
    let back = Instant::now();
    delivery.goes_on(1).await;
    assert!(back.elapsed() < Duration::from_secs(15), "it took {:?} to go on", back.elapsed());
    stand.lost_nothing(delivery).await;
}

/// With the limits that are shipped: a connection that died in silence is replaced before the sink asks for a reconnect.
#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_was_on_its_way_when_the_connection_died_overtakes_nothing_when_it_arrives() {
    let stand = Stand::of(1, "late").await;
    let holding = behind_holding(&stand.cluster).await;
    let delivery = stand.shipped().await;
    delivery.goes_on(2_000).await;
    holding.hold_old();
    delivery.goes_on(2_000).await;
    holding.release();
    stand.lost_nothing(delivery).await;
    assert!(holding.released() > 0, "nothing was on its way");
}

/// What was on its way when all froze arrives last of all, behind what was sent after the thaw.
#[tokio::test(flavor = "multi_thread")]
async fn a_network_that_freezes_for_longer_than_any_timeout_overtakes_nothing_when_it_thaws() {
    let stand = Stand::of(1, "frozen").await;
    let holding = behind_holding(&stand.cluster).await;
    let delivery = stand.delivery(Listener::Plain).await;
    delivery.goes_on(2_000).await;
    holding.hold_all();
    sleep(Duration::from_secs(20)).await;
    let said = delivery.progress.said();
    assert!(said.reconnects.iter().any(|why| why.contains("acknowledged nothing for 5s")), "{said:#?}");
    holding.hold_old();
    delivery.goes_on(2_000).await;
    holding.release();
    stand.lost_nothing(delivery).await;
    assert!(holding.released() > 0, "nothing was on its way");
}

/// librdkafka holds on to a connection for a minute here, so for twelve limits of the sink's own: to the sink it is stuck.
#[tokio::test(flavor = "multi_thread")]
async fn a_producer_that_delivers_nothing_while_the_cluster_answers_is_started_anew() {
    let stand = Stand::of(1, "stuck").await;
    let holding = behind_holding(&stand.cluster).await;
    let mut config = config(&stand.cluster, Listener::Plain, &stand.topic);
    config.librdkafka.insert("socket.timeout.ms".to_owned(), "60000".to_owned());
    let delivery = Delivery::start(config).await;
    delivery.goes_on(2_000).await;
    holding.hold_old();
    let begin = Instant::now();
    delivery.goes_on(2_000).await;
    assert!(begin.elapsed() < Duration::from_secs(40), "{:?}", begin.elapsed());
    stand.lost_nothing(delivery).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_quota_makes_it_slow_and_loses_nothing() {
    let stand = Stand::of(1, "quota").await;
    let delivery = stand.shipped().await;
    let in_five_seconds = async || {
        let before = delivery.progress.acked();
        sleep(Duration::from_secs(5)).await;
        delivery.progress.acked() - before
    };
    let unbound = in_five_seconds().await;
    stand.cluster.set_quota(Some(2_000)).await;
    sleep(Duration::from_secs(1)).await;
    let bound = in_five_seconds().await;
    stand.cluster.set_quota(None).await;
    let progress = Arc::clone(&delivery.progress);
    stand.lost_nothing(delivery).await;
    assert!(bound < unbound / 2, "{unbound} events in 5 s, then {bound}: nothing was throttled");
    let said = progress.said();
    assert!(said.holds.is_empty() && said.reconnects.is_empty(), "{said:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_leader_that_dies_hands_over_and_nothing_is_missing_on_its_successor() {
    let mut stand = Stand::of(3, "moved").await;
    let delivery = stand.delivery(Listener::Plain).await;
    for politely in [false, false, true] {
        delivery.goes_on(2_000).await;
        let leader = stand.cluster.leader(&stand.topic).await.unwrap();
        if politely {
            // A rolling restart: the leader hands over before it goes.
            stand.cluster.stop(leader).await;
        } else {
            stand.cluster.kill(leader).await;
        }
        let begin = Instant::now();
        while stand.cluster.leader(&stand.topic).await.is_none_or(|now| now == leader) {
            assert!(begin.elapsed() < PATIENCE, "no other leader");
        }
        delivery.goes_on(2_000).await;
        stand.cluster.start_again(leader).await;
    }
    stand.lost_nothing(delivery).await;
}

/// Vector never recovers from a topic that was not there (vectordotdev/vector#25746).
#[tokio::test(flavor = "multi_thread")]
async fn a_topic_that_is_deleted_and_made_again_gets_everything_that_the_old_one_had_not_acknowledged() {
    for at_once in [true, false] {
        let stand = Stand::of(1, "deleted").await;
        let topic = &stand.topic;
        let delivery = stand.delivery(Listener::Plain).await;
        delivery.goes_on(2_000).await;
        stand.cluster.delete_topic(topic).await;
        if !at_once {
            delivery.is_held().await;
        }
        // What was acknowledged until now went with the old topic. Up to a round more may be, without our knowing yet.
        let gone = delivery.progress.acked() + if at_once { ROUND } else { 0 };
        stand.cluster.create_topic(topic).await;
        let progress = Arc::clone(&delivery.progress);
        let events = delivery.end().await;
        let said = progress.said();
        assert!(said.holds.iter().all(|what| what.contains(&format!("--create --topic {topic}"))), "{said:#?}");
        let seen = read(stand.cluster.client(), topic).await;
        let first = events.iter().position(|event| Some(event.id()) == seen.first().map(String::as_str)).unwrap();
        assert!(first <= gone, "{first} is the first in the new topic, {gone} were acknowledged in the old one");
        assert_nothing_lost(&seen, &events[first..]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_permission_that_is_revoked_holds_and_goes_on_when_it_is_given_back() {
    let stand = Stand::of(1, "denied").await;
    let delivery = stand.delivery(Listener::Sasl).await;
    delivery.goes_on(2_000).await;
    stand.cluster.deny_writing(&stand.topic, true).await;
    delivery.is_held().await;
    let acked = delivery.progress.acked();
    sleep(Duration::from_secs(2)).await;
    assert_eq!(delivery.progress.acked(), acked, "nothing is written without permission");
    stand.cluster.deny_writing(&stand.topic, false).await;
    let progress = Arc::clone(&delivery.progress);
    stand.lost_nothing(delivery).await;
    let said = progress.said();
    assert!(said.holds.iter().all(|what| what.contains(&format!("--producer --topic {}", stand.topic))), "{said:#?}");
}

/// A password that is changed shows only on the next connection.
#[tokio::test(flavor = "multi_thread")]
async fn a_password_that_is_refused_on_the_next_connection_is_said_and_nothing_is_lost_until_it_is_right() {
    let stand = Stand::of(1, "password").await;
    let delivery = stand.delivery(Listener::Sasl).await;
    delivery.goes_on(2_000).await;
    stand.cluster.set_password("another").await;
    stand.cluster.proxies(Listener::Sasl)[0].cut();
    until("it says so", || delivery.progress.said().reconnects.iter().any(|why| why.contains("refuses the sign-in"))).await;
    stand.cluster.set_password(KafkaCluster::PASSWORD).await;
    stand.lost_nothing(delivery).await;
}
