use std::collections::HashMap;
use std::num::NonZeroU64;
use std::sync::{Mutex, PoisonError};

use async_trait::async_trait;
use drivetap_core::feed::Record;
use drivetap_core::{AccountName, Drive, FeedId, Resource};

use super::{Epoch, Store, StoreError};

/// Keeps records as long as the process: a restart begins anew.
#[derive(Debug, Default)]
pub struct MemoryStore {
    rows: Mutex<Rows>,
}

#[derive(Debug, Default)]
struct Rows {
    records: HashMap<FeedId, (Epoch, Option<Record>)>,
    drives: HashMap<(AccountName, Resource), Drive>,
}

impl MemoryStore {
    fn with<T>(&self, act: impl FnOnce(&mut Rows) -> T) -> T {
        act(&mut self.rows.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

#[async_trait]
impl Store for MemoryStore {
    async fn open(&self, feed: &FeedId) -> Result<(Epoch, Option<Record>), StoreError> {
        Ok(self.with(|rows| match rows.records.get_mut(feed) {
            Some((epoch, record)) => {
                *epoch = Epoch(epoch.0.saturating_add(1));
                (*epoch, record.clone())
            }
            None => {
                let first = Epoch(NonZeroU64::MIN);
                rows.records.insert(feed.clone(), (first, None));
                (first, None)
            }
        }))
    }

    async fn save(&self, feed: &FeedId, epoch: Epoch, record: &Record) -> Result<(), StoreError> {
        self.with(|rows| match rows.records.get_mut(feed) {
            Some((owner, _)) if *owner > epoch => Err(StoreError::Lost { newer: owner.0.get() }),
            _ => {
                rows.records.insert(feed.clone(), (epoch, Some(record.clone())));
                Ok(())
            }
        })
    }

    async fn drive(&self, account: &AccountName, resource: &Resource) -> Result<Option<Drive>, StoreError> {
        Ok(self.with(|rows| rows.drives.get(&(account.clone(), resource.clone())).cloned()))
    }

    async fn keep_drive(&self, account: &AccountName, resource: &Resource, drive: &Drive) -> Result<(), StoreError> {
        self.with(|rows| rows.drives.insert((account.clone(), resource.clone()), drive.clone()));
        Ok(())
    }
}
