//! What every store keeps. Each check gets an empty store.

use drivetap_core::feed::Record;
use drivetap_core::{AccountName, Drive, DriveType, FeedId, GraphId, Resource};
use jiff::Timestamp;

use super::{Epoch, Store, StoreError};

/// A test for each promise, for the store that `$open` makes in a folder.
macro_rules! store_contract {
    ($open:expr) => {
        $crate::store::contract::store_contract!($open,
            a_feed_that_is_new_has_no_record,
            what_was_saved_comes_back_whole,
            feeds_do_not_see_each_other,
            a_new_epoch_shuts_the_old_one_out,
            of_owners_that_come_at_once_one_saves_and_the_others_are_told,
            a_drive_is_kept_for_its_account_and_resource,
        );
    };
    ($open:expr, $($promise:ident,)+) => {
        mod contract {
            $(
                #[tokio::test]
                async fn $promise() {
                    let folder = tempfile::tempdir().unwrap();
                    let store = ($open)(folder.path());
                    $crate::store::contract::$promise(&store).await;
                }
            )+
        }
    };
}
pub(super) use store_contract;

store_contract!(|_: &std::path::Path| crate::MemoryStore::default());

pub(super) async fn a_feed_that_is_new_has_no_record(store: &impl Store) {
    let (first, record) = store.open(&feed("anna", "d1")).await.unwrap();
    assert_eq!(record, None);
    let (second, record) = store.open(&feed("anna", "d1")).await.unwrap();
    assert_eq!(record, None);
    assert!(first < second);
}

pub(super) async fn what_was_saved_comes_back_whole(store: &impl Store) {
    let feed = feed("anna", "b!x");
    for record in [Record::new(7, Timestamp::UNIX_EPOCH), full_record(), record_of_version_2()] {
        let (epoch, _) = store.open(&feed).await.unwrap();
        store.save(&feed, epoch, &record).await.unwrap();
        assert_eq!(store.open(&feed).await.unwrap().1, Some(record));
    }
}

pub(super) async fn feeds_do_not_see_each_other(store: &impl Store) {
    let feeds = [feed("anna", "d1"), feed("anna", "d2"), feed("ben", "d1")];
    let mut owners = Vec::new();
    for (number, feed) in feeds.iter().enumerate() {
        let (epoch, record) = store.open(feed).await.unwrap();
        assert_eq!(record, None);
        store.save(feed, epoch, &numbered(number)).await.unwrap();
        owners.push(epoch);
    }
    for (number, feed) in feeds.iter().enumerate() {
        store.save(feed, owners[number], &numbered(number)).await.unwrap();
        assert_eq!(store.open(feed).await.unwrap().1, Some(numbered(number)));
    }
}

pub(super) async fn a_new_epoch_shuts_the_old_one_out(store: &impl Store) {
    let feed = feed("anna", "d1");
    let (old, _) = store.open(&feed).await.unwrap();
    store.save(&feed, old, &numbered(1)).await.unwrap();
    let (new, record) = store.open(&feed).await.unwrap();
    assert_eq!(record, Some(numbered(1)));

    let lost = Err(StoreError::Lost { newer: new.0.get() });
    assert_eq!(store.save(&feed, old, &numbered(2)).await, lost);
    store.save(&feed, new, &numbered(3)).await.unwrap();
    assert_eq!(store.save(&feed, old, &numbered(4)).await, lost);
    assert_eq!(store.open(&feed).await.unwrap(), (Epoch(new.0.saturating_add(1)), Some(numbered(3))));
}

pub(super) async fn of_owners_that_come_at_once_one_saves_and_the_others_are_told(store: &impl Store) {
    let feed = feed("anna", "d1");
    let opened = futures_util::future::join_all((0..16).map(|_| store.open(&feed))).await;
    let mut epochs: Vec<Epoch> = opened.into_iter().map(|outcome| outcome.unwrap().0).collect();
    epochs.sort_unstable();
    epochs.dedup();
    assert_eq!(epochs.len(), 16, "two owners have one epoch");

    let newest = epochs[15];
    let records: Vec<Record> = (0..16).map(numbered).collect();
    let saves = epochs.iter().zip(&records).map(|(epoch, record)| store.save(&feed, *epoch, record));
    for (epoch, outcome) in epochs.iter().zip(futures_util::future::join_all(saves).await) {
        let expected = if *epoch == newest { Ok(()) } else { Err(StoreError::Lost { newer: newest.0.get() }) };
        assert_eq!(outcome, expected, "{epoch:?}");
    }
    assert_eq!(store.open(&feed).await.unwrap().1, Some(numbered(15)));
}

pub(super) async fn a_drive_is_kept_for_its_account_and_resource(store: &impl Store) {
    let (anna, ben) = ("anna".parse().unwrap(), "ben".parse().unwrap());
    let site: Resource = "site:contoso.sharepoint.com,11,22/list:Shared Documents".parse().unwrap();
    let drives = [
        (&anna, Resource::Me, drive("A0B9E159B3310AD", "personal")),
        (&ben, Resource::Me, drive("b!q-1", "business")),
        (&anna, site, drive("b!Ü", "a word of 2031")),
    ];
    for (account, resource, drive) in &drives {
        assert_eq!(store.drive(account, resource).await.unwrap(), None);
        store.keep_drive(account, resource, &self::drive("b!old", "business")).await.unwrap();
        store.keep_drive(account, resource, drive).await.unwrap();
    }
    for (account, resource, drive) in drives {
        assert_eq!(store.drive(account, &resource).await.unwrap(), Some(drive));
    }
}

pub(super) fn feed(account: &str, drive_id: &str) -> FeedId {
    FeedId { account: account.parse::<AccountName>().unwrap(), drive: drive(drive_id, "business").id }
}

pub(super) fn drive(id: &str, drive_type: &str) -> Drive {
    Drive::new(&GraphId::new("driveId", id).unwrap(), DriveType::from(drive_type))
}

pub(super) fn numbered(number: usize) -> Record {
    let mut record = full_record();
    record.place.sequence = u64::try_from(number).unwrap();
    record
}

/// Every field set.
pub(super) fn full_record() -> Record {
    serde_json::from_str(FULL_RECORD).unwrap()
}

/// With what version 2 added.
pub(super) fn record_of_version_2() -> Record {
    serde_json::from_str(&FULL_RECORD.replace(r#","last_alive""#, NEW_IN_VERSION_2)).unwrap()
}

const NEW_IN_VERSION_2: &str =
    r#","losses":[{"sink":"live","from":"2026-03-01T09:00:00Z","first":4700,"last":4710}],"may_begin":true,"last_alive""#;

/// The record of version 1, written by hand: files that are out there hold it.
pub(super) const FULL_RECORD: &str = concat!(
    r#"{"place":{"incarnation":"00112233445566778899aabbccddeeff","generation":2,"walk":31,"sequence":4711,"#,
    r#""cursor":{"within":"/v1.0/drives/b!x/root/delta?token=a%2Fb"},"#,
    r#""enumeration":{"code":"resyncChangesApplyDifferences","items":400,"announced":true},"#,
    r#""moved_at":"2026-03-01T10:00:00Z","enumerated_at":"2026-02-01T00:00:00.5Z"},"#,
    r#""gaps":{"told":{"from":"2026-03-01T08:00:00Z","to":"2026-03-01T08:05:00Z","reason":"restart"},"#,
    r#""open":{"from":"2026-03-01T09:59:50Z","reason":"disconnected"}},"#,
    r#""last_alive":"2026-03-01T09:59:50Z"}"#
);
