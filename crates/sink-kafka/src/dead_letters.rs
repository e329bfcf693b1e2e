use std::time::Duration;

use async_trait::async_trait;
use drivetap_sink::{DeadLetter, DeadLetterBox, NotKept, Stop};

use crate::config::LINGER;
use crate::record::Record;
use crate::verdict::Refusal;
use crate::writer::Writer;
use crate::{InvalidConfig, KafkaConfig};

/// Keeps what the sink refused in another topic of its cluster, [`KafkaConfig::dead_letter_topic`]. Needs a tokio runtime.
///
/// One record a letter. The value is [`DeadLetter::to_json`], the same object as a line of the dead-letter file. The key is the sink's: the
/// drive, so that its letters stay in order. The timestamp is when it was refused. Headers say the same to tools that show no values, see
/// [`HEADERS`](Self::HEADERS). A letter that was brought twice has the same [`EVENT_ID`](Self::EVENT_ID) twice.
///
/// The sink's own bounds on a record's size (`message.max.bytes`, `batch.size`) are not these letters': what the topic's
/// `max.message.bytes` takes, it gets, up to 64 MiB.
pub struct KafkaDeadLetters {
    writer: Writer,
    // The sink's topic.
    refused_by: String,
}

impl KafkaDeadLetters {
    /// The header with the event's id.
    pub const EVENT_ID: &str = "dead_letter_event_id";
    /// Every header, `content-type: application/json` aside: the sink's name, the topic that refused it, the sink's code, the reason in
    /// words, the event's type and id.
    pub const HEADERS: [&str; 6] = [
        "dead_letter_sink",
        "dead_letter_topic",
        "dead_letter_code",
        "dead_letter_reason",
        "dead_letter_event_type",
        Self::EVENT_ID,
    ];

    /// For a sink of this configuration; `None` where it names no topic for dead letters. Touches no network.
    ///
    /// # Errors
    /// As [`KafkaSink::new`](crate::KafkaSink::new).
    pub fn new(sink: &KafkaConfig) -> Result<Option<Self>, InvalidConfig> {
        let Some(topic) = sink.dead_letter_topic.clone() else {
            return Ok(None);
        };
        let mut letters = KafkaConfig { topic, dead_letter_topic: None, ..sink.clone() };
        for (names, value) in OWN_KEYS {
            names.iter().for_each(|name| drop(letters.librdkafka.remove(name)));
            letters.librdkafka.insert(names[0].to_owned(), (*value).to_owned());
        }
        Ok(Some(Self { writer: Writer::new(letters)?, refused_by: sink.topic.clone() }))
    }
}

#[async_trait]
impl DeadLetterBox for KafkaDeadLetters {
    async fn look(&mut self) -> Result<(), NotKept> {
        let looked = self.writer.connect().await;
        // Most sinks never refuse anything: until one does, there is no second set of connections.
        self.writer.disconnect();
        looked.map_err(not_kept)
    }

    async fn keep(&mut self, letter: &DeadLetter<'_>) -> Result<(), NotKept> {
        // The last letter was left with a producer that nobody answered.
        if self.writer.is_stalled() {
            self.writer.connect().await.map_err(not_kept)?;
        }
        let value = letter.to_json().map_err(|error| NotKept::Never(format!("the event is not JSON: {error}")))?;
        let headers =
            [letter.sink, &self.refused_by, letter.code, letter.reason, letter.event.event_type().as_str(), letter.event.id()];
        let headers: Vec<_> = Self::HEADERS.into_iter().zip(headers).collect();
        let (event, at) = (letter.event, letter.at.as_millisecond());
        let letters = [value];
        loop {
            let offer = self.writer.publish(&letters, |_| event.id(), |json| Record::letter(event, json, &headers, at));
            match offer.await.stop {
                None => return Ok(()),
                Some(Stop::Underway) => {}
                Some(Stop::Reject { code, reason }) => return Err(NotKept::Never(format!("{reason} ({code})"))),
                Some(Stop::Reconnect { reason } | Stop::Hold { what: reason }) => return Err(NotKept::Later(reason)),
            }
        }
    }

    async fn close(self: Box<Self>, within: Duration) {
        self.writer.close(within).await;
    }
}

fn not_kept(refusal: Refusal) -> NotKept {
    match refusal {
        Refusal::Trouble(reason) | Refusal::Missing(reason) => NotKept::Later(reason),
        Refusal::Config(reason) => NotKept::Never(reason),
    }
}

// What must not be as it is for the sink, under each of its names: its bound is what made the letter, and a letter waits for no company.
const OWN_KEYS: &[(&[&str], &str)] = &[(&["message.max.bytes"], "67108864"), (LINGER, "0")];
