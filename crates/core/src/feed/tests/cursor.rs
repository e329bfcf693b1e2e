//! What is saved, when, and what it moves over.

use super::*;

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
    rig.handle(Input::Queued { batch: first, lost: Vec::new() });
    rig.page(&["b"], delta(2));
    let (second, events) = rig.published().unwrap();
    assert_eq!(events[0].sequence(), Some(crate::Sequence(2)));
    rig.ack(second);
    assert_eq!(rig.saved_place().cursor, Cursor::At(link(2)));
}

/// Two subscriptions of one drive: the drive of the one that says `beginning` is known only after the feed had to start.
#[test]
fn a_beginning_that_is_known_late_begins_all_the_same() {
    let late = || vec![subscription(BOTH, Start::Latest), subscription(BOTH, Start::Beginning)];
    let begin = |record: Option<Record>, subscriptions, may_begin| {
        let now = Now { mono: Instant::now(), wall: "2026-11-23T10:00:00Z".parse().unwrap() };
        let settings = FeedSettings { may_begin, ..settings(subscriptions) };
        let feed = Feed::new(settings, record.clone(), now, 7);
        let mut rig = Rig { feed, now, actions: Vec::new(), saved: record, store: Ok(()) };
        rig.run();
        rig
    };
    let mut rig = begin(None, vec![subscription(BOTH, Start::Latest)], true);
    assert_eq!(rig.page(&[], delta(0)), PageFrom::Latest);
    // A restart, and its drive is still not known.
    let rig = begin(rig.saved, vec![subscription(BOTH, Start::Latest)], true);
    let mut rig = begin(rig.saved, late(), false);
    let (batch, events) = rig.published().unwrap();
    assert_eq!(data(&events[0]), json!({"phase": "started", "generation": 1, "code": "restart"}));
    rig.ack(batch);
    assert_eq!(rig.page(&["root", "a"], delta(1)), PageFrom::Root);
    let (batch, events) = rig.published().unwrap();
    assert_eq!((events.len(), data(&events[2])["items"].as_u64()), (3, Some(2)));
    rig.ack(batch);

    let mut again = begin(rig.saved, late(), false);
    assert_eq!(again.page(&[], delta(1)), PageFrom::Link(link(1)), "once");
    assert_eq!(again.saved_place().generation, 1);
}

/// `start` acts only where there is no cursor.
#[test]
fn a_beginning_that_is_configured_later_has_no_effect() {
    let mut rig = Rig::new();
    rig.page(&[], delta(0));
    let mut rig = Rig::at(rig.now, vec![subscription(BOTH, Start::Latest), subscription(BOTH, Start::Beginning)], rig.saved);
    assert_eq!(rig.page(&[], delta(0)), PageFrom::Link(link(0)));
    assert_eq!(rig.saved_place().generation, 0);
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
    rig.handle(Input::Queued { batch: first, lost: Vec::new() });
    rig.page(&["b"], delta(2));
    let (second, _) = rig.published().unwrap();
    rig.handle(Input::Queued { batch: second, lost: Vec::new() });
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
    rig.handle(Input::Queued { batch: first, lost: Vec::new() });
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
