use std::collections::HashMap;
use std::io;
use std::ops::{Bound, Range};
use std::sync::{Mutex, MutexGuard, PoisonError};

use redb::backends::FileBackend;
use redb::{BackendError, StorageBackend};

/// A file whose writes stay in memory: it reads as if they were made, and is left as it was.
///
/// Locks are the file's own, so that a file in use is seen to be.
#[derive(Debug)]
pub(super) struct Shadow {
    file: FileBackend,
    written: Mutex<Written>,
}

#[derive(Debug)]
struct Written {
    len: u64,
    /// How much of the file shows through where no block was written: it shrinks with `len` and never grows.
    shows: u64,
    blocks: HashMap<u64, Box<[u8; BLOCK]>>,
}

const BLOCK: usize = 4096;
const BLOCK_BYTES: u64 = 4096;

impl Shadow {
    pub(super) fn new(file: FileBackend) -> io::Result<Self> {
        let len = file.len()?;
        Ok(Self { file, written: Mutex::new(Written { len, shows: len, blocks: HashMap::new() }) })
    }

    fn written(&self) -> MutexGuard<'_, Written> {
        self.written.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn load(&self, shows: u64, index: u64) -> io::Result<Box<[u8; BLOCK]>> {
        let mut block = Box::new([0; BLOCK]);
        let start = index.saturating_mul(BLOCK_BYTES);
        let there = usize::try_from(shows.saturating_sub(start)).map_or(BLOCK, |there| there.min(BLOCK));
        if let Some(there) = block.get_mut(..there).filter(|there| !there.is_empty()) {
            self.file.read(start, there)?;
        }
        Ok(block)
    }
}

impl StorageBackend for Shadow {
    fn len(&self) -> io::Result<u64> {
        Ok(self.written().len)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let written = self.written();
        check_end(&written, offset, out.len())?;
        for (index, inside, outside) in blocks(offset, out.len())? {
            match written.blocks.get(&index) {
                Some(block) => out[outside].copy_from_slice(&block[inside]),
                None => out[outside].copy_from_slice(&self.load(written.shows, index)?[inside]),
            }
        }
        Ok(())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        let mut written = self.written();
        let cut = usize::try_from(len % BLOCK_BYTES).map_err(io::Error::other)?;
        written.blocks.retain(|index, block| {
            if *index == len / BLOCK_BYTES {
                block[cut..].fill(0);
            }
            index.saturating_mul(BLOCK_BYTES) < len
        });
        written.shows = written.shows.min(len);
        written.len = len;
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        let mut written = self.written();
        check_end(&written, offset, data.len())?;
        for (index, inside, outside) in blocks(offset, data.len())? {
            let mut block = match written.blocks.remove(&index) {
                Some(block) => block,
                None => self.load(written.shows, index)?,
            };
            block[inside].copy_from_slice(&data[outside]);
            written.blocks.insert(index, block);
        }
        Ok(())
    }

    fn close(&self) -> io::Result<()> {
        self.file.close()
    }

    fn try_lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.file.try_lock_range(start, end)
    }

    fn try_lock_shared_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.file.try_lock_shared_range(start, end)
    }

    fn lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.file.lock_range(start, end)
    }

    fn lock_shared_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.file.lock_shared_range(start, end)
    }

    fn unlock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.file.unlock_range(start, end)
    }

    fn query_lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.file.query_lock_range(start, end)
    }
}

fn check_end(written: &Written, offset: u64, len: usize) -> io::Result<()> {
    let end = u64::try_from(len).ok().and_then(|len| offset.checked_add(len));
    match end {
        Some(end) if end <= written.len => Ok(()),
        _ => Err(io::ErrorKind::UnexpectedEof.into()),
    }
}

/// A block's index, the range inside it, the range of the stretch that it is a piece of.
type Piece = (u64, Range<usize>, Range<usize>);

/// The pieces of a stretch, a block each.
fn blocks(offset: u64, len: usize) -> io::Result<Vec<Piece>> {
    let (mut index, mut inside) = (offset / BLOCK_BYTES, usize::try_from(offset % BLOCK_BYTES).map_err(io::Error::other)?);
    let (mut pieces, mut done) = (Vec::new(), 0);
    while done < len {
        let piece = (BLOCK - inside).min(len - done);
        pieces.push((index, inside..inside + piece, done..done + piece));
        (index, inside, done) = (index + 1, 0, done + piece);
    }
    Ok(pieces)
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    /// A file of 10,000 bytes and a plain vector go through the same writes and cuts, and read the same; the file stays as it was.
    #[test]
    fn what_is_written_is_read_back_and_the_file_is_left_alone() {
        let before: Vec<u8> = (0..10_000_u32).map(|n| u8::try_from(n % 251).unwrap()).collect();
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(&before).unwrap();
        let shadow = Shadow::new(FileBackend::new(file.reopen().unwrap()).unwrap()).unwrap();
        let (mut model, mut rng) = (before.clone(), fastrand::Rng::with_seed(7));

        for step in 0..500 {
            match rng.u8(..4) {
                0 => {
                    let len = rng.usize(1..20_000);
                    model.resize(len, 0);
                    shadow.set_len(u64::try_from(len).unwrap()).unwrap();
                }
                _ => {
                    let start = rng.usize(..model.len());
                    let end = rng.usize(start..=model.len());
                    let data: Vec<u8> = std::iter::repeat_with(|| rng.u8(..)).take(end - start).collect();
                    model[start..end].copy_from_slice(&data);
                    shadow.write(u64::try_from(start).unwrap(), &data).unwrap();
                }
            }
            let mut read = vec![0; model.len()];
            shadow.read(0, &mut read).unwrap();
            assert!(read == model, "step {step}");
            assert_eq!(shadow.len().unwrap(), u64::try_from(model.len()).unwrap());
        }
        assert!(shadow.read(0, &mut vec![0; model.len() + 1]).is_err());
        assert!(std::fs::read(file.path()).unwrap() == before);
    }
}
