//! The Kafka sink alone: records that are there already, into a topic, as a program would that has drivetap's sink as a library. The
//! records of all contenders are the same, headers included, so this is about who hands them over and waits.

use std::time::Instant;

use tokio::time::timeout;

use super::arrivals::{Arrivals, Topic};
use super::contender::Contender;
use super::report::{Column, Goal, Row, Sample};
use super::task::{Target, Task};
use super::{PATIENCE, SOCKETS, Wanted, mebi, micros, rate};

/// The last number is how many records.
const CONTENDERS: [(&str, Contender, u64); 3] =
    [(SINK, Contender::Rust("sink"), COUNT), (THREADED, Contender::Rust("threaded"), COUNT), (JAVA, Contender::Java, COUNT)];

const COUNT: u64 = 400_000;
const SINK: &str = "drivetap-sink-kafka, its batch API";
const THREADED: &str = "rdkafka's ThreadedProducer";
const JAVA: &str = "Java: kafka-clients, batches of 256 KB";

pub(crate) async fn row(wanted: &Wanted) -> Row {
    let columns = [Column::RATE, Column::CPU, Column::PEAK];
    let mut row = Row::new("sink-kafka", &columns, CONTENDERS.iter().map(|(name, ..)| *name));
    row.goals = vec![Goal::at_least(0.85, Column::RATE, SINK, THREADED), Goal::at_least(1.3, Column::RATE, SINK, JAVA)];
    let present = row.leave_out_what_is_not_here(wanted, &CONTENDERS);
    // Round 0 is for the broker, which gets faster at first, and counts for nothing else.
    for round in 0..=wanted.rounds.unwrap_or(5) {
        for (name, contender, count) in &present {
            let sample = measure(wanted, *contender, *count).await;
            eprintln!("sink-kafka, round {round}: {name}: {sample}");
            if round > 0 {
                row.add(name, sample);
            }
        }
    }
    row
}

/// The clock runs from the word to begin until the contender has heard that its last record is durable.
async fn measure(wanted: &Wanted, contender: Contender, count: u64) -> Sample {
    let (arrivals, to) = Arrivals::on_kafka().await;
    let Target::Kafka { servers, topic, linger_ms } = to else { panic!("a topic") };
    let warm_up = Topic::create().await;
    let to = Target::Records { servers, topic, warm_up: warm_up.name.clone(), linger_ms, count };
    let mut running = contender.start(wanted, &Task { origin: String::new(), sockets: SOCKETS, ca: None, to });
    let mut said = running.process.lines();
    let mut hear = async |word: &str| {
        let line = timeout(PATIENCE, said.next_line()).await.unwrap_or_else(|_| panic!("{contender:?} does not say {word}"));
        line.unwrap().is_some_and(|line| line == word)
    };
    assert!(hear("ready").await, "{contender:?}: {}", running.process.errors());
    let (cpu, begun) = (running.process.cpu(), Instant::now());
    running.process.say("go\n").await;
    assert!(hear("done").await, "{contender:?}: {}", running.process.errors());
    let (seconds, cpu, peak) = (begun.elapsed().as_secs_f64(), running.process.cpu() - cpu, running.process.peak());
    running.process.stop().await;
    drop(warm_up.read(0).await);
    let ledger = arrivals.finish(count).await;
    assert!(ledger.is_right(), "{contender:?}: {ledger}");
    Sample::new().with(Column::CPU, micros(cpu, count)).with(Column::RATE, rate(count, seconds)).with(Column::PEAK, mebi(peak))
}
