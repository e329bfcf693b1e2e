//! What Graph and its socket said, in a file that a stranger can hand over: no token, no notification URL, and nothing about
//! anybody unless asked for: no name, no address, no place.
//!
//! JSON lines. The first one is a [`Head`], each further one a [`Line`], in the order in which things happened.

mod mask;
mod play;
mod tap;

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read as _, Write as _};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use drivetap_bridge::core::Drive;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use self::mask::Mask;
pub(crate) use self::play::Player;
pub(crate) use self::tap::{TappedGraph, TappedTransport};

/// What a recording begins with.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Head {
    /// The format: 1.
    pub(crate) drivetap_recording: u32,
    /// Which program wrote it.
    pub(crate) version: String,
    /// Graph's `driveType`.
    pub(crate) drive_type: String,
    pub(crate) drive: String,
}

/// The format that is written, and the only one that is read.
const FORMAT: u32 = 1;

/// Something that happened.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Line {
    /// Since the beginning.
    pub(crate) ms: u64,
    #[serde(flatten)]
    pub(crate) what: What,
}

/// What happened.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum What {
    /// A session is open.
    Opened {},
    /// None could be opened. The words may name a host, `kind` does not.
    NotOpened {
        why: String,
        #[serde(skip)]
        kind: &'static str,
    },
    /// Notifications, as they came.
    Frame { notifications: Vec<Value> },
    /// The session is over.
    Ended {
        why: String,
        #[serde(skip)]
        kind: &'static str,
    },
    /// A page of delta. `more`: a `nextLink` follows it.
    Page { from: From, items: Vec<Value>, more: bool },
    /// Graph refused a page.
    NoPage { from: From, code: String, remedy: Help },
}

/// What a page was asked for with. Links themselves are not kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum From {
    Latest,
    Root,
    Link,
}

/// What helps against a refusal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Help {
    Retry,
    RetrySlowly,
    SignIn,
    Resync,
}

/// Writes a recording. Cheap to clone; clones write to one file.
#[derive(Clone)]
pub(crate) struct Recorder(Arc<Mutex<Writing>>);

struct Writing {
    out: File,
    mask: Option<Mask>,
    began: Instant,
    lines: u64,
    failed: Option<io::Error>,
}

impl Recorder {
    /// Makes the file, which must not be there. `names`: nothing is masked.
    pub(crate) fn create(path: &Path, drive: &Drive, names: bool) -> io::Result<Self> {
        let mut out = File::create_new(path)?;
        let mask = (!names).then(Mask::new);
        let id = drive.id.as_str();
        let head = Head {
            drivetap_recording: FORMAT,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            drive_type: drive.drive_type.to_string(),
            drive: mask.as_ref().map_or_else(|| id.to_owned(), |mask| mask.text(id)),
        };
        writeln!(out, "{}", serde_json::to_string(&head)?)?;
        Ok(Self(Arc::new(Mutex::new(Writing { out, mask, began: Instant::now(), lines: 0, failed: None }))))
    }

    /// Adds a line. After one that could not be written there are no more.
    pub(crate) fn add(&self, mut what: What) {
        let mut writing = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if writing.failed.is_some() {
            return;
        }
        if let Some(mask) = &writing.mask {
            match &mut what {
                What::Frame { notifications: values } | What::Page { items: values, .. } => {
                    values.iter_mut().for_each(|value| mask.value(value));
                }
                What::NoPage { code, .. } => *code = Mask::code(code),
                What::NotOpened { why, kind } => kind.clone_into(why),
                What::Ended { why, kind } => kind.clone_into(why),
                What::Opened {} => {}
            }
        }
        let ms = u64::try_from(writing.began.elapsed().as_millis()).unwrap_or(u64::MAX);
        let written =
            serde_json::to_string(&Line { ms, what }).map_err(io::Error::from).and_then(|line| writeln!(writing.out, "{line}"));
        match written {
            Ok(()) => writing.lines += 1,
            Err(error) => writing.failed = Some(error),
        }
    }

    /// How many lines were written.
    pub(crate) fn finish(&self) -> io::Result<u64> {
        let mut writing = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match writing.failed.take() {
            Some(error) => Err(error),
            None => writing.out.sync_all().map(|()| writing.lines),
        }
    }
}

/// A recording that was read.
#[derive(Debug)]
pub(crate) struct Recording {
    pub(crate) head: Head,
    pub(crate) lines: Vec<Line>,
}

impl Recording {
    /// The largest file that is read, in bytes: 64 MiB.
    const LARGEST: u64 = 64 * 1024 * 1024;

    /// Reads a file.
    ///
    /// # Errors
    /// `FILE:LINE: what is wrong`.
    pub(crate) fn read(path: &Path) -> Result<Self, String> {
        let file = path.display();
        let open = File::open(path).map_err(|error| format!("{file}: {error}"))?;
        let mut lines = BufReader::new(open.take(Self::LARGEST)).lines().enumerate();
        let Some((_, Ok(first))) = lines.next() else {
            return Err(format!("{file}:1: a recording begins with its head"));
        };
        let head: Head =
            serde_json::from_str(&first).map_err(|_| format!("{file}:1: this is no recording: `drivetap record` writes one"))?;
        if head.drivetap_recording != FORMAT {
            return Err(format!(
                "{file}:1: format {}, and this drivetap reads {FORMAT}: take a newer one",
                head.drivetap_recording
            ));
        }
        let read = lines.map(|(n, line)| {
            let line = line.map_err(|error| format!("{file}:{}: {error}", n + 1))?;
            serde_json::from_str(&line).map_err(|error| format!("{file}:{}: {error}", n + 1))
        });
        Ok(Self { head, lines: read.collect::<Result<_, _>>()? })
    }
}

#[cfg(test)]
mod tests {
    use drivetap_bridge::core::{DriveType, GraphId};

    use super::*;

    /// What stands in a file after each of these, and what is read back of it.
    fn recorded(names: bool) -> String {
        let dir = tempfile::tempdir().expect("a folder");
        let file = dir.path().join("r.jsonl");
        let drive = Drive::new(&GraphId::new("driveId", "b!adele").expect("an id"), DriveType::Business);
        let recorder = Recorder::create(&file, &drive, names).expect("made");
        let words = || "tcp connect to proxy.contoso.example:3128".to_owned();
        recorder.add(What::NotOpened { why: words(), kind: "the network" });
        recorder.add(What::Ended { why: words(), kind: "connection closed" });
        recorder.add(What::NoPage { from: From::Link, code: words(), remedy: Help::Retry });
        recorder.add(What::Page {
            from: From::Link,
            items: vec![serde_json::json!({"id": "1", "name": "contoso"})],
            more: false,
        });
        assert_eq!(recorder.finish().expect("written"), 4);
        assert_eq!(Recording::read(&file).expect("read").lines.len(), 4);
        std::fs::read_to_string(&file).expect("text")
    }

    #[test]
    fn no_host_is_in_any_line_unless_asked_for() {
        let text = recorded(false);
        assert!(!text.contains("contoso") && !text.contains("adele") && !text.contains("3128"), "{text}");
        assert!(text.contains("\"why\":\"connection closed\"") && text.contains("\"code\":\"network\""), "{text}");
        assert_eq!(recorded(true).matches("proxy.contoso.example").count(), 3);
    }
}
