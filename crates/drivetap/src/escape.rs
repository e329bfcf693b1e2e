//! Standard error, escaped: see [`drivetap_bridge::core::escape`].

use std::io::{self, Write as _};

use drivetap_bridge::core::escape::{for_json, for_text};

use crate::progress;

/// Writes a message to standard error, escaped. A standard error that is closed is no reason to fail.
pub(crate) fn to_stderr(message: &str) {
    progress::beside(|| {
        let _ = writeln!(io::stderr(), "{}", lines(message));
    });
}

/// The text with everything escaped but its line ends.
pub(crate) fn lines(text: &str) -> String {
    text.split('\n').map(for_text).collect::<Vec<_>>().join("\n")
}

/// JSON over several lines with everything escaped but their ends: inside a string there is none.
pub(crate) fn json_lines(json: &str) -> String {
    json.split('\n').map(for_json).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn line_ends_stay_and_nothing_else_that_drives_a_terminal() {
        assert_eq!(json_lines("[\n  \"a\u{202e}b\"\n]"), "[\n  \"a\\u202eb\"\n]");
        assert_eq!(lines("one\ntwo\r\u{1b}[2J\n"), "one\ntwo\\u{d}\\u{1b}[2J\n");
    }
}
