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
    pub(super) quiet: jiff::SignedDuration,
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
            quiet: jiff::SignedDuration::try_from(timing.quiet).unwrap_or(jiff::SignedDuration::MAX),
            backoff: timing.backoff.clone(),
            slow: timing.slow.clone(),
        }
    }

    /// After what time delta may show what it did not show to a walk that began for `trigger`. `lag` is the next of `lag_retries`.
    ///
    /// Nothing at all after a signal: soon, and again. Something after a signal, or whatever after a stretch without a session: what
    /// else changed then may lag, and nobody will signal it any more.
    pub(super) fn lag_wait(&self, trigger: Trigger, reported: bool, lag: &mut usize) -> Option<Duration> {
        match trigger {
            Trigger::Signal if !reported => {}
            Trigger::Signal | Trigger::Connect => *lag = self.last_lag(),
            Trigger::First | Trigger::Timer => return None,
        }
        let wait = self.lag_retries.get(*lag).copied();
        *lag += usize::from(wait.is_some());
        wait
    }

    /// Whether nothing asked for the walk, or what did is so long ago that delta shows it.
    pub(super) fn had_its_time(&self, trigger: Trigger, lag: usize) -> bool {
        match trigger {
            Trigger::Timer => true,
            Trigger::Signal => lag >= self.lag_retries.len(),
            // Nobody who repeats no walk waits for delta.
            Trigger::Connect | Trigger::First => self.lag_retries.is_empty(),
        }
    }

    /// The last of `lag_retries`.
    pub(super) fn last_lag(&self) -> usize {
        self.lag_retries.len().saturating_sub(1)
    }
}
