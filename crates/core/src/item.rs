mod plain;

use jiff::Timestamp;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use crate::json::{Fields, Node};

/// A drive item as delta reported it, without its pre-signed download links.
///
/// The links are credentials that need no `Authorization` header and change with each answer; they are gone before anything is
/// hashed or published, at every depth, and no option restores them.
///
/// ```
/// use drivetap_core::Item;
/// use serde_json::json;
///
/// let item = Item::new(json!({"id": "01AB", "name": "a.txt", "@microsoft.graph.downloadUrl": "https://…?tempauth=…"}))?;
/// assert_eq!(item.json(), r#"{"id":"01AB","name":"a.txt"}"#);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// It is kept as the text that is published, and takes no more than that.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Item {
    id: Box<str>,
    json: Box<str>,
    deleted: bool,
    last_modified: Option<Timestamp>,
}

impl Item {
    /// The longest id taken, in bytes. Graph's are below 100; the rest of an event can be cut to fit a sink, its id cannot.
    pub const MAX_ID: usize = 1024;
    /// The two pre-signed links that Graph adds to a file. As annotations of a property (`content@…`) they are removed too.
    pub const CREDENTIALS: [&str; 2] = ["@microsoft.graph.downloadUrl", "@content.downloadUrl"];

    /// From one entry of a delta page.
    ///
    /// # Errors
    /// When it is not an object with a string `id` of 1 to [`MAX_ID`](Self::MAX_ID) bytes: nothing could be published or folded
    /// from it.
    pub fn new(value: Value) -> Result<Self, ItemError> {
        Self::from_node(value.into())
    }

    fn from_node(node: Node<'_>) -> Result<Self, ItemError> {
        let Node::Object(mut fields) = node else {
            return Err(ItemError);
        };
        let id = fields.get("id").and_then(Node::as_text).filter(|id| (1..=Self::MAX_ID).contains(&id.len()));
        let id = id.ok_or(ItemError)?.into();
        fields.retain(|name| !is_credential(name));
        let mut json = String::with_capacity(1024);
        fields.write(&mut json);
        Ok(Self {
            id,
            json: json.into(),
            deleted: fields.get("deleted").is_some_and(|facet| !facet.is_null()),
            last_modified: last_modified(&fields),
        })
    }

    /// The item's id: what a consumer tracks it by.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Whether it is gone: the `deleted` facet is there (delta never sends `@removed` for drives).
    #[must_use]
    pub fn is_deleted(&self) -> bool {
        self.deleted
    }

    /// `lastModifiedDateTime`, where it is there, readable and in a year that RFC 3339 can write (0000 to 9999).
    #[must_use]
    pub fn last_modified(&self) -> Option<Timestamp> {
        self.last_modified
    }

    /// The fields, as Graph sent them but for the links: parsed anew.
    #[must_use]
    pub fn fields(&self) -> Map<String, Value> {
        serde_json::from_str(&self.json).unwrap_or_default()
    }

    /// The item as JSON with its keys sorted at every level: the same bytes for the same content.
    #[must_use]
    pub fn json(&self) -> &str {
        &self.json
    }
}

/// One entry of a delta page, as it is read: an item, or something that is none.
///
/// Read from the page's text, and from nothing else that serde can read. A single value in which there are more than 65,536 others is
/// refused as if it were no JSON.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry(pub Result<Item, ItemError>);

impl<'de> Deserialize<'de> for Entry {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let json = <&RawValue>::deserialize(deserializer)?.get();
        if let Some(item) = plain::item(json) {
            return Ok(Self(Ok(item)));
        }
        let node = Node::read(&mut serde_json::Deserializer::from_str(json)).map_err(D::Error::custom)?;
        Ok(Self(Item::from_node(node)))
    }
}

/// An entry of a delta page that is not an object with an `id`.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
#[error("an entry of the delta page is not an object with an id of 1 to {} bytes", Item::MAX_ID)]
pub struct ItemError;

fn last_modified(fields: &Fields<'_>) -> Option<Timestamp> {
    readable_time(fields.get("lastModifiedDateTime")?.as_text()?)
}

fn readable_time(text: &str) -> Option<Timestamp> {
    const YEAR_0: Timestamp = Timestamp::constant(-62_167_219_200, 0);
    let at = text.parse().ok()?;
    (at >= YEAR_0).then_some(at)
}

fn is_credential(name: &str) -> bool {
    Item::CREDENTIALS.iter().any(|credential| {
        let tail = name.len().checked_sub(credential.len()).and_then(|at| name.get(at..));
        tail.is_some_and(|tail| tail.eq_ignore_ascii_case(credential))
    })
}
