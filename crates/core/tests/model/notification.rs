use drivetap_core::{Notification, NotificationError};
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::{CANARY, assert_silent};

// abraunegg/onedrive#3718: the second argument of the event, verbatim.
const WILD: &str = r#""{\"value\":[{\"subscriptionId\":\"5554a2f6-1959-4b95-96f4-369b49212df9\",\"clientState\":\"system-managed:8082D436-D8DA-458D-96AD-34C902B73F37\",\"expirationDateTime\":\"2026-05-11T21:52:27.5200000Z\",\"resource\":\"b8a61df7-e8b3-4e48-9cc2-73425b82160e\",\"tenantId\":\"9188040d-6c67-4c5b-b112-36a304b66dad\",\"siteUrl\":\"/personal/5a0b9e159b3310ad\",\"webId\":\"be8f18aa-284c-4452-8e7d-3db9e0e4babd\"}]}""#;

#[test]
fn the_wild_payload_gives_every_field() {
    let taps = Notification::parse(WILD).unwrap();
    let [tap] = &taps[..] else { panic!("{taps:?}") };
    assert_eq!(tap.subscription_id(), Some("5554a2f6-1959-4b95-96f4-369b49212df9"));
    assert_eq!(tap.client_state(), Some("system-managed:8082D436-D8DA-458D-96AD-34C902B73F37"));
    assert_eq!(tap.expiration().unwrap().to_string(), "2026-05-11T21:52:27.52Z");
    assert_eq!(tap.resource(), Some("b8a61df7-e8b3-4e48-9cc2-73425b82160e"));
    assert_eq!(tap.tenant_id(), Some("9188040d-6c67-4c5b-b112-36a304b66dad"));
    assert_eq!(tap.site_url(), Some("/personal/5a0b9e159b3310ad"));
    assert_eq!(tap.web_id(), Some("be8f18aa-284c-4452-8e7d-3db9e0e4babd"));
    assert_eq!(tap.user_id(), None);
    assert_eq!(tap.fields()["expirationDateTime"], "2026-05-11T21:52:27.5200000Z", "kept as sent");
    assert_eq!(tap.fields().len(), 7);
}

#[test]
fn the_flat_payload_of_the_consumer_backend() {
    let flat = json!({
        "clientState": "c", "subscriptionId": "s", "subscriptionExpirationDateTime": "2024-05-11T21:52:27.5200000Z",
        "userId": "u", "resource": "r",
    });
    for argument in [flat.to_string(), Value::from(flat.to_string()).to_string()] {
        let taps = Notification::parse(&argument).unwrap();
        let [tap] = &taps[..] else { panic!("{taps:?}") };
        assert_eq!((tap.subscription_id(), tap.client_state()), (Some("s"), Some("c")));
        assert_eq!((tap.user_id(), tap.resource()), (Some("u"), Some("r")));
        assert_eq!(tap.expiration().unwrap().to_string(), "2024-05-11T21:52:27.52Z");
    }
}

#[test]
fn every_shape_gives_its_entries_in_order_as_sent() {
    let table = [
        (json!({"value": []}), vec![]),
        (json!({"value": [{"a": 1}]}), vec![json!({"a": 1})]),
        (
            json!({"value": [{"a": 1}, {}, {"a": [null, {"b": 2.5}]}]}),
            vec![json!({"a": 1}), json!({}), json!({"a": [null, {"b": 2.5}]})],
        ),
        (json!({"@odata.context": "c", "value": [{"a": 1}]}), vec![json!({"a": 1})]),
        // Flat, with a field that happens to be called value.
        (json!({"value": "x", "subscriptionId": "s"}), vec![json!({"value": "x", "subscriptionId": "s"})]),
        (json!({"value": {"a": 1}}), vec![json!({"value": {"a": 1}})]),
        (json!({}), vec![json!({})]),
        (
            json!({"subscriptionId": 7, "expirationDateTime": "soon"}),
            vec![json!({"subscriptionId": 7, "expirationDateTime": "soon"})],
        ),
    ];
    for (payload, entries) in table {
        for argument in [payload.to_string(), Value::from(payload.to_string()).to_string(), format!(" {payload} ")] {
            let taps = Notification::parse(&argument).unwrap();
            let found: Vec<Value> = taps.iter().map(|tap| Value::Object(tap.fields().clone())).collect();
            assert_eq!(found, entries, "{argument}");
            assert!(taps.iter().all(|tap| tap.subscription_id().is_none_or(|id| id == "s") && tap.expiration().is_none()));
        }
    }
}

#[test]
fn a_field_is_found_however_it_is_written() {
    let table = [
        (json!({"siteUrl": "/a", "webId": "w"}), Some("/a")),
        (json!({"siteUrl": "/\"quoted\"\n", "a": {"siteUrl": "inner"}}), Some("/\"quoted\"\n")),
        (json!({"a": {"siteUrl": "inner"}, "z": 1}), None),
        (json!({"siteUrl": 7}), None),
        (json!({"siteUrl": null, "siteUrl2": "x"}), None),
        (json!({"a\"b": 1, "siteUrl": "", "é": "é"}), Some("")),
    ];
    for (payload, expected) in table {
        let taps = Notification::parse(&payload.to_string()).unwrap();
        assert_eq!(taps[0].site_url(), expected, "{payload}");
        assert_eq!(Value::Object(taps[0].fields().clone()), payload);
        assert_eq!(serde_json::from_str::<Value>(taps[0].json()).unwrap(), payload);
    }
    assert_eq!(Notification::default().json(), "{}");
}

fn refused(argument: &str, expected: &str) {
    let error = Notification::parse(argument).unwrap_err();
    let found = match error {
        NotificationError::Json(_) => "json",
        NotificationError::Shape => "shape",
        NotificationError::TooMany => "many",
    };
    assert_eq!(found, expected, "{argument:.80}");
    assert_silent(&format!("{error} {error:?}"));
}

#[test]
fn what_is_no_notification_is_refused_without_being_printed() {
    let table = [
        ("", "json"),
        (CANARY, "json"),
        ("{", "json"),
        ("{} {}", "json"),
        (r#""""#, "json"),
        (r#""c4n4ry""#, "json"),
        (r#""{\"value\":[{\"token\":\"c4n4ry\"}]""#, "json"),
        ("\"\\ud800\"", "json"),
        ("null", "shape"),
        ("7", "shape"),
        ("true", "shape"),
        (r#"[{"subscriptionId":"c4n4ry"}]"#, "shape"),
        (r#""[{}]""#, "shape"),
        (r#""null""#, "shape"),
        (r#""\"{}\"""#, "shape"),
        (r#"{"value":["c4n4ry"]}"#, "shape"),
        (r#"{"value":[{},null]}"#, "shape"),
        (r#"{"value":[[{}]]}"#, "shape"),
    ];
    for (argument, expected) in table {
        refused(argument, expected);
    }
}

#[test]
fn depth_and_number_are_bounded_in_both_layers() {
    for bomb in ["[".repeat(1_000_000), r#"{"a":"#.repeat(200_000), format!(r#"{{"value":[{{"a":{}"#, "[".repeat(500_000))] {
        refused(&bomb, "json");
        refused(&Value::from(bomb).to_string(), "json");
    }
    let frame = |entries: usize| format!(r#"{{"value":[{}]}}"#, vec!["{}"; entries].join(","));
    assert_eq!(Notification::parse(&frame(Notification::MAX_PER_FRAME)).unwrap().len(), Notification::MAX_PER_FRAME);
    refused(&frame(Notification::MAX_PER_FRAME + 1), "many");
    let huge = json!({"value": [{"subscriptionId": "x".repeat(1 << 20)}]}).to_string();
    assert_eq!(Notification::parse(&huge).unwrap()[0].subscription_id().unwrap().len(), 1 << 20);
}

/// The same entries, written in a way that goes through the tree: with a space in front of the object.
fn through_the_tree(inner: &str) -> Vec<Notification> {
    Notification::parse(&Value::from(format!(" {inner}")).to_string()).unwrap()
}

#[test]
fn what_is_read_without_a_tree_is_what_the_tree_reads() {
    let table = [
        r#"{"value":[{"b":"1","a":"2","merged":"3"}]}"#,
        r#"{"value":[{"b":"1"},{"a":"2","ab":"","":"x"}]}"#,
        r#"{"value":[{"a":"1","a":"2"}]}"#,
        r#"{"value":[{"a":"{},:[]}","é":"文😀"}]}"#,
        r#"{"value":[{"a":"1","b":2,"c":null,"d":{"a":"b"},"e":["a","b"]}]}"#,
        r#"{"value":[{"a":"q\"\n"}]}"#,
        r#"{"value":[{}]}"#,
        r#"{"value":[]}"#,
        r#"{"value":[{"a":"1"}],"b":"2"}"#,
        r#"{"value":[{"a":"1"}],"value":[{"b":"2"}]}"#,
    ];
    for inner in table {
        let (plain, tree) = (Notification::parse(&Value::from(inner).to_string()).unwrap(), through_the_tree(inner));
        let json = |taps: &[Notification]| taps.iter().map(|tap| tap.json().to_owned()).collect::<Vec<_>>();
        assert_eq!(json(&plain), json(&tree), "{inner}");
        let fields = |taps: &[Notification]| taps.iter().map(|tap| tap.fields().clone()).collect::<Vec<_>>();
        assert_eq!(fields(&plain), fields(&tree), "{inner}");
    }
    let many = format!(r#"{{"value":[{{{}}}]}}"#, (0..40).map(|n| format!(r#""n{n}":"v""#)).collect::<Vec<_>>().join(","));
    assert_eq!(Notification::parse(&Value::from(many.as_str()).to_string()).unwrap(), through_the_tree(&many));
    let most = format!(r#"{{"value":[{}]}}"#, vec![r#"{"a":"b"}"#; Notification::MAX_PER_FRAME].join(","));
    assert_eq!(Notification::parse(&Value::from(most.as_str()).to_string()).unwrap().len(), Notification::MAX_PER_FRAME);
    refused(&Value::from(most.replacen('[', r#"[{"a":"b"},"#, 1)).to_string(), "many");
    for broken in [
        r#"{"value":[{"a":"1"}"#,
        r#"{"value":[{"a":"1"},]}"#,
        r#"{"value":[{"a":"1",}]}"#,
        r#"{"value":[{"a":}]}"#,
        r#"{"value":[{"a"}]}"#,
        r#"{"value":[{"a":"1"}]}]"#,
        r#"{"value":[{"a":"1"}{"b":"2"}]}"#,
        r#"{"value":[{"a":"1""b":"2"}]}"#,
    ] {
        refused(&Value::from(broken).to_string(), "json");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_frame_panics(text in any::<String>(), piece in r#"[{}\[\]":,a0-9\\ ]{0,40}"#) {
        let _ = Notification::parse(&text).map(|taps| taps.len());
        let _ = Notification::parse(&piece).map(|taps| taps.len());
        let _ = Notification::parse(&Value::from(piece).to_string()).map(|taps| taps.len());
    }

    #[test]
    fn any_fields_are_read_as_the_tree_reads_them(
        fields in proptest::collection::vec(("[a-c]{0,2}|siteUrl|webId", r#"[a-z/"\\\\{}:,é\n]{0,6}"#), 0..6),
    ) {
        let field = |(name, text): &(String, String)| format!("{}:{}", Value::from(name.as_str()), Value::from(text.as_str()));
        let inner = format!(r#"{{"value":[{{{}}}]}}"#, fields.iter().map(field).collect::<Vec<_>>().join(","));
        let (plain, tree) = (Notification::parse(&Value::from(inner.as_str()).to_string()).unwrap(), through_the_tree(&inner));
        prop_assert_eq!(plain[0].json(), tree[0].json());
        prop_assert_eq!((plain[0].site_url(), plain[0].web_id()), (tree[0].site_url(), tree[0].web_id()));
        prop_assert_eq!(plain[0].fields(), tree[0].fields());
    }
}
