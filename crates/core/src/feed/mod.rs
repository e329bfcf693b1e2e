//! The state machine of one drive: everything that can lose data, without any I/O.
//!
//! The driver performs what [`Feed::poll`] asks for and reports back through [`Feed::handle`]. The rule for using the three verbs:
//! after every `handle`, and whenever [`Feed::timeout`] has passed, call `poll` until it returns `None`.
//!
//! ```text
//!            handle(now, Input)                      poll(now) -> Action
//!  Endpoint, Opened, Signals, Ended  ─►  lanes  ─►  FetchEndpoint, Open, Close
//!  Page, Queued, Acked               ─►  walk   ─►  FetchPage, Publish, PublishSignals, TellLoss
//!  Committed                         ─►  record ─►  Commit
//! ```
//!
//! *Invariants:* the cursor moves only over what was acknowledged. After every (re)connect a walk is due. A renewal closes the old
//! session only when its successor is open. An answer to an attempt that is no longer wanted changes nothing.

mod gap;
mod input;
mod lane;
mod ledger;
mod loss;
mod pace;
mod record;
mod settings;
mod status;
mod walk;

#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;

pub use self::gap::Gaps;
pub use self::input::{Action, Attempt, BatchId, EndedBy, Input, OpenFailure, StoreFailure, Urgency};
pub use self::loss::{Loss, Losses};
pub use self::record::{Cursor, Enumeration, Place, Record};
pub use self::settings::{Emit, FeedSettings, Start, SubscriptionSettings, Timing};
pub use self::status::{LaneState, LaneStatus, Status};

use self::lane::Lane;
use self::ledger::Ledger;
use self::walk::{Desk, Walk};
use crate::backoff::Backoff;
use crate::event::{Event, GapReason, Origin};
use crate::time::Now;

/// One account's view of one drive.
#[derive(Debug)]
pub struct Feed {
    settings: FeedSettings,
    origin: Arc<Origin>,
    io: Io,
    lanes: Vec<Lane>,
    walk: Option<Walk>,
    ledger: Ledger,
    gaps: Gaps,
    losses: Losses,
    /// See [`Record::may_begin`].
    may_begin: bool,
    /// The last batch that every sink's window has taken, or lost.
    queued: BatchId,
    /// The last batch that every sink which holds the cursor has.
    acked: BatchId,
    /// When all sessions were last known to be up.
    last_alive: Option<Timestamp>,
    alive_due: Option<Instant>,
    commit: Commit,
    store_backoff: Backoff,
    phase: Phase,
    last_now: Now,
    problem: Option<String>,
}

/// What the parts of a feed write to: actions out, attempt ids, randomness.
#[derive(Debug)]
struct Io {
    out: VecDeque<Action>,
    last_attempt: u64,
    rng: fastrand::Rng,
}

impl Io {
    fn attempt(&mut self) -> Attempt {
        self.last_attempt += 1;
        Attempt(self.last_attempt)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// No cursor is saved yet; nothing may be published or connected.
    Birth,
    Running,
    /// Asked to stop: what is published is awaited, nothing new begins.
    Releasing,
    Released,
}

/// At most one write to the store is under way; what changes meanwhile goes with the next one.
#[derive(Debug)]
struct Commit {
    dirty: bool,
    in_flight: Option<(Attempt, Instant)>,
    /// When a failed write is tried again; stays set until one succeeds.
    retry_at: Option<Instant>,
    /// The write that carries a gap which is to be published once it is durable.
    gap_in: Option<Attempt>,
    gap_saved: bool,
}

impl Feed {
    /// How long after the last sign of life the row is written again.
    pub const ALIVE_EVERY: Duration = Duration::from_secs(10);
    /// How long a write to the store may take before nothing more is fetched.
    pub const STORE_PATIENCE: Duration = Duration::from_secs(10);
    /// How far wall time may run ahead of monotonic time before the machine is taken to have slept.
    pub const SLEPT: Duration = Duration::from_secs(30);

    /// A feed that goes on from `record`, or begins where there is none. `seed` decides every random choice.
    #[must_use]
    pub fn new(settings: FeedSettings, record: Option<Record>, now: Now, seed: u64) -> Self {
        let mut rng = fastrand::Rng::with_seed(seed);
        let first_start = record.is_none();
        let record = record.unwrap_or_else(|| Record::new(rng.u128(..), now.wall));
        let origin = Arc::new(Origin::new(settings.id.clone(), &settings.base_url, record.place.incarnation));
        let lanes = settings.subscriptions.iter().map(|s| Lane::new(s.clone(), &settings.timing)).collect();
        // A restart leaves a gap from the last sign of life; the very first start, and a feed that never connected, leave none.
        let mut gaps = if settings.emits_signals() { record.gaps.untold() } else { Gaps::default() };
        if let Some(from) = record.last_alive.filter(|_| settings.emits_signals()) {
            gaps.open(from, GapReason::Restart);
        }
        let walk = Walk::new(&settings, &record.place, now);
        let mut ledger = Ledger::new(record.place);
        let begins = walk.is_some() && settings.start() == Start::Beginning;
        let again = match ledger.ahead() {
            _ if walk.is_none() => None,
            // It began with the latest before this subscription's drive was known.
            place if begins && record.may_begin && place.cursor != Cursor::None => Some(place.begun_again(now.wall)),
            place => place.enumerated_again(now.wall),
        };
        let new = ledger.ahead().cursor == Cursor::None;
        let may_begin = !begins && settings.may_begin && (new || record.may_begin);
        let renewed = again.is_some();
        if let Some(place) = again {
            ledger.step_to(place);
        }
        if begins && ledger.ahead().cursor == Cursor::None {
            ledger.step_to(Place { cursor: Cursor::Root, ..ledger.ahead().clone() });
        }
        let needs_cursor = walk.is_some() && ledger.ahead().cursor == Cursor::None;
        let born = !first_start && !needs_cursor && !renewed;
        let mut feed = Self {
            io: Io { out: VecDeque::new(), last_attempt: 0, rng },
            lanes,
            walk,
            ledger,
            gaps,
            losses: record.losses,
            may_begin,
            queued: BatchId(0),
            acked: BatchId(0),
            last_alive: record.last_alive,
            alive_due: None,
            // The record is saved before anything is published: ids are made over its incarnation.
            commit: Commit {
                dirty: first_start || may_begin != record.may_begin,
                in_flight: None,
                retry_at: None,
                gap_in: None,
                gap_saved: true,
            },
            store_backoff: settings.timing.backoff.clone(),
            phase: if born { Phase::Running } else { Phase::Birth },
            last_now: now,
            problem: None,
            settings,
            origin,
        };
        feed.tell_losses(now);
        feed.advance(now);
        feed
    }

    /// Takes what happened.
    pub fn handle(&mut self, now: Now, input: Input) {
        self.notice_sleep(now);
        match input {
            Input::Endpoint { attempt, result } => {
                for lane in &mut self.lanes {
                    lane.on_endpoint(now, attempt, &result, &mut self.io);
                }
            }
            Input::Opened { attempt, result } => self.on_opened(now, attempt, &result),
            Input::Signals { session, notifications, merged } => self.on_signals(now, session, &notifications, merged),
            Input::Ended { session, by, silence } => self.on_ended(now, session, by, silence),
            Input::Page { attempt, result } => self.with_walk(now, |walk, desk| walk.on_page(attempt, result, desk)),
            Input::Queued { batch, lost } => {
                self.on_queued(batch, lost);
                self.with_walk(now, |walk, desk| walk.on_queued(batch, desk));
            }
            Input::Acked { through } => self.on_acked(through),
            Input::LossTold { sink, from } => self.commit.dirty |= self.losses.told(&sink, from),
            Input::Committed { attempt, result } => self.on_committed(now, attempt, result),
            Input::Release => self.on_release(now),
        }
        self.advance(now);
    }

    /// The next thing to do, or `None` until the next input or [`timeout`](Self::timeout).
    pub fn poll(&mut self, now: Now) -> Option<Action> {
        if self.io.out.is_empty() {
            self.notice_sleep(now);
            self.advance(now);
        }
        self.io.out.pop_front()
    }

    /// When to call [`poll`](Self::poll) though nothing happened.
    #[must_use]
    pub fn timeout(&self) -> Option<Instant> {
        let commit = self.commit.retry_at.filter(|_| self.commit.dirty && self.commit.in_flight.is_none());
        match self.phase {
            Phase::Released => None,
            Phase::Releasing => commit,
            Phase::Birth => self.walk_timeout().into_iter().chain(commit).min(),
            Phase::Running => {
                self.lanes.iter().filter_map(Lane::timeout).chain(self.walk_timeout()).chain(self.alive_due).chain(commit).min()
            }
        }
    }

    /// What an operator sees of this feed.
    #[must_use]
    pub fn status(&self, now: Now) -> Status {
        let place = self.ledger.acknowledged();
        Status {
            lanes: self.lanes.iter().map(|lane| lane.status(now)).collect(),
            walking: self.walk.as_ref().is_some_and(Walk::is_walking),
            problem: self.problem.clone().or_else(|| self.walk.as_ref()?.problem().map(str::to_owned)),
            unsaved: self.problem.clone(),
            generation: place.generation,
            sequence: place.sequence,
            cursor_moved_at: place.moved_at,
            last_walk: self.walk.as_ref().and_then(Walk::last_finished),
            settled: self.ledger.is_settled(),
            released: self.phase == Phase::Released,
        }
    }

    /// What a restart would go on from, as far as it was acknowledged.
    #[must_use]
    pub fn record(&self) -> Record {
        let place = self.ledger.acknowledged().clone();
        Record {
            place,
            gaps: self.gaps.clone(),
            losses: self.losses.clone(),
            may_begin: self.may_begin,
            last_alive: self.last_alive,
        }
    }

    fn on_opened(&mut self, now: Now, attempt: Attempt, result: &Result<(), OpenFailure>) {
        let known = self.lanes.iter_mut().any(|lane| lane.on_opened(now, attempt, result, &mut self.io));
        if known && result.is_ok() && self.phase == Phase::Running {
            self.with_walk(now, |walk, desk| walk.due_on_connect(desk.now));
        } else if !known && result.is_ok() {
            self.io.out.push_back(Action::Close { session: attempt });
        }
    }

    fn on_signals(&mut self, now: Now, session: Attempt, notifications: &[crate::Notification], merged: u64) {
        let Some(lane) = self.lanes.iter().find(|lane| lane.has_session(session)) else {
            return;
        };
        if lane.emit().signals {
            let resource = lane.resource_text();
            let events = notifications
                .iter()
                .map(|n| Arc::new(Event::signal(&self.origin, resource, n, self.io.rng.u128(..), now.wall)))
                .collect();
            self.io.out.push_back(Action::PublishSignals { events, merged });
        }
        self.with_walk(now, |walk, desk| walk.due_on_signal(desk.now));
    }

    fn on_ended(&mut self, now: Now, session: Attempt, by: EndedBy, silence: Duration) {
        let stood = self.lanes.iter_mut().find_map(|lane| lane.on_ended(now, session, by, &mut self.io));
        if let Some(stood) = stood
            && self.phase == Phase::Running
        {
            self.open_gap(now, now.wall_before(silence.min(stood)), GapReason::Disconnected);
        }
    }

    fn on_committed(&mut self, now: Now, attempt: Attempt, result: Result<(), StoreFailure>) {
        if self.commit.in_flight.take_if(|(wanted, _)| *wanted == attempt).is_none() {
            return;
        }
        let carried_gap = self.commit.gap_in.take_if(|gap_in| *gap_in == attempt).is_some();
        match result {
            Ok(()) => {
                self.commit.gap_saved |= carried_gap;
                self.commit.retry_at = None;
                self.store_backoff.reset();
                self.problem = None;
                if !self.commit.dirty {
                    self.with_walk(now, |walk, desk| walk.on_saved(desk.now));
                }
            }
            Err(StoreFailure::Retry { reason }) => {
                self.commit.dirty = true;
                self.commit.retry_at = Some(now.mono + self.store_backoff.next(&mut self.io.rng));
                self.problem = Some(reason);
            }
            Err(StoreFailure::Lost { reason }) => {
                // Someone else owns the feed now: whatever this one still did would be done twice.
                self.problem = Some(reason);
                self.stop_all();
                self.phase = Phase::Released;
                self.io.out.push_back(Action::Released);
            }
        }
    }

    fn on_release(&mut self, now: Now) {
        if matches!(self.phase, Phase::Released | Phase::Releasing) {
            return;
        }
        if self.phase == Phase::Running && self.all_up(now) && !self.gaps.is_open() {
            self.last_alive = Some(now.wall);
            self.commit.dirty = true;
        }
        self.stop_all();
        self.phase = Phase::Releasing;
    }

    fn stop_all(&mut self) {
        for lane in &mut self.lanes {
            lane.stop(&mut self.io);
        }
        if let Some(walk) = &mut self.walk {
            walk.stop();
        }
    }

    /// Everything that time alone, or what was just taken in, makes due.
    fn advance(&mut self, now: Now) {
        self.last_now = now;
        match self.phase {
            Phase::Released => return,
            Phase::Releasing => {
                self.commit.dirty |= self.ledger.take_moved();
                let idle = self.ledger.is_settled() && !self.commit.dirty && self.commit.in_flight.is_none();
                if idle {
                    self.phase = Phase::Released;
                    self.io.out.push_back(Action::Released);
                    return;
                }
            }
            Phase::Birth => {
                self.advance_walk(now);
                // Where delta is refused, signals go on without a cursor; it is asked for as before.
                let refused = self.walk.as_ref().is_some_and(Walk::is_refused);
                self.commit.dirty |= self.ledger.take_moved();
                if (!self.needs_cursor() || refused) && !self.commit.dirty && self.commit.in_flight.is_none() {
                    self.phase = Phase::Running;
                    return self.advance(now);
                }
            }
            Phase::Running => {
                for lane in &mut self.lanes {
                    lane.advance(now, &mut self.io);
                }
                if let Some(expired) = self.lanes.iter().filter_map(|lane| lane.expired(now)).min() {
                    let from = now.wall_before(now.mono.saturating_duration_since(expired));
                    self.open_gap(now, from, GapReason::Expired);
                }
                self.close_gap(now);
                self.note_alive(now);
                let connected = self.lanes.iter().all(|lane| lane.is_up(now));
                self.with_walk(now, |walk, desk| walk.set_connected(desk.now, connected));
                self.advance_walk(now);
            }
        }
        self.advance_commit(now);
        if self.phase == Phase::Running && self.commit.gap_saved {
            self.publish_gap(now);
        }
    }

    fn advance_walk(&mut self, now: Now) {
        // A record is saved before a new feed publishes; while the store fails nothing more is fetched, because it would be
        // published again after a crash, without a bound.
        let may_fetch = self.may_fetch() && !self.store_hangs(now);
        self.with_walk(now, |walk, desk| walk.advance(may_fetch, desk));
    }

    fn may_fetch(&self) -> bool {
        self.commit.retry_at.is_none() && (self.phase == Phase::Running || self.needs_cursor())
    }

    fn store_hangs(&self, now: Now) -> bool {
        self.commit.in_flight.is_some_and(|(_, since)| now.mono >= since + Self::STORE_PATIENCE)
    }

    fn walk_timeout(&self) -> Option<Instant> {
        // While a write is under way past patience, its answer is what wakes the walk.
        let hangs = self.store_hangs(self.last_now);
        self.walk.as_ref().filter(|_| self.may_fetch() && !hangs).and_then(Walk::timeout)
    }

    /// Whether changes are asked for and no place to begin is known yet.
    fn needs_cursor(&self) -> bool {
        self.walk.is_some() && self.ledger.ahead().cursor == Cursor::None
    }

    fn with_walk(&mut self, now: Now, act: impl FnOnce(&mut Walk, &mut Desk<'_>)) {
        if let Some(walk) = &mut self.walk {
            act(walk, &mut Desk { now, ledger: &mut self.ledger, origin: &self.origin, io: &mut self.io });
        }
    }

    fn advance_commit(&mut self, now: Now) {
        self.commit.dirty |= self.ledger.take_moved();
        let due = self.commit.retry_at.is_none_or(|at| now.mono >= at);
        if self.commit.dirty && self.commit.in_flight.is_none() && due {
            let attempt = self.io.attempt();
            self.commit.dirty = false;
            self.commit.in_flight = Some((attempt, now.mono));
            if self.gaps.has_unpublished() && !self.commit.gap_saved {
                self.commit.gap_in = Some(attempt);
            }
            self.io.out.push_back(Action::Commit { attempt, record: Box::new(self.record()) });
        }
    }

    fn all_up(&self, now: Now) -> bool {
        // A subscription that never had a session, and whose first attempt failed, has missed nothing that another one's gap could tell.
        let mut lanes = self.lanes.iter().filter(|lane| lane.emit().signals && !lane.is_stranger()).peekable();
        lanes.peek().is_some() && lanes.all(|lane| lane.is_up(now))
    }

    fn note_alive(&mut self, now: Now) {
        if !self.settings.emits_signals() || self.gaps.is_open() || !self.all_up(now) {
            self.alive_due = None;
            return;
        }
        if self.alive_due.is_none_or(|due| now.mono >= due) {
            self.last_alive = Some(now.wall);
            self.alive_due = Some(now.mono + Self::ALIVE_EVERY);
            self.commit.dirty = true;
        }
    }

    fn open_gap(&mut self, now: Now, from: Timestamp, reason: GapReason) {
        // A feed that never had a session has nothing to miss: the very first start leaves no gap.
        if self.last_alive.is_some() && !self.all_up(now) {
            self.commit.dirty |= self.gaps.open(from, reason);
        }
    }

    /// Once every session that matters is back, the gap has an end.
    fn close_gap(&mut self, now: Now) {
        if self.all_up(now) && self.gaps.close(now.wall) {
            self.commit.dirty = true;
            self.commit.gap_saved = false;
        }
    }

    fn publish_gap(&mut self, now: Now) {
        let Some(resource) = self.lanes.iter().find(|lane| lane.emit().signals).map(Lane::resource_text) else {
            return;
        };
        if let Some(gap) = self.gaps.publish(self.settings.emits_changes()) {
            let event = Arc::new(Event::gap(&self.origin, resource, &gap, now.wall));
            let batch = self.ledger.publish_gap(gap.from);
            self.io.out.push_back(Action::Publish { batch, events: vec![event] });
        }
    }

    fn notice_sleep(&mut self, now: Now) {
        let mono = now.mono.saturating_duration_since(self.last_now.mono);
        let wall = Duration::try_from(now.wall.duration_since(self.last_now.wall)).unwrap_or_default();
        if self.phase == Phase::Running && wall > mono + Self::SLEPT {
            let slept_at = self.last_now.wall;
            for lane in &mut self.lanes {
                lane.reconnect(now, &mut self.io);
            }
            self.last_now = now;
            self.open_gap(now, slept_at, GapReason::Suspended);
        }
    }
}
