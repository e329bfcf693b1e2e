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
