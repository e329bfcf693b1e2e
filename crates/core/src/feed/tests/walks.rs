//! When the drive is walked.

use super::*;

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

/// Delta showed something, so this is no answer that lags; whoever stayed at the link would be shown the same for ever.
#[test]
fn a_walk_of_nothing_but_entries_without_an_id_moves_the_cursor_and_publishes_nothing() {
    let (mut rig, session) = Rig::running();
    rig.signal(session);
    let (attempt, _) = rig.fetch_page().unwrap();
    let page = Page { items: Vec::new(), left_out: 3, end: delta(1) };
    rig.handle(Input::Page { attempt, result: Ok(page) });
    assert!(rig.published().is_none());
    assert_eq!(rig.saved_place().cursor, Cursor::At(link(1)));
    assert_eq!(rig.saved_place().sequence, 0);
}

#[test]
fn after_a_signal_the_drive_is_walked_until_a_walk_that_delta_had_a_minute_for_finds_nothing() {
    let (mut rig, session) = Rig::running();
    rig.signal(session);
    // Two items changed, and delta shows one of them.
    for (n, shown) in [(1, "a"), (2, "b")] {
        rig.page(&[shown], delta(n));
        let (batch, _) = rig.published().unwrap();
        rig.ack(batch);
        rig.pass(Duration::from_secs(60));
    }
    assert_eq!(rig.page(&[], delta(3)), PageFrom::Link(link(2)));
    rig.pass(Duration::from_secs(600));
    assert!(rig.fetch_page().is_none(), "the safety walk is next");
}

#[test]
fn what_changed_without_a_session_is_looked_for_again_after_delta_had_a_minute_for_it() {
    let (mut rig, session) = Rig::running();
    rig.handle(Input::Ended { session, by: EndedBy::Server, silence: Duration::ZERO });
    rig.pass(Duration::from_secs(5));
    rig.connect(None);
    rig.page(&[], delta(1)); // lags, and nobody signals what changed meanwhile
    rig.pass(Duration::from_secs(60));
    assert_eq!(rig.page(&[], delta(2)), PageFrom::Link(link(0)));
    rig.pass(Duration::from_secs(600));
    assert!(rig.fetch_page().is_none(), "the safety walk is next");
}

#[test]
fn after_a_day_of_empty_walks_the_newest_link_is_taken() {
    let (mut rig, _) = Rig::running();
    for minute in 1..=25 * 60 {
        rig.pass(Duration::from_secs(60));
        if rig.wants_endpoint() {
            rig.connect(None);
        }
        while rig.closed().is_some() {}
        if rig.wants_page() {
            rig.page(&[], delta(minute));
        }
    }
    let place = rig.saved_place();
    assert!(place.cursor != Cursor::At(link(0)), "{place:?}");
    assert_eq!(place.sequence, 0);
}

/// What changed a moment ago is not shown yet, however long nothing changed before: whoever goes on from that answer can lose it.
#[test]
fn after_a_quiet_day_the_newest_link_is_taken_only_by_a_walk_that_delta_had_its_time_for() {
    let (rig, _) = Rig::running();
    let mut rig = rig.restart(Duration::from_secs(25 * 3600));
    rig.page(&[], delta(1));
    let session = rig.connect(None);
    let (gap, _) = rig.published().unwrap();
    rig.ack(gap);
    rig.pass(Duration::from_secs(1));
    rig.page(&[], delta(2));
    rig.signal(session);
    rig.pass(Duration::from_secs(1));
    for wait in [2, 5, 15, 60] {
        rig.page(&[], delta(3));
        assert_eq!(rig.saved_place().cursor, Cursor::At(link(0)), "before {wait} s");
        rig.pass(Duration::from_secs(wait));
    }
    assert_eq!(rig.page(&[], delta(4)), PageFrom::Link(link(0)));
    assert_eq!(rig.saved_place().cursor, Cursor::At(link(4)));
}

/// Renewals come more often than the safety walk, so without a repetition theirs are all the walks that there are.
#[test]
fn without_repetitions_a_renewals_walk_takes_the_newest_link_of_a_quiet_drive() {
    let mut settings = settings(vec![subscription(BOTH, Start::Latest)]);
    settings.timing.lag_retries.clear();
    let mut rig = Rig::new();
    rig.page(&[], delta(0));
    rig.feed = Feed::new(settings, rig.saved.clone(), rig.now, 7);
    rig.actions.clear();
    rig.run();
    for minute in 1..=25 * 60 {
        if rig.wants_endpoint() {
            rig.connect(None);
        }
        if let Some((gap, _)) = rig.published() {
            rig.ack(gap);
        }
        while rig.closed().is_some() {}
        if rig.wants_page() {
            rig.page(&[], delta(minute));
        }
        rig.pass(Duration::from_secs(60));
    }
    assert!(rig.saved_place().cursor != Cursor::At(link(0)), "{:?}", rig.saved_place());
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
