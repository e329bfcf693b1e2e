use drivetap_core::Now;
use jiff::{SignedDuration, Timestamp};
use tokio::time::Instant;

/// Both clocks, read in one place.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Clock {
    /// The machine's.
    System,
    /// Wall time that follows tokio's, which a test can pause.
    #[cfg_attr(not(test), expect(dead_code, reason = "tests alone pause time"))]
    FollowsTokio { since: Instant, wall: Timestamp },
}

impl Clock {
    pub(crate) fn now(self) -> Now {
        let mono = Instant::now();
        let wall = match self {
            Self::System => Timestamp::now(),
            Self::FollowsTokio { since, wall } => {
                let passed = SignedDuration::try_from(mono - since).unwrap_or(SignedDuration::ZERO);
                wall.checked_add(passed).unwrap_or(Timestamp::MAX)
            }
        };
        Now { mono: mono.into_std(), wall }
    }
}
