//! A consumer as the README tells one to be written: it folds what arrived, and drops repeats.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use serde_json::Value;

const CHANGE: &str = "io.drivetap.change.v1";
const GAP: &str = "io.drivetap.gap.v1";
const RESYNC: &str = "io.drivetap.resync.v1";

/// An account's name and a drive's id.
pub type Feed = (String, String);
/// What is there: an item's id and [what it is](Item).
pub type State = BTreeMap<String, Item>;

/// As much of an item as tells two states of it apart: Graph's eTag counts every change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Item {
    e_tag: String,
    name: String,
    parent: String,
}

/// Applies events in the order in which they arrived. A repeat is dropped while it is the newest event of its item
/// (ARCHITECTURE.md, the last paragraph).
#[derive(Debug, Default)]
pub struct Consumer {
    feeds: BTreeMap<Feed, Folded>,
    ids: HashSet<String>,
    /// Change events that arrived, repeats included.
    pub changes: usize,
    /// Events of every type that arrived, repeats included.
    pub events: u64,
    /// Events whose id had arrived before.
    pub repeats: usize,
    /// Enumerations that ended.
    pub resyncs: usize,
    /// When the newest event was received, by the program's clock.
    pub recorded: String,
    /// Gaps that told of changes which a live sink lost.
    pub overflows: usize,
}

#[derive(Debug, Default)]
struct Folded {
    items: BTreeMap<String, Applied>,
    /// The items that an enumeration has shown so far, while one is under way.
    enumerated: Option<BTreeSet<String>>,
    /// The numbers of the sequence that an event has, or that a gap says are lost.
    told: BTreeSet<u64>,
}

#[derive(Debug)]
struct Applied {
    id: String,
    /// `None`: deleted.
    item: Option<Item>,
}

impl Item {
    /// From delta's form of it.
    pub fn of(item: &Value) -> Self {
        let text = |pointer| item.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned();
        Self { e_tag: text("/eTag"), name: text("/name"), parent: text("/parentReference/id") }
    }
}

impl Consumer {
    /// Applies the next event, as structured JSON.
    pub fn take(&mut self, event: &Value) {
        let text = |name: &str| event[name].as_str().unwrap_or_default().to_owned();
        self.events += 1;
        self.repeats += usize::from(!self.ids.insert(text("id")));
        self.recorded = text("recordedtime");
        let data = &event["data"];
        let number = |value: &Value| value.as_str()?.parse::<u64>().ok();
        let ends = if text("type") == GAP { [&data["from_sequence"], &data["to_sequence"]] } else { [&event["sequence"]; 2] };
        if let [Some(from), Some(to)] = ends.map(number) {
            self.feeds.entry((text("account"), text("partitionkey"))).or_default().told.extend(from..=to);
        }
        match text("type").as_str() {
            CHANGE => {
                self.changes += 1;
                let feed = self.feeds.entry((text("account"), text("partitionkey"))).or_default();
                feed.change(text("subject"), text("id"), data);
            }
            RESYNC => {
                self.resyncs += usize::from(data["phase"] == "completed");
                self.feeds.entry((text("account"), text("partitionkey"))).or_default().resync(data);
            }
            GAP if data["reason"] == "sink_overflow" => self.overflows += 1,
            _ => {}
        }
    }

    /// What this consumer believes is there.
    pub fn state(&self, feed: &Feed) -> State {
        let items = self.feeds.get(feed).into_iter().flat_map(|folded| &folded.items);
        items.filter_map(|(subject, applied)| Some((subject.clone(), applied.item.clone()?))).collect()
    }

    /// How many numbers were skipped: no event has them, and no gap says that they are lost.
    pub fn skipped(&self) -> u64 {
        let skipped = |told: &BTreeSet<u64>| told.last().map_or(0, |last| last + 1) - u64::try_from(told.len()).unwrap();
        self.feeds.values().map(|folded| skipped(&folded.told)).sum()
    }

    /// An enumeration has begun and not ended.
    pub fn is_enumerating(&self, feed: &Feed) -> bool {
        self.feeds.get(feed).is_some_and(|folded| folded.enumerated.is_some())
    }
}

impl Folded {
    fn change(&mut self, subject: String, id: String, data: &Value) {
        if let Some(seen) = &mut self.enumerated {
            seen.insert(subject.clone());
        }
        if self.items.get(&subject).is_some_and(|newest| newest.id == id) {
            return;
        }
        let item = (data["kind"] != "deleted").then(|| Item::of(&data["item"]));
        self.items.insert(subject, Applied { id, item });
    }

    /// Begun again, an enumeration shows everything again: what was seen of the one before does not count.
    fn resync(&mut self, data: &Value) {
        if data["phase"] == "started" {
            self.enumerated = Some(BTreeSet::new());
        } else if let Some(seen) = self.enumerated.take() {
            self.items.retain(|subject, _| seen.contains(subject));
        }
    }
}

/// How many items two states do not agree on.
pub fn differences(consumer: &State, drive: &State) -> usize {
    let ids: BTreeSet<_> = consumer.keys().chain(drive.keys()).collect();
    ids.into_iter().filter(|id| consumer.get(*id) != drive.get(*id)).count()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::{Consumer, Feed, Item, State, differences};

    fn feed() -> Feed {
        ("default".to_owned(), "d".to_owned())
    }

    fn item(version: u32) -> Value {
        json!({ "eTag": format!("{version}"), "name": "a", "parentReference": { "id": "root" } })
    }

    fn change(id: &str, subject: &str, version: Option<u32>) -> Value {
        let data = match version {
            Some(version) => json!({ "kind": "upserted", "item": item(version) }),
            None => json!({ "kind": "deleted", "item": {} }),
        };
        json!({ "type": super::CHANGE, "id": id, "subject": subject, "account": "default", "partitionkey": "d", "data": data })
    }

    fn resync(phase: &str) -> Value {
        json!({ "type": super::RESYNC, "id": phase, "account": "default", "partitionkey": "d", "data": { "phase": phase } })
    }

    fn state(items: &[(&str, u32)]) -> State {
        items.iter().map(|(id, version)| ((*id).to_owned(), Item::of(&item(*version)))).collect()
    }

    #[track_caller]
    fn check(events: &[Value], expected: &[(&str, u32)]) -> Consumer {
        let mut consumer = Consumer::default();
        events.iter().for_each(|event| consumer.take(event));
        assert_eq!(consumer.state(&feed()), state(expected));
        consumer
    }

    #[test]
    fn deleted_restored_and_deleted_again_is_deleted_though_the_ids_repeat() {
        let events = [change("1", "a", Some(1)), change("2", "a", None), change("1", "a", Some(1)), change("2", "a", None)];
        assert_eq!(check(&events, &[]).repeats, 2);
        check(&events[..3], &[("a", 1)]);
    }

    #[test]
    fn a_repeat_of_the_newest_event_changes_nothing_and_is_counted() {
        let events = [change("1", "a", Some(1)), change("2", "a", Some(2)), change("2", "a", Some(2))];
        let consumer = check(&events, &[("a", 2)]);
        assert_eq!((consumer.changes, consumer.repeats), (3, 1));
    }

    #[test]
    fn a_number_that_neither_an_event_nor_a_gap_tells_of_is_skipped() {
        let mut consumer = Consumer::default();
        let numbered = |id: &str, sequence: u64| {
            let mut event = change(id, "a", Some(1));
            event["sequence"] = format!("{sequence:020}").into();
            event
        };
        for sequence in [0, 1, 0, 1, 2, 9] {
            consumer.take(&numbered(&sequence.to_string(), sequence));
        }
        assert_eq!(consumer.skipped(), 6);
        let lost =
            json!({ "reason": "sink_overflow", "from_sequence": "00000000000000000004", "to_sequence": "00000000000000000008" });
        consumer.take(&json!({ "type": super::GAP, "id": "g", "account": "default", "partitionkey": "d", "data": lost }));
        assert_eq!((consumer.skipped(), consumer.overflows), (1, 1));
    }

    #[test]
    fn what_an_enumeration_did_not_show_is_gone_when_it_ends() {
        let before = [change("1", "a", Some(1)), change("2", "b", Some(1)), resync("started"), change("1", "a", Some(1))];
        assert!(check(&before, &[("a", 1), ("b", 1)]).is_enumerating(&feed()));
        let whole = [&before[..], &[resync("completed")]].concat();
        assert!(!check(&whole, &[("a", 1)]).is_enumerating(&feed()));
        // Told again after a crash, without an enumeration before it, it ends nothing.
        check(&[&whole[..], &[change("3", "b", Some(2)), resync("completed")]].concat(), &[("a", 1), ("b", 2)]);
    }

    #[test]
    fn an_enumeration_that_begins_again_forgets_what_it_had_shown() {
        let (a, b) = (change("1", "a", Some(1)), change("2", "b", Some(1)));
        let events = [a.clone(), b.clone(), resync("started"), a, resync("started"), b, resync("completed")];
        check(&events, &[("b", 1)]);
    }

    #[test]
    fn what_is_missing_too_many_or_stale_is_a_difference() {
        let drive = state(&[("a", 1), ("b", 1)]);
        for (consumer, expected) in [
            (state(&[("a", 1), ("b", 1)]), 0),
            (state(&[("a", 1)]), 1),
            (state(&[("a", 1), ("b", 2)]), 1),
            (state(&[("a", 1), ("b", 1), ("c", 1)]), 1),
            (State::new(), 2),
        ] {
            assert_eq!(differences(&consumer, &drive), expected, "{consumer:?}");
        }
    }
}
