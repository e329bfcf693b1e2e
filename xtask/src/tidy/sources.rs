//! Rules for the text of files.

use std::fs;
use std::path::Path;

use super::{Finding, at_line, line_at, signatures, tokens, warnings};

/// A longer file wants a reason.
const LINES: usize = 500;

/// Longer files, each with its reason.
const LONG_FILES: &[(&str, &str)] =
    &[("crates/bridge/src/dispatch/inlet.rs", "both lines and who waits for room in them are one lock's, and read together")];

/// How a conflict that was not resolved begins and ends.
const CONFLICT: [char; 2] = ['<', '>'];

/// What reads a clock or the environment.
const NOT_IN_CORE: [&str; 6] =
    ["Instant::now(", "SystemTime::now(", "Timestamp::now(", "Zoned::now(", "env::var", "thread::sleep("];

/// Every rule that fits this file.
pub(super) fn check(path: &str, text: &str) -> Vec<Finding> {
    let mut findings = conflict_markers(path, text);
    findings.extend(machine_paths(path, text));
    if path.ends_with("package-lock.json") {
        findings.extend(registry_hosts(path, text));
    }
    if path.ends_with(".rs") {
        findings.extend(exceptions_have_reasons(path, text));
        findings.extend(signatures::check(path, text));
        findings.extend(warnings::check(path, text));
        findings.extend(length(path, text, LONG_FILES));
    }
    if path.starts_with("crates/core/src/") && !is_test_module(path) {
        findings.extend(no_clock_in_core(path, text));
    }
    findings
}

/// An exception whose file is gone, or short again, goes.
pub(super) fn check_exceptions(root: &Path) -> Vec<Finding> {
    let needless = LONG_FILES
        .iter()
        .filter(|(path, _)| fs::read_to_string(root.join(path)).map_or(true, |text| text.lines().count() <= LINES));
    needless
        .map(|(path, _)| Finding::new(path, "is no long file any more", "remove it from LONG_FILES in xtask/src/tidy/sources.rs"))
        .collect()
}

fn conflict_markers(path: &str, text: &str) -> Vec<Finding> {
    let markers = CONFLICT.map(|sign| format!("{} ", sign.to_string().repeat(7)));
    let lines = (1..).zip(text.lines()).filter(|(_, line)| markers.iter().any(|marker| line.starts_with(marker)));
    lines.map(|(number, _)| Finding::new(at_line(path, number), "a conflict marker", "resolve the conflict")).collect()
}

/// A path of the machine on which something was written means nothing on another.
fn machine_paths(path: &str, text: &str) -> Vec<Finding> {
    // In two pieces, so that this file passes.
    let prefixes = [concat!("/wo", "rk/"), concat!("/ro", "ot/.")];
    let starts_here = |at: usize| {
        let before = text.get(..at).and_then(|before| before.chars().next_back());
        before.is_none_or(|before| !(before.is_alphanumeric() || "._-$}{%…*!~:".contains(before)))
    };
    let hits = prefixes.iter().flat_map(|prefix| text.match_indices(prefix));
    hits.filter(|(at, _)| starts_here(*at))
        .map(|(at, prefix)| {
            Finding::new(
                at_line(path, line_at(text, at)),
                format!("a path of one machine ({prefix})"),
                "write it from the root of the repository",
            )
        })
        .collect()
}

/// The lock file says what, not from where: the registry is the user's.
fn registry_hosts(path: &str, text: &str) -> Vec<Finding> {
    let lines = (1..).zip(text.lines()).filter(|(_, line)| line.trim_start().starts_with("\"resolved\""));
    lines
        .map(|(number, _)| {
            Finding::new(
                at_line(path, number),
                "an address of a registry",
                "make the file again with omit-lockfile-registry-resolved=true in .npmrc",
            )
        })
        .collect()
}

/// `expect` and `allow` carry a reason. (Clippy says so too, for the code that it compiles: this holds for all of it.)
fn exceptions_have_reasons(path: &str, text: &str) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut offset = 0;
    for line in text.split_inclusive('\n') {
        let start = offset + (line.len() - line.trim_start().len());
        offset += line.len();
        let rest = text.get(start..).unwrap_or_default();
        if !(rest.starts_with("#[") || rest.starts_with("#![")) {
            continue;
        }
        let attribute = attribute(rest);
        let exempts = ["expect(", "allow("].iter().any(|word| {
            attribute
                .match_indices(word)
                .any(|(at, _)| attribute.get(..at).is_some_and(|before| before.ends_with(['[', ' ', ',', '('])))
        });
        if exempts && !attribute.contains("reason") {
            findings.push(Finding::new(
                at_line(path, line_at(text, start)),
                "an exception without a reason",
                "add reason = \"…\": what makes it right here",
            ));
        }
    }
    findings
}

/// An attribute, to the bracket that closes it.
fn attribute(text: &str) -> &str {
    let mut depth = 0_u32;
    let mut quoted = false;
    let mut escaped = false;
    for (at, c) in text.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' => quoted = !quoted,
            '[' if !quoted => depth += 1,
            ']' if !quoted => {
                depth = depth.saturating_sub(1);
                if depth == 0 {
                    return text.get(..=at).unwrap_or(text);
                }
            }
            _ => {}
        }
    }
    text
}

fn length(path: &str, text: &str, exceptions: &[(&str, &str)]) -> Vec<Finding> {
    let lines = text.lines().count();
    if lines <= LINES || exceptions.iter().any(|(exception, _)| *exception == path) {
        return Vec::new();
    }
    let remedy = "split it by idea, or add it to LONG_FILES in xtask/src/tidy/sources.rs with the reason";
    vec![Finding::new(path, format!("{lines} lines, above {LINES}"), remedy)]
}

fn is_test_module(path: &str) -> bool {
    path.ends_with("/tests.rs") || path.contains("/tests/")
}

/// Time is an argument, and so is everything from outside.
fn no_clock_in_core(path: &str, text: &str) -> Vec<Finding> {
    let code = tokens::without_tests(text);
    let code = (1..).zip(code.lines()).filter(|(_, line)| !line.trim_start().starts_with("//"));
    code.filter_map(|(number, line)| {
        let word = NOT_IN_CORE.iter().find(|word| line.contains(**word))?;
        let what = format!("`{word}` in the core");
        Some(Finding::new(at_line(path, number), what, "let the caller pass it in: the core has no clock and no environment"))
    })
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(path: &str, text: &str) -> Vec<String> {
        check(path, text).into_iter().map(|finding| format!("{}: {}", finding.place, finding.what)).collect()
    }

    #[test]
    fn each_violation_is_found_where_it_stands() {
        let marker = format!("a\n{} HEAD\n", "<".repeat(7));
        let (work, root) = (format!("see {}main", concat!("/wo", "rk/")), format!("\"{}cargo\"", concat!("/ro", "ot/.")));
        let long = "\n".repeat(LINES + 1);
        for (path, text, expected) in [
            ("a.md", marker.as_str(), "a.md:2: a conflict marker"),
            ("a.md", &work, &format!("a.md:1: a path of one machine ({})", concat!("/wo", "rk/"))),
            ("a.md", &root, &format!("a.md:1: a path of one machine ({})", concat!("/ro", "ot/."))),
            ("x/package-lock.json", "{\n\"resolved\": \"https://registry/\"}", "x/package-lock.json:2: an address of a registry"),
            ("a.rs", "fn a() {}\n    #[expect(dead_code)]\n", "a.rs:2: an exception without a reason"),
            ("a.rs", "#![allow(dead_code)]\n", "a.rs:1: an exception without a reason"),
            ("a.rs", "#[cfg_attr(test, expect(dead_code))]\n", "a.rs:1: an exception without a reason"),
            ("a.rs", "#[expect(\n  dead_code,\n)]\n#[doc = \"reason\"]", "a.rs:1: an exception without a reason"),
            ("a.rs", &long, "a.rs: 501 lines, above 500"),
            ("crates/core/src/a.rs", "let a = Instant::now();", "crates/core/src/a.rs:1: `Instant::now(` in the core"),
            ("crates/core/src/a.rs", "use std::env::var;", "crates/core/src/a.rs:1: `env::var` in the core"),
            (
                "crates/core/src/a.rs",
                "#[cfg(test)]\nmod b;\nfn a() { Instant::now(); }",
                "crates/core/src/a.rs:3: `Instant::now(` in the core",
            ),
        ] {
            assert_eq!(found(path, text), [expected], "{text}");
        }
    }

    #[test]
    fn what_only_looks_like_a_violation_is_left_alone() {
        let short = "\n".repeat(LINES);
        let nested = format!("target{}x", concat!("/wo", "rk/"));
        for (path, text) in [
            ("a.rs", "#[expect(dead_code, reason = \"told ]\")]\n"),
            ("a.rs", "#[expect(\n    dead_code,\n    reason = \"told\",\n)]\n"),
            ("a.rs", "// #[allow(dead_code)]\n"),
            ("a.rs", "#[test]\nfn a() { x.expect(\"y\") }"),
            ("a.rs", &short),
            ("a.md", &nested),
            ("a.md", "/me/drive/root/subscriptions"),
            (
                "crates/core/src/a.rs",
                "/// `Instant::now()` is the caller's\n#[cfg(test)]\nmod tests { fn a() { Instant::now(); } }",
            ),
            ("crates/core/src/feed/tests.rs", "Instant::now()"),
            ("crates/graph/src/a.rs", "Instant::now()"),
        ] {
            assert_eq!(found(path, text), [""; 0], "{text}");
        }
    }

    #[test]
    fn a_long_file_needs_a_reason() {
        let long = "\n".repeat(LINES + 1);
        assert!(length("a.rs", &long, &[("a.rs", "one table")]).is_empty());
        assert_eq!(length("b.rs", &long, &[("a.rs", "one table")]).len(), 1);
    }
}
