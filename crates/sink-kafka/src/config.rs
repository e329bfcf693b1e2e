use std::fmt;
use std::num::NonZeroUsize;
use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::KafkaError;
use rdkafka::types::RDKafkaConfRes;

use crate::ledger::Load;
use crate::properties::Properties;
use crate::tls;

/// Where events go and in which form. [`KafkaConfig::new`] fills in the defaults.
///
/// `Debug` prints the names of librdkafka's keys and none of their values.
#[derive(Clone)]
pub struct KafkaConfig {
    /// `host:port`, several of them with commas between.
    pub bootstrap_servers: String,
    /// The topic. It has to exist; drivetap says which command makes it.
    pub topic: String,
    /// Where [`KafkaDeadLetters`](crate::KafkaDeadLetters) keeps what the topic refuses: another topic of the same cluster, that has to
    /// exist, too. Give it a larger `max.message.bytes`: what is refused is mostly too large.
    pub dead_letter_topic: Option<String>,
    /// Binary by default.
    pub mode: Mode,
    /// librdkafka's keys, [as it spells them](https://github.com/confluentinc/librdkafka/blob/v2.12.1/CONFIGURATION.md). They override
    /// drivetap's defaults: `enable.idempotence=true`, `acks=all`, `linger.ms=1`, `batch.num.messages=512`, `compression.type=zstd`,
    /// `partitioner=murmur2_random` (as Java's clients partition), `socket.keepalive.enable=true`, `socket.timeout.ms=20000`, `reconnect.backoff.max.ms=2000`, `allow.auto.create.topics=false`,
    /// `topic.metadata.propagation.max.ms=5000`, `client.id=drivetap`, and, where TLS is used, `ssl.ca.location=probe` (the system's authorities).
    ///
    /// For a topic with a small `max.message.bytes`, set `batch.size` below it: the broker refuses a larger batch as a whole, whose
    /// records then go one by one.
    ///
    /// With `acks` below `all`, "durable" means no more than what the broker then promises. `enable.idempotence=false` keeps the
    /// order by sending one record at a time. Keys that would break what a sink promises are refused, see [`InvalidConfig::Reserved`].
    pub librdkafka: Properties,
    /// How many bytes of records may wait for their acknowledgement; 8 MiB. A larger event goes alone.
    pub in_flight_bytes: usize,
    /// How many records may wait for their acknowledgement; 10,000.
    pub in_flight_messages: NonZeroUsize,
    /// How long one attempt to connect may take; 10 s.
    pub connect_timeout: Duration,
    /// How long may pass without a single acknowledgement before [`publish`](drivetap_sink::Sink::publish) says that it waits for the
    /// cluster; 30 s. librdkafka goes on trying meanwhile, for as long as it takes.
    ///
    /// librdkafka's own limit (`message.timeout.ms`) is off: it would drop a record and send the ones behind it. Above
    /// `socket.timeout.ms`, so that librdkafka has replaced a dead connection before.
    pub delivery_timeout: Duration,
}

/// How a CloudEvent becomes a record.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mode {
    /// Attributes are `ce_…` headers in raw UTF-8, `content-type` is `application/json`, the value is the event's data.
    #[default]
    Binary,
    /// `content-type` is `application/cloudevents+json`, the value is the whole event.
    Structured,
}

/// What is wrong with a configuration. It names keys, never the value of a secret one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidConfig {
    /// `bootstrap_servers` is empty.
    #[error("bootstrap_servers is empty: write host:port, several of them with commas between")]
    NoServers,
    /// Not a name that Kafka takes.
    #[error("topic `{0}` is not a name that Kafka takes: 1 to 249 of a-z A-Z 0-9 . _ -, and neither `.` nor `..`")]
    Topic(String),
    /// Not a name that Kafka takes, or the name of the sink's own topic.
    #[error("dead_letter topic `{topic}` {reason}")]
    DeadLetterTopic {
        /// The name.
        topic: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// librdkafka has no such key.
    #[error("librdkafka has no key `{0}`")]
    UnknownKey(String),
    /// librdkafka refuses the value.
    #[error("librdkafka key `{key}`: {reason}")]
    Value {
        /// The key.
        key: String,
        /// librdkafka's words.
        reason: String,
    },
    /// A file is missing, or a certificate is without its key or without TLS.
    #[error("librdkafka key `{key}`: {reason}")]
    Certificate {
        /// The key.
        key: String,
        /// What is missing.
        reason: String,
    },
    /// A certificate or a key cannot be read as one.
    #[error("librdkafka key `{key}`: {reason}")]
    Unloadable {
        /// The key.
        key: String,
        /// What is wrong, or OpenSSL's words.
        reason: String,
    },
    /// The key is drivetap's to set.
    #[error("librdkafka key `{key}` is not for configuration: {instead}")]
    Reserved {
        /// The key.
        key: String,
        /// Why, and what to write instead.
        instead: &'static str,
    },
}

impl KafkaConfig {
    /// librdkafka's keys whose values are paths.
    pub const FILES: [&str; 5] =
        ["ssl.ca.location", "ssl.certificate.location", "ssl.key.location", "ssl.keystore.location", "ssl.crl.location"];

    /// A value of `ssl.ca.location` that is none: wherever the system keeps the authorities that it trusts.
    pub const SYSTEMS_AUTHORITIES: &str = "probe";

    /// Everything but where to is at its default.
    #[must_use]
    pub fn new(bootstrap_servers: impl Into<String>, topic: impl Into<String>) -> Self {
        Self {
            bootstrap_servers: bootstrap_servers.into(),
            topic: topic.into(),
            dead_letter_topic: None,
            mode: Mode::default(),
            librdkafka: Properties::default(),
            in_flight_bytes: 8 * 1024 * 1024,
            in_flight_messages: NonZeroUsize::MIN.saturating_add(9_999),
            connect_timeout: Duration::from_secs(10),
            delivery_timeout: Duration::from_secs(30),
        }
    }

    /// Whether librdkafka's sequence numbers keep the order.
    pub(crate) fn is_idempotent(&self) -> bool {
        self.librdkafka.get(IDEMPOTENCE).is_none_or(|value| !FALSE.contains(&value.to_ascii_lowercase().as_str()))
    }

    /// What of one partition is handed over before all of it is acknowledged: what librdkafka sends as one request, and at once. `None` for
    /// any number.
    ///
    /// An idempotent producer has one request of a partition under way (<https://github.com/confluentinc/librdkafka/pull/4989>). While
    /// more is due behind it, librdkafka's thread asks without a pause whether it may go, and takes a whole core for that. Where records
    /// are to wait for company, though, it needs more of them than it sends.
    pub(crate) fn request(&self) -> Option<Load> {
        let given = |names: &[&str]| names.iter().find_map(|name| self.librdkafka.get(name)).map(|value| value.trim());
        let linger: Option<f64> = given(LINGER).and_then(|value| value.parse().ok());
        if linger.is_some_and(|milliseconds| milliseconds > 5.0) {
            return None;
        }
        let records = given(&[BATCH]).unwrap_or(BATCH_RECORDS);
        Some(Load { records: records.parse().unwrap_or(usize::MAX), bytes: REQUEST_BYTES })
    }

    /// What librdkafka is started with. Keys, values, certificates and their keys have been looked at, other combinations not yet.
    pub(crate) fn client(&self) -> Result<ClientConfig, InvalidConfig> {
        let client = self.settings()?;
        tls::check(self)?;
        Ok(client)
    }

    fn settings(&self) -> Result<ClientConfig, InvalidConfig> {
        self.check()?;
        let mut client = ClientConfig::new();
        for (names, value) in DEFAULTS {
            if !names.iter().any(|name| self.librdkafka.contains_key(name)) {
                client.set(names[0], *value);
            }
        }
        if self.is_idempotent() {
            client.set("enable.gapless.guarantee", "true");
        } else if !LINGER.iter().any(|key| self.librdkafka.contains_key(key)) {
            // Records go one by one: there is no company to wait for.
            client.set(LINGER[0], "0");
        }
        if self.uses_tls() && !CA_KEYS.iter().any(|key| self.librdkafka.contains_key(key)) {
            client.set(CA_KEYS[0], Self::SYSTEMS_AUTHORITIES);
        }
        client.extend(self.librdkafka.clone());
        client
            .set("bootstrap.servers", &self.bootstrap_servers)
            .set("message.timeout.ms", "0")
            // Twice what is ever in flight: a record counts until its delivery report was let go.
            .set("queue.buffering.max.messages", bounded(self.in_flight_messages.get().saturating_mul(2)))
            .set("queue.buffering.max.kbytes", bounded((self.in_flight_bytes / 1024).saturating_mul(2).max(64 * 1024)));
        let level = if self.librdkafka.contains_key("debug") { RDKafkaLogLevel::Debug } else { RDKafkaLogLevel::Info };
        client.set_log_level(level);
        client.create_native_config().map_err(|error| self.invalid(error))?;
        Ok(client)
    }

    /// `text` without any secret value of this configuration.
    pub(crate) fn redact(&self, text: &str) -> String {
        self.librdkafka
            .iter()
            .filter(|(key, value)| is_secret(key) && !value.is_empty())
            .fold(text.to_owned(), |text, (_, value)| text.replace(value.as_str(), "…"))
    }

    /// ` --command-config client.properties` where Kafka's own tools need to be told how to sign in.
    pub(crate) fn tool_options(&self) -> &'static str {
        match self.librdkafka.get("security.protocol") {
            Some(protocol) if !protocol.eq_ignore_ascii_case("plaintext") => " --command-config client.properties",
            _ => "",
        }
    }

    fn check(&self) -> Result<(), InvalidConfig> {
        if self.bootstrap_servers.trim().is_empty() {
            return Err(InvalidConfig::NoServers);
        }
        if !is_topic(&self.topic) {
            return Err(InvalidConfig::Topic(self.topic.clone()));
        }
        if let Some(topic) = &self.dead_letter_topic {
            let wrong = |reason| Err(InvalidConfig::DeadLetterTopic { topic: topic.clone(), reason });
            if *topic == self.topic {
                return wrong("is the topic that refused the event: name another one");
            }
            if !is_topic(topic) {
                return wrong("is not a name that Kafka takes: 1 to 249 of a-z A-Z 0-9 . _ -, and neither `.` nor `..`");
            }
        }
        match RESERVED.iter().find(|(key, _)| self.librdkafka.contains_key(key)) {
            Some((key, instead)) => Err(InvalidConfig::Reserved { key: (*key).to_owned(), instead }),
            None => Ok(()),
        }
    }

    pub(crate) fn uses_tls(&self) -> bool {
        self.librdkafka.get("security.protocol").is_some_and(|protocol| protocol.to_ascii_lowercase().contains("ssl"))
    }

    pub(crate) fn invalid(&self, error: KafkaError) -> InvalidConfig {
        match error {
            KafkaError::ClientConfig(RDKafkaConfRes::RD_KAFKA_CONF_UNKNOWN, _, key, _) => InvalidConfig::UnknownKey(key),
            KafkaError::ClientConfig(_, reason, key, _) => InvalidConfig::Value { key, reason: self.redact(reason.trim()) },
            // A NUL byte in a key or a value: librdkafka's are C strings.
            other => InvalidConfig::Value { key: "librdkafka".to_owned(), reason: self.redact(&other.to_string()) },
        }
    }
}

impl fmt::Debug for KafkaConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KafkaConfig")
            .field("bootstrap_servers", &self.bootstrap_servers)
            .field("topic", &self.topic)
            .field("dead_letter_topic", &self.dead_letter_topic)
            .field("mode", &self.mode)
            .field("librdkafka", &self.librdkafka)
            .field("in_flight_bytes", &self.in_flight_bytes)
            .field("in_flight_messages", &self.in_flight_messages)
            .field("connect_timeout", &self.connect_timeout)
            .field("delivery_timeout", &self.delivery_timeout)
            .finish()
    }
}

const IDEMPOTENCE: &str = "enable.idempotence";
pub(crate) const LINGER: &[&str] = &["linger.ms", "queue.buffering.max.ms"];

// So many records wait for no more: it is the one bound of a request that librdkafka looks at in the same way when it asks whether one is
// due, and when it fills it. (To `batch.size` it counts headers only when it fills one.)
const BATCH: &str = "batch.num.messages";
const BATCH_RECORDS: &str = "512";

// A little less than librdkafka's `batch.size` and `message.max.bytes`, 1,000,000 each.
const REQUEST_BYTES: usize = 980_000;

// What librdkafka reads as false, apart from case.
const FALSE: &[&str] = &["false", "f", "0"];

// A key under each of its names, and what it is unless the configuration says otherwise.
const DEFAULTS: &[(&[&str], &str)] = &[
    (&["client.id"], "drivetap"),
    (&[IDEMPOTENCE], "true"),
    (&["acks", "request.required.acks"], "all"),
    (LINGER, "1"),
    (&[BATCH], BATCH_RECORDS),
    (&["compression.type", "compression.codec"], "zstd"),
    (&["partitioner"], "murmur2_random"),
    (&["socket.keepalive.enable"], "true"),
    // How long a request on a connection that died in silence waits for an answer, before it is sent again on another one.
    (&["socket.timeout.ms"], "20000"),
    (&["reconnect.backoff.max.ms"], "2000"),
    (&["allow.auto.create.topics"], "false"),
    // How long a topic that was deleted may just be slow to be seen.
    (&["topic.metadata.propagation.max.ms"], "5000"),
];

// librdkafka's OpenSSL is vendored and knows no system's certificates unless told to look for them.
const CA_KEYS: &[&str] = &["ssl.ca.location", "ssl.ca.pem", "ssl.ca.certificate.stores"];

const ORDER: &str = "a record given up inside librdkafka would be overtaken by the ones behind it";

// Why, or what to write in `[sink.NAME]` instead: never a key that is not there.
const RESERVED: &[(&str, &str)] = &[
    ("bootstrap.servers", "write bootstrap_servers"),
    ("metadata.broker.list", "write bootstrap_servers"),
    ("message.timeout.ms", ORDER),
    ("delivery.timeout.ms", ORDER),
    ("retries", ORDER),
    ("message.send.max.retries", ORDER),
    ("enable.gapless.guarantee", "it goes with enable.idempotence"),
    ("queue.buffering.max.messages", "drivetap sets it, and never hands more over (in Rust: KafkaConfig::in_flight_messages)"),
    ("queue.buffering.max.kbytes", "drivetap sets it, and never hands more over (in Rust: KafkaConfig::in_flight_bytes)"),
    ("delivery.report.only.error", "without reports nothing would ever count as delivered"),
    ("transactional.id", "drivetap makes no transactions"),
];

fn is_topic(name: &str) -> bool {
    let legal = |b: u8| b.is_ascii_alphanumeric() || b"._-".contains(&b);
    (1..=249).contains(&name.len()) && name.bytes().all(legal) && ![".", ".."].contains(&name)
}

fn is_secret(key: &str) -> bool {
    ["password", "secret", "pem", "oauthbearer", "jaas", "token", "ssl.key"].iter().any(|part| key.contains(part))
}

// librdkafka's numbers end at 2³¹ − 1.
fn bounded(n: usize) -> String {
    n.min(0x7fff_ffff).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(key: &str, value: &str) -> KafkaConfig {
        let mut config = KafkaConfig::new("localhost:9092", "drive-events");
        config.librdkafka.insert(key.to_owned(), value.to_owned());
        config
    }

    fn with_letters(topic: &str) -> KafkaConfig {
        KafkaConfig { dead_letter_topic: Some(topic.to_owned()), ..KafkaConfig::new("localhost:9092", "drive-events") }
    }

    #[test]
    fn a_bad_configuration_is_an_error_that_names_what_is_bad() {
        let cases = [
            (KafkaConfig::new(" ", "t"), "bootstrap_servers is empty"),
            (KafkaConfig::new("h:1", ""), "topic `` is not a name"),
            (KafkaConfig::new("h:1", ".."), "topic `..` is not a name"),
            (KafkaConfig::new("h:1", "a b"), "topic `a b` is not a name"),
            (with_letters("drive-events"), "dead_letter topic `drive-events` is the topic that refused"),
            (with_letters("a b"), "dead_letter topic `a b` is not a name"),
            (with("compresion.type", "lz4"), "librdkafka has no key `compresion.type`"),
            (with("compression.type", "rar"), "librdkafka key `compression.type`: "),
            (with("linger.ms", "soon"), "librdkafka key `linger.ms`: "),
            (with("bootstrap.servers", "h:1"), "write bootstrap_servers"),
            (with("message.timeout.ms", "1"), "would be overtaken by the ones behind it"),
            (with("delivery.report.only.error", "true"), "nothing would ever count as delivered"),
        ];
        for (config, words) in cases {
            let error = config.client().unwrap_err().to_string();
            assert!(error.contains(words), "{error}");
        }
    }

    #[test]
    fn every_reserved_key_is_one_that_librdkafka_knows() {
        for (key, _) in RESERVED {
            let unknown = ClientConfig::new().set(*key, "1").create_native_config().err();
            assert!(unknown.is_none(), "{key}: {unknown:?}");
        }
    }

    #[test]
    fn defaults_give_way_to_a_key_under_any_of_its_names() {
        let client = with("request.required.acks", "1").client().unwrap();
        assert_eq!((client.get("acks"), client.get("request.required.acks")), (None, Some("1")));
        assert_eq!(client.get("compression.type"), Some("zstd"));
        assert_eq!(with("partitioner", "consistent").client().unwrap().get("partitioner"), Some("consistent"));
    }

    #[test]
    fn a_partition_has_one_request_under_way_unless_records_are_to_wait_for_company() {
        let cases = [
            ("acks", "1", Some(512)),
            ("linger.ms", "5", Some(512)),
            ("linger.ms", "5.5", None),
            ("batch.num.messages", "7", Some(7)),
        ];
        for (key, value, records) in cases {
            assert_eq!(with(key, value).request().map(|request| request.records), records, "{key}={value}");
        }
    }

    #[test]
    fn tls_looks_for_the_systems_authorities_unless_told_which() {
        assert_eq!(with("security.protocol", "SASL_SSL").client().unwrap().get("ssl.ca.location"), Some("probe"));
        assert_eq!(with("acks", "all").client().unwrap().get("ssl.ca.location"), None);
        let mut named = with("security.protocol", "ssl");
        named.librdkafka.insert("ssl.ca.pem".to_owned(), "…".to_owned());
        assert_eq!(named.settings().unwrap().get("ssl.ca.location"), None);
    }

    #[test]
    fn idempotence_is_read_as_librdkafka_reads_it() {
        for (value, idempotent) in [("true", true), ("1", true), ("false", false), ("False", false), ("0", false), ("f", false)] {
            let config = with(IDEMPOTENCE, value);
            assert_eq!(config.is_idempotent(), idempotent, "{value}");
            let native = config.client().unwrap().create_native_config().unwrap();
            assert_eq!(native.get(IDEMPOTENCE).unwrap(), idempotent.to_string(), "{value}");
        }
    }

    #[test]
    fn no_secret_is_printed() {
        for key in ["sasl.password", "ssl.key.password", "ssl.keystore.password", "ssl.key.pem", "sasl.oauthbearer.config"] {
            let config = with(key, "hunter2-hunter2");
            assert!(!format!("{config:?}").contains("hunter2"), "{key}");
            assert_eq!(config.redact("bad: hunter2-hunter2!"), "bad: …!", "{key}");
        }
    }
}
