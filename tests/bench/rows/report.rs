//! What was measured, as a table and as JSON, and whether the goals are met.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;
use std::process::Command;

use drivetap_tests::Spread;
use serde_json::{Map, Value, json};

use super::Wanted;
use super::contender::Contender;

/// One row of the goals: its contenders, and what each round measured of them.
pub(crate) struct Row {
    name: &'static str,
    columns: Vec<Column>,
    contenders: Vec<(&'static str, Vec<Sample>)>,
    pub(crate) goals: Vec<Goal>,
    /// What a reader of the table has to know besides.
    pub(crate) notes: Vec<(&'static str, String)>,
    /// Contenders that are left out, and why.
    pub(crate) left_out: Vec<String>,
}

/// Something that is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Column {
    name: &'static str,
    digits: usize,
}

/// What a contender did in a round.
#[derive(Clone, Debug, Default)]
pub(crate) struct Sample(BTreeMap<Column, f64>);

/// A ratio within a round, or a number, that is wanted.
pub(crate) struct Goal {
    column: Column,
    of: &'static str,
    /// None where it is a number of its own.
    to: Option<&'static str>,
    bound: Bound,
}

#[derive(Clone, Copy)]
enum Bound {
    Most(f64),
    Least(f64),
    /// Not a ratio, but a difference.
    Beyond(f64),
}

impl Column {
    pub(crate) const CPU: Self = Self { name: "CPU, µs each", digits: 2 };
    pub(crate) const RATE: Self = Self { name: "rate, 1/s", digits: 0 };
    pub(crate) const PEAK: Self = Self { name: "peak RSS, MiB", digits: 1 };
    pub(crate) const P50: Self = Self { name: "p50, ms", digits: 2 };
    pub(crate) const P99: Self = Self { name: "p99, ms", digits: 2 };
    pub(crate) const EACH: Self = Self { name: "RSS a socket, KiB", digits: 1 };
}

impl Sample {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    pub(crate) fn with(mut self, column: Column, value: f64) -> Self {
        self.0.insert(column, value);
        self
    }
}

impl fmt::Display for Sample {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, (column, value)) in self.0.iter().enumerate() {
            let comma = if n == 0 { "" } else { "; " };
            write!(f, "{comma}{}: {value:.*}", column.name, column.digits)?;
        }
        Ok(())
    }
}

impl Goal {
    pub(crate) fn at_most(bound: f64, column: Column, of: &'static str, to: &'static str) -> Self {
        Self { column, of, to: Some(to), bound: Bound::Most(bound) }
    }

    pub(crate) fn at_least(bound: f64, column: Column, of: &'static str, to: &'static str) -> Self {
        Self { column, of, to: Some(to), bound: Bound::Least(bound) }
    }

    pub(crate) fn at_most_more(bound: f64, column: Column, of: &'static str, to: &'static str) -> Self {
        Self { column, of, to: Some(to), bound: Bound::Beyond(bound) }
    }

    pub(crate) fn no_more_than(bound: f64, column: Column, of: &'static str) -> Self {
        Self { column, of, to: None, bound: Bound::Most(bound) }
    }
}

impl Row {
    pub(crate) fn new(name: &'static str, columns: &[Column], contenders: impl Iterator<Item = &'static str>) -> Self {
        let contenders = contenders.map(|name| (name, Vec::new())).collect();
        Self { name, columns: columns.to_vec(), contenders, goals: Vec::new(), notes: Vec::new(), left_out: Vec::new() }
    }

    pub(crate) fn add(&mut self, contender: &str, sample: Sample) {
        let (_, samples) = self.contenders.iter_mut().find(|(name, _)| *name == contender).expect("a contender of this row");
        samples.push(sample);
    }

    /// Those of the contenders that were installed. The others are named in the table, and here.
    pub(crate) fn leave_out_what_is_not_here<'a, T>(
        &mut self,
        wanted: &Wanted,
        candidates: &'a [(&'static str, Contender, T)],
    ) -> Vec<&'a (&'static str, Contender, T)> {
        let (present, absent): (Vec<_>, Vec<_>) = candidates.iter().partition(|(_, contender, _)| contender.is_here(wanted));
        for (name, ..) in absent {
            eprintln!("LEFT OUT, for it is not installed: {name}");
            self.left_out.push(format!("{name} is not installed"));
        }
        present
    }

    fn values(&self, contender: &str, column: Column) -> Vec<f64> {
        let samples = self.contenders.iter().find(|(name, _)| *name == contender).map(|(_, samples)| samples);
        samples.into_iter().flatten().filter_map(|sample| sample.0.get(&column).copied()).collect()
    }

    /// What it came to, in the median of the rounds; `None` where somebody was left out.
    fn reached(&self, goal: &Goal) -> Option<Spread> {
        let mine = self.values(goal.of, goal.column);
        match goal.to {
            None => Spread::of(mine),
            Some(to) => {
                let both = mine.into_iter().zip(self.values(to, goal.column));
                Spread::of(both.map(|(mine, theirs)| match goal.bound {
                    Bound::Beyond(_) => mine - theirs,
                    _ => mine / theirs,
                }))
            }
        }
    }

    fn present(&self) -> impl Iterator<Item = &(&'static str, Vec<Sample>)> {
        self.contenders.iter().filter(|(_, samples)| !samples.is_empty())
    }

    fn rounds(&self) -> usize {
        self.contenders.iter().map(|(_, samples)| samples.len()).max().unwrap_or_default()
    }

    fn facts(&self) -> Vec<(&'static str, String)> {
        let cpu = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let model = cpu.lines().find_map(|line| line.strip_prefix("model name")).map(|rest| rest.trim_matches([' ', '\t', ':']));
        let cores = std::thread::available_parallelism().map_or(0, usize::from);
        let all = [
            ("rounds", format!("{}, interleaved", self.rounds())),
            ("machine", format!("{cores} cores of {}", model.unwrap_or("an unknown kind"))),
            // What stands behind the number is somebody's own name for a build.
            ("system", said("uname", &["-sr"]).split('-').next().unwrap_or_default().to_owned()),
            ("commit", said("git", &["describe", "--always", "--dirty"])),
            ("versions", format!("{}, Node {}, {}", said("rustc", &["--version"]), said("node", &["--version"]), versions())),
            ("command", format!("`{}`", self.command())),
        ];
        self.notes.iter().cloned().chain(all).collect()
    }

    fn command(&self) -> String {
        format!("cargo xtask bench {} --save", self.name)
    }

    fn json(&self) -> Value {
        let spread = |of: &Spread, digits: usize| {
            let round = |value: f64| serde_json::from_str::<Value>(&format!("{value:.digits$}")).unwrap_or_default();
            json!({ "median": round(of.median), "min": round(of.min), "max": round(of.max) })
        };
        let results: Vec<_> = self
            .present()
            .map(|(name, samples)| {
                let mut values = Map::new();
                for column in &self.columns {
                    if let Some(of) = Spread::of(self.values(name, *column)) {
                        values.insert(column.name.to_owned(), spread(&of, column.digits));
                    }
                }
                json!({ "what": name, "rounds": samples.len(), "values": values })
            })
            .collect();
        let goals: Vec<_> = self
            .goals
            .iter()
            .map(|goal| {
                let reached = self.reached(goal);
                json!({
                    "goal": goal.to_string(),
                    "reached": reached.as_ref().map(|reached| spread(reached, 2)),
                    "met": reached.map(|reached| goal.bound.holds(reached.median)),
                })
            })
            .collect();
        let facts: Map<_, _> = self.facts().into_iter().map(|(name, value)| (name.to_owned(), value.into())).collect();
        json!({ "command": self.command(), "facts": facts, "left_out": self.left_out, "results": results, "goals": goals })
    }

    /// Beside each other: the table in its place in `benchmarks.md`, and its JSON.
    pub(crate) fn save(&self, dir: &Path) {
        let json = serde_json::to_string_pretty(&self.json()).unwrap();
        std::fs::write(dir.join(format!("benchmarks-{}.json", self.name)), json + "\n").unwrap();
        let (begin, end) =
            (format!("<!-- {}: made by `{}` -->\n", self.name, self.command()), format!("<!-- {}: end -->\n", self.name));
        let path = dir.join("benchmarks.md");
        let text = std::fs::read_to_string(&path).unwrap();
        let (before, rest) = text.split_once(&begin).expect("a place for the table");
        let (_, after) = rest.split_once(&end).expect("the end of the table");
        std::fs::write(&path, format!("{before}{begin}{self}{end}{after}")).unwrap();
    }
}

impl Bound {
    fn holds(self, value: f64) -> bool {
        match self {
            Self::Most(bound) | Self::Beyond(bound) => value <= bound,
            Self::Least(bound) => value >= bound,
        }
    }
}

impl fmt::Display for Goal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (sign, bound) = match self.bound {
            Bound::Most(bound) | Bound::Beyond(bound) => ('≤', bound),
            Bound::Least(bound) => ('≥', bound),
        };
        let bound = format!("{bound:.2}");
        let bound = bound.trim_end_matches('0').trim_end_matches('.');
        match (self.to, self.bound) {
            (Some(to), Bound::Beyond(_)) => write!(f, "{} of {}: ≤ {to} + {bound}", self.column.name, self.of),
            (Some(to), _) => write!(f, "{} of {}: {sign} {bound} × {to}", self.column.name, self.of),
            (None, _) => write!(f, "{} of {}: {sign} {bound}", self.column.name, self.of),
        }
    }
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "| what |")?;
        for column in &self.columns {
            write!(f, " {}, median | from – to |", column.name)?;
        }
        writeln!(f, "\n|---|{}", "---|---|".repeat(self.columns.len()))?;
        for (name, _) in self.present() {
            write!(f, "| {name} |")?;
            for column in &self.columns {
                match Spread::of(self.values(name, *column)) {
                    Some(Spread { median, min, max }) => {
                        let digits = column.digits;
                        write!(f, " {median:.digits$} | {min:.digits$} – {max:.digits$} |")?;
                    }
                    None => write!(f, " | |")?,
                }
            }
            writeln!(f)?;
        }
        writeln!(f, "\n| goal | reached, median | from – to | met |\n|---|---|---|---|")?;
        for goal in &self.goals {
            match self.reached(goal) {
                Some(reached) => {
                    let met = if goal.bound.holds(reached.median) { "yes" } else { "**no**" };
                    writeln!(f, "| {goal} | {:.2} | {:.2} – {:.2} | {met} |", reached.median, reached.min, reached.max)?;
                }
                None => writeln!(f, "| {goal} | left out | | |")?,
            }
        }
        writeln!(f)?;
        for what in &self.left_out {
            writeln!(f, "- **left out**: {what}")?;
        }
        for (name, value) in self.facts() {
            writeln!(f, "- {name}: {value}")?;
        }
        Ok(())
    }
}

fn versions() -> String {
    format!("librdkafka {}", rdkafka::util::get_rdkafka_version().1)
}

fn said(program: &str, args: &[&str]) -> String {
    let output = Command::new(program).args(args).output();
    output.map_or_else(|_| "unknown".to_owned(), |output| String::from_utf8_lossy(&output.stdout).trim().to_owned())
}
