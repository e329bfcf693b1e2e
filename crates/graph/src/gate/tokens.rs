use std::fmt;
use std::num::NonZeroU32;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use async_trait::async_trait;

/// How many requests a user has.
///
/// Graph: 3,000 in 5 minutes a user, and what is refused counts too
/// (<https://learn.microsoft.com/en-us/sharepoint/dev/general-development/how-to-avoid-getting-throttled-or-blocked-in-sharepoint-online>).
/// A tenth of them may be sent at once, the rest comes evenly: together never more than the whole in any 5 minutes, and never a stretch
/// of minutes in which nothing is left for a renewal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quota {
    burst: u32,
    /// After how long a token is back.
    every: Duration,
}

impl Quota {
    /// Over how long Graph counts.
    pub const WINDOW: Duration = Duration::from_secs(300);
    /// What Graph gives a user in that time.
    pub const GRAPH: NonZeroU32 = NonZeroU32::MIN.saturating_add(2_999);

    /// So many in any 5 minutes.
    #[must_use]
    pub fn in_five_minutes(requests: NonZeroU32) -> Self {
        let burst = (requests.get() / 10).max(1);
        let rest = (requests.get() - burst).max(1);
        // Up to the next nanosecond, so that rounding adds none.
        Self { burst, every: Self::WINDOW / rest + Duration::from_nanos(1) }
    }
}

impl Default for Quota {
    /// Graph's.
    fn default() -> Self {
        Self::in_five_minutes(Self::GRAPH)
    }
}

/// Where an account's tokens are kept: one is spent on each request.
///
/// [`Bucket`] keeps them in the process. A store that several processes share stands behind this trait, too.
///
/// **Cancel safe** in that a dropped `take` may have spent a token for nothing: the account is slower by one request, never faster.
#[async_trait]
pub trait TokenStore: fmt::Debug + Send + Sync {
    /// Takes a token at `now`, or says how long to wait before asking again.
    ///
    /// # Errors
    /// [`Empty`] when there is none.
    async fn take(&self, now: Instant) -> Result<(), Empty>;
}

/// There is no token now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Empty {
    /// When there may be one.
    pub retry_in: Duration,
}

/// A token bucket in the process.
#[derive(Debug)]
pub struct Bucket {
    quota: Quota,
    // All there is to know of a token bucket: the moment at which it is full again.
    full_at: Mutex<Option<Instant>>,
}

impl Bucket {
    /// Full.
    #[must_use]
    pub fn new(quota: Quota) -> Self {
        Self { quota, full_at: Mutex::new(None) }
    }

    fn take_at(&self, now: Instant) -> Result<(), Empty> {
        let Quota { burst, every } = self.quota;
        let mut full_at = self.full_at.lock().unwrap_or_else(PoisonError::into_inner);
        let after = full_at.map_or(now, |at| at.max(now)) + every;
        // One more than the bucket holds would be missing.
        match after.saturating_duration_since(now).checked_sub(every * burst).filter(|wait| !wait.is_zero()) {
            Some(retry_in) => Err(Empty { retry_in }),
            None => {
                *full_at = Some(after);
                Ok(())
            }
        }
    }
}

#[async_trait]
impl TokenStore for Bucket {
    async fn take(&self, now: Instant) -> Result<(), Empty> {
        self.take_at(now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn quota(requests: u32) -> Quota {
        Quota::in_five_minutes(NonZeroU32::new(requests).unwrap())
    }

    #[test]
    fn a_tenth_goes_at_once_and_the_rest_evenly() {
        let bucket = Bucket::new(Quota::default());
        let start = Instant::now();
        for n in 0..300 {
            assert_eq!(bucket.take_at(start), Ok(()), "{n}");
        }
        let Err(Empty { retry_in }) = bucket.take_at(start) else { panic!("the burst is spent") };
        assert_eq!(retry_in.as_micros(), 111_111, "9 a second");
        assert!(bucket.take_at(start + retry_in - Duration::from_nanos(1)).is_err());
        assert_eq!(bucket.take_at(start + retry_in), Ok(()));
        assert!(bucket.take_at(start + retry_in).is_err());
    }

    #[test]
    fn no_five_minutes_see_more_than_the_quota() {
        for requests in [2, 9, 10, 100, 2_999, 3_000, 100_000] {
            let bucket = Bucket::new(quota(requests));
            let mut now = Instant::now();
            let mut taken = Vec::new();
            // As greedy as can be, after a pause that fills the bucket and in the middle of the flow.
            for round in 0..2 {
                while taken.len() < (round + 1) * 2 * usize::try_from(requests).unwrap() {
                    match bucket.take_at(now) {
                        Ok(()) => taken.push(now),
                        Err(Empty { retry_in }) => now += retry_in,
                    }
                }
                now += Duration::from_secs(97);
            }
            let most =
                taken.iter().enumerate().map(|(n, &from)| taken[n..].partition_point(|at| *at < from + Quota::WINDOW)).max();
            assert!(most <= usize::try_from(requests).ok(), "{most:?} of {requests}");
        }
    }

    #[test]
    fn rest_fills_the_bucket_and_no_more_than_fills_it() {
        let bucket = Bucket::new(quota(100));
        let mut now = Instant::now();
        for _ in 0..10 {
            bucket.take_at(now).unwrap();
        }
        now += Duration::from_secs(3600);
        for n in 0..10 {
            assert_eq!(bucket.take_at(now), Ok(()), "{n}");
        }
        assert!(bucket.take_at(now).is_err());
    }
}
