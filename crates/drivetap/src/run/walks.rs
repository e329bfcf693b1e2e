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
    // As each feed stood before its walk: one that forgets its cursor enumerates under another generation.
    let mut generations: HashMap<FeedId, u64> = HashMap::new();
    let mut looks = tokio::time::interval(LOOK);
    loop {
        looks.tick().await;
        let status = handle.status();
        walks.retain(|id, _| status.feeds.iter().any(|feed| feed.feed == *id && feed.status.walking));
        for feed in status.feeds.iter().filter(|feed| feed.status.walking) {
            let before = generations.get(&feed.feed).copied();
            walks.entry(feed.feed.clone()).or_insert_with(|| Walk::new(feed)).look(feed, before, moves);
        }
        for feed in status.feeds.iter().filter(|feed| !feed.status.walking) {
            generations.insert(feed.feed.clone(), feed.status.generation);
        }
    }
}

/// A walk that is under way.
struct Walk {
    begun: Instant,
    told: Instant,
    /// The feed's numbers when it began: one an item.
    from: u64,
    line: Option<Progress>,
}

impl Walk {
    fn new(feed: &FeedStatus) -> Self {
        Self { begun: Instant::now(), told: Instant::now(), from: feed.status.sequence, line: None }
    }

    fn look(&mut self, feed: &FeedStatus, generation_before: Option<u64>, moves: bool) {
        /// What is over sooner needs no line.
        const LONG: Duration = Duration::from_secs(2);

        let items = feed.status.sequence.saturating_sub(self.from);
        let elapsed = self.begun.elapsed();
        let kind = kind(feed.status.last_walk.is_some(), feed.status.generation, generation_before);
        if moves {
            if elapsed >= LONG {
                let what = || format!("{kind} of {}", feed.feed);
                self.line.get_or_insert_with(|| Progress::new(true)).tell(items, what);
            }
        } else if self.told.elapsed() >= EVERY {
            self.told = Instant::now();
            let seconds = elapsed.as_secs().max(1);
            let reason = feed.status.problem.as_deref().unwrap_or("there is much to see");
            info!(feed = %feed.feed, items, items_a_second = items / seconds, seconds, reason, "{kind} is under way");
        }
    }
}

/// `before`: the generation when the walk began, where the feed was seen then.
fn kind(has_walked: bool, generation: u64, before: Option<u64>) -> &'static str {
    match before {
        Some(before) if generation > before => "a resync",
        _ if has_walked => "a walk",
        _ if generation == 0 => "the first walk",
        _ => "a resync",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_walk_is_named_for_why_it_takes_its_time() {
        for (has_walked, generation, before, want) in [
            (false, 0, None, "the first walk"),
            (false, 0, Some(0), "the first walk"),
            (true, 0, Some(0), "a walk"),
            (true, 3, None, "a walk"),
            // Graph forgot the cursor in the middle of it.
            (true, 1, Some(0), "a resync"),
            (false, 1, Some(0), "a resync"),
            // After a restart in the middle of one.
            (false, 2, None, "a resync"),
        ] {
            assert_eq!(kind(has_walked, generation, before), want, "{has_walked} {generation} {before:?}");
        }
    }
}
