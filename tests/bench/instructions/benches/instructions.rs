//! How many instructions it takes to read a notification and to make an event: `cargo xtask bench --quick` counts them.
//!
//! Each benchmark is one call, counted once: callgrind's counts do not move with the machine's load.

use std::hint::black_box;
use std::sync::Arc;
use std::time::Instant;

use drivetap_core::{
    AccountName, Drive, DriveType, Entry, Event, FeedId, GraphId, Item, Notification, Origin, Position, Resource, Sequence,
};
use drivetap_transport::Limits;
use drivetap_transport::native::frames::{Message, Reader};
use drivetap_transport::native::session::{Heard, Input, Session};
use drivetap_transport::native::socket::Namespace;
use gungraun::{library_benchmark, library_benchmark_group, main};
use jiff::Timestamp;
use serde_json::{Value, json};

/// As captured (abraunegg/onedrive#3718).
fn text() -> String {
    let body = json!({"value": [{
        "subscriptionId": "5554a2f6-1959-4b95-96f4-369b49212df9",
        "clientState": "system-managed:8082D436-D8DA-458D-96AD-34C902B73F37",
        "expirationDateTime": "2026-05-11T21:52:27.5200000Z",
        "resource": "b8a61df7-e8b3-4e48-9cc2-73425b82160e",
        "tenantId": "9188040d-6c67-4c5b-b112-36a304b66dad",
        "siteUrl": "/personal/5a0b9e159b3310ad",
        "webId": "be8f18aa-284c-4452-8e7d-3db9e0e4babd",
    }]});
    format!("42/notifications,{}", json!(["notification", body.to_string()]))
}

fn argument() -> String {
    Value::from(serde_json::from_str::<(String, String)>(text().split_once(',').unwrap().1).unwrap().1).to_string()
}

/// Sixteen frames, as many bytes as the buffer holds at a time.
fn frames() -> (Reader, Vec<u8>) {
    let text = text();
    let length = u16::try_from(text.len()).unwrap().to_be_bytes();
    let frame = [&[0x81, 126], &length[..], text.as_bytes()].concat();
    (Reader::new(1024 * 1024, &[]).unwrap(), frame.repeat(16))
}

#[library_benchmark]
#[bench::sixteen(frames())]
fn websocket((mut reader, bytes): (Reader, Vec<u8>)) -> (Reader, usize) {
    let (mut rest, mut seen) = (&bytes[..], 0);
    while !rest.is_empty() {
        let space = reader.space();
        let (now, later) = rest.split_at(rest.len().min(space.len()));
        space[..now.len()].copy_from_slice(now);
        reader.filled(now.len());
        rest = later;
        while reader.advance().unwrap() {
            let Message::Text(text) = reader.message().unwrap() else { panic!("not text") };
            seen += black_box(text).len();
        }
    }
    (reader, seen)
}

fn session() -> (Session, Instant, String) {
    let now = Instant::now();
    let mut session = Session::new(Namespace::new("/notifications").unwrap(), &Limits::default(), now);
    session.handle(now, Input::Text(r#"0{"sid":"a","pingInterval":25000,"pingTimeout":20000}"#));
    while session.poll().is_some() {}
    assert_eq!(session.handle(now, Input::Text(r#"40/notifications,{"sid":"b"}"#)), Heard::Joined);
    (session, now, text())
}

#[library_benchmark]
#[bench::one(session())]
fn socketio((mut session, now, text): (Session, Instant, String)) -> (Session, usize) {
    let Heard::Notification(argument) = session.handle(now, Input::Text(black_box(&text))) else { panic!("not heard") };
    let length = argument.len();
    (session, length)
}

#[library_benchmark]
#[bench::one(argument())]
fn notification(argument: String) -> Vec<Notification> {
    Notification::parse(black_box(&argument)).unwrap()
}

library_benchmark_group!(name = codec, benchmarks = [websocket, socketio, notification]);

fn origin() -> Arc<Origin> {
    let drive = Drive::new(&GraphId::new("driveId", "b!abc").unwrap(), DriveType::Business).id;
    Arc::new(Origin::new(FeedId { account: AccountName::default(), drive }, "https://graph.microsoft.com/v1.0", 7))
}

fn at() -> Timestamp {
    "2026-05-11T21:52:27.52Z".parse().unwrap()
}

struct Signal(Arc<Origin>, Arc<str>, Notification, Timestamp);

fn signal_to_make() -> Signal {
    Signal(origin(), Arc::from("me"), Notification::parse(&argument()).unwrap().remove(0), at())
}

#[library_benchmark]
#[bench::one(signal_to_make())]
fn signal(Signal(origin, resource, notification, at): Signal) -> Event {
    Event::signal(&origin, &resource, black_box(&notification), 7, at)
}

fn signal_made() -> Event {
    let Signal(origin, resource, notification, at) = signal_to_make();
    Event::signal(&origin, &resource, &notification, 7, at)
}

#[library_benchmark]
#[bench::one(signal_made())]
fn structured(event: Event) -> String {
    black_box(&event).to_json()
}

#[library_benchmark]
#[bench::one(signal_made())]
fn attributes(event: Event) -> usize {
    black_box(&event).attributes().map(|(_, value)| value.len()).sum()
}

/// About 1.5 KB, as Graph's are.
fn item() -> Value {
    json!({
        "@odata.type": "#microsoft.graph.driveItem",
        "id": "01NKDM7HMOJTVYMDOSXFDK2QJDXCDI3WUK",
        "name": "Quarterly report 2026.docx",
        "size": 1_048_576,
        "webUrl": "https://contoso.sharepoint.com/sites/finance/Shared%20Documents/Reports/Quarterly%20report%202026.docx",
        "cTag": "\"c:{D2EE4C8E-28DD-45B9-AD41-23B88684DD14},2\"",
        "eTag": "\"{D2EE4C8E-28DD-45B9-AD41-23B88684DD14},3\"",
        "createdDateTime": "2026-05-11T21:50:02Z",
        "lastModifiedDateTime": "2026-05-11T21:52:27Z",
        "createdBy": {"user": {"id": "efee1b77-fb3b-4f65-99d6-274c11914d12", "displayName": "Adele Vance", "email": "a@contoso.com"}},
        "lastModifiedBy": {"user": {"id": "efee1b77-fb3b-4f65-99d6-274c11914d12", "displayName": "Adele Vance", "email": "a@contoso.com"}},
        "parentReference": {
            "driveId": "b!abc", "driveType": "documentLibrary", "id": "01NKDM7HN6Y2GOVW7725BZO354PWSELRRZ",
            "path": "/drives/b!abc/root:/Reports", "siteId": "contoso.sharepoint.com,2C712604-1370-44E7-A1F5-426573FDA80A",
        },
        "file": {"mimeType": "application/vnd.openxmlformats-officedocument.wordprocessingml.document", "hashes": {"quickXorHash": "wRhcBPWpZ1lNGgvgj7e+ShqXAqc="}},
        "fileSystemInfo": {"createdDateTime": "2026-05-11T21:50:02Z", "lastModifiedDateTime": "2026-05-11T21:52:27Z"},
        "shared": {"scope": "users"},
        "@microsoft.graph.downloadUrl": "https://contoso.sharepoint.com/_layouts/15/download.aspx?UniqueId=d2ee4c8e&tempauth=secret",
    })
}

fn item_text() -> String {
    item().to_string()
}

#[library_benchmark]
#[bench::one(item_text())]
fn read_item(text: String) -> Entry {
    serde_json::from_str(black_box(&text)).unwrap()
}

fn item_read() -> (Arc<Origin>, Arc<str>, Item, Timestamp) {
    (origin(), Arc::from("me"), Item::new(item()).unwrap(), at())
}

// Most of it is the SHA-256 of its id, over the item's canonical text.
#[library_benchmark]
#[bench::one(item_read())]
fn change((origin, resource, item, recorded): (Arc<Origin>, Arc<str>, Item, Timestamp)) -> Event {
    let position = Position { generation: 0, walk: 3, sequence: Sequence(42) };
    Event::change(&origin, &resource, position, black_box(&item), recorded)
}

library_benchmark_group!(name = events, benchmarks = [signal, structured, attributes, read_item, change]);

#[library_benchmark]
#[bench::me("me")]
#[bench::drive("drive:b!-RIj2DuyvEyV1T4NlOaMHk8XkS_I8MdFlUCq1BlcjgmhRfAj3-Z8RY2VpuvV_tpd")]
#[bench::list("site:contoso.sharepoint.com,2C712604-1370-44E7-A1F5-426573FDA80A,2D2244C3-251A-49EA-93A8-39E1C3A060FE/list:7e9b7d6c-7f1c-4c43-8f8e-1c2b0d8d7f11")]
fn path(written: &str) -> String {
    black_box(written).parse::<Resource>().unwrap().endpoint_path()
}

library_benchmark_group!(name = paths, benchmarks = [path]);

main!(library_benchmark_groups = [codec, events, paths]);
