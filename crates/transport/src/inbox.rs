use std::collections::VecDeque;
use std::num::NonZeroUsize;
use std::sync::{Mutex, MutexGuard, PoisonError};

use drivetap_core::{Notification, NotificationError};
use tokio::sync::Notify;

use crate::{Ended, Who, Why};

/// Between whoever reads the socket and the one who is in `recv`: a bounded queue that never makes its writer wait.
///
/// Full, the oldest give way to the newest and are counted as merged. One reader at a time.
#[derive(Debug, Default)]
pub(crate) struct Inbox {
    state: Mutex<State>,
    changed: Notify,
}

#[derive(Debug, Default)]
struct State {
    waiting: VecDeque<Waiting>,
    bytes: usize,
    merged: u64,
    ended: Option<Ended>,
}

#[derive(Debug)]
struct Waiting {
    notification: Notification,
    bytes: usize,
}

impl Inbox {
    /// The most notifications that wait.
    pub(crate) const MOST: usize = 1_024;
    /// The most bytes of frames that wait; the newest notification stays whatever its size.
    pub(crate) const MOST_BYTES: usize = 256 * 1024;

    /// Adds what a frame of `frame_bytes` held. After the end it is ignored.
    fn push(&self, notifications: Vec<Notification>, frame_bytes: usize) {
        let Some(each) = frame_bytes.checked_div(notifications.len()) else {
            return;
        };
        let mut state = self.lock();
        if state.ended.is_some() {
            return;
        }
        for notification in notifications {
            state.push(Waiting { notification, bytes: each });
        }
        drop(state);
        self.changed.notify_one();
    }

    /// Takes the second argument of a `notification` event, JSON text: its notifications wait.
    ///
    /// # Errors
    /// How the session ends on what is above the limit, or no notification.
    pub(crate) fn frame(&self, argument: &str, limit: usize) -> Result<(), Ended> {
        if argument.len() > limit {
            return Err(Ended { by: Who::Us, why: Why::TooLarge });
        }
        let malformed = |error: NotificationError| Ended { by: Who::Server, why: Why::Malformed(error.to_string()) };
        self.push(Notification::parse(argument).map_err(malformed)?, argument.len());
        Ok(())
    }

    /// Ends the session, once: the first reason stays.
    pub(crate) fn end(&self, ended: Ended) {
        self.lock().ended.get_or_insert(ended);
        self.changed.notify_one();
    }

    /// [`Session::recv`](crate::Session::recv).
    pub(crate) async fn recv(&self, out: &mut Vec<Notification>, max: NonZeroUsize) -> Result<(), Ended> {
        loop {
            // A permit is kept for whoever comes later, so nothing is missed between the look and the wait.
            if let Some(result) = self.take(out, max) {
                return result;
            }
            self.changed.notified().await;
        }
    }

    pub(crate) fn take_merged(&self) -> u64 {
        std::mem::take(&mut self.lock().merged)
    }

    /// What is ready; `None` when there is nothing to say yet.
    fn take(&self, out: &mut Vec<Notification>, max: NonZeroUsize) -> Option<Result<(), Ended>> {
        let mut state = self.lock();
        if state.waiting.is_empty() {
            return state.ended.clone().map(Err);
        }
        let ready = state.waiting.len().min(max.get());
        for waiting in state.waiting.drain(..ready).collect::<Vec<_>>() {
            state.bytes = state.bytes.saturating_sub(waiting.bytes);
            out.push(waiting.notification);
        }
        Some(Ok(()))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn push(&mut self, newest: Waiting) {
        self.bytes = self.bytes.saturating_add(newest.bytes);
        self.waiting.push_back(newest);
        while self.waiting.len() > 1 && (self.waiting.len() > Inbox::MOST || self.bytes > Inbox::MOST_BYTES) {
            let oldest = self.waiting.pop_front().map_or(0, |waiting| waiting.bytes);
            self.bytes = self.bytes.saturating_sub(oldest);
            self.merged = self.merged.saturating_add(1);
        }
    }
}
