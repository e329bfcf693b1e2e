//! What a hostile or unlucky world does to a feed; each was found by trying to break it.

use super::*;

#[test]
fn a_write_that_is_under_way_does_not_wake_the_driver() {
    let (mut rig, session) = Rig::running();
    rig.store = Err(StoreFailure::Retry { reason: "disk full".to_owned() });
    rig.signal(session);
    rig.page(&["a"], delta(1));
    let (batch, _) = rig.published().unwrap();
    rig.ack(batch);
    // wait until the retry is due, but do not answer the commit
    let at = rig.feed.timeout().unwrap();
    rig.now = rig.now.after(at - rig.now.mono);
    let mut in_flight = None;
    for _ in 0..100 {
        while let Some(a) = rig.feed.poll(rig.now) {
            if let Action::Commit { attempt, .. } = a {
                in_flight = Some(attempt);
            }
        }
        if in_flight.is_some() {
            break;
        }
        let at = rig.feed.timeout().unwrap();
        rig.now = rig.now.after(at - rig.now.mono);
    }
    assert!(in_flight.is_some());
    // the alive tick makes it dirty while the slow commit is under way
    for _ in 0..3 {
        rig.now = rig.now.after(Duration::from_secs(11));
        while rig.feed.poll(rig.now).is_some() {}
    }
    let t = rig.feed.timeout();
    assert!(t.is_none_or(|at| at > rig.now.mono), "spins: {:?} in the past", rig.now.mono - t.unwrap());
}

#[test]
fn a_410_behind_an_empty_page_starts_over_at_the_root() {
    let (mut rig, session) = Rig::running();
    rig.signal(session);
    rig.page_fails(Remedy::Resync { location: None }, "resyncRequired");
    let (b, _) = rig.published().unwrap();
    rig.ack(b);
    assert_eq!(rig.page(&[], next(1)), PageFrom::Root);
    let mut froms = vec![];
    for _ in 0..5 {
        let (attempt, from) = rig.fetch_page().unwrap();
        froms.push(from);
        rig.handle(Input::Page { attempt, result: Err(Failure::new(Remedy::Resync { location: None }, "x")) });
        rig.pass(Duration::from_secs(61));
    }
    assert!(froms.contains(&PageFrom::Root), "{froms:?}");
}

#[test]
fn a_410_behind_latest_asks_for_latest_again() {
    let mut rig = Rig::new();
    assert_eq!(rig.page(&[], next(1)), PageFrom::Latest);
    let mut froms = vec![];
    for _ in 0..5 {
        let (attempt, from) = rig.fetch_page().unwrap();
        froms.push(from);
        rig.handle(Input::Page { attempt, result: Err(Failure::new(Remedy::Resync { location: None }, "x")) });
        rig.pass(Duration::from_secs(61));
    }
    assert!(froms.contains(&PageFrom::Latest), "{froms:?}");
}

#[test]
fn a_410_in_the_middle_of_an_enumeration_waits_before_the_next_one() {
    let (mut rig, session) = Rig::running();
    rig.signal(session);
    for n in 0..200 {
        rig.page_fails(Remedy::Resync { location: None }, "resyncRequired");
        let Some((b, _)) = rig.published() else { return };
        rig.ack(b);
        rig.page(&["a"], next(n));
        let (b, _) = rig.published().unwrap();
        rig.ack(b);
        if !rig.wants_page() {
            return;
        }
    }
    panic!("200 generations in no time");
}

#[test]
fn a_latest_that_never_ends_is_not_asked_for_in_a_loop() {
    let mut rig = Rig::new();
    for n in 0..5000 {
        if !rig.wants_page() {
            return;
        }
        rig.page(&[], next(n));
    }
    panic!("5000 pages without a wait");
}

#[test]
fn a_walk_of_empty_pages_recovers_when_the_server_does() {
    let (mut rig, session) = Rig::running();
    rig.signal(session);
    for n in 0..1000 {
        rig.page(&[], next(n));
    }
    assert!(!rig.wants_page());
    rig.pass(Duration::from_secs(60));
    // the server is well again: one empty page, then the change
    rig.page(&[], next(1));
    for _ in 0..20 {
        if rig.wants_page() {
            let (attempt, from) = rig.fetch_page().unwrap();
            let end = if from == PageFrom::Link(link(1)) { (vec![item("a")], delta(2)) } else { (vec![], next(1)) };
            rig.handle(Input::Page { attempt, result: Ok(Page { items: end.0, left_out: 0, end: end.1 }) });
            if rig.published().is_some() {
                return;
            }
        }
        rig.pass(Duration::from_secs(60));
    }
    panic!("never gets past the first page");
}

#[test]
fn a_walk_of_nothing_but_entries_without_an_id_pauses_too_and_goes_on_where_it_was() {
    let (mut rig, session) = Rig::running();
    rig.signal(session);
    for n in 1..=1000 {
        let (attempt, _) = rig.fetch_page().unwrap();
        rig.handle(Input::Page { attempt, result: Ok(Page { items: Vec::new(), left_out: 1, end: next(n) }) });
    }
    assert!(!rig.wants_page());
    rig.pass(Duration::from_secs(60));
    assert_eq!(rig.page(&["a"], delta(1001)), PageFrom::Link(link(999)));
    assert!(rig.published().is_some());
}

#[test]
fn lag_retries_survive_a_reconnect() {
    let (mut rig, session) = Rig::running();
    rig.signal(session);
    rig.page(&[], delta(0)); // lags
    rig.handle(Input::Ended { session, by: EndedBy::Server, silence: Duration::ZERO });
    rig.pass(Duration::from_millis(1500));
    rig.connect(None);
    rig.pass(Duration::from_secs(1));
    if rig.wants_page() {
        rig.page(&[], delta(0));
    }
    let mut asked = 0;
    for _ in 0..120 {
        rig.pass(Duration::from_secs(1));
        if rig.wants_page() {
            asked += 1;
            rig.page(&[], delta(0));
        }
    }
    assert!(asked >= 2, "walks in the two minutes after a signal and a reconnect: {asked}");
}

#[test]
fn lag_retries_survive_a_renewal() {
    let mut rig = Rig::new();
    rig.page(&[], delta(0));
    let session = rig.connect(Some(Duration::from_secs(3600)));
    rig.pass(Duration::from_secs(1));
    rig.page(&[], delta(0));
    while !rig.wants_endpoint() {
        rig.pass(Duration::from_secs(1));
    }
    rig.signal(session);
    rig.page(&[], delta(0));
    rig.connect(Some(Duration::from_secs(3600)));
    let mut asked = 0;
    for _ in 0..120 {
        rig.pass(Duration::from_secs(1));
        if rig.wants_page() {
            asked += 1;
            rig.page(&[], delta(0));
        }
    }
    assert!(asked >= 4, "repeats: {asked}");
}

#[test]
fn retry_after_survives_the_end_of_the_session() {
    let (mut rig, session) = Rig::running();
    while !rig.wants_endpoint() {
        rig.pass(Duration::from_secs(1));
    }
    rig.endpoint_fails(Remedy::Retry { after: Some(Duration::from_secs(400)) });
    rig.handle(Input::Ended { session, by: EndedBy::Server, silence: Duration::ZERO });
    rig.pass(Duration::from_secs(100));
    assert!(!rig.wants_endpoint(), "asked within Retry-After");
}

#[test]
fn a_short_lifetime_does_not_ask_graph_in_a_loop() {
    let mut rig = Rig::new();
    rig.page(&[], delta(0));
    rig.connect(Some(Duration::from_millis(10)));
    let mut n = 0;
    let end = rig.now.mono + Duration::from_secs(1);
    while rig.now.mono < end {
        rig.pass(Duration::from_millis(1));
        if rig.wants_endpoint() {
            n += 1;
            rig.connect(Some(Duration::from_millis(10)));
        }
    }
    assert!(n < 5, "{n} endpoints in a second");
}

#[test]
fn a_subscription_that_never_connects_does_not_hide_the_gaps_of_another() {
    let other = SubscriptionSettings { resource: "drive:b!x".parse().unwrap(), emit: BOTH, start: Start::Latest };
    let mut rig = Rig::with(vec![subscription(BOTH, Start::Latest), other], None);
    rig.page(&[], delta(0));
    let session = rig.connect(None);
    rig.endpoint_fails(Remedy::RetrySlowly { after: None });
    rig.pass(Duration::from_secs(20));
    rig.handle(Input::Ended { session, by: EndedBy::Server, silence: Duration::ZERO });
    for _ in 0..2000 {
        rig.pass(Duration::from_secs(1));
        while let Some(attempt) = rig.take(|a| {
            if let Action::FetchEndpoint { attempt, resource, .. } = a
                && *resource == Resource::Me
            {
                Some(*attempt)
            } else {
                None
            }
        }) {
            rig.handle(Input::Endpoint { attempt, result: Ok(endpoint(None)) });
            let attempt = rig.open().unwrap();
            rig.handle(Input::Opened { attempt, result: Ok(()) });
        }
        while rig.wants_endpoint() {
            rig.endpoint_fails(Remedy::RetrySlowly { after: None });
        }
        while rig.wants_page() {
            rig.page(&[], delta(0));
        }
    }
    assert!(rig.published().is_some(), "no gap is ever told, alive {:?}", rig.feed.last_alive);
}

#[test]
fn a_restart_in_the_middle_of_a_timed_resync_goes_on_with_it() {
    let now = Now { mono: Instant::now(), wall: "2026-11-23T10:00:00Z".parse().unwrap() };
    let mut s = settings(vec![subscription(BOTH, Start::Latest)]);
    s.timing.resync_every = Some(Duration::from_secs(3600));
    let mk = |now: Now, record: Option<Record>| {
        let feed = Feed::new(s.clone(), record.clone(), now, 7);
        let mut rig = Rig { feed, now, actions: Vec::new(), saved: record, store: Ok(()) };
        rig.run();
        rig
    };
    let mut rig = mk(now, None);
    rig.page(&[], delta(0));
    rig.connect(None);
    rig.pass(Duration::from_secs(1));
    rig.page(&[], delta(0));
    rig.pass(Duration::from_secs(3599));
    for _ in 0..3 {
        if rig.saved_place().generation == 0 {
            if rig.wants_page() {
                rig.page(&[], delta(0));
            }
            rig.pass(Duration::from_secs(1));
        }
    }
    let (b, e) = rig.published().unwrap();
    assert_eq!(data(&e[0])["code"], "timer");
    rig.ack(b);
    rig.page(&["root"], next(1));
    let (b, _) = rig.published().unwrap();
    rig.ack(b);
    assert_eq!(rig.saved_place().cursor, Cursor::Within(link(1)));
    let mut again = mk(rig.now.after(Duration::from_secs(5)), rig.saved.clone());
    assert_eq!(again.saved_place().generation, 1, "a restart began another generation");
    let (_, from) = again.fetch_page().unwrap();
    assert_eq!(from, PageFrom::Link(link(1)));
}

#[test]
fn a_timed_resync_waits_for_a_place_to_begin() {
    let now = Now { mono: Instant::now(), wall: "2026-11-23T10:00:00Z".parse().unwrap() };
    let mut s = settings(vec![subscription(BOTH, Start::Latest)]);
    s.timing.resync_every = Some(Duration::from_secs(3600));
    let mut rig = {
        let feed = Feed::new(s.clone(), None, now, 7);
        let mut r = Rig { feed, now, actions: vec![], saved: None, store: Ok(()) };
        r.run();
        r
    };
    rig.page_fails(Remedy::RetrySlowly { after: None }, "403");
    let rec = rig.saved.clone();
    let later = now.after(Duration::from_secs(7200));
    let mut rig = {
        let feed = Feed::new(s, rec.clone(), later, 7);
        let mut r = Rig { feed, now: later, actions: vec![], saved: rec, store: Ok(()) };
        r.run();
        r
    };
    let (_, from) = rig.fetch_page().unwrap();
    assert_eq!(from, PageFrom::Latest);
}

#[test]
fn a_403_on_delta_at_birth_lets_signals_go_on() {
    let mut rig = Rig::new();
    for _ in 0..200 {
        if rig.wants_page() {
            rig.page_fails(Remedy::RetrySlowly { after: None }, "accessDenied");
        }
        rig.pass(Duration::from_secs(60));
    }
    assert!(rig.wants_endpoint(), "no socket for as long as delta is refused");
}

#[test]
fn a_gap_that_waits_its_turn_ends_when_the_session_was_back() {
    let (mut rig, session) = Rig::running();
    rig.handle(Input::Ended { session, by: EndedBy::Network, silence: Duration::ZERO });
    rig.pass(Duration::from_secs(2));
    let session = rig.connect(None);
    let (first, _) = rig.published().unwrap();
    rig.pass(Duration::from_secs(5));
    rig.handle(Input::Ended { session, by: EndedBy::Network, silence: Duration::ZERO });
    rig.pass(Duration::from_secs(5));
    rig.connect(None);
    let back = rig.now.wall;
    rig.pass(Duration::from_secs(600));
    rig.ack(first);
    let (_, events) = rig.published().unwrap();
    assert_eq!(data(&events[0])["to"], back.to_string());
}

#[test]
fn a_wall_clock_that_was_set_back_makes_no_gap_that_ends_before_it_starts() {
    let (rig, _) = Rig::running();
    let mut rig2 = {
        let now = Now { mono: rig.now.mono + Duration::from_secs(5), wall: rig.now.wall - jiff::SignedDuration::from_secs(3600) };
        Rig::at(now, vec![subscription(BOTH, Start::Latest)], rig.saved)
    };
    rig2.connect(None);
    let (_, e) = rig2.published().unwrap();
    let d = data(&e[0]);
    assert!(d["from"].as_str() <= d["to"].as_str(), "{d}");
}

#[test]
fn while_a_write_to_the_store_hangs_nothing_more_is_fetched() {
    let (mut rig, session) = Rig::running();
    rig.now = rig.now.after(Duration::from_secs(20));
    let hangs = |feed: &mut Feed, now| while feed.poll(now).is_some() {};
    hangs(&mut rig.feed, rig.now);
    rig.now = rig.now.after(Feed::STORE_PATIENCE);
    rig.feed.handle(rig.now, Input::Signals { session, notifications: vec![Notification::default()], merged: 0 });
    let mut asked = false;
    while let Some(action) = rig.feed.poll(rig.now) {
        asked |= matches!(action, Action::FetchPage { .. });
    }
    assert!(!asked, "it would be published again after a crash, without a bound");
    assert!(rig.feed.timeout().is_none_or(|at| at > rig.now.mono));
}

#[test]
fn a_location_survives_a_network_that_is_away_for_a_moment() {
    let location = Link::new("/fresh").unwrap();
    let (mut rig, session) = Rig::running();
    rig.signal(session);
    rig.page_fails(Remedy::Resync { location: Some(location.clone()) }, "resyncRequired");
    rig.page_fails(Remedy::Retry { after: None }, "timeout");
    rig.pass(Duration::from_secs(60));
    assert_eq!(rig.page(&["root"], delta(1)), PageFrom::Link(location));
}

#[test]
fn a_next_link_that_is_refused_for_ever_ends_in_a_resync() {
    let (mut rig, session) = Rig::running();
    rig.signal(session);
    rig.page(&["a"], next(1));
    let (batch, _) = rig.published().unwrap();
    rig.ack(batch);
    for _ in 0..4 {
        assert_eq!(rig.saved_place().generation, 0, "a 404 may pass by itself");
        rig.page_fails(Remedy::RetrySlowly { after: None }, "itemNotFound");
        rig.pass(Duration::from_secs(900));
    }
    let (_, events) = rig.published().unwrap();
    assert_eq!(data(&events[0]), json!({"phase": "started", "generation": 1, "code": "itemNotFound"}));
    assert_eq!(rig.page(&["root"], delta(2)), PageFrom::Root);
}

#[test]
fn a_cursor_that_graph_does_not_accept_ends_in_a_resync() {
    let (mut rig, session) = Rig::running();
    rig.signal(session);
    for attempt in 0..4 {
        assert_eq!(rig.saved_place().generation, 0, "after {attempt} attempts");
        let (attempt, from) = rig.fetch_page().expect("the same cursor once more");
        assert_eq!(from, PageFrom::Link(link(0)));
        let remedy = Remedy::RetryThenResync { after: None };
        rig.handle(Input::Page { attempt, result: Err(Failure::new(remedy, "invalidRequest")) });
        rig.pass(Duration::from_secs(59));
        assert!(rig.saved_place().generation == 1 || !rig.wants_page(), "slowly: no sooner than in 60 s");
        rig.pass(Duration::from_secs(841));
    }
    let (started, events) = rig.published().unwrap();
    assert_eq!(data(&events[0]), json!({"phase": "started", "generation": 1, "code": "invalidRequest"}));
    assert_eq!(rig.saved_place().generation, 1, "saved before it is told");
    rig.ack(started);
    assert_eq!(rig.page(&["root"], delta(2)), PageFrom::Root);
    let (batch, events) = rig.published().unwrap();
    assert_eq!(data(&events[1]), json!({"phase": "completed", "generation": 1, "items": 1}));
    rig.ack(batch);
    assert_eq!(rig.saved_place().cursor, Cursor::At(link(2)));
}

#[test]
fn a_cursor_that_is_accepted_in_the_end_costs_no_resync() {
    let (mut rig, session) = Rig::running();
    rig.signal(session);
    // A permission that goes and comes meanwhile is no refusal of the cursor.
    let (not_accepted, forbidden) = (Remedy::RetryThenResync { after: None }, Remedy::RetrySlowly { after: None });
    for remedy in [&forbidden, &forbidden, &forbidden, &forbidden, &not_accepted, &not_accepted, &not_accepted] {
        rig.page_fails(remedy.clone(), "invalidRequest");
        rig.pass(Duration::from_secs(900));
        while rig.wants_endpoint() {
            rig.connect(None);
        }
    }
    assert_eq!(rig.page(&["a"], delta(2)), PageFrom::Link(link(0)));
    assert_eq!(rig.feed.record().place.generation, 0);
}

#[test]
fn a_drive_whose_enumeration_is_not_accepted_either_is_asked_slowly_and_for_ever() {
    let (mut rig, session) = Rig::running();
    rig.signal(session);
    for _ in 0..50 {
        while let Some((batch, _)) = rig.published() {
            rig.ack(batch);
        }
        if rig.wants_page() {
            rig.page_fails(Remedy::RetryThenResync { after: None }, "invalidRequest");
        }
        rig.pass(Duration::from_secs(900));
        while rig.wants_endpoint() {
            rig.connect(None);
        }
    }
    assert_eq!(rig.feed.record().place.generation, 1);
    assert_eq!(rig.page(&["root"], delta(2)), PageFrom::Root);
}

#[test]
fn a_next_link_that_is_refused_behind_empty_pages_starts_the_walk_over() {
    let (mut rig, session) = Rig::running();
    rig.signal(session);
    rig.page(&[], next(1));
    for _ in 0..4 {
        rig.page_fails(Remedy::RetrySlowly { after: None }, "itemNotFound");
        rig.pass(Duration::from_secs(900));
    }
    assert_eq!(rig.page(&["a"], delta(2)), PageFrom::Link(link(0)));
    assert_eq!(rig.feed.record().place.generation, 0);
}

#[test]
fn a_permission_that_comes_back_costs_no_resync_between_walks() {
    let (mut rig, session) = Rig::running();
    rig.signal(session);
    for _ in 0..50 {
        rig.page_fails(Remedy::RetrySlowly { after: None }, "accessDenied");
        rig.pass(Duration::from_secs(900));
        while rig.wants_endpoint() {
            rig.connect(None);
        }
    }
    assert_eq!(rig.page(&["a"], delta(2)), PageFrom::Link(link(0)));
    assert_eq!(rig.feed.record().place.generation, 0);
}
