use std::collections::VecDeque;
use std::sync::Arc;

use drivetap_core::{Event, EventType};
use drivetap_sink::{Outcome, Stop};

use super::inlet::{Fate, Slot};

/// What a sink is being offered, and what follows from each of its answers.
///
/// No I/O and no clock: the dispatcher performs what is decided here, and the proofs drive the same code through every crash.
///
/// *Invariant:* the order never changes. A slot leaves at the front, when it is durable or in the dead letters.
#[derive(Debug, Default)]
pub(crate) struct Batch {
    slots: VecDeque<Slot>,
}

/// What the dispatcher does after an answer.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Next {
    /// Nothing is left.
    Done,
    /// What is left is on its way: offer it again at once, with more behind it.
    GoOn,
    /// Offer what is left, but not in a tight loop: the sink stopped without a reason.
    Wait,
    /// Connect again, then offer what is left.
    Reconnect { reason: String },
    /// Alarm, wait, offer what is left.
    Hold { what: String },
    /// Bring the [`first`](Batch::first) event to the dead letters, then say so with [`Batch::kept`].
    Keep { code: String, reason: String },
}

impl Batch {
    pub(crate) fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }

    pub(crate) fn len(&self) -> usize {
        self.slots.len()
    }

    pub(crate) fn bytes(&self) -> usize {
        self.slots.iter().map(|slot| slot.event.size()).sum()
    }

    pub(crate) fn first(&self) -> Option<&Arc<Event>> {
        self.slots.front().map(|slot| &slot.event)
    }

    /// Everything from the first event that is not durable, in order.
    pub(crate) fn offer(&self) -> Vec<Arc<Event>> {
        self.slots.iter().map(|slot| Arc::clone(&slot.event)).collect()
    }

    /// Everything, for a sink that is gone.
    #[must_use = "each slot that comes out has to be counted, and its ticket punched"]
    pub(crate) fn abandon(&mut self) -> Vec<(Slot, Fate)> {
        let fate = |slot: &Slot| if slot.rejected { Fate::DeadLettered } else { Fate::Abandoned };
        self.slots.drain(..).map(|slot| (fate(&slot), slot)).map(|(fate, slot)| (slot, fate)).collect()
    }

    /// Takes the sink's answer to [`offer`](Self::offer); hands out what is settled by it.
    #[must_use = "each slot that comes out has to be counted, and its ticket punched"]
    pub(crate) fn answered(&mut self, Outcome { acked, stop }: Outcome) -> (Vec<(Slot, Fate)>, Next) {
        let durable = self.slots.drain(..acked.min(self.slots.len()));
        let settled = durable
            .map(|slot| {
                let fate = if slot.rejected { Fate::DeadLettered } else { Fate::Delivered };
                (slot, fate)
            })
            .collect();
        let next = match stop {
            None | Some(Stop::Underway) if self.slots.is_empty() => Next::Done,
            None => Next::Wait,
            Some(Stop::Underway) => Next::GoOn,
            Some(Stop::Reconnect { reason }) => Next::Reconnect { reason },
            Some(Stop::Hold { what }) => Next::Hold { what },
            Some(Stop::Reject { code, reason }) => match self.slots.front() {
                None => Next::Done,
                Some(slot) if slot.rejected => {
                    let id = slot.event.id();
                    // A topic that takes not even a stub takes nothing; without the stub a number would be missing.
                    Next::Hold {
                        what: format!(
                            "event {id} is in the dead letters, but the stub in its place was refused, too: {code}: {reason}"
                        ),
                    }
                }
                Some(_) => Next::Keep { code, reason },
            },
        };
        (settled, next)
    }

    /// The first event is safe in the dead letters. A change or resync leaves a stub in its place, so that `sequence` never skips;
    /// anything else is settled by it.
    #[must_use = "a slot that comes out has to be counted"]
    pub(crate) fn kept(&mut self) -> Option<(Slot, Fate)> {
        let slot = self.slots.front_mut()?;
        slot.rejected = true;
        if matches!(slot.event.event_type(), EventType::Change | EventType::Resync) {
            slot.event = Arc::new(slot.event.stub());
            return None;
        }
        self.slots.pop_front().map(|slot| (slot, Fate::DeadLettered))
    }
}

impl Extend<Slot> for Batch {
    fn extend<T: IntoIterator<Item = Slot>>(&mut self, slots: T) {
        self.slots.extend(slots);
    }
}
