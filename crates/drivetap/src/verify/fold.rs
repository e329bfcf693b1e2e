use std::collections::hash_map::Entry as MapEntry;
use std::collections::{BTreeSet, HashMap, HashSet};
use std::hash::{BuildHasher as _, RandomState};

use drivetap_bridge::core::EventType;
use jiff::Timestamp;

use super::marks::Marks;
use super::told::{Place, Told};

/// What the events say about each feed that is asked for. Other feeds' events are counted and passed over.
#[derive(Debug)]
pub(crate) struct Folds {
    feeds: HashMap<(String, String), Fold>,
    hasher: RandomState,
    /// Events of feeds that nobody asked for.
    pub(crate) others: u64,
}

/// What a consumer knows of one feed after it applied its events in order.
#[derive(Debug)]
pub(crate) struct Fold {
    pub(super) items: HashMap<Box<str>, Entry>,
    pub(super) hasher: RandomState,
    /// How many events were told, repeats included.
    pub(crate) events: u64,
    /// Events whose id was told before.
    pub(crate) repeats: u64,
    /// When drivetap received the first one.
    pub(crate) first: Option<Timestamp>,
    /// The first number in the sequence.
    pub(crate) first_sequence: Option<u64>,
    /// Where the sequence skips.
    pub(crate) gaps: Vec<SequenceGap>,
    /// Changes that a live sink dropped and told of.
    pub(crate) overflows: u64,
    /// In which partitions the feed's events stand: more than one, and their order is lost.
    pub(crate) partitions: BTreeSet<i32>,
    /// A whole enumeration is among the events, from its start to its end.
    pub(crate) enumerated: bool,
    ids: HashSet<u64>,
    last_sequence: Option<u64>,
    resync: Resync,
}

/// A skip in a feed's sequence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SequenceGap {
    pub(crate) after: u64,
    pub(crate) next: u64,
    /// Where `next` stands.
    pub(crate) at: Place,
}

/// What is known of one item.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) state: State,
    /// Of the item, cut to [`Entry::NAME`] characters.
    pub(super) name: Box<str>,
    /// The hash of the newest applied event's id.
    pub(super) by: u64,
    pub(super) sequence: u64,
    /// The number of the last event that told of it.
    touched: u64,
    /// The last look that found it in the drive.
    pub(super) looked: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    There(Marks),
    /// It is there, and its content was too large for the sink.
    Stub,
    Gone,
}

/// A resync, by the generation's number of its enumeration.
#[derive(Debug, Default)]
struct Resync {
    /// The hash of the id of the newest phase that was applied: a repeat is no second one.
    by: Option<u64>,
    /// The generation that is being enumerated, and the number of the event that started it.
    open: Option<(u64, u64)>,
}

impl Entry {
    const NAME: usize = 200;
}

impl Folds {
    /// For feeds by `source` and `account`.
    pub(crate) fn new(feeds: impl IntoIterator<Item = (String, String)>) -> Self {
        let hasher = RandomState::new();
        let feeds = feeds.into_iter().map(|feed| (feed, Fold::new(hasher.clone()))).collect();
        Self { feeds, hasher, others: 0 }
    }

    /// Applies one event.
    pub(crate) fn apply(&mut self, told: &Told, at: Place) {
        let id = self.hasher.hash_one(told.id.as_str());
        match self.feeds.get_mut(&(told.source.clone(), told.account.clone())) {
            Some(fold) => fold.apply(told, id, at),
            None => self.others += 1,
        }
    }

    pub(crate) fn get_mut(&mut self, source: &str, account: &str) -> Option<&mut Fold> {
        self.feeds.get_mut(&(source.to_owned(), account.to_owned()))
    }
}

impl Fold {
    fn new(hasher: RandomState) -> Self {
        Self {
            items: HashMap::new(),
            hasher,
            events: 0,
            repeats: 0,
            first: None,
            first_sequence: None,
            gaps: Vec::new(),
            overflows: 0,
            partitions: BTreeSet::new(),
            enumerated: false,
            ids: HashSet::new(),
            last_sequence: None,
            resync: Resync::default(),
        }
    }

    /// How many items are known as there by a stub only.
    pub(crate) fn stubs(&self) -> u64 {
        let stubs = self.items.values().filter(|entry| entry.state == State::Stub);
        u64::try_from(stubs.count()).unwrap_or(u64::MAX)
    }

    fn apply(&mut self, told: &Told, id: u64, at: Place) {
        self.events += 1;
        self.repeats += u64::from(!self.ids.insert(id));
        self.first.get_or_insert(told.recorded);
        if let Place::Record { partition, .. } = at {
            self.partitions.insert(partition);
        }
        if let Some(sequence) = told.sequence {
            self.number(sequence, at);
        }
        match told.event_type {
            EventType::Change => self.change(told, id),
            EventType::Resync => self.resync(told, id),
            EventType::Gap => self.overflows += u64::from(told.data["affects"] == "changes"),
            EventType::Signal => {}
        }
    }

    /// A number can repeat: after a restart, or with a record that was made anew, the sequence goes on from further back. It never skips.
    fn number(&mut self, sequence: u64, at: Place) {
        self.first_sequence.get_or_insert(sequence);
        if let Some(after) = self.last_sequence.filter(|last| sequence > last.saturating_add(1)) {
            self.gaps.push(SequenceGap { after, next: sequence, at });
        }
        self.last_sequence = Some(sequence);
    }

    fn change(&mut self, told: &Told, id: u64) {
        let Some(subject) = told.subject.as_deref() else {
            return;
        };
        let entry = match self.items.entry(subject.into()) {
            MapEntry::Occupied(known) => known.into_mut(),
            MapEntry::Vacant(new) => {
                new.insert(Entry { state: State::Gone, name: Box::default(), by: !id, sequence: 0, touched: 0, looked: 0 })
            }
        };
        entry.touched = self.events;
        if entry.by == id {
            return;
        }
        let item = &told.data["item"];
        entry.by = id;
        entry.sequence = told.sequence.unwrap_or_default();
        entry.state = if told.data["kind"] == "deleted" {
            State::Gone
        } else if told.data["truncated"] == true {
            State::Stub
        } else {
            item.as_object().map_or(State::Stub, |fields| State::There(Marks::of(fields, &self.hasher)))
        };
        if let Some(name) = item["name"].as_str() {
            entry.name = name.chars().take(Entry::NAME).collect::<String>().into();
        }
    }

    fn resync(&mut self, told: &Told, id: u64) {
        if self.resync.by.replace(id) == Some(id) {
            return;
        }
        let Some(generation) = told.data["generation"].as_u64() else {
            return;
        };
        if told.data["phase"] == "started" {
            // A start that is told again while its enumeration runs starts nothing anew.
            if self.resync.open.is_none_or(|(open, _)| open != generation) {
                self.resync.open = Some((generation, self.events));
            }
        } else if let Some((_, started)) = self.resync.open.take_if(|(open, _)| *open == generation) {
            let unseen = self.items.values_mut().filter(|entry| entry.touched < started);
            unseen.for_each(|entry| entry.state = State::Gone);
            self.enumerated = true;
        }
    }
}
