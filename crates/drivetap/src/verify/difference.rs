use std::collections::BTreeMap;

use jiff::Timestamp;

/// What one look at a drive found, by the item's id.
#[derive(Debug, Default)]
pub(crate) struct Differences {
    found: BTreeMap<String, Difference>,
    /// Items of the drive that the events need not tell of.
    pub(crate) not_covered: u64,
    /// Items of the drive.
    pub(crate) items: u64,
}

/// What is not as the events told it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Difference {
    pub(crate) kind: Kind,
    /// The item's path as far as it is known, else its name.
    pub(crate) path: Option<String>,
    /// In the drive.
    pub(crate) modified: Option<Timestamp>,
    /// The newest event about it: the hash of its id, and its sequence.
    pub(crate) told: Option<(u64, u64)>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// The drive has it, and the events do not.
    Missing {
        /// They said that it is gone.
        told_gone: bool,
    },
    /// The events have it, and the drive does not.
    Extra,
    /// Both have it, and it differs.
    Stale {
        /// In what.
        parts: Vec<&'static str>,
    },
}

impl Differences {
    pub(super) fn insert(&mut self, id: String, difference: Difference) {
        self.found.insert(id, difference);
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.found.is_empty()
    }

    pub(crate) fn len(&self) -> usize {
        self.found.len()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, &Difference)> {
        self.found.iter().map(|(id, difference)| (id.as_str(), difference))
    }

    /// Lets go of those that do not stand since the look before, and says how many.
    pub(crate) fn keep_standing(&mut self, before: &Self) -> usize {
        let found = self.found.len();
        self.found.retain(|id, now| before.found.get(id).is_some_and(|then| then.told == now.told));
        found - self.found.len()
    }

    /// Whether each of them stands since the look before: it differed then, and no event about it came in between. An item that events
    /// tell of while it is looked at is on its way, and has to be looked at again.
    pub(crate) fn stand_since(&self, before: &Self) -> bool {
        self.found.iter().all(|(id, now)| before.found.get(id).is_some_and(|then| then.told == now.told))
    }
}
