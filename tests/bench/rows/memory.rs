//! What a process takes at its peak when far more comes at once than its sink can take.

use std::time::{Duration, Instant};

use tokio::time::sleep;

use super::arrivals::Arrivals;
use super::contender::Contender;
use super::load::Load;
use super::report::{Column, Goal, Row, Sample};
use super::task::Task;
use super::{SOCKETS, Wanted, mebi};

const MANY: u64 = 500_000;
const FEWER: u64 = 100_000;

const CONTENDERS: [(&str, Contender, u64); 5] = [
    ("500,000 at once: bare", Contender::Rust("bare"), MANY),
    ("500,000 at once: drivetap", Contender::Drivetap, MANY),
    ("100,000 at once: drivetap", Contender::Drivetap, FEWER),
    ("500,000 at once: Node, kafka-javascript", Contender::Node("kafka-javascript"), MANY),
    ("500,000 at once: Node, kafkajs in batches", Contender::Node("kafkajs"), MANY),
];

pub(crate) async fn row(wanted: &Wanted) -> Row {
    let mut row = Row::new("memory", &[Column::PEAK], CONTENDERS.iter().map(|(name, ..)| *name));
    // 80 MB.
    let most = 80e6 / (1024.0 * 1024.0);
    row.goals = vec![
        Goal::no_more_than(most, Column::PEAK, "500,000 at once: drivetap"),
        Goal::no_more_than(most, Column::PEAK, "100,000 at once: drivetap"),
        // The same, or nearly.
        Goal::at_most(1.1, Column::PEAK, "500,000 at once: drivetap", "100,000 at once: drivetap"),
    ];
    let present = row.leave_out_what_is_not_here(wanted, &CONTENDERS);
    for round in 1..=wanted.rounds.unwrap_or(3) {
        for (what, contender, count) in &present {
            let sample = measure(wanted, *contender, *count).await;
            eprintln!("memory, round {round}: {what}: {sample}");
            row.add(what, sample);
        }
    }
    row
}

async fn measure(wanted: &Wanted, contender: Contender, count: u64) -> Sample {
    let (arrivals, to) = Arrivals::on_kafka().await;
    let mut load = Load::start(None).await;
    let task = Task { origin: load.origin.clone(), sockets: SOCKETS, ca: None, to };
    let running = contender.join(wanted, &task, &mut load).await;
    load.send(count).await;
    let (mut there, mut progress) = (0, Instant::now());
    // drivetap merges what its sink does not take in time: then fewer arrive, each of which says for how many it stands.
    while there < count && progress.elapsed() < Duration::from_secs(if contender == Contender::Drivetap { 3 } else { 30 }) {
        sleep(Duration::from_millis(50)).await;
        let now = arrivals.count().await;
        if now > there {
            (there, progress) = (now, Instant::now());
        }
    }
    let peak = running.process.peak();
    let last_words = running.process.stop().await;
    let ledger = arrivals.finish(count).await;
    if contender == Contender::Drivetap {
        let counted = |name: &str| -> u64 {
            let (_, rest) = last_words.rsplit_once(name).unwrap_or_else(|| panic!("no {name}: {last_words}"));
            rest.split_whitespace().next().unwrap().parse().unwrap()
        };
        let (delivered, merged) = (counted(" delivered="), counted(" merged="));
        assert_eq!(delivered + merged, count, "each is delivered or merged: {last_words}");
        assert!(ledger.is_without_repeats() && ledger.count == delivered, "{contender:?}: {ledger}");
    } else {
        assert!(ledger.is_right(), "{contender:?}: {ledger}");
    }
    Sample::new().with(Column::PEAK, mebi(peak))
}
