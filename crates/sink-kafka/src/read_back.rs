use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, Consumer as _, ConsumerContext};
use rdkafka::error::{KafkaError, KafkaResult};
use rdkafka::message::{BorrowedMessage, Headers as _, Message as _};
use rdkafka::metadata::Metadata;
use rdkafka::types::RDKafkaErrorCode;
use rdkafka::{ClientConfig, ClientContext, Offset, TopicPartitionList};

use crate::producer::{LOG, Trouble, answer_about, code_of, plain};
use crate::{InvalidConfig, KafkaConfig};

/// Reads back what stands in a sink's topic: every partition, from the beginning to the end as of the call.
///
/// It is a reader and nothing else: it joins no group, commits nothing, and a broker that is asked for it by ACL needs to permit `Read`
/// and `Describe` of the topic only.
///
/// Every method blocks its thread.
pub struct ReadBack {
    config: KafkaConfig,
    consumer: BaseConsumer<Ears>,
    // Where the next reading goes on, by partition.
    next: BTreeMap<i32, i64>,
}

/// A record as it stands in the topic.
#[derive(Debug)]
pub struct Stored<'a> {
    /// The partition.
    pub partition: i32,
    /// The offset in it.
    pub offset: i64,
    /// Name and value of each header, in their order; one without a value has an empty one.
    pub headers: Vec<(&'a str, &'a [u8])>,
    /// The value; `None` for a tombstone.
    pub value: Option<&'a [u8]>,
}

/// Why a topic cannot be read. One line, without secrets.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct ReadBackError(String);

impl ReadBack {
    /// A reader of the sink's topic, with the sink's own settings for the connection. Touches no network.
    ///
    /// # Errors
    /// Names the key or the field that is wrong.
    pub fn new(config: &KafkaConfig) -> Result<Self, InvalidConfig> {
        let client = reader(config.client()?);
        let ears = Ears { config: config.clone(), trouble: Mutex::default() };
        let consumer = client.create_with_context(ears).map_err(|error| config.invalid(error))?;
        Ok(Self { config: config.clone(), consumer, next: BTreeMap::new() })
    }

    /// Hands every record to `each`, from where the last call ended to the ends of the partitions as of this call. A partition's records
    /// come in their order; those of several are mixed.
    ///
    /// # Errors
    /// The cluster cannot be reached, the topic is missing or may not be read, or nothing came for
    /// [`delivery_timeout`](KafkaConfig::delivery_timeout). What was handed out stays handed out: a next call goes on behind it.
    pub fn read_on(&mut self, mut each: impl FnMut(&Stored<'_>)) -> Result<(), ReadBackError> {
        let mut ends = self.ends()?;
        ends.retain(|partition, end| self.next.get(partition).is_none_or(|next| next < end));
        let mut from = TopicPartitionList::new();
        for partition in ends.keys() {
            let offset = self.next.get(partition).map_or(Offset::Beginning, |next| Offset::Offset(*next));
            from.add_partition_offset(&self.config.topic, *partition, offset).map_err(|error| self.failed(&error))?;
        }
        self.consumer.assign(&from).map_err(|error| self.failed(&error))?;
        let read = self.read_to(ends, &mut each);
        // Nothing is fetched that nobody reads.
        self.consumer.unassign().map_err(|error| self.failed(&error))?;
        read
    }

    fn read_to(&mut self, mut ends: BTreeMap<i32, i64>, each: &mut impl FnMut(&Stored<'_>)) -> Result<(), ReadBackError> {
        let mut heard = Instant::now();
        while !ends.is_empty() {
            match self.consumer.poll(LOOK) {
                Some(Ok(message)) => {
                    heard = Instant::now();
                    let (partition, offset) = (message.partition(), message.offset());
                    let Some(end) = ends.get(&partition).copied() else {
                        continue;
                    };
                    if offset < end {
                        each(&Stored { partition, offset, headers: headers(&message), value: message.payload() });
                        self.next.insert(partition, offset + 1);
                    }
                    if offset + 1 >= end {
                        ends.remove(&partition);
                    }
                }
                // The last offsets of a partition can be a transaction's marks, which are no records.
                Some(Err(KafkaError::PartitionEOF(partition))) => {
                    heard = Instant::now();
                    if let Some(end) = ends.remove(&partition) {
                        self.next.insert(partition, end);
                    }
                }
                Some(Err(error)) if is_fatal(code_of(&error)) => return Err(self.failed(&error)),
                // The rest passes or does not: then nothing comes any more.
                Some(Err(_)) | None => {}
            }
            if heard.elapsed() > self.config.delivery_timeout {
                let words = self.ears().trouble().as_ref().map_or_else(String::new, |trouble| format!(": {}", trouble.words));
                return Err(ReadBackError(format!("Kafka sent nothing for {:?}{words}", self.config.delivery_timeout)));
            }
        }
        Ok(())
    }

    /// The partitions and where each ends.
    fn ends(&self) -> Result<BTreeMap<i32, i64>, ReadBackError> {
        let topic = &self.config.topic;
        let metadata = self.metadata()?;
        let described = metadata.topics().iter().find(|described| described.name() == topic);
        let mut ends = BTreeMap::new();
        for partition in described.map_or(&[][..], rdkafka::metadata::MetadataTopic::partitions) {
            let marks = self.consumer.fetch_watermarks(topic, partition.id(), self.config.connect_timeout);
            let (low, high) = marks.map_err(|error| self.failed(&error))?;
            if low < high {
                ends.insert(partition.id(), high);
            }
        }
        Ok(ends)
    }

    fn metadata(&self) -> Result<Metadata, ReadBackError> {
        let deadline = Instant::now() + self.config.connect_timeout;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let metadata: KafkaResult<Metadata> = self.consumer.fetch_metadata(Some(&self.config.topic), left.min(PATIENCE));
            let Err(code) = answer_about(&self.config.topic, &metadata) else {
                return metadata.map_err(|error| self.failed(&error));
            };
            let hopeless = self.ears().trouble().as_ref().is_some_and(Trouble::will_stay);
            if is_fatal(code) || left.is_zero() || hopeless {
                return Err(self.refused(code));
            }
            // What librdkafka heard meanwhile is handed out by this.
            let _ = self.consumer.poll(LOOK);
        }
    }

    fn failed(&self, error: &KafkaError) -> ReadBackError {
        self.refused(code_of(error))
    }

    fn refused(&self, code: RDKafkaErrorCode) -> ReadBackError {
        let KafkaConfig { bootstrap_servers: servers, topic, .. } = &self.config;
        ReadBackError(match code {
            RDKafkaErrorCode::UnknownTopicOrPartition | RDKafkaErrorCode::UnknownTopic | RDKafkaErrorCode::UnknownPartition => {
                format!("topic `{topic}` does not exist on Kafka at {servers}")
            }
            RDKafkaErrorCode::TopicAuthorizationFailed => format!(
                "no permission to read topic `{topic}`; give it: kafka-acls.sh --bootstrap-server {servers}{} --add \
                 --allow-principal User:PRINCIPAL --operation Read --operation Describe --topic {topic}",
                self.config.tool_options()
            ),
            _ => match self.ears().trouble().as_ref() {
                Some(trouble) => format!("{}: {}", trouble.headline(&self.config), trouble.words),
                None => format!("Kafka at {servers} does not answer: {code}"),
            },
        })
    }

    fn ears(&self) -> &Ears {
        self.consumer.client().context()
    }
}

// How long one look for a record takes.
const LOOK: Duration = Duration::from_millis(100);
// The longest that one request for metadata waits before we look whether waiting makes sense.
const PATIENCE: Duration = Duration::from_secs(2);

/// The sink's settings, for a consumer.
fn reader(mut client: ClientConfig) -> ClientConfig {
    client
        // librdkafka hands partitions to a member of a group only. Nothing is committed, so the group is never made.
        .set("group.id", "drivetap-read-back")
        .set("enable.auto.commit", "false")
        .set("enable.auto.offset.store", "false")
        .set("enable.partition.eof", "true")
        .set("auto.offset.reset", "earliest")
        .set("check.crcs", "true")
        // Fetched and not yet handed out, in KiB. librdkafka's own default is 64 MiB.
        .set("queued.max.messages.kbytes", "16384");
    client
}

fn headers<'a>(message: &'a BorrowedMessage<'_>) -> Vec<(&'a str, &'a [u8])> {
    let headers = message.headers();
    headers.iter().flat_map(|headers| headers.iter()).map(|header| (header.key, header.value.unwrap_or_default())).collect()
}

// What does not pass while somebody waits. A group that may not be used is none that is needed.
fn is_fatal(code: RDKafkaErrorCode) -> bool {
    use RDKafkaErrorCode as E;
    matches!(
        code,
        E::UnknownTopicOrPartition
            | E::UnknownTopic
            | E::UnknownPartition
            | E::TopicAuthorizationFailed
            | E::Authentication
            | E::SaslAuthenticationFailed
            | E::UnsupportedSASLMechanism
            | E::SSL
            | E::Fatal
    )
}

/// What librdkafka calls back.
struct Ears {
    config: KafkaConfig,
    trouble: Mutex<Option<Trouble>>,
}

impl Ears {
    fn trouble(&self) -> MutexGuard<'_, Option<Trouble>> {
        self.trouble.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ConsumerContext for Ears {}

impl ClientContext for Ears {
    // Whatever stops the reading is in the error that ends it; and a producer's settings are no use to a consumer, as it says of each.
    fn log(&self, _: RDKafkaLogLevel, facility: &str, line: &str) {
        tracing::debug!(target: LOG, facility, "{}", plain(&self.config, line));
    }

    fn error(&self, error: KafkaError, reason: &str) {
        Trouble::keep(&mut self.trouble(), code_of(&error), plain(&self.config, reason));
    }

    fn stats_raw(&self, _: &[u8]) {}
}
