use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;

use super::Io;
use super::input::{Action, Attempt, BatchId, Urgency};
use super::ledger::Ledger;
use super::pace::{Due, Pace, Trigger};
use super::record::{Cursor, Enumeration, Place};
use super::settings::FeedSettings;
use crate::delta::{Link, Page, PageEnd, PageFrom};
use crate::event::{Event, Origin, Position, ResyncPhase};
use crate::failure::{Failure, Remedy};
use crate::time::Now;

/// The walk of the drive by delta: when one is due, page after page, and what becomes of the cursor.
///
/// One walk at a time. An empty walk never moves the cursor: a deletion can be shown late (OneDrive/onedrive-api-docs#1927).
#[derive(Debug)]
pub(super) struct Walk {
    resource: Arc<str>,
    step: Step,
    due: Option<Due>,
    /// The most pressing reason to walk that came up during this walk.
    again: Option<Trigger>,
    trigger: Trigger,
    /// The next of `lag_retries`.
    lag: usize,
    /// Whether this walk has reported anything.
    reported: bool,
    empty_pages: u32,
    /// Where this walk's next page comes from; runs ahead of the cursor over empty pages.
    next: Option<Link>,
    /// The page that waits for its predecessor to be taken by the sinks.
    stash: Option<Page>,
    /// The batch that the sinks' windows have not taken yet.
    unqueued: Option<BatchId>,
    started_at: Option<Instant>,
    finished_at: Option<Timestamp>,
    resync_at: Option<Instant>,
    problem: Option<String>,
    /// The last answer was a refusal that only time or a person ends.
    refused: bool,
    /// How many times in a row the link in the middle of this walk did not work, or the cursor was not accepted.
    link_failed: u8,
    connected: bool,
    timing: Pace,
}

#[derive(Debug, PartialEq)]
enum Step {
    Rest,
    Fetching(Attempt),
    /// The page is here, the sinks have no room for it yet.
    Stashed,
    /// The same walk goes on then.
    Wait(Instant),
    /// The cursor is lost: what is published is awaited before a new generation begins.
    Draining {
        code: String,
        from: Cursor,
        /// How long to wait before the enumeration, where this is not the first one in a row.
        wait: Duration,
    },
    /// A new place is being saved; nothing is published from it before it is.
    Saving(Due),
    Stopped,
}

/// What the steps of a walk work on.
pub(super) struct Desk<'a> {
    pub(super) now: Now,
    pub(super) ledger: &'a mut Ledger,
    pub(super) origin: &'a Arc<Origin>,
    pub(super) io: &'a mut Io,
}

impl Walk {
    /// After how many pages without an item a walk starts over from its place: a server that never comes to an end must not keep it busy.
    const MAX_EMPTY_PAGES: u32 = 1_000;
    /// After how many failures in a row a link is given up: a 410's `Location` that fails (OneDrive/onedrive-api-docs#249), a `nextLink`
    /// that is refused (#1476 there), a cursor that is answered 400.
    const LINK_TRIES: u8 = 4;

    /// `None` where no subscription asks for changes: then there is nothing to walk for.
    pub(super) fn new(settings: &FeedSettings, place: &Place, now: Now) -> Option<Self> {
        let resource = settings.subscriptions.iter().find(|s| s.emit.changes)?.resource.to_string().into();
        let mut walk = Self {
            resource,
            step: Step::Rest,
            due: Some(Due { at: now.mono, trigger: Trigger::First }),
            again: None,
            trigger: Trigger::First,
            lag: 0,
            reported: false,
            empty_pages: 0,
            next: None,
            stash: None,
            unqueued: None,
            started_at: None,
            finished_at: None,
            resync_at: None,
            problem: None,
            refused: false,
            link_failed: 0,
            connected: true,
            timing: Pace::new(&settings.timing),
        };
        walk.schedule_resync(now, place.enumerated_at);
        Some(walk)
    }

    pub(super) fn is_walking(&self) -> bool {
        !matches!(self.step, Step::Rest | Step::Stopped)
    }

    /// Whether delta is refused (403, 404, sign-in): signals go on without it.
    pub(super) fn is_refused(&self) -> bool {
        self.refused
    }

    pub(super) fn problem(&self) -> Option<&str> {
        self.problem.as_deref()
    }

    pub(super) fn last_finished(&self) -> Option<Timestamp> {
        self.finished_at
    }

    pub(super) fn timeout(&self) -> Option<Instant> {
        match self.step {
            Step::Rest => self.due.map(|due| due.at).into_iter().chain(self.resync_at).min(),
            Step::Wait(until) => Some(until),
            _ => None,
        }
    }

    /// Something says that the drive changed.
    pub(super) fn due_on_signal(&mut self, now: Now) {
        self.lag = 0;
        self.want(now, Trigger::Signal);
    }

    /// A session is open: what happened while there was none is found by a walk, not by a replay, which Graph does not offer.
    pub(super) fn due_on_connect(&mut self, now: Now) {
        // Whatever walk this becomes one with, the last wait is still to come.
        self.lag = self.lag.min(self.timing.last_lag());
        self.want(now, Trigger::Connect);
    }

    /// While a session is missing the drive is polled.
    pub(super) fn set_connected(&mut self, now: Now, connected: bool) {
        if self.connected && !connected && self.step == Step::Rest {
            let at = now.mono + self.timing.poll;
            if self.due.is_none_or(|due| at < due.at) {
                self.due = Some(Due { at, trigger: Trigger::Timer });
            }
        }
        self.connected = connected;
    }

    pub(super) fn stop(&mut self) {
        self.step = Step::Stopped;
        self.stash = None;
    }

    /// What time alone makes due. `may_fetch` is false while the store fails.
    pub(super) fn advance(&mut self, may_fetch: bool, desk: &mut Desk<'_>) {
        let mono = desk.now.mono;
        match &mut self.step {
            Step::Rest if self.resync_at.is_some_and(|at| mono >= at) => {
                // An enumeration that is under way, or a feed without a place, is its own.
                let place = desk.ledger.ahead();
                if place.enumeration.is_none() && matches!(place.cursor, Cursor::At(_)) {
                    self.step = Step::Draining { code: "timer".to_owned(), from: Cursor::Root, wait: Duration::ZERO };
                    self.resync_at = None;
                } else {
                    self.resync_at = self.timing.resync_every.map(|every| mono + every);
                }
            }
            Step::Rest if may_fetch => {
                if let Some(due) = self.due.take_if(|due| mono >= due.at) {
                    self.begin(due.trigger, desk);
                }
            }
            Step::Wait(until) if may_fetch && mono >= *until => self.fetch(desk),
            _ => {}
        }
        if let Step::Draining { code, from, wait } = &mut self.step
            && desk.ledger.is_settled()
        {
            let mut place = desk.ledger.ahead().clone();
            place.generation += 1;
            place.walk += 1; // the walk that broke off
            place.moved_at = desk.now.wall;
            place.cursor = std::mem::replace(from, Cursor::Root);
            place.enumeration = Some(Enumeration { code: std::mem::take(code), items: 0, announced: false });
            desk.ledger.step_to(place);
            self.step = Step::Saving(Due { at: mono + *wait, trigger: Trigger::First });
        }
    }

    /// Everything that the ledger holds as acknowledged is durable now.
    pub(super) fn on_saved(&mut self, now: Now) {
        if let Step::Saving(due) = self.step {
            self.step = Step::Rest;
            self.due = Some(due);
            if let Some(trigger) = self.again.take() {
                self.want(now, trigger);
            }
        }
    }

    pub(super) fn on_queued(&mut self, batch: BatchId, desk: &mut Desk<'_>) {
        if self.unqueued.take_if(|unqueued| *unqueued == batch).is_some()
            && let Some(page) = self.stash.take()
        {
            self.take(&page, desk);
        }
    }

    pub(super) fn on_page(&mut self, attempt: Attempt, result: Result<Page, Failure>, desk: &mut Desk<'_>) {
        if self.step != Step::Fetching(attempt) {
            return;
        }
        match result {
            Ok(page) => {
                self.problem = None;
                self.refused = false;
                self.link_failed = 0;
                self.timing.slow.reset();
                if desk.ledger.ahead().cursor == Cursor::None {
                    self.take_latest(page.end, desk);
                } else if self.unqueued.is_some() {
                    self.stash = Some(page);
                    self.step = Step::Stashed;
                } else {
                    self.take(&page, desk);
                }
            }
            Err(failure) => self.on_failure(failure, desk),
        }
    }

    fn begin(&mut self, trigger: Trigger, desk: &mut Desk<'_>) {
        self.trigger = trigger;
        self.again = None;
        self.reported = false;
        self.empty_pages = 0;
        self.next = None;
        self.started_at = Some(desk.now.mono);
        let mut place = desk.ledger.ahead().clone();
        if let Some(enumeration) = place.enumeration.as_mut().filter(|enumeration| !enumeration.announced) {
            enumeration.announced = true;
            let phase = ResyncPhase::Started { code: enumeration.code.clone() };
            let event = self.resync_event(&mut place, &phase, desk);
            self.publish(vec![event], place, desk);
        }
        self.fetch(desk);
    }

    fn fetch(&mut self, desk: &mut Desk<'_>) {
        let from = match &self.next {
            Some(link) => PageFrom::Link(link.clone()),
            None => desk.ledger.ahead().cursor.page_from(),
        };
        let urgency = match self.trigger {
            Trigger::Signal => Urgency::Signalled,
            Trigger::Connect | Trigger::First => Urgency::First,
            Trigger::Timer => Urgency::Safety,
        };
        let attempt = desk.io.attempt();
        self.step = Step::Fetching(attempt);
        desk.io.out.push_back(Action::FetchPage { attempt, from, urgency });
    }

    /// The answer to `token=latest`: nothing but a place to begin, saved before anything else happens.
    fn take_latest(&mut self, end: PageEnd, desk: &mut Desk<'_>) {
        self.empty_pages += 1;
        match end {
            PageEnd::Next(_) if self.empty_pages >= Self::MAX_EMPTY_PAGES => self.start_over(desk),
            PageEnd::Next(link) => {
                self.next = Some(link);
                self.step = Step::Wait(desk.now.mono);
            }
            PageEnd::Delta(link) => {
                let mut place = desk.ledger.ahead().clone();
                place.cursor = Cursor::At(link);
                place.moved_at = desk.now.wall;
                desk.ledger.step_to(place);
                self.finish(desk.now);
                let due = self.due.unwrap_or(Due { at: desk.now.mono, trigger: Trigger::First });
                self.step = Step::Saving(due);
            }
        }
    }

    fn take(&mut self, page: &Page, desk: &mut Desk<'_>) {
        let now = desk.now;
        let mut place = desk.ledger.ahead().clone();
        let mut events = Vec::with_capacity(page.items.len() + 1);
        for item in &page.items {
            let at = Position { generation: place.generation, walk: place.walk, sequence: place.take_sequence() };
            events.push(Arc::new(Event::change(desk.origin, &self.resource, at, item, now.wall)));
        }
        if let Some(enumeration) = &mut place.enumeration {
            enumeration.items += u64::try_from(page.items.len()).unwrap_or(u64::MAX);
        }
        // What cannot be published was shown all the same, and would be shown again by the same link.
        let empty = page.items.is_empty();
        self.reported |= !empty || page.left_out > 0;
        self.empty_pages = if empty { self.empty_pages + 1 } else { 0 };

        match &page.end {
            PageEnd::Next(_) if self.empty_pages >= Self::MAX_EMPTY_PAGES => self.start_over(desk),
            PageEnd::Next(link) => {
                self.next = Some(link.clone());
                if self.reported {
                    place.cursor = Cursor::Within(link.clone());
                    place.moved_at = now.wall;
                    self.publish(events, place, desk);
                }
                self.step = Step::Wait(now.mono);
            }
            PageEnd::Delta(link) => {
                if let Some(Enumeration { items, .. }) = place.enumeration.take() {
                    let event = self.resync_event(&mut place, &ResyncPhase::Completed { items }, desk);
                    events.push(event);
                    place.enumerated_at = now.wall;
                    self.schedule_resync(now, now.wall);
                }
                let quiet = self.timing.had_its_time(self.trigger, self.lag)
                    && now.wall.duration_since(place.moved_at) >= self.timing.quiet;
                let walked_to_the_end = !matches!(place.cursor, Cursor::At(_));
                if self.reported || !events.is_empty() || quiet || walked_to_the_end {
                    place.cursor = Cursor::At(link.clone());
                    place.walk += 1;
                    place.moved_at = now.wall;
                    self.publish(events, place, desk);
                }
                self.finish(now);
            }
        }
    }

    fn on_failure(&mut self, failure: Failure, desk: &mut Desk<'_>) {
        // What is published and saved is the code alone: Graph's id of the request is another one each time.
        let problem = failure.to_string();
        let Failure { remedy, code, .. } = failure;
        let born = desk.ledger.ahead().cursor != Cursor::None;
        let place = desk.ledger.ahead();
        let within = matches!(place.cursor, Cursor::Within(_));
        let at_location = within && place.enumeration.as_ref().is_some_and(|enumeration| enumeration.items == 0);
        let between_walks = matches!(place.cursor, Cursor::At(_)) && self.next.is_none();
        self.link_failed = match remedy {
            // Between walks a permission that is gone says nothing of the cursor.
            Remedy::RetrySlowly { .. } if between_walks => 0,
            Remedy::RetrySlowly { .. } | Remedy::RetryThenResync { .. } => self.link_failed.saturating_add(1),
            Remedy::Retry { .. } if at_location => self.link_failed.saturating_add(1),
            Remedy::Retry { .. } | Remedy::Resync { .. } => 0,
            Remedy::SignIn => self.link_failed,
        };
        let given_up = self.link_failed >= Self::LINK_TRIES;
        // An enumeration that cannot even begin at Graph's `Location` begins at the root; what may pass by itself gets its chance.
        let refused = matches!(remedy, Remedy::RetrySlowly { .. } | Remedy::RetryThenResync { .. } | Remedy::Resync { .. });
        if at_location && (given_up || refused) {
            let root = Place { cursor: Cursor::Root, ..place.clone() };
            desk.ledger.step_to(root);
            self.next = None;
            self.link_failed = 0;
        } else if given_up && (within || between_walks || self.next.is_some()) {
            // The way on is gone for good, though nobody calls it 410.
            return self.lose_link(code, problem, within || between_walks, desk);
        }
        match remedy {
            Remedy::Resync { location } if born && desk.ledger.ahead().cursor != Cursor::Root => {
                self.problem = Some(problem);
                let from = location.map_or(Cursor::Root, Cursor::Within);
                self.next = None;
                // One loss is dealt with at once; a loss in the middle of an enumeration is one after another.
                let again = desk.ledger.ahead().enumeration.is_some();
                let wait = if again { self.timing.backoff.next(&mut desk.io.rng) } else { Duration::ZERO };
                self.step = Step::Draining { code, from, wait };
            }
            Remedy::Resync { .. } => {
                self.next = None;
                self.back_off(problem, None, desk);
            }
            Remedy::Retry { after } => self.back_off(problem, after, desk),
            Remedy::RetrySlowly { after } | Remedy::RetryThenResync { after } => {
                self.refused = true;
                let wait = self.timing.slow.next(&mut desk.io.rng).max(after.unwrap_or_default());
                self.wait(problem, wait, desk.now);
            }
            Remedy::SignIn => {
                self.refused = true;
                self.wait(problem, self.timing.sign_in, desk.now);
            }
        }
    }

    /// A link does not work any more. Where it is the place's own, only an enumeration helps; where the place has not moved onto it, the
    /// walk starts over.
    fn lose_link(&mut self, code: String, problem: String, is_the_place: bool, desk: &mut Desk<'_>) {
        self.next = None;
        self.link_failed = 0;
        if is_the_place {
            self.problem = Some(problem);
            let wait = self.timing.backoff.next(&mut desk.io.rng);
            self.step = Step::Draining { code, from: Cursor::Root, wait };
        } else {
            self.back_off(problem, None, desk);
        }
    }

    fn start_over(&mut self, desk: &mut Desk<'_>) {
        self.next = None;
        self.empty_pages = 0;
        self.back_off("the walk met 1000 empty pages in a row".to_owned(), None, desk);
    }

    fn back_off(&mut self, problem: String, after: Option<Duration>, desk: &mut Desk<'_>) {
        let wait = self.timing.backoff.next(&mut desk.io.rng).max(after.unwrap_or_default());
        self.wait(problem, wait, desk.now);
    }

    fn wait(&mut self, problem: String, wait: Duration, now: Now) {
        self.problem = Some(problem);
        self.step = Step::Wait(now.mono + wait);
    }

    fn finish(&mut self, now: Now) {
        self.step = Step::Rest;
        self.next = None;
        self.timing.backoff.reset();
        self.finished_at = Some(now.wall);
        let wait = if self.connected { self.timing.safety_walk } else { self.timing.poll };
        self.due = Some(match self.timing.lag_wait(self.trigger, self.reported, &mut self.lag) {
            Some(soon) if soon < wait => Due { at: now.mono + soon, trigger: Trigger::Signal },
            _ => Due { at: now.mono + wait, trigger: Trigger::Timer },
        });
        if let Some(trigger) = self.again.take() {
            self.lag = 0;
            self.want(now, trigger);
        }
    }

    fn want(&mut self, now: Now, trigger: Trigger) {
        if self.step == Step::Stopped {
            return;
        }
        if self.is_walking() {
            self.again = Some(self.again.map_or(trigger, |again| again.min(trigger)));
            return;
        }
        let spaced = self.started_at.map_or(now.mono, |started| started + self.timing.spacing);
        let at = now.mono.max(spaced);
        self.due = Some(match self.due {
            Some(due) => Due { at: due.at.min(at), trigger: due.trigger.min(trigger) },
            None => Due { at, trigger },
        });
    }

    fn resync_event(&self, place: &mut Place, phase: &ResyncPhase, desk: &Desk<'_>) -> Arc<Event> {
        let sequence = place.take_sequence();
        Arc::new(Event::resync(desk.origin, &self.resource, place.generation, sequence, phase, desk.now.wall))
    }

    fn publish(&mut self, events: Vec<Arc<Event>>, place: Place, desk: &mut Desk<'_>) {
        if events.is_empty() {
            desk.ledger.step_to(place);
            return;
        }
        let batch = desk.ledger.publish(place);
        self.unqueued = Some(batch);
        desk.io.out.push_back(Action::Publish { batch, events });
    }

    fn schedule_resync(&mut self, now: Now, enumerated_at: Timestamp) {
        self.resync_at = self.timing.resync_every.map(|every| {
            let passed = Duration::try_from(now.wall.duration_since(enumerated_at)).unwrap_or_default();
            now.mono + every.saturating_sub(passed)
        });
    }
}
