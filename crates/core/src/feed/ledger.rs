use std::collections::VecDeque;

use jiff::Timestamp;

use super::input::BatchId;
use super::record::Place;

/// What was published and is not acknowledged yet, and what each acknowledgement makes true.
///
/// *Invariant:* `acknowledged` moves only over batches that every durable sink has, in the order of publication.
#[derive(Debug)]
pub(super) struct Ledger {
    acknowledged: Place,
    ahead: Place,
    pending: VecDeque<Pending>,
    last_batch: u64,
    moved: bool,
}

#[derive(Debug)]
struct Pending {
    /// `None` for a move of the place that published nothing: it waits only for what is in front of it.
    batch: Option<BatchId>,
    after: After,
}

#[derive(Debug)]
enum After {
    Place(Box<Place>),
    Gap(Timestamp),
}

impl Ledger {
    pub(super) fn new(place: Place) -> Self {
        Self { acknowledged: place.clone(), ahead: place, pending: VecDeque::new(), last_batch: 0, moved: false }
    }

    /// What a restart goes on from.
    pub(super) fn acknowledged(&self) -> &Place {
        &self.acknowledged
    }

    /// What will be true when all that is published is acknowledged.
    pub(super) fn ahead(&self) -> &Place {
        &self.ahead
    }

    /// Whether nothing waits for an acknowledgement.
    pub(super) fn is_settled(&self) -> bool {
        self.pending.is_empty()
    }

    /// A batch after which the feed stands at `place`.
    pub(super) fn publish(&mut self, place: Place) -> BatchId {
        let batch = self.next_batch();
        self.pending.push_back(Pending { batch: Some(batch), after: After::Place(Box::new(place.clone())) });
        self.ahead = place;
        batch
    }

    /// A batch with the gap event of the gap that starts at `from`.
    pub(super) fn publish_gap(&mut self, from: Timestamp) -> BatchId {
        let batch = self.next_batch();
        self.pending.push_back(Pending { batch: Some(batch), after: After::Gap(from) });
        batch
    }

    /// The feed stands at `place` without having published anything.
    pub(super) fn step_to(&mut self, place: Place) {
        self.ahead = place.clone();
        if self.pending.is_empty() {
            self.acknowledged = place;
            self.moved = true;
        } else {
            self.pending.push_back(Pending { batch: None, after: After::Place(Box::new(place)) });
        }
    }

    /// Whether the acknowledged place moved since this was last asked.
    pub(super) fn take_moved(&mut self) -> bool {
        std::mem::take(&mut self.moved)
    }

    /// Every batch up to `through` is acknowledged. Answers with the starts of the gaps that consumers know of now.
    pub(super) fn acknowledge(&mut self, through: BatchId) -> Vec<Timestamp> {
        let mut gaps = Vec::new();
        while let Some(pending) = self.pending.pop_front_if(|pending| pending.batch.is_none_or(|batch| batch <= through)) {
            match pending.after {
                After::Place(place) => {
                    self.acknowledged = *place;
                    self.moved = true;
                }
                After::Gap(from) => gaps.push(from),
            }
        }
        gaps
    }

    fn next_batch(&mut self) -> BatchId {
        self.last_batch += 1;
        BatchId(self.last_batch)
    }
}
