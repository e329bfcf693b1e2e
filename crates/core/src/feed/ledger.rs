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
        } else if let Some(Pending { batch: None, after: After::Place(last) }) = self.pending.back_mut() {
            // Both wait for the same batch, so the earlier one is never stood at. Kept, they would be without a number: nothing of them is
            // in a sink's window.
            **last = place;
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

#[cfg(test)]
mod tests {
    use super::super::record::Record;
    use super::*;

    #[test]
    fn steps_that_publish_nothing_take_the_room_of_one_however_long_a_sink_is_away() {
        let mut place = Record::new(1, Timestamp::UNIX_EPOCH).place;
        let mut ledger = Ledger::new(place.clone());
        let mut step = |ledger: &mut Ledger| {
            place.walk += 1;
            ledger.step_to(place.clone());
            place.clone()
        };
        let begun = step(&mut ledger);
        let first = ledger.publish(begun);
        let between = (0..10_000).map(|_| step(&mut ledger)).last().unwrap();
        let second = ledger.publish(between.clone());
        let last = (0..10_000).map(|_| step(&mut ledger)).last().unwrap();
        assert_eq!(ledger.pending.len(), 4);
        ledger.acknowledge(first);
        assert_eq!(*ledger.acknowledged(), between);
        ledger.acknowledge(second);
        assert_eq!(*ledger.acknowledged(), last);
        assert!(ledger.is_settled());
    }
}
