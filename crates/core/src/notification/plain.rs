//! The one shape that Graph is known to send, read without a tree: what differs from it in anything is left to the tree.
//!
//! That shape is `"{\"value\":[{\"name\":\"text\",…},…]}"`: a JSON string that escapes nothing but its quotes, in which there are entries
//! of texts alone and no space between them. So no text in it has a quote or a backslash, and what is between two quotes is what it says.

use memchr::memchr;

use super::Notification;
use crate::escape::only_quotes;

/// The entries, each exactly as the tree would have it; `None` where the tree has to look.
pub(super) fn entries(argument: &str) -> Option<Vec<Notification>> {
    let mut rest = Rest(only_quotes(argument)?.strip_prefix(r#"{\"value\":["#)?);
    let mut entries = Vec::with_capacity(1);
    loop {
        entries.push(rest.entry()?);
        if !rest.skip(",") {
            break;
        }
    }
    (rest.0 == "]}" && entries.len() <= Notification::MAX_PER_FRAME).then_some(entries)
}

/// The text of a field in the JSON of an entry that was read here.
pub(super) fn find<'a>(json: &'a str, wanted: &str) -> Option<&'a str> {
    let mut rest = json;
    let mut text = || {
        let (_, behind) = rest.split_at_checked(memchr(b'"', rest.as_bytes())? + 1)?;
        let (text, behind) = behind.split_at_checked(memchr(b'"', behind.as_bytes())?)?;
        rest = behind.get(1..)?;
        Some(text)
    };
    loop {
        let (name, value) = (text()?, text()?);
        // They are in order.
        if name >= wanted {
            return (name == wanted).then_some(value);
        }
    }
}

/// What was not read yet.
struct Rest<'a>(&'a str);

impl<'a> Rest<'a> {
    /// Whether `token` is next; then it is read.
    fn skip(&mut self, token: &str) -> bool {
        let behind = self.0.strip_prefix(token);
        self.0 = behind.unwrap_or(self.0);
        behind.is_some()
    }

    fn text(&mut self) -> Option<&'a str> {
        let behind = self.0.strip_prefix(r#"\""#)?;
        // The backslash in front of a quote belongs to it.
        let quote = memchr(b'"', behind.as_bytes())?;
        let text = behind.get(..quote.checked_sub(1)?)?;
        self.0 = behind.get(quote + 1..)?;
        Some(text)
    }

    fn entry(&mut self) -> Option<Notification> {
        /// Twice as many as Graph names.
        const MOST: usize = 16;

        let (mut fields, mut count, mut bytes) = ([("", ""); MOST], 0, 1);
        if !self.skip("{") {
            return None;
        }
        loop {
            let name = self.text()?;
            let value = self.skip(":").then(|| self.text())??;
            *fields.get_mut(count)? = (name, value);
            count += 1;
            bytes += name.len() + value.len() + 6;
            if !self.skip(",") {
                break;
            }
        }
        if !self.skip("}") {
            return None;
        }
        let fields = fields.get_mut(..count)?;
        fields.sort_unstable_by_key(|(name, _)| *name);
        // Of two fields with one name the tree knows which counts.
        if fields.iter().zip(fields.iter().skip(1)).any(|((a, _), (b, _))| a == b) {
            return None;
        }
        Some(Notification::of_texts(fields, bytes))
    }
}
