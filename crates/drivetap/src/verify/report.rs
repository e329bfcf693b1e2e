use std::fmt::Write as _;

use drivetap_bridge::core::escape::for_text;
use serde_json::{Value, json};

use super::difference::{Difference, Differences, Kind};
use super::fold::{Fold, SequenceGap};

/// What a verification found. As text: a line for each difference, a line for each skip in a sequence, and the numbers last:
///
/// ```text
/// missing   01ABC  /Plans/plan.docx  last modified 2026-05-11T21:52:27Z, never told  [default/b!…]
/// sequence  after 41 comes 44 at partition 0, offset 97  [default/b!…]
/// 1 missing, 0 extra, 0 stale, 3 repeats, 12 not covered
/// ```
#[derive(Debug, Default)]
pub(crate) struct Report {
    pub(crate) feeds: Vec<FeedReport>,
}

/// One feed's part of it.
#[derive(Debug)]
pub(crate) struct FeedReport {
    /// `account/drive`.
    pub(crate) feed: String,
    pub(crate) differences: Differences,
    pub(crate) events: u64,
    pub(crate) repeats: u64,
    pub(crate) stubs: u64,
    /// How many items the drive has.
    pub(crate) items: u64,
    pub(crate) first_sequence: Option<u64>,
    pub(crate) gaps: Vec<SequenceGap>,
    /// Gap events of a live sink.
    pub(crate) overflows: u64,
    /// How many partitions the events stand in.
    pub(crate) partitions: usize,
}

/// The numbers of the last line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Numbers {
    missing: u64,
    extra: u64,
    stale: u64,
    repeats: u64,
    not_covered: u64,
}

impl FeedReport {
    pub(crate) fn new(feed: String, fold: &Fold, differences: Differences) -> Self {
        Self {
            feed,
            items: differences.items,
            differences,
            events: fold.events,
            repeats: fold.repeats,
            stubs: fold.stubs(),
            first_sequence: fold.first_sequence,
            gaps: fold.gaps.clone(),
            overflows: fold.overflows,
            partitions: fold.partitions.len(),
        }
    }

    /// What a person should know who reads the numbers.
    pub(crate) fn remarks(&self) -> Vec<String> {
        let Self { feed, events, items, stubs, .. } = self;
        let mut remarks = vec![format!("{feed}: {events} events, {items} items in the drive")];
        if *events == 0 {
            remarks
                .push(format!("{feed}: no event is of this feed, so nothing is held against the drive; is it the right place?"));
        }
        if let Some(first) = self.first_sequence.filter(|first| *first > 0) {
            remarks.push(format!("{feed}: the events begin with sequence {first}"));
        }
        if *stubs > 0 {
            remarks.push(format!("{feed}: {stubs} items are known by a stub only (truncated), so their content is not compared"));
        }
        if self.overflows > 0 {
            remarks.push(format!("{feed}: {} gap events tell of changes that the sink dropped", self.overflows));
        }
        if self.partitions > 1 {
            remarks.push(format!("{feed}: the events stand in {} partitions, so their order is not known", self.partitions));
        }
        remarks
    }

    fn numbers(&self) -> Numbers {
        let count = |of: fn(&Kind) -> bool| {
            let differences = self.differences.iter().filter(|(_, difference)| of(&difference.kind));
            u64::try_from(differences.count()).unwrap_or(u64::MAX)
        };
        Numbers {
            missing: count(|kind| matches!(kind, Kind::Missing { .. })),
            extra: count(|kind| matches!(kind, Kind::Extra)),
            stale: count(|kind| matches!(kind, Kind::Stale { .. })),
            repeats: self.repeats,
            not_covered: self.differences.not_covered,
        }
    }
}

impl Report {
    /// Whether nothing is missing, extra or stale.
    pub(crate) fn is_clean(&self) -> bool {
        self.feeds.iter().all(|feed| feed.differences.is_empty())
    }

    /// As lines; what came from Graph is escaped.
    pub(crate) fn to_text(&self) -> String {
        let mut text = String::new();
        for feed in &self.feeds {
            let name = for_text(&feed.feed);
            for (id, difference) in feed.differences.iter() {
                let word = difference.kind.word();
                let path = difference.path.as_deref().unwrap_or("(no name)");
                let (id, path) = (for_text(id), for_text(path));
                let _ = writeln!(text, "{word:<8}  {id}  {path}  {}  [{name}]", difference.words());
            }
            for SequenceGap { after, next, at } in &feed.gaps {
                let _ = writeln!(text, "sequence  after {after} comes {next} at {at}  [{name}]");
            }
        }
        let Numbers { missing, extra, stale, repeats, not_covered } = self.numbers();
        let _ = write!(text, "{missing} missing, {extra} extra, {stale} stale, {repeats} repeats, {not_covered} not covered");
        text
    }

    /// As one JSON object.
    pub(crate) fn to_json(&self) -> Value {
        let Numbers { missing, extra, stale, repeats, not_covered } = self.numbers();
        let feed = |feed: &FeedReport| {
            let differences: Vec<_> = feed.differences.iter().map(|(id, difference)| difference.to_json(id)).collect();
            let gaps: Vec<_> =
                feed.gaps.iter().map(|gap| json!({ "after": gap.after, "next": gap.next, "at": gap.at.to_string() })).collect();
            json!({
                "feed": feed.feed,
                "events": feed.events,
                "items": feed.items,
                "truncated": feed.stubs,
                "first_sequence": feed.first_sequence,
                "differences": differences,
                "sequence_gaps": gaps,
            })
        };
        json!({
            "missing": missing,
            "extra": extra,
            "stale": stale,
            "repeats": repeats,
            "not_covered": not_covered,
            "feeds": self.feeds.iter().map(feed).collect::<Vec<_>>(),
        })
    }

    fn numbers(&self) -> Numbers {
        self.feeds.iter().map(FeedReport::numbers).fold(Numbers::default(), |sum, feed| Numbers {
            missing: sum.missing + feed.missing,
            extra: sum.extra + feed.extra,
            stale: sum.stale + feed.stale,
            repeats: sum.repeats + feed.repeats,
            not_covered: sum.not_covered + feed.not_covered,
        })
    }
}

impl Kind {
    fn word(&self) -> &'static str {
        match self {
            Self::Missing { .. } => "missing",
            Self::Extra => "extra",
            Self::Stale { .. } => "stale",
        }
    }
}

impl Difference {
    fn words(&self) -> String {
        let modified =
            self.modified.map_or_else(|| "last modified at an unknown time".to_owned(), |at| format!("last modified {at}"));
        let told = self.told.map_or_else(|| "never told".to_owned(), |(_, sequence)| format!("last told by sequence {sequence}"));
        match &self.kind {
            Kind::Missing { told_gone: true } => format!("{modified}, told as gone; {told}"),
            Kind::Missing { told_gone: false } => format!("{modified}, {told}"),
            Kind::Extra => format!("not in the drive; {told}"),
            Kind::Stale { parts } => format!("{modified}, differs in {}; {told}", parts.join(", ")),
        }
    }

    fn to_json(&self, id: &str) -> Value {
        let parts = match &self.kind {
            Kind::Stale { parts } => parts.as_slice(),
            Kind::Missing { .. } | Kind::Extra => &[],
        };
        json!({
            "is": self.kind.word(),
            "id": id,
            "path": self.path,
            "last_modified": self.modified.map(|at| at.to_string()),
            "differs_in": parts,
            "told_as_gone": matches!(self.kind, Kind::Missing { told_gone: true }),
            "last_sequence": self.told.map(|(_, sequence)| sequence),
        })
    }
}
