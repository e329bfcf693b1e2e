//! Every 410, and what a restart makes of an enumeration.

use super::*;

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
            let failure = Failure::new(remedy.clone(), "generalException");
            rig.handle(Input::Page { attempt, result: Err(failure) });
            rig.pass(Duration::from_secs(120));
        }
        assert_eq!(rig.page(&["root"], delta(1)), PageFrom::Root, "{remedy:?}");
        assert_eq!(rig.feed.record().place.generation, 1, "{remedy:?}: one loss is one generation");
    }
}

/// It is another one each time: what is made over it would not be the same after a restart.
#[test]
fn graphs_id_of_a_request_is_read_by_a_person_and_changes_nothing_else() {
    let history = |id: &str| {
        let failure = |remedy, code| Failure::new(remedy, code).of_request(RequestId::new(id));
        let (mut rig, session) = Rig::running();
        let (mut problems, mut waits, mut told) = (Vec::new(), Vec::new(), Vec::new());
        rig.signal(session);
        let refusals = [
            (Remedy::Retry { after: Some(Duration::from_secs(7)) }, "activityLimitReached"),
            (Remedy::SignIn, "InvalidAuthenticationToken"),
            (Remedy::RetrySlowly { after: None }, "accessDenied"),
            // As often as makes it a lost cursor.
            (Remedy::RetryThenResync { after: None }, "invalidRequest"),
            (Remedy::RetryThenResync { after: None }, "invalidRequest"),
            (Remedy::RetryThenResync { after: None }, "invalidRequest"),
            (Remedy::RetryThenResync { after: None }, "invalidRequest"),
            // In the enumeration that follows.
            (Remedy::Resync { location: None }, "resyncRequired"),
        ];
        for (remedy, code) in refusals {
            let (attempt, _) = rig.fetch_page().unwrap();
            rig.handle(Input::Page { attempt, result: Err(failure(remedy, code)) });
            problems.extend(rig.feed.status(rig.now).problem);
            waits.push(rig.feed.timeout().unwrap() - rig.now.mono);
            rig.pass(Duration::from_secs(1200));
            while let Some((batch, events)) = rig.published() {
                told.extend(events.iter().map(|event| (event.id().to_owned(), data(event))));
                rig.ack(batch);
            }
            rig.pass(Duration::from_secs(120));
        }
        rig.page(&["root"], delta(1));
        told.extend(rig.published().unwrap().1.iter().map(|event| (event.id().to_owned(), data(event))));
        (problems, waits, told, rig.feed.record())
    };
    let (plain, waits, told, record) = history("");
    let (named, other_waits, other_told, other_record) = history("1a2b-3c");
    assert_eq!((other_waits, other_told, other_record), (waits, told, record.clone()));
    assert_eq!(plain.first().map(String::as_str), Some("activityLimitReached"));
    assert_eq!(named, plain.iter().map(|problem| format!("{problem} (request-id 1a2b-3c)")).collect::<Vec<_>>());
    assert_eq!((plain.len(), record.place.generation), (8, 1));

    let mut rig = Rig::new();
    let attempt = rig.fetch_endpoint();
    assert_eq!(attempt, None, "the cursor comes first");
    rig.page(&[], delta(0));
    let attempt = rig.fetch_endpoint().unwrap();
    let refused = Failure::new(Remedy::SignIn, "expired").of_request(RequestId::new("1a2b-3c"));
    rig.handle(Input::Endpoint { attempt, result: Err(refused) });
    assert_eq!(rig.feed.status(rig.now).lanes[0].problem.as_deref(), Some("expired (request-id 1a2b-3c)"));
}
