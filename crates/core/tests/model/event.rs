use std::sync::Arc;

use drivetap_core::{
    Drive, DriveType, Entry, Event, EventType, FeedId, GapData, GapReason, GraphId, Item, Notification, Origin, Position,
    ResyncPhase, Sequence,
};
use jiff::Timestamp;
use serde_json::{Value, json};

pub(crate) fn feed(account: &str, drive: &str) -> FeedId {
    let drive = Drive::new(&GraphId::new("driveId", drive).unwrap(), DriveType::Business).id;
    FeedId { account: account.parse().unwrap(), drive }
}

pub(crate) fn origin() -> Arc<Origin> {
    Arc::new(Origin::new(feed("default", "b!aé,1"), "https://graph.microsoft.com/v1.0", 7))
}

pub(crate) fn me() -> Arc<str> {
    "me".into()
}

pub(crate) fn at(time: &str) -> Timestamp {
    time.parse().unwrap()
}

pub(crate) fn position(sequence: u64) -> Position {
    Position { generation: 2, walk: 5, sequence: Sequence(sequence) }
}

pub(crate) fn change(item: Value) -> Event {
    Event::change(&origin(), &me(), position(42), &Item::new(item).unwrap(), at("2026-05-11T21:52:30Z"))
}

pub(crate) fn signal(fields: &Value) -> Event {
    let taps = Notification::parse(&fields.to_string()).unwrap();
    Event::signal(&origin(), &me(), &taps[0], 99, at("2026-05-11T21:52:30Z"))
}

pub(crate) fn gap(data: &GapData) -> Event {
    Event::gap(&origin(), &me(), data, at("2026-05-11T21:52:30Z"))
}

pub(crate) fn disconnected() -> GapData {
    GapData::signals(at("2026-05-11T21:50:00Z"), at("2026-05-11T21:52:00.5Z"), GapReason::Disconnected, true)
}

pub(crate) fn overflow() -> GapData {
    GapData::overflow(at("2026-05-11T21:50:00Z"), at("2026-05-11T21:52:00Z"), Sequence(7)..=Sequence(19))
}

pub(crate) fn resync(phase: &ResyncPhase) -> Event {
    Event::resync(&origin(), &me(), 3, Sequence(43), phase, at("2026-05-11T21:52:30Z"))
}

pub(crate) fn started() -> ResyncPhase {
    ResyncPhase::Started { code: "resyncChangesApplyDifferences".to_owned() }
}

pub(crate) fn file() -> Value {
    json!({
        "id": "01ABCDEF", "name": "Bücher/\u{202e}日本 🦀.txt", "size": 12, "lastModifiedDateTime": "2026-05-11T21:52:27.5200000Z",
        "file": {"hashes": {"quickXorHash": "aGVsbG8="}}, "@microsoft.graph.downloadUrl": "https://x.sharepoint.com/?tempauth=c4n4ry",
    })
}

/// One or more of each type that drivetap makes, whole, merged and cut.
pub(crate) fn one_of_each() -> Vec<Event> {
    let whole = [
        change(file()),
        change(json!({"id": "01ABCDEF", "deleted": {"state": "deleted"}})),
        change(json!({"id": "01ABCDEF", "deleted": null})),
        signal(&json!({"subscriptionId": "5554a2f6", "clientState": null, "new": {"deep": [1]}})),
        signal(&json!({})),
        signal(&json!({})).with_merged(300),
        gap(&disconnected()),
        gap(&overflow()),
        resync(&started()),
        resync(&ResyncPhase::Completed { items: 1_000 }),
    ];
    let stubs: Vec<_> = whole.iter().map(Event::stub).collect();
    whole.into_iter().chain(stubs).collect()
}

#[test]
fn the_structured_form_of_a_change_is_this_line() {
    let item = json!({"id": "01ABCDEF", "name": "ü\u{202e}🦀\n\".txt", "lastModifiedDateTime": "2026-05-11T21:52:27.5200000Z"});
    let change = Event::change(&origin(), &me(), position(42), &Item::new(item).unwrap(), at("2026-05-11T21:52:30.123456789Z"));
    let line = change.to_json();
    let (head, data) = line.split_once(r#","data":"#).unwrap();
    assert_eq!(
        head,
        concat!(
            r#"{"specversion":"1.0","id":"E4LMV6KBSAHPT3P3JZOL4FG4FXRABL42KAA3P6GXHZHRFWFHWKVQ","type":"io.drivetap.change.v1","#,
            r#""source":"https://graph.microsoft.com/v1.0/drives/b!a%C3%A9,1/root","subject":"01ABCDEF","#,
            r#""time":"2026-05-11T21:52:27.52Z","recordedtime":"2026-05-11T21:52:30.123456789Z","partitionkey":"b!aé,1","#,
            r#""resource":"me","account":"default","sequence":"00000000000000000042","datacontenttype":"application/json""#,
        )
    );
    let data: Value = serde_json::from_str(data.strip_suffix('}').unwrap()).unwrap();
    let item = json!({"id": "01ABCDEF", "name": "ü\u{202e}🦀\n\".txt", "lastModifiedDateTime": "2026-05-11T21:52:27.5200000Z"});
    assert_eq!(data, json!({"kind": "upserted", "item": item}));
}

#[test]
fn data_is_what_the_contract_says() {
    let table = [
        (change(json!({"id": "1", "a": [1.5]})), json!({"kind": "upserted", "item": {"id": "1", "a": [1.5]}})),
        (change(json!({"id": "1", "deleted": {}})), json!({"kind": "deleted", "item": {"id": "1", "deleted": {}}})),
        (signal(&json!({"webId": "w", "x": null})), json!({"webId": "w", "x": null})),
        (
            gap(&disconnected()),
            json!({
                "from": "2026-05-11T21:50:00Z", "to": "2026-05-11T21:52:00.5Z", "reason": "disconnected", "affects": "signals",
                "recovered_by_walk": true,
            }),
        ),
        (
            gap(&overflow()),
            json!({
                "from": "2026-05-11T21:50:00Z", "to": "2026-05-11T21:52:00Z", "reason": "sink_overflow", "affects": "changes",
                "recovered_by_walk": false, "from_sequence": "00000000000000000007", "to_sequence": "00000000000000000019",
            }),
        ),
        (resync(&started()), json!({"phase": "started", "generation": 3, "code": "resyncChangesApplyDifferences"})),
        (resync(&ResyncPhase::Completed { items: 9 }), json!({"phase": "completed", "generation": 3, "items": 9})),
    ];
    for (event, data) in table {
        assert_eq!(event.data_value(), data);
        assert_eq!(serde_json::from_str::<Value>(event.data()).unwrap(), data);
    }
}

#[test]
fn attributes_are_there_exactly_where_the_contract_has_them() {
    let table = [
        (change(file()), "io.drivetap.change.v1", Some("01ABCDEF"), Some("00000000000000000042")),
        (signal(&json!({})), "io.drivetap.signal.v1", None, None),
        (gap(&disconnected()), "io.drivetap.gap.v1", None, None),
        (resync(&started()), "io.drivetap.resync.v1", None, Some("00000000000000000043")),
    ];
    for (event, name, subject, sequence) in table {
        let mut expected = vec![
            ("id", event.id().to_owned()),
            ("type", name.to_owned()),
            ("source", "https://graph.microsoft.com/v1.0/drives/b!a%C3%A9,1/root".to_owned()),
            ("time", event.time().to_string()),
            ("recordedtime", "2026-05-11T21:52:30Z".to_owned()),
            ("partitionkey", "b!aé,1".to_owned()),
            ("resource", "me".to_owned()),
            ("account", "default".to_owned()),
        ];
        expected.extend(subject.map(|s| ("subject", s.to_owned())));
        expected.extend(sequence.map(|s| ("sequence", s.to_owned())));
        let mut found: Vec<_> = event.attributes().collect();
        found.sort_unstable();
        expected.sort_unstable();
        assert_eq!(found, expected);
        assert_eq!(event.event_type().as_str(), name);
        assert_eq!((event.feed(), event.resource(), event.account()), (&feed("default", "b!aé,1"), "me", "default"));
    }
}

#[test]
fn both_forms_of_an_event_say_the_same() {
    for event in one_of_each() {
        let line = event.to_json();
        assert!(!line.contains('\n'), "one line: {line}");
        let Value::Object(mut whole) = serde_json::from_str(&line).unwrap() else { panic!("{line}") };
        assert_eq!(whole.remove("specversion").unwrap(), Event::SPEC_VERSION);
        assert_eq!(whole.remove("datacontenttype").unwrap(), Event::CONTENT_TYPE);
        assert_eq!(whole.remove("data").unwrap(), event.data_value());
        let attributes = event.attributes().map(|(name, value)| (name.to_owned(), Value::from(value))).collect();
        assert_eq!(whole, attributes, "{line}");
    }
}

#[test]
fn a_change_is_timed_by_its_item_and_the_rest_by_their_receipt() {
    let received = at("2026-05-11T21:52:30Z");
    let table = [
        (change(file()), at("2026-05-11T21:52:27.52Z")),
        (change(json!({"id": "1"})), received),
        (change(json!({"id": "1", "lastModifiedDateTime": "never"})), received),
        (signal(&json!({"expirationDateTime": "2027-01-01T00:00:00Z"})), received),
        (gap(&disconnected()), received),
        (resync(&started()), received),
    ];
    for (event, time) in table {
        assert_eq!((event.time(), event.recorded_time()), (time, received));
    }
}

#[test]
fn the_source_is_a_url_whatever_the_drives_id_holds() {
    for (drive, encoded) in [("b!x-_y", "b!x-_y"), ("a b?c#d%2F", "a%20b%3Fc%23d%252F"), ("日本", "%E6%97%A5%E6%9C%AC")] {
        for base in ["http://127.0.0.1:4010/v1.0", "http://127.0.0.1:4010/v1.0/"] {
            let origin = Arc::new(Origin::new(feed("a", drive), base, 1));
            let event = Event::gap(&origin, &me(), &disconnected(), at("2026-05-11T21:52:30Z"));
            assert_eq!(event.source(), format!("http://127.0.0.1:4010/v1.0/drives/{encoded}/root"));
            assert_eq!(url::Url::parse(event.source()).unwrap().as_str(), event.source());
            assert_eq!(event.partition_key(), drive);
        }
    }
}

#[test]
fn merged_counts_notifications_and_stands_only_above_one() {
    let tap = signal(&json!({"webId": "w"}));
    let table = [
        (0, json!({"webId": "w"})),
        (1, json!({"webId": "w"})),
        (2, json!({"webId": "w", "merged": 2})),
        (u64::MAX, json!({"webId": "w", "merged": u64::MAX})),
    ];
    for (notifications, data) in table {
        let merged = tap.clone().with_merged(notifications);
        assert_eq!((merged.data_value(), merged.id()), (data, tap.id()));
    }
    assert_eq!(tap.with_merged(3).with_merged(5).data_value()["merged"], 5, "the last word counts");
    assert_eq!(change(file()).with_merged(5).data_value(), change(file()).data_value(), "only signals merge");
}

#[test]
fn a_server_cannot_speak_for_drivetap() {
    let forged = signal(&json!({"merged": 1_000_000, "truncated": true, "webId": "w"}));
    assert_eq!(forged.data_value(), json!({"webId": "w"}));
}

#[test]
fn a_stub_keeps_what_a_fold_needs_and_is_small_whatever_was_sent() {
    let bulk = "x".repeat(2_000_000);
    let table = [
        (change(json!({"id": "1", "name": bulk})), json!({"kind": "upserted", "item": {"id": "1"}, "truncated": true})),
        (
            change(json!({"id": "1", "deleted": {"state": bulk}})),
            json!({"kind": "deleted", "item": {"id": "1"}, "truncated": true}),
        ),
        (signal(&json!({"webId": bulk})).with_merged(4), json!({"merged": 4, "truncated": true})),
        (
            resync(&started()),
            json!({"phase": "started", "generation": 3, "code": "resyncChangesApplyDifferences", "truncated": true}),
        ),
        (
            resync(&ResyncPhase::Started { code: bulk.clone() }),
            json!({"phase": "started", "generation": 3, "code": bulk[..64], "truncated": true}),
        ),
    ];
    for (event, data) in table {
        let stub = event.stub();
        assert_eq!(stub.data_value(), data);
        assert_eq!(stub.attributes().collect::<Vec<_>>(), event.attributes().collect::<Vec<_>>());
        assert_eq!(stub.stub().data(), stub.data());
        assert!(stub.to_json().len() < 1_000 && stub.size() < 1_000, "{}", stub.size());
    }
}

#[test]
fn no_download_link_is_in_any_form_of_a_change() {
    let change = change(file());
    crate::assert_silent(&format!("{change:?} {} {}", change.to_json(), change.data()));
}

#[test]
fn sequence_sorts_as_text_as_it_does_as_a_number() {
    let numbers = [0, 1, 9, 10, 99, 1_000_000, u64::from(u32::MAX), u64::MAX - 1, u64::MAX];
    let texts: Vec<_> = numbers.iter().map(|n| Sequence(*n).to_string()).collect();
    assert!(texts.iter().all(|text| text.len() == 20) && texts.is_sorted(), "{texts:?}");
    assert_eq!(serde_json::to_value(Sequence(u64::MAX)).unwrap(), "18446744073709551615");
}

#[test]
fn a_type_is_written_in_one_way() {
    for event_type in [EventType::Signal, EventType::Change, EventType::Gap, EventType::Resync] {
        assert_eq!(serde_json::to_value(event_type).unwrap(), event_type.as_str());
        assert_eq!(event_type.to_string(), event_type.as_str());
    }
}

#[test]
fn size_follows_what_the_event_holds() {
    let small = change(json!({"id": "1"}));
    let large = change(json!({"id": "1", "name": "x".repeat(100_000)}));
    assert!((100_000..101_000).contains(&(large.size() - small.size())));
    assert!(small.size() > small.data().len());
}

#[test]
fn the_deepest_item_that_is_taken_is_an_event_that_can_be_read() {
    let read = |levels: usize| {
        let (open, close) = ("[".repeat(levels - 1), "]".repeat(levels - 1));
        serde_json::from_str::<Entry>(&format!(r#"{{"id":"1","a":{open}{close}}}"#))
    };
    let Entry(item) = read(125).unwrap();
    let event = Event::change(&origin(), &me(), position(1), &item.unwrap(), at("2026-05-11T21:52:30Z"));
    assert_eq!(event.data_value()["item"]["id"], "1");
    assert_eq!(event.stub().data_value()["kind"], event.data_value()["kind"]);
    assert!(serde_json::from_str::<Value>(&event.to_json()).is_ok());
    assert!(read(126).is_err());
}
