use std::cell::RefCell;
use std::fmt;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use jiff::{Span, SpanRelativeTo};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::problem::Problems;
use super::secret::{self, Secret};
use crate::env::Env;

/// A table that is being read, key by key. Whatever was asked for is known; [`finish`](Self::finish) reports the rest.
///
/// A getter answers `None` for a key that is absent and for one that is wrong; the latter is already among the problems then.
pub(super) struct Section<'d> {
    /// As a person calls it: `[graph]`.
    name: String,
    table: &'d DeTable<'d>,
    span: Range<usize>,
    cx: Context<'d>,
    known: RefCell<Vec<&'static str>>,
}

/// What every section of a file shares.
#[derive(Clone, Copy)]
pub(super) struct Context<'d> {
    pub(super) problems: &'d Problems,
    /// What relative paths are relative to.
    pub(super) dir: &'d Path,
    /// The file itself.
    pub(super) text: &'d str,
    /// Where `{ env = … }` is read from.
    pub(super) env: &'d Env,
    /// Whether a secret's `{ command = […] }` is run: not where the secret is not used.
    pub(super) runs_commands: bool,
}

/// A value and where it stands.
#[derive(Clone, Debug)]
pub(super) struct At<T> {
    pub(super) value: T,
    pub(super) span: Range<usize>,
}

impl<'d> Section<'d> {
    pub(super) fn new(name: impl Into<String>, table: &'d DeTable<'d>, span: Range<usize>, cx: Context<'d>) -> Self {
        Self { name: name.into(), table, span, cx, known: RefCell::default() }
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// Whether the key is there, right or wrong.
    pub(super) fn has(&self, key: &str) -> bool {
        self.table.get(key).is_some()
    }

    pub(super) fn context(&self) -> Context<'d> {
        self.cx
    }

    /// Something is wrong with the section as a whole.
    pub(super) fn problem(&self, message: impl Into<String>) {
        self.cx.problems.at(&self.span, message);
    }

    /// Something is wrong with what stands there.
    pub(super) fn problem_at<T>(&self, at: &At<T>, message: impl Into<String>) {
        self.cx.problems.at(&at.span, message);
    }

    /// A key that has to be there.
    pub(super) fn required<T>(&self, key: &str, found: Option<T>, example: &str) -> Option<T> {
        // A wrong value is a problem already, and not a missing one.
        if found.is_none() && !self.has(key) {
            self.problem(format!("{} has no {key}: write {key} = {example}", self.name));
        }
        found
    }

    pub(super) fn text(&self, key: &'static str) -> Option<At<&'d str>> {
        let found = self.value(key)?;
        match found.get_ref() {
            DeValue::String(text) => Some(At { value: text, span: found.span() }),
            other => self.wrong(key, found.span(), "a string", other),
        }
    }

    pub(super) fn parsed<T: FromStr<Err: fmt::Display>>(&self, key: &'static str) -> Option<At<T>> {
        let At { value, span } = self.text(key)?;
        match value.parse() {
            Ok(value) => Some(At { value, span }),
            Err(error) => {
                let (error, key) = (error.to_string(), key.to_string());
                let message = if error.starts_with(&key) { error } else { format!("{key}: {error}") };
                self.cx.problems.at(&span, message);
                None
            }
        }
    }

    /// One of the words given; the nearest one is named where it is none.
    pub(super) fn word<T: Copy>(&self, key: &'static str, words: &[(&str, T)]) -> Option<At<T>> {
        let At { value, span } = self.text(key)?;
        match words.iter().find(|(word, _)| *word == value) {
            Some((_, meaning)) => Some(At { value: *meaning, span }),
            None => {
                let all: Vec<_> = words.iter().map(|(word, _)| *word).collect();
                self.cx.problems.at(&span, format!("{key} is {value:?}, which is none of: {}", all.join(", ")));
                None
            }
        }
    }

    /// A path; a relative one is relative to the file.
    pub(super) fn path(&self, key: &'static str) -> Option<At<PathBuf>> {
        let At { value, span } = self.text(key)?;
        if value.is_empty() {
            self.cx.problems.at(&span, format!("{key} is empty"));
            return None;
        }
        Some(At { value: self.cx.dir.join(value), span })
    }

    /// What the file at the path holds.
    pub(super) fn contents(&self, key: &'static str) -> Option<At<Vec<u8>>> {
        let At { value, span } = self.path(key)?;
        match super::read_bounded(&value) {
            Ok(value) => Some(At { value, span }),
            Err(error) => {
                self.cx.problems.at(&span, format!("{key}: {} cannot be read: {error}", value.display()));
                None
            }
        }
    }

    /// A duration above zero.
    pub(super) fn duration(&self, key: &'static str) -> Option<At<Duration>> {
        let At { value, span } = self.text(key).map(|at| self.as_duration(key, at))??;
        if value.is_zero() {
            self.cx.problems.at(&span, format!("{key} must be above zero"));
            return None;
        }
        Some(At { value, span })
    }

    /// A duration that may be zero.
    pub(super) fn duration_or_zero(&self, key: &'static str) -> Option<At<Duration>> {
        self.as_duration(key, self.text(key)?)
    }

    pub(super) fn durations(&self, key: &'static str) -> Option<Vec<Duration>> {
        let texts = self.texts(key)?;
        let count = texts.len();
        let durations: Vec<_> = texts.into_iter().filter_map(|at| Some(self.as_duration(key, at)?.value)).collect();
        (durations.len() == count).then_some(durations)
    }

    /// A whole number within bounds.
    pub(super) fn integer<T: TryFrom<i64>>(&self, key: &'static str, min: i64, max: i64) -> Option<At<T>> {
        let found = self.value(key)?;
        let DeValue::Integer(integer) = found.get_ref() else {
            return self.wrong(key, found.span(), "a whole number", found.get_ref());
        };
        let number = i64::from_str_radix(integer.as_str(), integer.radix()).ok().filter(|n| (min..=max).contains(n));
        match number.and_then(|n| T::try_from(n).ok()) {
            Some(value) => Some(At { value, span: found.span() }),
            None => {
                self.cx.problems.at(&found.span(), format!("{key} must be between {min} and {max}"));
                None
            }
        }
    }

    pub(super) fn texts(&self, key: &'static str) -> Option<Vec<At<&'d str>>> {
        let found = self.value(key)?;
        let DeValue::Array(array) = found.get_ref() else {
            return self.wrong(key, found.span(), "a list of strings", found.get_ref());
        };
        let texts: Vec<_> = array
            .iter()
            .filter_map(|item| match item.get_ref() {
                DeValue::String(text) => Some(At { value: text.as_ref(), span: item.span() }),
                other => self.wrong(key, item.span(), "a list of strings", other),
            })
            .collect();
        (texts.len() == array.len()).then_some(texts)
    }

    /// Certificates in PEM, from the file at the path.
    pub(super) fn authorities(&self, key: &'static str) -> Option<At<Vec<u8>>> {
        const BEGIN: &[u8] = b"-----BEGIN CERTIFICATE-----";
        let at = self.contents(key)?;
        if !at.value.windows(BEGIN.len()).any(|window| window == BEGIN) {
            self.cx.problems.at(&at.span, format!("{key} holds no certificate in PEM (-----BEGIN CERTIFICATE-----)"));
            return None;
        }
        #[cfg(any(feature = "reqwest", feature = "native", feature = "redis"))]
        if let Err(problem) = are_authorities(&at.value) {
            self.cx.problems.at(&at.span, format!("{key} holds a certificate that cannot be read: {problem}"));
            return None;
        }
        Some(at)
    }

    /// A value that is better not in the file: `"…"`, or `{ env = "NAME" }`, `{ file = "…" }`, `{ command = ["…"] }`.
    #[cfg(feature = "redis")]
    pub(super) fn secret(&self, key: &'static str) -> Option<At<Secret>> {
        let found = self.value(key)?;
        let span = found.span();
        let value = match found.get_ref() {
            DeValue::String(text) => Secret::Known(text.to_string().into()),
            DeValue::Table(table) => {
                secret::read(key, Section::new(format!("{key} of {}", self.name), table, span.clone(), self.cx))?
            }
            other => return self.wrong(key, span, secret::FORMS, other),
        };
        Some(At { value, span })
    }

    /// A sub-table, called `name`.
    pub(super) fn section(&self, key: &'static str, name: impl Into<String>) -> Option<Section<'d>> {
        let found = self.value(key)?;
        match found.get_ref() {
            DeValue::Table(table) => Some(Section::new(name, table, found.span(), self.cx)),
            other => self.wrong(key, found.span(), "a table", other),
        }
    }

    /// The sub-tables of `key`, each with its own name: `[sink.bus]`.
    pub(super) fn named_sections(&self, key: &'static str) -> Vec<(At<&'d str>, Section<'d>)> {
        let Some(found) = self.value(key) else {
            return Vec::new();
        };
        let DeValue::Table(table) = found.get_ref() else {
            self.wrong::<()>(key, found.span(), &format!("a table for each name: [{key}.NAME]"), found.get_ref());
            return Vec::new();
        };
        let one = |(name, value): (&'d Spanned<_>, &'d Spanned<DeValue<'d>>)| {
            let name: &'d Spanned<std::borrow::Cow<'d, str>> = name;
            let at = At { value: name.get_ref().as_ref(), span: name.span() };
            match value.get_ref() {
                DeValue::Table(table) => {
                    let section = Section::new(format!("[{key}.{}]", at.value), table, name.span(), self.cx);
                    Some((at, section))
                }
                other => self.wrong(key, value.span(), &format!("a table for each name: [{key}.NAME]"), other),
            }
        };
        table.iter().filter_map(one).collect()
    }

    /// The tables of an array: `[[subscription]]`.
    pub(super) fn list_of_sections(&self, key: &'static str) -> Vec<Section<'d>> {
        let Some(found) = self.value(key) else {
            return Vec::new();
        };
        let name = format!("[[{key}]]");
        let DeValue::Array(array) = found.get_ref() else {
            self.wrong::<()>(key, found.span(), &format!("a list: {name}"), found.get_ref());
            return Vec::new();
        };
        let one = |item: &'d Spanned<DeValue<'d>>| match item.get_ref() {
            DeValue::Table(table) => Some(Section::new(name.clone(), table, item.span(), self.cx)),
            other => self.wrong(key, item.span(), &format!("a list of tables: {name}"), other),
        };
        array.iter().filter_map(one).collect()
    }

    /// Every key of the section with its scalar as text; a key written with bare dots counts as one key, and any value may be a secret.
    pub(super) fn pairs(&self) -> Vec<(At<String>, Secret)> {
        let mut pairs = Vec::new();
        self.pairs_below("", self.table, &mut pairs);
        pairs
    }

    fn pairs_below(&self, prefix: &str, table: &'d DeTable<'d>, pairs: &mut Vec<(At<String>, Secret)>) {
        for (key, value) in table {
            let name = format!("{prefix}{}", key.get_ref());
            let text = match value.get_ref() {
                DeValue::String(text) => text.to_string(),
                DeValue::Integer(n) => n.to_string(),
                DeValue::Float(n) => n.to_string(),
                DeValue::Boolean(truth) => truth.to_string(),
                DeValue::Table(table) if self.is_inline(&value.span()) => {
                    let from = Section::new(format!("{name} of {}", self.name), table, value.span(), self.cx);
                    pairs.extend(secret::read(&name, from).map(|secret| (At { value: name, span: key.span() }, secret)));
                    continue;
                }
                DeValue::Table(below) => {
                    self.pairs_below(&format!("{name}."), below, pairs);
                    continue;
                }
                other => {
                    self.wrong::<()>(&name, value.span(), "a string, a number, true, false or a secret", other);
                    continue;
                }
            };
            pairs.push((At { value: name, span: key.span() }, Secret::Known(text.into())));
        }
    }

    /// `{ … }`, and not the table that a key with dots makes.
    fn is_inline(&self, span: &Range<usize>) -> bool {
        self.cx.text.get(span.start..).is_some_and(|text| text.starts_with('{'))
    }

    /// Reports the keys that nobody asked for, each with the nearest known one.
    pub(super) fn finish(self) {
        let known = self.known.borrow();
        for (key, _) in self.table {
            let name: &str = key.get_ref();
            if known.contains(&name) {
                continue;
            }
            let nearest = known.iter().map(|k| (strsim::damerau_levenshtein(name, k), *k)).min();
            let hint = match nearest {
                Some((distance, nearest)) if distance <= nearest.len().div_ceil(3) => format!("did you mean {nearest:?}?"),
                _ => format!("it takes {}", known.join(", ")),
            };
            self.cx.problems.at(&key.span(), format!("unknown key {name:?} in {}: {hint}", self.name));
        }
    }

    fn value(&self, key: &'static str) -> Option<&'d Spanned<DeValue<'d>>> {
        let mut known = self.known.borrow_mut();
        if !known.contains(&key) {
            known.push(key);
        }
        self.table.get(key)
    }

    fn wrong<T>(&self, key: &str, span: Range<usize>, wanted: &str, found: &DeValue<'_>) -> Option<T> {
        self.cx.problems.at(&span, format!("{key} must be {wanted}, and this is {}", kind(found)));
        None
    }

    fn as_duration(&self, key: &str, at: At<&str>) -> Option<At<Duration>> {
        match duration(at.value) {
            Some(value) => Some(At { value, span: at.span }),
            None => {
                let message =
                    format!("{key} is {:?}, which is no duration: write a number and a unit, like \"30s\" or \"5m\"", at.value);
                self.cx.problems.at(&at.span, message);
                None
            }
        }
    }
}

/// `500ms`, `30s`, `1h 30m`, `7d`: a day is 24 hours.
pub(crate) fn duration(text: &str) -> Option<Duration> {
    let span: Span = text.parse().ok()?;
    let signed = span.to_duration(SpanRelativeTo::days_are_24_hours()).ok()?;
    signed.try_into().ok()
}

fn kind(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a string",
        DeValue::Integer(_) => "a whole number",
        DeValue::Float(_) => "a number",
        DeValue::Boolean(_) => "true or false",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    }
}

/// What a client would say of them when it starts.
#[cfg(any(feature = "reqwest", feature = "native", feature = "redis"))]
fn are_authorities(pem: &[u8]) -> Result<(), String> {
    use rustls::RootCertStore;
    use rustls::pki_types::CertificateDer;
    use rustls::pki_types::pem::PemObject as _;

    let mut store = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(pem) {
        store.add(certificate.map_err(|error| error.to_string())?).map_err(|error| error.to_string())?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_is_a_number_and_a_unit() {
        for (text, want) in [
            ("500ms", Some(500)),
            ("30s", Some(30_000)),
            ("1h 30m", Some(5_400_000)),
            ("2 minutes", Some(120_000)),
            ("7d", Some(604_800_000)),
            ("0s", Some(0)),
            ("30", None),
            ("", None),
            ("-1s", None),
            ("1 month", None),
            ("30 parsecs", None),
        ] {
            assert_eq!(duration(text), want.map(Duration::from_millis), "{text:?}");
        }
    }
}
