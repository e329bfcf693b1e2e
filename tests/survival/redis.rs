//! Redis pub/sub. The ledger is what the server acknowledged, read on the wire: a channel keeps nothing.

use std::sync::Arc;
use std::time::{Duration, Instant};

use drivetap_core::Event;
use drivetap_sink::Sink as _;
use drivetap_sink::contract::{Drive, events};
use drivetap_sink_redis::{RedisConfig, RedisSink};
use drivetap_tests::{PATIENCE, PublishRelay, RedisServer, until};
use futures_util::StreamExt as _;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use tokio::time::sleep;

use crate::{Progress, Said, assert_nothing_lost, deliver};

const CHANNEL: &str = "drive-events";

/// A server, and the relay that the sink goes through.
async fn server(options: &[&str]) -> (RedisServer, PublishRelay) {
    let server = RedisServer::start(options).await;
    let relay = PublishRelay::start(server.address()).await;
    (server, relay)
}

async fn connected(relay: &PublishRelay) -> RedisSink {
    let mut config = RedisConfig::new(format!("redis://{}", relay.address()).parse().unwrap(), CHANNEL);
    // Several chunks a batch, so that a fault comes between two of them.
    config.pipeline_bytes = 8 * 1024;
    let mut sink = RedisSink::new(config);
    sink.connect().await.unwrap();
    sink
}

fn acknowledged(relay: &PublishRelay) -> Vec<String> {
    let id = |message: &str| serde_json::from_str::<serde_json::Value>(message).unwrap()["id"].as_str().unwrap().to_owned();
    relay.acknowledged(CHANNEL, 0).iter().map(|published| id(&published.message)).collect()
}

async fn delivered(sink: &mut RedisSink, events: &[Arc<Event>]) -> Said {
    let progress = Progress::default();
    deliver(sink, events, &progress).await;
    progress.said()
}

/// Delivers in the background, so that something is always on its way when a fault strikes.
fn delivering(mut sink: RedisSink, events: &[Arc<Event>]) -> tokio::task::JoinHandle<Said> {
    let events = events.to_vec();
    tokio::spawn(async move { delivered(&mut sink, &events).await })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_killed_twice_gets_everything_in_order() {
    let (mut server, relay) = server(&[]).await;
    let events = events(20_000, 3);
    let delivery = delivering(connected(&relay).await, &events);
    for at in [2_000, 8_000] {
        until("some are there", || acknowledged_count(&relay) >= at).await;
        server.kill().await;
        sleep(Duration::from_millis(300)).await;
        server.start_again().await;
    }
    let said = delivery.await.unwrap();
    assert!(!said.reconnects.is_empty() && said.holds.is_empty(), "{said:#?}");
    assert_nothing_lost(&acknowledged(&relay), &events);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_the_server_cuts_again_and_again_loses_nothing() {
    let (server, relay) = server(&[]).await;
    let events = events(20_000, 3);
    let delivery = delivering(connected(&relay).await, &events);
    let mut cuts = 0;
    while !delivery.is_finished() {
        cuts += server.ask::<u64>(&["CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"]).await;
        sleep(Duration::from_millis(20)).await;
    }
    let said = delivery.await.unwrap();
    assert!(cuts >= 3 && !said.reconnects.is_empty(), "{cuts} cuts: {said:#?}");
    assert_nothing_lost(&acknowledged(&relay), &events);
}

#[tokio::test(flavor = "multi_thread")]
async fn out_of_memory_is_back_pressure_and_a_read_only_answer_is_another_primary_to_find() {
    for (answer, holds) in [
        ("OOM command not allowed when used memory > 'maxmemory'.", true),
        ("READONLY You can't write against a read only replica.", false),
    ] {
        let (_server, relay) = server(&[]).await;
        let events = events(5_000, 3);
        let delivery = delivering(connected(&relay).await, &events);
        until("some are there", || acknowledged_count(&relay) >= 500).await;
        relay.refuse(Some(answer));
        sleep(Duration::from_millis(500)).await;
        assert!(!delivery.is_finished());
        relay.refuse(None);
        let said = delivery.await.unwrap();
        let word = answer.split(' ').next().unwrap();
        let told = if holds { &said.holds } else { &said.reconnects };
        assert!(told.iter().any(|why| why.contains(word)), "{said:#?}");
        assert_eq!(said.holds.is_empty(), !holds, "{said:#?}");
        assert_nothing_lost(&acknowledged(&relay), &events);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_really_out_of_memory_still_publishes() {
    let (server, relay) = server(&["--maxmemory", "3mb", "--maxmemory-policy", "noeviction"]).await;
    let mut sink = connected(&relay).await;
    let client = ::redis::Client::open(server.url()).unwrap();
    let mut filler = client.get_multiplexed_async_connection().await.unwrap();
    let value = "x".repeat(100_000);
    let mut n = 0;
    let refused = loop {
        assert!(n < 200, "3 MB are never full");
        n += 1;
        let set = ::redis::cmd("SET").arg(n).arg(&value).exec_async(&mut filler).await;
        if let Err(refused) = set {
            break refused.to_string();
        }
    };
    assert!(refused.contains("OOM") || refused.contains("maxmemory"), "{refused}");
    let events = events(500, 1);
    let said = delivered(&mut sink, &events).await;
    assert!(said.holds.is_empty() && said.reconnects.is_empty(), "{said:#?}");
    assert_nothing_lost(&acknowledged(&relay), &events);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_subscriber_that_is_too_slow_is_cut_by_the_server_and_costs_nobody_else_anything() {
    let (server, relay) = server(&["--client-output-buffer-limit", "pubsub", "1mb", "1mb", "1"]).await;
    let client = ::redis::Client::open(server.url()).unwrap();
    let mut reader = client.get_async_pubsub().await.unwrap();
    reader.subscribe(CHANNEL).await.unwrap();
    let read = tokio::spawn(async move { reader.on_message().take(400).count().await });
    // It subscribes and never reads.
    let mut slow = TcpStream::connect(server.address()).await.unwrap();
    slow.write_all(format!("SUBSCRIBE {CHANNEL}\r\n").as_bytes()).await.unwrap();
    until_subscribers(&server, 2).await;

    let mut drive = Drive::new("b!one");
    let events: Vec<_> = (0..400).map(|_| drive.change_of(50_000)).collect();
    let mut sink = connected(&relay).await;
    let said = delivered(&mut sink, &events).await;
    assert!(said.holds.is_empty() && said.reconnects.is_empty(), "{said:#?}");
    assert_nothing_lost(&acknowledged(&relay), &events);
    assert_eq!(read.await.unwrap(), 400, "the other subscriber has everything");
    until_subscribers(&server, 0).await;
    let receivers: Vec<u64> = relay.acknowledged(CHANNEL, 0).iter().map(|published| published.receivers).collect();
    assert_eq!((receivers.first(), receivers.last()), (Some(&2), Some(&1)), "the loss shows in the number of receivers");
    drop(slow);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_primary_that_is_demoted_under_load_is_left_until_it_is_promoted_again() {
    let (server, relay) = server(&[]).await;
    let other = RedisServer::start(&[]).await;
    let events = events(20_000, 3);
    let delivery = delivering(connected(&relay).await, &events);
    until("some are there", || acknowledged_count(&relay) >= 1_000).await;
    let port = other.address().port().to_string();
    server.ask::<()>(&["REPLICAOF", "127.0.0.1", &port]).await;
    sleep(Duration::from_millis(500)).await;
    let while_replica = acknowledged_count(&relay);
    sleep(Duration::from_millis(300)).await;
    assert_eq!(acknowledged_count(&relay), while_replica, "nothing more is given to a replica");
    assert!(!delivery.is_finished());

    server.ask::<()>(&["REPLICAOF", "NO", "ONE"]).await;
    let said = delivery.await.unwrap();
    assert!(said.reconnects.iter().any(|why| why.contains("is a replica")), "{said:#?}");
    assert_nothing_lost(&acknowledged(&relay), &events);
}

async fn until_subscribers(server: &RedisServer, expected: u64) {
    let begin = Instant::now();
    loop {
        let (_, count) = server.ask::<(String, u64)>(&["PUBSUB", "NUMSUB", CHANNEL]).await;
        if count == expected {
            return;
        }
        assert!(begin.elapsed() < PATIENCE, "{count} subscribers, not {expected}");
        sleep(Duration::from_millis(20)).await;
    }
}

fn acknowledged_count(relay: &PublishRelay) -> usize {
    relay.acknowledged(CHANNEL, 0).len()
}
