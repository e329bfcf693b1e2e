//! What is added between the load's socket and a consumer's, at a hundred a second.

use std::thread::{self, JoinHandle};

use rdkafka::consumer::Consumer as _;
use rdkafka::message::Message as _;
use tokio::task::spawn_blocking;

use super::arrivals::{Topic, messages, subscribe};
use super::contender::Contender;
use super::load::{Load, number, stamp_now, stamped};
use super::report::{Column, Goal, Row, Sample};
use super::task::{Target, Task};
use super::{PATIENCE, SOCKETS, Wanted, rate};
use drivetap_tests::service;

const PER_SECOND: u64 = 100;
/// In a round; the first of them warm up, and count for nothing else.
const COUNT: u64 = 220;
const WARM: u64 = 20;

#[derive(Clone, Copy)]
enum Way {
    Redis,
    Kafka { linger_ms: u32 },
}

const CONTENDERS: [(&str, Contender, Way); 9] = [
    ("Redis: bare", Contender::Rust("bare"), Way::Redis),
    ("Redis: drivetap", Contender::Drivetap, Way::Redis),
    ("Redis: Node, ioredis", Contender::Node("ioredis"), Way::Redis),
    ("Kafka, linger 0: bare", Contender::Rust("bare"), Way::Kafka { linger_ms: 0 }),
    ("Kafka, linger 0: drivetap", Contender::Drivetap, Way::Kafka { linger_ms: 0 }),
    ("Kafka, linger 0: Node, kafka-javascript", Contender::Node("kafka-javascript"), Way::Kafka { linger_ms: 0 }),
    ("Kafka, linger 5: bare", Contender::Rust("bare"), Way::Kafka { linger_ms: 5 }),
    ("Kafka, linger 5: drivetap", Contender::Drivetap, Way::Kafka { linger_ms: 5 }),
    ("Kafka, linger 5: Node, kafka-javascript", Contender::Node("kafka-javascript"), Way::Kafka { linger_ms: 5 }),
];

pub(crate) async fn row(wanted: &Wanted) -> Row {
    let mut row = Row::new("latency", &[Column::P50, Column::P99], CONTENDERS.iter().map(|(name, ..)| *name));
    row.goals = vec![
        Goal::at_most(1.25, Column::P50, "Redis: drivetap", "Redis: bare"),
        Goal::at_most(1.15, Column::P50, "Kafka, linger 0: drivetap", "Kafka, linger 0: bare"),
        Goal::at_most_more(0.3, Column::P50, "Kafka, linger 5: drivetap", "Kafka, linger 5: bare"),
        Goal::at_most(1.0, Column::P99, "Redis: drivetap", "Redis: Node, ioredis"),
        Goal::at_most(1.0, Column::P99, "Kafka, linger 0: drivetap", "Kafka, linger 0: Node, kafka-javascript"),
        Goal::at_most(1.0, Column::P99, "Kafka, linger 5: drivetap", "Kafka, linger 5: Node, kafka-javascript"),
    ];
    let present = row.leave_out_what_is_not_here(wanted, &CONTENDERS);
    for round in 1..=wanted.rounds.unwrap_or(10) {
        for (what, contender, way) in &present {
            let sample = measure(wanted, *contender, *way).await;
            eprintln!("latency, round {round}: {what}: {sample}");
            row.add(what, sample);
        }
    }
    row
}

async fn measure(wanted: &Wanted, contender: Contender, way: Way) -> Sample {
    let (to, arrivals): (Target, JoinHandle<Vec<u64>>) = match way {
        Way::Redis => {
            let (channel, socket) = subscribe();
            let arrivals = thread::spawn(move || {
                let mut waits = Waits::default();
                messages(socket, |message| waits.see(message));
                waits.counted
            });
            (Target::Redis { address: service("/redis/plain"), channel }, arrivals)
        }
        Way::Kafka { linger_ms } => {
            let topic = Topic::create().await;
            let target = Target::Kafka { servers: service("/kafka/plaintext"), topic: topic.name.clone(), linger_ms };
            let arrivals = thread::spawn(move || {
                let reader = topic.reader();
                let mut waits = Waits::default();
                loop {
                    let message = reader.poll(PATIENCE).expect("a record").unwrap();
                    if waits.see(message.payload().unwrap()) {
                        reader.unassign().unwrap();
                        return waits.counted;
                    }
                }
            });
            (target, arrivals)
        }
    };
    let mut load = Load::start(None).await;
    let task = Task { origin: load.origin.clone(), sockets: SOCKETS, ca: None, to };
    let running = contender.join(wanted, &task, &mut load).await;
    load.pace(COUNT, PER_SECOND).await;
    let mut waits = spawn_blocking(|| arrivals.join().unwrap()).await.unwrap();
    running.process.stop().await;
    assert_eq!(u64::try_from(waits.len()).unwrap(), COUNT - WARM, "{contender:?}: each once");
    waits.sort_unstable();
    let at = |percent: usize| rate(waits[(waits.len() - 1) * percent / 100], 1000.0);
    Sample::new().with(Column::P50, at(50)).with(Column::P99, at(99))
}

/// Microseconds from the load to here, of those that count.
#[derive(Default)]
struct Waits {
    counted: Vec<u64>,
    seen: u64,
}

impl Waits {
    /// Whether that was the last one.
    fn see(&mut self, message: &[u8]) -> bool {
        let (now, sent, number) = (stamp_now(), stamped(message).unwrap(), number(message).unwrap());
        if number >= WARM {
            self.counted.push(now - sent);
        }
        self.seen += 1;
        // Partitions come in no order among each other.
        self.seen == COUNT
    }
}
