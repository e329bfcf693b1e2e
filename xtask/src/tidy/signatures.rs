//! No type of a dependency that may be replaced stands in what is written `pub`.

use std::collections::BTreeSet;

use super::{Finding, at_line, tokens};

/// Each of them is behind a seam of ours: a new version of it is nobody else's.
const BEHIND_A_SEAM: [&str; 4] = ["reqwest", "redb", "redis", "rdkafka"];

/// Of the libraries' sources. Variants of an enum and implementations of foreign traits are not looked at.
pub(super) fn check(path: &str, text: &str) -> Vec<Finding> {
    if !(path.starts_with("crates/") && path.contains("/src/")) || path.ends_with("/tests.rs") || path.contains("/tests/") {
        return Vec::new();
    }
    let code = tokens::without_tests(text);
    let imported = imported(&code);
    let mut findings = Vec::new();
    let lines: Vec<_> = code.lines().collect();
    for (at, line) in lines.iter().enumerate().filter(|(_, line)| line.trim_start().starts_with("pub ")) {
        let signature = match line.contains("fn ") {
            true => to_the_body(lines.get(at..).unwrap_or_default()),
            false => (*line).to_owned(),
        };
        let path_of = |dependency: &&str| words(&signature).any(|(word, then)| word == *dependency && then.starts_with("::"));
        let dependency = BEHIND_A_SEAM.into_iter().find(path_of).map(str::to_owned);
        let name = || words(&signature).find(|(word, _)| imported.contains(*word)).map(|(word, _)| word.to_owned());
        if let Some(what) = dependency.or_else(name) {
            let what = format!("`{what}` in a public signature");
            findings.push(Finding::new(at_line(path, at + 1), what, "give it a type of ours: the dependency is behind a seam"));
        }
    }
    findings
}

/// The names of types and traits that the file has from them.
fn imported(code: &str) -> BTreeSet<&str> {
    let begins = |statement: &&str| {
        let path = statement.trim_start().trim_start_matches("pub ").strip_prefix("use ");
        path.is_some_and(|path| BEHIND_A_SEAM.iter().any(|dependency| path.starts_with(&format!("{dependency}::"))))
    };
    let uses = code.match_indices("use ").filter_map(|(at, _)| code.get(at..)?.split(';').next());
    uses.filter(begins).flat_map(words).map(|(word, _)| word).filter(|word| word.starts_with(char::is_uppercase)).collect()
}

fn to_the_body(lines: &[&str]) -> String {
    let end = lines.iter().position(|line| line.contains(['{', ';'])).map_or(lines.len(), |last| last + 1);
    lines.get(..end).unwrap_or_default().join(" ")
}

/// Each word, and the text behind it.
fn words(text: &str) -> impl Iterator<Item = (&str, &str)> {
    let in_word = |c: char| c.is_alphanumeric() || c == '_';
    let mut rest = text;
    std::iter::from_fn(move || {
        rest = rest.trim_start_matches(|c| !in_word(c));
        let end = rest.find(|c| !in_word(c)).unwrap_or(rest.len());
        let (word, then) = rest.split_at(end);
        rest = then;
        (!word.is_empty()).then_some((word, then))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_type_of_a_dependency_behind_a_seam_is_found_in_what_is_public_and_nowhere_else() {
        let check = |text: &str, expected: &[&str]| {
            let found: Vec<_> = check("crates/a/src/b.rs", text).into_iter().map(|f| format!("{} {}", f.place, f.what)).collect();
            assert_eq!(found, expected, "{text}");
        };
        let one = |line: u32, what: &str| format!("crates/a/src/b.rs:{line} `{what}` in a public signature");
        check("pub fn a() -> redis::Value {", &[&one(1, "redis")]);
        check("    pub fn a(\n        b: rdkafka::ClientConfig,\n    ) -> u8 {", &[&one(1, "rdkafka")]);
        check("use redb::{\n    Builder,\n    Database as Db,\n};\npub struct A {\n    pub db: Db,\n}", &[&one(6, "Db")]);
        check("pub use reqwest::Client;", &[&one(1, "reqwest")]);
        check("use redis::Value;\npub(crate) fn a() -> Value {\n}\nfn b() -> Value {", &[]);
        check("use redis::Value;\npub fn a() {\n    let b: Value;", &[]);
        check("pub use drivetap_sink_redis::RedisConfig;", &[]);
        check("use serde_json::Value;\npub fn a(b: Value) {", &[]);
        check("fn a() {}\n#[cfg(test)]\nmod tests { pub fn a() -> redis::Value {} }", &[]);
        check("#[cfg(test)]\nmod proof;\npub fn a() -> redis::Value {}", &[&one(3, "redis")]);
    }
}
