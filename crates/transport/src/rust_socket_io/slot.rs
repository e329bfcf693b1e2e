use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::OpenError;

/// How many sessions stand, and how many may.
#[derive(Debug)]
pub(super) struct Slots {
    max: usize,
    taken: Arc<AtomicUsize>,
}

/// The right to one session, given back on drop.
#[derive(Debug)]
pub(super) struct Slot(Arc<AtomicUsize>);

impl Slots {
    pub(super) fn new(max: usize) -> Self {
        Self { max, taken: Arc::default() }
    }

    /// A slot; a renewal gets one even where there is none.
    pub(super) fn take(&self, renewal: bool) -> Result<Slot, OpenError> {
        let one_more = |taken: usize| (renewal || taken < self.max).then_some(taken.saturating_add(1));
        match self.taken.fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_more) {
            Ok(_) => Ok(Slot(Arc::clone(&self.taken))),
            Err(_) => Err(OpenError::NO_ROOM),
        }
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_renewal_gets_a_slot_where_there_is_none_and_gives_it_back() {
        let slots = Slots::new(1);
        let first = slots.take(false).unwrap();
        assert_eq!(slots.take(false).unwrap_err(), OpenError::NO_ROOM);
        let second = slots.take(true).unwrap();
        drop(first);
        assert_eq!(slots.take(false).unwrap_err(), OpenError::NO_ROOM, "the renewed session holds the slot now");
        drop(second);
        slots.take(false).unwrap();
    }
}
