//! From the socket to a sink, as fast as it goes: the load sends on while so many are not yet at the far side, the same for everyone.

use std::time::{Duration, Instant};

use tokio::time::sleep;

use super::arrivals::Arrivals;
use super::contender::Contender;
use super::load::Load;
use super::report::{Column, Goal, Row, Sample};
use super::task::{Target, Task};
use super::{PATIENCE, SOCKETS, WINDOW, Wanted, mebi, micros, rate};

/// The last number is how many notifications it gets: enough for a second or two.
type Candidate = (&'static str, Contender, u64);

const BARE_KAFKA: &str = "bare: tokio-tungstenite, serde_json, rdkafka's ThreadedProducer";
const DRIVETAP: &str = "drivetap";
const KAFKA_JAVASCRIPT: &str = "Node: socket.io-client, @confluentinc/kafka-javascript";
const KAFKAJS: &str = "Node: socket.io-client, kafkajs in batches";
const PYTHON_KAFKA: &str = "Python: python-socketio, confluent-kafka";

const KAFKA: [Candidate; 5] = [
    (BARE_KAFKA, Contender::Rust("bare"), 400_000),
    (DRIVETAP, Contender::Drivetap, 400_000),
    (KAFKA_JAVASCRIPT, Contender::Node("kafka-javascript"), 100_000),
    (KAFKAJS, Contender::Node("kafkajs"), 50_000),
    (PYTHON_KAFKA, Contender::Python, 30_000),
];

const BARE_REDIS: &str = "bare: tokio-tungstenite, serde_json, PUBLISH in pipelines";
const IOREDIS: &str = "Node: socket.io-client, ioredis with auto-pipelining";
const PYTHON_REDIS: &str = "Python: python-socketio, redis-py in pipelines";

const REDIS: [Candidate; 4] = [
    (BARE_REDIS, Contender::Rust("bare"), 400_000),
    (DRIVETAP, Contender::Drivetap, 400_000),
    (IOREDIS, Contender::Node("ioredis"), 80_000),
    (PYTHON_REDIS, Contender::Python, 20_000),
];

/// With `acks=all` and idempotence.
pub(crate) async fn kafka(wanted: &Wanted) -> Row {
    let goals = vec![
        Goal::at_least(0.8, Column::RATE, DRIVETAP, BARE_KAFKA),
        Goal::at_least(3.5, Column::RATE, DRIVETAP, KAFKA_JAVASCRIPT),
        Goal::at_least(6.0, Column::RATE, DRIVETAP, KAFKAJS),
        Goal::at_least(10.0, Column::RATE, DRIVETAP, PYTHON_KAFKA),
        Goal::at_most(1.4, Column::CPU, DRIVETAP, BARE_KAFKA),
    ];
    row(wanted, "kafka", &KAFKA, goals).await
}

pub(crate) async fn redis(wanted: &Wanted) -> Row {
    let goals =
        vec![Goal::at_least(0.7, Column::RATE, DRIVETAP, BARE_REDIS), Goal::at_least(5.0, Column::RATE, DRIVETAP, IOREDIS)];
    row(wanted, "redis", &REDIS, goals).await
}

async fn row(wanted: &Wanted, name: &'static str, candidates: &[Candidate], goals: Vec<Goal>) -> Row {
    let mut row = Row::new(name, &[Column::RATE, Column::CPU, Column::PEAK], candidates.iter().map(|(name, ..)| *name));
    row.goals = goals;
    let present = row.leave_out_what_is_not_here(wanted, candidates);
    // A broker runs on a virtual machine that compiles what it runs often: round 0 is for that, and counts for nothing else.
    let first = if name == "kafka" { 0 } else { 1 };
    for round in first..=wanted.rounds.unwrap_or(5) {
        for (what, contender, count) in &present {
            let (arrivals, target) = match name {
                "kafka" => Arrivals::on_kafka().await,
                _ => Arrivals::on_redis(*count),
            };
            let sample = measure(wanted, *contender, *count, arrivals, target).await;
            eprintln!("{name}, round {round}: {what}: {sample}");
            if round > 0 {
                row.add(what, sample);
            }
        }
    }
    row
}

async fn measure(wanted: &Wanted, contender: Contender, count: u64, arrivals: Arrivals, to: Target) -> Sample {
    let mut load = Load::start(None).await;
    let task = Task { origin: load.origin.clone(), sockets: SOCKETS, ca: None, to };
    let running = contender.join(wanted, &task, &mut load).await;
    let (cpu, begun) = (running.process.cpu(), Instant::now());
    let (mut there, mut progress) = (0, begun);
    load.send(count.min(WINDOW)).await;
    while there < count {
        // Looked at more often where it decides when the clock stops.
        sleep(Duration::from_millis(if there + WINDOW < count { 5 } else { 2 })).await;
        let now = arrivals.count().await;
        if now > there {
            (there, progress) = (now, Instant::now());
            load.send(count.min(there + WINDOW)).await;
        }
        assert!(progress.elapsed() < PATIENCE / 4, "{contender:?}: {there} of {count} came: {}", running.process.errors());
    }
    let (seconds, cpu, peak) = (begun.elapsed().as_secs_f64(), running.process.cpu() - cpu, running.process.peak());
    let last_words = running.process.stop().await;
    if contender == Contender::Drivetap {
        assert!(last_words.contains(" merged=0\n"), "a rate without merging: {last_words}");
    }
    let ledger = arrivals.finish(count).await;
    assert!(ledger.is_right(), "{contender:?}: {ledger}");
    Sample::new().with(Column::CPU, micros(cpu, count)).with(Column::RATE, rate(count, seconds)).with(Column::PEAK, mebi(peak))
}
