use std::time::Duration;

/// How long to wait before the next attempt: exponential, with full jitter, between two checked bounds.
///
/// The n-th wait (from 0) is a random point between zero and `min · 2ⁿ`, never above `max`; a slow one between `min` and
/// `min · 2ⁿ⁺¹`, so that its first wait has jitter too.
/// Full jitter spreads ten thousand feeds that lost their socket in one moment
/// (<https://aws.amazon.com/builders-library/timeouts-retries-and-backoff-with-jitter/>). It is reset by success, which is a
/// session that stayed up or a delivery, not by a connect.
///
/// ```
/// use std::time::Duration;
/// use drivetap_core::Backoff;
///
/// let mut backoff = Backoff::try_new(Duration::from_secs(1), Duration::from_secs(60))?;
/// let mut rng = fastrand::Rng::with_seed(7);
/// assert!(backoff.next(&mut rng) <= Duration::from_secs(1));
/// assert!(backoff.next(&mut rng) <= Duration::from_secs(2));
/// # Ok::<(), drivetap_core::BackoffError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Backoff {
    min: Duration,
    max: Duration,
    floor: Duration,
    attempts: u32,
}

impl Backoff {
    /// Waits anywhere between zero and the doubling bound.
    ///
    /// # Errors
    /// When `min` is zero or above `max`.
    pub fn try_new(min: Duration, max: Duration) -> Result<Self, BackoffError> {
        if min.is_zero() || min > max {
            return Err(BackoffError { min, max });
        }
        Ok(Self { min, max, floor: Duration::ZERO, attempts: 0 })
    }

    /// Like [`try_new`](Self::try_new), but never waits less than `min`: for what an eager retry makes worse.
    ///
    /// # Errors
    /// When `min` is zero or above `max`.
    pub fn try_slow(min: Duration, max: Duration) -> Result<Self, BackoffError> {
        let plain = Self::try_new(min, max)?;
        Ok(Self { floor: min, ..plain })
    }

    /// The next wait; each call doubles the bound until `max`.
    pub fn next(&mut self, rng: &mut fastrand::Rng) -> Duration {
        let doublings = self.attempts.saturating_add(u32::from(!self.floor.is_zero()));
        let bound = 2u32.checked_pow(doublings).and_then(|factor| self.min.checked_mul(factor));
        let bound = bound.unwrap_or(self.max).min(self.max);
        self.attempts = self.attempts.saturating_add(1);
        // `min`: above 2⁵³ ns a product of floats can round past the bound.
        (self.floor + (bound - self.floor).mul_f64(rng.f64())).min(bound)
    }

    /// How many waits were handed out since the last reset.
    #[must_use]
    pub fn attempts(&self) -> u32 {
        self.attempts
    }

    /// Starts again at `min`.
    pub fn reset(&mut self) {
        self.attempts = 0;
    }
}

/// Bounds that are no bounds.
#[derive(Clone, Copy, Debug, thiserror::Error, PartialEq, Eq)]
#[error("a back-off from {min:?} to {max:?}: the minimum must be above zero and at most the maximum")]
pub struct BackoffError {
    min: Duration,
    max: Duration,
}
