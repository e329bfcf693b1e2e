use drivetap_core::{Event, EventType, GapData, GapReason, Item, ResyncPhase, schema};
use jsonschema::Validator;
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::event::{at, change, disconnected, file, gap, me, one_of_each, origin, overflow, position, resync, signal, started};
use crate::item::json_object;

const TYPES: [EventType; 4] = [EventType::Signal, EventType::Change, EventType::Gap, EventType::Resync];

fn compile(schema: &Value) -> Validator {
    jsonschema::draft202012::options().should_validate_formats(true).build(schema).unwrap()
}

fn all() -> Validator {
    compile(&serde_json::from_str(schema::event()).unwrap())
}

fn structured(event: &Event) -> Value {
    serde_json::from_str(&event.to_json()).unwrap()
}

#[track_caller]
fn assert_valid(validator: &Validator, event: &Value) {
    let errors: Vec<_> = validator.iter_errors(event).map(|error| format!("{}: {error}", error.instance_path())).collect();
    assert!(errors.is_empty(), "{event:#}\n{errors:#?}");
}

#[test]
fn the_schemas_are_draft_2020_12() {
    let whole: Value = serde_json::from_str(schema::event()).unwrap();
    for document in TYPES.map(schema::event_type).iter().chain([&whole]) {
        assert_eq!(document["$schema"], "https://json-schema.org/draft/2020-12/schema");
        assert!(jsonschema::meta::is_valid(document), "{}", document["$id"]);
    }
}

#[test]
fn every_event_is_valid_by_the_whole_and_by_its_own_type_alone() {
    let (all, own) = (all(), TYPES.map(|t| (t, compile(&schema::event_type(t)))));
    let mut seen = Vec::new();
    for event in one_of_each() {
        let line = structured(&event);
        assert_valid(&all, &line);
        for (event_type, validator) in &own {
            assert_eq!(validator.is_valid(&line), *event_type == event.event_type(), "{event_type}: {line:#}");
        }
        seen.push(event.event_type());
    }
    assert!(TYPES.iter().all(|t| seen.contains(t)), "a type was not tried");
}

#[test]
fn every_reason_for_a_gap_is_in_the_schema() {
    use GapReason as R;
    let all = all();
    for reason in [R::Restart, R::Disconnected, R::Expired, R::Suspended] {
        for recovered in [true, false] {
            let data = GapData { reason, recovered_by_walk: recovered, ..disconnected() };
            assert_valid(&all, &structured(&gap(&data)));
        }
    }
    assert!(!all.is_valid(&structured(&gap(&GapData { reason: R::SinkOverflow, ..disconnected() }))));
    assert!(!all.is_valid(&structured(&gap(&GapData { reason: R::Restart, ..overflow() }))));
}

#[test]
fn the_schema_names_every_attribute_that_an_event_has() {
    let whole: Value = serde_json::from_str(schema::event()).unwrap();
    let known = whole["$defs"]["context"]["properties"].as_object().unwrap();
    for event in one_of_each() {
        for name in structured(&event).as_object().unwrap().keys() {
            assert!(known.contains_key(name), "{name} is not in the schema");
        }
    }
}

#[test]
fn what_a_later_version_may_add_is_valid() {
    let all = all();
    for event in one_of_each() {
        let mut line = structured(&event);
        line["traceparent"] = json!("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01");
        line["data"]["later"] = json!({"any": ["thing"]});
        assert_valid(&all, &line);
    }
}

/// One value put at `path` of a good event, or what is there taken away.
fn planted(event: &Event, path: &str, value: Option<Value>) -> Value {
    let mut line = structured(event);
    let (parent, name) = path.rsplit_once('/').unwrap();
    let parent = line.pointer_mut(parent).unwrap().as_object_mut().unwrap();
    match value {
        Some(value) => assert_ne!(parent.insert(name.to_owned(), value.clone()), Some(value), "{path} was not changed"),
        None => assert!(parent.remove(name).is_some(), "{path} was not there"),
    }
    line
}

#[track_caller]
fn assert_invalid(validator: &Validator, event: &Event, path: &str, value: Option<Value>) {
    let line = planted(event, path, value);
    assert!(!validator.is_valid(&line), "{path} passed: {line:#}");
}

#[test]
fn a_violation_of_any_attribute_is_found_in_every_type() {
    let all = all();
    let required = [
        "specversion",
        "id",
        "type",
        "source",
        "time",
        "recordedtime",
        "partitionkey",
        "resource",
        "account",
        "datacontenttype",
        "data",
    ];
    let id = "A".repeat(52);
    let wrong = [
        ("specversion", json!("0.3")),
        ("id", json!("")),
        ("id", json!(7)),
        ("id", json!(id[1..])),
        ("id", json!(format!("{id}A"))),
        ("id", json!(id.to_lowercase())),
        ("id", json!(format!("{}B", &id[1..]))),
        ("id", json!(format!("1{}", &id[1..]))),
        ("type", json!("io.drivetap.change.v2")),
        ("type", json!("")),
        ("source", json!("/drives/b!a/root")),
        ("source", json!("https://graph.microsoft.com/v1.0/drives/b!a/root/delta")),
        ("source", json!("https://graph.microsoft.com/v1.0/drives//root")),
        ("source", json!("https://graph.microsoft.com/v1.0/drives/a b/root")),
        ("source", json!("ftp://graph.microsoft.com/v1.0/drives/b!a/root")),
        ("time", json!("2026-05-11 21:52:27Z")),
        ("time", json!("2026-05-11T21:52:27+00:00")),
        ("time", json!("2026-13-11T21:52:27Z")),
        ("time", json!("2026-02-30T21:52:27Z")),
        ("time", json!("2026-05-11T21:52:27.1234567890Z")),
        ("time", json!(1_778_536_347)),
        ("recordedtime", json!("now")),
        ("recordedtime", json!(null)),
        ("partitionkey", json!("")),
        ("partitionkey", json!("a/b")),
        ("resource", json!("you")),
        ("resource", json!("drive:")),
        ("resource", json!("site:h")),
        ("resource", json!("drive:a/b")),
        ("account", json!("")),
        ("account", json!("a b")),
        ("account", json!("x".repeat(65))),
        ("datacontenttype", json!("text/plain")),
        ("data", json!(null)),
        ("data", json!("{}")),
        ("data", json!([])),
        ("Extension", json!("x")),
        ("trace_parent", json!("x")),
        ("extension", json!({"not": "a scalar"})),
    ];
    for event in one_of_each() {
        for name in required {
            assert_invalid(&all, &event, &format!("/{name}"), None);
        }
        for (name, value) in &wrong {
            assert_invalid(&all, &event, &format!("/{name}"), Some(value.clone()));
        }
        let (with_subject, with_sequence) = match event.event_type() {
            EventType::Change => (true, true),
            EventType::Resync => (false, true),
            EventType::Signal | EventType::Gap => (false, false),
        };
        for (name, has, good) in
            [("subject", with_subject, json!("01AB")), ("sequence", with_sequence, json!("00000000000000000001"))]
        {
            let path = format!("/{name}");
            assert_invalid(&all, &event, &path, if has { None } else { Some(good) });
        }
        if with_sequence {
            for bad in [json!(42), json!("42"), json!("000000000000000000042"), json!("0000000000000000004x")] {
                assert_invalid(&all, &event, "/sequence", Some(bad));
            }
        }
        let another = if event.event_type() == EventType::Gap { EventType::Signal } else { EventType::Gap };
        if event.event_type() != EventType::Gap {
            assert_invalid(&all, &event, "/type", Some(json!(another.as_str())));
        }
    }
}

#[test]
fn a_violation_in_the_data_is_found() {
    let all = all();
    let upserted = || change(file());
    let deleted = || change(json!({"id": "1", "deleted": {}}));
    let completed = || resync(&ResyncPhase::Completed { items: 3 });
    let table = [
        (upserted(), "/data/kind", Some(json!("created"))),
        (upserted(), "/data/kind", Some(json!("deleted"))),
        (upserted(), "/data/kind", None),
        (upserted(), "/data/item", None),
        (upserted(), "/data/item", Some(json!([]))),
        (upserted(), "/data/item/id", None),
        (upserted(), "/data/item/id", Some(json!(7))),
        (upserted(), "/data/item/id", Some(json!(""))),
        (upserted(), "/data/item/deleted", Some(json!({}))),
        (upserted(), "/data/truncated", Some(json!(true))),
        (upserted(), "/data/truncated", Some(json!(false))),
        (upserted(), "/data/item/@microsoft.graph.downloadUrl", Some(json!("https://x"))),
        (upserted(), "/data/item/@content.downloadUrl", Some(json!("https://x"))),
        (upserted(), "/data/item/file/@content.downloadUrl", Some(json!("https://x"))),
        (upserted(), "/data/item/children", Some(json!([[{"@microsoft.graph.downloadUrl": "https://x"}]]))),
        (upserted(), "/subject", Some(json!(""))),
        (upserted().stub(), "/data/item/name", Some(json!("left over"))),
        (deleted(), "/data/kind", Some(json!("upserted"))),
        (deleted(), "/data/item/deleted", None),
        (deleted(), "/data/item/deleted", Some(json!(null))),
        (signal(&json!({})), "/data/merged", Some(json!(1))),
        (signal(&json!({})), "/data/merged", Some(json!("2"))),
        (signal(&json!({})), "/data/merged", Some(json!(2.5))),
        (signal(&json!({})), "/data/truncated", Some(json!("yes"))),
        (gap(&disconnected()), "/data/from", None),
        (gap(&disconnected()), "/data/to", Some(json!("later"))),
        (gap(&disconnected()), "/data/reason", Some(json!("bad luck"))),
        (gap(&disconnected()), "/data/reason", Some(json!("sink_overflow"))),
        (gap(&disconnected()), "/data/affects", Some(json!("everything"))),
        (gap(&disconnected()), "/data/affects", Some(json!("changes"))),
        (gap(&disconnected()), "/data/affects", None),
        (gap(&disconnected()), "/data/recovered_by_walk", None),
        (gap(&disconnected()), "/data/recovered_by_walk", Some(json!("true"))),
        (gap(&disconnected()), "/data/from_sequence", Some(json!("00000000000000000001"))),
        (gap(&overflow()), "/data/from_sequence", None),
        (gap(&overflow()), "/data/to_sequence", Some(json!(19))),
        (gap(&overflow()), "/data/recovered_by_walk", Some(json!(true))),
        (gap(&overflow()), "/data/reason", Some(json!("restart"))),
        (resync(&started()), "/data/phase", Some(json!("paused"))),
        (resync(&started()), "/data/phase", Some(json!("completed"))),
        (resync(&started()), "/data/phase", None),
        (resync(&started()), "/data/code", None),
        (resync(&started()), "/data/items", Some(json!(3))),
        (resync(&started()), "/data/generation", None),
        (resync(&started()), "/data/generation", Some(json!(-1))),
        (completed(), "/data/items", None),
        (completed(), "/data/items", Some(json!("3"))),
        (completed(), "/data/code", Some(json!("timer"))),
    ];
    for (event, path, value) in table {
        assert_valid(&all, &structured(&event));
        assert_invalid(&all, &event, path, value);
    }
}

thread_local!(static ALL: Validator = all());

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_event_is_invalid_for_what_graph_sent(mut fields in json_object(), merged in 0..3u64) {
        let tap = signal(&json!({"value": [fields.clone()]})).with_merged(merged);
        fields.insert("id".to_owned(), json!("1"));
        let item = Item::new(Value::Object(fields)).unwrap();
        let change = Event::change(&origin(), &me(), position(1), &item, at("2026-05-11T21:52:30Z"));
        for event in [&tap, &tap.stub(), &change, &change.stub()] {
            ALL.with(|all| assert_valid(all, &structured(event)));
        }
    }
}
