//! The `data` of events that drivetap itself has something to say in.

use std::ops::RangeInclusive;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::Sequence;

/// `data` of a resync event, less its generation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "phase", rename_all = "lowercase")]
pub enum ResyncPhase {
    /// The cursor is lost, the timer of `resync_every` ran out, or a restart cut the first walk from the beginning short; the
    /// enumeration begins.
    Started {
        /// Graph's inner code (`resyncChangesApplyDifferences`), else the outer, or `timer`, or `restart`.
        code: String,
    },
    /// The enumeration is done: what a consumer did not see since `started` is gone.
    Completed {
        /// How many items it published, the root included, over restarts too.
        items: u64,
    },
}

impl ResyncPhase {
    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::Started { .. } => "started",
            Self::Completed { .. } => "completed",
        }
    }
}

/// `data` of a gap event.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct GapData {
    /// When the last sign of life was.
    pub from: Timestamp,
    /// When the session, or the sink, was back.
    pub to: Timestamp,
    /// Why.
    pub reason: GapReason,
    /// `signals`, or `changes` where a live sink overflowed.
    pub affects: &'static str,
    /// Whether the walk after the gap brings what was missed.
    pub recovered_by_walk: bool,
    /// The first sequence that a live sink lost.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from_sequence: Option<Sequence>,
    /// The last one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub to_sequence: Option<Sequence>,
}

impl GapData {
    /// Signals that may have been missed between `from` and `to`. `recovered_by_walk` is false only where the feed walks nothing,
    /// because nobody asked for changes.
    #[must_use]
    pub fn signals(from: Timestamp, to: Timestamp, reason: GapReason, recovered_by_walk: bool) -> Self {
        Self { from, to, reason, affects: "signals", recovered_by_walk, from_sequence: None, to_sequence: None }
    }

    /// Changes that a live sink lost, from the first to the last, while it stayed full. The cursor is past them: no walk brings
    /// them back.
    #[must_use]
    pub fn overflow(from: Timestamp, to: Timestamp, lost: RangeInclusive<Sequence>) -> Self {
        let (first, last) = lost.into_inner();
        Self {
            from,
            to,
            reason: GapReason::SinkOverflow,
            affects: "changes",
            recovered_by_walk: false,
            from_sequence: Some(first),
            to_sequence: Some(last),
        }
    }
}

/// Why something may have been missed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GapReason {
    /// drivetap was not running.
    Restart,
    /// The session ended before its successor was open.
    Disconnected,
    /// The endpoint's lifetime ran out before a new one was had.
    Expired,
    /// The machine slept.
    Suspended,
    /// A live sink stayed full and lost whole pages.
    SinkOverflow,
}
