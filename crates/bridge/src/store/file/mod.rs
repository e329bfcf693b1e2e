//! The store in a file: one redb database, one process at a time, one thread that writes.
//!
//! ```text
//!  open, save, … ─► queue (256) ─► thread: as many as wait ─► one transaction ─► fsync ─► every answer
//! ```
//!
//! *Invariants:* nothing is answered before the transaction that it was part of is on the disk. A file that cannot be used is never
//! written to: opening is rehearsed in memory first. After a failed write the database is opened anew before the next one.

mod lock;
mod open;
mod rows;
mod schema;
mod shadow;
#[cfg(test)]
mod tests;
mod writer;

use std::path::{Path, PathBuf};

use async_trait::async_trait;
use drivetap_core::feed::Record;
use drivetap_core::{AccountName, Drive, FeedId, Resource};

use self::rows::{StoredDrive, drive_key};
use self::schema::Schema;
use self::writer::Writer;
use super::{Epoch, Store, StoreError};

/// Keeps records in a file, so that a restart goes on where the process before stopped.
///
/// Saves that wait at the same time share one transaction and one `fsync`. Memory: a cache of 8 MiB, and at most 256 waiting requests, each with
/// a record of at most some 17 KiB. Beside `PATH` lies `PATH.lock`, which stays: it is locked while a process has the file open, and names its
/// pid. The operating system takes the lock back when the process ends, however it ends.
///
/// Dropping the store waits for the requests already taken, which blocks the thread for a transaction or two;
/// [`close`](Self::close) waits without blocking.
#[derive(Debug)]
pub struct RedbStore {
    writer: Writer,
}

impl RedbStore {
    /// Opens the file, or makes it where it is missing or empty. Its folder must exist.
    ///
    /// Reads the whole file and blocks meanwhile: call it before the runtime is busy, or through `spawn_blocking`.
    ///
    /// # Errors
    /// See [`OpenStoreError`]; the file is left as it was, byte for byte.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, OpenStoreError> {
        Self::open_as(path.as_ref(), Schema::CURRENT)
    }

    fn open_as(path: &Path, schema: Schema) -> Result<Self, OpenStoreError> {
        let (path, lock, database) = open::open(path, schema)?;
        let file = path.clone();
        let reopen = move || open::reopen(&file, schema);
        Writer::start(database, reopen, Some(lock))
            .map(|writer| Self { writer })
            .map_err(|error| OpenStoreError::Unreadable { path, reason: format!("no thread to write it: {error}") })
    }

    /// Ends the store: what was taken is written, the file closed and its lock given back.
    ///
    /// A dropped future leaves that to a thread of the runtime.
    pub async fn close(self) {
        // The only failure is a runtime that shuts down meanwhile; the thread ends with its queue all the same.
        let _ = tokio::task::spawn_blocking(move || drop(self)).await;
    }

    /// How many transactions were written since it was opened: less than the saves, as far as they came together.
    #[must_use]
    pub fn commits(&self) -> u64 {
        self.writer.commits()
    }
}

#[async_trait]
impl Store for RedbStore {
    async fn open(&self, feed: &FeedId) -> Result<(Epoch, Option<Record>), StoreError> {
        let key = feed.key();
        let asked = key.clone();
        let (epoch, json) = self.writer.ask(move |rows| rows.take_over(&asked)).await?;
        let record = json.map(|json| rows::decode("record", &key, &json)).transpose().map_err(StoreError::Unavailable)?;
        Ok((epoch, record))
    }

    async fn save(&self, feed: &FeedId, epoch: Epoch, record: &Record) -> Result<(), StoreError> {
        let (key, json) = (feed.key(), rows::encode(record)?);
        self.writer.ask(move |rows| rows.save(&key, epoch, &json)).await
    }

    async fn drive(&self, account: &AccountName, resource: &Resource) -> Result<Option<Drive>, StoreError> {
        let key = drive_key(account, resource);
        let asked = key.clone();
        let Some(json) = self.writer.ask(move |rows| rows.drive(&asked)).await? else {
            return Ok(None);
        };
        rows::decode("drive", &key, &json).map(|StoredDrive(drive)| Some(drive)).map_err(StoreError::Unavailable)
    }

    async fn keep_drive(&self, account: &AccountName, resource: &Resource, drive: &Drive) -> Result<(), StoreError> {
        let (key, json) = (drive_key(account, resource), rows::encode(&StoredDrive(drive.clone()))?);
        self.writer.ask(move |rows| rows.keep_drive(&key, &json)).await
    }
}

/// Why a state file was not opened. It is left as it was.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OpenStoreError {
    /// A process has it open already; this one, if it opens the file twice.
    #[error("the state file {} is in use{}", path.display(), pid.map(|pid| format!(" by process {pid}")).unwrap_or_default())]
    InUse {
        /// The file.
        path: PathBuf,
        /// The process, where it can be told: not through a hard link, not on Windows (a locked file cannot be read there).
        pid: Option<u32>,
    },
    /// Missing rights, a folder that is missing, damage, or a file of another program.
    #[error("the state file {} cannot be used, and was left as it is: {reason}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// A newer drivetap wrote it.
    #[error("the state file {} has version {found}, and this drivetap knows up to {known}: use a newer one", path.display())]
    NewerVersion {
        /// The file.
        path: PathBuf,
        /// Its version.
        found: u64,
        /// The newest version that this build reads.
        known: u64,
    },
}
