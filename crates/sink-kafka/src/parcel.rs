use crate::ledger::{Lane, Load};
use crate::record::Record;

/// Records of a batch, in its order, that are handed over in one go.
#[derive(Default)]
pub(crate) struct Parcel<'a> {
    records: Vec<(Record<'a>, Lane)>,
    bytes: usize,
    lanes: Vec<(Lane, Load)>,
    alone: bool,
}

impl<'a> Parcel<'a> {
    /// A record that goes `alone` is the only one of its parcel.
    pub(crate) fn add(&mut self, record: Record<'a>, lane: Lane, alone: bool) {
        let size = record.size();
        match self.lanes.iter_mut().find(|(known, _)| *known == lane) {
            Some((_, load)) => load.add(size),
            None => self.lanes.push((lane, Load { records: 1, bytes: size })),
        }
        self.bytes += size;
        self.alone = alone;
        self.records.push((record, lane));
    }

    /// Whether nothing may be on its way beside it.
    pub(crate) fn is_alone(&self) -> bool {
        self.alone
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.records.is_empty()
    }

    pub(crate) fn len(&self) -> usize {
        self.records.len()
    }

    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// What it brings to each lane.
    pub(crate) fn lanes(&self) -> impl Iterator<Item = (Lane, Load)> {
        self.lanes.iter().copied()
    }

    pub(crate) fn into_records(self) -> Vec<(Record<'a>, Lane)> {
        self.records
    }
}
