use std::io::SeekFrom;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use drivetap_core::Event;
use jiff::Timestamp;
use serde::Serialize;
use serde_json::value::RawValue;
use tokio::fs::{File, OpenOptions};
use tokio::io::{AsyncReadExt, AsyncSeekExt, AsyncWriteExt};

use crate::settings::{DeadLetters, SinkSettings};

/// Keeps what a sink refused for good, where a person finds it.
#[derive(Debug)]
pub(crate) struct DeadLetterOffice {
    sink: String,
    place: DeadLetters,
}

/// Why an event could not be kept.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NotKept {
    #[error("no dead_letter is configured for the sink: set dead_letter = {{ file = \"…\" }}")]
    NoPlace,
    #[error("{} would grow above {max_bytes} bytes: empty it or raise max_bytes", path.display())]
    Full { path: PathBuf, max_bytes: u64 },
    #[error("{}: {source}", path.display())]
    Io { path: PathBuf, source: std::io::Error },
}

#[derive(Serialize)]
struct Line<'a> {
    at: Timestamp,
    sink: &'a str,
    code: &'a str,
    reason: &'a str,
    event: &'a RawValue,
}

impl DeadLetterOffice {
    pub(crate) fn new(settings: &SinkSettings) -> Self {
        Self { sink: settings.name.clone(), place: settings.dead_letters.clone() }
    }

    /// On `Ok` the event is on disk.
    pub(crate) async fn keep(&self, at: Timestamp, event: &Arc<Event>, code: &str, reason: &str) -> Result<(), NotKept> {
        let (path, max_bytes) = match &self.place {
            DeadLetters::None => return Err(NotKept::NoPlace),
            DeadLetters::File { path, max_bytes } => (path, *max_bytes),
        };
        let io = |source| NotKept::Io { path: path.clone(), source };
        let event = RawValue::from_string(event.to_json()).map_err(|error| io(error.into()))?;
        let mut line =
            serde_json::to_vec(&Line { at, sink: &self.sink, code, reason, event: &event }).map_err(|error| io(error.into()))?;
        line.push(b'\n');
        append(path, max_bytes, &line).await.map_err(io)?.ok_or_else(|| NotKept::Full { path: path.clone(), max_bytes })
    }
}

/// `None` when the file would grow above its bound.
async fn append(path: &Path, max_bytes: u64, line: &[u8]) -> std::io::Result<Option<()>> {
    let mut file = OpenOptions::new().create(true).read(true).append(true).open(path).await?;
    let size = file.metadata().await?.len();
    let torn = ends_in_half_a_line(&mut file).await?;
    let grown = size.saturating_add(u64::from(torn)).saturating_add(u64::try_from(line.len()).unwrap_or(u64::MAX));
    if grown > max_bytes {
        return Ok(None);
    }
    // `flush` is what brings the error of a write back: `sync_data` alone passes over it.
    let written = async {
        if torn {
            file.write_all(b"\n").await?;
        }
        file.write_all(line).await?;
        file.flush().await?;
        file.sync_data().await
    };
    if let Err(error) = written.await {
        // Half a line would spoil the next one. If even this fails, the first error is the one to tell.
        let _ = file.set_len(size).await;
        return Err(error);
    }
    Ok(Some(()))
}

/// What a process leaves that died while it wrote. The event comes again; its line must not be glued to the half one.
async fn ends_in_half_a_line(file: &mut File) -> std::io::Result<bool> {
    // A device has no length and no end.
    if file.metadata().await?.len() == 0 {
        return Ok(false);
    }
    file.seek(SeekFrom::End(-1)).await?;
    Ok(file.read_u8().await? != b'\n')
}
