use std::cell::RefCell;
use std::fmt;
use std::ops::Range;

/// Everything that is wrong with a configuration, found in one reading: a line each, `file:line:column: message` where there is a place.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub struct ConfigError {
    file: String,
    problems: Vec<(Option<Place>, String)>,
}

/// Where in the file, counted from 1; a column is a character.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Place {
    line: usize,
    column: usize,
}

impl ConfigError {
    /// One that has no place in the file.
    pub(crate) fn whole(file: impl Into<String>, message: impl Into<String>) -> Self {
        Self { file: file.into(), problems: vec![(None, message.into())] }
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, (place, message)) in self.problems.iter().enumerate() {
            let end = if n > 0 { "\n" } else { "" };
            match place {
                Some(Place { line, column }) => write!(f, "{end}{}:{line}:{column}: {message}", self.file)?,
                None => write!(f, "{end}{}: {message}", self.file)?,
            }
        }
        Ok(())
    }
}

/// Collects problems while the reading goes on.
#[derive(Debug, Default)]
pub(super) struct Problems {
    found: RefCell<Vec<(Option<usize>, String)>>,
}

impl Problems {
    /// How many are told.
    const SHOWN: usize = 50;

    /// At a place in the text.
    pub(super) fn at(&self, span: &Range<usize>, message: impl Into<String>) {
        self.found.borrow_mut().push((Some(span.start), message.into()));
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
        let found = self.found.into_inner();
        let mut problems: Vec<_> =
            found.into_iter().map(|(offset, message)| (offset.map(|offset| place(text, offset)), message)).collect();
        problems.sort_by_key(|(place, _)| (place.is_none(), *place));
        problems.dedup();
        // A file that is no TOML at all has a mistake in every line; nobody reads a thousand.
        let more = problems.len().saturating_sub(Self::SHOWN);
        if more > 0 {
            problems.truncate(Self::SHOWN);
            problems.push((None, format!("and {more} more")));
        }
        ConfigError { file: file.to_owned(), problems }
    }
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
