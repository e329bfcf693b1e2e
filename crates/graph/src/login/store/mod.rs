//! Where logins are kept.

mod file;
mod keyring;

use std::any::Any;
use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use async_trait::async_trait;
use drivetap_core::AccountName;

use super::record::Login;

pub use file::FileStore;

/// Keeps a login an account. The plan calls it `TokenStore`, a name that the gate's tokens have here.
///
/// - `save` is all or nothing, and durable when it returns.
/// - Whoever renews holds [`lock`](Self::lock) from before it looks until after it saved, so that of two processes that would renew at
///   once the second one finds the first one's tokens. Reading needs no lock.
///
/// **Cancel safe:** a dropped future leaves the old or the new login, whole.
#[async_trait]
pub trait LoginStore: fmt::Debug + Send + Sync {
    /// The account's login; `None` where nobody signed in.
    ///
    /// # Errors
    /// [`StoreError`] where there is something, and it cannot or must not be used.
    async fn load(&self, account: &AccountName) -> Result<Option<Login>, StoreError>;

    /// Waits until no other process or task holds the account.
    ///
    /// # Errors
    /// [`StoreError`] where the store cannot be written, or somebody has held it for a minute.
    async fn lock(&self, account: &AccountName) -> Result<Held, StoreError>;

    /// Puts the login in place of what is there, good or not.
    ///
    /// # Errors
    /// [`StoreError`] where the store cannot be written.
    async fn save(&self, held: &Held, account: &AccountName, login: &Login) -> Result<(), StoreError>;

    /// Forgets the login. True where there was one.
    ///
    /// # Errors
    /// [`StoreError`] where the store cannot be written.
    async fn remove(&self, held: &Held, account: &AccountName) -> Result<bool, StoreError>;

    /// Everyone who signed in, in the order of their names.
    ///
    /// # Errors
    /// [`StoreError`] where the store cannot be read.
    async fn accounts(&self) -> Result<Vec<AccountName>, StoreError>;
}

/// Where the bytes of a login are, in a [`FileStore`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keep {
    /// In its file.
    File,
    /// In the system's keyring (feature `keyring`, on Linux: the kernel's); the file says under which name.
    Keyring,
}

impl FromStr for Keep {
    type Err = UnknownKeep;

    fn from_str(written: &str) -> Result<Self, Self::Err> {
        match written {
            "file" => Ok(Self::File),
            "keyring" => Ok(Self::Keyring),
            _ => Err(UnknownKeep(written.to_owned())),
        }
    }
}

/// A name that is no [`Keep`]'s.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("{0:?} is none of: file, keyring")]
pub struct UnknownKeep(String);

/// An account, held until this is dropped.
pub struct Held(#[expect(dead_code, reason = "what is in it works by being dropped")] Box<dyn Any + Send + Sync>);

impl Held {
    /// `guard` lets go when it is dropped.
    pub fn new(guard: impl Any + Send + Sync) -> Self {
        Self(Box::new(guard))
    }
}

impl fmt::Debug for Held {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Held(…)")
    }
}

/// What is wrong with a store, and what to do. Says paths, and nothing of what is in them.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Others can read the tokens.
    #[error(
        "{path} can be read by others (mode {mode:04o}): its tokens may be known. If only you have seen it, `chmod 600 {path}`; \
         else revoke the sign-in and sign in again"
    )]
    Readable {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// Cut off, edited, or something else altogether.
    #[error("{path} is damaged: it is not a whole login. Sign in again to replace it")]
    Damaged {
        /// The file.
        path: PathBuf,
    },
    /// Written by a later drivetap.
    #[error(
        "{path} is of version {version}, and this drivetap knows version {known}: use the newer drivetap, or sign in again with this one"
    )]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its version.
        version: u32,
        /// Ours.
        known: u32,
    },
    /// In a keyring that this build does not know.
    #[error(
        "{path}: its login belongs in the keyring, and this drivetap has none: build it with the feature \"keyring\" (on Linux), or sign in \
         again with --store file"
    )]
    NoKeyring {
        /// The file that says so.
        path: PathBuf,
    },
    /// The keyring is not there, is locked, or has no room.
    #[error("{path}: its login belongs in {keyring}, which cannot be used: {why}; `--store file` signs in without it")]
    Keyring {
        /// The file that says so.
        path: PathBuf,
        /// Which.
        keyring: &'static str,
        /// What it said.
        why: String,
    },
    /// The keyring has forgotten it.
    #[error("{path}: its login is no longer in {keyring}, which forgets at a reboot, and after days without use: sign in again")]
    Forgotten {
        /// The file that says so.
        path: PathBuf,
        /// Which.
        keyring: &'static str,
    },
    /// Somebody holds the account.
    #[error("{path} has been held by another process for a minute")]
    Locked {
        /// The lock's file.
        path: PathBuf,
    },
    /// It cannot be read or written.
    #[error("{path}: {source}")]
    Io {
        /// What.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
}
