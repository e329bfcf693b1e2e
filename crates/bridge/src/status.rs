use drivetap_core::feed::Status;
use drivetap_core::{AccountName, FeedId, Resource};
use drivetap_graph::GateStatus;

use crate::report::Counts;

/// What an operator sees of a running pipeline: for readiness, metrics and pages.
#[derive(Clone, Debug, Default)]
pub struct PipelineStatus {
    /// Whether shutdown has begun.
    pub draining: bool,
    /// The accounts that are watched, by name.
    pub accounts: Vec<AccountStatus>,
    /// Walks that hold one of the 16 slots.
    pub walks: usize,
    /// What pages hold of the budget of 48 MiB, in bytes.
    pub page_bytes: usize,
    /// The feeds that run.
    pub feeds: Vec<FeedStatus>,
    /// Subscriptions whose drive is not known yet.
    pub unresolved: Vec<Unresolved>,
    /// The sinks, in the order in which they were added.
    pub sinks: Vec<SinkStatus>,
}

impl PipelineStatus {
    /// Not draining, no feed held by a state that cannot be saved, and at least one subscription has a session.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        use drivetap_core::feed::LaneState;
        let mut lanes = self.feeds.iter().flat_map(|feed| &feed.status.lanes);
        !self.draining && self.unsaved().is_none() && lanes.any(|lane| lane.state == LaneState::Up)
    }

    /// Why the state cannot be saved, where a feed is held by that.
    #[must_use]
    pub fn unsaved(&self) -> Option<&str> {
        self.feeds.iter().find_map(|feed| feed.status.unsaved.as_deref())
    }
}

/// A subscription whose drive is not known yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unresolved {
    /// Whose.
    pub account: AccountName,
    /// Of what. Another account may watch a resource of this name.
    pub resource: Resource,
    /// Why it is not known.
    pub reason: String,
}

/// An account and its way to Graph.
#[derive(Clone, Debug)]
pub struct AccountStatus {
    /// Which.
    pub account: AccountName,
    /// How many of its requests wait, and for how long Graph asked it to.
    pub gate: GateStatus,
}

/// A feed and what it is doing.
#[derive(Clone, Debug)]
pub struct FeedStatus {
    /// Which.
    pub feed: FeedId,
    /// What it says of itself.
    pub status: Status,
    /// How many of its requests wait for their turn: for the account's gate, for one of the walks at once, for a share of the budget.
    pub held_back: usize,
}

/// A sink and what it is doing.
#[derive(Clone, Debug)]
pub struct SinkStatus {
    /// Its name.
    pub name: String,
    /// What it is doing.
    pub state: SinkState,
    /// Bytes of events queued or on their way.
    pub queued_bytes: usize,
    /// Signals that wait.
    pub waiting_signals: usize,
    /// What became of events so far.
    pub counts: Counts,
}

/// What a sink is doing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SinkState {
    /// Not connected yet, or again.
    Connecting {
        /// Why the last attempt failed.
        problem: Option<String>,
    },
    /// Publishing.
    Ready,
    /// Something stands in the way that no reconnect ends; what a person does about it.
    Held {
        /// What it is.
        what: String,
    },
}
