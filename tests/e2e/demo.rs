//! `drivetap demo`: the first thing that anybody sees.

use tokio::process::Command;

use crate::support::{CHANGE, Program, SIGNAL, assert_valid, drivetap, of_type};

#[tokio::test(flavor = "multi_thread")]
async fn piped_it_prints_valid_events_of_both_types_ends_by_itself_and_says_what_to_type_next() {
    let ended = Program::drivetap(["demo", "--for", "6s"], &[]).end().await;
    ended.assert(0, &["drivetap listen me"]);
    let events = ended.events();
    assert_valid(&events);
    assert!(!of_type(&events, SIGNAL).is_empty() && !of_type(&events, CHANGE).is_empty(), "{events:#?}");
    assert_eq!(ended.drained()["delivered"], u64::try_from(events.len()).unwrap(), "{ended:#?}");
    let next = ended.stderr.iter().rposition(|line| line.contains("drivetap listen me")).unwrap();
    assert!(ended.stderr.len() - next <= 8, "what to type next is among the last lines: {ended:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn on_a_terminal_it_prints_coloured_lines_to_be_read() {
    // `script` gives it a terminal.
    let mut terminal = Command::new("script");
    terminal.args(["--quiet", "--return", "--command"]).arg(format!("'{}' demo --for 4s 2>/dev/null", drivetap().display()));
    terminal.arg("/dev/null").env("TERM", "xterm-256color").env_remove("NO_COLOR");
    let ended = Program::spawn(terminal).end().await;
    ended.assert(0, &[]);
    assert!(ended.stdout.iter().any(|line| line.contains("\u{1b}[")), "no colour: {ended:#?}");
    assert!(!ended.stdout.iter().any(|line| line.contains("specversion")), "JSON is for programs: {ended:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn as_text_in_a_pipe_it_is_one_plain_line_an_event() {
    let ended = Program::drivetap(["demo", "--for", "4s", "--format", "text"], &[]).end().await;
    ended.assert(0, &[]);
    assert_eq!(ended.drained()["delivered"], u64::try_from(ended.stdout.len()).unwrap(), "{ended:#?}");
    assert!(!ended.stdout.concat().contains('\u{1b}'), "{ended:#?}");
}
