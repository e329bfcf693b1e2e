//! Brokers that are killed, denied and moved.

use std::time::Duration;

use drivetap_tests::{Authority, KafkaCluster, Listener, Network, unique};
use rdkafka::ClientConfig;
use rdkafka::error::RDKafkaErrorCode;
use rdkafka::producer::{FutureProducer, FutureRecord};

async fn write(config: &ClientConfig, topic: &str) -> Result<(), RDKafkaErrorCode> {
    let producer: FutureProducer = config.create().unwrap();
    let sent = producer.send(FutureRecord::<(), _>::to(topic).payload("x"), Duration::ZERO).await;
    sent.map(|_| ()).map_err(|(error, _)| error.rdkafka_error_code().unwrap())
}

fn program(cluster: &KafkaCluster, listener: Listener, more: &[(&str, &str)]) -> ClientConfig {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", cluster.bootstrap(listener)).set("message.timeout.ms", "5000");
    config.set_log_level(rdkafka::config::RDKafkaLogLevel::Emerg);
    config.extend(more.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())));
    config
}

fn sasl(password: &str) -> [(&str, &str); 4] {
    [
        ("security.protocol", "sasl_plaintext"),
        ("sasl.mechanism", "SCRAM-SHA-256"),
        ("sasl.username", KafkaCluster::USERNAME),
        ("sasl.password", password),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_is_killed_denied_renamed_and_comes_back() {
    let mut cluster = KafkaCluster::start(1).await;
    let topic = unique("helpers");
    cluster.create_topic(&topic).await;
    let plain = program(&cluster, Listener::Plain, &[]);
    let signed_in = program(&cluster, Listener::Sasl, &sasl(KafkaCluster::PASSWORD));
    assert_eq!(write(&plain, &topic).await, Ok(()));
    assert_eq!(write(&signed_in, &topic).await, Ok(()));

    cluster.deny_writing(&topic, true).await;
    assert_eq!(write(&signed_in, &topic).await, Err(RDKafkaErrorCode::TopicAuthorizationFailed));
    cluster.deny_writing(&topic, false).await;
    assert_eq!(write(&signed_in, &topic).await, Ok(()));

    cluster.set_password("another").await;
    assert_eq!(write(&signed_in, &topic).await, Err(RDKafkaErrorCode::MessageTimedOut));
    assert_eq!(write(&program(&cluster, Listener::Sasl, &sasl("another")), &topic).await, Ok(()));

    let authority = Authority::new();
    let ca = authority.pem();
    let tls = program(&cluster, Listener::Plain, &[("security.protocol", "ssl"), ("ssl.ca.pem", ca)]);
    for (identity, expected) in [
        (authority.good(), Ok(())),
        (authority.expired(), Err(RDKafkaErrorCode::MessageTimedOut)),
        (authority.wrong_host(), Err(RDKafkaErrorCode::MessageTimedOut)),
    ] {
        cluster.proxies(Listener::Plain)[0].identify(Some(&identity));
        assert_eq!(write(&tls, &topic).await, expected);
    }
    cluster.proxies(Listener::Plain)[0].identify(None);

    cluster.proxies(Listener::Plain)[0].set(Network::Silent);
    assert_eq!(write(&plain, &topic).await, Err(RDKafkaErrorCode::MessageTimedOut));
    cluster.proxies(Listener::Plain)[0].set(Network::Open);

    cluster.delete_topic(&topic).await;
    cluster.create_topic(&topic).await;
    cluster.kill(1).await;
    assert_eq!(write(&plain, &topic).await, Err(RDKafkaErrorCode::MessageTimedOut));
    cluster.start_again(1).await;
    assert_eq!(write(&plain, &topic).await, Ok(()));
}

#[tokio::test(flavor = "multi_thread")]
async fn three_nodes_go_on_without_their_leader() {
    let mut cluster = KafkaCluster::start(3).await;
    let topic = unique("helpers");
    cluster.create_topic(&topic).await;
    let plain = program(&cluster, Listener::Plain, &[("message.timeout.ms", "30000")]);
    assert_eq!(write(&plain, &topic).await, Ok(()));
    let leader = cluster.leader(&topic).await.unwrap();
    cluster.stop(leader).await;
    assert_ne!(cluster.leader(&topic).await, Some(leader));
    assert_eq!(write(&plain, &topic).await, Ok(()));
    cluster.start_again(leader).await;
}
