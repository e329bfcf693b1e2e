mod plain;

use std::borrow::Cow;
use std::cmp::Ordering;
use std::fmt;
use std::sync::OnceLock;

use jiff::Timestamp;
use serde::Deserialize;
use serde::de::{Deserializer as _, IgnoredAny, MapAccess, Visitor};
use serde_json::{Map, Value};

use crate::json::{Fields, Node};

/// One notification: a tap on the shoulder that says that a drive changed, never what.
///
/// Every field is optional and read by Graph's name; all of them, known or not, are kept and published as sent.
///
/// It is kept as the text that is published; what is asked for is read out of it then.
#[derive(Clone, Debug)]
pub struct Notification {
    json: Box<str>,
    /// It names a field that is drivetap's to say.
    names_ours: bool,
    /// It is an object of texts, and none of them has a character that is escaped.
    plain: bool,
    /// Made for who asks for it.
    fields: OnceLock<Box<Map<String, Value>>>,
}

impl Notification {
    /// The most entries taken from one frame; a larger frame is refused as a whole.
    pub const MAX_PER_FRAME: usize = 10_000;

    /// Reads the second argument of the `notification` event, given as JSON text.
    ///
    /// It is a JSON string that holds `{"value":[…]}` (verbatim in abraunegg/onedrive#3718); an object in place of the string
    /// and a flat object in place of `value` (yousong/onedriver, 2024) are taken too.
    ///
    /// ```
    /// use drivetap_core::Notification;
    ///
    /// let taps = Notification::parse(r#""{\"value\":[{\"subscriptionId\":\"5554a2f6\"}]}""#)?;
    /// assert_eq!(taps[0].subscription_id(), Some("5554a2f6"));
    /// # Ok::<(), drivetap_core::NotificationError>(())
    /// ```
    ///
    /// # Errors
    /// When it is not JSON, or not one of these shapes. The error does not print the input.
    pub fn parse(argument: &str) -> Result<Vec<Self>, NotificationError> {
        if let Some(entries) = plain::entries(argument) {
            return Ok(entries);
        }
        match read(argument)? {
            Node::Text(inner) => Self::entries(&read(&inner)?),
            node => Self::entries(&node),
        }
    }

    fn entries(node: &Node<'_>) -> Result<Vec<Self>, NotificationError> {
        let Node::Object(fields) = node else {
            return Err(NotificationError::Shape);
        };
        let Some(Node::List(entries)) = fields.get("value") else {
            return Ok(vec![Self::new(fields)]);
        };
        if entries.len() > Self::MAX_PER_FRAME {
            return Err(NotificationError::TooMany);
        }
        let entry = |node: &Node<'_>| match node {
            Node::Object(fields) => Ok(Self::new(fields)),
            _ => Err(NotificationError::Shape),
        };
        entries.iter().map(entry).collect()
    }

    fn new(fields: &Fields<'_>) -> Self {
        let mut json = String::new();
        fields.write(&mut json);
        let names_ours = Self::OURS.iter().any(|name| fields.get(name).is_some());
        Self { json: json.into(), names_ours, plain: false, fields: OnceLock::new() }
    }

    /// Of names and texts in order that need no escape; together they make `bytes` of JSON.
    fn of_texts(fields: &[(&str, &str)], bytes: usize) -> Self {
        let mut json = String::with_capacity(bytes);
        let mut names_ours = false;
        for (n, (name, text)) in fields.iter().enumerate() {
            json.push_str(if n == 0 { "{\"" } else { ",\"" });
            json.push_str(name);
            json.push_str("\":\"");
            json.push_str(text);
            json.push('"');
            names_ours |= Self::OURS.contains(name);
        }
        json.push('}');
        Self { json: json.into(), names_ours, plain: true, fields: OnceLock::new() }
    }

    /// The fields that are said by drivetap, and by nobody else in its place.
    pub(crate) const OURS: [&str; 2] = ["merged", "truncated"];

    pub(crate) fn names_ours(&self) -> bool {
        self.names_ours
    }

    /// `subscriptionId`.
    #[must_use]
    pub fn subscription_id(&self) -> Option<&str> {
        self.text("subscriptionId")
    }

    /// `clientState`.
    #[must_use]
    pub fn client_state(&self) -> Option<&str> {
        self.text("clientState")
    }

    /// `expirationDateTime`, or `subscriptionExpirationDateTime` as the consumer backend wrote it in 2024.
    #[must_use]
    pub fn expiration(&self) -> Option<Timestamp> {
        self.text("expirationDateTime").or_else(|| self.text("subscriptionExpirationDateTime"))?.parse().ok()
    }

    /// `resource`: the id of a SharePoint list, not of a drive or an item.
    #[must_use]
    pub fn resource(&self) -> Option<&str> {
        self.text("resource")
    }

    /// `tenantId`.
    #[must_use]
    pub fn tenant_id(&self) -> Option<&str> {
        self.text("tenantId")
    }

    /// `siteUrl`, relative to the server.
    #[must_use]
    pub fn site_url(&self) -> Option<&str> {
        self.text("siteUrl")
    }

    /// `webId`.
    #[must_use]
    pub fn web_id(&self) -> Option<&str> {
        self.text("webId")
    }

    /// `userId`.
    #[must_use]
    pub fn user_id(&self) -> Option<&str> {
        self.text("userId")
    }

    /// Every field as Graph named it.
    #[must_use]
    pub fn fields(&self) -> &Map<String, Value> {
        self.fields.get_or_init(|| serde_json::from_str(&self.json).unwrap_or_default())
    }

    /// The fields as JSON, their names in order at every level.
    #[must_use]
    pub fn json(&self) -> &str {
        &self.json
    }

    fn text(&self, name: &str) -> Option<&str> {
        if self.plain {
            return plain::find(&self.json, name);
        }
        let mut found = Found::Nothing;
        // An error is what remains unread behind it.
        let _ = serde_json::Deserializer::from_str(&self.json).deserialize_map(Find { name, found: &mut found });
        match found {
            Found::Nothing => None,
            Found::Text(text) => Some(text),
            Found::Other => self.fields().get(name)?.as_str(),
        }
    }
}

impl Default for Notification {
    /// Without a field.
    fn default() -> Self {
        Self { json: "{}".into(), names_ours: false, plain: false, fields: OnceLock::new() }
    }
}

impl PartialEq for Notification {
    /// The same fields with the same values.
    fn eq(&self, other: &Self) -> bool {
        self.json == other.json
    }
}

fn read(text: &str) -> serde_json::Result<Node<'_>> {
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let node = Node::read_within(&mut deserializer, MOST)?;
    deserializer.end()?;
    Ok(node)
}

/// How many values a frame may hold: twice as many as [`Notification::MAX_PER_FRAME`] entries have that name every field.
const MOST: u32 = 20 * 10_000;

/// Finds a field in JSON whose names are in order, and reads no further.
struct Find<'f, 'de> {
    name: &'f str,
    found: &'f mut Found<'de>,
}

enum Found<'de> {
    Nothing,
    /// A text that stands there as it is.
    Text(&'de str),
    /// No text, or one with an escape in it.
    Other,
}

impl<'de> Visitor<'de> for Find<'_, 'de> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(Name(name)) = map.next_key()? {
            match name.as_ref().cmp(self.name) {
                Ordering::Less => {
                    let IgnoredAny = map.next_value()?;
                }
                Ordering::Equal => {
                    *self.found = map.next_value().map_or(Found::Other, Found::Text);
                    break;
                }
                Ordering::Greater => break,
            }
        }
        Ok(())
    }
}

/// Lent where it has no escape.
#[derive(Deserialize)]
struct Name<'a>(#[serde(borrow)] Cow<'a, str>);

/// A payload that is no notification.
#[derive(Debug, thiserror::Error)]
pub enum NotificationError {
    /// Not JSON, or nested too deeply.
    #[error("the notification is not JSON")]
    Json(#[from] serde_json::Error),
    /// JSON of another shape.
    #[error("the notification is neither an object nor a string that holds one")]
    Shape,
    /// More entries than [`Notification::MAX_PER_FRAME`].
    #[error("the notification holds more than {} entries", Notification::MAX_PER_FRAME)]
    TooMany,
}
