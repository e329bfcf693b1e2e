//! An id is a consumer's only defence against repeats: the same inputs give the same one, any other input gives another.

use std::collections::BTreeMap;
use std::sync::Arc;

use drivetap_core::{Event, GapReason, Item, Notification, Origin, Position, ResyncPhase, Sequence};
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::event::{at, change, disconnected, feed, file, gap, me, one_of_each, origin, resync, signal, started};
use crate::item::json_object;

const NOW: &str = "2026-05-11T21:52:30Z";

struct Change {
    account: &'static str,
    drive: &'static str,
    base: &'static str,
    incarnation: u128,
    generation: u64,
    walk: u64,
    sequence: u64,
    resource: &'static str,
    item: Value,
    recorded: &'static str,
}

impl Default for Change {
    fn default() -> Self {
        Self {
            account: "default",
            drive: "b!a",
            base: "https://graph.microsoft.com/v1.0",
            incarnation: 7,
            generation: 2,
            walk: 5,
            sequence: 42,
            resource: "me",
            item: json!({"id": "1", "name": "a"}),
            recorded: NOW,
        }
    }
}

impl Change {
    fn id(self) -> String {
        let origin = Arc::new(Origin::new(feed(self.account, self.drive), self.base, self.incarnation));
        let position = Position { generation: self.generation, walk: self.walk, sequence: Sequence(self.sequence) };
        let item = Item::new(self.item).unwrap();
        Event::change(&origin, &self.resource.into(), position, &item, at(self.recorded)).id().to_owned()
    }
}

/// A new algorithm makes every consumer take every repeat across an upgrade for news: that needs a new major version of the types.
/// The values were made by a second program, from the contract: SHA-256 over each part behind its length (8 bytes, big-endian),
/// numbers big-endian, the item as JSON without white space and with sorted keys.
#[test]
fn ids_are_these_for_ever() {
    let table = [
        ("change", Change::default().id(), "SNVXPAI2QVVHBSA7E5MDRMW4ZYORYE3SPLKUZFZBAS7MXHQHU5HQ"),
        ("file", change(file()).id().to_owned(), "EGR2AFAAEFCROY56XAGC2BAAMFTZZ24DFEEPWTFRBX5Y5JN3MZ2Q"),
        ("signal", signal(&json!({})).id().to_owned(), "NPCTPNKCDQGDTOAKG2F6SHT5PJALP4PEE7C7T5DEL5F23DWXEPQQ"),
        ("gap", gap(&disconnected()).id().to_owned(), "6NQRDE25EG66W6VRBXETWCFMXIHBNECWIPH73HLDDDXIMOU2YM7Q"),
        ("started", resync(&started()).id().to_owned(), "Z2TXEQL4P3Z3R2Z57WPAEH2ATZPERO2FHWCKGNPDLX4RYOMI3D4Q"),
        (
            "completed",
            resync(&ResyncPhase::Completed { items: 1 }).id().to_owned(),
            "ANXVEBW32MBAMA5OA4D54BZ4NFZ4HBQHQI63ERY7AGMFRZCSYOUQ",
        ),
    ];
    let found: Vec<_> = table.iter().map(|(name, id, _)| (*name, id.as_str())).collect();
    let pinned: Vec<_> = table.iter().map(|(name, _, pinned)| (*name, *pinned)).collect();
    assert_eq!(found, pinned);
}

#[test]
fn each_part_of_a_change_makes_another_id() {
    let changes = [
        ("nothing", Change::default()),
        ("account", Change { account: "other", ..Change::default() }),
        ("drive", Change { drive: "b!b", ..Change::default() }),
        ("drive's case", Change { drive: "b!A", ..Change::default() }),
        ("incarnation", Change { incarnation: 8, ..Change::default() }),
        ("incarnation's high half", Change { incarnation: 7 << 64, ..Change::default() }),
        ("generation", Change { generation: 3, ..Change::default() }),
        ("walk", Change { walk: 6, ..Change::default() }),
        ("generation and walk exchanged", Change { generation: 5, walk: 2, ..Change::default() }),
        ("item id", Change { item: json!({"id": "2", "name": "a"}), ..Change::default() }),
        ("item's field", Change { item: json!({"id": "1", "name": "b"}), ..Change::default() }),
        ("item's field name", Change { item: json!({"id": "1", "Name": "a"}), ..Change::default() }),
        ("one field more", Change { item: json!({"id": "1", "name": "a", "x": null}), ..Change::default() }),
        ("null for a text", Change { item: json!({"id": "1", "name": null}), ..Change::default() }),
        ("a number", Change { item: json!({"id": "1", "name": 1}), ..Change::default() }),
        ("the number as a text", Change { item: json!({"id": "1", "name": "1"}), ..Change::default() }),
        ("the number as a float", Change { item: json!({"id": "1", "name": 1.5}), ..Change::default() }),
        ("nesting", Change { item: json!({"id": "1", "name": {"a": [1, 2]}}), ..Change::default() }),
        ("an array's order", Change { item: json!({"id": "1", "name": {"a": [2, 1]}}), ..Change::default() }),
        ("an array's nesting", Change { item: json!({"id": "1", "name": {"a": [[2], 1]}}), ..Change::default() }),
        ("unicode", Change { item: json!({"id": "1", "name": "é"}), ..Change::default() }),
        ("its decomposed twin", Change { item: json!({"id": "1", "name": "e\u{301}"}), ..Change::default() }),
        ("text that looks like structure", Change { item: json!({"id": "1", "name": "a\",\"x\":\"b"}), ..Change::default() }),
        ("the structure", Change { item: json!({"id": "1", "name": "a", "x": "b"}), ..Change::default() }),
    ];
    let mut seen = BTreeMap::new();
    for (part, change) in changes {
        if let Some(twin) = seen.insert(change.id(), part) {
            panic!("{part} and {twin} share an id");
        }
    }
}

#[test]
fn what_a_redelivery_may_change_leaves_the_id_alone() {
    let same = [
        ("sequence", Change { sequence: 43, ..Change::default() }),
        ("receipt", Change { recorded: "2027-01-01T00:00:00Z", ..Change::default() }),
        ("resource", Change { resource: "drive:b!a", ..Change::default() }),
        ("base URL", Change { base: "https://graph.microsoft.us/v1.0", ..Change::default() }),
        (
            "a fresh download link",
            Change { item: json!({"id": "1", "name": "a", "@microsoft.graph.downloadUrl": "new"}), ..Change::default() },
        ),
    ];
    for (part, change) in same {
        assert_eq!(change.id(), Change::default().id(), "{part}");
    }
    let parsed = |text: &str| Change { item: serde_json::from_str(text).unwrap(), ..Change::default() }.id();
    assert_eq!(
        parsed(r#"{"id":"1","a":{"x":1,"y":[{"p":1.50,"q":"\u00fc"}]},"b":2}"#),
        parsed(r#"{ "b":2, "a":{"y":[{"q":"ü","p":1.5}],"x":1}, "id":"1" }"#),
        "key order, white space and escapes are no content"
    );
    assert_eq!(change(file()).stub().id(), change(file()).id());
}

#[test]
fn gaps_resyncs_and_signals_follow_their_own_parts() {
    let other = Arc::new(Origin::new(feed("other", "b!aé,1"), "https://graph.microsoft.com/v1.0", 7));
    let reborn = Arc::new(Origin::new(feed("default", "b!aé,1"), "https://graph.microsoft.com/v1.0", 8));
    let now = at(NOW);

    let mut longer = disconnected();
    longer.to = now;
    longer.reason = GapReason::Suspended;
    assert_eq!(gap(&longer).id(), gap(&disconnected()).id(), "a gap that grows is the same gap");
    let mut later = disconnected();
    later.from = at("2026-05-11T21:50:00.000000001Z");
    assert_ne!(gap(&later).id(), gap(&disconnected()).id());
    for origin in [&other, &reborn] {
        assert_ne!(Event::gap(origin, &me(), &disconnected(), now).id(), gap(&disconnected()).id());
        assert_ne!(Event::resync(origin, &me(), 3, Sequence(43), &started(), now).id(), resync(&started()).id());
    }

    let timer = ResyncPhase::Started { code: "timer".to_owned() };
    assert_eq!(resync(&timer).id(), resync(&started()).id(), "one start a generation, whatever its code");
    assert_eq!(Event::resync(&origin(), &me(), 3, Sequence(99), &started(), now).id(), resync(&started()).id());
    assert_ne!(Event::resync(&origin(), &me(), 4, Sequence(43), &started(), now).id(), resync(&started()).id());
    assert_ne!(resync(&ResyncPhase::Completed { items: 1 }).id(), resync(&started()).id());
    assert_eq!(resync(&ResyncPhase::Completed { items: 1 }).id(), resync(&ResyncPhase::Completed { items: 2 }).id());

    let tap = Notification::default();
    assert_eq!(signal(&json!({"webId": "w"})).id(), signal(&json!({})).id(), "a signal's id is its nonce's");
    assert_ne!(Event::signal(&origin(), &me(), &tap, 98, now).id(), signal(&json!({})).id());
    assert_ne!(Event::signal(&other, &me(), &tap, 99, now).id(), signal(&json!({})).id());
}

#[test]
fn an_id_is_base32_of_32_bytes() {
    for event in one_of_each() {
        let id = event.id();
        assert!(id.len() == 52 && id.bytes().all(|b| b.is_ascii_uppercase() || (b'2'..=b'7').contains(&b)), "{id}");
    }
}

/// The same JSON with the keys of every object the other way round.
fn reversed(value: &Value) -> String {
    match value {
        Value::Object(fields) => {
            let fields: Vec<_> =
                fields.iter().rev().map(|(name, value)| format!("{}: {}", json!(name), reversed(value))).collect();
            format!("{{ {} }}", fields.join(", "))
        }
        Value::Array(values) => format!("[{}]", values.iter().map(reversed).collect::<Vec<_>>().join(" , ")),
        scalar => scalar.to_string(),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn an_id_depends_on_content_and_not_on_its_writing(mut fields in json_object()) {
        fields.insert("id".to_owned(), json!("1"));
        let item = Value::Object(fields);
        let written = reversed(&item);
        let id = |item: Value| Change { item, ..Change::default() }.id();
        prop_assert_eq!(id(item.clone()), id(serde_json::from_str(&written).unwrap()));
    }
}
