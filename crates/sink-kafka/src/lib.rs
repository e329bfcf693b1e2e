//! The Kafka sink: CloudEvents on a topic, through librdkafka.
//!
//! [`KafkaSink`] is a [`drivetap_sink::Sink`]: `connect`, `publish`, `close`. [`KafkaConfig`] says where to, in which form, and passes
//! librdkafka's own keys through. [`KafkaDeadLetters`] keeps in another topic what the sink's topic refuses. [`ReadBack`] reads what the
//! sink wrote.
//!
//! # What is written
//! One record per event. Key: the canonical drive id, so that a drive's events share a partition and their order. Timestamp: when
//! drivetap received the event, because a topic's retention counts from it and an item may have been modified years ago. Headers and
//! value follow the [Kafka binding of CloudEvents 1.0.2](https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/bindings/kafka-protocol-binding.md),
//! see [`Mode`].
//!
//! # Order
//! A record that fails must not be overtaken by a later one of its partition, or a repeat would arrive after its successor. Five rules
//! hold that, however librdkafka retries inside:
//! - the producer is idempotent and gapless: broker and client refuse whatever follows a record that was not stored;
//! - the first record of a key that a producer sends goes alone: a broker refuses a gap only of a producer that it knows;
//! - a producer that nobody answers keeps its records and its sequence numbers, however long it takes: what is still on its way in a
//!   frozen broker or network arrives as a repeat that the broker knows, and not behind what another producer sent;
//! - a producer of which a record failed is purged and never used again: what it had sent are repeats of the next one's first records;
//! - after a broker refused a batch for its content, the records of that batch go one by one, until the culprit is known by name.
//!
//! With `enable.idempotence = "false"` the first rule falls away, so records go one by one always: in order, and slowly.

mod config;
mod dead_letters;
mod ledger;
mod parcel;
mod permissions;
mod producer;
mod properties;
mod read_back;
mod record;
mod sink;
mod tls;
mod verdict;
mod writer;

pub use config::{InvalidConfig, KafkaConfig, Mode};
pub use dead_letters::KafkaDeadLetters;
pub use permissions::{Granted, ask_permission};
pub use properties::Properties;
pub use read_back::{ReadBack, ReadBackError, Stored};
pub use sink::KafkaSink;

/// The version of the librdkafka in this binary: `2.12.1`.
#[must_use]
pub fn librdkafka_version() -> String {
    rdkafka::util::get_rdkafka_version().1
}
