//! Faults between the program and a sink's server, and of that server.

use std::time::Duration;

use drivetap_tests::{KafkaCluster, Listener, Network, Proxy};

use super::{Row, Sinks, row, strikes};
use crate::process::Reader;
use crate::sinks::Kind;
use crate::stage::{Side, Stage, sasl_keys};

pub(super) fn rows() -> Vec<Row> {
    vec![
        row("broker-kill-9", "the server is killed and comes back after 8 s", Sinks::Each(pipe_has_no_server), 60, |stage| {
            Box::pin(server_away(stage, Duration::from_secs(8)))
        }),
        row(
            "brokers-away-60s",
            "every server is away for 60 s, the pipe's reader stopped for as long",
            Sinks::Each(everywhere),
            60,
            |stage| Box::pin(server_away(stage, Duration::from_secs(60))),
        ),
        row(
            "topic-deleted",
            "the topic is deleted, and made again after 10 s",
            Sinks::Each(only_kafka_has_topics),
            60,
            |stage| Box::pin(topic_deleted(stage)),
        ),
        row(
            "permission-revoked",
            "the right to write is taken (Kafka: an ACL; Redis: the user's channels) and given back",
            Sinks::Each(pipe_has_no_sign_in),
            60,
            |stage| Box::pin(permission_revoked(stage)),
        ),
        row(
            "credential-refused",
            "the password is changed, the connection lost, the password changed back",
            Sinks::Each(pipe_has_no_sign_in),
            60,
            |stage| Box::pin(credential_refused(stage)),
        ),
        row(
            "certificate-expired",
            "the server shows an expired certificate for 8 s",
            Sinks::Each(pipe_has_no_network),
            60,
            |stage| Box::pin(bad_certificate(stage, true)),
        ),
        row(
            "certificate-wrong-host",
            "the server shows another host's certificate for 8 s",
            Sinks::Each(pipe_has_no_network),
            60,
            |stage| Box::pin(bad_certificate(stage, false)),
        ),
        row(
            "half-open",
            "open connections are dead and nobody says so; new ones are not",
            Sinks::Each(pipe_has_no_network),
            120,
            |stage| Box::pin(half_open(stage)),
        ),
        row("silence", "nothing passes for 15 s, on new connections either", Sinks::Each(pipe_has_no_network), 60, |stage| {
            Box::pin(weather(stage, Network::Silent, Duration::from_secs(15)))
        }),
        row("latency", "everything takes 500 ms longer each way", Sinks::Each(pipe_has_no_network), 60, |stage| {
            Box::pin(latency(stage))
        }),
        row("slow-network", "500 bytes a second for 15 s", Sinks::Each(pipe_has_no_network), 60, |stage| {
            Box::pin(weather(stage, Network::BytesPerSecond(500), Duration::from_secs(15)))
        }),
        row(
            "connection-cut",
            "FIN on every connection, six times in six seconds",
            Sinks::Each(pipe_has_no_network),
            60,
            |stage| Box::pin(strikes(stage, Side::Sink, Proxy::cut)),
        ),
        row(
            "connection-reset",
            "RST on every connection, six times in six seconds",
            Sinks::Each(pipe_has_no_network),
            60,
            |stage| Box::pin(strikes(stage, Side::Sink, Proxy::reset)),
        ),
    ]
}

fn everywhere(_: Kind) -> Option<&'static str> {
    None
}

fn pipe_has_no_server(kind: Kind) -> Option<&'static str> {
    (kind == Kind::Stdout).then_some("a pipe has no server to kill: see reader-stopped and reader-gone")
}

fn pipe_has_no_sign_in(kind: Kind) -> Option<&'static str> {
    (kind == Kind::Stdout).then_some("nobody signs in to a pipe")
}

fn pipe_has_no_network(kind: Kind) -> Option<&'static str> {
    (kind == Kind::Stdout).then_some("a pipe is no network connection")
}

fn only_kafka_has_topics(kind: Kind) -> Option<&'static str> {
    match kind {
        Kind::Kafka => None,
        Kind::Redis => Some("a channel is not made and cannot be deleted"),
        Kind::Stdout => Some("a pipe has no topic"),
    }
}

/// What the row's one sink needs.
pub(super) async fn server_down(stage: &mut Stage) {
    down(stage, stage.kind()).await;
}

pub(super) async fn server_up(stage: &mut Stage) {
    up(stage, stage.kind()).await;
}

/// Kafka and Redis by `kill -9`; the reader of a pipe stops.
pub(super) async fn down(stage: &mut Stage, kind: Kind) {
    match kind {
        Kind::Kafka => stage.broker().kill(1).await,
        Kind::Redis => stage.redis().await.kill().await,
        Kind::Stdout => stage.program().read_stdout(Reader::Stopped),
    }
}

pub(super) async fn up(stage: &mut Stage, kind: Kind) {
    match kind {
        Kind::Kafka => stage.broker().start_again(1).await,
        Kind::Redis => stage.redis().await.start_again().await,
        Kind::Stdout => stage.program().read_stdout(Reader::Keen),
    }
}

async fn server_away(stage: &mut Stage, time: Duration) {
    stage.start().await;
    server_down(stage).await;
    fill_the_pipe(stage);
    stage.holds(time).await;
    server_up(stage).await;
    stage.fault_ends();
}

/// More than a pipe holds by itself.
pub(super) fn fill_the_pipe(stage: &Stage) {
    if stage.kind() == Kind::Stdout {
        stage.me().burst(200).unwrap();
    }
}

async fn topic_deleted(stage: &mut Stage) {
    stage.start().await;
    let topic = stage.topic();
    stage.broker().delete_topic(&topic).await;
    stage.holds(Duration::from_secs(10)).await;
    stage.broker().create_topic(&topic).await;
    stage.sinks.iter_mut().for_each(crate::sinks::SinkUnderTest::topic_made_again);
    stage.fault_ends();
}

/// The program signs in: SCRAM at Kafka, an ACL user at Redis.
async fn signed_in(stage: &mut Stage) {
    let topic = stage.topic();
    match stage.kind() {
        Kind::Kafka => {
            stage.setup.listener = Listener::Sasl;
            stage.setup.sink_keys.insert(Kind::Kafka, sasl_keys(Kind::Kafka));
        }
        Kind::Redis => {
            stage.setup.redis = format!("redis://{USER}:{PASSWORD}@127.0.0.1");
            let channel = format!("&{topic}");
            let words = ["ACL", "SETUSER", USER, "reset", "on", &format!(">{PASSWORD}"), "+@all", &channel];
            let _: String = stage.redis().await.server.ask(&words).await;
        }
        Kind::Stdout => {}
    }
    stage.start().await;
}

const USER: &str = "drivetap";
const PASSWORD: &str = "drivetap-secret";

async fn permission_revoked(stage: &mut Stage) {
    signed_in(stage).await;
    let topic = stage.topic();
    deny(stage, &topic, true).await;
    stage.holds(Duration::from_secs(8)).await;
    deny(stage, &topic, false).await;
    stage.fault_ends();
}

async fn deny(stage: &mut Stage, topic: &str, denied: bool) {
    if stage.kind() == Kind::Kafka {
        return stage.broker().deny_writing(topic, denied).await;
    }
    let channel = format!("&{topic}");
    let allowed = if denied { "&nothing" } else { &channel };
    let _: String = stage.redis().await.server.ask(&["ACL", "SETUSER", USER, "resetchannels", allowed]).await;
}

async fn credential_refused(stage: &mut Stage) {
    signed_in(stage).await;
    set_password(stage, "another").await;
    // Who is signed in stays so: the connection has to be made again.
    stage.sink_proxies().await.into_iter().for_each(Proxy::cut);
    stage.holds(Duration::from_secs(8)).await;
    set_password(stage, PASSWORD).await;
    stage.fault_ends();
}

async fn set_password(stage: &mut Stage, password: &str) {
    if stage.kind() == Kind::Kafka {
        assert_eq!(PASSWORD, KafkaCluster::PASSWORD);
        return stage.broker().set_password(password).await;
    }
    let words = ["ACL", "SETUSER", USER, "resetpass", &format!(">{password}")];
    let _: String = stage.redis().await.server.ask(&words).await;
}

/// TLS ends at the proxy, as it does at a load balancer; the server behind it is real.
async fn bad_certificate(stage: &mut Stage, expired: bool) {
    let ca = stage.dir.path().join("ca.pem");
    let keys = match stage.kind() {
        Kind::Redis => "ca_file = \"ca.pem\"\n".to_owned(),
        _ => format!("[sink.kafka.librdkafka]\n\"security.protocol\" = \"ssl\"\n\"ssl.ca.location\" = \"{}\"\n", ca.display()),
    };
    let kind = stage.kind();
    stage.setup.sink_keys.insert(kind, keys);
    stage.setup.redis = "rediss://localhost".to_owned();
    let good = stage.authority.good();
    let bad = if expired { stage.authority.expired() } else { stage.authority.wrong_host() };
    // The lane's servers come up with the first row that wants them.
    match kind {
        Kind::Kafka => drop(stage.lane.kafka().await),
        _ => drop(stage.redis().await),
    }
    stage.sink_proxies().await.into_iter().for_each(|proxy| proxy.identify(Some(&good)));
    stage.start().await;
    for proxy in stage.sink_proxies().await {
        proxy.identify(Some(&bad));
        proxy.cut();
    }
    stage.holds(Duration::from_secs(8)).await;
    stage.sink_proxies().await.into_iter().for_each(|proxy| proxy.identify(Some(&good)));
    stage.fault_ends();
}

/// The fault has no end: what was open stays dead. It is timed from the changes that it held up.
async fn half_open(stage: &mut Stage) {
    stage.start().await;
    stage.sink_proxies().await.into_iter().for_each(Proxy::freeze);
    stage.fault_ends();
    stage.chapter().await;
}

async fn weather(stage: &mut Stage, network: Network, time: Duration) {
    stage.start().await;
    stage.sink_proxies().await.into_iter().for_each(|proxy| proxy.set(network));
    stage.me().burst(50).unwrap();
    stage.holds(time).await;
    stage.sink_proxies().await.into_iter().for_each(|proxy| proxy.set(Network::Open));
    stage.fault_ends();
}

async fn latency(stage: &mut Stage) {
    stage.start().await;
    stage.sink_proxies().await.into_iter().for_each(|proxy| proxy.set(Network::Latency(Duration::from_millis(500))));
    stage.keeps_up(Duration::from_secs(30)).await;
    stage.sink_proxies().await.into_iter().for_each(|proxy| proxy.set(Network::Open));
    stage.fault_ends();
}
