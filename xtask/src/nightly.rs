//! `cargo xtask nightly`: what takes longer than a change can wait for. So far the fuzz targets, which go on from their corpus.

use std::fs;
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};
use clap::Args;

use crate::repo::Repo;
use crate::run::{line, say};

/// The targets of `fuzz/`, each a body in `drivetap_transport::native::fuzzing`.
const TARGETS: [&str; 3] = ["decoder", "frames", "session"];

#[derive(Args)]
pub(crate) struct Nightly {
    /// How long each target runs, in seconds.
    #[arg(long, default_value_t = 1_200)]
    seconds: u32,
    /// Run only this target.
    #[arg(long, value_parser = TARGETS)]
    target: Option<String>,
}

impl Nightly {
    /// Runs one target after the other, and says how many inputs each was given. A find is an error that names its file.
    pub(crate) fn run(&self, repo: &Repo) -> Result<()> {
        let mut counts = Vec::new();
        for target in TARGETS.into_iter().filter(|target| self.target.as_deref().is_none_or(|only| only == *target)) {
            counts.push((target, fuzz(repo, target, self.seconds)?));
        }
        for (target, count) in counts {
            say(format_args!("fuzz: {target}: {count} inputs, nothing found"));
        }
        Ok(())
    }
}

/// Short inputs: every shape fits into one, and several times as many run. Without a sanitizer: there is no `unsafe` of ours to watch, and
/// it would halve the rate.
fn fuzz(repo: &Repo, target: &str, seconds: u32) -> Result<u64> {
    // New inputs go into the first folder.
    let (corpus, seeds) = (format!("fuzz/corpus/{target}"), format!("fuzz/seeds/{target}"));
    fs::create_dir_all(repo.root.join(&corpus)).with_context(|| corpus.clone())?;
    let mut cargo = Command::new("cargo");
    cargo.args(["+nightly", "fuzz", "run", "--sanitizer", "none", target, &corpus, &seeds, "--"]);
    cargo
        .args(["-dict=fuzz/dictionaries/socketio.dict", "-max_len=512", "-print_final_stats=1"])
        .arg(format!("-max_total_time={seconds}"));
    cargo.current_dir(&repo.root).env_remove("CARGO_TARGET_DIR").stderr(Stdio::piped());
    say(format_args!("$ {}", line(&cargo)));
    let mut child = cargo.spawn().context("cannot run cargo")?;
    let stderr = child.stderr.take().context("the fuzzer has no standard error")?;
    let mut count = None;
    for line in BufReader::new(stderr).lines() {
        let line = line.context("the fuzzer's output")?;
        eprintln!("{line}");
        count = executed(&line).or(count);
    }
    let status = child.wait()?;
    match count {
        Some(count) if status.success() => Ok(count),
        _ if status.success() => bail!("the fuzzer did not say how many inputs it ran"),
        _ => bail!(
            "the target `{target}` ended with {status}. A find is in fuzz/artifacts/{target}: mend what it shows, and move it to \
             fuzz/finds/{target}, where `cargo test` runs it. Without `cargo fuzz` or the nightly toolchain: \
             `cargo install cargo-fuzz`, `rustup toolchain install nightly`"
        ),
    }
}

/// libFuzzer's own count.
fn executed(line: &str) -> Option<u64> {
    line.strip_prefix("stat::number_of_executed_units:")?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use std::ffi::OsString;

    use super::*;

    #[test]
    fn the_count_is_libfuzzers() {
        assert_eq!(executed("stat::number_of_executed_units: 17893402"), Some(17_893_402));
        assert_eq!(executed("#2 INITED cov: 12 ft: 13 corp: 1/1b"), None);
    }

    /// A target that is not listed would never run.
    #[test]
    fn every_target_is_listed() {
        let folder = Repo::find().unwrap().root.join("fuzz/fuzz_targets");
        let mut names: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        names.sort();
        assert_eq!(names, TARGETS.map(|target| OsString::from(format!("{target}.rs"))));
    }
}
