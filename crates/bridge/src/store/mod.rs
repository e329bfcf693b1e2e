//! Where feeds keep their records.

#[cfg(test)]
mod contract;
#[cfg(feature = "redb")]
mod file;
mod memory;

use std::num::NonZeroU64;

use async_trait::async_trait;
use drivetap_core::feed::Record;
use drivetap_core::{AccountName, Drive, FeedId, Resource};

#[cfg(feature = "redb")]
pub use self::file::{OpenStoreError, RedbStore};
pub use self::memory::MemoryStore;

/// Keeps one [`Record`] a feed, and which drive a resource turned out to be.
///
/// Ownership is an epoch: opening a feed makes a new one, and from then on only its holder can save. What is saved is durable when the
/// call returns.
#[async_trait]
pub trait Store: Send + Sync {
    /// Takes the feed over: a new epoch, and the record as the last owner left it. A dropped future may have taken it over.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] where the store cannot be read or written.
    async fn open(&self, feed: &FeedId) -> Result<(Epoch, Option<Record>), StoreError>;

    /// Saves the record; on `Ok` it is durable. A dropped future may or may not have saved.
    ///
    /// # Errors
    /// [`StoreError::Lost`] where a newer epoch exists (nothing changed), [`StoreError::Unavailable`] where it is not known to be durable: the
    /// record before or this one is kept, whole, so that saving again is always right.
    async fn save(&self, feed: &FeedId, epoch: Epoch, record: &Record) -> Result<(), StoreError>;

    /// The drive that the resource resolved to, if it ever did.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] where the store cannot be read.
    async fn drive(&self, account: &AccountName, resource: &Resource) -> Result<Option<Drive>, StoreError>;

    /// Keeps the drive that the resource resolved to.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] where it could not be written.
    async fn keep_drive(&self, account: &AccountName, resource: &Resource, drive: &Drive) -> Result<(), StoreError>;
}

/// Who owns a feed: the highest epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Epoch(pub NonZeroU64);

/// Why a record was not read or saved.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// Another process took the feed over.
    #[error("another process owns this feed now (epoch {newer})")]
    Lost {
        /// The epoch that is newer.
        newer: u64,
    },
    /// It cannot be read or written just now: the disk is full, the file is gone.
    #[error("the state cannot be used: {0}")]
    Unavailable(String),
}
