mod hostile;

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::*;
use crate::delta::{Link, Page, PageEnd, PageFrom};
use crate::failure::{Failure, Remedy};
use crate::notification_url::{NotificationHosts, NotificationUrl};
use crate::subscription::{Endpoint, Subscription};
use crate::{AccountName, Drive, DriveType, FeedId, GraphId, Item, Notification, Resource};

/// A feed with a driver of a few lines: it collects actions, and saves records at once unless told otherwise.
struct Rig {
    feed: Feed,
    now: Now,
    actions: Vec<Action>,
    saved: Option<Record>,
    store: Result<(), StoreFailure>,
}

const BOTH: Emit = Emit { signals: true, changes: true };

impl Rig {
    fn new() -> Self {
        Self::with(vec![subscription(BOTH, Start::Latest)], None)
    }

    fn with(subscriptions: Vec<SubscriptionSettings>, record: Option<Record>) -> Self {
        let now = Now { mono: Instant::now(), wall: "2026-11-23T10:00:00Z".parse().unwrap() };
        Self::at(now, subscriptions, record)
    }

    fn at(now: Now, subscriptions: Vec<SubscriptionSettings>, record: Option<Record>) -> Self {
        let feed = Feed::new(settings(subscriptions), record.clone(), now, 7);
        let mut rig = Self { feed, now, actions: Vec::new(), saved: record, store: Ok(()) };
        rig.run();
        rig
    }

    /// Performs saves, collects the rest, and checks that the feed does not ask to be woken at once.
    fn run(&mut self) {
        while let Some(action) = self.feed.poll(self.now) {
            match action {
                Action::Commit { attempt, record } => {
                    if self.store.is_ok() {
                        self.saved = Some(*record);
                    }
                    self.feed.handle(self.now, Input::Committed { attempt, result: self.store.clone() });
                }
                other => self.actions.push(other),
            }
        }
        assert!(self.feed.timeout().is_none_or(|at| at > self.now.mono), "the driver would spin: {:?}", self.feed);
    }

    fn handle(&mut self, input: Input) {
        self.feed.handle(self.now, input);
        self.run();
    }

    /// Lets time pass, waking the feed whenever it asks for it.
    fn pass(&mut self, time: Duration) {
        let end = self.now.after(time);
        while let Some(at) = self.feed.timeout().filter(|at| *at <= end.mono) {
            self.now = self.now.after(at - self.now.mono);
            self.run();
        }
        self.now = end;
        self.run();
    }

    fn take<T>(&mut self, mut pick: impl FnMut(&Action) -> Option<T>) -> Option<T> {
        let at = self.actions.iter().position(|action| pick(action).is_some())?;
        pick(&self.actions.remove(at))
    }

    fn wants_endpoint(&self) -> bool {
        self.actions.iter().any(|a| matches!(a, Action::FetchEndpoint { .. }))
    }

    fn wants_page(&self) -> bool {
        self.actions.iter().any(|a| matches!(a, Action::FetchPage { .. }))
    }

    fn fetch_endpoint(&mut self) -> Option<Attempt> {
        self.take(|a| if let Action::FetchEndpoint { attempt, .. } = a { Some(*attempt) } else { None })
    }

    fn open(&mut self) -> Option<Attempt> {
        self.take(|a| if let Action::Open { attempt, .. } = a { Some(*attempt) } else { None })
    }

    fn closed(&mut self) -> Option<Attempt> {
        self.take(|a| if let Action::Close { session } = a { Some(*session) } else { None })
    }

    fn fetch_page(&mut self) -> Option<(Attempt, PageFrom)> {
        self.take(|a| if let Action::FetchPage { attempt, from, .. } = a { Some((*attempt, from.clone())) } else { None })
    }

    fn published(&mut self) -> Option<(BatchId, Vec<Arc<Event>>)> {
        self.take(|a| if let Action::Publish { batch, events } = a { Some((*batch, events.clone())) } else { None })
    }

    fn released(&mut self) -> bool {
        self.take(|a| matches!(a, Action::Released).then_some(())).is_some()
    }

    /// Answers the page that is asked for; says where it was asked from.
    fn page(&mut self, items: &[&str], end: PageEnd) -> PageFrom {
        let (attempt, from) = self.fetch_page().expect("a page is asked for");
        self.handle(Input::Page { attempt, result: Ok(Page { items: items.iter().map(|id| item(id)).collect(), end }) });
        from
    }

    fn page_fails(&mut self, remedy: Remedy, code: &str) {
        let (attempt, _) = self.fetch_page().expect("a page is asked for");
        self.handle(Input::Page { attempt, result: Err(Failure { remedy, code: code.to_owned() }) });
    }

    fn endpoint_fails(&mut self, remedy: Remedy) {
        let attempt = self.fetch_endpoint().expect("an endpoint is asked for");
        self.handle(Input::Endpoint { attempt, result: Err(Failure { remedy, code: "notSupported".to_owned() }) });
    }

    /// Answers endpoint and open; the session's name comes back.
    fn connect(&mut self, lifetime: Option<Duration>) -> Attempt {
        let attempt = self.fetch_endpoint().expect("an endpoint is asked for");
        self.handle(Input::Endpoint { attempt, result: Ok(endpoint(lifetime)) });
        let attempt = self.open().expect("a session is opened");
        self.handle(Input::Opened { attempt, result: Ok(()) });
        attempt
    }

    /// A feed that runs: cursor at `/d?0`, a session, nothing due but the safety walk.
    fn running() -> (Self, Attempt) {
        let mut rig = Self::new();
        rig.page(&[], delta(0));
        let session = rig.connect(Some(Duration::from_secs(3600)));
        rig.pass(Duration::from_secs(1));
        rig.page(&[], delta(0));
        rig.pass(Duration::from_secs(1));
        assert!(rig.actions.is_empty(), "{:?}", rig.actions);
        (rig, session)
    }

    fn signal(&mut self, session: Attempt) {
        self.handle(Input::Signals { session, notifications: vec![Notification::default()], merged: 0 });
        self.take(|a| matches!(a, Action::PublishSignals { .. }).then_some(()));
    }

    fn ack(&mut self, batch: BatchId) {
        self.handle(Input::Queued { batch });
        self.handle(Input::Acked { through: batch });
    }

    fn restart(self, after: Duration) -> Self {
        Self::at(self.now.after(after), vec![subscription(BOTH, Start::Latest)], self.saved)
    }

    fn saved_place(&self) -> Place {
        self.saved.clone().unwrap().place
    }
}

fn subscription(emit: Emit, start: Start) -> SubscriptionSettings {
    SubscriptionSettings { resource: Resource::Me, emit, start }
}

fn settings(subscriptions: Vec<SubscriptionSettings>) -> FeedSettings {
    let drive = Drive::new(&GraphId::new("driveId", "b!x").unwrap(), DriveType::Business);
    let backoff = Backoff::try_new(Duration::from_secs(1), Duration::from_secs(60)).unwrap();
    let slow = Backoff::try_slow(Duration::from_secs(60), Duration::from_secs(900)).unwrap();
    FeedSettings {
        id: FeedId { account: AccountName::default(), drive: drive.id },
        base_url: "https://graph.microsoft.com/v1.0".to_owned(),
        subscriptions,
        timing: Timing::new(backoff, slow),
    }
}

fn endpoint(lifetime: Option<Duration>) -> Endpoint {
    let hosts = NotificationHosts::default();
    let notification_url = NotificationUrl::parse("https://x.svc.ms/notifications?token=t", &hosts).unwrap();
    let subscription =
        Subscription { id: None, notification_url, expiration: None, client_state: None, extra: serde_json::Map::new() };
    Endpoint { subscription, lifetime }
}

fn item(id: &str) -> Item {
    Item::new(json!({ "id": id, "name": id })).unwrap()
}

fn link(n: u32) -> Link {
    Link::new(format!("/d?{n}")).unwrap()
}

fn delta(n: u32) -> PageEnd {
    PageEnd::Delta(link(n))
}

fn next(n: u32) -> PageEnd {
    PageEnd::Next(link(n))
}

fn ids(events: &[Arc<Event>]) -> Vec<String> {
    events.iter().map(|e| e.id().to_owned()).collect()
}

fn data(event: &Event) -> Value {
    event.data_value()
}

#[test]
fn latest_is_saved_before_an_endpoint_is_asked_for() {
    let mut rig = Rig::new();
    assert_eq!(rig.fetch_endpoint(), None);
    rig.store = Err(StoreFailure::Retry { reason: "disk full".to_owned() });
    assert_eq!(rig.page(&["ignored"], delta(1)), PageFrom::Latest);
    rig.pass(Duration::from_secs(600));
    assert_eq!(rig.fetch_endpoint(), None, "the cursor is not saved yet");
    assert_eq!(rig.feed.status(rig.now).problem.as_deref(), Some("disk full"));
    rig.store = Ok(());
    rig.pass(Duration::from_secs(60));
    assert_eq!(rig.saved_place().cursor, Cursor::At(link(1)));
    assert!(rig.fetch_endpoint().is_some());
    assert!(rig.published().is_none(), "what was there before is not news");
}

#[test]
fn beginning_publishes_what_is_there() {
    let mut rig = Rig::with(vec![subscription(BOTH, Start::Beginning)], None);
    assert_eq!(rig.page(&["root", "a"], next(1)), PageFrom::Root);
    let (first, events) = rig.published().unwrap();
    assert_eq!(events.len(), 2);
    rig.handle(Input::Queued { batch: first });
    rig.page(&["b"], delta(2));
    let (second, events) = rig.published().unwrap();
    assert_eq!(events[0].sequence(), Some(crate::Sequence(2)));
    rig.ack(second);
    assert_eq!(rig.saved_place().cursor, Cursor::At(link(2)));
}

#[test]
fn the_record_is_saved_before_the_first_event() {
    let subscriptions = vec![subscription(BOTH, Start::Beginning)];
    let now = Now { mono: Instant::now(), wall: "2026-11-23T10:00:00Z".parse().unwrap() };
    let mut feed = Feed::new(settings(subscriptions), None, now, 1);
    let first = feed.poll(now);
    assert!(matches!(first, Some(Action::Commit { .. })), "{first:?}");
    assert!(feed.poll(now).is_none(), "ids are made over the incarnation, so it is durable first");
}

#[test]
fn the_cursor_moves_only_over_what_was_acknowledged() {
    let (mut rig, session) = Rig::running();
    rig.signal(session);
    rig.page(&["a"], next(1));
    let (first, _) = rig.published().unwrap();
    rig.handle(Input::Queued { batch: first });
    rig.page(&["b"], delta(2));
    let (second, _) = rig.published().unwrap();
    rig.handle(Input::Queued { batch: second });
    assert_eq!(rig.saved_place().cursor, Cursor::At(link(0)));
    rig.handle(Input::Acked { through: first });
    assert_eq!((rig.saved_place().cursor, rig.saved_place().sequence), (Cursor::Within(link(1)), 1));
    rig.handle(Input::Acked { through: second });
    assert_eq!((rig.saved_place().cursor, rig.saved_place().walk), (Cursor::At(link(2)), 1));
}

#[test]
fn a_page_waits_until_its_predecessor_found_room() {
    let (mut rig, session) = Rig::running();
    rig.signal(session);
    rig.page(&["a"], next(1));
    let (first, _) = rig.published().unwrap();
    rig.page(&["b"], next(2));
    assert!(rig.published().is_none(), "the sinks have no room");
    assert!(rig.fetch_page().is_none(), "one page is asked for ahead, not two");
    rig.handle(Input::Queued { batch: first });
    assert!(rig.published().is_some());
    assert!(rig.fetch_page().is_some());
}

#[test]
fn a_redelivery_carries_the_same_ids_and_sequences() {
    let (mut rig, session) = Rig::running();
    rig.signal(session);
    rig.page(&["a", "b"], delta(1));
    let (_, before) = rig.published().unwrap();
    let mut rig = rig.restart(Duration::from_secs(5));
    assert_eq!(rig.page(&["a", "b"], delta(1)), PageFrom::Link(link(0)));
    let (_, after) = rig.published().unwrap();
    assert_eq!(ids(&before), ids(&after));
    assert_eq!(before[1].sequence(), after[1].sequence());
}

#[test]
fn two_walks_never_share_an_id() {
    let (mut rig, session) = Rig::running();
    let mut seen = std::collections::BTreeSet::new();
    for n in 1..4 {
        rig.signal(session);
        rig.pass(Duration::from_secs(1));
        rig.page(&["a"], delta(n));
        let (batch, events) = rig.published().unwrap();
        rig.ack(batch);
        seen.extend(ids(&events));
    }
    assert_eq!(seen.len(), 3, "delete, restore, delete must arrive as three");
}

#[test]
fn every_connect_makes_a_walk_due() {
    let (mut rig, mut session) = Rig::running();
    for by in [EndedBy::Server, EndedBy::Network, EndedBy::Us] {
        rig.handle(Input::Ended { session, by, silence: Duration::ZERO });
        rig.pass(Duration::from_secs(70));
        assert!(rig.fetch_page().is_none(), "{by:?}: not yet");
        session = rig.connect(None);
        rig.page(&[], delta(0));
        if let Some((gap, _)) = rig.published() {
            rig.ack(gap);
        }
    }
}

#[test]
fn a_renewal_opens_the_new_session_before_it_closes_the_old_one() {
    for (lifetime, earliest, latest) in [(Some(3600), 2160, 3060), (Some(1440), 864, 1224), (None, 1800, 1800)] {
        let mut rig = Rig::new();
        rig.page(&[], delta(0));
        let old = rig.connect(lifetime.map(Duration::from_secs));
        rig.pass(Duration::from_secs(earliest - 1));
        assert_eq!(rig.fetch_endpoint(), None, "{lifetime:?}: too early");
        rig.pass(Duration::from_secs(latest - earliest + 1));
        let attempt = rig.fetch_endpoint().unwrap_or_else(|| panic!("{lifetime:?}: too late"));
        rig.handle(Input::Endpoint { attempt, result: Ok(endpoint(lifetime.map(Duration::from_secs))) });
        assert_eq!(rig.closed(), None);
        let new = rig.open().unwrap();
        rig.handle(Input::Opened { attempt: new, result: Ok(()) });
        assert_eq!(rig.closed(), Some(old));
        assert!(!rig.feed.gaps.is_open(), "nothing was missed");
    }
}

#[test]
fn a_failed_renewal_leaves_the_working_session_alone_and_is_spaced() {
    let (mut rig, _) = Rig::running();
    while !rig.wants_endpoint() {
        rig.pass(Duration::from_secs(1));
    }
    rig.endpoint_fails(Remedy::Retry { after: None });
    assert_eq!(rig.closed(), None);
    rig.pass(Duration::from_secs(58));
    assert_eq!(rig.fetch_endpoint(), None, "not within 60 s of the last attempt");
    rig.pass(Duration::from_secs(2));
    assert!(rig.fetch_endpoint().is_some());
    assert_eq!(rig.feed.status(rig.now).lanes[0].state, LaneState::Up);
}

#[test]
fn an_endpoint_that_runs_out_opens_a_gap_though_the_server_says_nothing() {
    let (mut rig, old) = Rig::running();
    rig.pass(Duration::from_secs(3060));
    while rig.fetch_page().is_some() {}
    rig.endpoint_fails(Remedy::Retry { after: Some(Duration::from_secs(900)) });
    rig.pass(Duration::from_secs(880));
    assert_eq!(rig.feed.status(rig.now).lanes[0].state, LaneState::Waiting);
    assert!(rig.feed.gaps.is_open());
    rig.pass(Duration::from_secs(120));
    rig.connect(None);
    assert_eq!(rig.closed(), Some(old));
    let (_, events) = rig.published().unwrap();
    assert_eq!(data(&events[0])["reason"], "expired");
    assert_eq!(data(&events[0])["from"], "2026-11-23T11:00:00Z");
}

#[test]
fn an_empty_walk_after_a_signal_is_repeated_and_never_moves_the_cursor() {
    let (mut rig, session) = Rig::running();
    rig.signal(session);
    for wait in [2, 5, 15, 60] {
        rig.page(&[], delta(9));
        rig.pass(Duration::from_secs(wait) - Duration::from_millis(1));
        assert!(rig.fetch_page().is_none(), "before {wait} s");
        rig.pass(Duration::from_millis(1));
    }
    assert_eq!(rig.page(&[], delta(9)), PageFrom::Link(link(0)));
    rig.pass(Duration::from_secs(600));
    assert!(rig.fetch_page().is_none(), "the safety walk is next");
    assert_eq!(rig.saved_place().cursor, Cursor::At(link(0)));
}

#[test]
fn after_a_day_of_empty_walks_the_newest_link_is_taken() {
    let (mut rig, _) = Rig::running();
    for hour in 1..=25u32 {
        rig.pass(Duration::from_secs(3600));
        if rig.wants_endpoint() {
            rig.connect(None);
        }
        while rig.closed().is_some() {}
        if let Some((gap, _)) = rig.published() {
            rig.ack(gap);
        }
        if rig.wants_page() {
            rig.page(&[], delta(hour));
        }
    }
    let place = rig.saved_place();
    assert!(place.cursor != Cursor::At(link(0)), "{place:?}");
    assert_eq!(place.sequence, 0);
}

#[test]
fn a_drive_that_nobody_signals_is_walked_all_the_same() {
    let (mut rig, _) = Rig::running();
    rig.pass(Duration::from_secs(3590));
    assert!(!rig.wants_page(), "the safety walk is an hour after the last one");
    rig.pass(Duration::from_secs(10));
    assert!(rig.wants_page());
}

#[test]
fn three_hundred_signals_in_a_burst_make_few_walks() {
    let (mut rig, session) = Rig::running();
    let mut walks = 0;
    for _ in 0..300 {
        rig.signal(session);
        rig.pass(Duration::from_millis(10));
        if rig.wants_page() {
            rig.page(&[], delta(0));
            walks += 1;
        }
    }
    assert!((1..=4).contains(&walks), "{walks} walks in 3 s");
}

#[test]
fn a_410_saves_the_new_generation_then_tells_of_it_then_enumerates() {
    let location = Link::new("/fresh?token=1").unwrap();
    for (named, from) in [(Some(location.clone()), PageFrom::Link(location)), (None, PageFrom::Root)] {
        let (mut rig, session) = Rig::running();
        rig.signal(session);
        rig.page_fails(Remedy::Resync { location: named }, "resyncChangesApplyDifferences");
        assert_eq!((rig.saved_place().generation, rig.saved_place().walk), (1, 1), "saved before anything is told");
        let (started, events) = rig.published().unwrap();
        assert_eq!(data(&events[0]), json!({"phase": "started", "generation": 1, "code": "resyncChangesApplyDifferences"}));
        rig.ack(started);
        assert_eq!(rig.page(&["root", "a"], next(1)), from);
        let (batch, _) = rig.published().unwrap();
        rig.ack(batch);
        rig.page(&["b"], delta(2));
        let (batch, events) = rig.published().unwrap();
        assert_eq!(data(&events[1]), json!({"phase": "completed", "generation": 1, "items": 3}));
        let sequences: Vec<u64> = events.iter().filter_map(|e| Some(e.sequence()?.0)).collect();
        assert_eq!(sequences, [3, 4]);
        rig.ack(batch);
        assert_eq!((rig.saved_place().cursor, rig.saved_place().enumeration), (Cursor::At(link(2)), None));
    }
}

#[test]
fn an_enumeration_goes_on_after_a_restart_and_counts_over_it() {
    let (mut rig, session) = Rig::running();
    rig.signal(session);
    rig.page_fails(Remedy::Resync { location: None }, "resyncRequired");
    let (batch, _) = rig.published().unwrap();
    rig.ack(batch);
    rig.page(&["root", "a"], next(1));
    let (batch, _) = rig.published().unwrap();
    rig.ack(batch);
    let mut again = rig.restart(Duration::from_secs(1));
    assert_eq!(again.page(&["b"], delta(2)), PageFrom::Link(link(1)));
    let (_, events) = again.published().unwrap();
    assert_eq!(data(&events[1]), json!({"phase": "completed", "generation": 1, "items": 3}));
}

#[test]
fn an_enumeration_of_which_nothing_was_acknowledged_is_another_one_after_a_restart() {
    let location = Link::new("/fresh?token=1").unwrap();
    for (named, from) in [(Some(location.clone()), PageFrom::Link(location)), (None, PageFrom::Root)] {
        let (mut rig, session) = Rig::running();
        rig.signal(session);
        rig.page_fails(Remedy::Resync { location: named }, "resyncRequired");
        let (batch, _) = rig.published().unwrap();
        rig.ack(batch);
        rig.page(&["root", "a"], delta(1));
        assert_eq!(data(&rig.published().unwrap().1[2])["phase"], "completed", "it may stand in a sink's log");
        // while the process is away, "a" is deleted: a fresh enumeration has no word of it
        let mut again = rig.restart(Duration::from_secs(1));
        assert_eq!(again.saved_place().generation, 2, "saved before anything is told");
        let (batch, events) = again.published().unwrap();
        assert_eq!(data(&events[0]), json!({"phase": "started", "generation": 2, "code": "resyncRequired"}));
        again.ack(batch);
        assert_eq!(again.page(&["root"], delta(2)), from);
        let (_, events) = again.published().unwrap();
        assert_eq!(data(&events[1]), json!({"phase": "completed", "generation": 2, "items": 1}));
    }
}

#[test]
fn a_first_walk_from_the_beginning_that_a_crash_cut_short_becomes_a_resync() {
    let beginning = || vec![subscription(BOTH, Start::Beginning)];
    let mut rig = Rig::with(beginning(), None);
    rig.page(&["root", "a"], delta(1));
    assert_eq!(rig.published().unwrap().1.len(), 2, "it may stand in a sink's log");
    let mut again = Rig::at(rig.now, beginning(), rig.saved);
    let (batch, events) = again.published().unwrap();
    assert_eq!(data(&events[0]), json!({"phase": "started", "generation": 1, "code": "restart"}));
    again.ack(batch);
    assert_eq!(again.page(&["root"], delta(2)), PageFrom::Root);
    assert_eq!(data(&again.published().unwrap().1[1])["phase"], "completed", "\"a\" is gone");
}

#[test]
fn a_broken_location_falls_back_to_the_root() {
    let broken = || Link::new("/broken").unwrap();
    for (remedy, tries) in [
        (Remedy::Retry { after: None }, 4),
        (Remedy::RetrySlowly { after: None }, 1),
        (Remedy::Resync { location: Some(broken()) }, 1),
    ] {
        let (mut rig, session) = Rig::running();
        rig.signal(session);
        rig.page_fails(Remedy::Resync { location: Some(broken()) }, "resyncRequired");
        let (started, _) = rig.published().unwrap();
        rig.ack(started);
        for n in 0..tries {
            let (attempt, from) = rig.fetch_page().unwrap();
            assert_eq!(from, PageFrom::Link(broken()), "{remedy:?}: try {n}");
            let failure = Failure { remedy: remedy.clone(), code: "generalException".to_owned() };
            rig.handle(Input::Page { attempt, result: Err(failure) });
            rig.pass(Duration::from_secs(120));
        }
        assert_eq!(rig.page(&["root"], delta(1)), PageFrom::Root, "{remedy:?}");
        assert_eq!(rig.feed.record().place.generation, 1, "{remedy:?}: one loss is one generation");
    }
}

#[test]
fn the_first_start_leaves_no_gap_and_a_restart_leaves_one() {
    let (mut rig, _) = Rig::running();
    rig.pass(Duration::from_secs(25));
    assert!(rig.published().is_none());
    let alive = rig.saved.as_ref().unwrap().last_alive.unwrap();
    let mut rig = rig.restart(Duration::from_secs(100));
    rig.connect(None);
    let (batch, events) = rig.published().unwrap();
    assert_eq!(data(&events[0])["reason"], "restart");
    assert_eq!(data(&events[0])["from"], alive.to_string());
    assert_eq!(data(&events[0])["to"], rig.now.wall.to_string());
    let mut again = rig.restart(Duration::from_secs(3));
    let (_, repeated) = again.published().unwrap();
    assert_eq!(ids(&events), ids(&repeated), "kept until acknowledged, under the same id");
    assert_eq!(data(&events[0]), data(&repeated[0]), "and unchanged, because a consumer drops the repeat");
    again.ack(batch);
    again.connect(None);
    assert_eq!(data(&again.published().unwrap().1[0])["from"], data(&events[0])["to"], "the next gap starts where it ended");
}

#[test]
fn a_gap_lasts_from_the_end_of_a_session_to_the_next_one() {
    let (mut rig, session) = Rig::running();
    rig.handle(Input::Ended { session, by: EndedBy::Server, silence: Duration::ZERO });
    let from = rig.now.wall;
    rig.pass(Duration::from_secs(2));
    rig.endpoint_fails(Remedy::Retry { after: Some(Duration::from_secs(30)) });
    rig.pass(Duration::from_secs(31));
    rig.connect(None);
    let (batch, events) = rig.published().unwrap();
    assert_eq!(data(&events[0])["from"], from.to_string());
    assert_eq!(data(&events[0])["to"], rig.now.wall.to_string());
    assert_eq!(data(&events[0])["recovered_by_walk"], true);
    rig.ack(batch);
    assert_eq!(rig.saved.unwrap().gaps, Gaps::default());
}

/// A half-open socket is noticed at the ping deadline: what was changed until then was not signalled either.
#[test]
fn a_gap_starts_where_the_server_was_last_heard_and_not_before_its_session() {
    for (silence, starts) in [(45, 45), (0, 0), (3_600, 62)] {
        let (mut rig, session) = Rig::running();
        // It has stood for 2 s.
        rig.pass(Duration::from_secs(60));
        let lost = rig.now.wall;
        rig.handle(Input::Ended { session, by: EndedBy::Network, silence: Duration::from_secs(silence) });
        rig.pass(Duration::from_secs(2));
        rig.connect(None);
        let (_, events) = rig.published().unwrap();
        assert_eq!(data(&events[0])["from"], (lost - jiff::SignedDuration::from_secs(starts)).to_string());
    }
}

#[test]
fn a_gap_is_saved_before_it_is_told() {
    let (mut rig, session) = Rig::running();
    rig.store = Err(StoreFailure::Retry { reason: "disk full".to_owned() });
    rig.handle(Input::Ended { session, by: EndedBy::Server, silence: Duration::ZERO });
    rig.pass(Duration::from_secs(2));
    rig.connect(None);
    assert!(rig.published().is_none(), "after a crash it would be told again with another end, under the same id");
    rig.store = Ok(());
    rig.pass(Duration::from_secs(60));
    assert!(rig.published().is_some());
}

#[test]
fn a_gap_that_opens_while_one_is_unacknowledged_is_told_after_it() {
    let (mut rig, session) = Rig::running();
    rig.handle(Input::Ended { session, by: EndedBy::Network, silence: Duration::ZERO });
    rig.pass(Duration::from_secs(2));
    let session = rig.connect(None);
    let (first, events) = rig.published().unwrap();
    let first_id = ids(&events);
    rig.pass(Duration::from_secs(5));
    rig.handle(Input::Ended { session, by: EndedBy::Network, silence: Duration::ZERO });
    rig.pass(Duration::from_secs(5));
    rig.connect(None);
    assert!(rig.published().is_none(), "a told gap never changes");
    rig.ack(first);
    let (_, events) = rig.published().unwrap();
    assert!(ids(&events) != first_id);
}

#[test]
fn signals_only_means_no_walk_and_changes_only_means_no_gap() {
    let mut rig = Rig::with(vec![subscription(Emit { signals: true, changes: false }, Start::Latest)], None);
    let session = rig.connect(None);
    rig.signal(session);
    rig.pass(Duration::from_secs(1200));
    assert!(rig.fetch_page().is_none());

    let mut rig = Rig::with(vec![subscription(Emit { signals: false, changes: true }, Start::Latest)], None);
    rig.page(&[], delta(0));
    let session = rig.connect(None);
    rig.handle(Input::Signals { session, notifications: vec![Notification::default()], merged: 0 });
    assert!(!rig.actions.iter().any(|a| matches!(a, Action::PublishSignals { .. })));
    rig.handle(Input::Ended { session, by: EndedBy::Server, silence: Duration::ZERO });
    rig.pass(Duration::from_secs(5));
    rig.connect(None);
    assert!(rig.published().is_none());
}

#[test]
fn a_machine_that_slept_reconnects_and_walks() {
    let (mut rig, session) = Rig::running();
    let slept_at = rig.now.wall;
    rig.now.wall += jiff::SignedDuration::from_secs(600);
    rig.run();
    assert_eq!(rig.closed(), Some(session));
    rig.connect(None);
    let (_, events) = rig.published().unwrap();
    assert_eq!(data(&events[0])["reason"], "suspended");
    assert_eq!(data(&events[0])["from"], slept_at.to_string());
    assert!(rig.fetch_page().is_some());
}

#[test]
fn not_supported_is_retried_slowly_while_the_drive_is_polled() {
    let mut rig = Rig::new();
    rig.page(&[], delta(0));
    let (mut walks, mut asked) = (0, 0);
    for _ in 0..3600 {
        rig.pass(Duration::from_secs(1));
        while rig.wants_endpoint() {
            rig.endpoint_fails(Remedy::RetrySlowly { after: None });
            asked += 1;
        }
        while rig.wants_page() {
            rig.page(&[], delta(0));
            walks += 1;
        }
    }
    assert!((11..=12).contains(&walks), "every 5 min: {walks}");
    assert!((4..=20).contains(&asked), "between 1 and 15 min: {asked}");
    assert_eq!(rig.feed.status(rig.now).lanes[0].problem.as_deref(), Some("notSupported"));
}

#[test]
fn retry_after_is_obeyed() {
    let mut rig = Rig::new();
    rig.page_fails(Remedy::Retry { after: Some(Duration::from_secs(120)) }, "activityLimitReached");
    rig.pass(Duration::from_secs(119));
    assert!(rig.fetch_page().is_none());
    rig.pass(Duration::from_secs(62));
    rig.page(&[], delta(0));
    rig.endpoint_fails(Remedy::Retry { after: Some(Duration::from_secs(300)) });
    rig.pass(Duration::from_secs(299));
    assert!(rig.fetch_endpoint().is_none());
}

#[test]
fn an_answer_that_nobody_waits_for_changes_nothing() {
    let (mut rig, _) = Rig::running();
    let stale = Attempt(999);
    rig.handle(Input::Endpoint { attempt: stale, result: Ok(endpoint(None)) });
    rig.handle(Input::Page { attempt: stale, result: Ok(Page { items: vec![item("x")], end: delta(5) }) });
    rig.handle(Input::Ended { session: stale, by: EndedBy::Server, silence: Duration::ZERO });
    rig.handle(Input::Signals { session: stale, notifications: vec![Notification::default()], merged: 0 });
    assert!(rig.actions.is_empty(), "{:?}", rig.actions);
    rig.handle(Input::Opened { attempt: stale, result: Ok(()) });
    assert_eq!(rig.closed(), Some(stale), "a session that nobody wants is closed");
    assert!(rig.feed.status(rig.now).connected());
}

#[test]
fn what_a_session_hands_out_while_it_is_closed_still_counts() {
    let (mut rig, old) = Rig::running();
    while !rig.wants_endpoint() {
        rig.pass(Duration::from_secs(1));
    }
    let new = rig.connect(None);
    let tap = |session| Input::Signals { session, notifications: vec![Notification::default()], merged: 0 };
    for session in [old, new] {
        rig.handle(tap(session));
        assert!(rig.take(|a| matches!(a, Action::PublishSignals { .. }).then_some(())).is_some(), "{session:?}");
    }
    while rig.fetch_page().is_some() {}
    rig.handle(Input::Release);
    assert!(rig.take(|a| matches!(a, Action::PublishSignals { .. }).then_some(())).is_none());
}

#[test]
fn release_finishes_what_is_published_saves_it_and_lets_go() {
    let (mut rig, session) = Rig::running();
    rig.signal(session);
    rig.page(&["a"], delta(1));
    let (batch, _) = rig.published().unwrap();
    rig.handle(Input::Release);
    assert_eq!(rig.closed(), Some(session));
    assert!(!rig.released(), "an event waits for its acknowledgement");
    rig.ack(batch);
    assert!(rig.released());
    assert_eq!(rig.saved_place().cursor, Cursor::At(link(1)));
    assert_eq!(rig.feed.timeout(), None);
    rig.pass(Duration::from_secs(7200));
    assert!(rig.actions.is_empty(), "{:?}", rig.actions);
}

#[test]
fn a_record_that_another_process_owns_ends_the_feed() {
    let (mut rig, session) = Rig::running();
    rig.store = Err(StoreFailure::Lost { reason: "epoch 4 is newer".to_owned() });
    rig.pass(Duration::from_secs(11));
    assert_eq!(rig.closed(), Some(session));
    assert!(rig.released());
}

#[test]
fn while_the_store_fails_nothing_more_is_fetched() {
    let (mut rig, session) = Rig::running();
    rig.store = Err(StoreFailure::Retry { reason: "disk full".to_owned() });
    rig.signal(session);
    rig.page(&["a"], delta(1));
    let (batch, _) = rig.published().unwrap();
    rig.ack(batch);
    rig.signal(session);
    rig.pass(Duration::from_secs(300));
    assert!(rig.fetch_page().is_none());
    rig.store = Ok(());
    rig.pass(Duration::from_secs(60));
    assert!(rig.fetch_page().is_some());
}

#[test]
fn two_subscriptions_of_one_drive_share_the_walk_and_keep_their_sessions() {
    let quiet = subscription(Emit { signals: true, changes: false }, Start::Latest);
    let other = SubscriptionSettings { resource: "drive:b!x".parse().unwrap(), emit: BOTH, start: Start::Latest };
    let mut rig = Rig::with(vec![quiet, other], None);
    rig.page(&[], delta(0));
    let first = rig.connect(None);
    let second = rig.connect(None);
    assert!(first != second);
    rig.pass(Duration::from_secs(1));
    rig.page(&["a"], delta(1));
    assert!(rig.fetch_page().is_none(), "one walk for both");
    let (_, events) = rig.published().unwrap();
    assert_eq!(events[0].resource(), "drive:b!x", "the first in file order that emits changes");
}
