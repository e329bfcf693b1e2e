use std::collections::{BTreeSet, VecDeque};
use std::hash::{Hash, Hasher};
use std::sync::Arc;
use std::time::{Duration, Instant};

use drivetap_core::feed::{Attempt, Cursor, Gaps, OpenFailure, Record, Start, StoreFailure};
use drivetap_core::{Event, EventType, Failure, Now};
use drivetap_sink::{Outcome, Stop};
use jiff::{SignedDuration, Timestamp};

use super::consumer::{Consumer, Letter};
use super::drive::{Drive, trace};

/// Everything that outlives a crash of drivetap, and everything that it meets.
#[derive(Clone, Debug)]
pub(super) struct World<D> {
    pub(super) drive: D,
    pub(super) graph: Graph,
    pub(super) store: Store,
    pub(super) sinks: Vec<SinkPlace>,
    pub(super) now: Now,
    began: Instant,
    /// How many processes there were: each has its own luck.
    pub(super) starts: u64,
    /// When something changed and no session was there to say so, though the store knew of a sign of life.
    missed: Vec<Timestamp>,
    /// What has happened since the last beat of a script.
    pub(super) since: Counts,
}

/// Graph's moods: each list is used up from the front, then all is well.
#[derive(Clone, Debug, Default)]
pub(super) struct Graph {
    pub(super) endpoint_fails: VecDeque<Failure>,
    pub(super) page_fails: VecDeque<Failure>,
    pub(super) open_fails: VecDeque<OpenFailure>,
    /// How long endpoints live; an hour where nothing is said.
    pub(super) lifetimes: VecDeque<Duration>,
    /// When the endpoint that was handed out last runs out.
    pub(super) endpoint_until: Option<Instant>,
    /// The sessions of the living process.
    pub(super) sessions: Vec<Session>,
}

#[derive(Clone, Debug)]
pub(super) struct Session {
    pub(super) name: Attempt,
    until: Option<Instant>,
}

/// Keeps exactly what was committed.
#[derive(Clone, Debug, Default)]
pub(super) struct Store {
    pub(super) saved: Option<Record>,
    /// Up to which change a consumer need not know the drive: where `start = "latest"` began.
    begun_at: Option<u64>,
    /// What the next writes come to; used up from the front.
    pub(super) fails: VecDeque<StoreFault>,
}

/// A write that fails may have been performed all the same.
#[derive(Clone, Copy, Debug, Hash)]
pub(super) enum StoreFault {
    NothingWritten,
    WrittenButNotSaid,
}

/// A sink's own durable log.
#[derive(Clone, Debug, Default)]
pub(super) struct SinkPlace {
    pub(super) log: Vec<Arc<Letter>>,
    log_trace: u64,
    /// Every number below this is in the log.
    covered: u64,
    pub(super) dead_letters: Vec<Arc<Letter>>,
    /// How it answers; used up from the front, then it takes everything.
    pub(super) answers: VecDeque<Answer>,
    /// The events that it will never take whole.
    refused: BTreeSet<String>,
}

/// A sink's answer to a batch.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Answer {
    /// Takes so many, owns up to fewer, wants to be connected again.
    Cut { taken: usize, acked: usize },
    /// Takes so many, then holds.
    Holds { taken: usize },
    /// Takes so many and gives no reason.
    Pauses { taken: usize },
    /// Takes so many, owns up to fewer, and knows the rest when it is offered again.
    Underway { taken: usize, acked: usize },
    /// Will never take the first change of the batch whole.
    Refuses,
}

/// What has happened since the last beat of a script.
#[derive(Clone, Copy, Debug, Default, Hash)]
pub(super) struct Counts {
    pub(super) pages: u32,
    pub(super) endpoints: u32,
    pub(super) sessions: u32,
    pub(super) delivered: u32,
}

impl<D: Drive> World<D> {
    pub(super) fn new(drive: D, sinks: usize) -> Self {
        let began = Instant::now();
        Self {
            drive,
            graph: Graph::default(),
            store: Store::default(),
            sinks: vec![SinkPlace::default(); sinks],
            now: Now { mono: began, wall: "2026-11-23T10:00:00Z".parse().unwrap() },
            began,
            starts: 0,
            missed: Vec::new(),
            since: Counts::default(),
        }
    }

    /// The process dies. While it is away the drive changes, and nobody listens.
    pub(super) fn crash(&mut self) {
        self.graph.sessions.clear();
        // To the full second: what differs only in how long a request took is one world.
        let lived = self.now.mono.saturating_duration_since(self.began);
        self.now = self.now.after(Duration::from_secs(lived.as_secs() + 2) - lived);
        self.drive.toggle();
        self.note_missed();
        self.now = self.now.after(Duration::from_secs(1));
    }

    /// The sessions that a signal reaches now.
    pub(super) fn listening(&self) -> Vec<Attempt> {
        let alive = self.graph.sessions.iter().filter(|session| session.until.is_none_or(|until| self.now.mono < until));
        alive.map(|session| session.name).collect()
    }

    /// A signal found nobody.
    pub(super) fn note_missed(&mut self) {
        // Before the first sign of life there is nothing that a gap could be told from.
        if self.store.saved.as_ref().is_some_and(|record| record.last_alive.is_some()) {
            self.missed.push(self.now.wall);
        }
    }

    pub(super) fn opened(&mut self, name: Attempt) {
        self.graph.sessions.push(Session { name, until: self.graph.endpoint_until });
    }

    /// Writes a record, and checks that it is not ahead of any sink.
    pub(super) fn save(&mut self, record: Record, start: Start) -> Result<Result<(), StoreFailure>, String> {
        let fault = self.store.fails.pop_front();
        if !matches!(fault, Some(StoreFault::NothingWritten)) {
            if let Some(sink) = self.sinks.iter().position(|sink| record.place.sequence > sink.covered) {
                return Err(format!(
                    "the cursor is at {}, and sink {sink} has {}",
                    record.place.sequence, self.sinks[sink].covered
                ));
            }
            if let (None, Cursor::At(link)) = (self.store.begun_at, &record.place.cursor) {
                self.store.begun_at = Some(if start == Start::Latest { self.drive.known_by(link) } else { 0 });
            }
            self.store.saved = Some(record);
        }
        Ok(match fault {
            None => Ok(()),
            Some(_) => Err(StoreFailure::Retry { reason: "the disk is full".to_owned() }),
        })
    }

    /// Whether what every consumer made of its sink's log is the drive, and every stretch without signals was told.
    pub(super) fn check(&self) -> Result<(), String> {
        for (n, sink) in self.sinks.iter().enumerate() {
            self.check_sink(sink).map_err(|what| format!("sink {n}: {what}"))?;
        }
        Ok(())
    }

    fn check_sink(&self, sink: &SinkPlace) -> Result<(), String> {
        let consumer = Consumer::read(&sink.log, &sink.dead_letters)?;
        let living = self.drive.living();
        let begun_at = self.store.begun_at.unwrap_or(0);
        for (id, (at, face)) in &living {
            match consumer.items.get(id) {
                Some(folded) if folded == face => {}
                None if *at <= begun_at => {}
                folded => return Err(format!("{id} is {face}, and the consumer has {folded:?}")),
            }
        }
        if let Some(extra) = consumer.items.keys().find(|id| !living.contains_key(*id)) {
            return Err(format!("{extra} is gone, and the consumer still has it"));
        }
        // The end of a session has to get through before anybody can know of it.
        let notice = SignedDuration::from_secs(1);
        let told = |at: &Timestamp| consumer.gaps.iter().any(|(from, to)| *from <= *at + notice && at <= to);
        match self.missed.iter().find(|at| !told(at)) {
            Some(at) => Err(format!("a signal was missed at {at}, and no gap tells of it: {:?}", consumer.gaps)),
            None => Ok(()),
        }
    }

    /// A number that differs where worlds differ; `timed` says whether another time is another world.
    pub(super) fn trace(&self, timed: bool) -> u64
    where
        D: Hash,
    {
        let saved = self.store.saved.clone().map(|mut record| {
            if !timed {
                (record.place.moved_at, record.place.enumerated_at) = (Timestamp::MIN, Timestamp::MIN);
                record.last_alive = record.last_alive.map(|_| Timestamp::MIN);
                record.gaps = Gaps::default();
            }
            serde_json::to_string(&record).unwrap()
        });
        let graph = &self.graph;
        let faults = format!("{:?}{:?}{:?}", graph.endpoint_fails, graph.page_fails, graph.open_fails);
        let fixed = (&self.drive, saved, &self.store.fails, &self.sinks, faults, &graph.lifetimes, self.since);
        if timed { trace(&(fixed, self.starts, &self.missed, self.now.wall, self.now.mono - self.began)) } else { trace(&fixed) }
    }
}

impl SinkPlace {
    /// How much of an offered batch it takes, and what it says then.
    pub(super) fn answer(&mut self, offered: &[Arc<Event>]) -> (usize, Outcome) {
        let answer = self.answers.pop_front();
        if answer == Some(Answer::Refuses) {
            let change = offered.iter().find(|event| event.event_type() == EventType::Change);
            self.refused.extend(change.map(|event| event.id().to_owned()));
        }
        let refuses = |event: &Arc<Event>| self.refused.contains(event.id()) && !Letter::new(event).truncated;
        let ok = offered.iter().position(refuses).unwrap_or(offered.len());
        let reason = || "for the test".to_owned();
        let (taken, acked, stop) = match answer {
            Some(Answer::Cut { taken, acked }) if taken <= ok => (taken, acked, Some(Stop::Reconnect { reason: reason() })),
            Some(Answer::Holds { taken }) if taken <= ok => (taken, taken, Some(Stop::Hold { what: reason() })),
            Some(Answer::Pauses { taken }) if taken <= ok => (taken, taken, None),
            Some(Answer::Underway { taken, acked }) if taken <= ok => (taken, acked, Some(Stop::Underway)),
            _ if ok < offered.len() => (ok, ok, Some(Stop::Reject { code: "TOO_LARGE".to_owned(), reason: reason() })),
            _ => (ok, ok, None),
        };
        (taken, Outcome { acked, stop })
    }

    /// From here on a crash of drivetap does not lose it.
    pub(super) fn append(&mut self, event: &Event) {
        let letter = Letter::new(event);
        self.covered += u64::from(letter.sequence == Some(self.covered));
        if event.event_type() != EventType::Signal {
            self.log_trace = trace(&(self.log_trace, event.id(), letter.truncated));
        }
        self.log.push(Arc::new(letter));
    }
}

impl Hash for SinkPlace {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (self.log_trace, self.dead_letters.len(), &self.answers, &self.refused).hash(state);
    }
}
