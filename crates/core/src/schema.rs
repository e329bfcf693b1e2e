//! The JSON Schema (draft 2020-12) of what a consumer reads: the structured form of every [`Event`](crate::Event).
//!
//! Open on purpose: an attribute or a field that the schema does not name is allowed, because version 1 may gain some and consumers
//! ignore what they do not know. What it names, it checks. Graph's own fields are Graph's: they are described, not constrained, so
//! that no event is invalid for what Graph sent.

use serde_json::{Value, json};

use crate::event::EventType;

/// The schema of all events, one of four by `type`, self-contained: what `drivetap schema event` prints.
#[must_use]
pub fn event() -> &'static str {
    include_str!("../schema/event.v1.json")
}

/// The schema of one type of event, self-contained.
///
/// ```
/// use drivetap_core::{EventType, schema};
///
/// assert_eq!(schema::event_type(EventType::Change)["$id"], "urn:drivetap:schema:change:v1");
/// ```
#[must_use]
pub fn event_type(event_type: EventType) -> Value {
    let name = match event_type {
        EventType::Signal => "signal",
        EventType::Change => "change",
        EventType::Gap => "gap",
        EventType::Resync => "resync",
    };
    // A constant of this crate, which a test compiles as a schema.
    let mut schema: Value = serde_json::from_str(event()).unwrap_or_default();
    if let Some(all) = schema.as_object_mut() {
        all.remove("oneOf");
        all.insert("$id".to_owned(), json!(format!("urn:drivetap:schema:{name}:v1")));
        all.insert("title".to_owned(), json!(format!("drivetap {name} event")));
        all.insert("$ref".to_owned(), json!(format!("#/$defs/{name}")));
    }
    schema
}
