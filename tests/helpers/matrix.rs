//! The fault matrix itself: a run that was interrupted goes on where it stopped.

use std::fs;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::Instant;

use drivetap_tests::PATIENCE;
use rustix::process::{Pid, Signal, kill_process_group};
use serde_json::Value;

/// The harness, which is an example of this package and so built with the tests. `cargo test --test helpers` alone builds none.
fn harness(results: &Path, words: &[&str]) -> Command {
    let deps = std::env::current_exe().unwrap();
    let path = deps.parent().and_then(Path::parent).unwrap().join("examples/faults");
    assert!(path.exists(), "{} is not there: cargo build --workspace --example faults", path.display());
    let mut command = Command::new(path);
    command.arg("--results").arg(results).args(["--lanes", "1"]).args(words).stdin(Stdio::null());
    command
}

fn play(results: &Path, words: &[&str]) -> Output {
    harness(results, words).output().unwrap()
}

/// The rows that were played just now, as their lines begin.
fn played(output: &Output) -> Vec<String> {
    let table = String::from_utf8(output.stdout.clone()).unwrap();
    let cells = table.lines().skip(2).map(|line| line.split('|').map(str::trim).skip(1).take(2).collect::<Vec<_>>().join(":"));
    cells.collect()
}

/// `row:sink status` of everything that the results hold.
fn kept(results: &Path) -> Vec<String> {
    let Ok(text) = fs::read_to_string(results) else { return Vec::new() };
    let report: Value = serde_json::from_str(&text).unwrap();
    let rows = report["rows"].as_array().unwrap().iter();
    rows.map(|row| format!("{}:{} {}", row["row"], row["sinks"][0], row["status"]).replace('"', "")).collect()
}

/// Rows that mean nothing at their sink need no servers and no time.
const NEXT_TO_NOTHING: &str = "broker-kill-9:stdout,topic-deleted:redis,reader-gone:kafka";

#[test]
fn only_plays_the_rows_that_it_names_and_refuses_a_name_that_is_none() {
    let folder = tempfile::tempdir().unwrap();
    let results = folder.path().join("results.json");
    let output = play(&results, &["--only", NEXT_TO_NOTHING]);
    assert!(output.status.success(), "{output:?}");
    assert_eq!(played(&output), ["broker-kill-9:stdout", "topic-deleted:redis", "reader-gone:kafka"]);
    let unknown = play(&results, &["--only", "broker-kill-9:stdout,no-such-row"]);
    assert!(!unknown.status.success());
    assert!(String::from_utf8_lossy(&unknown.stderr).contains("no row is named no-such-row"), "{unknown:?}");
    assert_eq!(kept(&results).len(), 3, "nothing was played");
}

#[test]
fn a_matrix_that_was_killed_goes_on_with_the_row_that_it_was_playing() {
    let folder = tempfile::tempdir().unwrap();
    let results: PathBuf = folder.path().join("results.json");
    // The last of them is some twenty seconds of a real program and a pipe.
    let only = ["--only", "broker-kill-9:stdout,topic-deleted:redis,reader-gone:stdout"];
    let mut harness = harness(&results, &only);
    // The program under test would outlive it.
    let mut killed = harness.process_group(0).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let began = Instant::now();
    while kept(&results).len() < 2 {
        assert!(began.elapsed() < PATIENCE, "{:?}", kept(&results));
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    let group = Pid::from_raw(killed.id().try_into().unwrap()).unwrap();
    kill_process_group(group, Signal::KILL).unwrap();
    killed.wait().unwrap();
    let done = ["broker-kill-9:stdout not_applicable", "topic-deleted:redis not_applicable"];
    assert_eq!(kept(&results), done);

    let resumed = play(&results, &[&only[..], &["--resume"]].concat());
    assert!(resumed.status.success(), "{resumed:?}");
    assert_eq!(played(&resumed), ["reader-gone:stdout"], "what was done is not played again");
    assert_eq!(kept(&results), [&done[..], &["reader-gone:stdout passed"]].concat());
}

#[test]
fn resume_plays_what_failed_again_and_keeps_what_passed_as_it_was_measured() {
    let folder = tempfile::tempdir().unwrap();
    let results = folder.path().join("results.json");
    let row = |row: &str, sink: &str, outcome: &str| format!(r#"{{"row":"{row}","about":"","sinks":["{sink}"],{outcome}}}"#);
    let rows = [
        row("broker-kill-9", "stdout", r#""status":"passed","recovery_ms":1234,"peak_rss_kib":5,"measured":[]"#),
        row("topic-deleted", "redis", r#""status":"failed","why":"for the test""#),
    ];
    let report = format!(r#"{{"machine":"","versions":[],"command":"","took_s":100,"rows":[{}]}}"#, rows.join(","));
    fs::write(&results, report).unwrap();
    let output = play(&results, &["--only", NEXT_TO_NOTHING, "--resume"]);
    assert!(output.status.success(), "{output:?}");
    assert_eq!(played(&output), ["topic-deleted:redis", "reader-gone:kafka"]);
    let expected = ["broker-kill-9:stdout passed", "topic-deleted:redis not_applicable", "reader-gone:kafka not_applicable"];
    assert_eq!(kept(&results), expected, "in the order of the matrix");
    let report: Value = serde_json::from_str(&fs::read_to_string(&results).unwrap()).unwrap();
    assert_eq!(report["rows"][0]["recovery_ms"], 1234);
    assert!(report["took_s"].as_u64().unwrap() >= 100, "the time of both runs: {report}");
}
