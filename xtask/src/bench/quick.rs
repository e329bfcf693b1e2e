//! `cargo xtask bench --quick`: instruction counts under callgrind, held against counts that are known.
//!
//! A count does not move with the machine's load, and moves little with the machine; it does with the compiler. So the counts that are
//! committed are compared with where the compiler is theirs. With another one, or where somebody asks for it (`--against REV`), the merge
//! base is built and counted in the same run.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail, ensure};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::repo::Repo;
use crate::run::{line, output, say};

/// The package that is counted, and what it came to.
const PACKAGE: &str = "tests/bench/instructions";
const COUNTS: &str = "tests/bench/instructions/counts.json";
/// A count may rise by so much; one that falls by more is to be committed, or a later rise would hide behind it.
const PERCENT: u64 = 5;

/// What a compiler made of the code.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Counts {
    rustc: String,
    /// Instructions of one call, by the benchmark's name.
    instructions: BTreeMap<String, u64>,
}

/// With `save` the counts are written down instead. `against` is a revision whose merge base is compared with.
pub(crate) fn run(repo: &Repo, save: bool, against: Option<&str>) -> Result<()> {
    let counted = Counts::of(repo, &repo.root)?;
    if let Some(revision) = against {
        return compare(&merge_base(repo, Some(revision))?.instructions, &counted.instructions, Known::MergeBase);
    }
    let path = repo.root.join(COUNTS);
    if save {
        return Ok(fs::write(path, serde_json::to_string_pretty(&counted)? + "\n")?);
    }
    let text = fs::read_to_string(&path).with_context(|| format!("{COUNTS}: `cargo xtask bench --quick --save` writes it"))?;
    let committed: Counts = serde_json::from_str(&text).with_context(|| COUNTS.to_owned())?;
    if committed.rustc == counted.rustc {
        return compare(&committed.instructions, &counted.instructions, Known::Committed);
    }
    say(format_args!("{COUNTS} is of {}, this is {}: the merge base is counted, too", committed.rustc, counted.rustc));
    compare(&merge_base(repo, None)?.instructions, &counted.instructions, Known::MergeBase)
}

impl Counts {
    fn of(repo: &Repo, root: &Path) -> Result<Self> {
        let mut cargo = Command::new("cargo");
        cargo.args(["bench", "--locked", "--bench", "instructions", "--", "--output-format=json"]);
        cargo.current_dir(root.join(PACKAGE)).env("CARGO_TARGET_DIR", repo.target.join("instructions"));
        cargo.stdin(Stdio::null()).stderr(Stdio::inherit());
        say(format_args!("$ {}", line(&cargo)));
        let output = cargo.output().context("cannot run cargo")?;
        ensure!(output.status.success(), "callgrind's counts: {}", output.status);
        let said = String::from_utf8(output.stdout)?;
        let instructions =
            said.lines().filter(|line| line.starts_with('{')).map(benchmark).collect::<Result<BTreeMap<_, _>>>()?;
        ensure!(!instructions.is_empty(), "no benchmark was counted");
        let rustc = crate::run::output(Command::new("rustc").arg("--version"))?.trim().to_owned();
        Ok(Self { rustc, instructions })
    }
}

/// A line of gungraun's: a benchmark's name, and the instructions of all its threads.
fn benchmark(line: &str) -> Result<(String, u64)> {
    let summary: Value = serde_json::from_str(line).context("gungraun's JSON")?;
    let text = |name: &str| summary[name].as_str().unwrap_or_default();
    let name = format!("{} {}", text("function_name"), text("id"));
    let count = instructions(&summary).with_context(|| format!("{name} has no count of instructions"))?;
    Ok((name, count))
}

/// As counted now: what gungraun remembers of an earlier run stands beside it.
fn instructions(summary: &Value) -> Option<u64> {
    summary.pointer("/profiles/0/data/total/metrics/Ir/values/new")?.as_u64()
}

#[derive(Clone, Copy)]
enum Known {
    Committed,
    MergeBase,
}

fn compare(known: &BTreeMap<String, u64>, counted: &BTreeMap<String, u64>, which: Known) -> Result<()> {
    let mut wrong = Vec::new();
    for (name, now) in counted {
        let Some(before) = known.get(name) else {
            say(format_args!("{now:>8} instructions: {name} (new)"));
            continue;
        };
        say(format_args!("{now:>8} instructions, {before:>8} before: {name}"));
        if now * 100 > before * (100 + PERCENT) {
            wrong.push(format!("{name}: {before} instructions became {now}, more than {PERCENT} % more"));
        }
        if matches!(which, Known::Committed) && now * 100 < before * (100 - PERCENT) {
            wrong.push(format!("{name}: {before} instructions became {now}: `cargo xtask bench --quick --save` keeps the gain"));
        }
    }
    if let Known::Committed = which {
        let of_changed_name = |name: &&String| !counted.contains_key(*name);
        wrong.extend(known.keys().filter(of_changed_name).map(|name| format!("{name}: committed, and not counted any more")));
        let new = counted.keys().filter(|name| !known.contains_key(*name));
        wrong.extend(new.map(|name| format!("{name}: counted, and not committed: `cargo xtask bench --quick --save`")));
    }
    if wrong.is_empty() {
        return Ok(());
    }
    bail!("{}", wrong.join("\n"))
}

/// The counts of what this branch goes back to, and main, or another revision with it; in a work tree that is gone afterwards.
fn merge_base(repo: &Repo, with: Option<&str>) -> Result<Counts> {
    let git = |args: &[&str]| output(Command::new("git").args(args).current_dir(&repo.root)).map(|said| said.trim().to_owned());
    let head = git(&["rev-parse", "HEAD"])?;
    let base = match with {
        Some(revision) => Some(git(&["merge-base", "HEAD", revision])?),
        None => ["origin/main", "main"].iter().find_map(|main| git(&["merge-base", "HEAD", main]).ok()),
    };
    // On main itself it is the commit before.
    let base = match base {
        Some(base) if base != head => base,
        _ => git(&["rev-parse", "HEAD~1"])?,
    };
    say(format_args!("the merge base is {base}"));
    let tree = repo.target.join("instructions-base");
    // What a killed run left behind is replaced.
    let _ = git(&["worktree", "remove", "--force", &tree.display().to_string()]);
    git(&["worktree", "add", "--force", "--detach", &tree.display().to_string(), &base])?;
    let counts = Counts::of(repo, &tree).with_context(|| format!("the merge base, {base}"));
    git(&["worktree", "remove", "--force", &tree.display().to_string()])?;
    counts
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(of: &[(&str, u64)]) -> BTreeMap<String, u64> {
        of.iter().map(|(name, count)| ((*name).to_owned(), *count)).collect()
    }

    #[test]
    fn a_count_that_moves_by_more_than_five_percent_fails() {
        let known = counts(&[("parse one", 1_000)]);
        for (now, committed, base) in [(1_000, true, true), (1_050, true, true), (1_051, false, false), (949, false, true)] {
            let counted = counts(&[("parse one", now)]);
            assert_eq!(compare(&known, &counted, Known::Committed).is_ok(), committed, "{now}");
            assert_eq!(compare(&known, &counted, Known::MergeBase).is_ok(), base, "{now}");
        }
    }

    #[test]
    fn what_is_counted_is_what_is_committed() {
        let (one, two) = (counts(&[("a", 1)]), counts(&[("a", 1), ("b", 2)]));
        assert!(compare(&one, &two, Known::Committed).is_err(), "a new one is to be committed");
        assert!(compare(&two, &one, Known::Committed).is_err(), "one that is gone, too");
        assert!(compare(&one, &two, Known::MergeBase).is_ok());
    }
}
