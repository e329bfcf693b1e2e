mod data;

use std::fmt;
use std::sync::Arc;

use data_encoding::BASE32_NOPAD;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

pub use self::data::{GapData, GapReason, ResyncPhase};
use crate::drive::FeedId;
use crate::item::Item;
use crate::json::write_text;
use crate::notification::Notification;

/// What a consumer receives: a CloudEvent 1.0 whose data is JSON.
///
/// Made in this crate only, so that its id and attributes follow the contract wherever it comes from. Cheap to share: sinks get an
/// `Arc<Event>` and read it.
///
/// ```
/// use std::sync::Arc;
/// use drivetap_core::{AccountName, Drive, DriveType, Event, FeedId, GraphId, Item, Origin, Position, Sequence};
/// use serde_json::json;
///
/// let drive = Drive::new(&GraphId::new("driveId", "b!abc")?, DriveType::Business).id;
/// let feed = FeedId { account: AccountName::default(), drive };
/// let origin = Arc::new(Origin::new(feed, "https://graph.microsoft.com/v1.0", 7));
/// let item = Item::new(json!({"id": "01AB", "name": "a.txt", "file": {}}))?;
/// let at = Position { generation: 0, walk: 3, sequence: Sequence(42) };
///
/// let change = Event::change(&origin, &Arc::from("me"), at, &item, "2026-05-11T21:52:27Z".parse()?);
/// assert_eq!(change.source(), "https://graph.microsoft.com/v1.0/drives/b!abc/root");
/// assert_eq!(change.data_value(), json!({"kind": "upserted", "item": {"id": "01AB", "name": "a.txt", "file": {}}}));
/// assert_eq!(change.attributes().last(), Some(("sequence", "00000000000000000042".to_owned())));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// Sources: CloudEvents 1.0.2 (<https://github.com/cloudevents/spec>), its `partitioning`, `sequence` and `recordedtime` extensions.
#[derive(Clone, Debug)]
pub struct Event {
    id: String,
    event_type: EventType,
    origin: Arc<Origin>,
    resource: Arc<str>,
    subject: Option<String>,
    time: Timestamp,
    recorded: Timestamp,
    sequence: Option<Sequence>,
    /// JSON.
    data: Box<str>,
}

/// The attributes that all events of a feed share.
#[derive(Debug, PartialEq, Eq)]
pub struct Origin {
    feed: FeedId,
    source: String,
    incarnation: u128,
}

impl Origin {
    /// `base_url` is Graph's with its version (`https://graph.microsoft.com/v1.0`); `incarnation` is the cursor record's.
    #[must_use]
    pub fn new(feed: FeedId, base_url: &str, incarnation: u128) -> Self {
        Self { source: feed.source(base_url), feed, incarnation }
    }
}

/// Where in a feed's history a change stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Position {
    /// How many times the feed was enumerated afresh.
    pub generation: u64,
    /// How many walks were finished before this one.
    pub walk: u64,
    /// The event's number in the feed.
    pub sequence: Sequence,
}

impl Event {
    /// `specversion`.
    pub const SPEC_VERSION: &str = "1.0";
    /// `datacontenttype`: the type of [`data`](Self::data).
    pub const CONTENT_TYPE: &str = "application/json";
    /// The type of [`to_json`](Self::to_json).
    pub const STRUCTURED_CONTENT_TYPE: &str = "application/cloudevents+json";

    /// An item as delta reported it. `recorded` is when its page arrived.
    #[must_use]
    pub fn change(origin: &Arc<Origin>, resource: &Arc<str>, at: Position, item: &Item, recorded: Timestamp) -> Self {
        let kind = if item.is_deleted() { "deleted" } else { "upserted" };
        let id = id_of(&[
            b"change",
            origin.feed.key().as_bytes(),
            &origin.incarnation.to_be_bytes(),
            &at.generation.to_be_bytes(),
            &at.walk.to_be_bytes(),
            item.id().as_bytes(),
            item.json().as_bytes(),
        ]);
        Self {
            id,
            event_type: EventType::Change,
            origin: Arc::clone(origin),
            resource: Arc::clone(resource),
            subject: Some(item.id().to_owned()),
            time: item.last_modified().unwrap_or(recorded),
            recorded,
            sequence: Some(at.sequence),
            // In one piece of the right size: it is the larger part of what an event takes.
            data: [r#"{"kind":""#, kind, r#"","item":"#, item.json(), "}"].concat().into(),
        }
    }

    /// A full enumeration starts or ends.
    #[must_use]
    pub fn resync(
        origin: &Arc<Origin>,
        resource: &Arc<str>,
        generation: u64,
        sequence: Sequence,
        phase: &ResyncPhase,
        recorded: Timestamp,
    ) -> Self {
        #[derive(Serialize)]
        struct Resync<'a> {
            generation: u64,
            #[serde(flatten)]
            phase: &'a ResyncPhase,
        }
        let id = id_of(&[
            b"resync",
            origin.feed.key().as_bytes(),
            &origin.incarnation.to_be_bytes(),
            &generation.to_be_bytes(),
            phase.name().as_bytes(),
        ]);
        Self {
            id,
            event_type: EventType::Resync,
            origin: Arc::clone(origin),
            resource: Arc::clone(resource),
            subject: None,
            time: recorded,
            recorded,
            sequence: Some(sequence),
            data: raw(&Resync { generation, phase }),
        }
    }

    /// A stretch in which signals, or with a live sink's overflow changes, may have been missed.
    #[must_use]
    pub fn gap(origin: &Arc<Origin>, resource: &Arc<str>, gap: &GapData, recorded: Timestamp) -> Self {
        let id =
            id_of(&[b"gap", origin.feed.key().as_bytes(), &origin.incarnation.to_be_bytes(), gap.from.to_string().as_bytes()]);
        Self {
            id,
            event_type: EventType::Gap,
            origin: Arc::clone(origin),
            resource: Arc::clone(resource),
            subject: None,
            time: recorded,
            recorded,
            sequence: None,
            data: raw(gap),
        }
    }

    /// The gap event of a live sink that lost everything from `first` to `last`, both included, and takes events again at `to`.
    #[must_use]
    pub fn sink_overflow(first: &Self, last: &Self, to: Timestamp) -> Self {
        let sequence = |event: &Self| event.sequence.unwrap_or_default();
        let gap = GapData::overflow(first.recorded, to, sequence(first)..=sequence(last));
        Self::gap(&first.origin, &first.resource, &gap, to)
    }

    /// This gap event, its range reaching back to where that of `earlier` began: for a sink that was told of neither.
    ///
    /// It keeps its own id: `earlier` may be the repeat of one that a consumer has seen, and drops by its id.
    #[must_use]
    pub fn reaching_back_to(mut self, earlier: &Self) -> Self {
        let mut data = self.data_value();
        if let (EventType::Gap, Some(from)) = (self.event_type, earlier.data_value().get("from")) {
            data["from"] = from.clone();
            self.data = raw(&data);
        }
        self
    }

    /// A notification arrived. `nonce` is random, made once on receipt: the id is kept in every retry.
    #[must_use]
    pub fn signal(
        origin: &Arc<Origin>,
        resource: &Arc<str>,
        notification: &Notification,
        nonce: u128,
        recorded: Timestamp,
    ) -> Self {
        let data = if notification.names_ours() {
            let mut fields = notification.fields().clone();
            fields.retain(|name, _| !Notification::OURS.contains(&name.as_str()));
            raw(&Value::Object(fields))
        } else {
            notification.json().into()
        };
        Self {
            id: id_of(&[b"signal", origin.feed.key().as_bytes(), &nonce.to_be_bytes()]),
            event_type: EventType::Signal,
            origin: Arc::clone(origin),
            resource: Arc::clone(resource),
            subject: None,
            time: recorded,
            recorded,
            sequence: None,
            data,
        }
    }

    /// This signal standing for `notifications` of its feed, itself included; as it is when that is 1, or when it is no signal.
    #[must_use]
    pub fn with_merged(mut self, notifications: u64) -> Self {
        if notifications > 1 && self.event_type == EventType::Signal {
            let mut data = self.data_value();
            data[MERGED] = notifications.into();
            self.data = raw(&data);
        }
        self
    }

    /// What stands in this event's place when a sink cannot take it for its size or content: the same id and attributes, of the
    /// data only what a fold needs, and `truncated: true`. Its size does not depend on what Graph sent.
    #[must_use]
    pub fn stub(&self) -> Self {
        let mut data = self.data_value();
        match self.event_type {
            EventType::Change => data["item"] = json!({ "id": self.subject }),
            EventType::Signal => {
                if let Some(fields) = data.as_object_mut() {
                    fields.retain(|name, _| name == MERGED);
                }
            }
            EventType::Resync => {
                if let Some(Value::String(code)) = data.get_mut("code") {
                    *code = code.chars().take(64).collect();
                }
            }
            EventType::Gap => {}
        }
        data[TRUNCATED] = true.into();
        Self { data: raw(&data), ..self.clone() }
    }

    /// `id`: base32 (RFC 4648, no padding) of a SHA-256. A repeat has the same id.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// `type`.
    #[must_use]
    pub fn event_type(&self) -> EventType {
        self.event_type
    }

    /// The feed it belongs to.
    #[must_use]
    pub fn feed(&self) -> &FeedId {
        &self.origin.feed
    }

    /// `source`: the drive's absolute Graph URL, `…/drives/{canonicalId}/root`.
    #[must_use]
    pub fn source(&self) -> &str {
        &self.origin.source
    }

    /// `subject`: a change's item id.
    #[must_use]
    pub fn subject(&self) -> Option<&str> {
        self.subject.as_deref()
    }

    /// `time`: when the item was last modified where Graph says so, else [`recorded_time`](Self::recorded_time).
    #[must_use]
    pub fn time(&self) -> Timestamp {
        self.time
    }

    /// `recordedtime`: when drivetap received it.
    #[must_use]
    pub fn recorded_time(&self) -> Timestamp {
        self.recorded
    }

    /// `partitionkey`: the canonical drive id, always. Kafka's record key.
    #[must_use]
    pub fn partition_key(&self) -> &str {
        self.origin.feed.drive.as_str()
    }

    /// `resource` as it was written in the configuration.
    #[must_use]
    pub fn resource(&self) -> &str {
        &self.resource
    }

    /// `account`: its name in the configuration.
    #[must_use]
    pub fn account(&self) -> &str {
        self.origin.feed.account.as_str()
    }

    /// `sequence`: a number per feed that can repeat and never skips. On changes and resyncs only.
    #[must_use]
    pub fn sequence(&self) -> Option<Sequence> {
        self.sequence
    }

    /// `data` as JSON text.
    #[must_use]
    pub fn data(&self) -> &str {
        &self.data
    }

    /// `data`, parsed.
    #[must_use]
    pub fn data_value(&self) -> Value {
        serde_json::from_str(&self.data).unwrap_or_default()
    }

    /// Every context attribute but `specversion` and `datacontenttype`, under its CloudEvents name, in a fixed order.
    ///
    /// Kafka's binary mode puts `ce_` in front of each.
    pub fn attributes(&self) -> impl Iterator<Item = (&'static str, String)> + '_ {
        let mut all = Vec::with_capacity(10);
        self.each_attribute(|name, value| all.push((name, value.to_owned())));
        all.into_iter()
    }

    /// [`attributes`](Self::attributes), each lent for as long as it is looked at.
    pub fn each_attribute(&self, mut look: impl FnMut(&'static str, &str)) {
        let time = self.time.to_string();
        look("id", &self.id);
        look("type", self.event_type.as_str());
        look("source", self.source());
        if let Some(subject) = &self.subject {
            look("subject", subject);
        }
        look("time", &time);
        if self.recorded == self.time {
            look("recordedtime", &time);
        } else {
            look("recordedtime", &self.recorded.to_string());
        }
        look("partitionkey", self.partition_key());
        look("resource", &self.resource);
        look("account", self.account());
        if let Some(sequence) = self.sequence {
            look("sequence", &sequence.to_string());
        }
    }

    /// The whole event as one JSON object on one line (structured mode).
    #[must_use]
    pub fn to_json(&self) -> String {
        let mut out = String::with_capacity(self.data.len() + 768);
        self.write_json(&mut out);
        out
    }

    /// Appends [`to_json`](Self::to_json).
    pub fn write_json(&self, out: &mut String) {
        out.push_str("{\"specversion\":\"");
        out.push_str(Self::SPEC_VERSION);
        out.push('"');
        self.each_attribute(|name, value| {
            out.push_str(",\"");
            out.push_str(name);
            out.push_str("\":");
            write_text(value, out);
        });
        out.push_str(",\"datacontenttype\":\"");
        out.push_str(Self::CONTENT_TYPE);
        out.push_str("\",\"data\":");
        out.push_str(&self.data);
        out.push('}');
    }

    /// About what the event takes in memory, in bytes: what windows are counted in.
    #[must_use]
    pub fn size(&self) -> usize {
        size_of::<Self>() + self.id.len() + self.subject.as_ref().map_or(0, String::len) + self.data.len()
    }
}

// What drivetap adds to `data`, beside Graph's fields.
const MERGED: &str = Notification::OURS[0];
const TRUNCATED: &str = Notification::OURS[1];

/// The four types of event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum EventType {
    /// A notification arrived.
    #[serde(rename = "io.drivetap.signal.v1")]
    Signal,
    /// Delta reported an item.
    #[serde(rename = "io.drivetap.change.v1")]
    Change,
    /// Something may have been missed.
    #[serde(rename = "io.drivetap.gap.v1")]
    Gap,
    /// A full enumeration starts or ends.
    #[serde(rename = "io.drivetap.resync.v1")]
    Resync,
}

impl EventType {
    /// The `type` attribute.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Signal => "io.drivetap.signal.v1",
            Self::Change => "io.drivetap.change.v1",
            Self::Gap => "io.drivetap.gap.v1",
            Self::Resync => "io.drivetap.resync.v1",
        }
    }
}

impl fmt::Display for EventType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A number per feed, saved with the cursor. Printed with 20 digits, so that it sorts as text.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Sequence(pub u64);

impl fmt::Display for Sequence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:020}", self.0)
    }
}

impl Serialize for Sequence {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

// Each part is preceded by its length, so that no two lists of parts read the same.
fn id_of(parts: &[&[u8]]) -> String {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update(u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes());
        hash.update(part);
    }
    BASE32_NOPAD.encode(&hash.finalize())
}

fn raw<T: Serialize>(value: &T) -> Box<str> {
    // Maps with string keys and numbers that came out of JSON: there is nothing here that could not be written as JSON.
    serde_json::to_string(value).unwrap_or_else(|_| "null".to_owned()).into()
}
