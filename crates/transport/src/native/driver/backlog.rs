use std::collections::VecDeque;

use drivetap_core::Notification;

use crate::inbox::Inbox;
use crate::{Ended, Who, Why};

/// What has arrived and was not handed over: the arguments of `notification` events, each as the one copy that is made of it.
///
/// Full, the oldest give way to the newest, as in every [`Inbox`]; what gave way is counted, and only for that is it read.
#[derive(Debug, Default)]
pub(in crate::native) struct Backlog {
    waiting: VecDeque<Box<str>>,
    bytes: usize,
    merged: u64,
}

/// A part of it on its way to the reader.
#[derive(Debug, Default)]
pub(in crate::native) struct Batch {
    pub(in crate::native) arguments: VecDeque<Box<str>>,
    /// How many notifications gave way since the batch before.
    pub(in crate::native) merged: u64,
}

impl Backlog {
    /// The most that is handed over at a time, and as much is worth a wake-up before the socket is empty.
    pub(super) const BATCH: usize = 64;

    /// # Errors
    /// How the session ends, where what gives way turns out to be no notification.
    pub(in crate::native) fn push(&mut self, argument: &str) -> Result<(), Ended> {
        self.bytes += argument.len();
        self.waiting.push_back(argument.into());
        while self.waiting.len() > 1 && (self.waiting.len() > Inbox::MOST || self.bytes > Inbox::MOST_BYTES) {
            let oldest = self.waiting.pop_front().unwrap_or_default();
            self.bytes -= oldest.len();
            let gave_way = u64::try_from(notifications(&oldest)?.len()).unwrap_or(u64::MAX);
            self.merged = self.merged.saturating_add(gave_way);
        }
        Ok(())
    }

    /// The oldest, and the count so far.
    pub(in crate::native) fn batch(&mut self) -> Batch {
        let rest = self.waiting.split_off(self.waiting.len().min(Self::BATCH));
        let arguments = std::mem::replace(&mut self.waiting, rest);
        self.bytes -= arguments.iter().map(|argument| argument.len()).sum::<usize>();
        Batch { arguments, merged: std::mem::take(&mut self.merged) }
    }

    /// What its arguments and their places may take, beside the newest, which stays whatever its size.
    #[cfg(feature = "fuzzing")]
    pub(in crate::native) const MOST_MEMORY: usize = Inbox::MOST_BYTES + 2 * (Inbox::MOST + 1) * size_of::<Box<str>>();

    /// The bytes of memory that it holds.
    #[cfg(feature = "fuzzing")]
    pub(in crate::native) fn memory(&self) -> usize {
        let arguments: usize = self.waiting.iter().map(|argument| argument.len()).sum();
        assert_eq!(arguments, self.bytes, "what is counted is what is there");
        arguments + self.waiting.capacity() * size_of::<Box<str>>()
    }

    pub(in crate::native) fn len(&self) -> usize {
        self.waiting.len()
    }

    pub(in crate::native) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }
}

/// What an argument says.
///
/// # Errors
/// How the session ends on what is no notification.
pub(in crate::native) fn notifications(argument: &str) -> Result<Vec<Notification>, Ended> {
    Notification::parse(argument).map_err(|error| Ended { by: Who::Server, why: Why::Malformed(error.to_string()) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_notification_is_handed_over_or_counted() {
        let mut backlog = Backlog::default();
        // Three a frame.
        for _ in 0..Inbox::MOST + 10 {
            backlog.push(r#"{"value":[{},{},{}]}"#).unwrap();
        }
        assert_eq!(backlog.len(), Inbox::MOST);
        let batch = backlog.batch();
        assert_eq!((batch.arguments.len(), batch.merged), (Backlog::BATCH, 30));
        assert_eq!(backlog.batch().merged, 0, "counted once");
    }

    #[test]
    fn its_bytes_have_a_bound_and_the_newest_stays() {
        let mut backlog = Backlog::default();
        let large = format!(r#"{{"x":"{}"}}"#, "x".repeat(Inbox::MOST_BYTES));
        for expected in [1, 1, 1] {
            backlog.push(&large).unwrap();
            assert_eq!(backlog.len(), expected);
        }
        backlog.push("{}").unwrap();
        assert_eq!((backlog.len(), backlog.bytes, backlog.batch().merged), (1, 2, 3));
        assert_eq!((backlog.bytes, backlog.is_empty()), (0, true));
    }

    #[test]
    fn what_gives_way_and_is_no_notification_ends_the_session() {
        let mut backlog = Backlog::default();
        backlog.push("7").unwrap();
        let mut pushed = (0..Inbox::MOST).map(|_| backlog.push("{}"));
        assert!(matches!(pushed.find_map(Result::err), Some(Ended { by: Who::Server, why: Why::Malformed(_) })));
    }
}
