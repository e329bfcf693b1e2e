use std::fmt;

use drivetap_bridge::core::EventType;
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::Value;
use serde_json::error::Category;

/// An event of drivetap's, as it was read back: what a fold needs of it.
#[derive(Debug)]
pub(crate) struct Told {
    pub(crate) id: String,
    pub(crate) event_type: EventType,
    /// The drive's absolute URL.
    pub(crate) source: String,
    pub(crate) account: String,
    /// A change's item.
    pub(crate) subject: Option<String>,
    /// When drivetap received it.
    pub(crate) recorded: Timestamp,
    pub(crate) sequence: Option<u64>,
    pub(crate) data: Value,
}

/// Where an event stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// In a Kafka topic.
    Record { partition: i32, offset: i64 },
    /// In a file of events, counted from 1.
    Line(u64),
}

/// Why something that stands there is no event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Unread {
    /// Somebody else's: no event of drivetap's.
    Foreign,
    /// It claims to be one, and cannot be read.
    Broken(String),
}

impl Told {
    /// From the structured form: one JSON object.
    pub(crate) fn structured(json: &[u8]) -> Result<Self, Unread> {
        #[derive(Deserialize)]
        struct Structured {
            id: Option<String>,
            r#type: Option<String>,
            source: Option<String>,
            account: Option<String>,
            subject: Option<String>,
            recordedtime: Option<String>,
            sequence: Option<String>,
            data: Option<Value>,
        }
        let it: Structured = serde_json::from_slice(json).map_err(|error| match error.classify() {
            Category::Data => Unread::Foreign,
            _ => Unread::Broken(format!("it is no JSON: {error}")),
        })?;
        Self::new(
            |name| match name {
                "id" => it.id.clone(),
                "type" => it.r#type.clone(),
                "source" => it.source.clone(),
                "account" => it.account.clone(),
                "subject" => it.subject.clone(),
                "recordedtime" => it.recordedtime.clone(),
                "sequence" => it.sequence.clone(),
                _ => None,
            },
            || Ok(it.data.clone().unwrap_or_default()),
        )
    }

    /// From a Kafka record: in binary mode the attributes are headers with `ce_` in front.
    pub(crate) fn from_record(headers: &[(&str, &[u8])], value: &[u8]) -> Result<Self, Unread> {
        let header = |name: &str| {
            let found = headers.iter().find(|(key, _)| key.eq_ignore_ascii_case(name));
            found.and_then(|(_, value)| std::str::from_utf8(value).ok()).map(str::to_owned)
        };
        if header("content-type").is_some_and(|of| of.starts_with("application/cloudevents+json")) {
            return Self::structured(value);
        }
        let data = || serde_json::from_slice(value).map_err(|error| Unread::Broken(format!("its data is no JSON: {error}")));
        Self::new(|name| header(&format!("ce_{name}")), data)
    }

    fn new(attribute: impl Fn(&str) -> Option<String>, data: impl FnOnce() -> Result<Value, Unread>) -> Result<Self, Unread> {
        let named = attribute("type").filter(|name| name.starts_with("io.drivetap."));
        let Some(event_type) = named.and_then(|name| serde_json::from_value(Value::from(name)).ok()) else {
            return Err(Unread::Foreign);
        };
        let required = |name: &str| attribute(name).ok_or_else(|| Unread::Broken(format!("it has no {name}")));
        let told = Self {
            id: required("id")?,
            event_type,
            source: required("source")?,
            account: required("account")?,
            subject: attribute("subject"),
            recorded: required("recordedtime")?.parse().map_err(|_| Unread::Broken("its recordedtime is no time".to_owned()))?,
            sequence: attribute("sequence")
                .map(|digits| digits.parse().map_err(|_| Unread::Broken("its sequence is no number".to_owned())))
                .transpose()?,
            data: data()?,
        };
        match told.event_type {
            EventType::Change if told.subject.is_none() || told.sequence.is_none() => {
                Err(Unread::Broken("a change has a subject and a sequence".to_owned()))
            }
            EventType::Change if !matches!(told.data["kind"].as_str(), Some("upserted" | "deleted")) => {
                Err(Unread::Broken("a change is upserted or deleted".to_owned()))
            }
            EventType::Resync if told.sequence.is_none() || told.data["generation"].as_u64().is_none() => {
                Err(Unread::Broken("a resync has a sequence and a generation".to_owned()))
            }
            _ => Ok(told),
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Record { partition, offset } => write!(f, "partition {partition}, offset {offset}"),
            Self::Line(line) => write!(f, "line {line}"),
        }
    }
}
