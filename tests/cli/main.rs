//! What the built program says, word by word: every help text, error and exit code, so that a change of words is seen in review.
//!
//! `TRYCMD=overwrite cargo test --package drivetap-tests --test cli` writes what it says now into the files beside this one.

#![expect(clippy::unwrap_used, reason = "a helper that cannot go on fails its test")]

use std::collections::{BTreeMap, BTreeSet};
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

/// The words of every command, of commands within commands too, and its help: `trigger`, `trigger create`.
fn commands() -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    let mut open = vec![Vec::<String>::new()];
    while let Some(words) = open.pop() {
        let help = printed(&[&words[..], &["--help".to_owned()]].concat());
        let listed = help.split_once("Commands:\n").and_then(|(_, rest)| rest.split_once("\n\n")).map_or("", |(list, _)| list);
        let listed = listed.lines().filter(|line| line.starts_with("  ") && !line.starts_with("   "));
        let listed = listed.filter_map(|line| line.split_whitespace().next()).filter(|name| *name != "help");
        open.extend(listed.map(|name| [&words[..], &[name.to_owned()]].concat()));
        found.insert(words.join(" "), help);
    }
    assert!(found.len() > 20, "{found:?}");
    found
}

fn printed(args: &[String]) -> String {
    let output = Command::new(drivetap()).args(args).env_clear().output().unwrap();
    assert!(output.status.success(), "{args:?}: {output:?}");
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn no_command_is_without_a_reviewed_help_text() {
    let file_of = |words: &str| if words.is_empty() { "drivetap".to_owned() } else { words.replace(' ', "-") };
    let expected: BTreeMap<_, _> = commands().into_keys().map(|words| (file_of(&words), words)).collect();
    let reviewed = std::fs::read_dir(here().join("help")).unwrap();
    let reviewed: BTreeSet<_> =
        reviewed.map(|entry| entry.unwrap().path().file_stem().unwrap().to_str().unwrap().to_owned()).collect();
    for (file, words) in &expected {
        let path = format!("tests/cli/help/{file}.trycmd");
        assert!(
            reviewed.contains(file),
            "{path} is missing: write\n```\n$ drivetap {words} --help\n\n```\nand run TRYCMD=overwrite cargo test -p drivetap-tests --test cli"
        );
        let text = std::fs::read_to_string(here().join(format!("help/{file}.trycmd"))).unwrap();
        assert!(text.contains(&format!("$ drivetap {words} --help\n").replace("  ", " ")), "{path} shows another help");
    }
    for name in &reviewed {
        assert!(expected.contains_key(name), "tests/cli/help/{name}.trycmd is of no command");
    }
}

#[test]
fn every_help_text_has_examples_and_a_variable_for_each_flag() {
    for (words, help) in commands() {
        let examples = help.split_once("\nExample").map(|(_, examples)| examples);
        assert!(
            examples.is_some_and(|text| text.contains(&format!("  drivetap {words}"))),
            "drivetap {words}: no example\n{help}"
        );
        let (_, options) = help.split_once("\nOptions:\n").unwrap();
        let (options, _) = options.split_once("\nExample").unwrap();
        // A flag begins at the left, what is said of it is further in.
        let mut flags: Vec<String> = Vec::new();
        for line in options.lines() {
            match flags.last_mut() {
                Some(last) if !line.trim_start().starts_with('-') || line.starts_with("          ") => last.push_str(line),
                _ => flags.push(line.to_owned()),
            }
        }
        for flag in flags.iter().filter(|flag| {
            !["--help", "--version", "--json"]
                .iter()
                .any(|own| flag.trim().starts_with(own) || flag.contains(&format!(", {own}")))
        }) {
            assert!(flag.contains("[env: DRIVETAP_"), "drivetap {words}: {flag}");
        }
    }
}

#[test]
fn the_version_is_one_json_object_for_a_script() {
    let json: serde_json::Value = serde_json::from_str(&printed(&["--version".to_owned(), "--json".to_owned()])).unwrap();
    let keys: BTreeSet<_> = json.as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(keys, ["commit", "features", "librdkafka", "name", "rustc", "version"].into());
    assert_eq!((&json["name"], &json["version"]), (&"drivetap".into(), &env!("CARGO_PKG_VERSION").into()));
    assert!(json["features"].as_array().unwrap().contains(&"kafka".into()), "{json}");
}

/// README.md's table, the help's list and the tests know the same exit codes.
#[test]
fn every_exit_code_is_told_and_has_a_test() {
    let root = here().join("../..");
    let readme = std::fs::read_to_string(root.join("README.md")).unwrap();
    let (_, table) = readme.split_once("## Exit codes").unwrap();
    let (table, _) = table
        .split_once("\n\n")
        .map(|(head, rest)| if head.is_empty() { rest.split_once("\n\n").unwrap() } else { (head, rest) })
        .unwrap();
    let rows = table.lines().filter_map(|line| line.strip_prefix("| ")?.split(" |").next());
    let codes: Vec<u8> = rows.flat_map(|row| row.split(", ")).filter_map(|code| code.parse().ok()).collect();
    assert_eq!(codes, [0, 1, 64, 69, 70, 77, 78, 130, 143]);

    let help = printed(&["--help".to_owned()]);
    let (_, told) = help.split_once("Exit codes:").unwrap();
    let sources = |folder: &str| {
        let files = std::fs::read_dir(here().join(folder)).unwrap();
        files.filter_map(|it| std::fs::read_to_string(it.unwrap().path()).ok()).collect::<String>()
    };
    let (snapshots, tests) = (sources("errors"), sources("../e2e"));
    for code in codes {
        let in_help = told.split(|c: char| !c.is_ascii_digit()).any(|number| number == code.to_string());
        assert!(in_help, "{code} is not in --help");
        let seen = [format!(".assert({code},"), format!("(Signal::INT, {code})"), format!("(Signal::TERM, {code})")];
        let is_tested = snapshots.contains(&format!("\n? {code}\n")) || seen.iter().any(|seen| tests.contains(seen));
        assert!(is_tested, "{code} has no test");
    }
    for code in [64, 69, 77, 78] {
        assert!(snapshots.contains(&format!("\n? {code}\n")), "the words of {code} are not among tests/cli/errors");
    }
}
