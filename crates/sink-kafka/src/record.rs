use std::borrow::Cow;

use drivetap_core::Event;
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::BaseRecord;

use crate::Mode;

/// An event in Kafka's words, ready to be copied into librdkafka's queue.
pub(crate) struct Record<'a> {
    // The event's.
    id: &'a str,
    key: &'a str,
    value: Cow<'a, str>,
    headers: Headers,
    // Milliseconds since 1970.
    timestamp: i64,
}

impl<'a> Record<'a> {
    pub(crate) fn new(event: &'a Event, mode: Mode) -> Self {
        let (value, headers) = match mode {
            Mode::Binary => (event.data().into(), binary_headers(event)),
            Mode::Structured => (event.to_json().into(), Headers::new(1).with(CONTENT_TYPE, Event::STRUCTURED_CONTENT_TYPE)),
        };
        // Not the item's own time: retention counts from the record's, and would delete what is old on the day it is written.
        let timestamp = event.recorded_time().as_millisecond();
        Self { id: event.id(), key: event.partition_key(), value, headers, timestamp }
    }

    /// A dead letter, already in JSON. It is no CloudEvent: the event is in it.
    pub(crate) fn letter(of: &'a Event, json: &'a str, headers: &[(&str, &str)], timestamp: i64) -> Self {
        let none = Headers::new(headers.len() + 1);
        let headers = headers.iter().fold(none, |headers, (name, value)| headers.with(name, value));
        let headers = headers.with(CONTENT_TYPE, "application/json");
        Self { id: of.id(), key: of.partition_key(), value: json.into(), headers, timestamp }
    }

    /// Two records of one id are the same record.
    pub(crate) fn id(&self) -> &'a str {
        self.id
    }

    pub(crate) fn key(&self) -> &'a str {
        self.key
    }

    /// Bytes of key, value and headers, and of what a request puts around them at most: what records in flight are counted in.
    pub(crate) fn size(&self) -> usize {
        const AROUND: usize = 36;
        AROUND + self.key.len() + self.value.len() + self.headers.size
    }

    /// Gives it to `send` as a record for `topic`; `index` comes back with the delivery report.
    pub(crate) fn hand_over<T>(self, topic: &str, index: usize, send: impl FnOnce(BaseRecord<'_, str, str, usize>) -> T) -> T {
        let Self { key, value, headers, timestamp, .. } = self;
        let record = BaseRecord::with_opaque_to(topic, index).key(key).payload(&*value);
        send(record.timestamp(timestamp).headers(headers.native))
    }
}

// librdkafka's own, so that nothing is copied twice.
struct Headers {
    native: OwnedHeaders,
    size: usize,
}

impl Headers {
    fn new(capacity: usize) -> Self {
        Self { native: OwnedHeaders::new_with_capacity(capacity), size: 0 }
    }

    fn with(self, key: &str, value: &str) -> Self {
        // The lengths of both: two bytes each up to 8 KiB.
        const AROUND: usize = 4;
        let size = self.size + AROUND + key.len() + value.len();
        Self { native: self.native.insert(Header { key, value: Some(value) }), size }
    }
}

const CONTENT_TYPE: &str = "content-type";

fn binary_headers(event: &Event) -> Headers {
    let mut key = "ce_".to_owned();
    let all = Headers::new(12).with("ce_specversion", Event::SPEC_VERSION);
    let all = event.attributes().fold(all, |all, (name, value)| {
        key.truncate(3);
        key.push_str(name);
        all.with(&key, &value)
    });
    all.with(CONTENT_TYPE, Event::CONTENT_TYPE)
}
