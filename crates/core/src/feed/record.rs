use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::gap::Gaps;
use super::loss::Losses;
use crate::delta::{Link, PageFrom};
use crate::event::Sequence;

/// What a feed goes on from after a restart. Nothing in it depends on the process.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// Where the feed stands in the drive's log.
    pub place: Place,
    /// The gaps that are not yet acknowledged.
    #[serde(default)]
    pub gaps: Gaps,
    /// What live sinks lost and were not told.
    #[serde(default, skip_serializing_if = "Losses::is_empty")]
    pub losses: Losses,
    /// It began with the latest, while a subscription that says `beginning` had no known drive: should it turn out to be this one, the feed
    /// begins again.
    #[serde(default, skip_serializing_if = "is_false")]
    pub may_begin: bool,
    /// When all sessions were last known to be up: where the gap of a crash starts. `None` until the first session.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_alive: Option<Timestamp>,
}

impl Record {
    /// The record of a feed that never ran.
    #[must_use]
    pub fn new(incarnation: u128, now: Timestamp) -> Self {
        let place = Place {
            incarnation,
            generation: 0,
            walk: 0,
            sequence: 0,
            cursor: Cursor::None,
            enumeration: None,
            moved_at: now,
            enumerated_at: now,
        };
        Self { place, gaps: Gaps::default(), losses: Losses::default(), may_begin: false, last_alive: None }
    }
}

/// A place in the drive's log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    /// Random, made with the record: ids of a feed whose state was thrown away differ from those before.
    #[serde(with = "hex")]
    pub incarnation: u128,
    /// How many times the drive was enumerated afresh.
    pub generation: u64,
    /// How many walks were finished.
    pub walk: u64,
    /// The number of the next change or resync event.
    pub sequence: u64,
    /// Where the next page comes from.
    pub cursor: Cursor,
    /// The enumeration that is under way.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub enumeration: Option<Enumeration>,
    /// When the cursor last moved.
    pub moved_at: Timestamp,
    /// When the drive was last enumerated in full, or the record was made.
    pub enumerated_at: Timestamp,
}

impl Place {
    /// Where a new process begins an enumeration again that the last one had begun, and of whose pages none was acknowledged; `None` at
    /// every other place.
    ///
    /// It is another generation. What the last process published may stand in a sink's log all the same, and a fresh enumeration
    /// shows no deletions: an item that went in between would stay with a consumer for ever.
    pub(super) fn enumerated_again(&self, now: Timestamp) -> Option<Self> {
        let begun = match &self.enumeration {
            Some(enumeration) => enumeration.items == 0,
            None => self.cursor == Cursor::Root,
        };
        begun.then(|| {
            let code = self.enumeration.as_ref().map_or_else(|| "restart".to_owned(), |enumeration| enumeration.code.clone());
            self.next_generation(code, now)
        })
    }

    /// Where a feed that began with the latest begins with everything: nothing before its cursor was published.
    pub(super) fn begun_again(&self, now: Timestamp) -> Self {
        Self { cursor: Cursor::Root, ..self.next_generation("restart".to_owned(), now) }
    }

    fn next_generation(&self, code: String, now: Timestamp) -> Self {
        Self {
            generation: self.generation + 1,
            walk: self.walk + 1,
            moved_at: now,
            enumeration: Some(Enumeration { code, items: 0, announced: false }),
            ..self.clone()
        }
    }

    /// Takes the number of the next event.
    pub(super) fn take_sequence(&mut self) -> Sequence {
        let taken = Sequence(self.sequence);
        self.sequence += 1;
        taken
    }
}

/// Where the next page of delta comes from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Cursor {
    /// Nowhere yet.
    None,
    /// The drive's root: an enumeration starts.
    Root,
    /// The middle of a walk: a `nextLink`, or the `Location` of a 410.
    Within(Link),
    /// Between walks: a `deltaLink`.
    At(Link),
}

impl Cursor {
    pub(super) fn page_from(&self) -> PageFrom {
        match self {
            Self::None => PageFrom::Latest,
            Self::Root => PageFrom::Root,
            Self::Within(link) | Self::At(link) => PageFrom::Link(link.clone()),
        }
    }
}

/// A full enumeration: after a 410, on the timer, or begun again after a restart.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Enumeration {
    /// Graph's code, or `timer`, or `restart`.
    pub code: String,
    /// How many items were published, over restarts too.
    pub items: u64,
    /// Whether `resync {phase: "started"}` was acknowledged.
    pub announced: bool,
}

fn is_false(value: &bool) -> bool {
    !*value
}

/// 128 bits do not fit into every format's integers: they are kept as 32 hexadecimal digits.
mod hex {
    use serde::de::Error;
    use serde::{Deserialize, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(value: &u128, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&format_args!("{value:032x}"))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u128, D::Error> {
        let text = String::deserialize(deserializer)?;
        u128::from_str_radix(&text, 16).map_err(D::Error::custom)
    }
}
