use jiff::Timestamp;
use serde_json::{Map, Number, Value};

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
/// assert_eq!(serde_json::to_value(item.fields())?, json!({"id": "01AB", "name": "a.txt"}));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Item {
    id: String,
    fields: Map<String, Value>,
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
        let Value::Object(mut fields) = value else {
            return Err(ItemError);
        };
        let Some(id) = fields.get("id").and_then(Value::as_str).filter(|id| (1..=Self::MAX_ID).contains(&id.len())) else {
            return Err(ItemError);
        };
        let id = id.to_owned();
        remove_credentials(&mut fields);
        Ok(Self { id, fields })
    }

    /// The item's id: what a consumer tracks it by.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Whether it is gone: the `deleted` facet is there (delta never sends `@removed` for drives).
    #[must_use]
    pub fn is_deleted(&self) -> bool {
        self.fields.get("deleted").is_some_and(|facet| !facet.is_null())
    }

    /// `lastModifiedDateTime`, where it is there, readable and in a year that RFC 3339 can write (0000 to 9999).
    #[must_use]
    pub fn last_modified(&self) -> Option<Timestamp> {
        const YEAR_0: Timestamp = Timestamp::constant(-62_167_219_200, 0);
        let at = self.fields.get("lastModifiedDateTime")?.as_str()?.parse().ok()?;
        (at >= YEAR_0).then_some(at)
    }

    /// The fields, as Graph sent them but for the links.
    #[must_use]
    pub fn fields(&self) -> &Map<String, Value> {
        &self.fields
    }

    /// The item as JSON with its keys sorted at every level: the same bytes for the same content.
    #[must_use]
    pub(crate) fn canonical(&self) -> String {
        let mut out = String::with_capacity(1024);
        write_object(&self.fields, &mut out);
        out
    }
}

/// An entry of a delta page that is not an object with an `id`.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("an entry of the delta page is not an object with an id of 1 to {} bytes", Item::MAX_ID)]
pub struct ItemError;

// Recursion is bounded by serde_json's own limit of 128 levels on what is parsed.
fn remove_credentials(fields: &mut Map<String, Value>) {
    fields.retain(|name, _| !is_credential(name));
    for value in fields.values_mut() {
        strip(value);
    }
}

fn is_credential(name: &str) -> bool {
    Item::CREDENTIALS.iter().any(|credential| {
        let tail = name.len().checked_sub(credential.len()).and_then(|at| name.get(at..));
        tail.is_some_and(|tail| tail.eq_ignore_ascii_case(credential))
    })
}

fn strip(value: &mut Value) {
    match value {
        Value::Object(fields) => remove_credentials(fields),
        Value::Array(values) => values.iter_mut().for_each(strip),
        _ => {}
    }
}

// Sorted here and not by `Map`, numbers by value and not by text: another crate in the build can switch serde_json to insertion
// order or to arbitrary precision, and ids must not depend on that.
fn write_object(fields: &Map<String, Value>, out: &mut String) {
    let mut entries: Vec<_> = fields.iter().collect();
    entries.sort_unstable_by_key(|(name, _)| *name);
    out.push('{');
    for (n, (name, value)) in entries.into_iter().enumerate() {
        if n > 0 {
            out.push(',');
        }
        out.push_str(&Value::from(name.as_str()).to_string());
        out.push(':');
        write_value(value, out);
    }
    out.push('}');
}

fn write_value(value: &Value, out: &mut String) {
    match value {
        Value::Object(fields) => write_object(fields, out),
        Value::Array(values) => {
            out.push('[');
            for (n, value) in values.iter().enumerate() {
                if n > 0 {
                    out.push(',');
                }
                write_value(value, out);
            }
            out.push(']');
        }
        Value::Number(number) => out.push_str(&canonical_number(number)),
        scalar => out.push_str(&scalar.to_string()),
    }
}

fn canonical_number(number: &Number) -> String {
    let integer = number.as_u64().map(|n| n.to_string()).or_else(|| number.as_i64().map(|n| n.to_string()));
    integer.or_else(|| number.as_f64().map(|n| format!("{n:?}"))).unwrap_or_else(|| number.to_string())
}
