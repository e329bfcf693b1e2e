//! Endpoints and sessions: connect, renew, lose, wait.

use super::*;

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
        // What lags is looked for once more; nothing is due after that.
        rig.pass(Duration::from_secs(60));
        rig.page(&[], delta(0));
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
    rig.handle(Input::Page { attempt: stale, result: Ok(Page { items: vec![item("x")], left_out: 0, end: delta(5) }) });
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
