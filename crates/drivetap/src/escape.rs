//! What a person reads: no character of a file's name or a server's answer may drive their terminal.

use std::fmt::Write as _;
use std::io::{self, Write as _};

/// Writes a message to standard error, escaped. A standard error that is closed is no reason to fail.
pub(crate) fn to_stderr(message: &str) {
    let _ = writeln!(io::stderr(), "{}", lines(message));
}

/// The text with everything escaped but its line ends.
pub(crate) fn lines(text: &str) -> String {
    text.split('\n').map(line).collect::<Vec<_>>().join("\n")
}

/// The text with each character that could drive a terminal, hide text or break the line as `\u{202e}`.
pub(crate) fn line(text: &str) -> String {
    escaped(text, |out, c| {
        let _ = write!(out, "{}", c.escape_unicode());
    })
}

/// The same for JSON text, as JSON's own `\u202e`. They can stand inside strings only, so no value changes.
pub(crate) fn json(text: &str) -> String {
    // All of them are in the basic plane: four digits do.
    escaped(text, |out, c| {
        let _ = write!(out, "\\u{:04x}", u32::from(c));
    })
}

fn escaped(text: &str, escape: impl Fn(&mut String, char)) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if is_harmful(c) { escape(&mut out, c) } else { out.push(c) }
    }
    out
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
    fn nothing_that_drives_a_terminal_is_printed() {
        for (raw, text, as_json) in [
            ("Ünïcode 文 😀 \\", "Ünïcode 文 😀 \\", "Ünïcode 文 😀 \\"),
            ("a\u{1b}[2Jb", "a\\u{1b}[2Jb", "a\\u001b[2Jb"),
            ("\u{9b}31m", "\\u{9b}31m", "\\u009b31m"),
            ("exe\u{202e}gpj", "exe\\u{202e}gpj", "exe\\u202egpj"),
            ("a\nb", "a\\u{a}b", "a\\u000ab"),
        ] {
            assert_eq!(line(raw), text);
            assert_eq!(json(raw), as_json);
        }
        assert_eq!(lines("one\ntwo\r\n"), "one\ntwo\\u{d}\n");
    }
}
