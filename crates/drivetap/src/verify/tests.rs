use drivetap_bridge::core::Item;
use serde_json::{Value, json};

use super::difference::Kind;
use super::fold::Fold;
use super::*;

const SOURCE: &str = "https://graph.microsoft.com/v1.0/drives/b!one/root";

/// Events as they stand in a topic, and a drive.
struct Scene {
    folds: Folds,
    next: i64,
}

impl Scene {
    fn new() -> Self {
        Self { folds: Folds::new([feed("default"), feed("other")]), next: 0 }
    }

    fn tell(&mut self, event: impl Into<Value>) -> &mut Self {
        let event: Value = event.into();
        let told = Told::structured(event.to_string().as_bytes()).expect("an event");
        self.folds.apply(&told, Place::Record { partition: 0, offset: self.next });
        self.next += 1;
        self
    }

    fn fold(&mut self) -> &mut Fold {
        self.folds.get_mut(SOURCE, "default").expect("the feed")
    }

    fn look(&mut self, number: u64, from_beginning: bool, drive: &[Value]) -> Differences {
        let fold = self.fold();
        let coverage = Coverage::of(fold, from_beginning);
        let mut look = Look::new(fold, coverage, number);
        drive.iter().for_each(|item| look.see(&Item::new(item.clone()).expect("an item")));
        look.finish()
    }

    /// The last line, after one look.
    fn line(&mut self, from_beginning: bool, drive: &[Value]) -> String {
        let lines = self.text(from_beginning, drive);
        lines.lines().last().unwrap_or_default().to_owned()
    }

    fn text(&mut self, from_beginning: bool, drive: &[Value]) -> String {
        let differences = self.look(1, from_beginning, drive);
        let report = FeedReport::new("default/b!one".to_owned(), self.fold(), differences);
        Report { feeds: vec![report] }.to_text()
    }
}

fn feed(account: &str) -> (String, String) {
    (SOURCE.to_owned(), account.to_owned())
}

fn event(kind: &str, id: &str, more: impl Into<Value>) -> Value {
    let mut event = json!({
        "specversion": "1.0", "type": format!("io.drivetap.{kind}.v1"), "id": id, "source": SOURCE, "account": "default",
        "recordedtime": "2026-05-11T12:00:00.5Z", "datacontenttype": "application/json",
    });
    let more: Value = more.into();
    let fields = more.as_object().cloned().unwrap_or_default();
    event.as_object_mut().expect("an object").extend(fields);
    event
}

fn upserted(id: &str, sequence: u64, item: impl Into<Value>) -> Value {
    let item: Value = item.into();
    let more =
        json!({ "subject": item["id"], "sequence": format!("{sequence:020}"), "data": { "kind": "upserted", "item": item } });
    event("change", id, more)
}

fn deleted(id: &str, sequence: u64, item: &str) -> Value {
    let item = json!({ "id": item, "deleted": { "state": "deleted" } });
    let more =
        json!({ "subject": item["id"], "sequence": format!("{sequence:020}"), "data": { "kind": "deleted", "item": item } });
    event("change", id, more)
}

fn resync(id: &str, sequence: u64, phase: &str, generation: u64) -> Value {
    event("resync", id, json!({ "sequence": format!("{sequence:020}"), "data": { "phase": phase, "generation": generation } }))
}

fn file(id: &str, name: &str) -> Value {
    json!({
        "id": id, "name": name, "eTag": format!("\"{name}\""), "size": 10, "file": { "hashes": { "quickXorHash": "x" } },
        "lastModifiedDateTime": "2026-05-11T12:00:00Z", "parentReference": { "id": "root", "driveId": "b!one" },
    })
}

fn with(mut item: Value, field: &str, value: Value) -> Value {
    item[field] = value;
    item
}

#[test]
fn what_is_told_is_in_order_whatever_graph_varies_between_two_answers() {
    let mut told = with(file("a", "a.txt"), "cTag", json!("1"));
    told["createdBy"] = json!({ "user": { "id": "7", "displayName": "Adele Vance", "email": "a@example" } });
    let mut there = with(file("a", "a.txt"), "@microsoft.graph.downloadUrl", json!("https://secret"));
    there["createdBy"] = json!({ "user": { "email": "b@example", "id": "7", "displayName": "Adele V." } });
    there["webUrl"] = json!("https://contoso/moved/a.txt");
    there["parentReference"] = json!({ "driveId": "b!one", "id": "root", "path": "/drive/root:/renamed" });
    there["size"] = json!(10.0);
    let size = json!(10);
    for (told, there) in [
        (file("a", "a.txt"), file("a", "a.txt")),
        (told, with(there, "size", size)),
        (
            json!({ "id": "f", "name": "Plans", "eTag": "1", "size": 1, "folder": { "childCount": 1 }, "lastModifiedDateTime": "2026-05-11T12:00:01Z" }),
            json!({ "id": "f", "name": "Plans", "eTag": "1", "size": 9, "folder": { "childCount": 4 }, "lastModifiedDateTime": "2026-05-12T12:00:01Z", "cTag": "2" }),
        ),
    ] {
        let line = Scene::new().tell(upserted("1", 0, told)).line(false, std::slice::from_ref(&there));
        assert_eq!(line, "0 missing, 0 extra, 0 stale, 0 repeats, 0 not covered", "{there}");
    }
}

#[test]
fn each_difference_is_named_for_what_differs() {
    for (field, value, part) in [
        ("name", json!("b.txt"), "name"),
        ("parentReference", json!({ "id": "elsewhere" }), "parent"),
        ("size", json!(11), "content"),
        ("file", json!({ "hashes": { "quickXorHash": "y" } }), "content"),
        ("eTag", json!("\"2\""), "eTag"),
        ("lastModifiedDateTime", json!("2026-05-11T12:00:01Z"), "lastModifiedDateTime"),
        ("malware", json!({}), "other fields"),
    ] {
        let text = Scene::new().tell(upserted("1", 7, file("a", "a.txt"))).text(false, &[with(file("a", "a.txt"), field, value)]);
        let (line, numbers) = text.split_once('\n').expect("two lines");
        assert!(line.starts_with("stale     a  "), "{line}");
        assert!(line.contains(&format!("differs in {part}; last told by sequence 7  [default/b!one]")), "{line}");
        assert_eq!(numbers, "0 missing, 0 extra, 1 stale, 0 repeats, 0 not covered");
    }
}

#[test]
fn missing_extra_and_not_covered_are_told_apart() {
    let modified = |at: &str| with(file("a", "a.txt"), "lastModifiedDateTime", json!(at));
    let folder = |created: &str| json!({ "id": "f", "name": "f", "folder": {}, "createdDateTime": created, "lastModifiedDateTime": "2026-05-12T00:00:00Z" });
    let signal = || event("signal", "s", json!({ "data": {} }));
    let other = || upserted("0", 5, file("b", "b.txt"));
    for (told, from_beginning, drive, want) in [
        // The first event came half a second after noon.
        (
            vec![signal()],
            false,
            vec![modified("2026-05-11T12:00:00.5Z")],
            "1 missing, 0 extra, 0 stale, 0 repeats, 0 not covered",
        ),
        (vec![signal()], false, vec![modified("2026-05-11T12:00:00Z")], "0 missing, 0 extra, 0 stale, 0 repeats, 1 not covered"),
        (vec![signal()], false, vec![json!({ "id": "a" })], "1 missing, 0 extra, 0 stale, 0 repeats, 0 not covered"),
        // A folder's time is its children's.
        (vec![signal()], false, vec![folder("2026-05-11T12:00:00Z")], "0 missing, 0 extra, 0 stale, 0 repeats, 1 not covered"),
        (vec![signal()], false, vec![folder("2026-05-11T12:00:01Z")], "1 missing, 0 extra, 0 stale, 0 repeats, 0 not covered"),
        (
            vec![signal()],
            false,
            vec![with(folder("2026-05-12T00:00:00Z"), "root", json!({}))],
            "0 missing, 0 extra, 0 stale, 0 repeats, 1 not covered",
        ),
        // From the beginning, all of it has to be there; a sink that was added later never got the beginning.
        (vec![], true, vec![modified("2020-01-01T00:00:00Z")], "1 missing, 0 extra, 0 stale, 0 repeats, 0 not covered"),
        (
            vec![other()],
            true,
            vec![modified("2020-01-01T00:00:00Z"), file("b", "b.txt")],
            "0 missing, 0 extra, 0 stale, 0 repeats, 1 not covered",
        ),
        (vec![], false, vec![modified("2026-05-12T12:00:00Z")], "0 missing, 0 extra, 0 stale, 0 repeats, 1 not covered"),
        // Told, whenever it was modified.
        (
            vec![upserted("1", 0, file("a", "a.txt")), deleted("2", 1, "a")],
            false,
            vec![modified("2020-01-01T00:00:00Z")],
            "1 missing, 0 extra, 0 stale, 0 repeats, 0 not covered",
        ),
        (vec![other()], false, vec![], "0 missing, 1 extra, 0 stale, 0 repeats, 0 not covered"),
        (vec![deleted("2", 1, "a")], false, vec![], "0 missing, 0 extra, 0 stale, 0 repeats, 0 not covered"),
        // Of an item that comes twice, the last occurrence counts.
        (
            vec![other()],
            false,
            vec![file("b", "old.txt"), file("b", "b.txt")],
            "0 missing, 0 extra, 0 stale, 0 repeats, 0 not covered",
        ),
        (
            vec![other()],
            false,
            vec![file("b", "b.txt"), json!({ "id": "b", "deleted": {} })],
            "0 missing, 1 extra, 0 stale, 0 repeats, 0 not covered",
        ),
    ] {
        let mut scene = Scene::new();
        let case = format!("{told:?} {drive:?}");
        for event in told {
            scene.tell(event);
        }
        assert_eq!(scene.line(from_beginning, &drive), want, "{case}");
    }
}

#[test]
fn a_repeat_is_dropped_while_it_is_the_newest_of_its_item_and_applied_later() {
    let (v1, v2) = (file("a", "1.txt"), file("a", "2.txt"));
    let mut scene = Scene::new();
    scene.tell(upserted("1", 0, v1.clone())).tell(upserted("1", 0, v1.clone())).tell(upserted("2", 1, v2.clone()));
    assert_eq!(scene.line(false, std::slice::from_ref(&v2)), "0 missing, 0 extra, 0 stale, 1 repeats, 0 not covered");
    // Deleted and restored around a crash: the same id again, with another one in between.
    scene.tell(deleted("3", 2, "a")).tell(upserted("2", 3, v2.clone()));
    assert_eq!(scene.line(false, std::slice::from_ref(&v2)), "0 missing, 0 extra, 0 stale, 2 repeats, 0 not covered");
}

#[test]
fn a_stub_says_that_an_item_is_there_and_no_more() {
    let stub = |item: &str| {
        let mut stub = upserted("1", 0, json!({ "id": item }));
        stub["data"]["truncated"] = true.into();
        stub
    };
    let mut scene = Scene::new();
    assert_eq!(scene.tell(stub("a")).line(false, &[file("a", "a.txt")]), "0 missing, 0 extra, 0 stale, 0 repeats, 0 not covered");
    assert_eq!(scene.fold().stubs(), 1);
    assert_eq!(Scene::new().tell(stub("a")).line(false, &[]), "0 missing, 1 extra, 0 stale, 0 repeats, 0 not covered");
}

#[test]
fn what_a_resync_did_not_show_is_gone_and_everything_is_covered_after_it() {
    let (a, b) = (file("a", "a.txt"), file("b", "b.txt"));
    let old = with(file("c", "c.txt"), "lastModifiedDateTime", json!("2020-01-01T00:00:00Z"));
    let mut scene = Scene::new();
    scene.tell(upserted("1", 0, a.clone())).tell(upserted("2", 1, b.clone())).tell(resync("s1", 2, "started", 1));
    // Cut off by a crash and told again: one resync.
    scene.tell(upserted("3", 3, a.clone())).tell(resync("s1", 2, "started", 1)).tell(upserted("3", 3, a.clone()));
    assert_eq!(scene.line(false, &[a.clone(), b.clone(), old.clone()]), "0 missing, 0 extra, 0 stale, 2 repeats, 1 not covered");
    scene.tell(resync("e1", 4, "completed", 1)).tell(resync("e1", 4, "completed", 1));
    assert_eq!(scene.line(false, std::slice::from_ref(&a)), "0 missing, 0 extra, 0 stale, 3 repeats, 0 not covered");
    assert_eq!(scene.line(false, &[a.clone(), b, old]), "2 missing, 0 extra, 0 stale, 3 repeats, 0 not covered");

    // An end without its start, which retention took, and one of another generation: nobody knows what was shown.
    for phases in [vec![resync("e1", 1, "completed", 1)], vec![resync("s2", 1, "started", 2), resync("e1", 2, "completed", 1)]] {
        let mut scene = Scene::new();
        scene.tell(upserted("1", 0, a.clone()));
        for phase in phases {
            scene.tell(phase);
        }
        assert_eq!(scene.line(false, std::slice::from_ref(&a)), "0 missing, 0 extra, 0 stale, 0 repeats, 0 not covered");
    }
}

#[test]
fn the_sequence_repeats_and_begins_anew_and_every_skip_is_a_line() {
    let gaps = |sequences: &[u64]| {
        let mut scene = Scene::new();
        for (n, sequence) in sequences.iter().enumerate() {
            scene.tell(upserted(&n.to_string(), *sequence, file("a", "a.txt")));
        }
        let text = scene.text(false, &[file("a", "a.txt")]);
        let lines: Vec<_> = text.lines().filter(|line| line.starts_with("sequence")).map(str::to_owned).collect();
        lines
    };
    for fine in [&[0, 1, 2][..], &[7, 8], &[0, 1, 2, 1, 2, 3], &[5, 6, 0, 1], &[3, 3, 4]] {
        assert_eq!(gaps(fine), Vec::<String>::new(), "{fine:?}");
    }
    assert_eq!(
        gaps(&[0, 2, 1, 2, 5]),
        [
            "sequence  after 0 comes 2 at partition 0, offset 1  [default/b!one]",
            "sequence  after 2 comes 5 at partition 0, offset 4  [default/b!one]"
        ]
    );
}

#[test]
fn feeds_of_one_topic_are_kept_apart() {
    let mut scene = Scene::new();
    scene.tell(upserted("1", 0, file("a", "a.txt")));
    scene.tell(with(upserted("2", 9, file("b", "b.txt")), "account", json!("other")));
    scene.tell(with(upserted("3", 4, file("c", "c.txt")), "source", json!("https://graph.example/v1.0/drives/b!two/root")));
    assert_eq!(scene.line(false, &[file("a", "a.txt")]), "0 missing, 0 extra, 0 stale, 0 repeats, 0 not covered");
    assert_eq!(scene.folds.others, 1);
}

#[test]
fn what_an_enumeration_showed_before_it_was_cut_off_counts_for_nothing() {
    let (a, b, new) = (file("a", "a.txt"), file("b", "b.txt"), file("c", "c.txt"));
    let mut scene = Scene::new();
    scene.tell(upserted("1", 0, a.clone())).tell(upserted("2", 1, b.clone()));
    let mut look = Look::new(scene.fold(), Coverage::Everything, 1);
    let see = |look: &mut Look<'_>, item: &Value| look.see(&Item::new(item.clone()).expect("an item"));
    see(&mut look, &a);
    see(&mut look, &new);
    look.begin_again();
    see(&mut look, &b);
    let differences = look.finish();
    let found: Vec<_> = differences.iter().map(|(id, difference)| (id, difference.kind.clone())).collect();
    assert_eq!((found, differences.items), (vec![("a", Kind::Extra)], 1));
}

#[test]
fn a_difference_counts_when_it_stands_at_the_next_look_with_nothing_told_in_between() {
    let (v1, v2) = (file("a", "1.txt"), file("a", "2.txt"));
    let mut scene = Scene::new();
    scene.tell(upserted("1", 0, v1.clone()));
    let first = scene.look(1, false, std::slice::from_ref(&v2));
    assert_eq!(first.len(), 1);
    let second = scene.look(2, false, std::slice::from_ref(&v2));
    assert!(second.stand_since(&first));

    // It was on its way, and so is another one now.
    scene.tell(upserted("2", 1, v2.clone()));
    let mut third = scene.look(3, false, std::slice::from_ref(&v1));
    assert!(!third.stand_since(&second));
    assert_eq!((third.keep_standing(&second), third.len()), (1, 0));
}

#[test]
fn what_cannot_be_read_is_somebody_elses_or_said() {
    let broken = |event: &Value| match Told::structured(event.to_string().as_bytes()) {
        Err(Unread::Broken(why)) => why,
        other => panic!("{other:?}"),
    };
    for foreign in ["[]", "{}", r#"{"type":"com.example.other","id":"1"}"#, "3"] {
        assert_eq!(Told::structured(foreign.as_bytes()).expect_err(foreign), Unread::Foreign);
    }
    assert!(matches!(Told::structured(br#"{"specversion":"1.0","#), Err(Unread::Broken(_))), "a torn line");
    let good = upserted("1", 0, file("a", "a.txt"));
    for (field, why) in [
        ("id", "it has no id"),
        ("source", "it has no source"),
        ("recordedtime", "it has no recordedtime"),
        ("subject", "a change has a subject and a sequence"),
        ("sequence", "a change has a subject and a sequence"),
        ("data", "a change is upserted or deleted"),
    ] {
        let mut event = good.clone();
        event.as_object_mut().expect("an object").remove(field);
        assert_eq!(broken(&event), why);
    }
    assert_eq!(broken(&with(good, "sequence", json!("x"))), "its sequence is no number");
}

#[test]
fn a_record_is_read_in_either_mode() {
    let event = upserted("1", 4, file("a", "a.txt"));
    let attributes: Vec<_> = event
        .as_object()
        .expect("an object")
        .iter()
        .filter_map(|(name, value)| Some((format!("ce_{name}"), value.as_str()?)))
        .collect();
    let mut headers: Vec<_> = attributes.iter().map(|(name, value)| (name.as_str(), value.as_bytes())).collect();
    headers.push(("content-type", b"application/json"));
    let binary = Told::from_record(&headers, event["data"].to_string().as_bytes()).expect("binary");
    let structured = event.to_string();
    let structured =
        Told::from_record(&[("content-type", b"application/cloudevents+json; charset=utf-8")], structured.as_bytes());
    let structured = structured.expect("structured");
    assert_eq!(format!("{binary:?}"), format!("{structured:?}"));
    assert_eq!(Told::from_record(&[], b"hello").expect_err("no event"), Unread::Foreign);
}

#[test]
fn names_drive_no_terminal_and_json_has_the_same_numbers() {
    let nasty = with(file("a", "exe\u{202e}gpj\u{1b}[2J.txt"), "lastModifiedDateTime", json!("2026-05-11T12:00:01Z"));
    let mut scene = Scene::new();
    scene.tell(upserted("0", 0, file("b", "b.txt")));
    let text = scene.text(false, &[nasty.clone(), file("b", "b.txt")]);
    assert!(text.contains("exe\\u{202e}gpj\\u{1b}[2J.txt") && !text.contains(['\u{202e}', '\u{1b}']), "{text}");

    let differences = scene.look(2, false, &[nasty, file("b", "b.txt")]);
    let report = Report { feeds: vec![FeedReport::new("default/b!one".to_owned(), scene.fold(), differences)] };
    let json = report.to_json();
    assert_eq!((&json["missing"], &json["extra"], &json["not_covered"]), (&json!(1), &json!(0), &json!(0)));
    assert_eq!(json["feeds"][0]["differences"][0]["is"], "missing");
    assert_eq!(json["feeds"][0]["items"], 2);
}
