use std::fmt::{self, Write as _};

use anstyle::{AnsiColor, Style as Ansi};
use drivetap_core::escape::for_text;
use drivetap_core::{Event, EventType};
use serde_json::Value;

use crate::fit::{GAP, columns, fit};

/// How a readable line looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Style {
    /// Without escape sequences.
    Plain,
    /// With ANSI colours.
    Coloured,
}

/// One readable line, without its end: when drivetap received it (UTC), what happened, to what, and the resource it belongs to.
///
/// ```text
/// 2026-05-28T20:26:41Z  changed  /Documents/plan.docx  Adele Vance  1.0 kB  [me]
/// ```
///
/// What Graph did not send is left out; names are escaped.
#[must_use]
pub fn format_text(event: &Event, style: Style) -> String {
    format_text_within(event, style, usize::MAX)
}

/// The same, no wider than so many columns of a terminal.
///
/// A line that is too long first loses folders from the left of the path (`…/plan.docx`), then the resource, the size, who it was, and the
/// end of the name. Where not even a short name has room beside the time, the time goes.
#[must_use]
pub fn format_text_within(event: &Event, style: Style, width: usize) -> String {
    /// For a name beside the time.
    const NAME: usize = 8;

    let data = event.data_value();
    let (word, colour) = word(event.event_type(), &data);
    let paint = |ansi: Ansi| if style == Style::Coloured { ansi } else { Ansi::new() };
    let dim = paint(Ansi::new().dimmed());
    let kind = paint(colour.on_default());

    let time = event.recorded_time().strftime("%FT%TZ").to_string();
    let word = format!("{word:<7}");
    let (with_time, without) = (columns(&time) + GAP + columns(&word), columns(&word));
    let has_time = width >= with_time + GAP + NAME;
    let mut line = if has_time { format!("{dim}{time}{dim:#}  {kind}{word}{kind:#}") } else { format!("{kind}{word}{kind:#}") };
    let parts = match event.event_type() {
        EventType::Change => change(&data, event.subject()),
        EventType::Signal => signal(&data),
        EventType::Gap => gap(&data),
        EventType::Resync => resync(&data),
    };
    let truncated = (data.get("truncated") == Some(&Value::Bool(true))).then(|| "(truncated)".to_owned());
    let resource = format!("[{}]", for_text(event.resource()));
    let parts = parts.into_iter().chain([truncated]).flatten().map(|part| for_text(&part).into_owned());
    let parts: Vec<_> = parts.chain([resource]).collect();
    let all = parts.len();
    let fitted = fit(parts, width.saturating_sub(if has_time { with_time } else { without }));
    for (n, part) in fitted.iter().enumerate() {
        let paint = if n + 1 == all { dim } else { Ansi::new() };
        let _ = write!(line, "  {paint}{part}{paint:#}");
    }
    line
}

fn word(event_type: EventType, data: &Value) -> (&'static str, AnsiColor) {
    match event_type {
        EventType::Change if data["kind"] == "deleted" => ("deleted", AnsiColor::Red),
        EventType::Change => ("changed", AnsiColor::Green),
        EventType::Signal => ("signal", AnsiColor::Cyan),
        EventType::Gap => ("gap", AnsiColor::Yellow),
        EventType::Resync => ("resync", AnsiColor::Magenta),
    }
}

fn change(data: &Value, id: Option<&str>) -> Vec<Option<String>> {
    let item = &data["item"];
    let size = item["size"].as_u64().filter(|_| item.get("file").is_some());
    vec![path(item).or_else(|| id.map(str::to_owned)), who(&item["lastModifiedBy"]), size.map(|bytes| Size(bytes).to_string())]
}

// `parentReference.path` is `/drive/root:/Documents`, `/drives/{id}/root:` or not there.
fn path(item: &Value) -> Option<String> {
    if item.get("root").is_some() {
        return Some("/".to_owned());
    }
    let name = item["name"].as_str()?;
    let folder = item["parentReference"]["path"].as_str().and_then(|path| path.split_once("root:"));
    let end = if item.get("folder").is_some() { "/" } else { "" };
    Some(folder.map_or_else(|| format!("{name}{end}"), |(_, folder)| format!("{folder}/{name}{end}")))
}

// An identity set: a person first, else whatever acted.
fn who(by: &Value) -> Option<String> {
    let name = |kind: &str| {
        let identity = &by[kind];
        let named = identity["displayName"].as_str().filter(|name| !name.is_empty());
        named.or(identity["email"].as_str()).map(str::to_owned)
    };
    ["user", "group", "application", "device"].into_iter().find_map(name)
}

fn signal(data: &Value) -> Vec<Option<String>> {
    let merged = data["merged"].as_u64().map(|n| format!("{n} notifications"));
    vec![data["siteUrl"].as_str().map(str::to_owned), merged]
}

fn gap(data: &Value) -> Vec<Option<String>> {
    let word = |name: &str| data[name].as_str().unwrap_or("?").to_owned();
    let what = if data["affects"] == "changes" {
        format!("changes {} to {} were dropped", number(&data["from_sequence"]), number(&data["to_sequence"]))
    } else {
        "signals may have been missed".to_owned()
    };
    let recovered = if data["recovered_by_walk"] == true { "recovered by a walk" } else { "not recovered" };
    vec![Some(what), Some(format!("{} to {}", word("from"), word("to"))), Some(word("reason")), Some(recovered.to_owned())]
}

fn resync(data: &Value) -> Vec<Option<String>> {
    let generation = format!("generation {}", data["generation"]);
    let items = data["items"].as_u64().map(|n| format!("{n} items"));
    vec![data["phase"].as_str().map(str::to_owned), data["code"].as_str().map(str::to_owned), items, Some(generation)]
}

// A sequence has 20 digits so that it sorts as text; a person needs none of the zeros in front.
fn number(sequence: &Value) -> &str {
    match sequence.as_str().map(|digits| digits.trim_start_matches('0')) {
        Some("") => "0",
        Some(digits) => digits,
        None => "?",
    }
}

/// Bytes in decimal units with one digit after the point, rounded down: `999 B`, `1.0 kB`, `18.4 EB`.
struct Size(u64);

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut unit = 1;
        let mut name = None;
        for next in ["kB", "MB", "GB", "TB", "PB", "EB"] {
            if self.0 / unit < 1000 {
                break;
            }
            unit *= 1000;
            name = Some(next);
        }
        match name {
            None => write!(f, "{} B", self.0),
            Some(name) => write!(f, "{}.{} {name}", self.0 / unit, self.0 % unit / (unit / 10)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_at_a_glance() {
        for (bytes, text) in [
            (0, "0 B"),
            (999, "999 B"),
            (1_000, "1.0 kB"),
            (1_999, "1.9 kB"),
            (999_999, "999.9 kB"),
            (12_345_678, "12.3 MB"),
            (u64::MAX, "18.4 EB"),
        ] {
            assert_eq!(Size(bytes).to_string(), text);
        }
    }
}
