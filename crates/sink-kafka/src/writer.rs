use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use drivetap_sink::{Outcome, Stop};
use rdkafka::ClientConfig;
use rdkafka::types::RDKafkaErrorCode;
use tokio::task::{JoinHandle, spawn_blocking, yield_now};
use tokio::time::timeout;

use crate::ledger::{Lane, Load, Standing};
use crate::parcel::Parcel;
use crate::producer::{Attempt, Producer};
use crate::record::Record;
use crate::verdict::{Refusal, content_fault, missing};
use crate::{InvalidConfig, KafkaConfig};

/// Brings records to one topic, in order, through one producer at a time: what the sink and its dead letters share.
///
/// It answers when all of a batch is handed over, and knows that again when it is offered with more behind it.
///
/// A producer that stalls (no broker answers) keeps its records and goes on trying while the same batch is offered again: it alone can
/// send a record twice without harm, because the broker knows its sequence numbers. A request of a producer that was given up may still
/// be on its way, in a frozen broker or a network, and arrive behind what its successor sent.
pub(crate) struct Writer {
    config: Arc<KafkaConfig>,
    client: ClientConfig,
    producer: Option<Producer>,
    stall: Option<Stall>,
    // An attempt outlives a `connect` that was dropped: the next one takes it over.
    attempt: Option<Attempt>,
    // Producers that were given up, ending on threads of their own. No new one is made before they ended.
    retiring: Vec<JoinHandle<()>>,
    // How many of the next records go one by one.
    suspects: usize,
    // What of one partition is handed over before all of it is acknowledged; `None` for any number.
    request: Option<Load>,
    // The keys of which this producer has stored a record, and where.
    known_keys: HashMap<String, Lane>,
    // The key of the record that went alone, until it is acknowledged.
    alone: Option<String>,
}

// What the producer was left with when it stalled.
struct Stall {
    // How many of its records had no report.
    waiting: usize,
    // A producer that found the cluster while the old one still waited.
    successor: Option<Producer>,
}

impl Writer {
    pub(crate) fn new(config: KafkaConfig) -> Result<Self, InvalidConfig> {
        let client = config.client()?;
        let (config, retiring) = (Arc::new(config), Vec::new());
        Ok(Self {
            request: config.request(),
            config,
            client,
            producer: None,
            stall: None,
            attempt: None,
            retiring,
            suspects: 0,
            known_keys: HashMap::new(),
            alone: None,
        })
    }

    pub(crate) fn config(&self) -> &KafkaConfig {
        &self.config
    }

    /// A new producer, unless the last one stalled and comes back to life. **Cancel safe.**
    pub(crate) async fn connect(&mut self) -> Result<(), Refusal> {
        if self.stall.is_some() && self.producer.is_some() {
            return self.revive().await;
        }
        self.disconnect();
        self.producer = Some(self.open().await?);
        Ok(())
    }

    /// Whether a producer keeps records that nobody answered for; `connect` waits for it.
    pub(crate) fn is_stalled(&self) -> bool {
        self.stall.is_some()
    }

    /// Lets the producer go; what it has not delivered is lost.
    pub(crate) fn disconnect(&mut self) {
        let successor = self.stall.take().and_then(|stall| stall.successor);
        for old in self.producer.take().into_iter().chain(successor) {
            self.retire(old);
        }
    }

    /// Offers `batch`, each as the `record` of it, and says how much of it is durable and what is under way. What is under way from
    /// before is known by its `id`. Makes an attempt to connect by itself where there is no producer. Dropped, it leaves no producer
    /// behind.
    pub(crate) async fn publish<'a, T: Sync>(
        &mut self,
        batch: &'a [T],
        id: impl Fn(&'a T) -> &'a str,
        record: impl Fn(&'a T) -> Record<'a> + Send + Sync,
    ) -> Outcome {
        if batch.is_empty() {
            return Outcome::all(0);
        }
        if self.producer.as_ref().is_some_and(|producer| !producer.ledger().is_front_of(batch.iter().map(id))) {
            self.disconnect();
        }
        let producer = match self.producer.take() {
            Some(producer) => producer,
            None => match self.open().await {
                Ok(producer) => producer,
                Err(refusal) => return Outcome::stopped(0, refusal.into()),
            },
        };
        let outcome = match self.offer(&producer, batch, &record).await {
            Ok(()) => self.underway(producer),
            Err(Halt::Stalled) => self.stalled(producer),
            Err(halt) => self.halted(halt, producer).await,
        };
        // The last reports can come while the producer is being purged.
        if outcome.acked == batch.len() { Outcome::all(outcome.acked) } else { outcome }
    }

    /// Flushes what is in flight and lets go, within `within`.
    pub(crate) async fn close(mut self, within: Duration) {
        let closing = async {
            if let Some(mut attempt) = self.attempt.take() {
                attempt.abandon();
                if let Ok(Ok(producer)) = (&mut attempt.handle).await {
                    self.retire(producer);
                }
            }
            if let Some(successor) = self.stall.take().and_then(|stall| stall.successor) {
                self.retire(successor);
            }
            for retiring in self.retiring.drain(..) {
                ended(retiring.await);
            }
            if let Some(producer) = self.producer.take() {
                ended(spawn_blocking(move || producer.close(within)).await);
            }
        };
        if timeout(within, closing).await.is_err() {
            tracing::warn!(reason = "the time to close is over", "librdkafka is still ending its threads");
        }
    }
}

// Why an offer ended early.
enum Halt {
    // librdkafka did not take the next record; all records before it are stored.
    NotTaken(RDKafkaErrorCode),
    // A record failed, or the producer as a whole.
    Failed,
    // No report came for `delivery_timeout`.
    Stalled,
}

impl Writer {
    /// Waits for the producer that stalled. It is given up only when the cluster answered another one and it moved nothing all the same.
    async fn revive(&mut self) -> Result<(), Refusal> {
        let (Some(producer), Some(stall)) = (&self.producer, &self.stall) else { return Ok(()) };
        let ledger = producer.ledger();
        let moved = || {
            // A failure is for `publish` to judge.
            let now = ledger.standing();
            now.waiting < stall.waiting || now.failure.is_some()
        };
        let told = async {
            while !moved() {
                ledger.changed().await;
            }
        };
        // The ledger does not tell of every report.
        if timeout(self.config.connect_timeout, told).await.is_ok() || moved() {
            return Ok(());
        }
        if stall.successor.is_none() {
            let successor = self.open().await?;
            if let Some(stall) = &mut self.stall {
                stall.successor = Some(successor);
            }
            return Ok(());
        }
        tracing::warn!(reason = "the cluster answers, but nothing is delivered", "librdkafka is started anew");
        let successor = self.stall.take().and_then(|stall| stall.successor);
        self.disconnect();
        self.forget_keys();
        self.producer = successor;
        Ok(())
    }

    /// One attempt, or the rest of the one that a dropped `connect` left.
    async fn open(&mut self) -> Result<Producer, Refusal> {
        while let Some(retiring) = self.retiring.last_mut() {
            match timeout(self.config.connect_timeout, retiring).await {
                Ok(result) => ended(result),
                Err(_) => return Err(Refusal::Trouble("the last producer is still ending its threads".to_owned())),
            }
            self.retiring.pop();
        }
        self.forget_keys();
        let start = || Attempt::start(Arc::clone(&self.config), self.client.clone());
        let attempt = self.attempt.get_or_insert_with(start);
        let result = (&mut attempt.handle).await;
        self.attempt = None;
        result.unwrap_or_else(|error| Err(Refusal::Trouble(format!("librdkafka did not start: {error}"))))
    }

    /// Hands the batch over within the window, parcel by parcel. What the ledger keeps is its front and was handed over before; where that
    /// is all of it, waits for the reports of half of what has none.
    ///
    /// The first record of a key goes alone: from a producer that it does not know a broker takes any sequence number, so the ones behind a
    /// refused first record would be stored.
    async fn offer<'a, T: Sync>(
        &mut self,
        producer: &Producer,
        batch: &'a [T],
        record: &(impl Fn(&'a T) -> Record<'a> + Send + Sync),
    ) -> Result<(), Halt> {
        producer.forget_trouble();
        let ledger = producer.ledger();
        let mut rest = ledger.sent();
        if rest == batch.len() {
            let half = ledger.standing().waiting / 2;
            return self.until(producer, |now| now.waiting <= half).await;
        }
        while rest < batch.len() {
            // A long batch is no reason to keep others from this thread.
            yield_now().await;
            if let Some(key) = &self.alone {
                self.until(producer, |now| now.waiting == 0).await?;
                self.known_keys.insert(key.clone(), ledger.last_lane());
                self.alone = None;
            }
            // Packed while the one before it is on its way.
            let parcel = self.pack(batch, rest, record);
            // A record larger than the window goes when it is the only one.
            self.until(producer, |now| now.waiting == 0 || self.has_room(producer, now, &parcel)).await?;
            rest += parcel.len();
            self.alone = parcel.key_alone().map(ToOwned::to_owned);
            let first = ledger.enter(parcel.entries());
            for (index, record) in (first..).zip(parcel.into_records()) {
                if let Err(code) = producer.send(record, index) {
                    ledger.strike_from(index);
                    // It never reached a broker, so the key is as unknown as before.
                    self.alone = None;
                    self.until(producer, |now| now.waiting == 0).await?;
                    return Err(Halt::NotTaken(code));
                }
            }
        }
        self.until(producer, |_| true).await
    }

    /// The records from `first` on that go together, at least one.
    fn pack<'a, T>(&self, batch: &'a [T], first: usize, record: &impl Fn(&'a T) -> Record<'a>) -> Parcel<'a> {
        let window = Load { records: self.config.in_flight_messages.get(), bytes: self.config.in_flight_bytes };
        let mut parcel = Parcel::default();
        for (nth, one) in batch.iter().enumerate().skip(first) {
            let record = record(one);
            let lane = self.known_keys.get(record.key()).copied();
            let alone = lane.is_none() || nth < self.suspects || !self.config.is_idempotent();
            let lane = lane.unwrap_or_default();
            if !parcel.is_empty() && (alone || !parcel.takes(lane, record.size(), self.request, window)) {
                break;
            }
            parcel.add(record, lane, alone);
            if alone {
                break;
            }
        }
        parcel
    }

    /// All of the batch is handed over.
    fn underway(&mut self, producer: Producer) -> Outcome {
        let acked = producer.ledger().stored_prefix();
        producer.ledger().acknowledge(acked);
        self.suspects = self.suspects.saturating_sub(acked);
        if acked > 0 {
            // What stalled before is over.
            self.disconnect();
        }
        self.producer = Some(producer);
        Outcome::stopped(acked, Stop::Underway)
    }

    /// The producer keeps what it has, and goes on trying.
    fn stalled(&mut self, producer: Producer) -> Outcome {
        let outcome = self.silence(&producer);
        let ledger = producer.ledger();
        ledger.acknowledge(outcome.acked);
        let mut successor = self.stall.take().and_then(|stall| stall.successor);
        // It is slow and not stuck: nobody takes its place yet.
        if outcome.acked > 0
            && let Some(successor) = successor.take()
        {
            self.retire(successor);
        }
        self.stall = Some(Stall { waiting: ledger.standing().waiting, successor });
        self.producer = Some(producer);
        outcome
    }

    /// Turns the end of an offer into an outcome. A producer of which anything failed is never used again.
    async fn halted(&mut self, halt: Halt, producer: Producer) -> Outcome {
        self.disconnect();
        match halt {
            // Nothing was sent of it: the producer is as good as before.
            Halt::NotTaken(code) if content_fault(code).is_some() => {
                let outcome = self.judge(&producer, code);
                producer.ledger().acknowledge(outcome.acked);
                self.producer = Some(producer);
                outcome
            }
            Halt::NotTaken(code) => {
                let outcome = self.judge(&producer, code);
                self.retire(producer);
                outcome
            }
            Halt::Failed | Halt::Stalled => {
                producer.purge();
                let settled = self.settle(&producer).await;
                let outcome = match producer.ledger().standing().failure {
                    Some(code) if settled => self.judge(&producer, code),
                    _ => self.silence(&producer),
                };
                self.retire(producer);
                outcome
            }
        }
    }

    /// Whether the window takes the parcel, and each of its partitions a request.
    fn has_room(&self, producer: &Producer, now: &Standing, parcel: &Parcel<'_>) -> bool {
        parcel.key_alone().is_none()
            && now.waiting + parcel.len() <= self.config.in_flight_messages.get()
            && now.waiting_bytes + parcel.bytes() <= self.config.in_flight_bytes
            && (self.request.is_none() || producer.ledger().is_idle(parcel.lanes()))
    }

    /// Waits for reports until `done`; `delivery_timeout` may pass without one.
    async fn until(&self, producer: &Producer, done: impl Fn(&Standing) -> bool + Send) -> Result<(), Halt> {
        loop {
            let now = producer.ledger().standing();
            if now.failure.is_some() {
                return Err(Halt::Failed);
            }
            if done(&now) {
                return Ok(());
            }
            let told = timeout(self.config.delivery_timeout, producer.ledger().changed()).await;
            if told.is_err() && producer.ledger().standing().waiting == now.waiting {
                return Err(Halt::Stalled);
            }
        }
    }

    /// After a purge: whether every record got its report.
    async fn settle(&self, producer: &Producer) -> bool {
        let ledger = producer.ledger();
        let settled = async {
            while ledger.standing().waiting > 0 {
                ledger.changed().await;
            }
        };
        timeout(PURGE_TIMEOUT, settled).await.is_ok()
    }

    /// What `code` means for the first record that is not stored.
    fn judge(&mut self, producer: &Producer, code: RDKafkaErrorCode) -> Outcome {
        let ledger = producer.ledger();
        let acked = ledger.stored_prefix();
        self.suspects = self.suspects.saturating_sub(acked);
        if let Some(code_word) = content_fault(code) {
            let refused = ledger.sent() - acked;
            if refused <= 1 {
                self.suspects = self.suspects.saturating_sub(1);
                let reason = format!("Kafka takes no such record in topic `{}`: {code}", self.config.topic);
                return Outcome::stopped(acked, Stop::Reject { code: code_word.to_owned(), reason });
            }
            self.suspects = ledger.suspects(code);
            let reason = format!("Kafka refused {} records together ({code_word}): they go one by one now", self.suspects);
            return Outcome::stopped(acked, Stop::Reconnect { reason });
        }
        let fatal = producer.fatal();
        let code = fatal.as_ref().filter(|_| code == RDKafkaErrorCode::Fatal).map_or(code, |(cause, _)| *cause);
        let stop = match missing(&self.config, code) {
            Some(what) => Stop::Hold { what },
            None => {
                let words = fatal.map(|(_, words)| words).or_else(|| producer.trouble()).unwrap_or_default();
                Stop::Reconnect { reason: format!("delivery to Kafka failed: {code} {words}") }
            }
        };
        Outcome::stopped(acked, stop)
    }

    fn silence(&mut self, producer: &Producer) -> Outcome {
        let ledger = producer.ledger();
        let acked = ledger.stored_prefix();
        self.suspects = self.suspects.saturating_sub(acked);
        let words = producer.trouble().unwrap_or_else(|| "the cluster gives no reason".to_owned());
        let reason = format!("Kafka acknowledged nothing for {:?}: {words}", self.config.delivery_timeout);
        Outcome::stopped(acked, Stop::Reconnect { reason })
    }

    /// The next producer has sent nothing yet.
    fn forget_keys(&mut self) {
        self.known_keys.clear();
        self.alone = None;
    }

    fn retire(&mut self, producer: Producer) {
        self.retiring.push(spawn_blocking(move || drop(producer)));
    }
}

// A purge is librdkafka's own bookkeeping and takes milliseconds.
const PURGE_TIMEOUT: Duration = Duration::from_secs(5);

fn ended(result: Result<(), tokio::task::JoinError>) {
    if let Err(error) = result {
        tracing::error!(reason = %error, "a thread that ended librdkafka did not end well");
    }
}
