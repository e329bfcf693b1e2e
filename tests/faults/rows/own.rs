//! Faults that are one sink's own: Kafka's leaders, Redis's answers and subscribers, the reader of a pipe.

use std::time::Duration;

use drivetap_tests::{KafkaCluster, PATIENCE};
use tokio::io::AsyncWriteExt as _;
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::{sleep, timeout};

use super::sink::{fill_the_pipe, server_down, server_up};
use super::{Row, Sinks, row};
use crate::lane::Lane;
use crate::process::Reader;
use crate::sinks::Kind;
use crate::stage::Stage;

pub(super) fn rows() -> Vec<Row> {
    vec![
        row(
            "leader-move",
            "of three brokers the leader is stopped in order, comes back, and the next leader is killed",
            Sinks::Each(|kind| match kind {
                Kind::Kafka => None,
                Kind::Redis => Some("pub/sub has no leader; a failover is redis-failover"),
                Kind::Stdout => Some("a pipe has no leader"),
            }),
            60,
            |stage| Box::pin(leader_moves(stage)),
        ),
        row(
            "slow-consumer",
            "a reader of 2 kB/s for 15 s; at Redis a subscriber that reads nothing until the server cuts it",
            Sinks::Each(|kind| {
                (kind == Kind::Kafka).then_some(
                    "a consumer reads the log at its own pace, and a producer never meets it; a slow broker is slow-network",
                )
            }),
            60,
            |stage| Box::pin(slow_consumer(stage)),
        ),
        row("reader-stopped", "nobody reads the pipe for 20 s", Sinks::Each(pipes_only), 60, |stage| {
            Box::pin(reader_stopped(stage))
        }),
        row(
            "reader-gone",
            "the pipe is closed; the program stays, and is started again with a new reader after 8 s",
            Sinks::Each(pipes_only),
            60,
            |stage| Box::pin(reader_gone(stage)),
        ),
        row("redis-client-kill", "CLIENT KILL TYPE normal, six times in six seconds", Sinks::Each(redis_only), 60, |stage| {
            Box::pin(client_kill(stage))
        }),
        row(
            "redis-oom",
            "PUBLISH is answered OOM for 8 s, by the relay: Redis itself refuses no PUBLISH for want of memory",
            Sinks::Each(redis_only),
            60,
            |stage| Box::pin(answered(stage, "OOM command not allowed when used memory > 'maxmemory'.")),
        ),
        row(
            "redis-failover",
            "the server becomes a replica of nobody's and its clients are cut, as Sentinel does it; after 8 s it is the primary again",
            Sinks::Each(redis_only),
            60,
            |stage| Box::pin(demoted(stage)),
        ),
        row(
            "redis-readonly",
            "PUBLISH is answered READONLY for 8 s, by the relay: a managed service does so after a failover",
            Sinks::Each(redis_only),
            60,
            |stage| Box::pin(answered(stage, "READONLY You can't write against a read only replica.")),
        ),
        row(
            "sigterm-dead-broker",
            "the server is dead, then SIGTERM: the program ends in time, and goes on when both are back",
            Sinks::Each(|_| None),
            60,
            |stage| Box::pin(stopped_without_server(stage)),
        ),
    ]
}

fn pipes_only(kind: Kind) -> Option<&'static str> {
    (kind != Kind::Stdout).then_some("no reader holds the other end of this sink: see broker-kill-9 and slow-consumer")
}

fn redis_only(kind: Kind) -> Option<&'static str> {
    match kind {
        Kind::Redis => None,
        Kind::Kafka => Some("an answer of Redis; Kafka's are topic-deleted, permission-revoked and credential-refused"),
        Kind::Stdout => Some("a pipe does not answer"),
    }
}

async fn leader_moves(stage: &mut Stage) {
    stage.borrow_servers(Lane::with(KafkaCluster::start(3).await));
    stage.start().await;
    let topic = stage.topic();
    let first = stage.broker().leader(&topic).await.unwrap();
    stage.broker().stop(first).await;
    stage.keeps_up(Duration::from_secs(40)).await;
    let second = stage.broker().leader(&topic).await.unwrap();
    assert_ne!(first, second, "the leader did not move");
    stage.broker().start_again(first).await;
    stage.broker().kill(second).await;
    stage.me().burst(20).unwrap();
    stage.chapter().await;
    stage.fault_ends();
}

async fn slow_consumer(stage: &mut Stage) {
    stage.start().await;
    if stage.kind() == Kind::Redis {
        return slow_subscriber(stage).await;
    }
    stage.program().read_stdout(Reader::Slow(2_000));
    stage.me().burst(100).unwrap();
    stage.holds(Duration::from_secs(15)).await;
    stage.program().read_stdout(Reader::Keen);
    stage.fault_ends();
}

/// Redis cuts a subscriber that lets its buffer fill; the program does not notice.
async fn slow_subscriber(stage: &mut Stage) {
    let channel = stage.topic();
    let server = &stage.redis().await.server;
    let _: String = server.ask(&["CONFIG", "SET", "client-output-buffer-limit", "pubsub 64kb 32kb 2"]).await;
    let slow = deaf_subscriber(server.address(), &channel).await;
    for _ in 0..40 {
        stage.me().burst(50).unwrap();
        sleep(Duration::from_millis(500)).await;
        let server = &stage.redis().await.server;
        let (_, listening): (String, u64) = server.ask(&["PUBSUB", "NUMSUB", &channel]).await;
        if listening < 2 {
            break;
        }
    }
    let server = &stage.redis().await.server;
    let (_, listening): (String, u64) = server.ask(&["PUBSUB", "NUMSUB", &channel]).await;
    assert_eq!(listening, 1, "the slow subscriber was not cut");
    let _: String = server.ask(&["CONFIG", "SET", "client-output-buffer-limit", "pubsub 32mb 8mb 60"]).await;
    stage.heard_by_another(messages(&slow)).await;
    stage.fault_ends();
}

/// Subscribes with a small window and never reads.
async fn deaf_subscriber(address: std::net::SocketAddr, channel: &str) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4_096).unwrap();
    let mut stream = socket.connect(address).await.unwrap();
    let command = format!("*2\r\n$9\r\nSUBSCRIBE\r\n${}\r\n{channel}\r\n", channel.len());
    stream.write_all(command.as_bytes()).await.unwrap();
    stream
}

/// Whole messages that reached a subscriber before it was cut.
fn messages(stream: &TcpStream) -> u64 {
    let mut heard = Vec::new();
    let mut buffer = [0; 16 * 1024];
    while let Ok(count) = stream.try_read(&mut buffer) {
        if count == 0 {
            break;
        }
        heard.extend_from_slice(&buffer[..count]);
    }
    let text = String::from_utf8_lossy(&heard);
    // The last one may be half a message.
    text.matches("$7\r\nmessage\r\n").count().saturating_sub(1).try_into().unwrap()
}

async fn reader_stopped(stage: &mut Stage) {
    stage.start().await;
    server_down(stage).await;
    fill_the_pipe(stage);
    stage.holds(Duration::from_secs(20)).await;
    server_up(stage).await;
    stage.fault_ends();
}

async fn reader_gone(stage: &mut Stage) {
    stage.start().await;
    stage.program().read_stdout(Reader::Gone);
    stage.holds(Duration::from_secs(8)).await;
    stage.stop_program().await;
    stage.start_program();
    stage.fault_ends();
}

async fn client_kill(stage: &mut Stage) {
    stage.start().await;
    for _ in 0..6 {
        stage.me().burst(5).unwrap();
        let struck = async {
            while stage.redis().await.server.ask::<u64>(&["CLIENT", "KILL", "TYPE", "normal"]).await == 0 {
                sleep(Duration::from_millis(20)).await;
            }
        };
        timeout(PATIENCE, struck).await.expect("it does not connect again");
        sleep(Duration::from_secs(1)).await;
    }
    stage.chapter().await;
    stage.fault_ends();
}

async fn answered(stage: &mut Stage, error: &str) {
    stage.start().await;
    stage.redis().await.relay.refuse(Some(error));
    stage.holds(Duration::from_secs(8)).await;
    stage.redis().await.relay.refuse(None);
    stage.fault_ends();
}

/// A replica takes a PUBLISH and tells the subscribers of the new primary nothing: it must not be published to.
async fn demoted(stage: &mut Stage) {
    stage.start().await;
    let server = &stage.redis().await.server;
    let _: String = server.ask(&["REPLICAOF", "127.0.0.1", "1"]).await;
    let _: u64 = server.ask(&["CLIENT", "KILL", "TYPE", "normal"]).await;
    stage.holds(Duration::from_secs(8)).await;
    let _: String = stage.redis().await.server.ask(&["REPLICAOF", "NO", "ONE"]).await;
    stage.fault_ends();
}

async fn stopped_without_server(stage: &mut Stage) {
    stage.start().await;
    server_down(stage).await;
    fill_the_pipe(stage);
    stage.holds(Duration::from_secs(3)).await;
    stage.stop_program().await;
    if stage.kind() == Kind::Stdout {
        stage.start_program();
    } else {
        server_up(stage).await;
        stage.start_program();
    }
    stage.fault_ends();
}
