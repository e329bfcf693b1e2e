use std::io::SeekFrom;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use drivetap_core::Event;
use drivetap_sink::{DeadLetter, DeadLetterBox};
use jiff::Timestamp;
use tokio::fs::{File, OpenOptions};
use tokio::io::{AsyncReadExt, AsyncSeekExt, AsyncWriteExt};
use tracing::warn;

use crate::settings::{DeadLetters, SinkSettings};

/// Keeps what a sink refused for good, where a person finds it: in the sink's own box where it has one, in a file where it has none and
/// for what the box never takes.
pub(crate) struct DeadLetterOffice {
    sink: String,
    letter_box: Option<Box<dyn DeadLetterBox>>,
    place: DeadLetters,
}

/// Why an event could not be kept.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NotKept {
    #[error("no dead_letter is configured for the sink: set dead_letter = {{ file = \"…\" }}")]
    NoPlace,
    #[error(transparent)]
    Box(#[from] drivetap_sink::NotKept),
    #[error("{0}; and there is no [state] that a dead-letter file could stand beside")]
    NoFile(String),
    #[error("{} would grow above {max_bytes} bytes: empty it or raise max_bytes", path.display())]
    Full { path: PathBuf, max_bytes: u64 },
    #[error("{}: {source}", path.display())]
    Io { path: PathBuf, source: std::io::Error },
}

impl DeadLetterOffice {
    pub(crate) fn new(settings: &SinkSettings, letter_box: Option<Box<dyn DeadLetterBox>>) -> Self {
        Self { sink: settings.name.clone(), letter_box, place: settings.dead_letters.clone() }
    }

    /// Says it now when the box could keep nothing: by the time of the first letter it would hold the sink.
    pub(crate) async fn look(&mut self) {
        if let Some(letter_box) = &mut self.letter_box
            && let Err(problem) = letter_box.look().await
        {
            warn!(sink = %self.sink, reason = %problem, "dead letters could not be kept; a rejected event will hold the sink");
        }
    }

    /// On `Ok` the event is durable.
    pub(crate) async fn keep(&mut self, at: Timestamp, event: &Arc<Event>, code: &str, reason: &str) -> Result<(), NotKept> {
        let letter = DeadLetter { at, sink: &self.sink, code, reason, event };
        let Some(letter_box) = &mut self.letter_box else {
            return file(&self.place, &letter).await;
        };
        match letter_box.keep(&letter).await {
            Ok(()) => Ok(()),
            // Nothing that happens to the box changes this, and one letter must not hold a feed for ever.
            Err(drivetap_sink::NotKept::Never(reason)) => {
                warn!(sink = %self.sink, id = event.id(), %reason, "a dead letter goes to the file, because its topic never takes it");
                file(&self.place, &letter).await.map_err(|problem| match problem {
                    NotKept::NoPlace => NotKept::NoFile(reason),
                    other => other,
                })
            }
            Err(later) => Err(later.into()),
        }
    }

    pub(crate) async fn close(self, within: Duration) {
        if let Some(letter_box) = self.letter_box {
            letter_box.close(within).await;
        }
    }
}

async fn file(place: &DeadLetters, letter: &DeadLetter<'_>) -> Result<(), NotKept> {
    let (path, max_bytes) = match place {
        DeadLetters::None => return Err(NotKept::NoPlace),
        DeadLetters::File { path, max_bytes } => (path, *max_bytes),
    };
    let io = |source| NotKept::Io { path: path.clone(), source };
    let mut line = letter.to_json().map_err(|error| io(error.into()))?;
    line.push('\n');
    append(path, max_bytes, line.as_bytes()).await.map_err(io)?.ok_or_else(|| NotKept::Full { path: path.clone(), max_bytes })
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
