use super::*;

const NAMESPACE: Namespace<'static> = Namespace("/notifications");
const OPEN: &str = r#"0{"sid":"a","upgrades":[],"pingInterval":25000,"pingTimeout":20000,"maxPayload":1000000}"#;
const JOIN: &str = r#"40/notifications,{"sid":"b"}"#;
const SECOND: Duration = Duration::from_secs(1);

fn opening() -> (Session, Instant) {
    let now = Instant::now();
    (Session::new(NAMESPACE, &Limits::default(), now), now)
}

fn joined() -> (Session, Instant) {
    let (mut session, now) = opening();
    assert_eq!(session.handle(now, Input::Text(OPEN)), Heard::Nothing);
    assert_eq!(session.handle(now, Input::Text(JOIN)), Heard::Joined);
    assert_eq!(sent(&mut session), ["40/notifications,"]);
    (session, now)
}

fn sent(session: &mut Session) -> Vec<String> {
    std::iter::from_fn(|| session.poll()).map(Cow::into_owned).collect()
}

fn by_server(what: &str) -> Heard<'static> {
    Heard::Ended(Ended { by: Who::Server, why: Why::Malformed(what.to_owned()) })
}

#[test]
fn the_namespace_is_asked_for_after_the_handshake_and_not_before() {
    let (mut session, now) = opening();
    assert_eq!(sent(&mut session), [""; 0]);
    assert_eq!(session.handle(now, Input::Text(OPEN)), Heard::Nothing);
    assert_eq!(sent(&mut session), ["40/notifications,"]);
    assert_eq!(session.ping_interval(), 25 * SECOND);
    assert_eq!(session.handle(now, Input::Text("40")), Heard::Nothing, "another namespace");
    assert_eq!(session.handle(now, Input::Text(JOIN)), Heard::Joined);
    assert_eq!(session.handle(now, Input::Text(JOIN)), Heard::Nothing, "once");
    assert_eq!(sent(&mut session), [""; 0]);
}

#[test]
fn a_refusal_ends_the_attempt_with_what_the_server_said() {
    for (frame, said) in [
        (r#"44/notifications,{"message":"Invalid token"}"#, r#"{"message":"Invalid token"}"#),
        (r#"44/notifications?token=t,"no""#, r#""no""#),
        ("44/notifications,", ""),
    ] {
        let (mut session, now) = opening();
        session.handle(now, Input::Text(OPEN));
        assert_eq!(session.handle(now, Input::Text(r#"44{"message":"not ours"}"#)), Heard::Nothing);
        assert_eq!(session.handle(now, Input::Text(frame)), Heard::Refused(said), "{frame}");
        assert_eq!(session.handle(now, Input::Text(JOIN)), Heard::Ended(LEFT));
        assert_eq!(session.timeout(), None);
    }
}

#[test]
fn every_way_to_leave_is_the_end() {
    for frame in ["1", "41/notifications,", "41/notifications", "41/notifications?token=t,", "44/notifications,{}"] {
        let (mut session, now) = joined();
        assert_eq!(session.handle(now, Input::Text(frame)), Heard::Ended(LEFT), "{frame}");
        assert_eq!(session.handle(now, Input::Text("2")), Heard::Ended(LEFT));
        assert_eq!(sent(&mut session), [""; 0], "nothing is said to who has left");
    }
}

#[test]
fn a_notification_is_handed_out_as_it_is_written() {
    let (mut session, now) = joined();
    for (frame, argument) in [
        (r#"42/notifications,["notification","{\"value\":[]}"]"#, r#""{\"value\":[]}""#),
        (r#"42/notifications,[ "notification" , {"a" : 1} , 7 ]"#, r#"{"a" : 1}"#),
        (r#"42/notifications,["not\u0069fication",7]"#, "7"),
        (r#"42/notifications?token=t,["notification",[]]"#, "[]"),
        (r#"450-/notifications,["notification",{}]"#, "{}"),
    ] {
        assert_eq!(session.handle(now, Input::Text(frame)), Heard::Notification(argument), "{frame}");
    }
}

#[test]
fn a_notification_that_overtakes_the_answer_to_connect_counts() {
    let (mut session, now) = opening();
    session.handle(now, Input::Text(OPEN));
    assert_eq!(session.handle(now, Input::Text(r#"42/notifications,["notification",1]"#)), Heard::Notification("1"));
    assert_eq!(session.handle(now, Input::Text(JOIN)), Heard::Joined);
}

#[test]
fn an_event_that_wants_an_answer_gets_one() {
    let (mut session, now) = joined();
    session.handle(now, Input::Text(r#"42/notifications,12["notification",1]"#));
    session.handle(now, Input::Text(r#"42/notifications,18446744073709551615["notification",2]"#));
    session.handle(now, Input::Text(r#"42/notifications,13["other",1]"#));
    session.handle(now, Input::Text("2"));
    assert_eq!(sent(&mut session), ["3", "43/notifications,12[]", "43/notifications,18446744073709551615[]"]);
}

#[test]
fn what_waits_to_be_sent_has_a_bound() {
    let (mut session, now) = joined();
    for id in 0..1_000 {
        session.handle(now, Input::Text("2"));
        session.handle(now, Input::Text(&format!(r#"42/notifications,{id}["notification",1]"#)));
    }
    let sent = sent(&mut session);
    assert_eq!(sent.len(), 1 + Session::MAX_ACKS);
    assert_eq!(sent.last().map(String::as_str), Some("43/notifications,999[]"), "the newest are kept");
}

#[test]
fn what_is_not_for_us_changes_nothing() {
    let (mut session, now) = joined();
    let frames = [
        "3",
        "3probe",
        "5",
        "6",
        r#"40{"sid":"x"}"#,
        "41",
        "41/other,",
        "41/notifications/other,",
        r#"44{"message":"not ours"}"#,
        r#"42["notification","not ours"]"#,
        r#"42/other,["notification","not ours"]"#,
        r#"42/other,[what nobody looks into"#,
        r#"42/notifications,["notification"]"#,
        r#"42/notifications,["close","x"]"#,
        r#"42/notifications,["connect","x"]"#,
        r#"42/notifications,[7,8]"#,
        r#"43/notifications,7["an answer to nothing"]"#,
    ];
    for frame in frames {
        assert_eq!(session.handle(now, Input::Text(frame)), Heard::Nothing, "{frame}");
    }
    assert_eq!(sent(&mut session), [""; 0]);
}

#[test]
fn attachments_are_counted_and_passed_over() {
    let (mut session, now) = joined();
    session
        .handle(now, Input::Text(r#"452-/notifications,["other",{"_placeholder":true,"num":0},{"_placeholder":true,"num":1}]"#));
    assert_eq!(session.handle(now, Input::Binary(b"one")), Heard::Nothing);
    assert_eq!(session.handle(now, Input::Text("2")), Heard::Nothing, "a heartbeat is no message");
    assert_eq!(session.handle(now, Input::Binary(b"")), Heard::Nothing);
    assert_eq!(session.handle(now, Input::Text("461-7[]")), Heard::Nothing, "others' attachments too");
    assert_eq!(session.handle(now, Input::Binary(b"three")), Heard::Nothing);
    assert_eq!(session.handle(now, Input::Binary(b"four")), by_server("an attachment of nothing"));

    let (mut session, now) = joined();
    session.handle(now, Input::Text(r#"451-["other"]"#));
    assert_eq!(session.handle(now, Input::Text(r#"42["other"]"#)), by_server("an attachment is missing"));

    let (mut session, now) = joined();
    let frame = r#"451-/notifications,["notification",{"_placeholder":true,"num":0}]"#;
    assert_eq!(session.handle(now, Input::Text(frame)), by_server("a binary notification"));
}

#[test]
fn what_is_no_packet_ends_the_session_with_the_word_for_it() {
    for (frame, word) in [
        ("", "an empty packet"),
        ("9", "unknown packet type"),
        ("bAQID", "unknown packet type"),
        ("4", "an empty packet"),
        ("4x", "unknown packet type"),
        ("45", "a bad count of attachments"),
        ("42/notifications", "data that does not belong to this packet type"),
        (r#"42/notifications,{"not":"an array"}"#, "data that does not belong to this packet type"),
        ("42/notifications,[]", "an event without a name"),
        (r#"42/notifications,["notification","#, "not JSON"),
        (r#"42/notifications,99999999999999999999["notification"]"#, "an acknowledgement id that is no number"),
        (OPEN, "a second handshake"),
    ] {
        let (mut session, now) = joined();
        assert_eq!(session.handle(now, Input::Text(frame)), by_server(word), "{frame}");
    }
    for frame in ["2", "1", "6", "40", JOIN] {
        let (mut session, now) = opening();
        assert_eq!(session.handle(now, Input::Text(frame)), by_server("a packet before the handshake"), "{frame}");
    }
    let (mut session, now) = opening();
    assert_eq!(session.handle(now, Input::Text("0{}")), by_server("a handshake without a session id and ping values"));
}

#[test]
fn a_message_above_the_limit_is_not_looked_at() {
    let now = Instant::now();
    let limits = Limits { frame_bytes: OPEN.len(), ..Limits::default() };
    let too_large = Heard::Ended(Ended { by: Who::Us, why: Why::TooLarge });
    let mut session = Session::new(NAMESPACE, &limits, now);
    assert_eq!(session.handle(now, Input::Text(OPEN)), Heard::Nothing);
    assert_eq!(session.handle(now, Input::Text(&format!("{OPEN} "))), too_large);
    let mut session = Session::new(NAMESPACE, &limits, now);
    assert_eq!(session.handle(now, Input::Binary(&[0; 200])), too_large);
}

#[test]
fn the_deadline_comes_from_the_servers_values_and_moves_with_its_pings() {
    let (mut session, now) = joined();
    assert_eq!(session.timeout(), Some(now + 45 * SECOND));
    session.handle(now + 10 * SECOND, Input::Text(r#"42/notifications,["notification",1]"#));
    assert_eq!(session.timeout(), Some(now + 45 * SECOND), "only a ping says that the engine lives");
    session.handle(now + 25 * SECOND, Input::Text("2"));
    assert_eq!(session.timeout(), Some(now + 70 * SECOND));
    assert_eq!(session.handle(now + 69 * SECOND, Input::Timeout), Heard::Nothing, "too early is no harm");
    let silent = Heard::Ended(Ended { by: Who::Network, why: Why::Silent });
    assert_eq!(session.handle(now + 70 * SECOND, Input::Timeout), silent);
    assert_eq!(session.timeout(), None);
}

#[test]
fn the_ceiling_holds_whatever_the_server_says() {
    let (most, now) = (Duration::from_millis(u64::MAX), Instant::now());
    for (interval, timeout, ceiling, expected) in [
        (u64::MAX, u64::MAX, 120 * SECOND, 120 * SECOND),
        (u64::MAX, 0, most, DAY),
        (25_000, 20_000, 30 * SECOND, 30 * SECOND),
        (300, 200, 120 * SECOND, SECOND / 2),
        (0, 0, 120 * SECOND, Duration::ZERO),
    ] {
        let limits = Limits { ping_ceiling: ceiling, ..Limits::default() };
        let mut session = Session::new(NAMESPACE, &limits, now);
        assert_eq!(session.timeout(), Some(now + ceiling.min(DAY)), "until the handshake");
        session.handle(now, Input::Text(&format!(r#"0{{"sid":"a","pingInterval":{interval},"pingTimeout":{timeout}}}"#)));
        assert_eq!(session.timeout(), Some(now + expected), "{interval} {timeout}");
        assert!(session.ping_interval() <= ceiling.min(DAY));
    }
}

#[test]
fn goodbye_leaves_the_namespace_and_closes_the_engine() {
    let us = Heard::Ended(Ended { by: Who::Us, why: Why::Closed });
    let (mut session, now) = joined();
    session.handle(now, Input::Text("2"));
    assert_eq!(session.handle(now, Input::Leave), us);
    assert_eq!(sent(&mut session), ["41/notifications,", "1"]);
    assert_eq!(session.handle(now, Input::Text("2")), us);

    let (mut session, now) = opening();
    assert_eq!(session.handle(now, Input::Leave), us);
    assert_eq!(sent(&mut session), ["1"], "there is no namespace to leave");
}
