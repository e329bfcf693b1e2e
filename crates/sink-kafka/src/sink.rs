use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use drivetap_core::Event;
use drivetap_sink::{NotReady, Outcome, Sink};

use crate::record::Record;
use crate::writer::Writer;
use crate::{InvalidConfig, KafkaConfig};

/// Publishes events to one Kafka topic. Needs a tokio runtime.
///
/// Once librdkafka has all of a batch, [`publish`](Sink::publish) answers [`Stop::Underway`](drivetap_sink::Stop::Underway) and waits for no
/// acknowledgement. "Acknowledged" is Kafka's `acks`: by default every in-sync replica has the record. A missing topic or permission is a
/// [`Stop::Hold`](drivetap_sink::Stop::Hold) (at [`connect`](Sink::connect) a [`NotReady::Later`]) that names the command which makes
/// it; a record that Kafka refuses for its size or content is a [`Stop::Reject`](drivetap_sink::Stop::Reject) with Kafka's code;
/// everything else is a [`Stop::Reconnect`](drivetap_sink::Stop::Reconnect). [`publish`](Sink::publish) makes one attempt to connect by
/// itself where the last producer had to be given up, so that it may follow a `Hold` or a `Reject` directly.
///
/// [`close`](Sink::close) it: dropped, it blocks the thread for a moment while librdkafka ends its own.
pub struct KafkaSink {
    writer: Writer,
}

impl KafkaSink {
    /// Checks the configuration; touches no network.
    ///
    /// # Errors
    /// Names the key or the field that is wrong. What is wrong only in combination shows at `connect`, as [`NotReady::Never`].
    pub fn new(config: KafkaConfig) -> Result<Self, InvalidConfig> {
        Ok(Self { writer: Writer::new(config)? })
    }
}

#[async_trait]
impl Sink for KafkaSink {
    async fn connect(&mut self) -> Result<(), NotReady> {
        Ok(self.writer.connect().await?)
    }

    async fn publish(&mut self, batch: &[Arc<Event>]) -> Outcome {
        let mode = self.writer.config().mode;
        self.writer.publish(batch, |event| event.id(), |event| Record::new(event, mode)).await
    }

    async fn close(self: Box<Self>, within: Duration) {
        self.writer.close(within).await;
    }
}
