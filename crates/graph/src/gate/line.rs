use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use drivetap_core::feed::Urgency;
use tokio::sync::Notify;

/// Who waits, in what order: by urgency, and within one urgency by arrival.
///
/// Only the first in line acts; everybody else sleeps until it is first. A line has no clock and no task.
#[derive(Debug, Default)]
pub(super) struct Line {
    order: Mutex<Order>,
}

#[derive(Debug, Default)]
struct Order {
    /// The number of the last one that came.
    last: u64,
    waiting: BTreeMap<Key, Arc<Notify>>,
}

/// Urgency first, most urgent lowest; then the number.
type Key = (Urgency, u64);

/// A place in the line. Dropping it gives it up, and wakes whoever is first then.
#[derive(Debug)]
pub(super) struct Place<'a> {
    line: &'a Line,
    key: Key,
    told: Arc<Notify>,
}

impl Line {
    /// At the end of its urgency. Whoever was first may not be any more.
    pub(super) fn enter(&self, urgency: Urgency) -> Place<'_> {
        let mut order = self.order();
        order.last += 1;
        let (key, told) = ((urgency, order.last), Arc::new(Notify::new()));
        order.waiting.insert(key, Arc::clone(&told));
        Place { line: self, key, told }
    }

    /// How many are in it.
    pub(super) fn len(&self) -> usize {
        self.order().waiting.len()
    }

    /// Wakes whoever is first: what it waits for may be there.
    pub(super) fn tell_first(&self) {
        if let Some((_, first)) = self.order().waiting.first_key_value() {
            first.notify_one();
        }
    }

    fn order(&self) -> MutexGuard<'_, Order> {
        self.order.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Order {
    fn first(&self) -> Option<&Key> {
        self.waiting.first_key_value().map(|(key, _)| key)
    }
}

impl Place<'_> {
    /// Waits until nobody is in front. **Cancel safe.**
    pub(super) async fn first(&self) {
        // Who becomes first is told once, and the telling waits for it: none is lost between the look and the sleep.
        while self.line.order().first() != Some(&self.key) {
            self.told().await;
        }
    }

    /// Waits until it is told something, that it is first or [`Line::tell_first`]; at times for no reason. **Cancel safe.**
    pub(super) async fn told(&self) {
        self.told.notified().await;
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        let mut order = self.line.order();
        order.waiting.remove(&self.key);
        if let Some((key, next)) = order.waiting.first_key_value()
            && *key > self.key
        {
            next.notify_one();
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    #[test]
    fn the_most_urgent_is_first_and_within_one_urgency_the_oldest() {
        let line = Line::default();
        let safety = line.enter(Urgency::Safety);
        let first = line.enter(Urgency::First);
        let signalled = [line.enter(Urgency::Signalled), line.enter(Urgency::Signalled)];
        let endpoint = line.enter(Urgency::Endpoint);
        let [one, two] = signalled;
        for (n, place) in [endpoint, one, two, first, safety].into_iter().enumerate() {
            assert!(place.first().now_or_never().is_some(), "{n} is first when those before are gone");
        }
        assert_eq!(line.len(), 0);
    }

    #[test]
    fn a_place_that_is_given_up_holds_nobody() {
        let line = Line::default();
        let (a, b, c) = (line.enter(Urgency::First), line.enter(Urgency::First), line.enter(Urgency::First));
        assert!(b.first().now_or_never().is_none());
        drop(b);
        assert!(c.first().now_or_never().is_none(), "the one in front is still there");
        drop(a);
        assert!(c.first().now_or_never().is_some());
    }
}
