use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::event::{GapData, GapReason};

/// The stretches in which signals may have been missed, until consumers know of them.
///
/// At most two: one that is told and not acknowledged, and one merged range that is still open or waits for its turn. A gap's id is made
/// over its start, so a told one never changes: it is saved with its end first, then published.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gaps {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    told: Option<Told>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    open: Option<Open>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Told {
    from: Timestamp,
    to: Timestamp,
    reason: GapReason,
    /// In this process; after a restart it is published again.
    #[serde(skip)]
    published: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Open {
    from: Timestamp,
    reason: GapReason,
}

impl Gaps {
    /// Whether a stretch without signals has not ended yet, or waits to be told.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.open.is_some()
    }

    /// Signals may be missed from then on. False when they already were.
    pub(super) fn open(&mut self, from: Timestamp, reason: GapReason) -> bool {
        let news = self.open.is_none();
        self.open.get_or_insert(Open { from, reason });
        news
    }

    /// Signals arrive again. True when a gap is ready to be saved, and then published.
    pub(super) fn close(&mut self, to: Timestamp) -> bool {
        if self.told.is_some() {
            return false;
        }
        let Some(Open { from, reason }) = self.open.take() else {
            return false;
        };
        self.told = Some(Told { from, to, reason, published: false });
        true
    }

    /// The gap that is saved and not published yet.
    pub(super) fn publish(&mut self, recovered_by_walk: bool) -> Option<GapData> {
        let told = self.told.as_mut().filter(|told| !told.published)?;
        told.published = true;
        Some(GapData {
            from: told.from,
            to: told.to,
            reason: told.reason,
            affects: "signals",
            recovered_by_walk,
            from_sequence: None,
            to_sequence: None,
        })
    }

    /// Consumers know of the gap that starts there. True when it was the told one.
    pub(super) fn acknowledge(&mut self, from: Timestamp) -> bool {
        self.told.take_if(|told| told.from == from).is_some()
    }
}
