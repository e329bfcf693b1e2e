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
    /// When signals arrived again, while the gap waits for its turn.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    to: Option<Timestamp>,
}

impl Gaps {
    /// As a new process takes them over: what the last one told and nobody acknowledged is told again.
    pub(super) fn untold(mut self) -> Self {
        if let Some(told) = &mut self.told {
            told.published = false;
        }
        self
    }

    /// Whether a stretch without signals has not ended yet, or has ended and is not told because another one is.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.open.is_some()
    }

    /// Signals may be missed from then on. False when they already were.
    pub(super) fn open(&mut self, from: Timestamp, reason: GapReason) -> bool {
        let news = self.open.is_none_or(|open| open.to.is_some());
        self.open.get_or_insert(Open { from, reason, to: None }).to = None;
        news
    }

    /// Signals arrive again. True when a gap is ready to be saved, and then published.
    pub(super) fn close(&mut self, to: Timestamp) -> bool {
        if self.told.is_some() {
            // Each gap is told once; this one ends now and waits.
            let waits = self.open.as_mut().filter(|open| open.to.is_none());
            return waits.map(|open| open.to = Some(to)).is_some();
        }
        let Some(Open { from, reason, to: ended }) = self.open.take() else {
            return false;
        };
        // A wall clock that was set back must not end a gap before it began.
        self.told = Some(Told { from, to: ended.unwrap_or(to).max(from), reason, published: false });
        true
    }

    /// Whether a gap has its end and is not published yet.
    pub(super) fn has_unpublished(&self) -> bool {
        self.told.is_some_and(|told| !told.published)
    }

    /// The gap that is saved and not published yet.
    pub(super) fn publish(&mut self, recovered_by_walk: bool) -> Option<GapData> {
        let told = self.told.as_mut().filter(|told| !told.published)?;
        told.published = true;
        Some(GapData::signals(told.from, told.to, told.reason, recovered_by_walk))
    }

    /// Consumers know of the gap that starts there. True when it was the told one.
    pub(super) fn acknowledge(&mut self, from: Timestamp) -> bool {
        self.told.take_if(|told| told.from == from).is_some()
    }
}
