use std::collections::BTreeMap;
use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};

use drivetap_core::{Failure, Item, Link, Page, PageEnd, PageFrom, Remedy};
use serde_json::{Value, json};

/// A drive as delta shows it.
pub(super) trait Drive {
    /// One request, one answer.
    fn page(&mut self, from: &PageFrom) -> Result<Page, Failure>;

    /// What is there: item id → when it last changed, and its [`face`].
    fn living(&self) -> BTreeMap<String, (u64, String)>;

    /// Up to which change a `deltaLink` knows the drive.
    fn known_by(&self, link: &Link) -> u64;

    /// Changes something while nobody listens: what was there last time is gone, what was gone is back.
    fn toggle(&mut self);
}

/// What tells one state of an item from another.
pub(super) fn face(item: &Value) -> String {
    format!("{} in {} at {}", item["name"], item["parentReference"]["id"], item["eTag"])
}

/// A drive of a few items whose delta is as unhelpful as Graph's on a bad day.
///
/// - A deletion looks like every other deletion of the item, and a restored item as it did before.
/// - An empty answer's link never shows the deletions of before (OneDrive/onedrive-api-docs#1927).
/// - An enumeration shows no deletions (OneDrive/onedrive-api-docs#702).
/// - An item that changes during a walk leaves its place in it and comes in the next one.
#[derive(Clone, Debug, Hash)]
pub(super) struct SmallDrive {
    items: BTreeMap<&'static str, Entry>,
    head: u64,
    /// A new one makes every link of before answer 410.
    epoch: u64,
    page_size: usize,
    /// How many walks from now see nothing.
    pub(super) lag: u32,
    pub(super) location: Location,
}

#[derive(Clone, Debug, Hash)]
struct Entry {
    name: &'static str,
    deleted: bool,
    at: u64,
}

/// What a 410 of the drive names.
#[derive(Clone, Copy, Debug, Hash)]
pub(super) enum Location {
    Absent,
    Works,
    /// It fails like this for ever.
    Broken(Broken),
}

#[derive(Clone, Copy, Debug, Hash)]
pub(super) enum Broken {
    ServerError,
    NotFound,
    Gone,
}

/// A place in the change log: what is known, where deletions are hidden, and how far a walk of several pages has come.
#[derive(Clone, Copy)]
struct Token {
    epoch: u64,
    since: u64,
    blind: u64,
    after: u64,
    until: Option<u64>,
}

impl SmallDrive {
    const FRESH: &str = "/v1.0/fresh";

    pub(super) fn new(items: &[&'static str]) -> Self {
        let mut drive = Self { items: BTreeMap::new(), head: 0, epoch: 1, page_size: 2, lag: 0, location: Location::Absent };
        for item in items {
            drive.write(item, item, false);
        }
        drive
    }

    /// Creates, renames or restores.
    pub(super) fn put(&mut self, item: &'static str, name: &'static str) {
        self.write(item, name, false);
    }

    pub(super) fn delete(&mut self, item: &'static str) {
        let name = self.items.get(item).map_or("", |entry| entry.name);
        self.write(item, name, true);
    }

    /// Every link so far answers 410.
    pub(super) fn forget(&mut self, location: Location) {
        self.epoch += 1;
        self.location = location;
    }

    fn write(&mut self, item: &'static str, name: &'static str, deleted: bool) {
        self.head += 1;
        self.items.insert(item, Entry { name, deleted, at: self.head });
    }

    fn token(&self, link: &Link) -> Result<Token, Failure> {
        if link.as_str() == Self::FRESH {
            return match self.location {
                Location::Broken(Broken::ServerError) => Err(Failure::retry("generalException")),
                Location::Broken(Broken::NotFound) => Err(Failure::new(Remedy::RetrySlowly { after: None }, "itemNotFound")),
                Location::Broken(Broken::Gone) => Err(self.gone()),
                Location::Absent | Location::Works => Ok(self.from(0)),
            };
        }
        let numbers: Vec<u64> = link.as_str().split(['?', '.']).filter_map(|part| part.parse().ok()).collect();
        let token = match *numbers.as_slice() {
            [epoch, since, blind] => Token { epoch, since, blind, after: since, until: None },
            [epoch, since, blind, after, until] => Token { epoch, since, blind, after, until: Some(until) },
            _ => panic!("a link that this drive never gave: {link}"),
        };
        if token.epoch == self.epoch { Ok(token) } else { Err(self.gone()) }
    }

    fn from(&self, since: u64) -> Token {
        Token { epoch: self.epoch, since, blind: 0, after: since, until: None }
    }

    fn gone(&self) -> Failure {
        let location = match self.location {
            Location::Absent => None,
            Location::Works | Location::Broken(_) => Some(Link::new(Self::FRESH).unwrap()),
        };
        Failure::new(Remedy::Resync { location }, "resyncChangesApplyDifferences")
    }
}

impl Drive for SmallDrive {
    fn page(&mut self, from: &PageFrom) -> Result<Page, Failure> {
        let token = match from {
            PageFrom::Latest => {
                return Ok(Page { items: Vec::new(), left_out: 0, end: PageEnd::Delta(self.from(self.head).link()) });
            }
            PageFrom::Root => self.from(0),
            PageFrom::Link(link) => self.token(link)?,
        };
        let Token { since, blind, after, .. } = token;
        let lags = self.lag > 0 && token.until.is_none() && since > 0;
        self.lag -= u32::from(lags);
        let until = token.until.unwrap_or(if lags { since } else { self.head });

        let shown = |entry: &Entry| !entry.deleted || (since > 0 && entry.at > blind);
        let mut changed: Vec<_> =
            self.items.iter().filter(|(_, entry)| entry.at > after && entry.at <= until && shown(entry)).collect();
        changed.sort_by_key(|(_, entry)| entry.at);
        let more = changed.len() > self.page_size;
        changed.truncate(self.page_size);
        let reached = changed.last().map_or(until, |(_, entry)| entry.at);
        let items = changed.into_iter().map(|(id, entry)| Item::new(entry.as_delta_shows(id)).unwrap()).collect::<Vec<_>>();
        let end = if more {
            PageEnd::Next(Token { after: reached, until: Some(until), ..token }.link())
        } else {
            let blind = if items.is_empty() && after == since { self.head } else { blind };
            PageEnd::Delta(Token { blind, ..self.from(until) }.link())
        };
        Ok(Page { items, left_out: 0, end })
    }

    fn living(&self) -> BTreeMap<String, (u64, String)> {
        let living = self.items.iter().filter(|(_, entry)| !entry.deleted);
        living.map(|(id, entry)| ((*id).to_owned(), (entry.at, face(&entry.as_delta_shows(id))))).collect()
    }

    fn known_by(&self, link: &Link) -> u64 {
        self.token(link).map_or(0, |token| token.since)
    }

    fn toggle(&mut self) {
        let deleted = self.items.get("toggled").is_some_and(|entry| !entry.deleted);
        self.write("toggled", "toggled", deleted);
    }
}

impl Entry {
    fn as_delta_shows(&self, id: &str) -> Value {
        if self.deleted { json!({ "id": id, "deleted": { "state": "deleted" } }) } else { json!({ "id": id, "name": self.name }) }
    }
}

impl Token {
    fn link(self) -> Link {
        let Self { epoch, since, blind, after, until } = self;
        let progress = until.map(|until| format!(".{after}.{until}")).unwrap_or_default();
        Link::new(format!("/v1.0/delta?{epoch}.{since}.{blind}{progress}")).unwrap()
    }
}

/// A number that differs where the values differ.
pub(super) fn trace(value: &impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    hasher.finish()
}
