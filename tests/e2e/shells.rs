//! What shells make of our completions, and `man` and `mandoc` of our manual pages.
//!
//! The shells and both readers are Debian's; one that is missing fails its test. `cargo xtask setup` installs them. Debian has no PowerShell
//! (and elvish is not asked for): its script is generated, and read by its rules here, but not tried.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use tempfile::TempDir;

use crate::support::{Terminal, drivetap};

/// What is typed, with a Tab in it, and what the program says to the line that the shell makes of it.
const TYPED: [(&str, &str); 4] = [
    // A command, a flag, a flag's value, and a command of a command.
    ("drivetap vali\t --help", "Say everything that is wrong with a configuration"),
    ("drivetap emulator --ra\t fast", "invalid value 'fast' for '--rate <N>'"),
    ("drivetap path me --color nev\t", "/me/drive/root/subscriptions/socketIo"),
    ("drivetap trigger ren\t --help", "Give a file or a folder another name"),
];

fn ran(command: &mut Command) -> Output {
    let output = command.stdin(Stdio::null()).output();
    output.unwrap_or_else(|error| panic!("{command:?}: {error}: run `cargo xtask setup`, which installs it"))
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

/// A folder with what `drivetap completions SHELL` prints, as this file.
fn completions(shell: &str, file: &str) -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    let printed = ran(Command::new(drivetap()).args(["completions", shell]));
    assert!(printed.status.success(), "{printed:?}");
    fs::write(dir.path().join(file), printed.stdout).unwrap();
    dir
}

/// The program is there, in words for whoever has to install it.
fn installed(program: &str) {
    ran(Command::new(program).arg("--version"));
}

/// Types each line at an interactive shell that is set up by `first`.
fn types_at(shell: &str, args: &[&str], first: &str) {
    installed(shell);
    let mut terminal = Terminal::program(shell, args, &[("PS1", "$ "), ("HOME", "/nonexistent")]);
    terminal.types(&format!("{first}; echo is\"\"set"));
    terminal.shows("isset");
    for (typed, says) in TYPED {
        terminal.presses(typed);
        terminal.presses("\n");
        terminal.shows(says);
    }
    terminal.types("exit 0");
    terminal.end();
}

#[test]
fn bash_completes_commands_flags_and_values() {
    let dir = completions("bash", "drivetap");
    types_at("bash", &["--norc", "--noprofile", "-i"], &format!(". {}/drivetap", dir.path().display()));
}

#[test]
fn zsh_completes_commands_flags_and_values() {
    let dir = completions("zsh", "_drivetap");
    let dir = dir.path().display();
    types_at("zsh", &["-f", "-i"], &format!("fpath=({dir} $fpath); autoload -Uz compinit; compinit -u -d {dir}/dump"));
}

#[test]
fn fish_completes_commands_flags_and_values() {
    let dir = completions("fish", "drivetap.fish");
    let source = format!("source {}/drivetap.fish", dir.path().display());
    for (typed, completed) in [
        ("drivetap vali", "validate"),
        ("drivetap emulator --ra", "--rate"),
        ("drivetap path me --color nev", "never"),
        ("drivetap trigger ren", "rename"),
    ] {
        let mut fish = Command::new("fish");
        fish.args(["--no-config", "-c", &format!("{source}; complete --do-complete '{typed}'")]);
        let output = ran(fish.env_clear().env("HOME", dir.path()).env("PATH", "/usr/bin:/bin"));
        let offered: Vec<_> = text(&output.stdout).lines().map(|line| line.split('\t').next().unwrap()).collect();
        assert_eq!(offered, [completed], "{typed}: {output:?}");
        assert!(output.stderr.is_empty(), "{output:?}");
    }
}

#[test]
fn powershell_would_read_each_command_with_what_completes_it() {
    let dir = completions("powershell", "drivetap.ps1");
    let script = fs::read_to_string(dir.path().join("drivetap.ps1")).unwrap();
    // The one statement that stands before all others, so the script is run and not pasted.
    assert!(script.trim_start().starts_with("using namespace "), "{script:.100}");
    let parts = powershell(&script);
    let mut offered: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    let mut command = "";
    for at in 0..parts.len() {
        match &parts[at..] {
            [Part::Text(name), Part::Sign('{'), ..] => {
                command = name;
                offered.entry(command).or_default();
            }
            // What is inserted, what is listed, of which kind, and what is said of it.
            [
                Part::Sign('('),
                Part::Text(word),
                Part::Text(listed),
                Part::Sign('['),
                Part::Sign(']'),
                Part::Text(said),
                Part::Sign(')'),
                ..,
            ] => {
                assert!(word == listed.trim_end() && !said.is_empty(), "{command} {word}");
                offered.get_mut(command).unwrap().push(word);
            }
            [Part::Sign('('), Part::Text(word), Part::Text(_), ..] => panic!("{command} {word}: not understood"),
            _ => {}
        }
    }
    for (command, word) in
        [("drivetap", "validate"), ("drivetap;emulator", "--rate"), ("drivetap;path", "--color"), ("drivetap;trigger", "rename")]
    {
        assert!(offered[command].contains(&word), "{command} {word}");
    }
    for (command, words) in &offered {
        for word in words.iter().filter(|word| !word.starts_with('-')) {
            assert!(offered.contains_key(format!("{command};{word}").as_str()), "{command} {word} completes nothing");
        }
    }
    assert!(offered.len() > 20, "{offered:?}");
}

/// What is in a script of PowerShell, as far as quotes and brackets go.
#[derive(Debug, PartialEq, Eq)]
enum Part {
    Text(String),
    Sign(char),
}

/// By about_Quoting_Rules: within single quotes two are one and nothing else is special, and a typographic quote is a quote.
fn powershell(script: &str) -> Vec<Part> {
    let single = |c: char| "'‘’‚‛".contains(c);
    let (mut parts, mut open, mut rest) = (Vec::new(), Vec::new(), script.chars().peekable());
    while let Some(c) = rest.next() {
        match c {
            _ if single(c) => {
                let mut text = String::new();
                loop {
                    match rest.next().expect("a string that does not end") {
                        c if single(c) && rest.next_if(|next| single(*next)).is_none() => break,
                        c => text.push(c),
                    }
                }
                parts.push(Part::Text(text));
            }
            '"' => while rest.next().expect("a string that does not end") != '"' {},
            '(' | '[' | '{' => {
                open.push(c);
                parts.push(Part::Sign(c));
            }
            ')' | ']' | '}' => {
                let opened = open.pop();
                assert!(
                    matches!((opened, c), (Some('('), ')') | (Some('['), ']') | (Some('{'), '}')),
                    "{opened:?} {c} {:?}",
                    parts.last()
                );
                parts.push(Part::Sign(c));
            }
            _ => {}
        }
    }
    assert!(open.is_empty(), "{open:?}");
    parts
}

/// Every page, as `drivetap man --dir` writes it.
fn pages(dir: &Path) -> Vec<String> {
    let written = ran(Command::new(drivetap()).args(["man", "--dir"]).arg(dir));
    assert!(written.status.success(), "{written:?}");
    let mut pages: Vec<_> = fs::read_dir(dir).unwrap().map(|it| it.unwrap().path().display().to_string()).collect();
    pages.sort();
    assert!(pages.len() > 20, "{pages:?}");
    pages
}

#[test]
fn man_shows_every_page_without_a_warning() {
    let dir = tempfile::tempdir().unwrap();
    installed("man");
    for page in pages(dir.path()) {
        let mut man = Command::new("man");
        man.args(["--warnings", "--encoding=UTF-8", "--local-file", &page]);
        let output = ran(man.env("MANWIDTH", "80").env("MANPAGER", "cat").env("LC_ALL", "C.UTF-8"));
        assert!(output.status.success() && output.stderr.is_empty(), "{page}: {}", text(&output.stderr));
        let shown = text(&output.stdout);
        assert!(
            ["NAME", "SYNOPSIS", "OPTIONS", "EXAMPLES", "DRIVETAP_LOG"].iter().all(|part| shown.contains(part)),
            "{page}: {shown}"
        );
    }
}

#[test]
fn mandoc_finds_nothing_wrong_with_any_page_and_no_page_names_one_that_is_missing() {
    let dir = tempfile::tempdir().unwrap();
    let pages = pages(dir.path());
    let output = ran(Command::new("mandoc").args(["-T", "lint", "-W", "warning"]).args(&pages));
    // A page is the version's, and that has a date when it is released: CHANGELOG.md tells it.
    let found = text(&output.stdout).lines().filter(|line| !line.ends_with("WARNING: missing date, using \"\": TH"));
    let found: Vec<_> = found.collect();
    assert!(output.stderr.is_empty() && found.is_empty(), "{found:#?}\n{}", text(&output.stderr));
    for page in &pages {
        let roff = fs::read_to_string(page).unwrap().replace("\\-", "-");
        let title = roff.lines().find(|line| line.starts_with(".TH ")).unwrap();
        let ends = concat!(" ", env!("CARGO_PKG_VERSION"), "\" drivetap");
        assert!(title.contains(" 1 \"\" \"drivetap") && title.ends_with(ends), "{page}: {title}");
        for named in roff.lines().filter_map(|line| line.strip_suffix("(1)")) {
            assert!(dir.path().join(format!("{named}.1")).exists(), "{page} names {named}(1)");
        }
    }
}
