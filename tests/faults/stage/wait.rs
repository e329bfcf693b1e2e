//! What a row waits for: a condition, within a time that only a failure takes.

use std::time::{Duration, Instant};

use drivetap_tests::PATIENCE;
use tokio::time::sleep;

use super::{CALM, SOON, Stage};
use crate::sinks::{Kind, SinkUnderTest};

impl Stage {
    /// Waits until no walk is left over that looks again for what delta shows late: the last of them comes 2 s after the one before.
    pub(crate) async fn quiet(&self) {
        let begin = Instant::now();
        let (mut requests, mut since) = (self.graph().stats().requests, Instant::now());
        while since.elapsed() < 2 * SOON {
            assert!(begin.elapsed() < CALM, "Graph is asked without an end");
            sleep(Duration::from_millis(20)).await;
            let now = self.graph().stats().requests;
            if now != requests {
                (requests, since) = (now, Instant::now());
            }
        }
    }

    /// Waits until the program's session is there.
    pub(crate) async fn joined(&self) {
        if let Some(official) = &self.official {
            return official.joined().await;
        }
        let begin = Instant::now();
        while self.graph().stats().subscribers < self.setup.feeds.len() {
            assert!(begin.elapsed() < CALM, "it does not come back to its socket");
            sleep(Duration::from_millis(20)).await;
        }
    }

    /// Waits until a consumer is in the middle of an enumeration.
    pub(crate) async fn some_of_an_enumeration(&mut self) {
        let begin = Instant::now();
        let feeds = self.setup.feeds.clone();
        while !self.sinks.iter().any(|sink| feeds.iter().any(|feed| sink.consumer.is_enumerating(feed))) {
            assert!(begin.elapsed() < CALM, "no enumeration begins");
            sleep(Duration::from_millis(20)).await;
            self.missing().await;
        }
    }

    /// An enumeration was told, from its start to its end, at every sink.
    pub(crate) async fn resynced(&mut self) {
        let begin = Instant::now();
        while self.sinks.iter().any(|sink| sink.consumer.resyncs == 0) {
            assert!(begin.elapsed() < CALM, "no enumeration was told");
            sleep(Duration::from_millis(100)).await;
            self.missing().await;
        }
    }

    /// A live sink that has lost something hears of it when it is back.
    pub(crate) async fn loss_is_told(&mut self, kind: Kind) {
        let begin = Instant::now();
        loop {
            let missing = self.missing().await;
            let told = |sink: &SinkUnderTest| sink.kind != kind || sink.consumer.overflows > 0;
            if self.sinks.iter().all(told) {
                return;
            }
            assert!(begin.elapsed() < CALM, "{missing:?} are missing, and no gap tells the live sink");
            sleep(Duration::from_millis(100)).await;
        }
    }

    /// Reads on until what the program counted as delivered is here: the end of it may be on its way from the server to us.
    pub(super) async fn last_of_it(&mut self) -> Vec<(Kind, usize)> {
        let begin = Instant::now();
        loop {
            let missing = self.missing().await;
            let ended = &self.lives.last().expect("it ended in order").ended;
            let counts = |sink: &SinkUnderTest| ended.counts(&format!("sink {}", sink.kind)).unwrap_or_default();
            let is_here = |sink| counts(sink).get("delivered").is_none_or(|delivered| *delivered <= sink.consumer.events);
            if self.sinks.iter().all(is_here) || begin.elapsed() > PATIENCE {
                return missing;
            }
            sleep(Duration::from_millis(20)).await;
        }
    }
}
