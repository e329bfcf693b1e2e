//! Delta: tokens, pages, and everything that is odd about them.

use jiff::Timestamp;
use serde_json::Value;

use crate::{
    model::{Drive, DriveKind, Item},
    switches::{Ancestors, Switches, Tombstones},
    text,
};

/// Where a delta request continues. Its text is opaque to clients and holds `%3B`, as Graph's do: a client that decodes
/// and encodes it again, or looks inside, is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Token {
    epoch: u32,
    /// Changes up to here are known to the client.
    since: u64,
    /// Tombstones up to here are never shown ([`Tombstones::LostByEmptyAnswer`]).
    blind: u64,
    /// Within an answer of several pages: where it stands, where it ends, and `$top`.
    page: Option<Progress>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Progress {
    after: u64,
    until: u64,
    top: u16,
}

/// One answer.
#[derive(Debug)]
pub(crate) struct Page {
    pub(crate) items: Vec<Value>,
    pub(crate) link: Link,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Link {
    Next(Token),
    Delta(Token),
}

/// What a request asked for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Query {
    pub(crate) start: Start,
    pub(crate) top: Option<u16>,
    pub(crate) exclude_parent: bool,
}

#[derive(Debug, Clone, Copy)]
pub(crate) enum Start {
    /// No token: everything there is.
    Beginning,
    /// `token=latest`: nothing, and a link to go on from.
    Latest,
    /// A token from a link.
    From(Token),
}

/// The token does not reach back, or belongs to another drive or time: 410.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Expired;

impl Token {
    /// Reads a token as it stands in a URL, not decoded.
    pub(crate) fn parse(raw: &str) -> Option<Self> {
        let numbers = raw.split("%3B").map(|part| u64::from_str_radix(part, 16).ok());
        let numbers = numbers.collect::<Option<Vec<_>>>()?;
        let (epoch, since, blind, page) = match *numbers.as_slice() {
            [epoch, since, blind] => (epoch, since, blind, None),
            [epoch, since, blind, after, until, top] => {
                let top = u16::try_from(top).ok()?;
                (epoch, since, blind, Some(Progress { after, until, top }))
            }
            _ => return None,
        };
        let token = Self { epoch: u32::try_from(epoch).ok()?, since, blind, page };
        // One spelling only: `0A` for `a` would be somebody's own making.
        (token.text() == raw).then_some(token)
    }

    /// A time in place of a token, percent-encoded as it stands in a URL: what changed since then. Business and SharePoint only
    /// (driveItem: delta, "Query parameters").
    pub(crate) fn of_a_time(drive: &Drive, raw: &str) -> Option<Self> {
        if drive.kind == DriveKind::Personal {
            return None;
        }
        let time: Timestamp = text::percent_decode(raw)?.parse().ok()?;
        let before = drive.changes(0, drive.head()).take_while(|item| item.modified < time).last();
        // 0 is an enumeration, which knows no tombstones.
        let since = before.map_or(1, |item| item.sequence).max(drive.forgotten());
        Some(Self { epoch: drive.epoch, since, blind: 0, page: None })
    }

    pub(crate) fn text(self) -> String {
        let Self { epoch, since, blind, page } = self;
        match page {
            None => format!("{epoch:x}%3B{since:x}%3B{blind:x}"),
            Some(Progress { after, until, top }) => {
                format!("{epoch:x}%3B{since:x}%3B{blind:x}%3B{after:x}%3B{until:x}%3B{top:x}")
            }
        }
    }
}

/// Answers a delta request. Changes up to `head` are shown.
pub(crate) fn page(drive: &Drive, query: Query, switches: &Switches, head: u64) -> Result<Page, Expired> {
    let page_size = query.top.unwrap_or(u16::MAX).min(switches.page_size).max(1);
    let (since, blind, progress) = match query.start {
        Start::Latest => {
            let token = Token { epoch: drive.epoch, since: head, blind: 0, page: None };
            return Ok(Page { items: Vec::new(), link: Link::Delta(token) });
        }
        Start::Beginning => (0, 0, None),
        Start::From(token) => {
            let known = token.epoch == drive.epoch && token.since <= drive.head();
            if !known || (token.since > 0 && token.since < drive.forgotten()) {
                return Err(Expired);
            }
            (token.since, token.blind, token.page)
        }
    };
    let progress = progress.unwrap_or(Progress { after: since, until: head.max(since), top: page_size });

    let shown = |item: &&Item| {
        // A fresh enumeration knows no tombstones.
        !item.deleted
            || (since > 0
                && match switches.tombstones {
                    Tombstones::Kept => true,
                    Tombstones::Missing => false,
                    Tombstones::LostByEmptyAnswer => item.sequence > blind,
                })
    };
    let top = usize::from(progress.top).max(1);
    let changed: Vec<&Item> = drive.changes(progress.after, progress.until).filter(shown).take(top).collect();
    let reached = changed.last().map_or(progress.until, |item| item.sequence);
    let more = drive.changes(reached, progress.until).any(|item| shown(&item));

    let link = if more {
        Link::Next(Token { epoch: drive.epoch, since, blind, page: Some(Progress { after: reached, ..progress }) })
    } else {
        let empty = changed.is_empty() && progress.after == since;
        Link::Delta(Token {
            epoch: drive.epoch,
            since: progress.until,
            blind: if empty { drive.head() } else { blind },
            page: None,
        })
    };
    let mut items = Vec::new();
    if switches.ancestors == Ancestors::Always || !query.exclude_parent {
        items.extend(unchanged_ancestors(drive, &changed));
    }
    items.extend(changed);
    Ok(Page { items: spelled(drive, &items, switches), link })
}

/// The folders above the changed items that did not change themselves, the root first.
fn unchanged_ancestors<'a>(drive: &'a Drive, changed: &[&Item]) -> Vec<&'a Item> {
    let mut above: Vec<&Item> = Vec::new();
    for item in changed {
        for folder in drive.ancestors(item) {
            let known = above.iter().any(|known| known.id == folder.id) || changed.iter().any(|item| item.id == folder.id);
            if !known && !folder.deleted {
                above.push(folder);
            }
        }
    }
    above
}

fn spelled(drive: &Drive, items: &[&Item], switches: &Switches) -> Vec<Value> {
    let earlier =
        items.iter().filter(|_| switches.repeated_items).map(|item| item.in_delta(drive, item.version.saturating_sub(1)));
    let latest = items.iter().map(|item| item.in_delta(drive, item.version));
    earlier.chain(latest).collect()
}

#[cfg(test)]
mod tests {
    use super::Token;

    #[test]
    fn a_token_is_accepted_only_byte_for_byte() {
        for (raw, accepted) in [
            ("1f%3B2a%3B0", true),
            ("1f%3B2a%3B0%3B1%3B2%3Bc8", true),
            ("1f;2a;0", false),
            ("1f%3b2a%3b0", false),
            ("01f%3B2a%3B0", false),
            ("1F%3B2A%3B0", false),
            ("1f%3B2a", false),
            ("1f%3B2a%3B0%3B1%3B2%3B10000", false),
            ("", false),
        ] {
            assert_eq!(Token::parse(raw).map(Token::text).as_deref(), accepted.then_some(raw), "{raw}");
        }
    }
}
