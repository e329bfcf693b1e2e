//! What the built program says, word by word: every help text, error and exit code, so that a change of words is seen in review.
//!
//! `TRYCMD=overwrite cargo test --package drivetap-tests --test cli` writes what it says now into the files beside this one.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use drivetap_tests::drivetap;

fn cases() -> trycmd::TestCases {
    let cases = trycmd::TestCases::new();
    cases.register_bin("drivetap", trycmd::schema::Bin::Path(drivetap().to_owned()));
    // As it is without a terminal and without anything of ours in the environment.
    cases.env("NO_COLOR", "1").env("RUST_LOG", "").env("HTTPS_PROXY", "").env("https_proxy", "").env("ALL_PROXY", "");
    cases
}

fn here() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("cli")
}

#[test]
fn every_help_text_is_as_it_was_reviewed() {
    cases().case("cli/help/*.trycmd").run();
}

#[test]
fn every_error_and_exit_code_is_as_it_was_reviewed() {
    cases().case("cli/errors/*.trycmd").run();
}

#[test]
fn no_command_is_without_a_reviewed_help_text() {
    let help = Command::new(drivetap()).arg("--help").output().unwrap();
    let help = String::from_utf8(help.stdout).unwrap();
    let commands = help.split_once("Commands:\n").unwrap().1.split_once("\n\n").unwrap().0;
    let commands: BTreeSet<_> = commands
        .lines()
        .filter(|line| line.starts_with("  ") && !line.starts_with("   "))
        .filter_map(|line| line.split_whitespace().next())
        .collect();
    let reviewed = std::fs::read_dir(here().join("help")).unwrap();
    let reviewed: Vec<_> =
        reviewed.map(|entry| entry.unwrap().path().file_stem().unwrap().to_str().unwrap().to_owned()).collect();
    for command in commands.iter().filter(|command| **command != "help") {
        let file = format!("tests/cli/help/{command}.trycmd");
        assert!(
            reviewed.iter().any(|name| name == command),
            "{file} is missing: write\n```\n$ drivetap {command} --help\n\n```\nand run TRYCMD=overwrite cargo test -p drivetap-tests --test cli"
        );
    }
    for name in reviewed.iter().filter(|name| *name != "drivetap") {
        assert!(commands.contains(name.as_str()), "tests/cli/help/{name}.trycmd is of no command");
    }
}
