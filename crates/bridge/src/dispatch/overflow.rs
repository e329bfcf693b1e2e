use std::sync::Arc;

use drivetap_core::feed::Loss;
use drivetap_core::{Event, EventType};
use jiff::Timestamp;

use super::ticket::Progress;

/// A loss that a slot tells of.
#[derive(Debug)]
pub(super) struct Told {
    pub(super) from: Timestamp,
    pub(super) progress: Arc<Progress>,
}

/// What a live sink lost of one feed.
#[derive(Debug, Default)]
pub(super) struct Overflow {
    /// The first and the last of what has a place in the sequence.
    pub(super) numbered: Option<(Arc<Event>, Arc<Event>)>,
    /// The gap in the signals that it was to hear of, and hears of later: one range over all of them.
    pub(super) gap: Option<Arc<Event>>,
    /// Who wants to hear that it was told.
    pub(super) progress: Option<Arc<Progress>>,
}

impl Overflow {
    /// What of it has numbers.
    pub(super) fn loss(&self, sink: &str) -> Option<Loss> {
        let (first, last) = self.numbered.as_ref()?;
        let number = |event: &Event| event.sequence().map_or(0, |sequence| sequence.0);
        Some(Loss { sink: sink.to_owned(), from: first.recorded_time(), first: number(first), last: number(last) })
    }

    pub(super) fn begins_at(&self, from: Timestamp) -> bool {
        self.numbered.as_ref().is_some_and(|(first, _)| first.recorded_time() == from)
    }

    /// True for an event that is told later; false for one that is lost for good.
    pub(super) fn add(&mut self, event: &Arc<Event>) -> bool {
        match event.event_type() {
            EventType::Gap => {
                // Of two gaps the range of both is told, by one event.
                let earlier = self.gap.take();
                self.gap = Some(match &earlier {
                    Some(earlier) => Arc::new(Event::clone(event).reaching_back_to(earlier)),
                    None => Arc::clone(event),
                });
                earlier.is_none()
            }
            _ => {
                let first = self.numbered.take().map_or_else(|| Arc::clone(event), |(first, _)| first);
                self.numbered = Some((first, Arc::clone(event)));
                false
            }
        }
    }
}
