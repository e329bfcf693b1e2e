//! The state machine of one drive.

/// Placeholder until the machine lands.
pub struct Feed;
