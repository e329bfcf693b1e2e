use jiff::Timestamp;

use crate::resource::Resource;

/// What an operator sees of a feed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Status {
    /// Its subscriptions, in the order of the configuration.
    pub lanes: Vec<LaneStatus>,
    /// Whether a walk is under way.
    pub walking: bool,
    /// What stands in the way of the walk or of the store, if anything does.
    pub problem: Option<String>,
    /// Why the record cannot be saved, while that is so: the feed is held, and goes on when it can.
    pub unsaved: Option<String>,
    /// How many times the drive was enumerated afresh.
    pub generation: u64,
    /// The number of the next change event, as far as acknowledged.
    pub sequence: u64,
    /// When the cursor last moved.
    pub cursor_moved_at: Timestamp,
    /// When the last walk found its end.
    pub last_walk: Option<Timestamp>,
    /// Whether everything that was published is acknowledged.
    pub settled: bool,
    /// Whether the feed has let go.
    pub released: bool,
}

impl Status {
    /// Whether every subscription has a session.
    #[must_use]
    pub fn connected(&self) -> bool {
        self.lanes.iter().all(|lane| lane.state == LaneState::Up)
    }
}

/// What an operator sees of a subscription.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LaneStatus {
    /// Which.
    pub resource: Resource,
    /// How far it is.
    pub state: LaneState,
    /// Why the last attempt failed, until one succeeds.
    pub problem: Option<String>,
}

/// How far a subscription is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LaneState {
    /// Has a working session.
    Up,
    /// Is asking Graph or opening a socket.
    Connecting,
    /// Waits before the next attempt.
    Waiting,
}
