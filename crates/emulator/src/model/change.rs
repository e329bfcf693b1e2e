//! What people do to a drive.

use std::fmt;

use jiff::Timestamp;
use serde::Deserialize;
use tokio::time::Instant;

use super::{Content, Drive, Item, Person, item_id, letters, uuid};

/// One change to a drive. Items and parents are named by id, or by a path from the root such as `/Plans/Budget.xlsx`;
/// no parent means the root.
///
/// As JSON, for the control API: `{"op":"create","name":"Budget.xlsx","parent":"/Plans","size":1024}`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(tag = "op", rename_all = "camelCase", deny_unknown_fields)]
pub enum Change {
    /// A new file.
    Create {
        /// Its name, unique in the folder whatever the case.
        name: String,
        /// The folder that it goes to.
        #[serde(default)]
        parent: Option<String>,
        /// Bytes; some believable number by default.
        #[serde(default)]
        size: Option<u64>,
    },
    /// A new folder.
    CreateFolder {
        /// Its name, unique in the folder whatever the case.
        name: String,
        /// The folder that it goes to.
        #[serde(default)]
        parent: Option<String>,
    },
    /// Another name in the same folder.
    Rename {
        /// Which item.
        item: String,
        /// Its new name.
        name: String,
    },
    /// The same name in another folder.
    Move {
        /// Which item.
        item: String,
        /// The folder that it goes to.
        #[serde(default)]
        parent: Option<String>,
    },
    /// New content for a file, a new modification time for a folder.
    Update {
        /// Which item.
        item: String,
        /// Bytes; some believable number by default.
        #[serde(default)]
        size: Option<u64>,
    },
    /// Deletes an item; a folder goes with everything under it.
    Delete {
        /// Which item.
        item: String,
    },
    /// Brings a deleted item back under its id, to its folder or, where that is gone, to the root. What was deleted
    /// under a folder is not brought back with it.
    Restore {
        /// The deleted item's id.
        item: String,
    },
}

/// Why a change was not made. Nothing happened to the drive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ChangeError {
    /// No such drive, item or folder.
    NotFound(String),
    /// The folder has an item of that name.
    NameTaken(String),
    /// A name that is empty or holds one of `/ \ : * ? " < > |`.
    BadName(String),
    /// Files hold no items.
    NotAFolder(String),
    /// The root stays where it is; a folder does not move into itself; only what was deleted is restored.
    NotAllowed(String),
    /// The drive holds as many items as [`Limits`](crate::Limits) lets it.
    Full,
}

impl fmt::Display for ChangeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotFound(what) => write!(f, "no such item or drive: {what}"),
            Self::NameTaken(name) => write!(f, "the folder already has an item named {name}"),
            Self::BadName(name) => write!(f, "not a name for an item: {name:?}"),
            Self::NotAFolder(item) => write!(f, "not a folder: {item}"),
            Self::NotAllowed(why) => f.write_str(why),
            Self::Full => f.write_str("the drive is full"),
        }
    }
}

impl std::error::Error for ChangeError {}

impl Drive {
    /// Makes the change and returns the id of the item that it was about.
    pub(crate) fn apply(&mut self, change: &Change) -> Result<String, ChangeError> {
        match change {
            Change::Create { name, parent, size } => {
                let content = self.file(*size);
                self.create(name, parent.as_deref(), content)
            }
            Change::CreateFolder { name, parent } => self.create(name, parent.as_deref(), Content::Folder),
            Change::Rename { item, name } => {
                let mut item = self.living_item(item)?;
                let parent = item.parent.clone().unwrap_or_default();
                self.check_name(&parent, name, Some(&item.id))?;
                item.name.clone_from(name);
                Ok(self.touch(item))
            }
            Change::Move { item, parent } => {
                let mut item = self.living_item(item)?;
                let parent = self.folder(parent.as_deref())?;
                let inside = parent.id == item.id || self.ancestors(parent).iter().any(|folder| folder.id == item.id);
                if inside {
                    return Err(ChangeError::NotAllowed("a folder does not move into itself".to_owned()));
                }
                let parent = parent.id.clone();
                self.check_name(&parent, &item.name, Some(&item.id))?;
                item.parent = Some(parent);
                Ok(self.touch(item))
            }
            Change::Update { item, size } => {
                let mut item = self.living_item(item)?;
                if !item.is_folder() {
                    item.content = self.file(*size);
                }
                Ok(self.touch(item))
            }
            Change::Delete { item } => {
                let item = self.living_item(item)?;
                Ok(self.delete(item))
            }
            Change::Restore { item } => {
                let found = self.item(item).filter(|item| item.deleted);
                let mut item = found.cloned().ok_or_else(|| ChangeError::NotFound(item.clone()))?;
                let home = item.parent.as_deref().and_then(|id| self.item(id)).filter(|home| !home.deleted);
                let home = home.map_or_else(|| self.root.clone(), |home| home.id.clone());
                self.check_name(&home, &item.name, None)?;
                item.parent = Some(home);
                item.deleted = false;
                Ok(self.touch(item))
            }
        }
    }

    fn create(&mut self, name: &str, parent: Option<&str>, content: Content) -> Result<String, ChangeError> {
        let parent = self.folder(parent)?.id.clone();
        self.check_name(&parent, name, None)?;
        if self.living() >= self.limits.items {
            return Err(ChangeError::Full);
        }
        let now = Timestamp::now();
        let item = Item {
            id: item_id(self.kind, &self.id, &mut self.rng),
            guid: uuid(&mut self.rng),
            name: name.to_owned(),
            parent: Some(parent),
            content,
            created: now,
            modified: now,
            by: self.owner,
            version: 0,
            deleted: false,
            sequence: 0,
            at: Instant::now(),
        };
        Ok(self.touch(item))
    }

    /// The folder first, then what was in it: delta promises no order, and a client must not need one.
    fn delete(&mut self, item: Item) -> String {
        let id = item.id.clone();
        let mut doomed = vec![item];
        while let Some(mut item) = doomed.pop() {
            doomed.extend(self.children(&item.id).cloned());
            item.deleted = true;
            self.touch(item);
        }
        id
    }

    fn touch(&mut self, mut item: Item) -> String {
        let id = item.id.clone();
        item.version += 1;
        item.modified = Timestamp::now();
        item.by = Person::any(&mut self.rng);
        self.write(item);
        id
    }

    fn living_item(&self, wanted: &str) -> Result<Item, ChangeError> {
        let item = self.find(wanted).filter(|item| !item.deleted);
        let item = item.ok_or_else(|| ChangeError::NotFound(wanted.to_owned()))?;
        if item.parent.is_none() {
            return Err(ChangeError::NotAllowed("the root stays as it is".to_owned()));
        }
        Ok(item.clone())
    }

    fn folder(&self, wanted: Option<&str>) -> Result<&Item, ChangeError> {
        let wanted = wanted.unwrap_or("/");
        let found = self.find(wanted).filter(|item| !item.deleted);
        let folder = found.ok_or_else(|| ChangeError::NotFound(wanted.to_owned()))?;
        if folder.is_folder() { Ok(folder) } else { Err(ChangeError::NotAFolder(wanted.to_owned())) }
    }

    fn check_name(&self, parent: &str, name: &str, mine: Option<&str>) -> Result<(), ChangeError> {
        if name.is_empty() || name.contains(['/', '\\', ':', '*', '?', '"', '<', '>', '|']) {
            return Err(ChangeError::BadName(name.to_owned()));
        }
        let holder = self.names.get(parent).and_then(|names| names.get(&name.to_lowercase()));
        match holder {
            Some(holder) if Some(holder.as_str()) != mine => Err(ChangeError::NameTaken(name.to_owned())),
            _ => Ok(()),
        }
    }

    fn file(&mut self, size: Option<u64>) -> Content {
        const BASE64: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
        Content::File {
            size: size.unwrap_or_else(|| self.rng.u64(2_048..4_000_000)),
            // 20 bytes in base64, the shape of a quickXorHash.
            hash: format!("{}A=", letters(BASE64, 26, &mut self.rng)),
        }
    }
}
