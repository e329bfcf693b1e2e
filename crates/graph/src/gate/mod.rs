//! The one way to Graph that all feeds of an account share.

mod line;
mod tokens;
mod walks;

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use drivetap_core::feed::Urgency;
use tokio::time::Instant;

use self::line::Line;
pub use self::tokens::{Bucket, Empty, Quota, TokenStore};
pub use self::walks::{Share, Slot, Walks};

/// Lets an account's requests through: no more of them than its user has, none before Graph's `Retry-After` is over, and the most
/// urgent first (an endpoint, a signalled walk, a first walk, a safety walk).
///
/// - It delays and never retries: who was let through makes one attempt and tells [`shut`](Self::shut) what Graph said about waiting.
/// - Within one urgency the order is that of arrival. However many walks wait, an endpoint waits for one token at most.
/// - It has no task: the first in line keeps the time for all.
///
/// ```
/// use std::time::Duration;
///
/// use drivetap_core::feed::Urgency;
/// use drivetap_graph::{Gate, Quota};
/// use tokio::time::Instant;
///
/// # tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build()?.block_on(async {
/// let gate = Gate::new(Quota::default());
/// gate.pass(Urgency::Signalled).await;
/// // … a request; Graph answers 429 with `Retry-After: 30`:
/// gate.shut(Duration::from_secs(30));
/// let begun = Instant::now();
/// gate.pass(Urgency::Endpoint).await;
/// assert_eq!(begun.elapsed(), Duration::from_secs(30));
/// # });
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Debug)]
pub struct Gate {
    tokens: Box<dyn TokenStore>,
    line: Line,
    shut_until: Mutex<Option<Instant>>,
}

/// What an operator sees of a gate.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct GateStatus {
    /// How many requests wait.
    pub waiting: usize,
    /// For how much longer Graph asked not to be asked; `None` when it did not.
    pub shut_for: Option<Duration>,
}

impl Gate {
    /// A gate with its tokens in the process.
    #[must_use]
    pub fn new(quota: Quota) -> Self {
        Self::with_tokens(Box::new(Bucket::new(quota)))
    }

    /// A gate whose tokens are kept elsewhere.
    #[must_use]
    pub fn with_tokens(tokens: Box<dyn TokenStore>) -> Self {
        Self { tokens, line: Line::default(), shut_until: Mutex::new(None) }
    }

    /// Waits for the permission to send one request.
    ///
    /// **Cancel safe:** a dropped future gives its place up, and holds nobody.
    pub async fn pass(&self, urgency: Urgency) {
        let place = self.line.enter(urgency);
        loop {
            place.first().await;
            let now = Instant::now();
            let until = match self.shut_at(now) {
                Some(until) => until,
                None => match self.tokens.take(now.into_std()).await {
                    Ok(()) => return,
                    Err(Empty { retry_in }) => now + retry_in,
                },
            };
            // Whoever comes to be first meanwhile looks for itself.
            tokio::time::sleep_until(until).await;
        }
    }

    /// Graph asked not to be asked for that long (`Retry-After`): nobody passes before. True when that is news to those who wait; what
    /// was said before and ends later stands.
    pub fn shut(&self, wait: Duration) -> bool {
        let now = Instant::now();
        let mut shut_until = self.shut_until();
        let was_open = shut_until.is_none_or(|until| until <= now);
        *shut_until = (*shut_until).max(Some(now + wait));
        was_open && !wait.is_zero()
    }

    /// Whether Graph's `Retry-After` is not over.
    #[must_use]
    pub fn is_shut(&self) -> bool {
        self.shut_at(Instant::now()).is_some()
    }

    /// What it does now.
    #[must_use]
    pub fn status(&self) -> GateStatus {
        let now = Instant::now();
        GateStatus { waiting: self.line.len(), shut_for: self.shut_at(now).map(|until| until - now) }
    }

    fn shut_at(&self, now: Instant) -> Option<Instant> {
        self.shut_until().filter(|until| *until > now)
    }

    fn shut_until(&self) -> MutexGuard<'_, Option<Instant>> {
        self.shut_until.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for Gate {
    /// With Graph's own quota.
    fn default() -> Self {
        Self::new(Quota::default())
    }
}

#[cfg(test)]
mod tests;
