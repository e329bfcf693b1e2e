use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use async_trait::async_trait;
use drivetap_core::AccountName;
use secrecy::zeroize::Zeroizing;

use super::super::record::{Login, Version, Written};
use super::{Held, LoginStore, StoreError};

/// A file an account in one folder: `NAME.json`, for its owner alone (0600 in a folder of 0700), written beside its place, synced and
/// then renamed. The lock is a file of its own, `.NAME.lock`, because a lock on a file that is replaced locks nobody.
#[derive(Clone, Debug)]
pub struct FileStore {
    dir: PathBuf,
}

impl FileStore {
    /// The folder is made when the first login is saved.
    pub fn new(dir: impl Into<PathBuf>) -> Self {
        Self { dir: dir.into() }
    }

    /// Where the account's login is.
    #[must_use]
    pub fn path(&self, account: &AccountName) -> PathBuf {
        self.dir.join(format!("{account}.json"))
    }

    /// [`load`](LoginStore::load) for who has no runtime yet. Blocks for the time that a small file takes.
    ///
    /// # Errors
    /// As for `load`.
    pub fn load_now(&self, account: &AccountName) -> Result<Option<Login>, StoreError> {
        Place::of(self, account).load()
    }

    /// Runs on a thread for such work; what was begun is finished, whoever waits.
    async fn blocking<T: Send + 'static>(
        &self,
        account: &AccountName,
        work: impl FnOnce(&Place) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let place = Place::of(self, account);
        let path = place.file.clone();
        let done = tokio::task::spawn_blocking(move || work(&place)).await;
        done.unwrap_or_else(|ended| Err(StoreError::Io { path, source: io::Error::other(ended) }))
    }
}

#[async_trait]
impl LoginStore for FileStore {
    async fn load(&self, account: &AccountName) -> Result<Option<Login>, StoreError> {
        self.blocking(account, Place::load).await
    }

    async fn lock(&self, account: &AccountName) -> Result<Held, StoreError> {
        /// A renewal is one request, which has its own limit.
        const PATIENCE: Duration = Duration::from_secs(60);
        const LOOK: Duration = Duration::from_millis(25);

        let file = self.blocking(account, Place::open_lock).await?;
        let path = Place::of(self, account).lock;
        let wait = async {
            loop {
                match file.try_lock() {
                    Ok(()) => return Ok(()),
                    Err(TryLockError::WouldBlock) => tokio::time::sleep(LOOK).await,
                    Err(TryLockError::Error(source)) => return Err(StoreError::Io { path: path.clone(), source }),
                }
            }
        };
        match tokio::time::timeout(PATIENCE, wait).await {
            Ok(locked) => locked.map(|()| Held::new(file)),
            Err(_) => Err(StoreError::Locked { path }),
        }
    }

    async fn save(&self, _held: &Held, account: &AccountName, login: &Login) -> Result<(), StoreError> {
        let path = self.path(account);
        let text = serde_json::to_string_pretty(&Written::from(login));
        let text = Zeroizing::new(text.map_err(|error| StoreError::Io { path, source: error.into() })?);
        self.blocking(account, move |place| place.save(text.as_bytes())).await
    }

    async fn remove(&self, _held: &Held, account: &AccountName) -> Result<bool, StoreError> {
        self.blocking(account, Place::remove).await
    }

    async fn accounts(&self) -> Result<Vec<AccountName>, StoreError> {
        let read = || -> io::Result<Vec<AccountName>> {
            let name = |entry: io::Result<fs::DirEntry>| {
                let name = entry.ok()?.file_name();
                name.to_str()?.strip_suffix(".json")?.parse().ok()
            };
            let mut names: Vec<AccountName> = fs::read_dir(&self.dir)?.filter_map(name).collect();
            names.sort_by(|a, b| a.as_str().cmp(b.as_str()));
            Ok(names)
        };
        match read() {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
            read => read.map_err(|source| StoreError::Io { path: self.dir.clone(), source }),
        }
    }
}

/// An account's files.
struct Place {
    dir: PathBuf,
    file: PathBuf,
    new: PathBuf,
    lock: PathBuf,
}

impl Place {
    /// No login is as long: two tokens of 64 KiB and a few words.
    const LARGEST: u64 = 256 * 1024;

    fn of(store: &FileStore, account: &AccountName) -> Self {
        let at = |name: String| store.dir.join(name);
        Self {
            dir: store.dir.clone(),
            file: store.path(account),
            new: at(format!(".{account}.new")),
            lock: at(format!(".{account}.lock")),
        }
    }

    fn load(&self) -> Result<Option<Login>, StoreError> {
        let damaged = || StoreError::Damaged { path: self.file.clone() };
        let file = match File::open(&self.file) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(StoreError::Io { path: self.file.clone(), source }),
        };
        self.check_mode(&file)?;
        let mut text = Zeroizing::new(Vec::new());
        let read = file.take(Self::LARGEST + 1).read_to_end(&mut text);
        let read = read.map_err(|source| StoreError::Io { path: self.file.clone(), source })?;
        if u64::try_from(read).is_ok_and(|read| read > Self::LARGEST) {
            return Err(damaged());
        }
        // serde's words quote what they do not like; none of them is passed on.
        let Version { version } = serde_json::from_slice(&text).map_err(|_| damaged())?;
        if version > Written::VERSION {
            return Err(StoreError::Newer { path: self.file.clone(), version, known: Written::VERSION });
        }
        let written: Written = serde_json::from_slice(&text).map_err(|_| damaged())?;
        written.read().map(Some).ok_or_else(damaged)
    }

    /// Of the file that is open, not of whatever has its name by then.
    #[cfg(unix)]
    fn check_mode(&self, file: &File) -> Result<(), StoreError> {
        use std::os::unix::fs::MetadataExt as _;

        let io = |source| StoreError::Io { path: self.file.clone(), source };
        let metadata = file.metadata().map_err(io)?;
        if !metadata.is_file() {
            return Err(StoreError::Damaged { path: self.file.clone() });
        }
        match metadata.mode() & 0o7777 {
            mode if mode & 0o077 != 0 => Err(StoreError::Readable { path: self.file.clone(), mode }),
            _ => Ok(()),
        }
    }

    #[cfg(not(unix))]
    fn check_mode(&self, _: &File) -> Result<(), StoreError> {
        Ok(())
    }

    fn open_lock(&self) -> Result<File, StoreError> {
        self.make_dir().map_err(|source| StoreError::Io { path: self.dir.clone(), source })?;
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false);
        private(&mut options).open(&self.lock).map_err(|source| StoreError::Io { path: self.lock.clone(), source })
    }

    fn save(&self, text: &[u8]) -> Result<(), StoreError> {
        let save = || -> io::Result<()> {
            self.make_dir()?;
            // What a crash left behind, with whatever mode.
            remove_if_there(&self.new)?;
            let mut options = OpenOptions::new();
            options.write(true).create_new(true);
            let mut file = private(&mut options).open(&self.new)?;
            file.write_all(text)?;
            file.sync_all()?;
            fs::rename(&self.new, &self.file)?;
            sync_dir(&self.dir)
        };
        save().map_err(|source| StoreError::Io { path: self.file.clone(), source })
    }

    fn remove(&self) -> Result<bool, StoreError> {
        let remove = || -> io::Result<bool> {
            remove_if_there(&self.new)?;
            let removed = remove_if_there(&self.file)?;
            if removed {
                sync_dir(&self.dir)?;
            }
            Ok(removed)
        };
        remove().map_err(|source| StoreError::Io { path: self.file.clone(), source })
    }

    fn make_dir(&self) -> io::Result<()> {
        let mut builder = DirBuilder::new();
        builder.recursive(true);
        #[cfg(unix)]
        std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
        builder.create(&self.dir)
    }
}

/// For its owner alone, from its first moment.
fn private(options: &mut OpenOptions) -> &mut OpenOptions {
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(options, 0o600);
    options
}

fn remove_if_there(path: &Path) -> io::Result<bool> {
    match fs::remove_file(path) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

/// A rename is in the folder, and lasts when that is on the disk.
fn sync_dir(dir: &Path) -> io::Result<()> {
    #[cfg(unix)]
    File::open(dir)?.sync_all()?;
    #[cfg(not(unix))]
    let _ = dir;
    Ok(())
}

#[cfg(test)]
#[cfg(unix)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::super::super::record::tests::login;
    use super::*;

    fn store() -> (tempfile::TempDir, FileStore, AccountName) {
        let dir = tempfile::tempdir().expect("a folder");
        let store = FileStore::new(dir.path().join("state/logins"));
        (dir, store, "work".parse().expect("a name"))
    }

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).expect("it is there").permissions().mode() & 0o777
    }

    #[tokio::test]
    async fn a_login_is_kept_for_its_owner_alone_and_forgotten_when_asked() {
        let (_dir, store, account) = store();
        assert!(store.load(&account).await.expect("readable").is_none());
        assert!(store.accounts().await.expect("readable").is_empty());
        let held = store.lock(&account).await.expect("free");
        // A crash may leave one, with whatever mode.
        fs::write(store.dir.join(".work.new"), "half").expect("writable");
        store.save(&held, &account, &login()).await.expect("writable");
        let path = store.path(&account);
        assert_eq!((mode(&path), mode(&store.dir)), (0o600, 0o700));
        let read = store.load(&account).await.expect("readable").expect("there");
        assert_eq!(read.access(), login().access());
        assert_eq!(store.accounts().await.expect("readable"), std::slice::from_ref(&account));
        assert!(store.remove(&held, &account).await.expect("writable"));
        assert!(!store.remove(&held, &account).await.expect("writable"));
        assert!(store.load(&account).await.expect("readable").is_none());
    }

    #[tokio::test]
    async fn a_file_that_must_not_be_used_is_named_with_what_helps() {
        let (_dir, store, account) = store();
        let held = store.lock(&account).await.expect("free");
        store.save(&held, &account, &login()).await.expect("writable");
        let path = store.path(&account);
        let whole = fs::read_to_string(&path).expect("readable");
        let said = |text: String, mode: u32| {
            fs::write(&path, text).expect("writable");
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).expect("settable");
            let (store, account) = (store.clone(), account.clone());
            async move { store.load(&account).await.expect_err("of no use").to_string() }
        };
        for mode in [0o640, 0o604, 0o666, 0o610] {
            let words = said(whole.clone(), mode).await;
            assert!(words.contains(&format!("mode {mode:04o}")) && words.contains("chmod 600"), "{words}");
        }
        for text in [&whole[..whole.len() / 2], "", "{}", "[]", "null", "{\"version\":1}"] {
            let words = said(text.to_owned(), 0o600).await;
            assert!(words.contains("is damaged"), "{text}: {words}");
        }
        let words = said(" ".repeat(300 * 1024), 0o600).await;
        assert!(words.contains("is damaged"), "{words}");
        let words = said("{\"version\":2,\"keys\":\"of another shape\"}".to_owned(), 0o600).await;
        assert!(words.contains("is of version 2, and this drivetap knows version 1"), "{words}");
        assert!(!words.contains("shape"), "{words}");
        // Whatever is there, signing in again replaces it.
        store.save(&held, &account, &login()).await.expect("writable");
        assert!(store.load(&account).await.expect("readable").is_some());
    }

    #[tokio::test]
    async fn an_account_is_held_by_one_at_a_time() {
        let (_dir, store, account) = store();
        let first = store.lock(&account).await.expect("free");
        let other = store.clone();
        let name = account.clone();
        let second = tokio::spawn(async move { other.lock(&name).await.map(drop) });
        store.lock(&"home".parse().expect("a name")).await.expect("another account is another lock");
        tokio::time::sleep(Duration::from_millis(100)).await;
        assert!(!second.is_finished());
        drop(first);
        second.await.expect("no panic").expect("free");
    }
}
