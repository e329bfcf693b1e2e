use drivetap_core::{Entry, Item, ItemError};
use proptest::prelude::*;
use serde_json::{Map, Value, json};

use crate::{CANARY, assert_silent};

fn fields(item: Value) -> Value {
    Value::Object(Item::new(item).unwrap().fields())
}

#[test]
fn download_links_are_gone_at_every_depth_and_nothing_else_is() {
    let table = [
        (json!({"id": "1", "@microsoft.graph.downloadUrl": "c4n4ry"}), json!({"id": "1"})),
        (json!({"id": "1", "@content.downloadUrl": "c4n4ry"}), json!({"id": "1"})),
        (json!({"id": "1", "@microsoft.graph.downloadUrl": {"url": ["c4n4ry"]}}), json!({"id": "1"})),
        (json!({"id": "1", "@Microsoft.Graph.DownloadURL": "c4n4ry"}), json!({"id": "1"})),
        (json!({"id": "1", "content@microsoft.graph.downloadUrl": "c4n4ry"}), json!({"id": "1"})),
        (
            json!({"id": "1", "remoteItem": {"id": "2", "@microsoft.graph.downloadUrl": "c4n4ry", "file": {}}}),
            json!({"id": "1", "remoteItem": {"id": "2", "file": {}}}),
        ),
        (
            json!({"id": "1", "children": [{"a": [[{"@content.downloadUrl": "c4n4ry", "b": 1}]]}]}),
            json!({"id": "1", "children": [{"a": [[{"b": 1}]]}]}),
        ),
        // Names that only look alike are Graph's and stay.
        (
            json!({"id": "1", "downloadUrl": "x", "@microsoft.graph.downloadUrlX": 1}),
            json!({"id": "1", "downloadUrl": "x", "@microsoft.graph.downloadUrlX": 1}),
        ),
        (json!({"id": "1", "ürl": "é", "": 0}), json!({"id": "1", "ürl": "é", "": 0})),
    ];
    for (sent, kept) in table {
        assert_eq!(fields(sent.clone()), kept, "{sent}");
        assert_silent(&format!("{:?}", Item::new(sent)));
    }
}

#[test]
fn an_entry_without_a_usable_id_is_refused() {
    let ok = "x".repeat(Item::MAX_ID);
    let refused = [
        json!(null),
        json!("c4n4ry"),
        json!([{"id": "1"}]),
        json!({}),
        json!({"id": null}),
        json!({"id": 7}),
        json!({"id": ""}),
        json!({"ID": "1"}),
        json!({"id": format!("{ok}x")}),
    ];
    for value in refused {
        assert_eq!(Item::new(value.clone()), Err(ItemError), "{value:.80}");
    }
    assert_eq!(Item::new(json!({"id": ok.clone()})).unwrap().id(), ok);
}

#[test]
fn deleted_is_a_facet_that_is_there() {
    let table = [
        (json!({"id": "1"}), false),
        (json!({"id": "1", "deleted": null}), false),
        (json!({"id": "1", "deleted": {}}), true),
        (json!({"id": "1", "deleted": {"state": "deleted"}, "name": null}), true),
        (json!({"id": "1", "@removed": {"reason": "deleted"}}), false),
    ];
    for (item, deleted) in table {
        assert_eq!(Item::new(item.clone()).unwrap().is_deleted(), deleted, "{item}");
    }
}

#[test]
fn the_last_change_is_a_time_that_rfc_3339_can_write_or_unknown() {
    let table = [
        (json!("2026-05-11T21:52:27.5200000Z"), Some("2026-05-11T21:52:27.52Z")),
        (json!("2026-05-11T23:52:27+02:00"), Some("2026-05-11T21:52:27Z")),
        (json!("0001-01-01T00:00:00Z"), Some("0001-01-01T00:00:00Z")),
        (json!("0000-01-01T00:00:00Z"), Some("0000-01-01T00:00:00Z")),
        (json!("-000001-12-31T23:59:59Z"), None),
        (json!("0000-01-01T00:00:00+00:01"), None),
        (json!("9999-12-31T23:59:59-12:00"), None),
        (json!("yesterday"), None),
        (json!(""), None),
        (json!(null), None),
        (json!(1_735_011_170), None),
    ];
    for (at, expected) in table {
        let item = Item::new(json!({"id": "1", "lastModifiedDateTime": at})).unwrap();
        assert_eq!(item.last_modified().map(|at| at.to_string()).as_deref(), expected, "{at}");
    }
    assert_eq!(Item::new(json!({"id": "1"})).unwrap().last_modified(), None);
}

#[test]
fn a_float_leaves_as_it_came() {
    for written in ["47.620499999999993", "-122.3492", "0.1", "1e-7", "5e-324", "123456789.12345679"] {
        let item = Item::new(serde_json::from_str(&format!(r#"{{"id":"1","latitude":{written}}}"#)).unwrap()).unwrap();
        assert_eq!(item.fields()["latitude"].as_f64().unwrap().to_bits(), written.parse::<f64>().unwrap().to_bits(), "{written}");
    }
}

/// Any JSON, with the two links strewn in.
pub(crate) fn json_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        any::<String>().prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 32, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
            json_object_of(inner).prop_map(Value::from),
        ]
    })
}

fn json_object_of(value: impl Strategy<Value = Value>) -> impl Strategy<Value = Map<String, Value>> {
    let name = prop_oneof![
        2 => any::<String>(),
        3 => prop::sample::select(vec![
            "id", "name", "deleted", "lastModifiedDateTime", "remoteItem", "merged", "truncated", "subscriptionId", "value",
            "@microsoft.graph.downloadUrl", "@content.downloadUrl", "@Content.DownloadUrl", "x@content.downloadUrl",
        ])
        .prop_map(String::from),
    ];
    prop::collection::vec((name, value), 0..6).prop_map(|fields| fields.into_iter().collect())
}

pub(crate) fn json_object() -> impl Strategy<Value = Map<String, Value>> {
    json_object_of(json_value())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_item_keeps_a_link(mut fields in json_object()) {
        fields.insert("id".to_owned(), json!("1"));
        fields.insert("@content.downloadUrl".to_owned(), json!(CANARY));
        let kept = Value::Object(Item::new(Value::Object(fields)).unwrap().fields());
        prop_assert!(!names(&kept).iter().any(|name| name.to_lowercase().ends_with(".downloadurl")), "{kept}");
    }
}

fn names(value: &Value) -> Vec<&str> {
    match value {
        Value::Object(fields) => fields.iter().flat_map(|(name, value)| [vec![name.as_str()], names(value)].concat()).collect(),
        Value::Array(values) => values.iter().flat_map(names).collect(),
        _ => Vec::new(),
    }
}

/// As a page's text is read, and as a tree is.
fn read_both_ways(text: &str) -> (Result<Item, ItemError>, Result<Item, ItemError>) {
    let Entry(read) = serde_json::from_str(text).unwrap();
    (read, Item::new(serde_json::from_str(text).unwrap()))
}

#[test]
fn what_is_read_without_a_tree_is_what_the_tree_reads() {
    let deep = format!(r#"{{"id":"1","a":{}1{}}}"#, "[".repeat(60), "]".repeat(60));
    let many = format!(r#"{{"id":"1","a":[{}]}}"#, vec!["{}"; 3_000].join(","));
    for text in [
        r#"{"id":"1","name":"a.txt","size":7,"file":{"hashes":{"b":"x","a":"y"}},"cTag":"\"c:{1},2\""}"#,
        " { \"b\" : [ 1 , -2 , [ ] , { } ] , \"id\" : \"1\"\n}",
        r#"{"id":"1","a":"q\"b\\s\n\t\r\b\f"}"#,
        r#"{"id":"1","a":"s\/\u00e9\u001f\ud83d\ude00"}"#,
        r#"{"id":"1","n":[0,-0,-1,007e0,1.5,1e3,-12345678901234567,123456789012345678,1234567890123456789,18446744073709551615]}"#
            .replace("007e0", "7e0")
            .as_str(),
        r#"{"id":"1","a":1,"a":2}"#,
        r#"{"id":"1","id":"2"}"#,
        r#"{"\u0069d":"1"}"#,
        r#"{"id":"1","n\"ame":1,"é":"文","":null,"t":true,"f":false}"#,
        r#"{"id":"1","deleted":{"state":"deleted"}}"#,
        r#"{"id":"1","deleted":null}"#,
        r#"{"id":"1","lastModifiedDateTime":"2026-05-11T21:52:27.5200000Z"}"#,
        r#"{"id":"1","lastModifiedDateTime":"soon"}"#,
        r#"{"id":"1","lastModifiedDateTime":"-000001-01-01T00:00:00Z"}"#,
        r#"{"id":"1","lastModifiedDateTime":7}"#,
        r#"{"id":"1","lastModifiedDateTime":"2026-05-11T21\u003a52:27Z"}"#,
        r#"{"id":"1","@microsoft.graph.downloadUrl":{"url":["c4n4ry"]},"x":[{"a@content.downloadURL":"c4n4ry","b":1}]}"#,
        r#"{"id":"a\"b"}"#,
        r#"{"id":""}"#,
        r#"{"id":7}"#,
        r#"["id"]"#,
        "7",
        &deep,
        &many,
    ] {
        let (read, tree) = read_both_ways(text);
        assert_eq!(read, tree, "{text:.200}");
        assert_silent(&format!("{read:?}"));
    }
    for broken in
        [r#"{"id":"1","a":"\ud800"}"#, r#"{"id":"1","a":"\q"}"#, r#"{"id":"1","a":01}"#, r#"{"id":"1",}"#, r#"{"id":"1"}}"#]
    {
        assert!(serde_json::from_str::<Entry>(broken).is_err(), "{broken}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_item_is_read_as_the_tree_reads_it(item in any_json(), spaced in any::<bool>()) {
        let item = json!({"id": "1", "item": item, "deleted": null});
        let text = if spaced { serde_json::to_string_pretty(&item).unwrap() } else { item.to_string() };
        let (read, tree) = read_both_ways(&text);
        prop_assert_eq!(read, tree);
    }
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        any::<String>().prop_map(Value::from),
    ];
    leaf.prop_recursive(5, 40, 6, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            proptest::collection::btree_map("[a-z\"\\\\é@]{0,3}|x@content.downloadUrl", inner, 0..6)
                .prop_map(|fields| Value::Object(fields.into_iter().collect())),
        ]
    })
}
