use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use drivetap_core::AccountName;
use secrecy::zeroize::Zeroizing;

use super::super::application::Application;
use super::super::record::{Login, Marker, Version, Written};
use super::keyring::{self, Keyring};
use super::{Held, Keep, LoginStore, StoreError};
use crate::base_url::BaseUrl;

/// A file an account in one folder: `NAME.json`, for its owner alone (0600 in a folder of 0700), written beside its place, synced and
/// then renamed. The lock is a file of its own, `.NAME.lock`, because a lock on a file that is replaced locks nobody.
///
/// Where a login is in the keyring, its file says under which name, and all else is the same: the file is what is locked, listed and replaced.
#[derive(Clone, Debug)]
pub struct FileStore {
    dir: PathBuf,
    /// `None`: where the login is now.
    keep: Option<Keep>,
    /// `None`: not in this build, or not on this system.
    keyring: Option<Arc<dyn Keyring>>,
}

impl FileStore {
    /// The folder is made when the first login is saved.
    pub fn new(dir: impl Into<PathBuf>) -> Self {
        Self { dir: dir.into(), keep: None, keyring: keyring::of_the_system() }
    }

    /// Where logins are saved from here on. Without it: where the account's login is, a new one in its file.
    #[must_use]
    pub fn keeping(self, keep: Keep) -> Self {
        Self { keep: Some(keep), ..self }
    }

    /// Whether a login of this account can be kept where it will be: the keyring is there. For who would ask a person first.
    ///
    /// # Errors
    /// [`StoreError`] where there is no keyring to keep it in.
    pub async fn check(&self, account: &AccountName) -> Result<(), StoreError> {
        self.blocking(account, Place::check).await
    }

    /// What signed in the last time and at which Graph, as far as that can be read. The keyring may have forgotten the rest.
    pub async fn last(&self, account: &AccountName) -> Option<(Application, BaseUrl)> {
        self.blocking(account, |place| Ok(place.last())).await.ok().flatten()
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
        let (account_of, login) = (account.clone(), login.clone());
        self.blocking(account, move |place| place.save(&account_of, &login)).await
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
    keep: Option<Keep>,
    keyring: Option<Arc<dyn Keyring>>,
}

/// What is in a file.
enum Found {
    Login(Box<Login>),
    InKeyring(Box<Marker>),
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
            keep: store.keep,
            keyring: store.keyring.clone(),
        }
    }

    fn load(&self) -> Result<Option<Login>, StoreError> {
        let mut missing = None;
        loop {
            let marker = match self.read(Self::check_mode)? {
                None => return Ok(None),
                Some(Found::Login(login)) => return Ok(Some(*login)),
                Some(Found::InKeyring(marker)) => marker,
            };
            let keyring = self.keyring()?;
            if let Some(text) = keyring.get(&marker.keyring).map_err(|why| self.refused(keyring, why))? {
                return match self.parse(&text)? {
                    Found::Login(login) => Ok(Some(*login)),
                    Found::InKeyring(_) => Err(self.damaged()),
                };
            }
            // Between the two looks somebody may have put it elsewhere.
            if missing.replace(marker.keyring.clone()) == Some(marker.keyring) {
                return Err(StoreError::Forgotten { path: self.file.clone(), keyring: keyring.name() });
            }
        }
    }

    fn last(&self) -> Option<(Application, BaseUrl)> {
        if let Ok(login) = self.load() {
            return login.map(|login| (login.application, login.graph));
        }
        let marker = self.marker()?;
        Some((marker.application, marker.graph.parse().ok()?))
    }

    /// What the file says of the keyring, whoever can read it: none of it is secret.
    fn marker(&self) -> Option<Marker> {
        match self.read(|_, _| Ok(())) {
            Ok(Some(Found::InKeyring(marker))) => Some(*marker),
            _ => None,
        }
    }

    fn read(&self, check: impl FnOnce(&Self, &File) -> Result<(), StoreError>) -> Result<Option<Found>, StoreError> {
        let file = match File::open(&self.file) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(StoreError::Io { path: self.file.clone(), source }),
        };
        check(self, &file)?;
        let mut text = Zeroizing::new(Vec::new());
        let read = file.take(Self::LARGEST + 1).read_to_end(&mut text);
        let read = read.map_err(|source| StoreError::Io { path: self.file.clone(), source })?;
        if u64::try_from(read).is_ok_and(|read| read > Self::LARGEST) {
            return Err(self.damaged());
        }
        self.parse(&text).map(Some)
    }

    fn parse(&self, text: &[u8]) -> Result<Found, StoreError> {
        // serde's words quote what they do not like; none of them is passed on.
        let Version { version } = serde_json::from_slice(text).map_err(|_| self.damaged())?;
        if version > Marker::VERSION {
            return Err(StoreError::Newer { path: self.file.clone(), version, known: Marker::VERSION });
        }
        if version == Marker::VERSION {
            return serde_json::from_slice(text).map(|marker| Found::InKeyring(Box::new(marker))).map_err(|_| self.damaged());
        }
        let written: Written = serde_json::from_slice(text).map_err(|_| self.damaged())?;
        written.read().map(|login| Found::Login(Box::new(login))).ok_or_else(|| self.damaged())
    }

    fn damaged(&self) -> StoreError {
        StoreError::Damaged { path: self.file.clone() }
    }

    fn keyring(&self) -> Result<&dyn Keyring, StoreError> {
        self.keyring.as_deref().ok_or_else(|| StoreError::NoKeyring { path: self.file.clone() })
    }

    fn refused(&self, keyring: &dyn Keyring, why: String) -> StoreError {
        StoreError::Keyring { path: self.file.clone(), keyring: keyring.name(), why }
    }

    fn check(&self) -> Result<(), StoreError> {
        let marker = self.marker();
        if self.keep.map_or(marker.is_none(), |keep| keep == Keep::File) {
            return Ok(());
        }
        let keyring = self.keyring()?;
        let key = marker.map_or_else(|| "drivetap".to_owned(), |marker| marker.keyring);
        keyring.get(&key).map(drop).map_err(|why| self.refused(keyring, why))
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

    fn save(&self, account: &AccountName, login: &Login) -> Result<(), StoreError> {
        let json = |error: serde_json::Error| StoreError::Io { path: self.file.clone(), source: error.into() };
        let text = Zeroizing::new(serde_json::to_string_pretty(&Written::from(login)).map_err(json)?);
        let before = self.marker().map(|marker| marker.keyring);
        let keep = self.keep.unwrap_or(if before.is_some() { Keep::Keyring } else { Keep::File });
        if keep == Keep::File {
            self.write(text.as_bytes())?;
            if let Some(key) = before {
                // It stands in the file; a key that stays behind is no reason to say that it does not.
                let removed = self.keyring().and_then(|keyring| keyring.remove(&key).map_err(|why| self.refused(keyring, why)));
                if let Err(error) = removed {
                    tracing::warn!(login = %account, reason = %error, "the old sign-in could not be removed from the keyring");
                }
            }
            return Ok(());
        }

        let keyring = self.keyring()?;
        let refused = |why| self.refused(keyring, why);
        // In its place while it is there: a second one would not have room beside it.
        let there = match before {
            Some(key) => keyring.get(&key).map_err(refused)?.map(|_| key),
            None => None,
        };
        let is_new = there.is_none();
        let key = there.unwrap_or_else(|| keyring::new_key(account));
        let marker = serde_json::to_string_pretty(&Marker::new(key.clone(), login)).map_err(json)?;
        keyring.set(&key, text.as_bytes()).map_err(refused)?;
        self.write(marker.as_bytes()).inspect_err(|_| {
            if is_new {
                // Nobody knows its name.
                let _ = keyring.remove(&key);
            }
        })
    }

    fn write(&self, text: &[u8]) -> Result<(), StoreError> {
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

    /// The secret first: as long as it is there, the file says where.
    fn remove(&self) -> Result<bool, StoreError> {
        if let Some(marker) = self.marker() {
            let keyring = self.keyring()?;
            keyring.remove(&marker.keyring).map_err(|why| self.refused(keyring, why))?;
        }
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
mod tests;
