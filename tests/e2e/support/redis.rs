//! A channel of the real Redis, and who listens to it.

use futures_util::StreamExt as _;
use redis::aio::PubSub;
use tokio::time::timeout;

use super::{Event, PATIENCE, service};

/// `redis://…` of the shared server.
pub(crate) fn url() -> String {
    format!("redis://{}", service("/redis/plain"))
}

/// `[sink.NAME]` for a channel; more keys may follow.
pub(crate) fn sink(name: &str, channel: &str) -> String {
    format!("[sink.{name}]\ntype = \"redis\"\nurl = \"{}\"\nchannel = \"{channel}\"\n", url())
}

/// Publishes a message, and returns how many received it.
pub(crate) async fn publish(channel: &str, message: &str) -> u64 {
    let client = redis::Client::open(url()).unwrap();
    let mut connection = client.get_multiplexed_async_connection().await.unwrap();
    redis::cmd("PUBLISH").arg(channel).arg(message).query_async(&mut connection).await.unwrap()
}

/// Who listens.
pub(crate) struct Subscriber {
    pubsub: PubSub,
    pub(crate) heard: Vec<String>,
}

impl Subscriber {
    pub(crate) async fn on(channel: &str) -> Self {
        let mut pubsub = redis::Client::open(url()).unwrap().get_async_pubsub().await.unwrap();
        pubsub.subscribe(channel).await.unwrap();
        Self { pubsub, heard: Vec::new() }
    }

    /// Listens until the events are `enough`, and returns all of them.
    pub(crate) async fn events(&mut self, what: &str, enough: impl Fn(&[Event]) -> bool) -> Vec<Event> {
        let mut events: Vec<_> = self.heard.iter().map(|text| Event::parse(text)).collect();
        let mut messages = self.pubsub.on_message();
        while !enough(&events) {
            let Ok(message) = timeout(PATIENCE, messages.next()).await else {
                panic!("not heard in {} s: {what}: {events:#?}", PATIENCE.as_secs());
            };
            let message: String = message.unwrap().get_payload().unwrap();
            events.push(Event::parse(&message));
            self.heard.push(message);
        }
        events
    }
}
