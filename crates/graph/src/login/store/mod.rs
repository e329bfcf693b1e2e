//! Where logins are kept.

mod file;

use std::any::Any;
use std::fmt;
use std::path::PathBuf;

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
