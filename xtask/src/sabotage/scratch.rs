use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

use super::{Defect, Test};
use crate::mark::Mark;
use crate::repo::Repo;
use crate::run::{line, output, say};

/// A copy of the workspace to spoil, with a target directory of its own; both are kept, so that the next run builds little.
pub(super) struct Scratch {
    root: PathBuf,
    target: PathBuf,
    mark: Mark,
}

/// What a test made of the code that it was given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It failed, by an assertion of its own.
    Noticed,
    /// It passed.
    Unnoticed,
    /// The code was no code.
    DoesNotCompile,
    /// There is no such test.
    NoTest,
    /// It ended in some other way: nothing is shown.
    Unclear,
}

impl Verdict {
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Noticed => "noticed",
            Self::Unnoticed => "UNNOTICED",
            Self::DoesNotCompile => "NO BUILD",
            Self::NoTest => "NO TEST",
            Self::Unclear => "UNCLEAR",
        }
    }
}

impl Scratch {
    /// Brings the copy up to date with the checkout, uncommitted changes included. What is the same is not touched: cargo goes by time.
    pub(super) fn copy(repo: &Repo, mark: Mark) -> Result<Self> {
        let dir = repo.target.join("sabotage");
        let scratch = Self { root: dir.join("workspace"), target: dir.join("target"), mark };
        let mut git = Command::new("git");
        git.args(["ls-files", "--cached", "--others", "--exclude-standard", "-z"]).current_dir(&repo.root);
        let listed = output(&mut git)?;
        let files: BTreeSet<&Path> = listed.split('\0').filter(|name| !name.is_empty()).map(Path::new).collect();
        let there = |file: &&Path| repo.root.join(file).is_file();
        for file in files.iter().copied().filter(there) {
            let bytes = fs::read(repo.root.join(file)).with_context(|| file.display().to_string())?;
            write(&scratch.root.join(file), &bytes)?;
        }
        scratch.remove_others(&scratch.root, &|file| files.contains(file) && there(&file))?;
        Ok(scratch)
    }

    /// What is no longer in the checkout goes.
    fn remove_others(&self, dir: &Path, belongs: &dyn Fn(&Path) -> bool) -> Result<()> {
        for entry in fs::read_dir(dir)? {
            let path = entry?.path();
            if path.is_dir() {
                self.remove_others(&path, belongs)?;
            } else if !path.strip_prefix(&self.root).is_ok_and(belongs) {
                fs::remove_file(&path)?;
            }
        }
        Ok(())
    }

    /// That the defect's line is there, once.
    pub(super) fn check(&self, defect: &Defect) -> Result<String> {
        let text = fs::read_to_string(self.root.join(defect.file)).with_context(|| defect.file.to_owned())?;
        match text.matches(defect.right).count() {
            1 => Ok(text),
            n => bail!(
                "`{}` has to be renewed: its line stands {n} times in {}: {}",
                defect.name,
                defect.file,
                defect.right.trim()
            ),
        }
    }

    /// Puts the defect in, runs its test, takes the defect out.
    pub(super) fn sabotage(&self, defect: &Defect) -> Result<Verdict> {
        let right = self.check(defect)?;
        let file = self.root.join(defect.file);
        fs::write(&file, right.replace(defect.right, defect.wrong))?;
        let verdict = self.test(defect.test);
        fs::write(&file, right)?;
        verdict
    }

    pub(super) fn test(&self, test: Test) -> Result<Verdict> {
        let mut build = self.cargo(&["test", "--no-run"], test);
        let built = build.output().with_context(|| line(&build))?;
        if !built.status.success() {
            // Warnings about a spoiled line are no news; this is.
            say(String::from_utf8_lossy(&built.stderr));
            return Ok(Verdict::DoesNotCompile);
        }
        let mut run = self.cargo(&["test"], test);
        run.args(["--", "--exact", &test.path()]);
        let done = run.output().with_context(|| line(&run))?;
        Ok(verdict(test, &String::from_utf8_lossy(&done.stdout), &String::from_utf8_lossy(&done.stderr)))
    }

    fn cargo(&self, words: &[&str], test: Test) -> Command {
        let mut cargo = Command::new("cargo");
        cargo.args(words).args(["--quiet", "--locked", "--lib", "--package", test.package]);
        cargo.current_dir(&self.root).env("CARGO_TARGET_DIR", &self.target).env("RUST_BACKTRACE", "0").stdin(Stdio::null());
        self.mark.put_on(&mut cargo);
        cargo
    }
}

/// Reads what libtest printed about the one test.
fn verdict(test: Test, stdout: &str, stderr: &str) -> Verdict {
    let summary = stdout.lines().find_map(|line| line.strip_prefix("test result: ")).unwrap_or_default();
    let panicked =
        [stdout, stderr].iter().any(|text| text.contains(&format!("thread '{}'", test.path())) && text.contains("panicked at"));
    if summary.contains(" 0 passed; 0 failed;") {
        Verdict::NoTest
    } else if summary.starts_with("ok. 1 passed; 0 failed;") {
        Verdict::Unnoticed
    } else if summary.starts_with("FAILED. 0 passed; 1 failed;") && panicked {
        Verdict::Noticed
    } else {
        Verdict::Unclear
    }
}

fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    if fs::read(path).is_ok_and(|there| there == bytes) {
        return Ok(());
    }
    if let Some(dir) = path.parent() {
        fs::create_dir_all(dir)?;
    }
    fs::write(path, bytes).with_context(|| path.display().to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_failed_assertion_of_the_test_itself_counts_as_noticed() {
        let test = Test { package: "p", module: "a", name: "b" };
        let panic = "\nthread 'a::b' (7) panicked at src/a.rs:1:1:\nassertion failed\n";
        for (stdout, stderr, expected) in [
            ("test result: ok. 1 passed; 0 failed; 0 ignored;", "", Verdict::Unnoticed),
            ("test result: ok. 0 passed; 0 failed; 0 ignored; 0 measured; 9 filtered out;", "", Verdict::NoTest),
            (&format!("{panic}test result: FAILED. 0 passed; 1 failed; 0 ignored;"), "", Verdict::Noticed),
            ("test result: FAILED. 0 passed; 1 failed; 0 ignored;", panic, Verdict::Noticed),
            ("test result: FAILED. 0 passed; 1 failed; 0 ignored;", "", Verdict::Unclear),
            ("", "signal: 9, SIGKILL", Verdict::Unclear),
        ] {
            assert_eq!(verdict(test, stdout, stderr), expected, "{stdout}{stderr}");
        }
    }

    #[test]
    fn a_file_that_is_the_same_keeps_its_time() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("deep/file");
        write(&path, b"one").unwrap();
        let time = fs::metadata(&path).unwrap().modified().unwrap();
        write(&path, b"one").unwrap();
        assert_eq!(fs::metadata(&path).unwrap().modified().unwrap(), time);
        write(&path, b"two").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"two");
    }
}
