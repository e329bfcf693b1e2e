//! The demo keeps its word: events on standard output, and an end by itself.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::run::say;

/// At least one of each has to be seen.
const TYPES: [&str; 2] = ["io.drivetap.signal.v1", "io.drivetap.change.v1"];

/// Runs the demo, shows what it prints, and holds it against what it promises.
pub(super) fn check(command: &mut Command) -> Result<()> {
    let begin = Instant::now();
    let mut child = command.stdout(Stdio::piped()).spawn().context("cannot run the demo")?;
    let stdout = child.stdout.take().context("the demo has no standard output")?;
    let mut seen = Seen::default();
    for line in BufReader::new(stdout).lines() {
        let line = line.context("the demo's standard output")?;
        println!("{line}");
        if seen.0.is_empty() {
            say(format_args!("demo: the first event after {} s, build included", begin.elapsed().as_secs()));
        }
        // The rest is still to be read: a demo that is cut off says nothing about the demo.
        seen.note(&line);
    }
    let status = child.wait()?;
    if !status.success() {
        bail!("the demo ended with {status}");
    }
    seen.judge()
}

/// How many events of each type; what is no event counts under its own text.
#[derive(Default)]
struct Seen(BTreeMap<String, u32>);

impl Seen {
    fn note(&mut self, line: &str) {
        let event: Option<Value> = serde_json::from_str(line).ok();
        let kind = event.as_ref().and_then(|event| event.get("type")).and_then(Value::as_str);
        *self.0.entry(kind.unwrap_or(line).to_owned()).or_default() += 1;
    }

    fn judge(&self) -> Result<()> {
        if let Some((line, _)) = self.0.iter().find(|(kind, _)| !kind.starts_with("io.drivetap.")) {
            bail!("the demo printed something that is no event: {line}");
        }
        for kind in TYPES {
            match self.0.get(kind) {
                Some(count) => say(format_args!("demo: {count} {kind}")),
                None => bail!("the demo printed no {kind}"),
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIGNAL: &str = r#"echo '{"type":"io.drivetap.signal.v1"}';"#;
    const CHANGE: &str = r#"echo '{"type":"io.drivetap.change.v1"}';"#;

    #[test]
    fn a_demo_prints_events_of_both_kinds_and_nothing_else_and_succeeds() {
        for (script, expected) in [
            (format!("{SIGNAL} {CHANGE} {CHANGE}"), None),
            (SIGNAL.to_owned(), Some("the demo printed no io.drivetap.change.v1")),
            (CHANGE.to_owned(), Some("the demo printed no io.drivetap.signal.v1")),
            (format!("{SIGNAL} {CHANGE} echo hello"), Some("the demo printed something that is no event: hello")),
            (format!("{SIGNAL} {CHANGE} exit 70"), Some("the demo ended with exit status: 70")),
        ] {
            let found = check(Command::new("sh").args(["-c", &script])).err().map(|error| error.to_string());
            assert_eq!(found.as_deref(), expected, "{script}");
        }
    }
}
