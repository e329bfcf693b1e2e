//! A warning and an error say why, in a field of its own: that is what a query over JSON logs asks for.

use super::{Finding, at_line, line_at, tokens};

const MACROS: [&str; 2] = ["warn!", "error!"];

/// Of the libraries' and the program's sources.
pub(super) fn check(path: &str, text: &str) -> Vec<Finding> {
    if !(path.starts_with("crates/") && path.contains("/src/")) || path.ends_with("/tests.rs") || path.contains("/tests/") {
        return Vec::new();
    }
    let code = tokens::without_tests(text);
    let calls = MACROS.into_iter().flat_map(|name| code.match_indices(name));
    let unexplained = calls.filter(|(at, name)| {
        let (before, after) = (code.get(..*at).unwrap_or_default(), code.get(at + name.len()..).unwrap_or_default());
        is_code(before) && opening(after).is_some_and(|arguments| !arguments_of(arguments).iter().any(|a| is_reason(a)))
    });
    unexplained
        .map(|(at, name)| {
            let what = format!("`{name}` without a reason");
            Finding::new(at_line(path, line_at(&code, at)), what, "add a field: reason = …, what it comes from")
        })
        .collect()
}

/// No longer word such as `compile_error!`, and no comment.
fn is_code(before: &str) -> bool {
    let line = before.rsplit('\n').next().unwrap_or_default();
    !before.ends_with(|c: char| c.is_alphanumeric() || c == '_') && !line.trim_start().starts_with("//")
}

/// What stands behind the bracket that opens the arguments.
fn opening(after: &str) -> Option<&str> {
    after.trim_start().strip_prefix(['(', '[', '{'])
}

/// The arguments, each without what its strings and inner brackets hold.
fn arguments_of(text: &str) -> Vec<String> {
    let mut arguments = vec![String::new()];
    let (mut depth, mut quoted, mut escaped) = (0_u32, false, false);
    for c in text.chars() {
        match c {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' => quoted = !quoted,
            _ if quoted => {}
            '(' | '[' | '{' => depth += 1,
            ')' | ']' | '}' if depth == 0 => break,
            ')' | ']' | '}' => depth -= 1,
            ',' if depth == 0 => arguments.push(String::new()),
            _ if depth == 0 => arguments.last_mut().into_iter().for_each(|argument| argument.push(c)),
            _ => {}
        }
    }
    arguments
}

/// `reason = …`, or `reason`, `%reason` and `?reason`, of a variable of this name.
fn is_reason(argument: &str) -> bool {
    let name = argument.split('=').next().unwrap_or_default();
    name.trim().trim_start_matches(['%', '?']) == "reason"
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(path: &str, text: &str) -> Vec<String> {
        check(path, text).into_iter().map(|finding| format!("{}: {}", finding.place, finding.what)).collect()
    }

    #[test]
    fn a_warning_or_an_error_without_a_reason_is_found_where_it_stands() {
        for (text, expected) in [
            ("warn!(\"a\");", "crates/a/src/b.rs:1: `warn!` without a reason"),
            ("fn a() {\n    tracing::error!(%error, \"a\");\n}", "crates/a/src/b.rs:2: `error!` without a reason"),
            (
                "warn!(\n    feed,\n    \"the reason, reason = {}\",\n    b(reason),\n);",
                "crates/a/src/b.rs:1: `warn!` without a reason",
            ),
            ("warn!(was = why.reason, \"a \\\" b\");", "crates/a/src/b.rs:1: `warn!` without a reason"),
            ("warn!(reasons, \"a\"); let reason = 1;", "crates/a/src/b.rs:1: `warn!` without a reason"),
            ("#[cfg(test)]\nmod proof;\nwarn! { \"a\" }", "crates/a/src/b.rs:3: `warn!` without a reason"),
            ("warn!(reason = 1, \"a\"); error!(\"b\");", "crates/a/src/b.rs:1: `error!` without a reason"),
        ] {
            assert_eq!(found("crates/a/src/b.rs", text), [expected], "{text}");
        }
    }

    #[test]
    fn what_says_why_or_is_no_warning_is_left_alone() {
        for (path, text) in [
            ("crates/a/src/b.rs", "warn!(reason = \"b\", \"a\");"),
            (
                "crates/a/src/b.rs",
                "tracing::warn!(\n    target: LOG,\n    feed = %self.id(1, 2),\n    reason = %why,\n    \"a\"\n);",
            ),
            ("crates/a/src/b.rs", "warn!(sink = \"a, ) b\", %reason, \"a\");"),
            ("crates/a/src/b.rs", "error!(id, ?reason, \"a\"); warn!(reason, \"a\");"),
            ("crates/a/src/b.rs", "compile_error!(\"a\"); info!(\"a\"); warn_span!(\"a\");"),
            ("crates/a/src/b.rs", "/// No `warn!(\"a\")`.\n#[cfg(test)]\nmod tests { fn a() { warn!(\"a\"); } }"),
            ("crates/a/src/b/tests.rs", "warn!(\"a\");"),
            ("crates/a/tests/b.rs", "warn!(\"a\");"),
        ] {
            assert_eq!(found(path, text), [""; 0], "{text}");
        }
    }
}
