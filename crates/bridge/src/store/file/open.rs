use std::fs::{self, File, OpenOptions};
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use redb::backends::FileBackend;
use redb::{Builder, Database, DatabaseError};

use super::OpenStoreError;
use super::lock::{LockFile, NotLocked};
use super::schema::{Schema, SchemaError};
use super::shadow::Shadow;

/// redb's page cache. It counts what a transaction has not written yet too.
const CACHE: usize = 8 * 1024 * 1024;

/// Locks, makes where there is none, rehearses, opens. Answers with the path that symbolic links lead to, because the lock lies beside it.
pub(super) fn open(path: &Path, schema: Schema) -> Result<(PathBuf, LockFile, Database), OpenStoreError> {
    let path = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    match try_open(&path, schema) {
        Ok((lock, database)) => Ok((path, lock, database)),
        Err(NotOpen::InUse { pid }) => Err(OpenStoreError::InUse { path, pid }),
        Err(NotOpen::Newer { found, known }) => Err(OpenStoreError::NewerVersion { path, found, known }),
        Err(NotOpen::Unreadable(reason)) => Err(OpenStoreError::Unreadable { path, reason }),
    }
}

fn try_open(path: &Path, schema: Schema) -> Result<(LockFile, Database), NotOpen> {
    let lock = LockFile::take(path)?;
    if !fs::exists(path)? || fs::metadata(path)?.len() == 0 {
        create(path, schema)?;
    }
    rehearse(path, schema)?;
    let database = builder().open(path)?;
    schema.bring_up(&database)?;
    Ok((lock, database))
}

/// Opens the file again, after a write to it failed. Repairs what the failure left.
pub(super) fn reopen(path: &Path, schema: Schema) -> Result<Database, String> {
    let reopen = || -> Result<Database, NotOpen> {
        let database = builder().open(path)?;
        schema.bring_up(&database)?;
        Ok(database)
    };
    reopen().map_err(|error| error.to_string())
}

/// Makes the file under another name and then renames it: there is never half a file, whenever the process is killed.
fn create(path: &Path, schema: Schema) -> Result<(), NotOpen> {
    let mut draft = path.as_os_str().to_owned();
    draft.push(".new");
    let draft = PathBuf::from(draft);
    match fs::remove_file(&draft) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error.into()),
        _ => {}
    }
    let database = builder().create(&draft)?;
    schema.create(&database)?;
    database.close()?;
    fs::rename(&draft, path)?;
    // The name is as durable as the content. Windows opens no folder, and needs none.
    if cfg!(unix) {
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        File::open(folder)?.sync_all()?;
    }
    Ok(())
}

/// Goes through everything that opening does, repair and upgrade included, and writes none of it.
///
/// redb trusts a file that was closed cleanly, and may panic in one that was damaged since: here every page's checksum is verified, and
/// a panic is a finding.
fn rehearse(path: &Path, schema: Schema) -> Result<(), NotOpen> {
    let file = OpenOptions::new().read(true).write(true).open(path)?;
    let shadow = Shadow::new(FileBackend::new(file)?)?;
    let rehearsal = move || -> Result<(), NotOpen> {
        let database = builder().set_check_integrity_on_open(true).create_with_backend(shadow)?;
        schema.bring_up(&database)?;
        schema.check_rows(&database)?;
        Ok(())
    };
    catch_unwind(AssertUnwindSafe(rehearsal)).unwrap_or_else(|_| Err(NotOpen::Unreadable("it is damaged".to_owned())))
}

fn builder() -> Builder {
    let mut builder = Database::builder();
    builder.set_cache_size(CACHE);
    builder
}

#[derive(Debug, thiserror::Error)]
enum NotOpen {
    #[error("it is in use")]
    InUse { pid: Option<u32> },
    #[error("it has version {found}, and this drivetap knows up to {known}")]
    Newer { found: u64, known: u64 },
    #[error("{0}")]
    Unreadable(String),
}

impl From<NotLocked> for NotOpen {
    fn from(not_locked: NotLocked) -> Self {
        match not_locked {
            NotLocked::Held { pid } => Self::InUse { pid },
            NotLocked::Io(error) => Self::Unreadable(format!("its lock file: {error}")),
        }
    }
}

impl From<DatabaseError> for NotOpen {
    fn from(error: DatabaseError) -> Self {
        match error {
            // Another name of the same file, so another lock file.
            DatabaseError::DatabaseAlreadyOpen | DatabaseError::LockProtocolMismatch => Self::InUse { pid: None },
            error => Self::Unreadable(error.to_string()),
        }
    }
}

impl From<SchemaError> for NotOpen {
    fn from(error: SchemaError) -> Self {
        match error {
            SchemaError::Newer { found, known } => Self::Newer { found, known },
            error => Self::Unreadable(error.to_string()),
        }
    }
}

impl From<io::Error> for NotOpen {
    fn from(error: io::Error) -> Self {
        Self::Unreadable(error.to_string())
    }
}
