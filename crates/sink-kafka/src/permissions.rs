//! Whether the cluster would take the sink's records, asked without leaving one.
//!
//! Kafka has no question for that which librdkafka can ask, but it looks at a request's permissions before it looks at what is in it. So a
//! record is sent with a number of acknowledgements that no broker grants (`acks=2`; Kafka takes 0, 1 and -1 since 0.9): who may not write
//! is told `TOPIC_AUTHORIZATION_FAILED`, who may is told `INVALID_REQUIRED_ACKS`, and nothing is stored.
//!
//! Since Kafka 2.8 who may write any topic may do so idempotently (KIP-679), whatever the rule for the cluster says. Older brokers, and
//! services with rules of their own (Amazon MSK's `WriteDataIdempotently`), want that permission beside the topic's.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use drivetap_sink::NotReady;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::KafkaError;
use rdkafka::producer::{BaseProducer, BaseRecord, DeliveryResult, Producer as _, ProducerContext};
use rdkafka::types::RDKafkaErrorCode;
use rdkafka::{ClientConfig, ClientContext};

use crate::producer::{code_of, plain};
use crate::verdict::missing;
use crate::{InvalidConfig, KafkaConfig};

/// What was asked, and granted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Granted {
    /// The topics that may be written: the sink's own, and that of its dead letters.
    pub topics: Vec<String>,
    /// Whether the cluster gave out a producer id, without which there are no idempotent writes. `None`: they are turned off.
    pub idempotent: Option<bool>,
}

/// Asks whether the sink may write its topics, and idempotently where it may write any: until then that permission is nobody's to
/// give, because it may come with the topic's. Nothing is stored. Takes up to three times
/// [`connect_timeout`](KafkaConfig::connect_timeout). Needs a tokio runtime.
///
/// # Errors
/// What is not permitted or not there, with the command that gives it; or that the cluster does not answer.
pub async fn ask_permission(config: KafkaConfig) -> Result<Granted, NotReady> {
    let asked = tokio::task::spawn_blocking(move || ask(&config)).await;
    asked.unwrap_or_else(|error| Err(NotReady::Never(format!("the question ended early: {error}"))))
}

fn ask(config: &KafkaConfig) -> Result<Granted, NotReady> {
    let never = |error: InvalidConfig| NotReady::Never(error.to_string());
    let client = config.client().map_err(never)?;
    let mut refused = Vec::new();
    let mut granted = Granted { topics: Vec::new(), idempotent: None };
    for topic in [Some(&config.topic), config.dead_letter_topic.as_ref()].into_iter().flatten() {
        match write(config, client.clone(), topic) {
            Ok(()) => granted.topics.push(topic.clone()),
            Err(reason) => refused.push(reason),
        }
    }
    if config.is_idempotent() && !granted.topics.is_empty() {
        match idempotent(config, client) {
            Ok(()) => granted.idempotent = Some(true),
            Err(reason) => refused.push(reason),
        }
    }
    if refused.is_empty() { Ok(granted) } else { Err(NotReady::Later(refused.join("; and "))) }
}

/// A number of acknowledgements that no broker grants.
const NEVER_GRANTED: &str = "2";

fn write(config: &KafkaConfig, mut client: ClientConfig, topic: &str) -> Result<(), String> {
    for key in ["request.required.acks", "enable.gapless.guarantee", "message.send.max.retries", "queue.buffering.max.ms"] {
        client.remove(key);
    }
    let limit = config.connect_timeout;
    client
        .set("enable.idempotence", "false")
        .set("acks", NEVER_GRANTED)
        .set("retries", "0")
        .set("linger.ms", "0")
        .set("message.timeout.ms", limit.as_millis().to_string());
    let (answer, heard) = asking(config, &client, |producer| {
        producer.send(BaseRecord::<[u8], [u8]>::to(topic).payload(b"".as_slice())).map_err(|(error, _)| code_of(&error))
    })?;
    let about = KafkaConfig { topic: topic.to_owned(), ..config.clone() };
    match answer {
        Some(RDKafkaErrorCode::InvalidRequiredAcks) => Ok(()),
        Some(RDKafkaErrorCode::NoError) => Err(format!(
            "topic `{topic}` may be written, but its broker takes what Kafka refuses (acks={NEVER_GRANTED}): an empty record is in it now"
        )),
        Some(code) => Err(missing(&about, code).unwrap_or_else(|| unanswered(config, Some(code), heard))),
        None => Err(unanswered(config, None, heard)),
    }
}

fn idempotent(config: &KafkaConfig, mut client: ClientConfig) -> Result<(), String> {
    client.set("statistics.interval.ms", "50");
    let (answer, heard) = asking(config, &client, |_| Ok(()))?;
    match answer {
        Some(RDKafkaErrorCode::NoError) => Ok(()),
        Some(code) => Err(missing(config, code).unwrap_or_else(|| unanswered(config, Some(code), heard))),
        None => Err(unanswered(config, None, heard)),
    }
}

fn unanswered(config: &KafkaConfig, code: Option<RDKafkaErrorCode>, heard: Option<String>) -> String {
    let servers = &config.bootstrap_servers;
    let why = heard.or(code.map(|code| code.to_string())).map_or_else(String::new, |why| format!(": {why}"));
    format!("Kafka at {servers} does not say whether it may be written{why}")
}

type Answer = (Option<RDKafkaErrorCode>, Option<String>);

/// Starts a client, has it ask, and waits for what comes of it: within `connect_timeout`.
fn asking(
    config: &KafkaConfig,
    client: &ClientConfig,
    question: impl FnOnce(&BaseProducer<Ear>) -> Result<(), RDKafkaErrorCode>,
) -> Result<Answer, String> {
    let ear = Ear { config: Arc::new(config.clone()), answer: Arc::default(), heard: Arc::default(), done: Arc::default() };
    let producer: BaseProducer<Ear> =
        client.create_with_context(ear.clone()).map_err(|error| format!("librdkafka: {}", plain(config, &error.to_string())))?;
    if let Err(code) = question(&producer) {
        return Ok((Some(code), None));
    }
    let deadline = Instant::now() + config.connect_timeout;
    while !ear.done.load(Ordering::Relaxed) && Instant::now() < deadline {
        producer.poll(Duration::from_millis(50));
        if let Some((code, words)) = producer.client().fatal_error() {
            ear.answered(code);
            *ear.heard.lock().unwrap_or_else(PoisonError::into_inner) = Some(plain(config, &words));
        }
    }
    producer.purge(rdkafka::producer::PurgeConfig::default().queue().inflight());
    let answer = *ear.answer.lock().unwrap_or_else(PoisonError::into_inner);
    let heard = ear.heard.lock().unwrap_or_else(PoisonError::into_inner).clone();
    Ok((answer, heard))
}

/// What librdkafka calls back.
#[derive(Clone)]
struct Ear {
    config: Arc<KafkaConfig>,
    answer: Arc<Mutex<Option<RDKafkaErrorCode>>>,
    heard: Arc<Mutex<Option<String>>>,
    done: Arc<AtomicBool>,
}

impl Ear {
    fn answered(&self, code: RDKafkaErrorCode) {
        self.answer.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(code);
        self.done.store(true, Ordering::Relaxed);
    }
}

impl ProducerContext for Ear {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        self.answered(result.as_ref().map_or_else(|(error, _)| code_of(error), |_| RDKafkaErrorCode::NoError));
    }
}

impl ClientContext for Ear {
    fn log(&self, _: RDKafkaLogLevel, facility: &str, line: &str) {
        tracing::debug!(facility, "{}", plain(&self.config, line));
    }

    fn error(&self, error: KafkaError, reason: &str) {
        *self.heard.lock().unwrap_or_else(PoisonError::into_inner) = Some(plain(&self.config, reason));
        if code_of(&error) == RDKafkaErrorCode::ClusterAuthorizationFailed {
            self.answered(RDKafkaErrorCode::ClusterAuthorizationFailed);
        }
    }

    // Asked for where the question is whether there is a producer id.
    fn stats_raw(&self, statistics: &[u8]) {
        const ASSIGNED: &[u8] = b"\"idemp_state\":\"Assigned\"";
        let packed: Vec<u8> = statistics.iter().copied().filter(|byte| !byte.is_ascii_whitespace()).collect();
        if packed.windows(ASSIGNED.len()).any(|window| window == ASSIGNED) {
            self.answered(RDKafkaErrorCode::NoError);
        }
    }
}
