use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::path::{Path, PathBuf};

/// `PATH.lock`, locked for as long as this lives. It is not removed: a process that waits for the name would lock a file that is gone.
#[derive(Debug)]
pub(super) struct LockFile {
    locked: File,
}

#[derive(Debug)]
pub(super) enum NotLocked {
    Held { pid: Option<u32> },
    Io(io::Error),
}

impl LockFile {
    pub(super) fn take(path: &Path) -> Result<Self, NotLocked> {
        let mut file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(beside(path))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(NotLocked::Held { pid: holder(&mut file) }),
            Err(TryLockError::Error(error)) => return Err(error.into()),
        }
        // A full disk must not keep a process from its state: the pid is for people, the lock is what counts.
        let _ = file.set_len(0).and_then(|()| file.write_all(std::process::id().to_string().as_bytes()));
        Ok(Self { locked: file })
    }
}

impl Drop for LockFile {
    fn drop(&mut self) {
        // Closing the file is not enough while a child process that is about to start has a copy of it.
        let _ = self.locked.unlock();
    }
}

impl From<io::Error> for NotLocked {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

fn beside(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".lock");
    name.into()
}

fn holder(file: &mut File) -> Option<u32> {
    let mut text = String::new();
    file.rewind().ok()?;
    file.take(16).read_to_string(&mut text).ok()?;
    text.trim().parse().ok()
}
