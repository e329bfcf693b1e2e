use std::fmt;

/// Which numbers were seen: a run in which one of them is missing, or comes twice, has failed.
#[derive(Debug)]
pub(crate) struct Ledger {
    seen: Vec<bool>,
    pub(crate) count: u64,
    twice: u64,
    /// Without a number, or with one that was never sent.
    strange: u64,
}

impl Ledger {
    pub(crate) fn new(count: u64) -> Self {
        Self { seen: vec![false; usize::try_from(count).unwrap()], count: 0, twice: 0, strange: 0 }
    }

    pub(crate) fn see(&mut self, number: Option<u64>) {
        self.count += 1;
        match number.and_then(|number| self.seen.get_mut(usize::try_from(number).ok()?)) {
            Some(seen) if *seen => self.twice += 1,
            Some(seen) => *seen = true,
            None => self.strange += 1,
        }
    }

    /// Whether as many came as were sent.
    pub(crate) fn is_full(&self) -> bool {
        self.count >= u64::try_from(self.seen.len()).unwrap()
    }

    pub(crate) fn is_right(&self) -> bool {
        self.is_full() && self.is_without_repeats()
    }

    /// Nothing but what was sent, and nothing twice.
    pub(crate) fn is_without_repeats(&self) -> bool {
        self.twice == 0 && self.strange == 0
    }
}

impl fmt::Display for Ledger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { seen, count, twice, strange } = self;
        let missing = seen.iter().filter(|seen| !**seen).count();
        write!(f, "{count} of {} came, {missing} missing, {twice} twice, {strange} strange", seen.len())
    }
}
