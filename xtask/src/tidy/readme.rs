//! README.md tells the truth: its commands exist, its crates are the crates, its versions are the ones that are checked.

use std::collections::BTreeSet;

use cargo_metadata::Metadata;
use clap::CommandFactory as _;

use super::{Finding, at_line};
use crate::ci::COMMANDS;
use crate::setup::{JAVA, NODE};

/// The first screen of a terminal, or of a web page.
const FIRST_SCREEN: usize = 40;

/// What README.md is held against.
pub(super) struct Facts {
    crates: BTreeSet<String>,
    rust_version: String,
}

impl Facts {
    pub(super) fn of(metadata: &Metadata) -> Self {
        let packages = metadata.workspace_packages();
        let crates = packages.iter().filter(|package| package.manifest_path.as_str().contains("/crates/"));
        let version = packages.iter().find_map(|package| package.rust_version.as_ref());
        Self {
            crates: crates.map(|package| package.name.to_string()).collect(),
            rust_version: version.map(|version| format!("{}.{}", version.major, version.minor)).unwrap_or_default(),
        }
    }
}

pub(super) fn check(readme: Option<&str>, cargo_config: &str, facts: &Facts) -> Vec<Finding> {
    let Some(readme) = readme else {
        return vec![Finding::new("README.md", "is missing", "write it")];
    };
    let mut findings = first_commands(readme, cargo_config);
    findings.extend(tasks_exist(readme));
    findings.extend(crate_table(readme, &facts.crates));
    findings.extend(versions(readme, &facts.rust_version));
    findings
}

/// The commands in every fenced `sh` block, without comments, with the numbers of their lines from 1.
pub(crate) fn shell_lines(markdown: &str) -> Vec<(usize, &str)> {
    let mut inside = false;
    let mut lines = Vec::new();
    for (number, line) in (1..).zip(markdown.lines()) {
        match line.trim_end() {
            "```sh" if !inside => inside = true,
            "```" => inside = false,
            line if inside => lines.push((number, line.split(" #").next().unwrap_or_default().trim_end())),
            _ => {}
        }
    }
    lines
}

fn first_commands(readme: &str, cargo_config: &str) -> Vec<Finding> {
    let shell = shell_lines(readme);
    let aliases = cargo_config.parse::<toml::Table>().unwrap_or_default();
    let alias = |name: &str| aliases.get("alias").and_then(|aliases| aliases.get(name)).is_some();
    let mut findings = Vec::new();
    for command in COMMANDS {
        match shell.iter().find(|(_, line)| *line == command) {
            None => findings.push(Finding::new(
                "README.md",
                format!("no `{command}`"),
                "put it on a line of its own in a ```sh block",
            )),
            Some((number, _)) if *number > FIRST_SCREEN => findings.push(Finding::new(
                at_line("README.md", *number),
                format!("`{command}` is not on the first screen"),
                format!("move it into the first {FIRST_SCREEN} lines"),
            )),
            Some(_) => {}
        }
        let name = command.split(' ').nth(1).unwrap_or_default();
        if !alias(name) {
            findings.push(Finding::new(
                ".cargo/config.toml",
                format!("no alias `{name}`"),
                format!("README.md says `{command}`"),
            ));
        }
    }
    findings
}

/// Every `cargo xtask NAME` in the text is a task.
fn tasks_exist(readme: &str) -> Vec<Finding> {
    let command = crate::Args::command();
    let tasks: BTreeSet<_> = command.get_subcommands().map(clap::Command::get_name).collect();
    let mentions = (1..).zip(readme.lines()).flat_map(|(number, line)| {
        line.split("cargo xtask ").skip(1).map(move |rest| {
            let end = rest.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(rest.len());
            (number, rest.get(..end).unwrap_or_default())
        })
    });
    mentions
        .filter(|(_, task)| !task.is_empty() && !tasks.contains(task))
        .map(|(number, task)| {
            Finding::new(at_line("README.md", number), format!("there is no `cargo xtask {task}`"), "name a task that there is")
        })
        .collect()
}

/// A row for each crate, and a crate for each row: "| `drivetap-core` | …".
fn crate_table(readme: &str, crates: &BTreeSet<String>) -> Vec<Finding> {
    let rows = (1..).zip(readme.lines()).filter_map(|(number, line)| {
        let first = line.strip_prefix('|')?.split('|').next()?.trim();
        let name = first.strip_prefix('`')?.strip_suffix('`')?;
        let is_name = name.starts_with("drivetap") && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'-');
        is_name.then_some((number, name))
    });
    let rows: Vec<_> = rows.collect();
    let missing = crates.iter().filter(|name| !rows.iter().any(|(_, row)| row == name));
    let missing =
        missing.map(|name| Finding::new("README.md", format!("no row for the crate `{name}`"), "add one to the table of crates"));
    let unknown = rows.iter().filter(|(_, row)| !crates.contains(*row));
    let unknown = unknown.map(|(number, row)| {
        Finding::new(at_line("README.md", *number), format!("there is no crate `{row}`"), "remove the row, or name the crate")
    });
    missing.chain(unknown).collect()
}

/// "Rust 1.95", "Node 18", "Java 17": the lowest that works, as the manifest and setup check it.
fn versions(readme: &str, rust_version: &str) -> Vec<Finding> {
    let lowest = [format!("Rust {rust_version}"), format!("Node {NODE}"), format!("Java {JAVA}")];
    lowest
        .iter()
        .filter(|lowest| !mentions(readme, lowest))
        .map(|lowest| Finding::new("README.md", format!("no \"{lowest}\""), "say which versions are the lowest that work"))
        .collect()
}

/// `Rust 1.9` does not mention itself in `Rust 1.95`.
fn mentions(text: &str, phrase: &str) -> bool {
    text.match_indices(phrase).any(|(at, _)| {
        let next = text.get(at + phrase.len()..).and_then(|rest| rest.chars().next());
        next.is_none_or(|next| !next.is_ascii_digit())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONFIG: &str = "[alias]\nxtask = 'run'\ndemo = 'run'\n";
    const GOOD: &str = "# x\n```sh\ncargo demo\n```\n```sh\ncargo xtask test\n```\n`cargo xtask setup`\n\
        | crate | is |\n|---|---|\n| `drivetap` | a |\n| `drivetap-core` | b |\n| `drivetap run` | c |\nRust 1.95, Node 18, Java 17\n";

    fn found(readme: &str, config: &str) -> Vec<String> {
        let facts =
            Facts { crates: ["drivetap", "drivetap-core"].map(ToOwned::to_owned).into(), rust_version: "1.95".to_owned() };
        check(Some(readme), config, &facts).into_iter().map(|finding| finding.what).collect()
    }

    #[test]
    fn a_readme_that_tells_the_truth_passes_and_every_lie_is_found() {
        assert_eq!(found(GOOD, CONFIG), [""; 0]);
        assert_eq!(found(&GOOD.replace("cargo demo\n", "cargo demo   # events\n"), CONFIG), [""; 0]);
        for (from, to, expected) in [
            ("cargo demo\n", "cargo run demo\n", "no `cargo demo`"),
            ("```sh\ncargo demo", "```\ncargo demo", "no `cargo demo`"),
            ("cargo xtask test\n", "cargo test\n", "no `cargo xtask test`"),
            ("# x\n", &"\n".repeat(36), "`cargo xtask test` is not on the first screen"),
            ("`cargo xtask setup`", "`cargo xtask prepare`", "there is no `cargo xtask prepare`"),
            ("| `drivetap-core` | b |", "", "no row for the crate `drivetap-core`"),
            ("| `drivetap` | a |", "| `drivetap` | a |\n| `drivetap-extra` | a |", "there is no crate `drivetap-extra`"),
            ("Rust 1.95", "Rust 1.9", "no \"Rust 1.95\""),
            ("Node 18", "Node 180", "no \"Node 18\""),
            ("Java 17", "Java", "no \"Java 17\""),
        ] {
            let lie = GOOD.replacen(from, to, 1);
            assert_ne!(lie, GOOD, "{from}");
            assert_eq!(found(&lie, CONFIG), [expected]);
        }
        assert_eq!(found(GOOD, "[alias]\nxtask = 'run'"), ["no alias `demo`"]);
        assert_eq!(check(None, CONFIG, &Facts { crates: BTreeSet::new(), rust_version: String::new() }).len(), 1);
    }
}
