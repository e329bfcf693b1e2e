//! What was measured, as a table and as JSON.

use std::fmt;
use std::path::Path;
use std::process::Command;

use drivetap_tests::Spread;
use serde_json::{Value, json};

use super::pages::Served;

/// Items a second of each contender, one after the other.
pub(crate) struct Round {
    /// Pages fetched and not looked at: the ceiling.
    pub(crate) server: f64,
    pub(crate) bare: f64,
    pub(crate) stdout: f64,
    pub(crate) kafka: f64,
}

/// A contender's name, and where its items a second are.
type Row = (&'static str, fn(&Round) -> f64);

pub(crate) struct Report {
    pub(crate) served: Served,
    pub(crate) rounds: Vec<Round>,
}

#[expect(clippy::as_conversions, clippy::cast_precision_loss, reason = "a count of items, far below 2^52")]
pub(crate) fn rate(items: u64, seconds: f64) -> f64 {
    items as f64 / seconds
}

impl fmt::Display for Round {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { server, bare, stdout, kafka } = self;
        write!(f, "pages alone {server:.0}, bare loop {bare:.0}, stdout {stdout:.0}, Kafka {kafka:.0} items/s")
    }
}

impl Report {
    /// How much of the bare loop has to be reached.
    pub(crate) const LEAST: f64 = 0.5;
    /// Walks to Kafka before the first round: from then on the broker gets no faster.
    pub(crate) const WARM_UP: usize = 24;

    pub(crate) fn is_fast_enough(&self) -> bool {
        let least = |of| self.ratio(of).median >= Self::LEAST;
        least(|round| round.stdout) && least(|round| round.kafka)
    }

    /// To the bare loop of the same round.
    fn ratio(&self, of: fn(&Round) -> f64) -> Spread {
        Spread::of(self.rounds.iter().map(|round| of(round) / round.bare)).unwrap()
    }

    fn rows() -> [Row; 4] {
        [
            ("the bare loop: reqwest and serde_json", |round| round.bare),
            ("drivetap to standard output, redb", |round| round.stdout),
            ("drivetap to Kafka, redb", |round| round.kafka),
            ("the pages fetched and not looked at", |round| round.server),
        ]
    }

    fn facts(&self) -> [(&'static str, String); 7] {
        let Served { items, pages, bytes, .. } = &self.served;
        let cpu = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let model = cpu.lines().find_map(|line| line.strip_prefix("model name")).map(|rest| rest.trim_matches([' ', '\t', ':']));
        let cores = std::thread::available_parallelism().map_or(0, usize::from);
        [
            ("walked", format!("{items} items in {pages} pages, {:.1} MiB", rate(*bytes, 1024.0 * 1024.0))),
            ("rounds", format!("{}, interleaved", self.rounds.len())),
            ("machine", format!("{cores} cores of {}", model.unwrap_or("an unknown kind"))),
            // What stands behind the number is somebody's own name for a build.
            ("system", said("uname", &["-sr"]).split('-').next().unwrap_or_default().to_owned()),
            ("commit", said("git", &["describe", "--always", "--dirty"])),
            ("rustc", said("rustc", &["--version"])),
            ("librdkafka", rdkafka::util::get_rdkafka_version().1),
        ]
    }

    fn json(&self) -> Value {
        let row = |(name, of): Row| {
            let rates: Vec<f64> = self.rounds.iter().map(of).map(f64::round).collect();
            let (rate, ratio) = (Spread::of(rates.iter().copied()).unwrap(), self.ratio(of));
            let spread = |of: Spread, digits: f64| {
                let round = |value: f64| (value * digits).round() / digits;
                json!({ "median": round(of.median), "min": round(of.min), "max": round(of.max) })
            };
            json!({ "what": name, "items_per_second": spread(rate, 1.0), "to_bare_loop": spread(ratio, 100.0), "rounds": rates })
        };
        let facts: serde_json::Map<_, _> =
            self.facts().into_iter().map(|(name, value)| (name.to_owned(), value.into())).collect();
        json!({ "command": "cargo xtask bench walk", "facts": facts, "results": Self::rows().map(row) })
    }

    /// Beside each other: the table in its place in `benchmarks.md`, and `benchmarks-walk.json`.
    pub(crate) fn save(&self, dir: &Path) {
        const BEGIN: &str = "<!-- walk: made by `cargo xtask bench walk --save` -->\n";
        const END: &str = "<!-- walk: end -->\n";
        let json = serde_json::to_string_pretty(&self.json()).unwrap();
        std::fs::write(dir.join("benchmarks-walk.json"), json + "\n").unwrap();
        let path = dir.join("benchmarks.md");
        let text = std::fs::read_to_string(&path).unwrap();
        let (before, rest) = text.split_once(BEGIN).expect("a place for the table");
        let (_, after) = rest.split_once(END).expect("the end of the table");
        std::fs::write(&path, format!("{before}{BEGIN}{self}{END}{after}")).unwrap();
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "| what | items/s, median | from – to | to the bare loop, median | from – to |\n|---|---|---|---|---|")?;
        for (name, of) in Self::rows() {
            let (rate, ratio) = (Spread::of(self.rounds.iter().map(of)).unwrap(), self.ratio(of));
            let (median, min, max) = (rate.median, rate.min, rate.max);
            write!(f, "| {name} | {median:.0} | {min:.0} – {max:.0} ")?;
            writeln!(f, "| {:.2} | {:.2} – {:.2} |", ratio.median, ratio.min, ratio.max)?;
        }
        writeln!(f)?;
        for (name, value) in self.facts() {
            writeln!(f, "- {name}: {value}")?;
        }
        Ok(())
    }
}

fn said(program: &str, args: &[&str]) -> String {
    let output = Command::new(program).args(args).output();
    output.map_or_else(|_| "unknown".to_owned(), |output| String::from_utf8_lossy(&output.stdout).trim().to_owned())
}
