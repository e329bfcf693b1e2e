//! Every text that the crates have for a person, in one list that is reviewed: a change of words is seen there, whoever says them.
//!
//! The snapshots under `tests/cli` hold what a command says in the cases that they play. Most errors belong to cases that nobody can play
//! there: a broker that refuses, a damaged file, a renewal that fails. Which constructor an error goes through is a matter of each crate, so
//! the list has no names of them: a text is a literal of two words or more, in code or in `#[error(…)]`. `cargo xtask tidy --write` writes it.

use std::collections::BTreeMap;

use super::{Finding, tokens};

/// Where the list is.
pub(super) const LIST: &str = "tests/cli/words.txt";

const HEAD: &str = "\
# Every text that drivetap has for a person, a line each, under the file that says it: `cargo xtask tidy --write` writes this list from the
# sources. It is read in review: are these words that help?
";

/// What nobody reads who did not ask for it.
const QUIET: [&str; 5] = ["trace", "debug", "assert", "debug_assert", "include_str"];

/// The list, of these sources.
pub(super) fn list(sources: &BTreeMap<String, String>) -> String {
    let told = || sources.iter().filter(|(path, _)| is_told(path));
    let of_tests: Vec<_> = told().flat_map(|(path, text)| test_files(path, text)).collect();
    let is_of_tests = |path: &str| of_tests.iter().any(|module| path.starts_with(module.as_str()));
    let mut list = HEAD.to_owned();
    for (path, text) in told().filter(|(path, _)| !is_of_tests(path)) {
        let texts = tokens::texts(&tokens::without_tests(text), &QUIET);
        let lines: Vec<_> = texts.into_iter().filter(|text| is_prose(text)).map(|text| in_lines(&text)).collect();
        if !lines.is_empty() {
            list.push_str(&format!("\n{path}\n  {}\n", lines.join("\n  ")));
        }
    }
    // What an editor would take away is not worth a line that differs.
    list.lines().map(|line| line.trim_end().to_owned() + "\n").collect()
}

/// Where the list that is committed is not the one of the sources. Of many places the first says enough.
pub(super) fn check(committed: Option<&str>, list: &str) -> Option<Finding> {
    let committed = committed.unwrap_or_default();
    if committed == list {
        return None;
    }
    let (old, new): (Vec<_>, Vec<_>) = (committed.lines().collect(), list.lines().collect());
    let same = old.iter().zip(&new).take_while(|(old, new)| old == new).count();
    let shown = |lines: &[&str]| lines.get(same).map_or_else(|| "nothing".to_owned(), |line| format!("`{}`", line.trim()));
    let what = format!("has {} where the sources have {}", shown(&old), shown(&new));
    Some(Finding::new(super::at_line(LIST, same + 1), what, "run `cargo xtask tidy --write`, and read what changed"))
}

/// The emulator's words are Graph's, captured, and none that drivetap chose.
fn is_told(path: &str) -> bool {
    path.starts_with("crates/") && !path.starts_with("crates/emulator/") && path.contains("/src/") && path.ends_with(".rs")
}

/// Where the files of this file's test modules begin: `a/tests.rs` and `a/tests/`, of `a/mod.rs`, `a/lib.rs` or `a.rs`.
fn test_files(path: &str, text: &str) -> Vec<String> {
    let of_folder = ["/mod.rs", "/lib.rs", "/main.rs"].into_iter().find_map(|name| path.strip_suffix(name));
    let folder = of_folder.unwrap_or_else(|| path.trim_end_matches(".rs"));
    let files = |module: String| [format!("{folder}/{module}.rs"), format!("{folder}/{module}/")];
    tokens::test_modules(text).into_iter().flat_map(files).collect()
}

/// A text of many lines is read, and compared, line by line.
fn in_lines(text: &str) -> String {
    text.replace("\\n", "\n").trim_end().replace('\n', "\n    ")
}

fn is_prose(text: &str) -> bool {
    let words = text.split(' ').filter(|word| word.contains(char::is_alphabetic));
    words.count() > 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_has_what_is_said_under_the_file_that_says_it_and_no_test() {
        let sources = [
            ("crates/b/src/lib.rs", "#[cfg(test)]\nmod proof;\n#[error(\"it broke\")]\nstruct A;\nconst B: &str = \"key\";"),
            ("crates/b/src/proof.rs", "fn a() { \"not this one\" }"),
            ("crates/b/src/proof/deep.rs", "fn a() { \"nor this one\" }"),
            ("crates/a/src/c.rs", "fn a() { say(\"two\\n lines\") }\n#[cfg(test)]\nmod tests { fn a() { \"of a test\" } }"),
            ("crates/emulator/src/lib.rs", "fn a() { \"of Graph itself\" }"),
            ("tests/a.rs", "fn a() { \"of a test\" }"),
        ];
        let list = list(&sources.map(|(path, text)| (path.to_owned(), text.to_owned())).into());
        assert_eq!(list.strip_prefix(HEAD), Some("\ncrates/a/src/c.rs\n  two\n     lines\n\ncrates/b/src/lib.rs\n  it broke\n"));
    }

    #[test]
    fn a_word_that_changed_is_named_with_its_line() {
        let found = |committed: Option<&str>, list: &str| {
            check(committed, list).map(|finding| format!("{}: {}", finding.place, finding.what))
        };
        assert_eq!(found(Some("a\nb\n"), "a\nb\n"), None);
        let changed = "tests/cli/words.txt:2: has `b` where the sources have `c`";
        assert_eq!(found(Some("a\nb\n"), "a\nc\n").as_deref(), Some(changed));
        let more = "tests/cli/words.txt:2: has nothing where the sources have `b`";
        assert_eq!(found(Some("a\n"), "a\nb\n").as_deref(), Some(more));
        assert_eq!(found(None, "a\n").as_deref(), Some("tests/cli/words.txt:1: has nothing where the sources have `a`"));
    }
}
