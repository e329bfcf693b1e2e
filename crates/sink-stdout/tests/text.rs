//! The readable line of each kind of event.
#![expect(clippy::unwrap_used, clippy::panic, reason = "test code")]

use std::sync::Arc;

use drivetap_core::{
    Drive, DriveType, Event, FeedId, GapData, GapReason, Item, Notification, Origin, Position, Resource, ResyncPhase, Sequence,
};
use drivetap_sink_stdout::{Style, format_text, format_text_within};
use serde_json::{Value, json};

const AT: &str = "2026-05-28T20:26:41.25Z";

#[test]
fn a_change_says_what_where_who_and_how_large() {
    for (item, line) in [
        (
            json!({"id": "1", "name": "plan.docx", "size": 12345, "file": {}, "parentReference": {"path": "/drives/b!x/root:/Documents/2026"},
                "lastModifiedBy": {"user": {"displayName": "Adele Vance"}}}),
            "changed  /Documents/2026/plan.docx  Adele Vance  12.3 kB",
        ),
        (
            json!({"id": "1", "name": "Documents", "folder": {}, "size": 9, "parentReference": {"path": "/drive/root:"}}),
            "changed  /Documents/",
        ),
        (json!({"id": "1", "name": "root", "root": {}, "folder": {}}), "changed  /"),
        (json!({"id": "1", "name": "a.txt", "file": {}}), "changed  a.txt"),
        (
            json!({"id": "1", "name": "a.txt", "lastModifiedBy": {"user": {"displayName": "", "email": "adele@contoso.com"}}}),
            "changed  a.txt  adele@contoso.com",
        ),
        (json!({"id": "1", "name": "a.txt", "lastModifiedBy": {"application": {"displayName": "Flow"}}}), "changed  a.txt  Flow"),
        (json!({"id": "01ABC"}), "changed  01ABC"),
        (json!({"id": "01ABC", "deleted": {"state": "deleted"}}), "deleted  01ABC"),
        (
            json!({"id": "01ABC", "name": "old.txt", "deleted": {}, "parentReference": {"path": "/drive/root:/Old"}}),
            "deleted  /Old/old.txt",
        ),
        (json!({"id": "1", "name": "a\u{202e}b\nc\u{1b}[31m"}), "changed  a\\u{202e}b\\u{a}c\\u{1b}[31m"),
    ] {
        assert_eq!(plain(&change(item)), format!("2026-05-28T20:26:41Z  {line}  [me]"));
    }
}

#[test]
fn a_stub_says_that_it_is_one() {
    let stub = change(json!({"id": "01ABC", "name": "x".repeat(1_000)})).stub();
    assert_eq!(plain(&stub), "2026-05-28T20:26:41Z  changed  01ABC  (truncated)  [me]");
}

#[test]
fn a_signal_says_how_many_it_stands_for() {
    let signal =
        |text: &str| Event::signal(&origin(), &"me".into(), &Notification::parse(text).unwrap()[0], 1, AT.parse().unwrap());
    for (event, line) in [
        (signal(r#"{"value":[{"subscriptionId":"5554a2f6","siteUrl":"/personal/adele"}]}"#), "signal   /personal/adele"),
        (signal("{}").with_merged(300), "signal   300 notifications"),
        (signal("{}"), "signal "),
    ] {
        assert_eq!(plain(&event), format!("2026-05-28T20:26:41Z  {line}  [me]"));
    }
}

#[test]
fn a_gap_says_from_when_to_when_why_and_whether_it_matters() {
    let gap = GapData {
        from: "2026-05-28T20:00:00Z".parse().unwrap(),
        to: "2026-05-28T20:26:41Z".parse().unwrap(),
        reason: GapReason::Disconnected,
        affects: "signals",
        recovered_by_walk: true,
        from_sequence: None,
        to_sequence: None,
    };
    let dropped = GapData {
        reason: GapReason::SinkOverflow,
        affects: "changes",
        recovered_by_walk: false,
        from_sequence: Some(Sequence(0)),
        to_sequence: Some(Sequence(1200)),
        ..gap.clone()
    };
    let stretch = "2026-05-28T20:00:00Z to 2026-05-28T20:26:41Z";
    for (gap, line) in [
        (gap, format!("signals may have been missed  {stretch}  disconnected  recovered by a walk")),
        (dropped, format!("changes 0 to 1200 were dropped  {stretch}  sink_overflow  not recovered")),
    ] {
        let event = Event::gap(&origin(), &"me".into(), &gap, AT.parse().unwrap());
        assert_eq!(plain(&event), format!("2026-05-28T20:26:41Z  gap      {line}  [me]"));
    }
}

#[test]
fn a_resync_says_its_phase() {
    for (phase, line) in [
        (
            ResyncPhase::Started { code: "resyncChangesApplyDifferences".to_owned() },
            "started  resyncChangesApplyDifferences  generation 3",
        ),
        (ResyncPhase::Completed { items: 12 }, "completed  12 items  generation 3"),
    ] {
        let event = Event::resync(&origin(), &"me".into(), 3, Sequence(9), &phase, AT.parse().unwrap());
        assert_eq!(plain(&event), format!("2026-05-28T20:26:41Z  resync   {line}  [me]"));
    }
}

#[test]
fn colours_add_escape_sequences_of_our_own_and_nothing_else() {
    let event = change(json!({"id": "1", "name": "a\u{1b}[0m.txt"}));
    assert_eq!(
        format_text(&event, Style::Coloured),
        "\u{1b}[2m2026-05-28T20:26:41Z\u{1b}[0m  \u{1b}[32mchanged\u{1b}[0m  a\\u{1b}[0m.txt  \u{1b}[2m[me]\u{1b}[0m"
    );
}

#[test]
fn a_line_is_no_wider_than_its_terminal() {
    let item = json!({"id": "1", "name": "Grüße 你好.docx", "size": 12345, "file": {}, "parentReference": {"path": "/drive/root:/Documents/2026"},
        "lastModifiedBy": {"user": {"displayName": "Adele Vance"}}});
    let event = change(item);
    for (width, line) in [
        (200, "2026-05-28T20:26:41Z  changed  /Documents/2026/Grüße 你好.docx  Adele Vance  12.3 kB  [me]"),
        (80, "2026-05-28T20:26:41Z  changed  …/Grüße 你好.docx  Adele Vance  12.3 kB  [me]"),
        (66, "2026-05-28T20:26:41Z  changed  …/2026/Grüße 你好.docx  Adele Vance"),
        (60, "2026-05-28T20:26:41Z  changed  …/2026/Grüße 你好.docx"),
        (42, "2026-05-28T20:26:41Z  changed  /Documents…"),
        (38, "changed  …/2026/Grüße 你好.docx"),
        (20, "changed  /Documents…"),
        (8, "changed"),
    ] {
        assert_eq!(format_text_within(&event, Style::Plain, width), line, "{width}");
    }
}

fn plain(event: &Event) -> String {
    format_text(event, Style::Plain)
}

fn change(item: Value) -> Event {
    let position = Position { generation: 1, walk: 1, sequence: Sequence(1) };
    Event::change(&origin(), &"me".into(), position, &Item::new(item).unwrap(), AT.parse().unwrap())
}

fn origin() -> Arc<Origin> {
    let Ok(Resource::Drive(id)) = "drive:b!one".parse() else { panic!("a drive") };
    let feed = FeedId { account: Default::default(), drive: Drive::new(&id, DriveType::Business).id };
    Arc::new(Origin::new(feed, "https://graph.microsoft.com/v1.0", 7))
}
