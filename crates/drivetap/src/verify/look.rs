use std::collections::BTreeMap;

use drivetap_bridge::core::Item;
use jiff::Timestamp;
use serde_json::Value;

use super::difference::{Difference, Differences, Kind};
use super::fold::{Fold, State};
use super::marks::Marks;

/// From when on a feed's events have to tell of everything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Coverage {
    /// The events begin with the drive's whole content.
    Everything,
    /// Of what was modified from this time on.
    Since(Timestamp),
    /// There are no events.
    Nothing,
}

impl Coverage {
    /// `from_beginning`: the configuration says that the feed starts with what is there. That is believed while the events begin with
    /// the first number: a sink that was added later begins further on.
    pub(crate) fn of(fold: &Fold, from_beginning: bool) -> Self {
        let begins = fold.first_sequence.is_none_or(|first| first == 0);
        match fold.first {
            _ if fold.enumerated || (from_beginning && begins) => Self::Everything,
            Some(first) => Self::Since(first),
            None => Self::Nothing,
        }
    }

    /// A folder's time moves with what is in it, and then delta does not report the folder: for one, its creation counts. The root's
    /// counts never.
    fn covers(self, item: &Item) -> bool {
        let fields = item.fields();
        let time = |name: &str| fields.get(name).and_then(Value::as_str).and_then(|at| at.parse::<Timestamp>().ok());
        let has = |facet: &str| fields.get(facet).is_some_and(|facet| !facet.is_null());
        match self {
            Self::Everything => true,
            Self::Nothing => false,
            Self::Since(_) if has("root") => false,
            Self::Since(first) if has("folder") => time("createdDateTime").is_none_or(|at| at >= first),
            Self::Since(first) => item.last_modified().is_none_or(|at| at >= first),
        }
    }
}

/// One enumeration of a drive, item by item, beside what the events told. Of an item that comes twice, the last occurrence counts.
pub(crate) struct Look<'f> {
    fold: &'f mut Fold,
    coverage: Coverage,
    number: u64,
    /// What is not as it was told; `None` where that is not covered.
    found: BTreeMap<String, Option<Difference>>,
    seen: u64,
}

impl<'f> Look<'f> {
    /// The `number`-th look, counted from 1.
    pub(crate) fn new(fold: &'f mut Fold, coverage: Coverage, number: u64) -> Self {
        Self { fold, coverage, number, found: BTreeMap::new(), seen: 0 }
    }

    /// How many items were seen, those that came twice counted twice.
    pub(crate) fn seen(&self) -> u64 {
        self.seen
    }

    /// The next item of the enumeration.
    pub(crate) fn see(&mut self, item: &Item) {
        self.seen += 1;
        let entry = self.fold.items.get_mut(item.id());
        if item.is_deleted() {
            self.found.remove(item.id());
            entry.into_iter().for_each(|entry| entry.looked = 0);
            return;
        }
        let told = entry.map(|entry| {
            entry.looked = self.number;
            (entry.state, entry.by, entry.sequence)
        });
        let differ = match told {
            Some((State::Stub, ..)) => None,
            Some((State::There(marks), ..)) => {
                let parts = marks.differ_from(&Marks::of(&item.fields(), &self.fold.hasher));
                (!parts.is_empty()).then_some(Kind::Stale { parts })
            }
            Some((State::Gone, ..)) => Some(Kind::Missing { told_gone: true }),
            None => Some(Kind::Missing { told_gone: false }),
        };
        let Some(kind) = differ else {
            self.found.remove(item.id());
            return;
        };
        let difference = Difference {
            kind,
            path: path(item),
            modified: item.last_modified(),
            told: told.map(|(_, by, sequence)| (by, sequence)),
        };
        let covered = told.is_some() || self.coverage.covers(item);
        self.found.insert(item.id().to_owned(), covered.then_some(difference));
    }

    /// The enumeration was cut off and begins again: what it showed so far may be gone by now.
    pub(crate) fn begin_again(&mut self) {
        self.found.clear();
        let seen = self.fold.items.values_mut().filter(|entry| entry.looked == self.number);
        seen.for_each(|entry| entry.looked = 0);
    }

    /// The enumeration is over.
    pub(crate) fn finish(self) -> Differences {
        let mut differences = Differences::default();
        for (id, found) in self.found {
            differences.items += u64::from(!self.fold.items.contains_key(id.as_str()));
            match found {
                Some(difference) => differences.insert(id, difference),
                None => differences.not_covered += 1,
            }
        }
        for (id, entry) in &self.fold.items {
            differences.items += u64::from(entry.looked == self.number);
            if entry.state != State::Gone && entry.looked != self.number {
                let told = Some((entry.by, entry.sequence));
                let path = Some(entry.name.to_string()).filter(|name| !name.is_empty());
                differences.insert(id.to_string(), Difference { kind: Kind::Extra, path, modified: None, told });
            }
        }
        differences
    }
}

/// As far as Graph tells it: `parentReference.path` is absent from most answers.
fn path(item: &Item) -> Option<String> {
    let fields = item.fields();
    if fields.get("root").is_some_and(|facet| !facet.is_null()) {
        return Some("/".to_owned());
    }
    let name = fields.get("name")?.as_str()?;
    let folder = fields.get("parentReference").and_then(|parent| parent["path"].as_str()?.split_once("root:"));
    Some(folder.map_or_else(|| name.to_owned(), |(_, folder)| format!("{folder}/{name}")))
}
