use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use drivetap_core::{Event, EventType};
use jiff::Timestamp;

use super::drive::face;

/// Somebody who reads a sink's log and keeps a copy of the drive, without any code of drivetap's.
///
/// It drops an event whose id is that of the newest event it applied for the same item, and acts once a generation: what it did not
/// see between `resync started` and `resync completed` is gone.
#[derive(Debug, Default)]
pub(super) struct Consumer {
    /// Item id → its face.
    pub(super) items: BTreeMap<String, String>,
    /// Item id → the newest event applied.
    newest: BTreeMap<String, String>,
    /// The generation that is being enumerated, and what was seen of it.
    enumeration: Option<Enumeration>,
    /// The last generation whose `completed` was acted on.
    completed: u64,
    /// Sequence of what came last, repeats included.
    highest: Option<u64>,
    /// The ids of the gaps.
    heard: BTreeSet<String>,
    /// What was told of gaps in the signals.
    pub(super) gaps: Vec<(Timestamp, Timestamp)>,
    /// Item id → every face that it had, in order.
    pub(super) applied: BTreeMap<String, Vec<Option<String>>>,
}

#[derive(Debug)]
struct Enumeration {
    generation: u64,
    started_at: u64,
    seen: BTreeSet<String>,
}

impl Consumer {
    /// Reads a log from its beginning. The whole of what the sink refused is in `dead_letters`.
    pub(super) fn read(log: &[Arc<Letter>], dead_letters: &[Arc<Letter>]) -> Result<Self, String> {
        let mut consumer = Self::default();
        for letter in log {
            if let Some(sequence) = letter.sequence {
                consumer.check_sequence(sequence)?;
            }
            let whole = dead_letters.iter().find(|whole| whole.id == letter.id).unwrap_or(letter);
            match &whole.content {
                Content::Change { item, face } => consumer.change(&whole.id, item, face.as_ref()),
                Content::Started { generation } => consumer.started(*generation, letter.sequence.unwrap_or_default()),
                Content::Completed { generation, items } => {
                    consumer.completed(*generation, *items, letter.sequence.unwrap_or_default())?;
                }
                Content::Gap { from, to } => {
                    if consumer.heard.insert(whole.id.clone()) {
                        consumer.gaps.push((*from, *to));
                    }
                }
                Content::Signal => {}
            }
        }
        match &consumer.enumeration {
            Some(open) => Err(format!("generation {} was started and never completed", open.generation)),
            None => Ok(consumer),
        }
    }

    /// It can repeat, never skip.
    fn check_sequence(&mut self, sequence: u64) -> Result<(), String> {
        let expected = self.highest.map_or(0, |highest| highest + 1);
        if sequence > expected {
            return Err(format!("sequence skips from {:?} to {sequence}", self.highest));
        }
        self.highest = self.highest.max(Some(sequence));
        Ok(())
    }

    fn change(&mut self, id: &str, item: &str, face: Option<&String>) {
        if let Some(enumeration) = &mut self.enumeration {
            enumeration.seen.insert(item.to_owned());
        }
        if self.newest.insert(item.to_owned(), id.to_owned()).as_deref() == Some(id) {
            return;
        }
        match face {
            Some(face) => self.items.insert(item.to_owned(), face.clone()),
            None => self.items.remove(item),
        };
        self.applied.entry(item.to_owned()).or_default().push(face.cloned());
    }

    fn started(&mut self, generation: u64, sequence: u64) {
        let repeats = self.enumeration.as_ref().is_some_and(|open| open.generation == generation);
        if !repeats && generation > self.completed {
            self.enumeration = Some(Enumeration { generation, started_at: sequence, seen: BTreeSet::new() });
        }
    }

    fn completed(&mut self, generation: u64, said: u64, sequence: u64) -> Result<(), String> {
        if generation <= self.completed {
            return Ok(());
        }
        let Some(open) = self.enumeration.take().filter(|open| open.generation == generation) else {
            return Err(format!("generation {generation} was completed and never started"));
        };
        let published = sequence - open.started_at - 1;
        if said != published {
            return Err(format!("generation {generation} says {said} items, and published {published}"));
        }
        self.items.retain(|id, _| open.seen.contains(id));
        self.completed = generation;
        Ok(())
    }
}

/// What a consumer reads of an event.
#[derive(Debug)]
pub(super) struct Letter {
    pub(super) id: String,
    pub(super) sequence: Option<u64>,
    /// Only a stub came.
    pub(super) truncated: bool,
    pub(super) content: Content,
}

#[derive(Debug)]
pub(super) enum Content {
    /// An item's new face, or none when it is gone.
    Change {
        item: String,
        face: Option<String>,
    },
    Started {
        generation: u64,
    },
    Completed {
        generation: u64,
        items: u64,
    },
    Gap {
        from: Timestamp,
        to: Timestamp,
    },
    Signal,
}

impl Letter {
    pub(super) fn new(event: &Event) -> Self {
        let data = event.data_value();
        let number = |name: &str| data[name].as_u64().unwrap();
        let at = |name: &str| data[name].as_str().unwrap().parse().unwrap();
        let content = match event.event_type() {
            EventType::Change => Content::Change {
                item: event.subject().unwrap().to_owned(),
                face: (data["kind"] == "upserted").then(|| face(&data["item"])),
            },
            EventType::Resync if data["phase"] == "started" => Content::Started { generation: number("generation") },
            EventType::Resync => Content::Completed { generation: number("generation"), items: number("items") },
            EventType::Gap => Content::Gap { from: at("from"), to: at("to") },
            EventType::Signal => Content::Signal,
        };
        let sequence = event.sequence().map(|sequence| sequence.0);
        Self { id: event.id().to_owned(), sequence, truncated: data["truncated"] == true, content }
    }
}
