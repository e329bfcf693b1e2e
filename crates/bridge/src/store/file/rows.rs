use std::num::NonZeroU64;

use drivetap_core::feed::Record;
use drivetap_core::{AccountName, Drive, DriveType, GraphId, Resource, ResourceError};
use redb::{ReadTransaction, ReadableTable, Table, TableDefinition, WriteTransaction};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::store::{Epoch, StoreError};

/// By [`FeedId::key`](drivetap_core::FeedId::key): the newest epoch. Apart from the record, so that a save compares eight bytes.
const EPOCHS: TableDefinition<&str, u64> = TableDefinition::new("epochs");
/// By [`FeedId::key`](drivetap_core::FeedId::key): the record as JSON.
const RECORDS: TableDefinition<&str, &[u8]> = TableDefinition::new("records");
/// By [`drive_key`]: a [`StoredDrive`] as JSON.
const DRIVES: TableDefinition<&str, &[u8]> = TableDefinition::new("drives");

/// The tables, open in one transaction.
#[derive(Debug)]
pub(super) struct Rows<'txn> {
    epochs: Table<'txn, &'static str, u64>,
    records: Table<'txn, &'static str, &'static [u8]>,
    drives: Table<'txn, &'static str, &'static [u8]>,
    changed: bool,
}

/// Why one request was not done.
#[derive(Debug)]
pub(super) enum Fault {
    /// An answer to that request; the transaction goes on without it.
    Refused(StoreError),
    /// The database failed, and every request of the transaction with it.
    Database(redb::Error),
}

impl<E: Into<redb::Error>> From<E> for Fault {
    fn from(error: E) -> Self {
        Self::Database(error.into())
    }
}

impl<'txn> Rows<'txn> {
    pub(super) fn open(transaction: &'txn WriteTransaction) -> Result<Self, redb::Error> {
        Ok(Self {
            epochs: transaction.open_table(EPOCHS)?,
            records: transaction.open_table(RECORDS)?,
            drives: transaction.open_table(DRIVES)?,
            changed: false,
        })
    }

    /// Whether there is anything to commit.
    pub(super) fn changed(&self) -> bool {
        self.changed
    }

    pub(super) fn take_over(&mut self, key: &str) -> Result<(Epoch, Option<Vec<u8>>), Fault> {
        let epoch = match self.newest(key)? {
            Some(Epoch(newest)) => Epoch(newest.saturating_add(1)),
            None => Epoch(NonZeroU64::MIN),
        };
        self.changed = true;
        self.epochs.insert(key, epoch.0.get())?;
        let record = self.records.get(key)?.map(|json| json.value().to_owned());
        Ok((epoch, record))
    }

    pub(super) fn save(&mut self, key: &str, epoch: Epoch, record: &[u8]) -> Result<(), Fault> {
        let newest = self.newest(key)?;
        if let Some(Epoch(newer)) = newest.filter(|newest| *newest > epoch) {
            return Err(Fault::Refused(StoreError::Lost { newer: newer.get() }));
        }
        self.changed = true;
        if newest != Some(epoch) {
            self.epochs.insert(key, epoch.0.get())?;
        }
        self.records.insert(key, record)?;
        Ok(())
    }

    pub(super) fn drive(&mut self, key: &str) -> Result<Option<Vec<u8>>, Fault> {
        Ok(self.drives.get(key)?.map(|json| json.value().to_owned()))
    }

    pub(super) fn keep_drive(&mut self, key: &str, drive: &[u8]) -> Result<(), Fault> {
        self.changed = true;
        self.drives.insert(key, drive)?;
        Ok(())
    }

    fn newest(&self, key: &str) -> Result<Option<Epoch>, redb::Error> {
        Ok(self.epochs.get(key)?.and_then(|epoch| NonZeroU64::new(epoch.value())).map(Epoch))
    }
}

/// Reads every row. The error names the first that cannot be.
pub(super) fn check(transaction: &ReadTransaction) -> Result<Result<(), String>, redb::Error> {
    transaction.open_table(EPOCHS)?;
    for row in transaction.open_table(RECORDS)?.iter()? {
        let (key, json) = row?;
        if let Err(reason) = decode::<Record>("record", key.value(), json.value()) {
            return Ok(Err(reason));
        }
    }
    for row in transaction.open_table(DRIVES)?.iter()? {
        let (key, json) = row?;
        if let Err(reason) = decode::<StoredDrive>("drive", key.value(), json.value()) {
            return Ok(Err(reason));
        }
    }
    Ok(Ok(()))
}

pub(super) fn encode(value: &impl Serialize) -> Result<Vec<u8>, StoreError> {
    serde_json::to_vec(value).map_err(|error| StoreError::Unavailable(error.to_string()))
}

pub(super) fn decode<T: DeserializeOwned>(what: &str, key: &str, json: &[u8]) -> Result<T, String> {
    serde_json::from_slice(json).map_err(|error| format!("the {what} of {key} does not read: {error}"))
}

/// One string for the two. An account's name has no `/`, so two pairs never share a key.
pub(super) fn drive_key(account: &AccountName, resource: &Resource) -> String {
    format!("{account}/{resource}")
}

/// A [`Drive`] as it is kept: Graph's words for both.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(try_from = "DriveText", into = "DriveText")]
pub(super) struct StoredDrive(pub(super) Drive);

#[derive(Serialize, Deserialize)]
struct DriveText {
    id: String,
    drive_type: String,
}

impl TryFrom<DriveText> for StoredDrive {
    type Error = ResourceError;

    fn try_from(text: DriveText) -> Result<Self, Self::Error> {
        let id = GraphId::new("driveId", &text.id)?;
        Ok(Self(Drive::new(&id, DriveType::from(text.drive_type.as_str()))))
    }
}

impl From<StoredDrive> for DriveText {
    fn from(StoredDrive(drive): StoredDrive) -> Self {
        Self { id: drive.id.to_string(), drive_type: drive.drive_type.to_string() }
    }
}
