#![expect(clippy::expect_used, reason = "test data from constants: what cannot be built is a bug in this file")]

use std::sync::Arc;

use drivetap_core::{
    Drive as CoreDrive, DriveType, Event, FeedId, GapData, GapReason, Item, Notification, Origin, Position, Resource,
    ResyncPhase, Sequence,
};
use jiff::Timestamp;
use serde_json::json;

/// `n` changes, dealt in turn to `drives` drives, in the order in which a dispatcher would offer them.
///
/// All ids differ. `drives` is how many partition keys there are, at least 1.
#[must_use]
pub fn events(n: usize, drives: usize) -> Vec<Arc<Event>> {
    let mut feeds: Vec<Drive> = (0..drives.max(1)).map(|i| Drive::new(&format!("b!drive-{i}"))).collect();
    let turns = feeds.len();
    (0..n).map(|i| feeds[i % turns].change(&format!("file-{i}.txt"))).collect()
}

/// A drive that makes events the way a feed does, each with the next number.
#[derive(Clone, Debug)]
pub struct Drive {
    origin: Arc<Origin>,
    resource: Arc<str>,
    next: u64,
}

impl Drive {
    /// `id` is a drive id as Graph writes it (`b!…`).
    ///
    /// # Panics
    /// When no drive can have that id.
    #[must_use]
    pub fn new(id: &str) -> Self {
        let written = format!("drive:{id}");
        let Ok(Resource::Drive(graph_id)) = written.parse() else {
            unreachable!("{id:?} is not a drive id");
        };
        let feed = FeedId { account: Default::default(), drive: CoreDrive::new(&graph_id, DriveType::Business).id };
        Self { origin: Arc::new(Origin::new(feed, "https://graph.microsoft.com/v1.0", 7)), resource: written.into(), next: 1 }
    }

    /// A file called `name` was made or changed.
    pub fn change(&mut self, name: &str) -> Arc<Event> {
        self.change_with(name, 1024)
    }

    /// A file whose event is a little more than `bytes` of JSON: a name of `x`, as long as it takes.
    pub fn change_of(&mut self, bytes: usize) -> Arc<Event> {
        self.change_with(&"x".repeat(bytes), 1024)
    }

    /// The file `name` is gone.
    pub fn deletion(&mut self, name: &str) -> Arc<Event> {
        let number = self.number();
        let item = json!({ "id": item_id(number), "name": name, "deleted": { "state": "deleted" } });
        self.event(number, item)
    }

    /// A notification arrived.
    pub fn signal(&mut self) -> Arc<Event> {
        self.signal_at("/personal/someone")
    }

    /// A notification arrived whose frame has more than `bytes` bytes.
    pub fn signal_of(&mut self, bytes: usize) -> Arc<Event> {
        self.signal_at(&"x".repeat(bytes))
    }

    fn signal_at(&mut self, site: &str) -> Arc<Event> {
        let number = self.number();
        let notification = json!({
            "subscriptionId": "5554a2f6-1959-4b95-96f4-369b49212df9",
            "resource": "b8a61df7-e8b3-4e48-9cc2-73425b82160e",
            "siteUrl": site,
        });
        let notifications = Notification::parse(&json!({ "value": [notification] }).to_string()).expect("a notification");
        Arc::new(Event::signal(&self.origin, &self.resource, &notifications[0], number.into(), at(number)))
    }

    /// Signals may have been missed for the last minute.
    pub fn gap(&mut self) -> Arc<Event> {
        let number = self.number();
        let gap = GapData {
            from: at(number) - jiff::SignedDuration::from_secs(60),
            to: at(number),
            reason: GapReason::Disconnected,
            affects: "signals",
            recovered_by_walk: true,
            from_sequence: None,
            to_sequence: None,
        };
        Arc::new(Event::gap(&self.origin, &self.resource, &gap, at(number)))
    }

    /// An enumeration starts or ends.
    pub fn resync(&mut self, phase: &ResyncPhase) -> Arc<Event> {
        let number = self.number();
        Arc::new(Event::resync(&self.origin, &self.resource, 2, Sequence(number), phase, at(number)))
    }

    fn change_with(&mut self, name: &str, size: u64) -> Arc<Event> {
        let number = self.number();
        let item = json!({
            "id": item_id(number),
            "name": name,
            "size": size,
            "file": { "mimeType": "text/plain" },
            "lastModifiedDateTime": at(number).to_string(),
            "lastModifiedBy": { "user": { "displayName": "Adele Vance" } },
            "parentReference": { "path": "/drive/root:/Documents" },
        });
        self.event(number, item)
    }

    fn event(&self, number: u64, item: serde_json::Value) -> Arc<Event> {
        let item = Item::new(item).expect("an object with an id");
        let position = Position { generation: 1, walk: 1, sequence: Sequence(number) };
        Arc::new(Event::change(&self.origin, &self.resource, position, &item, at(number)))
    }

    fn number(&mut self) -> u64 {
        let number = self.next;
        self.next += 1;
        number
    }
}

fn item_id(number: u64) -> String {
    format!("01ITEM{number:010}")
}

// One event a second from a fixed moment: test data is the same in every run.
fn at(number: u64) -> Timestamp {
    let seconds = i64::try_from(number).expect("a small number");
    Timestamp::from_second(1_780_000_000 + seconds).expect("a moment in this century")
}
