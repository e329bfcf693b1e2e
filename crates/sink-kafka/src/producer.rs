use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::{KafkaError, KafkaResult};
use rdkafka::metadata::Metadata;
use rdkafka::producer::{DeliveryResult, Producer as _, ProducerContext, PurgeConfig, ThreadedProducer};
use rdkafka::types::RDKafkaErrorCode;
use rdkafka::util::Timeout;
use rdkafka::{ClientConfig, ClientContext, Message};

use crate::KafkaConfig;
use crate::ledger::Ledger;
use crate::record::Record;
use crate::tls::shows_certificate;
use crate::verdict::{Refusal, missing};

/// librdkafka's producer, its reports going into a [`Ledger`].
///
/// Opening and dropping it blocks the thread, by hundreds of milliseconds and more.
pub(crate) struct Producer {
    native: ThreadedProducer<Watcher>,
    topic: String,
}

impl Producer {
    /// Starts librdkafka and asks the cluster for the topic: one attempt within `connect_timeout`. Blocks. Ends early once `abandoned`.
    pub(crate) fn open(config: &Arc<KafkaConfig>, client: &ClientConfig, abandoned: &AtomicBool) -> Result<Self, Refusal> {
        let ledger = Ledger::new(config.request().is_none());
        let watcher = Watcher { config: Arc::clone(config), ledger, trouble: Mutex::default() };
        let native: ThreadedProducer<Watcher> = client.create_with_context(watcher).map_err(|error| {
            let words = match error {
                KafkaError::ClientCreation(words) => words,
                other => other.to_string(),
            };
            Refusal::Config(format!("librdkafka: {}", plain(config, &words)))
        })?;
        let producer = Self { native, topic: config.topic.clone() };
        producer.find_topic(config, abandoned)?;
        Ok(producer)
    }

    /// Hands a record over; its report names `index`. Never blocks.
    pub(crate) fn send(&self, record: Record<'_>, index: usize) -> Result<(), RDKafkaErrorCode> {
        record.hand_over(&self.topic, index, |record| self.native.send(record).map_err(|(error, _)| code_of(&error)))
    }

    pub(crate) fn ledger(&self) -> &Ledger {
        &self.watcher().ledger
    }

    /// Has everything that is not acknowledged reported as failed, very soon. What was sent may be stored all the same.
    pub(crate) fn purge(&self) {
        self.native.purge(PurgeConfig::default().queue().inflight());
    }

    /// Why the producer can never be used again, if that is so.
    pub(crate) fn fatal(&self) -> Option<(RDKafkaErrorCode, String)> {
        self.native.client().fatal_error().map(|(code, words)| (code, plain(&self.watcher().config, &words)))
    }

    /// The most telling error since [`forget_trouble`](Self::forget_trouble).
    pub(crate) fn trouble(&self) -> Option<String> {
        self.watcher().trouble().as_ref().map(|trouble| trouble.words.clone())
    }

    pub(crate) fn forget_trouble(&self) {
        *self.watcher().trouble() = None;
    }

    /// Flushes, then lets go. Blocks.
    pub(crate) fn close(self, within: Duration) {
        if let Err(error) = self.native.flush(within) {
            tracing::warn!(reason = %error, "records were still in flight when the Kafka sink closed");
        }
    }

    fn find_topic(&self, config: &KafkaConfig, abandoned: &AtomicBool) -> Result<(), Refusal> {
        let servers = &config.bootstrap_servers;
        let deadline = Instant::now() + config.connect_timeout;
        let mut patience = Duration::from_millis(250);
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let metadata = self.native.client().fetch_metadata(Some(&self.topic), Timeout::After(left.min(patience)));
            let answer = answer_about(&self.topic, &metadata);
            let Err(code) = answer else { return Ok(()) };
            if let Some(what) = missing(config, code) {
                return Err(Refusal::Missing(what));
            }
            let trouble = self.watcher().trouble();
            if left.is_zero() || abandoned.load(Ordering::Relaxed) || trouble.as_ref().is_some_and(Trouble::will_stay) {
                return Err(Refusal::Trouble(match trouble.as_ref() {
                    Some(trouble) => format!("{}: {}", trouble.headline(config), trouble.words),
                    None => format!("Kafka at {servers} does not answer: {code}"),
                }));
            }
            patience = (patience * 2).min(PATIENCE);
        }
    }

    fn watcher(&self) -> &Watcher {
        self.native.client().context()
    }
}

// The longest that one request for metadata waits before we look whether waiting makes sense.
const PATIENCE: Duration = Duration::from_secs(2);

/// What the cluster says about a topic.
pub(crate) fn answer_about(topic: &str, metadata: &KafkaResult<Metadata>) -> Result<(), RDKafkaErrorCode> {
    let metadata = metadata.as_ref().map_err(code_of)?;
    let topic = metadata.topics().iter().find(|described| described.name() == topic);
    match topic.map(|topic| (topic.error(), topic.partitions().is_empty())) {
        Some((None, false)) => Ok(()),
        Some((Some(error), _)) => Err(error.into()),
        Some((None, true)) | None => Err(RDKafkaErrorCode::UnknownTopicOrPartition),
    }
}

/// What librdkafka calls back: reports, errors, log lines. Runs on the producer's own thread.
struct Watcher {
    config: Arc<KafkaConfig>,
    ledger: Ledger,
    trouble: Mutex<Option<Trouble>>,
}

/// What librdkafka complained of.
pub(crate) struct Trouble {
    code: RDKafkaErrorCode,
    pub(crate) words: String,
}

impl Trouble {
    /// Takes the place of what says less.
    pub(crate) fn keep(kept: &mut Option<Self>, code: RDKafkaErrorCode, words: String) {
        if kept.as_ref().is_none_or(|known| weight(code) >= weight(known.code)) {
            *kept = Some(Self { code, words });
        }
    }

    /// Whether a few seconds of patience change nothing.
    pub(crate) fn will_stay(&self) -> bool {
        weight(self.code) == 3 || self.is_about_client_certificate()
    }

    /// librdkafka has no code for what a broker says of the client's certificate: in TLS 1.3 that comes when the handshake is over. Java
    /// calls one that is missing bad.
    fn is_about_client_certificate(&self) -> bool {
        let alerts = ["bad certificate", "certificate", "unsupported certificate", "unknown ca", "access denied"];
        alerts.iter().any(|alert| self.words.contains(&format!("alert {alert}")))
    }

    pub(crate) fn headline(&self, config: &KafkaConfig) -> String {
        let servers = &config.bootstrap_servers;
        if self.is_about_client_certificate() {
            return if shows_certificate(config) {
                format!("Kafka at {servers} refuses the client certificate (its authority or its dates)")
            } else {
                format!(
                    "Kafka at {servers} asks for a client certificate, and none is configured (ssl.certificate.location, \
                     ssl.key.location)"
                )
            };
        }
        match self.code {
            RDKafkaErrorCode::SSL if self.words.contains("certificate verify failed") => {
                format!("the certificate of Kafka at {servers} is not trusted (its authority, its host name or its dates)")
            }
            RDKafkaErrorCode::SSL => format!("no TLS with Kafka at {servers}"),
            RDKafkaErrorCode::Authentication | RDKafkaErrorCode::SaslAuthenticationFailed => {
                format!("Kafka at {servers} refuses the sign-in")
            }
            RDKafkaErrorCode::UnsupportedSASLMechanism => format!("Kafka at {servers} has no such way to sign in"),
            _ => format!("Kafka at {servers} is not reachable"),
        }
    }
}

impl Watcher {
    fn trouble(&self) -> MutexGuard<'_, Option<Trouble>> {
        self.trouble.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ProducerContext for Watcher {
    type DeliveryOpaque = usize;

    fn delivery(&self, result: &DeliveryResult<'_>, index: usize) {
        let stored = result.as_ref().map(Message::partition);
        self.ledger.settle(index, stored.map_err(|(error, _)| code_of(error)));
    }
}

impl ClientContext for Watcher {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, line: &str) {
        let line = plain(&self.config, line);
        match level {
            // That it calls `enable.gapless.guarantee` experimental is no news, and nothing to act on.
            _ if facility == "CONFWARN" && line.contains("enable.gapless.guarantee") => {}
            // A connection that failed: `error` hears of it too, and the sink says it in its own words.
            _ if facility == "FAIL" => tracing::info!(target: LOG, facility, "{line}"),
            RDKafkaLogLevel::Emerg | RDKafkaLogLevel::Alert | RDKafkaLogLevel::Critical | RDKafkaLogLevel::Error => {
                tracing::error!(target: LOG, facility, reason = line, "librdkafka met an error");
            }
            RDKafkaLogLevel::Warning => tracing::warn!(target: LOG, facility, reason = line, "librdkafka warns"),
            RDKafkaLogLevel::Notice | RDKafkaLogLevel::Info => tracing::info!(target: LOG, facility, "{line}"),
            RDKafkaLogLevel::Debug => tracing::debug!(target: LOG, facility, "{line}"),
        }
    }

    // Comes twice for each error (rdkafka 0.39), and for `AllBrokersDown` while a connection is still being made: so nothing is
    // counted or reported here, only the most telling words are kept. librdkafka's log has a line for each.
    fn error(&self, error: KafkaError, reason: &str) {
        let code = code_of(&error);
        if code == RDKafkaErrorCode::Fatal {
            self.ledger.doom();
        }
        Trouble::keep(&mut self.trouble(), code, plain(&self.config, reason));
    }

    // Asked for by `statistics.interval.ms` only, and nobody reads it.
    fn stats_raw(&self, _: &[u8]) {}
}

pub(crate) const LOG: &str = "drivetap_sink_kafka::librdkafka";

// How much an error says about what is wrong: an address that does not answer says less than a password that is refused.
fn weight(code: RDKafkaErrorCode) -> u8 {
    match code {
        RDKafkaErrorCode::Authentication
        | RDKafkaErrorCode::SaslAuthenticationFailed
        | RDKafkaErrorCode::UnsupportedSASLMechanism
        | RDKafkaErrorCode::SSL
        | RDKafkaErrorCode::Fatal => 3,
        RDKafkaErrorCode::Resolve => 2,
        RDKafkaErrorCode::AllBrokersDown => 0,
        _ => 1,
    }
}

pub(crate) fn code_of(error: &KafkaError) -> RDKafkaErrorCode {
    error.rdkafka_error_code().unwrap_or(RDKafkaErrorCode::Fail)
}

// librdkafka's texts quote what a broker sent and what was configured: one line of them, of bounded length, without control characters
// and without secrets.
pub(crate) fn plain(config: &KafkaConfig, text: &str) -> String {
    config.redact(text).trim().chars().take(1_000).map(|c| if c.is_control() { ' ' } else { c }).collect()
}

/// An attempt to open a producer, on a thread that may block.
pub(crate) struct Attempt {
    pub(crate) handle: tokio::task::JoinHandle<Result<Producer, Refusal>>,
    abandoned: Arc<AtomicBool>,
}

impl Attempt {
    pub(crate) fn start(config: Arc<KafkaConfig>, client: ClientConfig) -> Self {
        let abandoned = Arc::new(AtomicBool::new(false));
        let flag = Arc::clone(&abandoned);
        Self { handle: tokio::task::spawn_blocking(move || Producer::open(&config, &client, &flag)), abandoned }
    }

    /// Nobody waits for it any more: it ends within [`PATIENCE`].
    pub(crate) fn abandon(&self) {
        self.abandoned.store(true, Ordering::Relaxed);
    }
}

impl Drop for Attempt {
    fn drop(&mut self) {
        self.abandon();
    }
}
