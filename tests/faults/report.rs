//! What the rows measured: lines on the screen, a table in Markdown, and JSON.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::sinks::Kind;

/// What became of one row, at one sink or at all of them.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Played {
    pub(crate) row: String,
    pub(crate) about: String,
    pub(crate) sinks: Vec<Kind>,
    #[serde(flatten)]
    pub(crate) outcome: Outcome,
}

/// How a row ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "status", rename_all = "snake_case")]
pub(crate) enum Outcome {
    /// Nothing is missing.
    Passed {
        /// From the end of the fault until every consumer was right.
        recovery_ms: u64,
        /// `VmHWM` of the program, the largest of its lives.
        peak_rss_kib: u64,
        measured: Vec<Tally>,
    },
    /// The fault means nothing at this sink.
    NotApplicable { why: String },
    /// This machine lacks what the fault is made with.
    NotRun { why: String },
    /// A promise was broken.
    Failed { why: String },
}

/// What a row measured at one sink.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Tally {
    pub(crate) sink: Kind,
    /// Changes that were made to the drives.
    pub(crate) changes: u64,
    /// Change events that arrived, repeats included.
    pub(crate) delivered: usize,
    /// Items of which the consumer's state is not the drive's.
    pub(crate) missing: usize,
    /// Events whose id had arrived before.
    pub(crate) repeats: usize,
    /// Gaps that told of what a live sink lost.
    pub(crate) overflows: usize,
    /// Messages that Redis acknowledged and a subscriber did not hear.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(crate) subscriber_lost: Option<u64>,
}

/// Everything that a run of the matrix left.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Report {
    pub(crate) machine: String,
    pub(crate) versions: Vec<String>,
    pub(crate) command: String,
    pub(crate) took_s: u64,
    pub(crate) rows: Vec<Played>,
}

impl Played {
    /// The same row at the same sinks.
    pub(crate) fn is(&self, row: &str, sinks: &[Kind]) -> bool {
        self.row == row && self.sinks == sinks
    }

    pub(crate) fn failed(&self) -> bool {
        matches!(self.outcome, Outcome::Failed { .. })
    }

    /// One line a sink, as a table has it.
    pub(crate) fn lines(&self) -> Vec<String> {
        let told = |what: &str| {
            let names: Vec<_> = self.sinks.iter().map(|kind| kind.name()).collect();
            vec![format!("| {} | {} | – | – | – | – | – | – | – | {what} |", self.row, names.join(", "))]
        };
        match &self.outcome {
            Outcome::Failed { why } => told(&format!("**failed**: {}", one_line(why))),
            Outcome::NotApplicable { why } => told(why),
            Outcome::NotRun { why } => told(&format!("**not run**: {why}")),
            Outcome::Passed { recovery_ms, peak_rss_kib, measured } => {
                let recovery = Duration::from_millis(*recovery_ms).as_secs_f32();
                let line = |it: &Tally| {
                    let lost = it.subscriber_lost.map_or_else(|| "–".to_owned(), |lost| lost.to_string());
                    let note = if it.overflows > 0 { format!("loss told by {} gap(s)", it.overflows) } else { String::new() };
                    format!(
                        "| {} | {} | {} | {} | {} | {} | {recovery:.1} s | {} MiB | {lost} | {note} |",
                        self.row,
                        it.sink,
                        it.changes,
                        it.delivered,
                        it.missing,
                        it.repeats,
                        peak_rss_kib / 1024,
                    )
                };
                measured.iter().map(line).collect()
            }
        }
    }
}

/// The table's head.
pub(crate) const HEAD: &str = "| fault | sink | changes | delivered | missing | repeats | recovery | peak RSS | subscriber lost | |\n\
                               |---|---|---:|---:|---:|---:|---:|---:|---:|---|";

impl Report {
    /// What an earlier run left, if it did.
    pub(crate) fn read(path: &Path) -> Self {
        let text = fs::read_to_string(path).unwrap_or_default();
        serde_json::from_str(&text).unwrap_or_default()
    }

    /// Whole or not at all: a run can be killed at any moment and resumed.
    pub(crate) fn write(&self, path: &Path) {
        let draft = path.with_extension("draft");
        fs::write(&draft, serde_json::to_string_pretty(self).unwrap() + "\n").unwrap();
        fs::rename(&draft, path).unwrap();
    }

    pub(crate) fn markdown(&self) -> String {
        let Self { machine, versions, command, took_s, rows } = self;
        let failed = rows.iter().filter(|row| row.failed()).count();
        let passed = rows.iter().filter(|row| matches!(row.outcome, Outcome::Passed { .. })).count();
        let mut text = format!("{INTRODUCTION}\n`{command}` made this in {} min {} s.\n\n", took_s / 60, took_s % 60);
        writeln!(text, "{machine}; {}.\n", versions.join(", ")).unwrap();
        writeln!(text, "{passed} runs passed, {failed} failed; the others say why they were not played.\n\n{HEAD}").unwrap();
        rows.iter().flat_map(Played::lines).for_each(|line| text += &(line + "\n"));
        text += "\n## The faults\n| fault | what happens |\n|---|---|\n";
        let mut told: Vec<&str> = Vec::new();
        for row in rows {
            if !told.contains(&row.row.as_str()) {
                told.push(&row.row);
                writeln!(text, "| {} | {} |", row.row, row.about).unwrap();
            }
        }
        text
    }
}

const INTRODUCTION: &str = include_str!("introduction.md");

/// For a cell of a table.
fn one_line(text: &str) -> String {
    let line: Vec<_> = text.lines().map(str::trim).filter(|line| !line.is_empty()).take(3).collect();
    line.join(" ").replace('|', "/").chars().take(400).collect()
}

/// Processors and memory, without a name.
pub(crate) fn machine() -> String {
    let memory = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let kib = memory.lines().find_map(|line| line.strip_prefix("MemTotal:")?.trim().strip_suffix(" kB")?.parse::<u64>().ok());
    let cpus = std::thread::available_parallelism().map_or(0, usize::from);
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let kernel = kernel.trim().split('-').next().unwrap_or_default();
    format!("{cpus} processors, {} GiB of memory, Linux {kernel}", kib.unwrap_or_default() / 1024 / 1024)
}

/// The program's, and those of what it was held against.
pub(crate) fn versions() -> Vec<String> {
    let first_line = |program: &str, words: &[&str]| {
        let output = Command::new(program).args(words).output().unwrap();
        let said = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
        said.lines().next().unwrap_or_default().trim().to_owned()
    };
    let drivetap = drivetap_tests::drivetap();
    let profile = drivetap.parent().and_then(Path::file_name).unwrap_or_default().to_string_lossy().into_owned();
    let kafka = include_str!("../services/kafka/pom.xml");
    let kafka = kafka.split("<kafka.version>").nth(1).and_then(|rest| rest.split('<').next()).unwrap_or_default();
    let redis = first_line(&drivetap_tests::service("/tools/redis_server"), &["--version"]);
    let redis = redis.split_whitespace().find_map(|word| word.strip_prefix("v=")).unwrap_or_default().to_owned();
    vec![
        format!("{} ({profile} profile)", first_line(&drivetap.display().to_string(), &["--version"])),
        format!("Kafka {kafka}"),
        format!("Redis {redis}"),
        first_line(&drivetap_tests::service("/tools/java"), &["-version"]).replace('"', ""),
    ]
}
