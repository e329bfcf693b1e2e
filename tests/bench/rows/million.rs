//! A walk over a million items, to a program that counts them: how fast, for how much CPU, and what is resident meanwhile, which must not
//! depend on how many there are.

use memchr::{memchr, memmem};
use tokio::io::AsyncReadExt as _;
use tokio::process::ChildStdout;
use tokio::time::timeout;

use super::contender::{Contender, Running};
use super::ledger::Ledger;
use super::pages::{self, Encoding, Pages};
use super::report::{Column, Goal, Row, Sample};
use super::task::{Target, Task};
use super::{PATIENCE, Wanted, mebi, micros, rate};

/// Once without gzip, once with it.
struct Names {
    encoding: Encoding,
    ceiling: &'static str,
    bare: &'static str,
    trees: &'static str,
    drivetap: &'static str,
    library: &'static str,
    node: &'static str,
    python: &'static str,
}

const PLAIN: Names = Names {
    encoding: Encoding::Plain,
    ceiling: "the pages, read and not looked at",
    bare: "bare: reqwest and serde_json, the id of each",
    trees: "the same, each into a tree",
    drivetap: "drivetap to standard output",
    library: "drivetap's libraries, to a sink that counts",
    node: "Node: fetch and JSON.parse",
    python: "Python: aiohttp and json",
};

const GZIP: Names = Names {
    encoding: Encoding::Gzip,
    ceiling: "gzip: the pages, read and not looked at",
    bare: "gzip: bare",
    trees: "gzip: the same, each into a tree",
    drivetap: "gzip: drivetap to standard output",
    library: "gzip: drivetap's libraries, to a sink that counts",
    node: "gzip: Node",
    python: "gzip: Python",
};

/// drivetap over so many items fewer, for what it has resident then.
const FEWER: u64 = 10;
const DRIVETAP_FEWER: &str = "a tenth of the items: drivetap to standard output";

impl Names {
    fn contenders(&self) -> [(&'static str, Contender); 7] {
        [
            (self.ceiling, Contender::Rust("fetch")),
            (self.bare, Contender::Rust("walk-ids")),
            (self.trees, Contender::Rust("walk-trees")),
            (self.drivetap, Contender::Walk),
            (self.library, Contender::Rust("library")),
            (self.node, Contender::NodeWalk),
            (self.python, Contender::PythonWalk),
        ]
    }
}

pub(crate) async fn row(wanted: &Wanted) -> Row {
    let all: Vec<_> = [&PLAIN, &GZIP].into_iter().flat_map(|names| names.contenders().map(|of| (names.encoding, of))).collect();
    let names = all.iter().map(|(_, (name, _))| *name).chain([DRIVETAP_FEWER]);
    let mut row = Row::new("walk-million", &[Column::RATE, Column::CPU, Column::PEAK], names);
    for names in [&PLAIN, &GZIP] {
        for ours in [names.drivetap, names.library] {
            row.goals.push(Goal::at_least(0.9, Column::RATE, ours, names.bare));
            row.goals.push(Goal::at_least(5.0, Column::RATE, ours, names.node));
            // 24 MB.
            row.goals.push(Goal::no_more_than(24e6 / (1024.0 * 1024.0), Column::PEAK, ours));
        }
    }
    // The same, or nearly.
    row.goals.push(Goal::at_most(1.1, Column::PEAK, PLAIN.drivetap, DRIVETAP_FEWER));

    let (whole, part) = (Pages::start(wanted.items, true).await, Pages::start(wanted.items / FEWER, false).await);
    let each = |bytes| rate(bytes, 1.0) / rate(whole.items, 1.0);
    let (plain, gzip) = (each(whole.bytes), each(whole.gzip_bytes));
    let walked = format!("{} items in pages of {}, {plain:.0} bytes each, {gzip:.0} with gzip", whole.items, pages::ITEMS);
    row.notes.push(("walked", walked));
    for round in 1..=wanted.rounds.unwrap_or(5) {
        let tenth = (&part, Encoding::Plain, (DRIVETAP_FEWER, Contender::Walk));
        let turns = all.iter().map(|(encoding, of)| (&whole, *encoding, *of)).chain([tenth]);
        for (pages, encoding, (name, contender)) in turns {
            let sample = measure(wanted, contender, pages, encoding).await;
            eprintln!("walk-million, round {round}: {name}: {sample}");
            row.add(name, sample);
        }
    }
    row
}

/// The clock runs from the first page that is asked for until the last item is counted; CPU is the process's from its beginning.
async fn measure(wanted: &Wanted, contender: Contender, pages: &Pages, encoding: Encoding) -> Sample {
    let (origin, count) = (pages.origin(encoding).to_owned(), pages.items);
    let task = Task { origin, sockets: 0, ca: None, to: Target::Nowhere { count } };
    let mut running = contender.start(wanted, &task);
    if contender == Contender::Walk {
        let ledger = events(running.process.out(), count).await;
        assert!(ledger.is_right(), "{contender:?}: {ledger}");
    } else {
        complete(contender, &mut running).await;
    }
    let seconds = pages.clock().await;
    let (cpu, peak) = (running.process.cpu(), running.process.peak());
    running.process.stop().await;
    Sample::new().with(Column::RATE, rate(count, seconds)).with(Column::CPU, micros(cpu, count)).with(Column::PEAK, mebi(peak))
}

/// Each contender has a ledger of its own, and says what it came to.
async fn complete(contender: Contender, running: &mut Running) {
    let said = timeout(PATIENCE * 5, running.process.lines().next_line()).await;
    let said = said.unwrap_or_else(|_| panic!("{contender:?} did not come to an end: {}", running.process.errors())).unwrap();
    assert_eq!(said.as_deref(), Some("complete"), "{contender:?}: {}", running.process.errors());
}

/// One a line, counted as they come.
async fn events(mut out: ChildStdout, count: u64) -> Ledger {
    let mut ledger = Ledger::new(count);
    let subject = memmem::Finder::new(r#","subject":""#);
    // As much as a pipe holds comes at a time.
    let (mut buffer, mut held) = (vec![0; 256 * 1024], 0);
    while !ledger.is_full() {
        assert!(held < buffer.len(), "a line without an end: {ledger}");
        let read = timeout(PATIENCE, out.read(&mut buffer[held..])).await.expect("events come").unwrap();
        assert!(read > 0, "it ended: {ledger}");
        held += read;
        let mut rest = &buffer[..held];
        while let Some(end) = memchr(b'\n', rest) {
            let (line, after) = rest.split_at(end + 1);
            ledger.see(number(&subject, line));
            rest = after;
        }
        let whole = held - rest.len();
        buffer.copy_within(whole..held, 0);
        held -= whole;
    }
    ledger
}

/// Of the item that an event is about.
fn number(subject: &memmem::Finder<'_>, line: &[u8]) -> Option<u64> {
    let after = line.get(subject.find(line)? + subject.needle().len()..)?;
    pages::number(std::str::from_utf8(after.get(..memchr(b'"', after)?)?).ok()?)
}
