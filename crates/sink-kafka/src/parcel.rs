use crate::ledger::{Entry, Lane, Load};
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
    /// Whether another record keeps it within the window, and its lane within a request.
    pub(crate) fn takes(&self, lane: Lane, size: usize, request: Option<Load>, window: Load) -> bool {
        let all = Load { records: self.records.len(), bytes: self.bytes };
        let of_lane = self.lanes.iter().find(|(known, _)| *known == lane).map(|(_, load)| *load).unwrap_or_default();
        all.takes(size, window) && request.is_none_or(|request| of_lane.takes(size, request))
    }

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

    /// The key of its only record, where nothing may be on its way beside that.
    pub(crate) fn key_alone(&self) -> Option<&'a str> {
        self.records.last().filter(|_| self.alone).map(|(record, _)| record.key())
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

    pub(crate) fn lanes(&self) -> impl Iterator<Item = Lane> {
        self.lanes.iter().map(|(lane, _)| *lane)
    }

    pub(crate) fn entries(&self) -> impl Iterator<Item = Entry> {
        self.records.iter().map(|(record, lane)| Entry { id: record.id().into(), size: record.size(), lane: *lane })
    }

    pub(crate) fn into_records(self) -> impl Iterator<Item = Record<'a>> {
        self.records.into_iter().map(|(record, _)| record)
    }
}
