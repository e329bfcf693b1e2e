//! What a sink holds against what a drive holds: the decisions of `drivetap verify`, without a network or a clock.
//!
//! - [`Told`]: an event as it was read back. [`Folds`]: what a consumer knows that applied all of them, feed by feed.
//! - [`Look`]: one enumeration of a drive beside a fold. [`Differences`]: what it found, and which of it still stands at the next look.
//! - [`Report`]: the numbers and the lines.
//!
//! The consumer folded here is the one that the event contract asks for: it applies a feed's events in order, drops an event whose id
//! equals that of the newest it applied for that item, and takes an item for gone that a resync's enumeration did not show.
//!
//! What counts as what:
//!
//! | the drive | the events | is |
//! |---|---|---|
//! | has it | told, with the same content | in order |
//! | has it | told, with other content | stale |
//! | has it | told as a stub (`truncated: true`), whose content nobody knows | in order: a stub says that the item is there, and no more |
//! | has it | told as deleted, or gone in a resync | missing |
//! | has it | never told | missing, or not covered where it was last modified before the feed's first event |
//! | does not have it | told as there | extra |
//!
//! Memory: some 450 bytes for each item that the events tell of, 8 bytes for each event, as much as for an item again for each difference
//! of a look. (300,000 items from a file: 148 MB at the peak, by `/usr/bin/time -v drivetap verify -c FILE --events FILE`.) Items
//! themselves are not kept.

mod difference;
mod fold;
mod look;
mod marks;
mod report;
mod told;

pub(crate) use self::difference::Differences;
pub(crate) use self::fold::Folds;
pub(crate) use self::look::{Coverage, Look};
pub(crate) use self::report::{FeedReport, Report};
pub(crate) use self::told::{Place, Told, Unread};

#[cfg(test)]
mod tests;
