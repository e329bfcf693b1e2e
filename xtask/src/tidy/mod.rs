//! `cargo xtask tidy`: what no compiler checks. It is also a test of this crate, so `cargo test` runs it.
//!
//! Each rule is a function from what it looks at to findings, and each has a test that shows it a violation. All findings
//! are printed at once.

mod features;
mod layers;
mod manifests;
pub(crate) mod readme;
mod signatures;
mod sources;
mod tokens;
mod warnings;
mod words;

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use cargo_metadata::{Metadata, MetadataCommand};

use crate::repo::Repo;
use crate::run::{output, say};

/// Something that is not as it should be.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Finding {
    /// A file, with a line where there is one.
    place: String,
    what: String,
    /// What to do about it.
    remedy: String,
}

impl Finding {
    fn new(place: impl fmt::Display, what: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { place: place.to_string(), what: what.into(), remedy: remedy.into() }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}: {}", self.place, self.what, self.remedy)
    }
}

/// Prints every finding; one is enough to fail. `write`: makes the list of words first.
pub(crate) fn run(repo: &Repo, write: bool) -> Result<()> {
    if write {
        let list = words::list(&sources(repo)?);
        fs::write(repo.root.join(words::LIST), list).with_context(|| format!("cannot write {}", words::LIST))?;
    }
    let findings = findings(repo)?;
    for finding in &findings {
        eprintln!("{finding}");
    }
    if !findings.is_empty() {
        bail!("tidy: {} findings", findings.len());
    }
    say("tidy: nothing found");
    Ok(())
}

fn findings(repo: &Repo) -> Result<Vec<Finding>> {
    let read = |path: &str| fs::read_to_string(repo.root.join(path)).with_context(|| format!("cannot read {path}"));
    let metadata = MetadataCommand::new()
        .manifest_path(repo.root.join("Cargo.toml"))
        .other_options(["--locked".to_owned()])
        .exec()
        .context("cargo metadata --locked")?;

    let mut findings = Vec::new();
    let root = read("Cargo.toml")?.parse().context("Cargo.toml")?;
    findings.extend(manifests::check_root(&root));
    for (path, manifest) in members(repo, &metadata)? {
        findings.extend(manifests::check_member(&path, &manifest));
    }
    findings.extend(layers::check(&metadata)?);
    findings.extend(features::check(repo, &metadata)?);
    findings.extend(readme::check(
        fs::read_to_string(repo.root.join("README.md")).ok().as_deref(),
        &read(".cargo/config.toml")?,
        &readme::Facts::of(&metadata),
    ));
    let sources = sources(repo)?;
    for (path, text) in &sources {
        findings.extend(sources::check(path, text));
    }
    findings.extend(sources::check_exceptions(&repo.root));
    findings.extend(words::check(sources.get(words::LIST).map(String::as_str), &words::list(&sources)));
    findings.sort();
    Ok(findings)
}

/// The text of every file that is one, under its path from the root. What is listed and not there was just deleted.
fn sources(repo: &Repo) -> Result<BTreeMap<String, String>> {
    let read = |path: String| fs::read_to_string(repo.root.join(&path)).ok().map(|text| (path, text));
    Ok(files(repo)?.into_iter().filter_map(read).collect())
}

/// What is tracked, or would be: what git ignores is nobody's business.
fn files(repo: &Repo) -> Result<Vec<String>> {
    let mut git = Command::new("git");
    git.args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"]).current_dir(&repo.root);
    let listed = output(&mut git).context("tidy looks at what git tracks")?;
    Ok(listed.split_terminator('\0').map(ToOwned::to_owned).collect())
}

/// Each member's manifest, as written, under its path from the root.
fn members(repo: &Repo, metadata: &Metadata) -> Result<Vec<(PathBuf, toml::Table)>> {
    let members = metadata.workspace_packages().into_iter().map(|package| {
        let path = package.manifest_path.as_std_path();
        let text = fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
        let manifest = text.parse().with_context(|| path.display().to_string())?;
        Ok((repo.short(path).to_owned(), manifest))
    });
    members.collect()
}

/// The number of the line in which a byte offset lies, from 1.
fn line_at(text: &str, offset: usize) -> usize {
    text.bytes().take(offset).filter(|byte| *byte == b'\n').count() + 1
}

fn at_line(path: impl AsRef<Path>, line: usize) -> String {
    format!("{}:{line}", path.as_ref().display())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_repository_is_tidy() {
        let findings = findings(&Repo::find().unwrap()).unwrap();
        let lines: Vec<_> = findings.iter().map(ToString::to_string).collect();
        assert!(lines.is_empty(), "\n{}\n", lines.join("\n"));
    }
}
