use std::collections::HashMap;
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use redb::backends::FileBackend;
use redb::{BackendError, ReadableDatabase, StorageBackend, TableDefinition, WriteTransaction};
use tempfile::TempDir;

use super::*;
use crate::store::contract::{FULL_RECORD, drive, feed, full_record, numbered, record_of_version_2, store_contract};

store_contract!(|folder: &std::path::Path| crate::RedbStore::open(folder.join("state.redb")).unwrap());

// Written out: a file that exists has these tables, whatever the code calls them.
const META: TableDefinition<&str, u64> = TableDefinition::new("drivetap");
const EPOCHS: TableDefinition<&str, u64> = TableDefinition::new("epochs");
const RECORDS: TableDefinition<&str, &[u8]> = TableDefinition::new("records");
const DRIVES: TableDefinition<&str, &[u8]> = TableDefinition::new("drives");

#[tokio::test]
async fn a_restart_goes_on_with_what_was_saved() {
    let (_folder, path) = state();
    let feed = feed("anna", "d1");
    for restart in 1..4 {
        let store = RedbStore::open(&path).unwrap();
        let (epoch, record) = store.open(&feed).await.unwrap();
        assert_eq!((epoch.0.get(), record), (restart, (restart > 1).then(full_record)));
        store.save(&feed, epoch, &full_record()).await.unwrap();
        store.keep_drive(&feed.account, &Resource::Me, &drive("d1", "business")).await.unwrap();
        store.close().await;
    }
    let store = RedbStore::open(&path).unwrap();
    assert_eq!(store.drive(&feed.account, &Resource::Me).await.unwrap(), Some(drive("d1", "business")));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn saves_that_come_together_share_a_transaction() {
    const TASKS: usize = 64;
    const SAVES: usize = 20;
    let (_folder, path) = state();
    let store = Arc::new(RedbStore::open(&path).unwrap());
    let tasks: Vec<_> = (0..TASKS).map(|task| tokio::spawn(save_in_turn(Arc::clone(&store), task, SAVES))).collect();
    for task in tasks {
        task.await.unwrap();
    }
    let saves = u64::try_from(TASKS * SAVES).unwrap();
    assert!(store.commits() * 4 < saves, "{} transactions for {saves} saves", store.commits());
}

async fn save_in_turn(store: Arc<RedbStore>, task: usize, saves: usize) {
    let feed = feed("anna", &format!("d{task}"));
    let (epoch, _) = store.open(&feed).await.unwrap();
    for save in 0..saves {
        store.save(&feed, epoch, &numbered(save)).await.unwrap();
    }
}

#[tokio::test]
async fn reading_a_drive_writes_nothing() {
    let (_folder, path) = state();
    let store = RedbStore::open(&path).unwrap();
    for _ in 0..5 {
        assert_eq!(store.drive(&AccountName::default(), &Resource::Me).await.unwrap(), None);
    }
    assert_eq!(store.commits(), 0);
}

/// The parent kills a child that saves as fast as it can, five times over one file, and looks for every save that the child said was done.
#[test]
#[cfg(unix)]
fn what_was_acknowledged_survives_kill_9() {
    const TEST: &str = "store::file::tests::what_was_acknowledged_survives_kill_9";
    if let Some(path) = std::env::var_os(CHILD) {
        return save_until_killed(Path::new(&path));
    }
    let (_folder, path) = state();
    let mut acknowledged: HashMap<String, u64> = HashMap::new();
    for round in 1..=5_usize {
        let mut child = Killed(
            Command::new(std::env::current_exe().unwrap())
                .args(["--exact", TEST, "--nocapture", "--test-threads=1"])
                .env(CHILD, &path)
                .stdout(Stdio::piped())
                .spawn()
                .unwrap(),
        );
        let lines = BufReader::new(child.0.stdout.take().unwrap()).lines();
        let mut said = 0;
        for line in lines.map_while(Result::ok) {
            let Some((feed, sequence)) = line.strip_prefix("saved ").and_then(|rest| rest.split_once(' ')) else {
                continue;
            };
            acknowledged.insert(feed.to_owned(), sequence.parse().unwrap());
            said += 1;
            if said == 40 * round {
                let in_use = OpenStoreError::InUse { path: path.canonicalize().unwrap(), pid: Some(child.0.id()) };
                assert_eq!(RedbStore::open(&path).unwrap_err(), in_use);
                child.0.kill().unwrap();
            }
        }
        assert!(said >= 40 * round, "the child ended by itself after {said} saves");
        child.0.wait().unwrap();
    }

    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(async {
        let store = RedbStore::open(&path).unwrap();
        assert_eq!(acknowledged.len(), 4);
        for (drive_id, sequence) in acknowledged {
            let (_, record) = store.open(&feed("anna", &drive_id)).await.unwrap();
            let kept = record.unwrap().place.sequence;
            // The one after it may have been saved and not said.
            assert!((sequence..=sequence + 1).contains(&kept), "{drive_id}: {sequence} was acknowledged, {kept} is there");
        }
    });
}

const CHILD: &str = "DRIVETAP_TEST_STATE";

fn save_until_killed(path: &Path) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().unwrap();
    runtime.block_on(async {
        let store = Arc::new(RedbStore::open(path).unwrap());
        let tasks = (0..4).map(|task| {
            let (store, drive_id) = (Arc::clone(&store), format!("d{task}"));
            tokio::spawn(async move {
                let feed = feed("anna", &drive_id);
                let (epoch, record) = store.open(&feed).await.unwrap();
                let mut record = record.unwrap_or_else(|| numbered(0));
                loop {
                    record.place.sequence += 1;
                    store.save(&feed, epoch, &record).await.unwrap();
                    println!("\nsaved {drive_id} {}", record.place.sequence);
                }
            })
        });
        futures_util::future::join_all(tasks).await;
    });
}

struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[tokio::test]
async fn a_second_opening_is_refused_with_the_pid_until_the_first_ends() {
    let (folder, path) = state();
    let store = RedbStore::open(&path).unwrap();
    let real = path.canonicalize().unwrap();
    let own = Some(std::process::id());
    let refused = RedbStore::open(&path).unwrap_err();
    assert_eq!(refused, OpenStoreError::InUse { path: real.clone(), pid: own });
    let message = format!("the state file {} is in use by process {}", real.display(), std::process::id());
    assert_eq!(refused.to_string(), message);

    #[cfg(unix)]
    {
        let (soft, hard) = (folder.path().join("soft"), folder.path().join("hard"));
        std::os::unix::fs::symlink(&path, &soft).unwrap();
        fs::hard_link(&path, &hard).unwrap();
        assert_eq!(RedbStore::open(&soft).unwrap_err(), OpenStoreError::InUse { path: real, pid: own });
        let hard = hard.canonicalize().unwrap();
        assert_eq!(RedbStore::open(&hard).unwrap_err(), OpenStoreError::InUse { path: hard, pid: None });
    }
    store.close().await;
    drop(RedbStore::open(&path).unwrap());
    drop(folder);
}

#[tokio::test]
async fn a_file_that_cannot_be_used_is_left_byte_for_byte() {
    let (folder, good) = state();
    filled(&good).await;
    let good = fs::read(&good).unwrap();
    let changed = |act: &dyn Fn(&mut Vec<u8>)| {
        let mut bytes = good.clone();
        act(&mut bytes);
        bytes
    };
    let cases = [
        ("text", b"[state]\npath = \"drivetap.redb\"\n".to_vec()),
        ("one byte", vec![0]),
        ("zeros", vec![0; good.len()]),
        ("cut in half", changed(&|bytes| bytes.truncate(bytes.len() / 2))),
        ("cut to its header", changed(&|bytes| bytes.truncate(4096))),
        ("both roots overwritten", changed(&|bytes| bytes[64..320].fill(0xff))),
        ("all pages overwritten", changed(&|bytes| bytes[4096..].fill(0x5a))),
        ("another program's", database(folder.path(), |transaction| drop(transaction.open_table(EPOCHS)))),
        ("a row that is no record", database(folder.path(), |transaction| rows_of(transaction, 1, b"{\"place\":7}"))),
    ];
    for (name, bytes) in cases {
        let path = folder.path().join("bad.redb");
        fs::write(&path, &bytes).unwrap();
        match RedbStore::open(&path) {
            Err(OpenStoreError::Unreadable { reason, .. }) => assert!(!reason.is_empty(), "{name}"),
            other => panic!("{name}: {other:?}"),
        }
        assert!(fs::read(&path).unwrap() == bytes, "{name}: it was written to");
    }
}

/// Wherever a file is damaged, it is refused and left alone, or it is whole in what it answers.
#[tokio::test]
async fn no_damaged_byte_makes_another_record() {
    let (folder, path) = state();
    filled(&path).await;
    let good = fs::read(&path).unwrap();
    let (damaged, mut rng) = (folder.path().join("damaged.redb"), fastrand::Rng::with_seed(11));
    let (mut refused, mut whole) = (0, 0);
    for round in 0..300 {
        let mut bytes = good.clone();
        // The header is 320 bytes of many pages: it gets half of the attempts.
        let at = if round % 2 == 0 { rng.usize(..320) } else { rng.usize(..bytes.len()) };
        bytes[at] ^= 1 << rng.u8(..8);
        fs::write(&damaged, &bytes).unwrap();
        match RedbStore::open(&damaged) {
            Err(OpenStoreError::Unreadable { .. }) => {
                assert!(fs::read(&damaged).unwrap() == bytes, "byte {at}: it was written to");
                refused += 1;
            }
            Err(other) => panic!("byte {at}: {other}"),
            Ok(store) => {
                let feeds: Vec<FeedId> = (0..20).map(|number| feed("anna", &format!("d{number}"))).collect();
                let opened = futures_util::future::join_all(feeds.iter().map(|feed| store.open(feed))).await;
                for (number, outcome) in opened.into_iter().enumerate() {
                    // One transaction back is where redb goes when the newest root is damaged: to before the last save.
                    let record = outcome.unwrap().1;
                    assert!(
                        record == Some(numbered(number)) || (number == 19 && record.is_none()),
                        "byte {at}: {number}: {record:?}"
                    );
                }
                whole += 1;
            }
        }
    }
    assert!(refused > 30 && whole > 30, "{refused} refused, {whole} whole");
}

#[test]
fn what_is_missing_is_said() {
    let folder = tempfile::tempdir().unwrap();
    for path in [folder.path().join("no/such/state.redb"), folder.path().to_owned()] {
        let error = RedbStore::open(&path).unwrap_err();
        assert!(matches!(&error, OpenStoreError::Unreadable { .. }), "{error}");
    }
}

#[tokio::test]
async fn a_start_that_was_killed_while_it_made_the_file_is_made_good() {
    let (_folder, path) = state();
    fs::write(&path, b"").unwrap();
    fs::write(path.with_extension("redb.new"), b"half a database").unwrap();
    filled(&path).await;
    assert!(!path.with_extension("redb.new").exists());
}

/// A file as version 1 wrote it, by hand, opens; and what is written today is the same text.
#[tokio::test]
async fn version_1_is_read_and_written_as_it_always_was() {
    let (folder, path) = state();
    fs::write(&path, database(folder.path(), |transaction| rows_of(transaction, 1, FULL_RECORD.as_bytes()))).unwrap();
    let feed = feed("anna", "b!x");

    let store = RedbStore::open(&path).unwrap();
    let (epoch, record) = store.open(&feed).await.unwrap();
    let place = record.as_ref().unwrap().place.clone();
    assert_eq!((epoch.0.get(), place.incarnation, place.sequence), (8, 0x0011_2233_4455_6677_8899_aabb_ccdd_eeff, 4711));
    assert_eq!(place.enumeration.unwrap().items, 400);
    assert_eq!(store.drive(&feed.account, &Resource::Me).await.unwrap(), Some(drive("b!x", "documentLibrary")));
    store.save(&feed, epoch, &record.unwrap()).await.unwrap();
    store.keep_drive(&feed.account, &Resource::Me, &drive("b!x", "documentLibrary")).await.unwrap();
    store.close().await;

    let database = redb::Database::open(&path).unwrap();
    let transaction = database.begin_read().unwrap();
    for (table, key, text) in [(RECORDS, "anna/b!x", FULL_RECORD), (DRIVES, "anna/me", DRIVE)] {
        let kept = transaction.open_table(table).unwrap().get(key).unwrap().unwrap();
        assert_eq!(str::from_utf8(kept.value()).unwrap(), text);
    }
    assert_eq!(transaction.open_table(EPOCHS).unwrap().get("anna/b!x").unwrap().unwrap().value(), 8);
}

/// A drivetap of version 1 would read the record and save it without its losses: it must not open the file.
#[tokio::test]
async fn version_1_is_upgraded_and_what_a_live_sink_lost_is_kept_from_then_on() {
    let (folder, path) = state();
    fs::write(&path, database(folder.path(), |transaction| rows_of(transaction, 1, FULL_RECORD.as_bytes()))).unwrap();
    let feed = feed("anna", "b!x");
    let store = RedbStore::open(&path).unwrap();
    let (epoch, record) = store.open(&feed).await.unwrap();
    assert_eq!(record, Some(full_record()));
    store.save(&feed, epoch, &record_of_version_2()).await.unwrap();
    store.close().await;

    let version_1 = RedbStore::open_as(&path, Schema { upgrades: &[] }).unwrap_err();
    assert_eq!(version_1, OpenStoreError::NewerVersion { path: path.canonicalize().unwrap(), found: 2, known: 1 });
    let store = RedbStore::open(&path).unwrap();
    assert_eq!(store.open(&feed).await.unwrap().1, Some(record_of_version_2()));
    store.close().await;
}

#[tokio::test]
async fn an_older_file_is_upgraded_once_and_a_newer_one_refused() {
    /// What a next version could do: every epoch moves on by 100.
    fn jump(transaction: &WriteTransaction) -> Result<(), redb::Error> {
        use redb::ReadableTable;
        let mut epochs = transaction.open_table(EPOCHS)?;
        let rows: Vec<_> = epochs.iter()?.map(|row| row.map(|(key, epoch)| (key.value().to_owned(), epoch.value()))).collect();
        for row in rows {
            let (key, epoch) = row?;
            epochs.insert(key.as_str(), epoch + 100)?;
        }
        Ok(())
    }
    fn fail(_: &WriteTransaction) -> Result<(), redb::Error> {
        Err(redb::Error::Corrupted("a row that the upgrade does not know".to_owned()))
    }
    let (folder, path) = state();
    fs::write(&path, database(folder.path(), |transaction| rows_of(transaction, 1, FULL_RECORD.as_bytes()))).unwrap();
    let before = fs::read(&path).unwrap();

    let failed = RedbStore::open_as(&path, Schema { upgrades: &[jump, fail] }).unwrap_err();
    assert!(matches!(&failed, OpenStoreError::Unreadable { reason, .. } if reason.contains("does not know")), "{failed}");
    assert!(fs::read(&path).unwrap() == before, "a failed upgrade changed the file");

    for expected in [108, 109] {
        let store = RedbStore::open_as(&path, Schema { upgrades: &[jump] }).unwrap();
        let (epoch, record) = store.open(&feed("anna", "b!x")).await.unwrap();
        assert_eq!((epoch.0.get(), record), (expected, Some(full_record())));
        store.close().await;
    }

    let upgraded = fs::read(&path).unwrap();
    let newer = OpenStoreError::NewerVersion { path: path.canonicalize().unwrap(), found: 2, known: 1 };
    assert_eq!(RedbStore::open_as(&path, Schema { upgrades: &[] }).unwrap_err(), newer);
    assert!(fs::read(&path).unwrap() == upgraded, "a newer file was written to");
}

#[tokio::test]
async fn after_a_full_disk_every_waiter_is_told_and_the_next_save_works() {
    let (_folder, path) = state();
    filled(&path).await;
    let trouble = Arc::new(AtomicU8::new(HEALTHY));
    let store = on_disk_with(&path, &trouble);
    let feeds: Vec<FeedId> = (0..8).map(|number| feed("ben", &format!("d{number}"))).collect();
    let mut epochs = Vec::new();
    for feed in &feeds {
        epochs.push(store.open(feed).await.unwrap().0);
    }

    for kind in [FULL, BROKEN, PANICKING] {
        trouble.store(kind, Ordering::SeqCst);
        for _ in 0..2 {
            let saves = feeds.iter().zip(&epochs).map(|(feed, epoch)| store.save(feed, *epoch, full_record_ref()));
            for outcome in futures_util::future::join_all(saves).await {
                match outcome {
                    Err(StoreError::Unavailable(reason)) if kind == FULL => assert!(reason.contains("No space left"), "{reason}"),
                    Err(StoreError::Unavailable(reason)) => assert!(!reason.is_empty()),
                    other => panic!("{kind}: {other:?}"),
                }
            }
        }
        trouble.store(HEALTHY, Ordering::SeqCst);
        for (number, (feed, epoch)) in feeds.iter().zip(&epochs).enumerate() {
            store.save(feed, *epoch, &numbered(number)).await.unwrap();
        }
    }
    store.close().await;

    let store = RedbStore::open(&path).unwrap();
    for (number, feed) in feeds.iter().enumerate() {
        assert_eq!(store.open(feed).await.unwrap().1, Some(numbered(number)));
    }
}

const HEALTHY: u8 = 0;
const FULL: u8 = 1;
const BROKEN: u8 = 2;
const PANICKING: u8 = 3;

fn full_record_ref() -> &'static Record {
    static RECORD: std::sync::LazyLock<Record> = std::sync::LazyLock::new(full_record);
    &RECORD
}

/// The store over a disk that fails when it is told to.
fn on_disk_with(path: &Path, trouble: &Arc<AtomicU8>) -> RedbStore {
    let (path, trouble) = (path.to_owned(), Arc::clone(trouble));
    let open = move || {
        let file = fs::OpenOptions::new().read(true).write(true).open(&path).unwrap();
        let disk = Disk { file: FileBackend::new(file).unwrap(), trouble: Arc::clone(&trouble) };
        redb::Database::builder().create_with_backend(disk).map_err(|error| error.to_string())
    };
    RedbStore { writer: Writer::start(open().unwrap(), open, None).unwrap() }
}

#[derive(Debug)]
struct Disk {
    file: FileBackend,
    trouble: Arc<AtomicU8>,
}

impl Disk {
    fn check(&self) -> std::io::Result<()> {
        match self.trouble.load(Ordering::SeqCst) {
            FULL => Err(std::io::Error::from_raw_os_error(28)),
            BROKEN => Err(std::io::ErrorKind::TimedOut.into()),
            PANICKING => panic!("a bug in redb"),
            _ => Ok(()),
        }
    }
}

impl StorageBackend for Disk {
    fn len(&self) -> std::io::Result<u64> {
        self.file.len()
    }
    fn read(&self, offset: u64, out: &mut [u8]) -> std::io::Result<()> {
        self.file.read(offset, out)
    }
    fn set_len(&self, len: u64) -> std::io::Result<()> {
        self.check()?;
        self.file.set_len(len)
    }
    fn sync_data(&self) -> std::io::Result<()> {
        self.check()?;
        self.file.sync_data()
    }
    fn write(&self, offset: u64, data: &[u8]) -> std::io::Result<()> {
        self.check()?;
        self.file.write(offset, data)
    }
    fn close(&self) -> std::io::Result<()> {
        self.file.close()
    }
    fn try_lock_range(&self, start: std::ops::Bound<u64>, end: std::ops::Bound<u64>) -> Result<bool, BackendError> {
        self.file.try_lock_range(start, end)
    }
    fn unlock_range(&self, start: std::ops::Bound<u64>, end: std::ops::Bound<u64>) -> Result<(), BackendError> {
        self.file.unlock_range(start, end)
    }
}

fn state() -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state.redb");
    (folder, path)
}

/// Twenty records in the file, closed cleanly.
async fn filled(path: &Path) {
    let store = RedbStore::open(path).unwrap();
    for number in 0..20 {
        let feed = feed("anna", &format!("d{number}"));
        let (epoch, _) = store.open(&feed).await.unwrap();
        store.save(&feed, epoch, &numbered(number)).await.unwrap();
    }
    store.close().await;
}

/// The bytes of a redb file that was not made by the store.
fn database(folder: &Path, fill: impl FnOnce(&WriteTransaction)) -> Vec<u8> {
    let path = folder.join("by-hand.redb");
    let database = redb::Database::create(&path).unwrap();
    let transaction = database.begin_write().unwrap();
    fill(&transaction);
    transaction.commit().unwrap();
    database.close().unwrap();
    let bytes = fs::read(&path).unwrap();
    fs::remove_file(&path).unwrap();
    bytes
}

const DRIVE: &str = r#"{"id":"b!x","drive_type":"documentLibrary"}"#;

fn rows_of(transaction: &WriteTransaction, version: u64, record: &[u8]) {
    transaction.open_table(META).unwrap().insert("version", version).unwrap();
    transaction.open_table(EPOCHS).unwrap().insert("anna/b!x", 7).unwrap();
    transaction.open_table(RECORDS).unwrap().insert("anna/b!x", record).unwrap();
    transaction.open_table(DRIVES).unwrap().insert("anna/me", DRIVE.as_bytes()).unwrap();
}
