use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};

use rdkafka::types::RDKafkaErrorCode;
use tokio::sync::Notify;

use crate::verdict::is_consequence;

/// What became of each record that is not acknowledged yet: written by librdkafka's reports, read by `publish`.
#[derive(Default)]
pub(crate) struct Ledger {
    pages: Mutex<Pages>,
    changed: Notify,
    // Whether `changed` is for every report.
    each_report: bool,
}

#[derive(Default)]
struct Pages {
    // The index of the first of them.
    first: usize,
    records: VecDeque<(Entry, Fate)>,
    waiting: usize,
    waiting_bytes: usize,
    // The same, lane by lane.
    lanes: HashMap<Lane, Load>,
    // Where the last record was stored that a report came for.
    last_lane: Lane,
    failure: Option<RDKafkaErrorCode>,
}

/// A record that is about to be handed over.
pub(crate) struct Entry {
    pub(crate) id: Box<str>,
    pub(crate) size: usize,
    pub(crate) lane: Lane,
}

/// A partition.
pub(crate) type Lane = i32;

/// Records of a lane.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Load {
    pub(crate) records: usize,
    pub(crate) bytes: usize,
}

impl Load {
    /// Whether one more, of so many bytes, keeps it within `most`.
    pub(crate) fn takes(self, bytes: usize, most: Self) -> bool {
        self.records < most.records && self.bytes + bytes <= most.bytes
    }

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
    /// An empty one. [`changed`](Self::changed) is for `each_report`, or for the last one of a lane and for failures: the reports of a
    /// request come all at once, and whoever waits for all of them need not be woken by each.
    pub(crate) fn new(each_report: bool) -> Self {
        Self { each_report, ..Self::default() }
    }

    /// Enters the records that are about to be handed over, in their order; returns the index of the first.
    pub(crate) fn enter(&self, entries: impl Iterator<Item = Entry>) -> usize {
        let mut pages = self.pages();
        let first = pages.first + pages.records.len();
        for entry in entries {
            pages.lanes.entry(entry.lane).or_default().add(entry.size);
            pages.waiting += 1;
            pages.waiting_bytes += entry.size;
            pages.records.push_back((entry, Fate::Waiting));
        }
        first
    }

    /// Strikes out the records from `index` on: librdkafka did not take the first of them, and was given no other, so no report will come.
    pub(crate) fn strike_from(&self, index: usize) {
        let mut pages = self.pages();
        let keep = index.saturating_sub(pages.first);
        while pages.records.len() > keep
            && let Some((Entry { size, lane, .. }, _)) = pages.records.pop_back()
        {
            pages.leaves(size, lane);
        }
    }

    /// A report came: the record was stored in a lane, or it was not.
    pub(crate) fn settle(&self, index: usize, outcome: Result<Lane, RDKafkaErrorCode>) {
        let mut pages = self.pages();
        let Some(nth) = index.checked_sub(pages.first) else { return };
        let Some((entry, fate)) = pages.records.get_mut(nth).filter(|(_, fate)| *fate == Fate::Waiting) else { return };
        *fate = outcome.map_or_else(Fate::Failed, |_| Fate::Stored);
        let (size, lane) = (entry.size, entry.lane);
        pages.leaves(size, lane);
        match outcome {
            Ok(stored_in) => pages.last_lane = stored_in,
            Err(code) => pages.blame(code),
        }
        let tells = self.each_report || outcome.is_err() || pages.is_idle(lane);
        drop(pages);
        if tells {
            self.changed.notify_one();
        }
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

    /// Whether the batch with these ids begins with the records that are not forgotten.
    pub(crate) fn is_front_of<'a>(&self, ids: impl ExactSizeIterator<Item = &'a str>) -> bool {
        let records = &self.pages().records;
        records.len() <= ids.len() && records.iter().zip(ids).all(|((entry, _), id)| *entry.id == *id)
    }

    /// How many records from the front are stored.
    pub(crate) fn stored_prefix(&self) -> usize {
        self.pages().records.iter().take_while(|(_, fate)| *fate == Fate::Stored).count()
    }

    /// How many records, from the first that is not stored, may be the one that `code` is about.
    pub(crate) fn suspects(&self, code: RDKafkaErrorCode) -> usize {
        let pages = self.pages();
        let first = pages.records.iter().take_while(|(_, fate)| *fate == Fate::Stored).count();
        let last = pages.records.iter().rposition(|(_, fate)| *fate == Fate::Failed(code));
        last.map_or(0, |last| (last + 1).saturating_sub(first))
    }

    /// Whether every record of these lanes has its report.
    pub(crate) fn is_idle(&self, mut lanes: impl Iterator<Item = Lane>) -> bool {
        let pages = self.pages();
        lanes.all(|lane| pages.is_idle(lane))
    }

    /// Where the last record was stored that a report came for.
    pub(crate) fn last_lane(&self) -> Lane {
        self.pages().last_lane
    }

    pub(crate) fn standing(&self) -> Standing {
        let pages = self.pages();
        Standing { waiting: pages.waiting, waiting_bytes: pages.waiting_bytes, failure: pages.failure }
    }

    /// Returns once there was something to [`tell`](Self::new) since the last call. For one caller at a time.
    pub(crate) async fn changed(&self) {
        self.changed.notified().await;
    }

    // Nothing panics while it holds the lock, and half an entry cannot be written.
    fn pages(&self) -> MutexGuard<'_, Pages> {
        self.pages.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Pages {
    fn is_idle(&self, lane: Lane) -> bool {
        self.lanes.get(&lane).is_none_or(|load| load.records == 0)
    }

    fn leaves(&mut self, size: usize, lane: Lane) {
        self.waiting -= 1;
        self.waiting_bytes -= size;
        if let Some(load) = self.lanes.get_mut(&lane) {
            load.records -= 1;
            load.bytes -= size;
        }
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
    use std::time::Duration;

    use tokio::time::timeout;

    use super::*;

    fn enter(ledger: &Ledger, sizes: &[usize]) -> usize {
        ledger.enter(sizes.iter().map(|size| Entry { id: size.to_string().into(), size: *size, lane: 0 }))
    }

    #[test]
    fn only_what_is_stored_from_the_front_counts() {
        let ledger = Ledger::default();
        enter(&ledger, &[10; 4]);
        ledger.settle(3, Ok(0));
        ledger.settle(0, Ok(0));
        assert_eq!((ledger.stored_prefix(), ledger.sent()), (1, 4));
        assert_eq!(ledger.standing(), Standing { waiting: 2, waiting_bytes: 20, failure: None });
    }

    #[test]
    fn a_report_that_comes_twice_or_for_nothing_changes_nothing() {
        let ledger = Ledger::default();
        enter(&ledger, &[10]);
        ledger.settle(0, Ok(0));
        ledger.settle(0, Err(RDKafkaErrorCode::Fatal));
        ledger.settle(7, Ok(0));
        assert_eq!(ledger.standing(), Standing { waiting: 0, waiting_bytes: 0, failure: None });
    }

    #[test]
    fn the_cause_is_kept_and_not_its_consequences() {
        for order in [[0, 1, 2], [2, 1, 0], [1, 0, 2]] {
            let codes = [RDKafkaErrorCode::MessageSizeTooLarge, RDKafkaErrorCode::PurgeQueue, RDKafkaErrorCode::GaplessGuarantee];
            let ledger = Ledger::default();
            enter(&ledger, &[1; 3]);
            for index in order {
                ledger.settle(index, Err(codes[index]));
            }
            assert_eq!(ledger.standing().failure, Some(RDKafkaErrorCode::MessageSizeTooLarge));
        }
    }

    #[test]
    fn suspects_reach_from_the_first_record_not_stored_to_the_last_of_the_refused_batch() {
        let ledger = Ledger::default();
        enter(&ledger, &[1; 5]);
        ledger.settle(0, Ok(0));
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
        enter(&ledger, &[10; 4]);
        ledger.settle(0, Ok(0));
        ledger.settle(1, Ok(0));
        ledger.acknowledge(ledger.stored_prefix());
        assert_eq!(ledger.sent(), 2);
        ledger.settle(0, Err(RDKafkaErrorCode::Fatal));
        ledger.settle(2, Ok(0));
        assert_eq!((ledger.stored_prefix(), enter(&ledger, &[10])), (1, 4));
        assert_eq!(ledger.standing(), Standing { waiting: 2, waiting_bytes: 20, failure: None });
    }

    #[test]
    fn records_that_were_not_taken_leave_no_trace() {
        let ledger = Ledger::default();
        enter(&ledger, &[10, 20, 30]);
        ledger.strike_from(1);
        assert_eq!((ledger.sent(), ledger.standing().waiting_bytes), (1, 10));
    }

    #[test]
    fn what_is_not_acknowledged_is_known_at_the_front_of_a_batch_only() {
        let ledger = Ledger::default();
        enter(&ledger, &[1, 2, 3]);
        ledger.settle(0, Ok(0));
        ledger.acknowledge(1);
        for (batch, known) in [(vec!["2", "3"], true), (vec!["2", "3", "4"], true), (vec!["2"], false), (vec!["3", "2"], false)] {
            assert_eq!(ledger.is_front_of(batch.iter().copied()), known, "{batch:?}");
        }
    }

    #[tokio::test]
    async fn who_waits_is_woken_by_the_last_report_of_a_lane_by_a_failure_or_by_each() {
        let told = async |ledger: &Ledger| timeout(Duration::ZERO, ledger.changed()).await.is_ok();
        for each_report in [false, true] {
            let ledger = Ledger::new(each_report);
            ledger.enter([3, 3, 7, 7].map(|lane| Entry { id: "".into(), size: 1, lane }).into_iter());
            ledger.settle(0, Ok(3));
            assert_eq!(told(&ledger).await, each_report);
            ledger.settle(1, Ok(3));
            assert!(told(&ledger).await, "lane 3 is idle");
            ledger.settle(2, Err(RDKafkaErrorCode::Fatal));
            assert!(told(&ledger).await, "a failure");
            assert!(!told(&ledger).await, "nothing new");
        }
    }

    #[test]
    fn a_lane_is_idle_once_every_record_of_it_has_its_report() {
        let ledger = Ledger::default();
        ledger.enter([3, 7, 3].map(|lane| Entry { id: "".into(), size: 1, lane }).into_iter());
        ledger.settle(0, Ok(3));
        ledger.settle(1, Ok(7));
        assert_eq!([3, 7, 8].map(|lane| ledger.is_idle([lane].into_iter())), [false, true, true]);
        assert_eq!(ledger.last_lane(), 7);
    }
}
