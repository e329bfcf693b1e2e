use drivetap_core::Event;
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::BaseRecord;

use crate::Mode;

/// An event in Kafka's words, ready to be copied into librdkafka's queue.
pub(crate) struct Record<'a> {
    // The event's.
    id: &'a str,
    key: &'a str,
    value: Value<'a>,
    headers: Vec<(String, String)>,
    // Milliseconds since 1970.
    timestamp: i64,
}

enum Value<'a> {
    Data(&'a str),
    Whole(String),
}

impl<'a> Record<'a> {
    pub(crate) fn new(event: &'a Event, mode: Mode) -> Self {
        let (value, headers) = match mode {
            Mode::Binary => (Value::Data(event.data()), binary_headers(event)),
            Mode::Structured => (Value::Whole(event.to_json()), content_type(Event::STRUCTURED_CONTENT_TYPE).into()),
        };
        // Not the item's own time: retention counts from the record's, and would delete what is old on the day it is written.
        let timestamp = event.recorded_time().as_millisecond();
        Self { id: event.id(), key: event.partition_key(), value, headers, timestamp }
    }

    /// A dead letter, already in JSON. It is no CloudEvent: the event is in it.
    pub(crate) fn letter(of: &'a Event, json: &'a str, mut headers: Vec<(String, String)>, timestamp: i64) -> Self {
        headers.extend(content_type("application/json"));
        Self { id: of.id(), key: of.partition_key(), value: Value::Data(json), headers, timestamp }
    }

    /// Two records of one id are the same record.
    pub(crate) fn id(&self) -> &'a str {
        self.id
    }

    pub(crate) fn key(&self) -> &'a str {
        self.key
    }

    /// Bytes of key, value and headers: what the window of records in flight is counted in.
    pub(crate) fn size(&self) -> usize {
        let headers: usize = self.headers.iter().map(|(name, value)| name.len() + value.len()).sum();
        self.key.len() + self.value().len() + headers
    }

    /// For `topic`; `index` comes back with the delivery report.
    pub(crate) fn to<'b>(&'b self, topic: &'b str, index: usize) -> BaseRecord<'b, str, str, usize> {
        let headers = self.headers.iter().fold(OwnedHeaders::new_with_capacity(self.headers.len()), |headers, (key, value)| {
            headers.insert(Header { key, value: Some(value.as_str()) })
        });
        BaseRecord::with_opaque_to(topic, index).key(self.key).payload(self.value()).timestamp(self.timestamp).headers(headers)
    }

    fn value(&self) -> &str {
        match &self.value {
            Value::Data(data) => data,
            Value::Whole(json) => json,
        }
    }
}

fn binary_headers(event: &Event) -> Vec<(String, String)> {
    let spec_version = ("ce_specversion".to_owned(), Event::SPEC_VERSION.to_owned());
    let attributes = event.attributes().map(|(name, value)| (format!("ce_{name}"), value));
    std::iter::once(spec_version).chain(attributes).chain(content_type(Event::CONTENT_TYPE)).collect()
}

fn content_type(of: &str) -> [(String, String); 1] {
    [("content-type".to_owned(), of.to_owned())]
}
