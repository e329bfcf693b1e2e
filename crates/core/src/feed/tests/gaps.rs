//! Stretches in which signals may have been missed.

use super::*;

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
        // It has stood for 62 s.
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
