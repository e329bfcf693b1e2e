use std::collections::{HashMap, VecDeque};
use std::fmt::Write as _;
use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use drivetap_core::{
    Drive, DriveId, DriveType, Endpoint, Failure, GraphId, Item, Link, NotificationHosts, NotificationUrl, Page, PageEnd,
    PageFrom, Remedy, Resource, Subscription,
};
use serde_json::{Value, json};

use crate::{Graph, Share};

/// Graph in memory: drives that answer delta from a log, failures on demand, and a record of what was asked.
///
/// For tests of what is built on [`Graph`]. It has no socket and no task; its only clock is tokio's, so paused time works. Clones share
/// one state: a test keeps one and gives one away.
///
/// Like Graph's, a walk shows the latest state of each item that changed after its cursor, a walk from the root shows no tombstones, and an
/// item that changes during a walk is in the next one. Unlike Graph's, a drive is empty at first: there is no root folder, and no ancestor
/// is ever reported.
///
/// ```
/// use drivetap_core::{DriveType, PageFrom, Resource};
/// use drivetap_graph::{Call, Graph, MemoryGraph, Share};
/// use serde_json::json;
///
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let graph = MemoryGraph::new();
/// let drive = graph.mount(&Resource::Me, "b!one", DriveType::Business);
/// let latest = graph.page(&drive, &PageFrom::Latest, &mut Share::alone()).await?;
/// graph.upsert(&drive, "01A", json!({"name": "plan.docx"}));
/// graph.delete(&drive, "01B");
///
/// let page = graph.page(&drive, &PageFrom::Link(latest.end.link().clone()), &mut Share::alone()).await?;
/// assert_eq!(page.items.iter().map(|item| (item.id(), item.is_deleted())).collect::<Vec<_>>(), [("01A", false), ("01B", true)]);
/// assert_eq!(graph.calls().len(), 2);
/// # Ok::<(), drivetap_core::Failure>(()) }).unwrap();
/// ```
#[derive(Clone, Debug, Default)]
pub struct MemoryGraph {
    state: Arc<Mutex<State>>,
}

/// What was asked of a [`MemoryGraph`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Call {
    /// [`Graph::endpoint`].
    Endpoint(Resource),
    /// [`Graph::drive`].
    Drive(Resource),
    /// [`Graph::page`].
    Page(DriveId, PageFrom),
}

#[derive(Debug)]
struct State {
    mounts: HashMap<Resource, Drive>,
    drives: HashMap<DriveId, Log>,
    calls: Vec<Call>,
    endpoint_failures: VecDeque<Failure>,
    drive_failures: VecDeque<Failure>,
    page_failures: VecDeque<Failure>,
    endpoints: u64,
    endpoint_base: String,
    lifetime: Option<Duration>,
    delay: Duration,
    page_size: NonZeroUsize,
}

#[derive(Debug)]
struct Log {
    /// Counts up from 1 with each change and each expiry; a cursor is a number of it. 0 is the root.
    now: u64,
    /// Cursors below are no longer known.
    oldest: u64,
    items: HashMap<String, Entry>,
}

impl Default for Log {
    fn default() -> Self {
        Self { now: 1, oldest: 1, items: HashMap::new() }
    }
}

#[derive(Debug)]
struct Entry {
    changed: u64,
    item: Item,
}

impl MemoryGraph {
    /// No drive, no delay, endpoints for an hour on `https://memory.svc.ms`, 200 items a page.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Puts a drive behind a resource, and makes it when there is none of this id. Several resources may share one.
    ///
    /// # Panics
    /// When `id` is not a legal Graph id: the test is wrong.
    #[expect(clippy::expect_used, reason = "a twin for tests: an illegal id is a mistake in the test itself")]
    pub fn mount(&self, resource: &Resource, id: &str, drive_type: DriveType) -> DriveId {
        let drive = Drive::new(&GraphId::new("driveId", id).expect("a legal drive id"), drive_type);
        let id = drive.id.clone();
        let mut state = self.state();
        state.drives.entry(id.clone()).or_default();
        state.mounts.insert(resource.clone(), drive);
        id
    }

    /// Creates or changes an item; `fields` is the whole item but for its `id`.
    ///
    /// # Panics
    /// When `fields` is not an object, `id` is empty or the drive was never mounted: the test is wrong.
    pub fn upsert(&self, drive: &DriveId, id: &str, fields: Value) {
        self.put(drive, id, fields);
    }

    /// Deletes an item, whether or not it was there: delta answers a tombstone.
    ///
    /// # Panics
    /// When the drive was never mounted: the test is wrong.
    pub fn delete(&self, drive: &DriveId, id: &str) {
        self.put(drive, id, json!({"deleted": {"state": "deleted"}}));
    }

    /// Forgets every cursor given so far: the next page asked with one is `410 resyncRequired`, with a location.
    ///
    /// # Panics
    /// When the drive was never mounted: the test is wrong.
    pub fn expire_cursors(&self, drive: &DriveId) {
        let mut state = self.state();
        let log = state.log(drive);
        log.now += 1;
        log.oldest = log.now;
    }

    /// The next [`Graph::endpoint`] fails like this. Failures queue up, one a call.
    pub fn fail_endpoint(&self, failure: Failure) {
        self.state().endpoint_failures.push_back(failure);
    }

    /// The next [`Graph::drive`] fails like this. Failures queue up, one a call.
    pub fn fail_drive(&self, failure: Failure) {
        self.state().drive_failures.push_back(failure);
    }

    /// The next [`Graph::page`] fails like this. Failures queue up, one a call.
    pub fn fail_page(&self, failure: Failure) {
        self.state().page_failures.push_back(failure);
    }

    /// How long each answer takes from now on, in tokio's time. What it says is decided when it arrives. Zero by default.
    pub fn set_delay(&self, delay: Duration) {
        self.state().delay = delay;
    }

    /// How long each endpoint lives from now on; `None`: Graph does not say. An hour by default.
    pub fn set_lifetime(&self, lifetime: Option<Duration>) {
        self.state().lifetime = lifetime;
    }

    /// Where endpoints lead from now on, `http://127.0.0.1:4010/notifications`; `?token=N` is added, with a new number each time.
    pub fn set_endpoint_base(&self, base: impl Into<String>) {
        self.state().endpoint_base = base.into();
    }

    /// How many items a page holds from now on. 200 by default, as on Graph.
    pub fn set_page_size(&self, items: NonZeroUsize) {
        self.state().page_size = items;
    }

    /// Everything that was asked, in order, since the start or the last [`take_calls`](Self::take_calls).
    #[must_use]
    pub fn calls(&self) -> Vec<Call> {
        self.state().calls.clone()
    }

    /// Everything that was asked, in order; the record starts anew.
    #[must_use]
    pub fn take_calls(&self) -> Vec<Call> {
        std::mem::take(&mut self.state().calls)
    }

    #[expect(clippy::expect_used, reason = "a twin for tests: an item that is no object is a mistake in the test itself")]
    fn put(&self, drive: &DriveId, id: &str, mut fields: Value) {
        fields.as_object_mut().expect("an item is an object").insert("id".to_owned(), id.into());
        let item = Item::new(fields).expect("an item has an id");
        let mut state = self.state();
        let log = state.log(drive);
        log.now += 1;
        log.items.insert(id.to_owned(), Entry { changed: log.now, item });
    }

    async fn asked(&self, call: Call) {
        let delay = {
            let mut state = self.state();
            state.calls.push(call);
            state.delay
        };
        if !delay.is_zero() {
            tokio::time::sleep(delay).await;
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Graph for MemoryGraph {
    async fn endpoint(&self, resource: &Resource) -> Result<Endpoint, Failure> {
        self.asked(Call::Endpoint(resource.clone())).await;
        let mut state = self.state();
        if let Some(failure) = state.endpoint_failures.pop_front() {
            return Err(failure);
        }
        state.mounted(resource)?;
        state.endpoints += 1;
        let (base, n) = (&state.endpoint_base, state.endpoints);
        let hosts = NotificationHosts::new(&["*.svc.ms"], true).map_err(|e| Failure::retry(e.to_string()))?;
        let url = NotificationUrl::parse(&format!("{base}?token={n}"), &hosts).map_err(|e| Failure::retry(e.to_string()))?;
        let subscription = Subscription {
            id: Some(format!("memory-{n}")),
            notification_url: url,
            expiration: None,
            client_state: None,
            extra: serde_json::Map::new(),
        };
        Ok(Endpoint { subscription, lifetime: state.lifetime })
    }

    async fn drive(&self, resource: &Resource) -> Result<Drive, Failure> {
        self.asked(Call::Drive(resource.clone())).await;
        let mut state = self.state();
        match state.drive_failures.pop_front() {
            Some(failure) => Err(failure),
            None => state.mounted(resource),
        }
    }

    async fn page(&self, drive: &DriveId, from: &PageFrom, _share: &mut Share) -> Result<Page, Failure> {
        self.asked(Call::Page(drive.clone(), from.clone())).await;
        let mut state = self.state();
        if let Some(failure) = state.page_failures.pop_front() {
            return Err(failure);
        }
        let size = state.page_size;
        state.drives.get(drive).ok_or_else(not_found)?.page(drive, from, size)
    }
}

impl State {
    fn mounted(&self, resource: &Resource) -> Result<Drive, Failure> {
        self.mounts.get(resource).cloned().ok_or_else(not_found)
    }

    #[expect(clippy::expect_used, reason = "a twin for tests: a drive that was never mounted is a mistake in the test itself")]
    fn log(&mut self, drive: &DriveId) -> &mut Log {
        self.drives.get_mut(drive).expect("a drive that was mounted")
    }
}

impl Default for State {
    fn default() -> Self {
        Self {
            mounts: HashMap::new(),
            drives: HashMap::new(),
            calls: Vec::new(),
            endpoint_failures: VecDeque::new(),
            drive_failures: VecDeque::new(),
            page_failures: VecDeque::new(),
            endpoints: 0,
            endpoint_base: "https://memory.svc.ms/notifications".to_owned(),
            lifetime: Some(Duration::from_secs(3600)),
            delay: Duration::ZERO,
            page_size: NonZeroUsize::MIN.saturating_add(199),
        }
    }
}

/// Where a walk is: it shows what changed after `since`, has shown all up to `after`, and ends at `until`. `since` 0 is the root.
#[derive(Clone, Copy)]
struct Cursor {
    since: u64,
    after: u64,
    until: Option<u64>,
}

impl Log {
    fn page(&self, drive: &DriveId, from: &PageFrom, size: NonZeroUsize) -> Result<Page, Failure> {
        let cursor = match from {
            PageFrom::Latest => Cursor { since: self.now, after: self.now, until: None },
            PageFrom::Root => Cursor { since: 0, after: 0, until: None },
            PageFrom::Link(link) => Cursor::read(link).ok_or_else(|| gone(None))?,
        };
        let stale = match (cursor.since, cursor.until) {
            (0, None) => false,
            (0, Some(until)) => until < self.oldest,
            (since, _) => since < self.oldest,
        };
        if stale {
            let root = Cursor { since: 0, after: 0, until: None };
            return Err(gone(Some(root.link(drive)?)));
        }
        let until = cursor.until.unwrap_or(self.now);
        let mut due: Vec<&Entry> = self
            .items
            .values()
            .filter(|entry| entry.changed > cursor.after && entry.changed <= until)
            .filter(|entry| cursor.since > 0 || !entry.item.is_deleted())
            .collect();
        due.sort_unstable_by_key(|entry| entry.changed);
        let more = due.len() > size.get();
        due.truncate(size.get());
        let after = due.last().map_or(cursor.after, |entry| entry.changed);
        let end = if more {
            PageEnd::Next(Cursor { after, until: Some(until), ..cursor }.link(drive)?)
        } else {
            PageEnd::Delta(Cursor { since: until, after: until, until: None }.link(drive)?)
        };
        Ok(Page { items: due.into_iter().map(|entry| entry.item.clone()).collect(), left_out: 0, end })
    }
}

impl Cursor {
    fn link(self, drive: &DriveId) -> Result<Link, Failure> {
        let mut link = format!("/v1.0{}/delta?token={}-{}", drive.root_path(), self.since, self.after);
        if let Some(until) = self.until {
            // Writing to a String does not fail.
            let _ = write!(link, "-{until}");
        }
        Link::new(link).map_err(|e| Failure::retry(e.to_string()))
    }

    fn read(link: &Link) -> Option<Self> {
        let (_, token) = link.as_str().split_once("?token=")?;
        let mut numbers = token.split('-').map(str::parse::<u64>);
        let (since, after) = (numbers.next()?.ok()?, numbers.next()?.ok()?);
        Some(Self { since, after, until: numbers.next().transpose().ok()? })
    }
}

fn not_found() -> Failure {
    Failure::new(Remedy::RetrySlowly { after: None }, "itemNotFound")
}

fn gone(location: Option<Link>) -> Failure {
    Failure::new(Remedy::Resync { location }, "resyncRequired")
}
