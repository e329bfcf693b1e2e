use std::time::{Duration, Instant};

use super::settings::Timing;
use crate::backoff::Backoff;

/// Why a walk is due, most pressing first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Trigger {
    Signal,
    Connect,
    First,
    Timer,
}

/// When the next walk starts, and why.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Due {
    pub(super) at: Instant,
    pub(super) trigger: Trigger,
}

/// How long a walk waits for what.
#[derive(Debug)]
pub(super) struct Pace {
    pub(super) safety_walk: Duration,
    pub(super) poll: Duration,
    pub(super) lag_retries: Vec<Duration>,
    pub(super) resync_every: Option<Duration>,
    pub(super) spacing: Duration,
    pub(super) sign_in: Duration,
    pub(super) quiet: Duration,
    pub(super) backoff: Backoff,
    pub(super) slow: Backoff,
}

impl Pace {
    pub(super) fn new(timing: &Timing) -> Self {
        Self {
            safety_walk: timing.safety_walk,
            poll: timing.poll,
            lag_retries: timing.lag_retries.clone(),
            resync_every: timing.resync_every,
            spacing: timing.walk_spacing,
            sign_in: timing.renewal_spacing,
            quiet: timing.quiet,
            backoff: timing.backoff.clone(),
            slow: timing.slow.clone(),
        }
    }
}
