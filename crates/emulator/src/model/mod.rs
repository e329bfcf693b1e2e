//! Drives, their items and the change log that delta reads.

mod change;
mod item;
mod person;
mod seed;

use std::{
    cell::Cell,
    collections::{BTreeMap, HashMap},
    ops::Bound,
    time::Duration,
};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tokio::time::Instant;
use uuid::Uuid;

use crate::text;

pub use change::{Change, ChangeError};
pub(crate) use item::{Content, Item};
pub(crate) use person::Person;
pub(crate) use seed::standard;
pub use seed::{GROUP, GROUP_DRIVE, LIST, LIST_DRIVE, ME_DRIVE, PERSONAL_DRIVE, SITE};

/// What kind of store a drive stands on. It decides the shape of ids and which properties delta leaves out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum DriveKind {
    /// A consumer's OneDrive: 16 hexadecimal digits, in any case, leading zeros optional.
    Personal,
    /// A work account's OneDrive: `b!…`.
    #[default]
    Business,
    /// A SharePoint library: `b!…`.
    DocumentLibrary,
}

impl DriveKind {
    /// Graph's `driveType`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Personal => "personal",
            Self::Business => "business",
            Self::DocumentLibrary => "documentLibrary",
        }
    }
}

/// What to make a drive of.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewDrive {
    /// The id as Graph would answer it. `None` makes one up.
    #[serde(default)]
    pub id: Option<String>,
    /// The kind of store, business by default.
    #[serde(default)]
    pub kind: DriveKind,
    /// The library's name, `Documents` by default.
    #[serde(default)]
    pub name: Option<String>,
}

/// A drive with everything in it.
#[derive(Debug)]
pub(crate) struct Drive {
    pub(crate) id: String,
    pub(crate) kind: DriveKind,
    pub(crate) name: String,
    pub(crate) owner: Person,
    /// `resource` of a notification: the SharePoint list behind the drive, no id of Graph's.
    pub(crate) list_id: Uuid,
    pub(crate) web_id: Uuid,
    pub(crate) tenant_id: &'static str,
    pub(crate) site_url: String,
    pub(crate) root: String,
    /// Part of every delta token. A new one makes all earlier tokens answer 410.
    pub(crate) epoch: u32,
    items: HashMap<String, Item>,
    /// Parent id → lower-case name → item id; the living only.
    names: BTreeMap<String, BTreeMap<String, String>>,
    /// Sequence → item: each item once, at its latest change.
    log: BTreeMap<u64, String>,
    head: u64,
    /// Tombstones up to here are gone; a token from before answers 410.
    forgotten: u64,
    tombstones: usize,
    /// Counts download links: each is another, as on Graph.
    links: Cell<u64>,
    rng: fastrand::Rng,
    limits: Limits,
}

/// How much a drive keeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Living items in one drive; one more is refused. 100,000 by default.
    pub items: usize,
    /// Tombstones in one drive; beyond, the oldest is forgotten and delta tokens from before it answer `410 Gone`.
    /// 10,000 by default.
    pub tombstones: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { items: 100_000, tombstones: 10_000 }
    }
}

/// Changes that count as recent.
const RECENT: usize = 200;
/// Microsoft's tenant for consumers, as personal drives' notifications carry it.
const CONSUMERS: &str = "9188040d-6c67-4c5b-b112-36a304b66dad";
/// A tenant of work accounts. Made up.
const CONTOSO: &str = "7f1c4a0e-52d6-4f0a-9d3b-0c8e6a51b2d4";

impl Drive {
    pub(crate) fn new(new: NewDrive, limits: Limits, mut rng: fastrand::Rng) -> Self {
        let kind = new.kind;
        let id = new.id.unwrap_or_else(|| drive_id(kind, &mut rng));
        let owner = Person::any(&mut rng);
        let site_url = match kind {
            DriveKind::Personal => format!("/personal/{}", comparable(&id)),
            DriveKind::Business => format!("/personal/{}", owner.email.replace(['@', '.'], "_")),
            DriveKind::DocumentLibrary => "/sites/launch".to_owned(),
        };
        let guid = uuid(&mut rng);
        let mut drive = Self {
            kind,
            name: new.name.unwrap_or_else(|| "Documents".to_owned()),
            owner,
            list_id: uuid(&mut rng),
            web_id: uuid(&mut rng),
            tenant_id: if kind == DriveKind::Personal { CONSUMERS } else { CONTOSO },
            site_url,
            root: item_id(kind, &id, &mut rng),
            id,
            epoch: rng.u32(..),
            items: HashMap::new(),
            names: BTreeMap::new(),
            log: BTreeMap::new(),
            head: 0,
            forgotten: 0,
            tombstones: 0,
            links: Cell::new(rng.u64(..)),
            rng,
            limits,
        };
        let now = Timestamp::now();
        let root = Item {
            id: drive.root.clone(),
            guid,
            name: "root".to_owned(),
            parent: None,
            content: Content::Folder,
            created: now,
            modified: now,
            by: owner,
            version: 1,
            deleted: false,
            sequence: 0,
            at: Instant::now(),
        };
        drive.write(root);
        drive
    }

    pub(crate) fn item(&self, id: &str) -> Option<&Item> {
        self.items.get(id)
    }

    /// The living items right under `parent`, by name.
    pub(crate) fn children(&self, parent: &str) -> impl Iterator<Item = &Item> {
        let names = self.names.get(parent).into_iter().flat_map(BTreeMap::values);
        names.filter_map(|id| self.items.get(id))
    }

    /// Everything that is there but the root, folder by folder. The order is the same in every run.
    pub(crate) fn living_items(&self) -> impl Iterator<Item = &Item> {
        let names = self.names.values().flat_map(BTreeMap::values);
        names.filter_map(|id| self.items.get(id))
    }

    /// What was deleted of late, the latest first.
    pub(crate) fn bin(&self) -> impl Iterator<Item = &Item> {
        let recent = self.log.values().rev().take(RECENT);
        recent.filter_map(|id| self.items.get(id)).filter(|item| item.deleted)
    }

    /// The item that a person means: an id, or a path from the root such as `/Plans/Budget.xlsx`.
    pub(crate) fn find(&self, wanted: &str) -> Option<&Item> {
        let Some(path) = wanted.strip_prefix('/') else {
            return self.items.get(wanted);
        };
        let mut at = &self.root;
        for name in path.split('/').filter(|name| !name.is_empty()) {
            at = self.names.get(at)?.get(&name.to_lowercase())?;
        }
        self.items.get(at)
    }

    /// The folders from the root down to the item's parent.
    pub(crate) fn ancestors(&self, item: &Item) -> Vec<&Item> {
        let mut up: Vec<&Item> = Vec::new();
        let mut parent = item.parent.as_ref();
        while let Some(folder) = parent.and_then(|id| self.items.get(id)) {
            up.push(folder);
            parent = folder.parent.as_ref();
        }
        up.reverse();
        up
    }

    /// The changes after `after`, up to and including `until`, oldest first.
    pub(crate) fn changes(&self, after: u64, until: u64) -> impl Iterator<Item = &Item> {
        // BTreeMap panics on an inverted range, and `after` comes from a client's token.
        let after = after.min(until);
        self.log.range((Bound::Excluded(after), Bound::Included(until))).filter_map(|(_, id)| self.items.get(id))
    }

    /// The newest sequence that a delta query with this lag may see.
    pub(crate) fn visible_head(&self, lag: Duration, now: Instant) -> u64 {
        if lag.is_zero() {
            return self.head;
        }
        self.log
            .iter()
            .rev()
            .find(|(_, id)| self.items.get(*id).is_some_and(|item| item.at + lag <= now))
            .map_or(0, |(sequence, _)| *sequence)
    }

    pub(crate) fn head(&self) -> u64 {
        self.head
    }

    /// Tokens older than this no longer tell every deletion.
    pub(crate) fn forgotten(&self) -> u64 {
        self.forgotten
    }

    pub(crate) fn living(&self) -> usize {
        self.items.len().saturating_sub(self.tombstones)
    }

    /// A file's own size, or the sum of what a folder holds (one level: enough to be believable, cheap enough for bursts).
    pub(crate) fn size_of(&self, item: &Item) -> u64 {
        match &item.content {
            Content::File { size, .. } => *size,
            Content::Folder => self
                .children(&item.id)
                .map(|child| match &child.content {
                    Content::File { size, .. } => *size,
                    Content::Folder => 0,
                })
                .sum(),
        }
    }

    pub(crate) fn web_url(&self, item: &Item) -> String {
        let host = match self.kind {
            DriveKind::Personal => "https://my.microsoftpersonalcontent.com",
            DriveKind::Business => "https://contoso-my.sharepoint.com",
            DriveKind::DocumentLibrary => "https://contoso.sharepoint.com",
        };
        let mut url = format!("{host}{}/{}", self.site_url, text::segment(&self.name));
        let folders = self.ancestors(item);
        for step in folders.into_iter().chain([item]).filter(|step| step.parent.is_some()) {
            url.push('/');
            url.push_str(&text::segment(&step.name));
        }
        url
    }

    /// Pre-signed and another one on every call, as Graph's (driveItem: get content).
    pub(crate) fn download_url(&self, item: &Item) -> String {
        self.links.set(self.links.get().wrapping_add(1));
        format!(
            "https://contoso-my.sharepoint.com/_layouts/15/download.aspx?UniqueId={}&Translate=false&tempauth=v1.{:016x}{:016x}&ApiVersion=2.0",
            item.guid,
            self.links.get().wrapping_mul(0x9e37_79b9_7f4a_7c15),
            item.sequence,
        )
    }

    /// Stores an item's new state at the head of the log.
    fn write(&mut self, mut item: Item) {
        if let Some(old) = self.items.get(&item.id) {
            self.log.remove(&old.sequence);
            if old.deleted {
                self.tombstones = self.tombstones.saturating_sub(1);
            }
            if !old.deleted
                && let Some(names) = old.parent.as_ref().and_then(|parent| self.names.get_mut(parent))
            {
                names.remove(&old.name.to_lowercase());
            }
        }
        self.head += 1;
        item.sequence = self.head;
        item.at = Instant::now();
        self.log.insert(self.head, item.id.clone());
        if item.deleted {
            self.tombstones += 1;
        } else if let Some(parent) = &item.parent {
            let names = self.names.entry(parent.clone()).or_default();
            names.insert(item.name.to_lowercase(), item.id.clone());
        }
        if item.deleted || !item.is_folder() {
            self.names.remove(&item.id);
        }
        self.items.insert(item.id.clone(), item);
        self.compact();
    }

    /// Forgets the oldest tombstones above the limit.
    fn compact(&mut self) {
        if self.tombstones <= self.limits.tombstones {
            return;
        }
        // A tenth at once, so that a long burst of deletions does not scan the log for each.
        let surplus = self.tombstones - self.limits.tombstones + self.limits.tombstones / 10;
        let oldest: Vec<_> = self
            .log
            .iter()
            .filter(|(_, id)| self.items.get(*id).is_some_and(|item| item.deleted))
            .take(surplus)
            .map(|(sequence, id)| (*sequence, id.clone()))
            .collect();
        for (sequence, id) in oldest {
            self.log.remove(&sequence);
            self.items.remove(&id);
            self.tombstones -= 1;
            self.forgotten = sequence;
        }
    }
}

/// Two spellings of a personal drive's id are one drive: lower case, 16 digits. Other ids are compared as they are.
pub(crate) fn comparable(id: &str) -> String {
    if !id.is_empty() && id.len() <= 16 && id.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        format!("{:0>16}", id.to_ascii_lowercase())
    } else {
        id.to_owned()
    }
}

fn drive_id(kind: DriveKind, rng: &mut fastrand::Rng) -> String {
    const URL_SAFE: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    match kind {
        DriveKind::Personal => format!("{:016x}", rng.u64(..)),
        _ => format!("b!{}", letters(URL_SAFE, 64, rng)),
    }
}

fn item_id(kind: DriveKind, drive: &str, rng: &mut fastrand::Rng) -> String {
    const BASE32: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
    match kind {
        DriveKind::Personal => format!("{}!s{}", comparable(drive).to_ascii_uppercase(), uuid(rng).simple()),
        _ => format!("01{}", letters(BASE32, 32, rng)),
    }
}

fn uuid(rng: &mut fastrand::Rng) -> Uuid {
    uuid::Builder::from_random_bytes(rng.u128(..).to_be_bytes()).into_uuid()
}

fn letters(alphabet: &[u8], count: usize, rng: &mut fastrand::Rng) -> String {
    (0..count).filter_map(|_| rng.choice(alphabet)).map(|byte| char::from(*byte)).collect()
}
