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
use tokio::sync::Mutex;
use tokio::task::JoinHandle;
use tokio::time::sleep;

use crate::holding::Holding;
use crate::{Progress, ROUND, assert_nothing_lost, deliver};

/// A cluster is three processes of Java at most: one test at a time has one.
static ONE_CLUSTER: Mutex<()> = Mutex::const_new(());

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
    let _alone = ONE_CLUSTER.lock().await;
    let mut cluster = KafkaCluster::start(1).await;
    let topic = unique("bounce");
    cluster.create_topic(&topic).await;
    let delivery = Delivery::start(config(&cluster, Listener::Plain, &topic)).await;
    for _ in 0..2 {
        delivery.goes_on(2_000).await;
        cluster.kill(1).await;
        cluster.start_again(1).await;
    }
    let events = delivery.end().await;
    assert_nothing_lost(&read(cluster.client(), &topic).await, &events);
}

/// Vector drops what is older than five minutes (vectordotdev/vector#14259) and loses records when the whole cluster restarts
/// (vectordotdev/vector#10398).
#[tokio::test(flavor = "multi_thread")]
async fn all_brokers_away_longer_than_any_timeout_cost_nothing() {
    let _alone = ONE_CLUSTER.lock().await;
    let mut cluster = KafkaCluster::start(1).await;
    let topic = unique("away");
    cluster.create_topic(&topic).await;
    let delivery = Delivery::start(config(&cluster, Listener::Plain, &topic)).await;
    delivery.goes_on(2_000).await;
    cluster.kill(1).await;
    // It stalls, is asked to reconnect, and finds nobody, several times over.
    sleep(Duration::from_secs(25)).await;
    let said = delivery.progress.said();
    assert!(said.reconnects.iter().any(|why| why.contains("acknowledged nothing for 5s")), "{said:#?}");
    assert!(said.reconnects.iter().any(|why| why.contains("is not reachable")), "{said:#?}");
    assert!(said.holds.is_empty(), "{said:#?}");
    cluster.start_again(1).await;
    let back = Instant::now();
    delivery.goes_on(1).await;
    assert!(back.elapsed() < Duration::from_secs(15), "it took {:?} to go on", back.elapsed());
    let events = delivery.end().await;
    assert_nothing_lost(&read(cluster.client(), &topic).await, &events);
}

/// With the limits that are shipped: a connection that died in silence is replaced before the sink asks for a reconnect.
#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_was_on_its_way_when_the_connection_died_overtakes_nothing_when_it_arrives() {
    let _alone = ONE_CLUSTER.lock().await;
    let cluster = KafkaCluster::start(1).await;
    let topic = unique("late");
    cluster.create_topic(&topic).await;
    let holding = behind_holding(&cluster).await;
    let delivery = Delivery::start(KafkaConfig::new(cluster.bootstrap(Listener::Plain), &topic)).await;
    delivery.goes_on(2_000).await;
    holding.hold_old();
    delivery.goes_on(2_000).await;
    holding.release();
    let events = delivery.end().await;
    assert!(holding.released() > 0, "nothing was on its way");
    assert_nothing_lost(&read(cluster.client(), &topic).await, &events);
}

/// What was on its way when all froze arrives last of all, behind what was sent after the thaw.
#[tokio::test(flavor = "multi_thread")]
async fn a_network_that_freezes_for_longer_than_any_timeout_overtakes_nothing_when_it_thaws() {
    let _alone = ONE_CLUSTER.lock().await;
    let cluster = KafkaCluster::start(1).await;
    let topic = unique("frozen");
    cluster.create_topic(&topic).await;
    let holding = behind_holding(&cluster).await;
    let delivery = Delivery::start(config(&cluster, Listener::Plain, &topic)).await;
    delivery.goes_on(2_000).await;
    holding.hold_all();
    sleep(Duration::from_secs(20)).await;
    let said = delivery.progress.said();
    assert!(said.reconnects.iter().any(|why| why.contains("acknowledged nothing for 5s")), "{said:#?}");
    holding.hold_old();
    delivery.goes_on(2_000).await;
    holding.release();
    let events = delivery.end().await;
    assert!(holding.released() > 0, "nothing was on its way");
    assert_nothing_lost(&read(cluster.client(), &topic).await, &events);
}

/// librdkafka holds on to a connection for a minute here, so for twelve limits of the sink's own: to the sink it is stuck.
#[tokio::test(flavor = "multi_thread")]
async fn a_producer_that_delivers_nothing_while_the_cluster_answers_is_started_anew() {
    let _alone = ONE_CLUSTER.lock().await;
    let cluster = KafkaCluster::start(1).await;
    let topic = unique("stuck");
    cluster.create_topic(&topic).await;
    let holding = behind_holding(&cluster).await;
    let mut config = config(&cluster, Listener::Plain, &topic);
    config.librdkafka.insert("socket.timeout.ms".to_owned(), "60000".to_owned());
    let delivery = Delivery::start(config).await;
    delivery.goes_on(2_000).await;
    holding.hold_old();
    let begin = Instant::now();
    delivery.goes_on(2_000).await;
    assert!(begin.elapsed() < Duration::from_secs(40), "{:?}", begin.elapsed());
    let events = delivery.end().await;
    assert_nothing_lost(&read(cluster.client(), &topic).await, &events);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_quota_makes_it_slow_and_loses_nothing() {
    let _alone = ONE_CLUSTER.lock().await;
    let cluster = KafkaCluster::start(1).await;
    let topic = unique("quota");
    cluster.create_topic(&topic).await;
    let delivery = Delivery::start(KafkaConfig::new(cluster.bootstrap(Listener::Plain), &topic)).await;
    let in_five_seconds = async || {
        let before = delivery.progress.acked();
        sleep(Duration::from_secs(5)).await;
        delivery.progress.acked() - before
    };
    let unbound = in_five_seconds().await;
    cluster.set_quota(Some(2_000)).await;
    sleep(Duration::from_secs(1)).await;
    let bound = in_five_seconds().await;
    cluster.set_quota(None).await;
    let progress = Arc::clone(&delivery.progress);
    let events = delivery.end().await;
    assert!(bound < unbound / 2, "{unbound} events in 5 s, then {bound}: nothing was throttled");
    let said = progress.said();
    assert!(said.holds.is_empty() && said.reconnects.is_empty(), "{said:#?}");
    assert_nothing_lost(&read(cluster.client(), &topic).await, &events);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_leader_that_dies_hands_over_and_nothing_is_missing_on_its_successor() {
    let _alone = ONE_CLUSTER.lock().await;
    let mut cluster = KafkaCluster::start(3).await;
    let topic = unique("moved");
    cluster.create_topic(&topic).await;
    let delivery = Delivery::start(config(&cluster, Listener::Plain, &topic)).await;
    for politely in [false, false, true] {
        delivery.goes_on(2_000).await;
        let leader = cluster.leader(&topic).await.unwrap();
        if politely {
            // A rolling restart: the leader hands over before it goes.
            cluster.stop(leader).await;
        } else {
            cluster.kill(leader).await;
        }
        let begin = Instant::now();
        while cluster.leader(&topic).await.is_none_or(|now| now == leader) {
            assert!(begin.elapsed() < PATIENCE, "no other leader");
        }
        delivery.goes_on(2_000).await;
        cluster.start_again(leader).await;
    }
    let events = delivery.end().await;
    assert_nothing_lost(&read(cluster.client(), &topic).await, &events);
}

/// Vector never recovers from a topic that was not there (vectordotdev/vector#25746).
#[tokio::test(flavor = "multi_thread")]
async fn a_topic_that_is_deleted_and_made_again_gets_everything_that_the_old_one_had_not_acknowledged() {
    let _alone = ONE_CLUSTER.lock().await;
    let cluster = KafkaCluster::start(1).await;
    for at_once in [true, false] {
        let topic = unique("deleted");
        cluster.create_topic(&topic).await;
        let delivery = Delivery::start(config(&cluster, Listener::Plain, &topic)).await;
        delivery.goes_on(2_000).await;
        cluster.delete_topic(&topic).await;
        if !at_once {
            delivery.is_held().await;
        }
        // What was acknowledged until now went with the old topic. Up to a round more may be, without our knowing yet.
        let gone = delivery.progress.acked() + if at_once { ROUND } else { 0 };
        cluster.create_topic(&topic).await;
        let progress = Arc::clone(&delivery.progress);
        let events = delivery.end().await;
        let said = progress.said();
        assert!(said.holds.iter().all(|what| what.contains(&format!("--create --topic {topic}"))), "{said:#?}");
        let seen = read(cluster.client(), &topic).await;
        let first = events.iter().position(|event| Some(event.id()) == seen.first().map(String::as_str)).unwrap();
        assert!(first <= gone, "{first} is the first in the new topic, {gone} were acknowledged in the old one");
        assert_nothing_lost(&seen, &events[first..]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_permission_that_is_revoked_holds_and_goes_on_when_it_is_given_back() {
    let _alone = ONE_CLUSTER.lock().await;
    let cluster = KafkaCluster::start(1).await;
    let topic = unique("denied");
    cluster.create_topic(&topic).await;
    let delivery = Delivery::start(config(&cluster, Listener::Sasl, &topic)).await;
    delivery.goes_on(2_000).await;
    cluster.deny_writing(&topic, true).await;
    delivery.is_held().await;
    let acked = delivery.progress.acked();
    sleep(Duration::from_secs(2)).await;
    assert_eq!(delivery.progress.acked(), acked, "nothing is written without permission");
    cluster.deny_writing(&topic, false).await;
    let progress = Arc::clone(&delivery.progress);
    let events = delivery.end().await;
    let said = progress.said();
    assert!(said.holds.iter().all(|what| what.contains(&format!("--producer --topic {topic}"))), "{said:#?}");
    assert_nothing_lost(&read(cluster.client(), &topic).await, &events);
}

/// A password that is changed shows only on the next connection.
#[tokio::test(flavor = "multi_thread")]
async fn a_password_that_is_refused_on_the_next_connection_is_said_and_nothing_is_lost_until_it_is_right() {
    let _alone = ONE_CLUSTER.lock().await;
    let cluster = KafkaCluster::start(1).await;
    let topic = unique("password");
    cluster.create_topic(&topic).await;
    let delivery = Delivery::start(config(&cluster, Listener::Sasl, &topic)).await;
    delivery.goes_on(2_000).await;
    cluster.set_password("another").await;
    cluster.proxies(Listener::Sasl)[0].cut();
    until("it says so", || delivery.progress.said().reconnects.iter().any(|why| why.contains("refuses the sign-in"))).await;
    cluster.set_password(KafkaCluster::PASSWORD).await;
    let events = delivery.end().await;
    assert_nothing_lost(&read(cluster.client(), &topic).await, &events);
}
