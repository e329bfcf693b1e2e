use std::collections::HashSet;
use std::fmt;

use drivetap_core::{Drive, DriveType, Entry, GraphId, Item, Page, PageEnd, RequestId};
use serde::de::{IgnoredAny, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::Value;

use crate::base_url::{BaseUrl, ForeignLink};

/// Why a 200 is of no use. No variant repeats what was sent: it could hold a credential, and serde's words quote it.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub(super) enum AnswerFault {
    #[error("the answer is HTML, not JSON: something between here and Graph answered in its place")]
    Html,
    #[error("the answer is not the JSON that Graph documents")]
    NotJson,
    #[error("the answer is larger than {0} bytes")]
    TooLarge(usize),
    #[error("the drive in the answer has no usable id and driveType")]
    NoDrive,
    #[error("the delta page has more than {0} items")]
    TooManyItems(usize),
    #[error("the delta page has neither nextLink nor deltaLink")]
    NoLink,
    #[error("a link of the delta page {0}")]
    Link(ForeignLink),
}

/// `{id, driveType}`; the rest is ignored.
pub(super) fn drive(body: &[u8]) -> Result<Drive, AnswerFault> {
    #[derive(Deserialize)]
    struct Sent {
        id: Option<String>,
        #[serde(rename = "driveType")]
        drive_type: Option<String>,
    }
    let Sent { id, drive_type } = json(body)?;
    // Both are needed: the type says how the id is normalised, and an id normalised differently is another feed.
    let (Some(id), Some(drive_type)) = (id, drive_type) else {
        return Err(AnswerFault::NoDrive);
    };
    let id = GraphId::new("driveId", &id).map_err(|_| AnswerFault::NoDrive)?;
    Ok(Drive::new(&id, DriveType::from(drive_type.as_str())))
}

/// A delta page.
///
/// - Of an item that appears more than once, the last occurrence counts, at the last occurrence's place
///   (<https://learn.microsoft.com/en-us/graph/api/driveitem-delta>).
/// - An entry that is no object with an `id` is left out and counted: the page is fetched again as it is, so failing it would hold the
///   feed for as long as Graph lists the entry.
/// - An empty page with a `nextLink` is a page like any other.
/// - With both links, the walk goes on: taking the `deltaLink` would pass over what `nextLink` still holds.
pub(super) fn page(body: &[u8], base_url: &BaseUrl) -> Result<Page, AnswerFault> {
    #[derive(Deserialize)]
    struct Sent {
        value: Items,
        #[serde(rename = "@odata.nextLink")]
        next: Option<String>,
        #[serde(rename = "@odata.deltaLink")]
        delta: Option<String>,
    }
    let Sent { value: Items(items), next, delta } = json(body)?;
    let (items, left_out) = items?;
    let link = |written: &str| base_url.link(written).map_err(AnswerFault::Link);
    let end = match (next, delta) {
        (Some(next), _) => PageEnd::Next(link(&next)?),
        (None, Some(delta)) => PageEnd::Delta(link(&delta)?),
        (None, None) => return Err(AnswerFault::NoLink),
    };
    Ok(Page { items: last_occurrences(items), left_out, end })
}

/// The items of a page, and how many of its entries are none; or why it is of no use. What comes after that is read and not kept.
struct Items(Result<(Vec<Item>, usize), AnswerFault>);

impl Items {
    /// Graph's pages have 200. Small ones by the million would take many times the page's bytes.
    const MOST: usize = 5_000;
}

impl<'de> Deserialize<'de> for Items {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Read;
        impl<'de> Visitor<'de> for Read {
            type Value = Items;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list of items")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut entries: A) -> Result<Items, A::Error> {
                let (mut items, mut left_out) = (Vec::with_capacity(256), 0);
                let fault = loop {
                    match entries.next_element()? {
                        None => return Ok(Items(Ok((items, left_out)))),
                        Some(Entry(Ok(_))) if items.len() == Items::MOST => break AnswerFault::TooManyItems(Items::MOST),
                        Some(Entry(Ok(item))) => items.push(item),
                        // It takes no memory, so there may be as many as the body holds.
                        Some(Entry(Err(_))) => left_out += 1,
                    }
                };
                while entries.next_element::<IgnoredAny>()?.is_some() {}
                Ok(Items(Err(fault)))
            }
        }
        deserializer.deserialize_seq(Read)
    }
}

/// What is read of Graph's error body. Its `message` is for people, changes, and may quote a token.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct ErrorBody {
    /// The codes, which nest: outer first.
    pub(super) codes: Vec<String>,
    /// `innerError.request-id`: the header's, once more.
    pub(super) request_id: Option<RequestId>,
}

/// Graph's error body; of any other, nothing.
///
/// Source: <https://learn.microsoft.com/en-us/graph/errors>
pub(super) fn error(body: &[u8]) -> ErrorBody {
    let Ok(body) = serde_json::from_slice::<Value>(body) else {
        return ErrorBody::default();
    };
    // A code is a word. Anything else under that name is not one, and is not printed.
    let legal =
        |code: &&str| (1..=80).contains(&code.len()) && code.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b));
    let inner = |error: &Value| ["innerError", "innererror"].iter().find_map(|name| error.get(name).cloned());
    let errors: Vec<_> = std::iter::successors(body.get("error").cloned(), inner).collect();
    let texts = |name: &'static str| errors.iter().filter_map(move |error| error.get(name)?.as_str());
    ErrorBody {
        codes: texts("code").filter(legal).map(str::to_owned).collect(),
        request_id: texts("request-id").find_map(RequestId::new),
    }
}

/// What a body that is no JSON object of Graph's is, for the error's words.
pub(super) fn not_json(body: &[u8]) -> AnswerFault {
    match body.trim_ascii_start().first() {
        Some(b'<') => AnswerFault::Html,
        _ => AnswerFault::NotJson,
    }
}

// serde_json stops at 128 levels, so no body makes it or what is built from it recurse further.
fn json<'a, T: Deserialize<'a>>(body: &'a [u8]) -> Result<T, AnswerFault> {
    // Looked through as a whole, which is quicker than text by text.
    let text = std::str::from_utf8(body).map_err(|_| not_json(body))?;
    serde_json::from_str(text).map_err(|_| not_json(body))
}

fn last_occurrences(mut items: Vec<Item>) -> Vec<Item> {
    let mut seen = HashSet::new();
    let mut keep: Vec<bool> = items.iter().rev().map(|item| seen.insert(item.id())).collect();
    drop(seen);
    // `keep` was made from the end, and is taken from its end: the first item's verdict is its last entry.
    items.retain(|_| keep.pop().unwrap_or(true));
    items
}

#[cfg(test)]
mod tests {
    use drivetap_core::Link;
    use serde_json::json;

    use super::*;

    const AT: &str = "https://graph.microsoft.com/v1.0/drives/d/root/delta?token=";

    fn read(body: &Value) -> Result<Page, AnswerFault> {
        page(body.to_string().as_bytes(), &BaseUrl::default())
    }

    fn link(token: &str) -> Link {
        Link::new(format!("/v1.0/drives/d/root/delta?token={token}")).expect("a link")
    }

    #[test]
    fn a_page_ends_with_its_link_or_is_an_error() {
        let next = format!("{AT}n");
        let delta = format!("{AT}d");
        let end = |body| read(&body).map(|page| page.end);
        assert_eq!(end(json!({"value": [], "@odata.nextLink": next})), Ok(PageEnd::Next(link("n"))));
        assert_eq!(end(json!({"value": [], "@odata.deltaLink": delta})), Ok(PageEnd::Delta(link("d"))));
        assert_eq!(
            end(json!({"value": [], "@odata.deltaLink": delta, "@odata.nextLink": next})),
            Ok(PageEnd::Next(link("n"))),
            "both: the walk goes on"
        );
        assert_eq!(end(json!({"value": []})), Err(AnswerFault::NoLink));
        assert_eq!(end(json!({"value": [], "@odata.deltaLink": null})), Err(AnswerFault::NoLink));
        assert_eq!(end(json!({"@odata.deltaLink": delta})), Err(AnswerFault::NotJson), "no value is no page");
        assert_eq!(end(json!({"value": {}, "@odata.deltaLink": delta})), Err(AnswerFault::NotJson));
        assert_eq!(end(json!({"value": [], "@odata.deltaLink": 7})), Err(AnswerFault::NotJson));
        assert_eq!(
            end(json!({"value": [], "@odata.nextLink": "https://evil.example/v1.0/me"})),
            Err(AnswerFault::Link(ForeignLink::Origin))
        );
        assert_eq!(
            end(json!({"value": [], "@odata.deltaLink": "https://graph.microsoft.com/beta/me"})),
            Err(AnswerFault::Link(ForeignLink::Prefix))
        );
    }

    /// Graph would list it again and again, and the feed would stand still.
    #[test]
    fn an_entry_without_a_usable_id_is_left_out_and_counted_and_the_rest_of_the_page_is_read() {
        let long = "x".repeat(Item::MAX_ID + 1);
        let value = json!([{"id": "a"}, {"name": "x"}, 7, null, [], {"id": ""}, {"id": 7}, {"id": long}, {"id": "b"}]);
        let page = read(&json!({"value": value, "@odata.deltaLink": format!("{AT}d")})).expect("a page");
        assert_eq!(page.items.iter().map(Item::id).collect::<Vec<_>>(), ["a", "b"]);
        assert_eq!(page.left_out, 7);
        assert_eq!(page.end, PageEnd::Delta(link("d")));
    }

    #[test]
    fn the_last_occurrence_of_an_item_wins_at_its_own_place() {
        let item = |id: &str, n: i32| json!({"id": id, "n": n});
        let value = [item("a", 1), item("b", 2), item("a", 3), item("c", 4), item("b", 5), item("a", 6)];
        let page = read(&json!({"value": value, "@odata.deltaLink": format!("{AT}d")})).expect("a page");
        let got: Vec<_> = page.items.iter().map(|item| (item.id(), item.fields()["n"].as_i64())).collect();
        assert_eq!(got, [("c", Some(4)), ("b", Some(5)), ("a", Some(6))]);
    }

    #[test]
    fn a_page_of_many_small_items_is_refused_before_it_takes_many_times_its_bytes() {
        let of = |n: usize| json!({"value": vec![json!({"id": "1"}); n], "@odata.deltaLink": format!("{AT}d")});
        assert!(read(&of(5_000)).is_ok());
        assert_eq!(read(&of(5_001)), Err(AnswerFault::TooManyItems(5_000)));
        let crowded = json!({"value": [{"id": "1", "tags": vec![0; 100_000]}], "@odata.deltaLink": format!("{AT}d")});
        assert_eq!(read(&crowded), Err(AnswerFault::NotJson));
    }

    #[test]
    fn deep_json_is_refused_and_not_recursed_into() {
        let deep = format!("{{\"value\":{}{}}}", "[".repeat(100_000), "]".repeat(100_000));
        assert_eq!(page(deep.as_bytes(), &BaseUrl::default()), Err(AnswerFault::NotJson));
        assert_eq!(error(deep.as_bytes()), ErrorBody::default());
        let nested = format!("{}{{\"code\":\"deep\"}}{}", "{\"error\":".repeat(1000), "}".repeat(1000));
        assert_eq!(error(nested.as_bytes()), ErrorBody::default());
    }

    #[test]
    fn a_drive_needs_id_and_type() {
        let drive_of = |body: &str| drive(body.as_bytes()).map(|d| (d.id.to_string(), d.drive_type));
        assert_eq!(
            drive_of(r#"{"id":"8A61DF7E8B34E48","driveType":"personal","x":1}"#),
            Ok(("08a61df7e8b34e48".to_owned(), DriveType::Personal))
        );
        assert_eq!(drive_of(r#"{"id":"b!A","driveType":"business"}"#), Ok(("b!A".to_owned(), DriveType::Business)));
        assert_eq!(drive_of(r#"{"id":"b!A"}"#), Err(AnswerFault::NoDrive));
        assert_eq!(drive_of(r#"{"driveType":"business"}"#), Err(AnswerFault::NoDrive));
        assert_eq!(drive_of(r#"{"id":"a/b","driveType":"business"}"#), Err(AnswerFault::NoDrive));
        assert_eq!(drive_of("<html>"), Err(AnswerFault::Html));
        assert_eq!(drive_of(""), Err(AnswerFault::NotJson));
    }

    #[test]
    fn error_codes_are_read_from_the_outside_in_and_only_words_are_codes() {
        let check = |body: &str, want: &[&str]| assert_eq!(error(body.as_bytes()).codes, want, "{body}");
        check(r#"{"error":{"code":"notSupported","message":"Operation not supported"}}"#, &["notSupported"]);
        check(
            r#"{"error":{"code":"resyncRequired","innerError":{"code":"resyncChangesApplyDifferences","request-id":"x"}}}"#,
            &["resyncRequired", "resyncChangesApplyDifferences"],
        );
        check(r#"{"error":{"code":"a","innererror":{"date":"x","innererror":{"code":"c"}}}}"#, &["a", "c"]);
        check(r#"{"error":{"code":"Bearer abc def"}}"#, &[]);
        check(r#"{"error":{"code":7}}"#, &[]);
        check(r#"{"error":"invalid_grant"}"#, &[]);
        check("<html></html>", &[]);
        check("", &[]);
    }

    #[test]
    fn the_body_names_the_request_once_and_only_a_word_is_an_id() {
        let check = |body: &str, want: Option<&str>| {
            let id = error(body.as_bytes()).request_id;
            assert_eq!(id.as_ref().map(RequestId::as_str), want, "{body:.100}");
        };
        check(
            r#"{"error":{"code":"a","innerError":{"date":"x","request-id":"1a-2b","client-request-id":"ours"}}}"#,
            Some("1a-2b"),
        );
        check(r#"{"error":{"code":"a","innererror":{"request-id":"1a-2b"}}}"#, Some("1a-2b"));
        check(r#"{"error":{"code":"a","innerError":{"code":"b","innererror":{"request-id":"1a-2b"}}}}"#, Some("1a-2b"));
        check(r#"{"error":{"code":"a","request-id":"1a","innerError":{"request-id":"2b"}}}"#, Some("1a"));
        check(r#"{"error":{"code":"a","request-id":"no id","innerError":{"request-id":"2b"}}}"#, Some("2b"));
        check(r#"{"error":{"code":"a"},"request-id":"1a-2b"}"#, None);
        check(r#"{"error":{"innerError":{"client-request-id":"ours"}}}"#, None);
        check(r#"{"error":{"innerError":{"request-id":7}}}"#, None);
        check(r#"{"error":{"innerError":{"request-id":"\u001b[2Jx"}}}"#, None);
        check(&format!(r#"{{"error":{{"innerError":{{"request-id":"{}"}}}}}}"#, "a".repeat(10_000)), None);
        check(r#"{"error":"invalid_grant"}"#, None);
        check("<html></html>", None);
    }
}
