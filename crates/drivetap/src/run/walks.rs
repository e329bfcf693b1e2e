//! Tells how far long walks are: a first one of everything that is there, a resync, or whatever else takes its time.

use std::collections::HashMap;
use std::convert::Infallible;
use std::time::{Duration, Instant};

use drivetap_bridge::core::FeedId;
use drivetap_bridge::{FeedStatus, Handle};
use tracing::info;

use crate::progress::{EVERY, Progress};

/// Looks for as long as it is polled. `moves`: as for [`Progress`].
pub(super) async fn watch(handle: &Handle, moves: bool) -> Infallible {
    /// A line that moves looks alive; and a walk that ends within one look was none worth telling.
    const LOOK: Duration = Duration::from_millis(500);

    let mut walks: HashMap<FeedId, Walk> = HashMap::new();
    let mut looks = tokio::time::interval(LOOK);
    loop {
        looks.tick().await;
        let status = handle.status();
        walks.retain(|id, _| status.feeds.iter().any(|feed| feed.feed == *id && feed.status.walking));
        for feed in status.feeds.iter().filter(|feed| feed.status.walking) {
            walks.entry(feed.feed.clone()).or_insert_with(|| Walk::new(feed)).look(feed, moves);
        }
    }
}

/// A walk that is under way.
struct Walk {
    kind: &'static str,
    begun: Instant,
    told: Instant,
    /// The feed's numbers when it began: one an item.
    from: u64,
    line: Option<Progress>,
}

impl Walk {
    fn new(feed: &FeedStatus) -> Self {
        let kind = match feed.status.last_walk {
            None if feed.status.generation == 0 => "the first walk",
            None => "a resync",
            Some(_) => "a walk",
        };
        Self { kind, begun: Instant::now(), told: Instant::now(), from: feed.status.sequence, line: None }
    }

    fn look(&mut self, feed: &FeedStatus, moves: bool) {
        /// What is over sooner needs no line.
        const LONG: Duration = Duration::from_secs(2);

        let items = feed.status.sequence.saturating_sub(self.from);
        let elapsed = self.begun.elapsed();
        if moves {
            if elapsed >= LONG {
                let what = || format!("{} of {}", self.kind, feed.feed);
                self.line.get_or_insert_with(|| Progress::new(true)).tell(items, what);
            }
        } else if self.told.elapsed() >= EVERY {
            self.told = Instant::now();
            let seconds = elapsed.as_secs().max(1);
            let reason = feed.status.problem.as_deref().unwrap_or("there is much to see");
            info!(feed = %feed.feed, items, items_a_second = items / seconds, seconds, reason, "{} is under way", self.kind);
        }
    }
}
