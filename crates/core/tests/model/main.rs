//! What `drivetap-core` promises about its values: parsing, printing, identity, secrets. The `Feed` has tests of its own.
#![expect(clippy::unwrap_used, reason = "a helper that meets the unexpected fails its test there")]

mod backoff;
mod delta;
mod drive;
mod event;
mod event_id;
mod item;
mod notification;
mod notification_url;
mod resource;
mod schema;
mod subscription;

/// Stands where a secret stands in the wild. It may be in no text that is made for people.
pub(crate) const CANARY: &str = "c4n4ry";

/// Fails when `printed`, made for people from what holds the canary, shows it.
#[track_caller]
pub(crate) fn assert_silent(printed: &str) {
    assert!(!printed.contains(CANARY), "a secret was printed: {printed}");
}
