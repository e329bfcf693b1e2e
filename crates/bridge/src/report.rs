use std::fmt;

/// What became of every event, sink by sink.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// In the order in which the sinks were added.
    pub sinks: Vec<SinkReport>,
}

impl Report {
    /// The sums over all sinks.
    #[must_use]
    pub fn total(&self) -> Counts {
        self.sinks.iter().fold(Counts::default(), |sum, sink| sum.plus(sink.counts))
    }
}

/// What became of every event that a sink was offered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SinkReport {
    /// The sink's name.
    pub name: String,
    /// Its counts.
    pub counts: Counts,
}

impl fmt::Display for SinkReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "sink {}: {}", self.name, self.counts)
    }
}

/// Every event ends in exactly one of `delivered`, `dead_lettered`, `abandoned`; `merged` counts the notifications that another one
/// stands for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Acknowledged by the sink.
    pub delivered: u64,
    /// Refused by the sink for good, and kept where a person finds it.
    pub dead_lettered: u64,
    /// Without an acknowledgement at exit, or lost by a live sink.
    pub abandoned: u64,
    /// Signals that were folded into a newer one of their feed.
    pub merged: u64,
}

impl Counts {
    fn plus(self, other: Self) -> Self {
        Self {
            delivered: self.delivered + other.delivered,
            dead_lettered: self.dead_lettered + other.dead_lettered,
            abandoned: self.abandoned + other.abandoned,
            merged: self.merged + other.merged,
        }
    }
}

impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { delivered, dead_lettered, abandoned, merged } = self;
        write!(f, "delivered={delivered} dead_lettered={dead_lettered} abandoned={abandoned} merged={merged}")
    }
}
