use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use rdkafka::types::RDKafkaErrorCode;
use tokio::sync::Notify;

use crate::verdict::is_consequence;

/// What became of each record that is not acknowledged yet: written by librdkafka's reports, read by `publish`.
#[derive(Default)]
pub(crate) struct Ledger {
    pages: Mutex<Pages>,
    changed: Notify,
}

#[derive(Default)]
struct Pages {
    // The index of the first of them.
    first: usize,
    records: VecDeque<Entry>,
    waiting: usize,
    waiting_bytes: usize,
    // The same, lane by lane.
    lanes: Vec<Load>,
    failure: Option<RDKafkaErrorCode>,
}

struct Entry {
    size: usize,
    lane: Lane,
    fate: Fate,
}

/// The number of a key: records of one key share a partition.
pub(crate) type Lane = usize;

/// Records of a lane.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Load {
    pub(crate) records: usize,
    pub(crate) bytes: usize,
}

impl Load {
    /// One more, of so many bytes.
    pub(crate) fn add(&mut self, bytes: usize) {
        self.records += 1;
        self.bytes += bytes;
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Fate {
    Waiting,
    Stored,
    Failed(RDKafkaErrorCode),
}

/// The ledger at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Standing {
    /// Records that were handed over and have no report yet.
    pub(crate) waiting: usize,
    /// Their bytes.
    pub(crate) waiting_bytes: usize,
    /// The first failure that is not merely the consequence of another.
    pub(crate) failure: Option<RDKafkaErrorCode>,
}

impl Ledger {
    /// Enters a record of `size` bytes that is about to be handed over; returns its index.
    pub(crate) fn enter(&self, size: usize, lane: Lane) -> usize {
        let mut pages = self.pages();
        if pages.lanes.len() <= lane {
            pages.lanes.resize(lane + 1, Load::default());
        }
        pages.lanes[lane].add(size);
        pages.waiting += 1;
        pages.waiting_bytes += size;
        pages.records.push_back(Entry { size, lane, fate: Fate::Waiting });
        pages.first + pages.records.len() - 1
    }

    /// Strikes out the last record: librdkafka did not take it, so no report will come.
    pub(crate) fn strike_last(&self) {
        let mut pages = self.pages();
        if let Some(Entry { size, lane, fate: Fate::Waiting }) = pages.records.pop_back() {
            pages.leaves(size, lane);
        }
    }

    /// A report came.
    pub(crate) fn settle(&self, index: usize, outcome: Result<(), RDKafkaErrorCode>) {
        let mut pages = self.pages();
        let Some(nth) = index.checked_sub(pages.first) else { return };
        let Some(entry) = pages.records.get_mut(nth).filter(|entry| entry.fate == Fate::Waiting) else { return };
        entry.fate = outcome.map_or_else(Fate::Failed, |()| Fate::Stored);
        let (size, lane) = (entry.size, entry.lane);
        pages.leaves(size, lane);
        if let Err(code) = outcome {
            pages.blame(code);
        }
        drop(pages);
        self.changed.notify_one();
    }

    /// The producer is done for, whatever becomes of the records.
    pub(crate) fn doom(&self) {
        self.pages().blame(RDKafkaErrorCode::Fatal);
        self.changed.notify_one();
    }

    /// The first `n` records, all of them stored, are told of as durable: they are forgotten.
    pub(crate) fn acknowledge(&self, n: usize) {
        let mut pages = self.pages();
        let n = n.min(pages.records.len());
        pages.records.drain(..n);
        pages.first += n;
    }

    /// How many records were handed over and are not forgotten.
    pub(crate) fn sent(&self) -> usize {
        self.pages().records.len()
    }

    /// How many records from the front are stored.
    pub(crate) fn stored_prefix(&self) -> usize {
        self.pages().records.iter().take_while(|entry| entry.fate == Fate::Stored).count()
    }

    /// How many records, from the first that is not stored, may be the one that `code` is about.
    pub(crate) fn suspects(&self, code: RDKafkaErrorCode) -> usize {
        let pages = self.pages();
        let first = pages.records.iter().take_while(|entry| entry.fate == Fate::Stored).count();
        let last = pages.records.iter().rposition(|entry| entry.fate == Fate::Failed(code));
        last.map_or(0, |last| (last + 1).saturating_sub(first))
    }

    /// What has no report yet of a lane.
    pub(crate) fn waiting_in(&self, lane: Lane) -> Load {
        self.pages().lanes.get(lane).copied().unwrap_or_default()
    }

    pub(crate) fn standing(&self) -> Standing {
        let pages = self.pages();
        Standing { waiting: pages.waiting, waiting_bytes: pages.waiting_bytes, failure: pages.failure }
    }

    /// Returns once a report came since the last call. For one caller at a time.
    pub(crate) async fn changed(&self) {
        self.changed.notified().await;
    }

    // Nothing panics while it holds the lock, and half an entry cannot be written.
    fn pages(&self) -> MutexGuard<'_, Pages> {
        self.pages.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Pages {
    fn leaves(&mut self, size: usize, lane: Lane) {
        self.waiting -= 1;
        self.waiting_bytes -= size;
        self.lanes[lane].records -= 1;
        self.lanes[lane].bytes -= size;
    }

    // The first failure stays, unless it turns out to be the consequence of this one.
    fn blame(&mut self, code: RDKafkaErrorCode) {
        if self.failure.is_none_or(|first| is_consequence(first) && !is_consequence(code)) {
            self.failure = Some(code);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_stored_from_the_front_counts() {
        let ledger = Ledger::default();
        for _ in 0..4 {
            ledger.enter(10, 0);
        }
        ledger.settle(3, Ok(()));
        ledger.settle(0, Ok(()));
        assert_eq!((ledger.stored_prefix(), ledger.sent()), (1, 4));
        assert_eq!(ledger.standing(), Standing { waiting: 2, waiting_bytes: 20, failure: None });
    }

    #[test]
    fn a_report_that_comes_twice_or_for_nothing_changes_nothing() {
        let ledger = Ledger::default();
        ledger.enter(10, 0);
        ledger.settle(0, Ok(()));
        ledger.settle(0, Err(RDKafkaErrorCode::Fatal));
        ledger.settle(7, Ok(()));
        assert_eq!(ledger.standing(), Standing { waiting: 0, waiting_bytes: 0, failure: None });
    }

    #[test]
    fn the_cause_is_kept_and_not_its_consequences() {
        for order in [[0, 1, 2], [2, 1, 0], [1, 0, 2]] {
            let codes = [RDKafkaErrorCode::MessageSizeTooLarge, RDKafkaErrorCode::PurgeQueue, RDKafkaErrorCode::GaplessGuarantee];
            let ledger = Ledger::default();
            for _ in order {
                ledger.enter(1, 0);
            }
            for index in order {
                ledger.settle(index, Err(codes[index]));
            }
            assert_eq!(ledger.standing().failure, Some(RDKafkaErrorCode::MessageSizeTooLarge));
        }
    }

    #[test]
    fn suspects_reach_from_the_first_record_not_stored_to_the_last_of_the_refused_batch() {
        let ledger = Ledger::default();
        for _ in 0..5 {
            ledger.enter(1, 0);
        }
        ledger.settle(0, Ok(()));
        ledger.settle(1, Err(RDKafkaErrorCode::PurgeQueue));
        ledger.settle(2, Err(RDKafkaErrorCode::MessageSizeTooLarge));
        ledger.settle(3, Err(RDKafkaErrorCode::MessageSizeTooLarge));
        ledger.settle(4, Err(RDKafkaErrorCode::PurgeQueue));
        assert_eq!(ledger.suspects(RDKafkaErrorCode::MessageSizeTooLarge), 3);
        assert_eq!(ledger.suspects(RDKafkaErrorCode::InvalidRecord), 0);
    }

    #[test]
    fn a_report_finds_its_record_after_those_before_it_are_forgotten() {
        let ledger = Ledger::default();
        for _ in 0..4 {
            ledger.enter(10, 0);
        }
        ledger.settle(0, Ok(()));
        ledger.settle(1, Ok(()));
        ledger.acknowledge(ledger.stored_prefix());
        assert_eq!(ledger.sent(), 2);
        ledger.settle(0, Err(RDKafkaErrorCode::Fatal));
        ledger.settle(2, Ok(()));
        assert_eq!((ledger.stored_prefix(), ledger.enter(10, 0)), (1, 4));
        assert_eq!(ledger.standing(), Standing { waiting: 2, waiting_bytes: 20, failure: None });
    }

    #[test]
    fn a_record_that_was_not_taken_leaves_no_trace() {
        let ledger = Ledger::default();
        ledger.enter(10, 0);
        ledger.enter(20, 0);
        ledger.strike_last();
        assert_eq!((ledger.sent(), ledger.standing().waiting_bytes), (1, 10));
    }
}
