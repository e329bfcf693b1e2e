use std::cell::RefCell;
use std::fmt;
use std::ops::Range;

use super::excerpt::excerpt;

/// Everything that is wrong with a configuration, found in one reading.
///
/// Prints a line each, `file:line:column: message` where there is a place; [`explained`](Self::explained) shows the place, too.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub struct ConfigError {
    file: String,
    problems: Vec<Problem>,
}

/// One of them.
#[derive(Debug, PartialEq, Eq)]
struct Problem {
    place: Option<Place>,
    message: String,
    /// The line with a marker below, where it can be shown.
    excerpt: Option<String>,
}

/// Where in the file, counted from 1; a column is a character.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Place {
    line: usize,
    column: usize,
}

impl ConfigError {
    /// With more than this many, no lines of the file are shown: a wall of text is read by nobody.
    const EXCERPTS: usize = 20;

    /// One that has no place in the file.
    pub(crate) fn whole(file: impl Into<String>, message: impl Into<String>) -> Self {
        Self { file: file.into(), problems: vec![Problem { place: None, message: message.into(), excerpt: None }] }
    }

    /// For a person: each problem, and below it the line that it is about, with a marker.
    #[must_use]
    pub fn explained(&self) -> String {
        let shown = self.problems.len() <= Self::EXCERPTS;
        let one = |problem: &Problem| match problem.excerpt.as_ref().filter(|_| shown) {
            Some(excerpt) => format!("{}\n{excerpt}", self.line(problem)),
            None => self.line(problem),
        };
        self.problems.iter().map(one).collect::<Vec<_>>().join("\n")
    }

    fn line(&self, problem: &Problem) -> String {
        let Self { file, .. } = self;
        match problem.place {
            Some(Place { line, column }) => format!("{file}:{line}:{column}: {}", problem.message),
            None => format!("{file}: {}", problem.message),
        }
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, problem) in self.problems.iter().enumerate() {
            let end = if n > 0 { "\n" } else { "" };
            write!(f, "{end}{}", self.line(problem))?;
        }
        Ok(())
    }
}

/// Collects problems while the reading goes on.
#[derive(Debug, Default)]
pub(super) struct Problems {
    found: RefCell<Vec<(Option<Range<usize>>, String)>>,
}

impl Problems {
    /// How many are told.
    const SHOWN: usize = 50;

    /// At a place in the text.
    pub(super) fn at(&self, span: &Range<usize>, message: impl Into<String>) {
        self.found.borrow_mut().push((Some(span.clone()), message.into()));
    }

    /// About the file as a whole.
    pub(super) fn whole(&self, message: impl Into<String>) {
        self.found.borrow_mut().push((None, message.into()));
    }

    pub(super) fn is_empty(&self) -> bool {
        self.found.borrow().is_empty()
    }

    /// In the order of the text; what has no place comes last.
    pub(super) fn into_error(self, file: &str, text: &str) -> ConfigError {
        let mut found = self.found.into_inner();
        found.sort_by_key(|(span, _)| (span.is_none(), span.as_ref().map(|span| span.start)));
        found.dedup_by(|one, other| one.1 == other.1 && start(&one.0) == start(&other.0));
        // A file that is no TOML at all has a mistake in every line; nobody reads a thousand.
        let more = found.len().saturating_sub(Self::SHOWN);
        found.truncate(Self::SHOWN);
        let problem = |(span, message): (Option<Range<usize>>, String)| Problem {
            place: span.as_ref().map(|span| place(text, span.start)),
            excerpt: span.and_then(|span| excerpt(text, &span)),
            message,
        };
        let mut problems: Vec<_> = found.into_iter().map(problem).collect();
        if more > 0 {
            problems.push(Problem { place: None, message: format!("and {more} more"), excerpt: None });
        }
        ConfigError { file: file.to_owned(), problems }
    }
}

fn start(span: &Option<Range<usize>>) -> Option<usize> {
    span.as_ref().map(|span| span.start)
}

fn place(text: &str, offset: usize) -> Place {
    let before = text.get(..offset).unwrap_or(text);
    let line = before.rsplit('\n').next().unwrap_or_default();
    Place { line: before.matches('\n').count() + 1, column: line.chars().count() + 1 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_counts_lines_and_characters_from_one() {
        let text = "a\nbä文=1\n";
        for (offset, line, column) in [(0, 1, 1), (1, 1, 2), (2, 2, 1), (8, 2, 4), (11, 3, 1), (99, 3, 1)] {
            assert_eq!(place(text, offset), Place { line, column }, "{offset}");
        }
    }
}
