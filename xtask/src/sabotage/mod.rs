//! `cargo xtask sabotage`: does a test fail when the code is wrong?
//!
//! Each [`Defect`] is one wrong line, and the test that is there to notice it. They are put, one at a time, into a copy of the
//! workspace under the target directory, never into the checkout. A defect that no test notices is a failure of this command; so is
//! one whose line is no longer there.

mod defects;
mod scratch;

use std::fmt::Write as _;
use std::process::ExitCode;
use std::time::Instant;

use anyhow::{Result, bail};

use self::defects::DEFECTS;
use self::scratch::{Scratch, Verdict};
use crate::mark::{Mark, TESTS};
use crate::repo::Repo;
use crate::run::say;
use crate::services;
use crate::signals::Interrupted;

/// One wrong line.
#[derive(Debug)]
pub(crate) struct Defect {
    /// What goes wrong, in a few words.
    name: &'static str,
    /// From the root of the workspace.
    file: &'static str,
    /// Stands there exactly once.
    right: &'static str,
    /// Compiles, and is a defect.
    wrong: &'static str,
    /// What notices it.
    test: Test,
}

/// A unit test of one of our libraries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Test {
    package: &'static str,
    module: &'static str,
    name: &'static str,
}

impl Test {
    /// As libtest knows it.
    fn path(self) -> String {
        format!("{}::{}", self.module, self.name)
    }
}

/// Every defect, or those whose name contains `only`.
pub(crate) fn run(repo: &Repo, only: Option<&str>) -> Result<ExitCode> {
    let chosen: Vec<&Defect> = DEFECTS.iter().filter(|defect| only.is_none_or(|only| defect.name.contains(only))).collect();
    if chosen.is_empty() {
        bail!(
            "no defect has that in its name; there are: {}",
            DEFECTS.iter().map(|defect| defect.name).collect::<Vec<_>>().join(", ")
        );
    }
    let mark = Mark::of_run(TESTS, &repo.target, &services::new_run());
    let interrupted = Interrupted::by_signals_that_kill(mark.clone())?;
    let scratch = Scratch::copy(repo, mark)?;
    // All of them before the first build: a line that moved is said at once.
    for defect in &chosen {
        scratch.check(defect)?;
    }
    expect_sound(&scratch, &chosen, &interrupted)?;

    let mut table = String::new();
    let mut unnoticed = 0;
    for defect in &chosen {
        interrupted.check()?;
        let began = Instant::now();
        let verdict = scratch.sabotage(defect)?;
        interrupted.check()?;
        unnoticed += usize::from(verdict != Verdict::Noticed);
        let line =
            format!("{:<12} {:>5.1} s  {:<62} {}", verdict.word(), began.elapsed().as_secs_f32(), defect.name, defect.test.name);
        say(&line);
        writeln!(table, "{line}")?;
    }
    eprintln!("\n{table}");
    say(format_args!("{} defects, {unnoticed} of them unnoticed", chosen.len()));
    Ok(if unnoticed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// A test that fails anyway, or is not there, notices nothing.
fn expect_sound(scratch: &Scratch, chosen: &[&Defect], interrupted: &Interrupted) -> Result<()> {
    let mut tests: Vec<Test> = Vec::new();
    for defect in chosen {
        if !tests.contains(&defect.test) {
            tests.push(defect.test);
        }
    }
    say(format_args!("{} tests on the code as it is", tests.len()));
    for test in tests {
        interrupted.check()?;
        match scratch.test(test)? {
            Verdict::Unnoticed => {}
            verdict => bail!("{} in {}, without any defect: {}", test.name, test.package, verdict.word()),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn every_defect_finds_its_line() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
        for defect in DEFECTS {
            let text = std::fs::read_to_string(root.join(defect.file)).unwrap();
            assert_eq!(text.matches(defect.right).count(), 1, "{}: renew it in xtask/src/sabotage/defects.rs", defect.name);
            assert!(defect.right != defect.wrong, "{}", defect.name);
        }
    }

    #[test]
    fn there_are_at_least_ten_defects_and_each_has_a_name_of_its_own() {
        let names: std::collections::BTreeSet<_> = DEFECTS.iter().map(|defect| defect.name).collect();
        assert_eq!(names.len(), DEFECTS.len());
        assert!(names.len() >= 10);
    }
}
