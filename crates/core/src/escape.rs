//! What a person reads: no character of a file's name or a server's answer may drive their terminal.

use std::borrow::Cow;
use std::fmt::Write as _;

/// For a person: `\u{202e}` in place of each character that could drive a terminal, hide text or break the line.
#[must_use]
pub fn for_text(text: &str) -> Cow<'_, str> {
    escaped(text, |out, c| {
        let _ = write!(out, "{}", c.escape_unicode());
    })
}

/// In JSON text: the same characters as JSON's own `\u202e`. They can stand inside strings only, so no value changes.
#[must_use]
pub fn for_json(json: &str) -> Cow<'_, str> {
    // All of them are in the basic plane: four digits do.
    escaped(json, |out, c| {
        let _ = write!(out, "\\u{:04x}", u32::from(c));
    })
}

/// What stands between the quotes of a JSON string in which every escape is `\"`; `None` for any other text. Each quote in it is one
/// with a backslash, and each backslash is one in front of a quote.
#[must_use]
pub fn only_quotes(string: &str) -> Option<&str> {
    let inner = string.strip_prefix('"')?.strip_suffix('"')?;
    if inner.starts_with('"') || inner.ends_with('\\') {
        return None;
    }
    // All of it is looked at, without a branch: that is faster than to look for the first that is otherwise.
    let bytes = inner.as_bytes();
    let pairs = bytes.iter().zip(bytes.iter().skip(1));
    let paired = pairs.fold(true, |paired, (first, second)| paired & ((*first == b'\\') == (*second == b'"')));
    let printable = bytes.iter().fold(true, |printable, byte| printable & (*byte >= 0x20));
    (paired & printable).then_some(inner)
}

fn escaped(text: &str, escape: impl Fn(&mut String, char)) -> Cow<'_, str> {
    // Most texts are printable ASCII through and through, which a look at the bytes tells without a branch for each.
    let printable = text.bytes().fold(true, |printable, b| printable & (0x20..0x7f).contains(&b));
    if printable || !text.chars().any(is_harmful) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        if is_harmful(c) { escape(&mut out, c) } else { out.push(c) }
    }
    Cow::Owned(out)
}

// C0, DEL and C1; the bidirectional controls of Unicode's UAX #9; the two separators that are line ends outside of ASCII.
fn is_harmful(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{2028}' | '\u{2029}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_string_whose_only_escapes_are_quotes_is_known_by_its_bytes() {
        for (string, inner) in [
            (r#""""#, Some("")),
            (r#""a""#, Some("a")),
            (r#""\"\"""#, Some(r#"\"\""#)),
            (r#""{\"é\":\"文\"}""#, Some(r#"{\"é\":\"文\"}"#)),
            ("", None),
            ("\"", None),
            ("a", None),
            (r#""a"b"#, None),
            (r#"""a""#, None),
            (r#""a","b""#, None),
            (r#""a\""#, None),
            (r#""a\\""#, None),
            (r#""\\"""#, None),
            (r#""\n""#, None),
            (r#""\u0022""#, None),
            ("\"a\nb\"", None),
        ] {
            assert_eq!(only_quotes(string), inner, "{string}");
            if let Some(inner) = inner {
                assert_eq!(serde_json::from_str::<String>(string).unwrap(), inner.replace(r#"\""#, "\""));
            }
        }
    }

    #[test]
    fn what_could_drive_a_terminal_is_escaped_and_nothing_else() {
        for (raw, text, json) in [
            ("Ünïcode 文 😀 \\", "Ünïcode 文 😀 \\", "Ünïcode 文 😀 \\"),
            ("a\u{1b}[2Jb", "a\\u{1b}[2Jb", "a\\u001b[2Jb"),
            ("a\nb\u{7f}", "a\\u{a}b\\u{7f}", "a\\u000ab\\u007f"),
            ("\u{9b}31m", "\\u{9b}31m", "\\u009b31m"),
            ("exe\u{202e}gpj.txt", "exe\\u{202e}gpj.txt", "exe\\u202egpj.txt"),
            ("\u{2066}x\u{2069}\u{200f}\u{61c}", "\\u{2066}x\\u{2069}\\u{200f}\\u{61c}", "\\u2066x\\u2069\\u200f\\u061c"),
            ("a\u{2028}b", "a\\u{2028}b", "a\\u2028b"),
        ] {
            assert_eq!(for_text(raw), text);
            assert_eq!(for_json(raw), json);
        }
    }
}
