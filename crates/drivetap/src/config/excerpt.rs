use std::ops::Range;

use drivetap_bridge::core::escape::for_text;
use unicode_width::UnicodeWidthStr as _;

/// The line that a problem is about, with its number, and below it a marker:
/// ```text
///   9 | clod = "…"
///     | ^^^^
/// ```
/// No more of the file is shown than the problem is about: strings beside it are `"…"`, and of a key that may hold a secret no value at all.
/// `None` for a line that is not a table's header or `key = value`: it could be anything, the middle of a private key for one.
pub(super) fn excerpt(text: &str, span: &Range<usize>) -> Option<String> {
    let begin = text.get(..span.start)?.rfind('\n').map_or(0, |at| at + 1);
    let line = text.get(begin..)?.lines().next()?;
    let number = text.get(..begin)?.matches('\n').count() + 1;
    let marked = span.start - begin..span.end.saturating_sub(begin).min(line.len());

    let (before, at, after) = match parts(line)? {
        Parts::Header => {
            (line.get(..marked.start)?.to_owned(), line.get(marked.clone())?.to_owned(), line.get(marked.end..)?.to_owned())
        }
        Parts::Pair { equals } if may_hold_a_secret(line, equals) => {
            let key = line.get(..equals)?;
            if marked.start < equals {
                let end = marked.end.min(key.trim_end().len());
                (key.get(..marked.start)?.to_owned(), key.get(marked.start..end)?.to_owned(), format!("{}= …", key.get(end..)?))
            } else {
                (format!("{key}= "), "…".to_owned(), String::new())
            }
        }
        Parts::Pair { .. } => {
            let mut quotes = Quotes::default();
            let before = quotes.hide(line.get(..marked.start)?);
            let at = line.get(marked.clone())?;
            quotes.pass(at);
            (before, at.to_owned(), quotes.hide(line.get(marked.end..)?))
        }
    };
    let (before, at, after) = (shown(&before), shown(&at), shown(&after));
    let (indent, marker) = (" ".repeat(before.width()), "^".repeat(at.trim_end().width().max(1)));
    let gutter = " ".repeat(number.to_string().len());
    Some(format!("  {number} | {}\n  {gutter} | {indent}{marker}", format!("{before}{at}{after}").trim_end()))
}

enum Parts {
    Header,
    Pair { equals: usize },
}

fn parts(line: &str) -> Option<Parts> {
    let trimmed = line.trim_start();
    if trimmed.starts_with('[') {
        return Some(Parts::Header);
    }
    let equals = line.find('=')?;
    let is_key = |c: char| c.is_alphanumeric() || "-_.\"' \t?".contains(c);
    let (key, value) = (line.get(..equals)?, line.get(equals + 1..)?.trim());
    let is_pair = !key.trim().is_empty() && key.chars().all(is_key) && !value.is_empty() && !value.starts_with('=');
    is_pair.then_some(Parts::Pair { equals })
}

/// Judged by the key, and by what looks like a URL with a password.
fn may_hold_a_secret(line: &str, equals: usize) -> bool {
    const WORDS: [&str; 8] = ["password", "secret", "token", "passphrase", "pem", "command", "oauthbearer", "credential"];

    let (key, value) = line.split_at_checked(equals).unwrap_or((line, ""));
    let key = key.to_ascii_lowercase();
    let inside = value.to_ascii_lowercase();
    WORDS.iter().any(|word| key.contains(word) || inside.contains(word)) || (value.contains("://") && value.contains('@'))
}

/// Where in a line strings begin and end.
#[derive(Default)]
struct Quotes {
    open: Option<char>,
    escaped: bool,
}

impl Quotes {
    /// The text without what its strings say.
    fn hide(&mut self, text: &str) -> String {
        let mut out = String::new();
        for c in text.chars() {
            let was_open = self.open.is_some();
            self.step(c);
            match (was_open, self.open.is_some()) {
                (true, true) => {}
                // A string that begins shows that it is one; a comment is for its author.
                (false, true) => {
                    out.push(c);
                    out.push('…');
                }
                (_, false) => out.push(c),
            }
        }
        out
    }

    fn pass(&mut self, text: &str) {
        text.chars().for_each(|c| self.step(c));
    }

    fn step(&mut self, c: char) {
        match (self.open, c) {
            _ if self.escaped => self.escaped = false,
            (Some('"'), '\\') => self.escaped = true,
            (Some(open), _) if c == open => self.open = None,
            (None, '"' | '\'') => self.open = Some(c),
            _ => {}
        }
    }
}

/// As it will stand on the terminal.
fn shown(text: &str) -> String {
    for_text(&text.replace('\t', " ")).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, marked: &str, want: Option<&str>) {
        let start = text.find(marked).unwrap_or(text.len());
        assert_eq!(excerpt(text, &(start..start + marked.len())).as_deref(), want, "{text:?}");
    }

    #[test]
    fn the_line_is_shown_with_a_marker_below_the_mistake() {
        check("a = 1\nclod = \"moon\"\n", "clod", Some("  2 | clod = \"…\"\n    | ^^^^"));
        check("a = 1\ncloud = \"moon\" # which\n", "\"moon\"", Some("  2 | cloud = \"moon\" # which\n    |         ^^^^^^"));
        check("  [sink.a]\n", "a", Some("  1 |   [sink.a]\n    |         ^"));
        check("\tdeadline\t= 3\n", "3", Some("  1 |  deadline = 3\n    |             ^"));
        check(
            "a文 = { b = 'x', clod = \"y\" }\n",
            "clod",
            Some("  1 | a文 = { b = '…', clod = \"…\" }\n    |                  ^^^^"),
        );
        check(&format!("{}clod = 1", "\n".repeat(99)), "clod", Some("  100 | clod = 1\n      | ^^^^"));
        // What goes on in the next line is marked to the end of this one.
        check("emit = [\n \"x\" ]\n", "[\n \"x\" ]", Some("  1 | emit = [\n    |        ^"));
    }

    #[test]
    fn an_excerpt_shows_no_secret() {
        for (text, marked) in [
            ("password = \"hunter2\"", "password"),
            ("pasword = \"hunter2\"", "pasword"),
            ("\"sasl.password\" = \"hunter2\"", "\"hunter2\""),
            ("token = \"hunter2\"", "\"hunter2\""),
            ("token = { env = \"A\", file = \"hunter2\" }", "{ env"),
            ("password = 'it\\' # hunter2'", "password"),
            ("a = { password = hunter2 }", "hunter2"),
            ("url = \"http://:hunter2@h:1\"", "\"http://:hunter2@h:1\""),
            ("proxy = \"socks5://u:hunter2@p:1\"", "\"socks5://u:hunter2@p:1\""),
            ("command = [\"x\", \"hunter2\"]", "\"x\""),
            ("hunter2", "hunter2"),
            ("hunter2==", "hunter2"),
            ("+/hunter2=a", "hunter2"),
            ("x = \"\\\"hunter2\"", "x"),
        ] {
            let start = text.find(marked).unwrap_or_default();
            let shown = excerpt(text, &(start..start + marked.len())).unwrap_or_default();
            assert!(!shown.contains("hunter2"), "{text}: {shown}");
        }
        check("password = \"hunter2\"", "password", Some("  1 | password = …\n    | ^^^^^^^^"));
        check("password = \"hunter2\"", "\"hunter2\"", Some("  1 | password = …\n    |            ^"));
    }

    #[test]
    fn a_place_that_is_none_shows_nothing() {
        assert_eq!(excerpt("a = 1\n", &(6..6)), None);
        assert_eq!(excerpt("a = 1\n", &(99..100)), None);
        assert_eq!(excerpt("", &(0..0)), None);
    }
}
