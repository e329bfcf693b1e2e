use std::sync::Arc;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::Feed;
use super::input::{Action, BatchId};
use crate::event::{Event, GapData, Sequence};
use crate::time::Now;

/// What a live sink lost of a feed's numbered events, because it stayed full. The sink hears of it by a gap event when it is back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Loss {
    /// The sink's name.
    pub sink: String,
    /// When the first of them was received. The gap event's id is made over it, so it names the loss.
    pub from: Timestamp,
    /// The first one's number.
    pub first: u64,
    /// The last one's.
    pub last: u64,
}

impl Loss {
    /// What the gap event says, where the sink is back at `to`.
    pub(super) fn gap(&self, to: Timestamp) -> GapData {
        GapData::overflow(self.from, to.max(self.from), Sequence(self.first)..=Sequence(self.last))
    }
}

/// The losses that their sinks have not heard of yet.
///
/// A loss is saved with the cursor that moves past it, never after it: no crash in between hides it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Losses(Vec<Loss>);

impl Losses {
    /// Of one sink. More come about only while the gap events of earlier ones are on their way.
    const MOST: usize = 4;

    /// Whether every sink knows of everything.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The losses, oldest first.
    pub fn iter(&self) -> impl Iterator<Item = &Loss> {
        self.0.iter()
    }

    /// A sink lost something, or more of what it was losing.
    pub(super) fn note(&mut self, mut loss: Loss) {
        if let Some(known) = self.0.iter_mut().find(|known| known.sink == loss.sink && known.from == loss.from) {
            *known = loss;
            return;
        }
        if self.0.iter().filter(|known| known.sink == loss.sink).count() >= Self::MOST
            && let Some(newest) = self.0.iter().rposition(|known| known.sink == loss.sink)
        {
            // One event then tells of both.
            loss.first = loss.first.min(self.0.remove(newest).first);
        }
        self.0.push(loss);
    }

    /// The sink knows of the loss that began then. False where that was known already.
    pub(super) fn told(&mut self, sink: &str, from: Timestamp) -> bool {
        let before = self.0.len();
        self.0.retain(|loss| loss.sink != sink || loss.from != from);
        self.0.len() < before
    }
}

impl Feed {
    pub(super) fn on_queued(&mut self, batch: BatchId, lost: Vec<Loss>) {
        self.commit.dirty |= !lost.is_empty();
        lost.into_iter().for_each(|loss| self.losses.note(loss));
        self.queued = self.queued.max(batch);
        self.acknowledge();
    }

    pub(super) fn on_acked(&mut self, through: BatchId) {
        self.acked = self.acked.max(through);
        self.acknowledge();
    }

    /// What a live sink is still waited for may be lost to it: until that is known, the cursor does not move past it.
    fn acknowledge(&mut self) {
        for from in self.ledger.acknowledge(self.acked.min(self.queued)) {
            self.commit.dirty |= self.gaps.acknowledge(from);
        }
    }

    /// What an earlier process did not get told.
    pub(super) fn tell_losses(&mut self, now: Now) {
        let subscriptions = &self.settings.subscriptions;
        let Some(subscription) = subscriptions.iter().find(|s| s.emit.changes).or(subscriptions.first()) else {
            return;
        };
        let resource = subscription.resource.to_string().into();
        for loss in self.losses.iter() {
            let event = Arc::new(Event::gap(&self.origin, &resource, &loss.gap(now.wall), now.wall));
            self.io.out.push_back(Action::TellLoss { sink: loss.sink.clone(), from: loss.from, event });
        }
    }
}
