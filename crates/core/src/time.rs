use std::time::{Duration, Instant};

use jiff::Timestamp;

/// The two clocks at one moment, read by the caller.
///
/// Waiting is measured on `mono`; what is published is stamped with `wall`. Where `wall` runs ahead of `mono`, the machine
/// slept (Linux stops the monotonic clock in suspend).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Now {
    /// Monotonic time.
    pub mono: Instant,
    /// Wall time, UTC.
    pub wall: Timestamp,
}

impl Now {
    /// This moment moved forward on both clocks, as it is without sleep.
    #[must_use]
    pub fn after(self, by: Duration) -> Self {
        let wall =
            jiff::SignedDuration::try_from(by).ok().and_then(|by| self.wall.checked_add(by).ok()).unwrap_or(Timestamp::MAX);
        Self { mono: self.mono.checked_add(by).unwrap_or(self.mono), wall }
    }

    /// The wall time that long ago; this moment's, where that cannot be written.
    #[must_use]
    pub fn wall_before(self, ago: Duration) -> Timestamp {
        jiff::SignedDuration::try_from(ago).ok().and_then(|ago| self.wall.checked_sub(ago).ok()).unwrap_or(self.wall)
    }
}
