use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

/// What is to be sent, and how much of it was given to a socket.
#[derive(Clone)]
pub(super) struct Plan {
    wish: watch::Receiver<Wish>,
    taken: Arc<AtomicU64>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Wish {
    Nothing,
    /// The numbers below `limit`, by whichever socket has room.
    Below {
        limit: u64,
    },
    /// `count` of them, the sockets in turn.
    Pace {
        count: u64,
        apart: Duration,
        begun: Instant,
    },
}

impl Plan {
    /// So many numbers are given to a socket at a time.
    const CHUNK: u64 = 64;

    pub(super) fn new() -> (Self, watch::Sender<Wish>) {
        let (wishes, wish) = watch::channel(Wish::Nothing);
        (Self { wish, taken: Arc::default() }, wishes)
    }

    pub(super) fn wish(&mut self) -> Wish {
        *self.wish.borrow_and_update()
    }

    /// Waits for another wish than the last one that was looked at. Without an end where none can come any more.
    pub(super) async fn changed(&mut self) {
        if self.wish.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
    }

    /// Numbers that nobody else was given.
    pub(super) fn take(&self, limit: u64) -> Option<Range<u64>> {
        let chunk = |taken| (taken < limit).then(|| limit.min(taken + Self::CHUNK));
        let from = self.taken.fetch_update(Ordering::Relaxed, Ordering::Relaxed, chunk).ok()?;
        Some(from..limit.min(from + Self::CHUNK))
    }
}
