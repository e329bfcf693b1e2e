//! A drive as tests and people hold it.

use std::sync::Arc;

use serde_json::Value;
use tokio::time::Instant;

use crate::{
    emulator::{Service, SocketFault},
    model::{Change, ChangeError},
};

/// A handle to one drive. Cheap to clone; it does not keep the emulator running.
#[derive(Debug, Clone)]
pub struct DriveHandle {
    service: Arc<Service>,
    id: String,
}

impl DriveHandle {
    pub(crate) fn new(service: Arc<Service>, id: String) -> Self {
        Self { service, id }
    }

    /// The drive's id as it was made.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Makes a change, logs it for delta and schedules its signals. Answers the item's id.
    ///
    /// # Errors
    /// See [`ChangeError`]; the drive is as it was.
    pub fn change(&self, change: &Change) -> Result<String, ChangeError> {
        let changed = self.service.with(|world| world.change(&self.id, change, Instant::now()));
        self.service.wake_clock();
        changed
    }

    /// A new file in the folder `parent` (an id, or a path such as `/Plans`).
    ///
    /// # Errors
    /// As [`DriveHandle::change`].
    pub fn create(&self, parent: &str, name: &str) -> Result<String, ChangeError> {
        self.change(&Change::Create { name: name.to_owned(), parent: Some(parent.to_owned()), size: None })
    }

    /// A new folder.
    ///
    /// # Errors
    /// As [`DriveHandle::change`].
    pub fn create_folder(&self, parent: &str, name: &str) -> Result<String, ChangeError> {
        self.change(&Change::CreateFolder { name: name.to_owned(), parent: Some(parent.to_owned()) })
    }

    /// New content.
    ///
    /// # Errors
    /// As [`DriveHandle::change`].
    pub fn update(&self, item: &str) -> Result<String, ChangeError> {
        self.change(&Change::Update { item: item.to_owned(), size: None })
    }

    /// Another name in the same folder.
    ///
    /// # Errors
    /// As [`DriveHandle::change`].
    pub fn rename(&self, item: &str, name: &str) -> Result<String, ChangeError> {
        self.change(&Change::Rename { item: item.to_owned(), name: name.to_owned() })
    }

    /// The same name in another folder.
    ///
    /// # Errors
    /// As [`DriveHandle::change`].
    pub fn move_to(&self, item: &str, parent: &str) -> Result<String, ChangeError> {
        self.change(&Change::Move { item: item.to_owned(), parent: Some(parent.to_owned()) })
    }

    /// Deletes an item; a folder goes with everything under it.
    ///
    /// # Errors
    /// As [`DriveHandle::change`].
    pub fn delete(&self, item: &str) -> Result<String, ChangeError> {
        self.change(&Change::Delete { item: item.to_owned() })
    }

    /// Brings a deleted item back under its id.
    ///
    /// # Errors
    /// As [`DriveHandle::change`].
    pub fn restore(&self, item: &str) -> Result<String, ChangeError> {
        self.change(&Change::Restore { item: item.to_owned() })
    }

    /// Creates so many files in the root at once, each with its own signals. Answers their ids.
    ///
    /// # Errors
    /// [`ChangeError::Full`] where the drive filled up; what was created stays.
    pub fn burst(&self, files: usize) -> Result<Vec<String>, ChangeError> {
        let made = self.service.with(|world| {
            let mut made = Vec::new();
            for _ in 0..files {
                // A drive never repeats a sequence, so the name is new.
                let head = world.drive(&self.id).map_or(0, crate::model::Drive::head);
                let change = Change::Create { name: format!("IMG_{head:06}.jpg"), parent: None, size: None };
                made.push(world.change(&self.id, &change, Instant::now())?);
            }
            Ok(made)
        });
        self.service.wake_clock();
        made
    }

    /// Signals without a change: a spurious tap on the shoulder, or many.
    pub fn signal(&self, count: u32) {
        self.service.with(|world| world.signal(&self.id, count, Instant::now()));
        self.service.wake_clock();
    }

    /// The id of what a path such as `/Plans/Budget.xlsx` names; `/` is the root.
    pub fn find(&self, path: &str) -> Option<String> {
        self.service.with(|world| Some(world.drive(&self.id)?.find(path)?.id.clone()))
    }

    /// The ids and names of everything that is there, the root included, in the order of their latest change.
    pub fn items(&self) -> Vec<(String, String)> {
        self.service.with(|world| {
            let Some(drive) = world.drive(&self.id) else {
                return Vec::new();
            };
            let items = drive.changes(0, drive.head()).filter(|item| !item.deleted);
            items.map(|item| (item.id.clone(), item.name.clone())).collect()
        })
    }

    /// Everything that is there, the root included, as delta would report it now; whatever its lag, in no promised order.
    pub fn snapshot(&self) -> Vec<Value> {
        self.service.with(|world| {
            let Some(drive) = world.drive(&self.id) else {
                return Vec::new();
            };
            let items = drive.changes(0, drive.head()).filter(|item| !item.deleted);
            items.map(|item| item.in_delta(drive, item.version)).collect()
        })
    }

    /// Every delta token handed out so far answers 410 from now on, as `switches.gone` says.
    pub fn expire_tokens(&self) {
        self.service.with(|world| {
            if let Some(drive) = world.drive_mut(&self.id) {
                drive.epoch = drive.epoch.wrapping_add(1);
            }
        });
    }

    /// Sockets that listen to this drive now.
    pub fn subscribers(&self) -> usize {
        self.service.with(|world| world.sockets(Some(&self.id)).len())
    }

    /// Does something to the sockets that listen to this drive. Answers how many.
    pub fn socket_fault(&self, fault: &SocketFault) -> usize {
        self.service.socket_fault(fault, Some(&self.id))
    }
}
