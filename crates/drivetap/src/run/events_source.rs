use std::fs::File;
use std::io::{self, BufRead, BufReader, Read as _};
use std::path::{Path, PathBuf};

use super::verify::is_stdin;
use crate::config::{Config, SinkKind};
use crate::exit::Failure;
use crate::progress::Progress;
use crate::verify::{Folds, Place, Told, Unread};

/// Where events are read back from. Each reading goes on where the one before ended.
pub(super) struct EventsSource {
    from: From,
    heard: Heard,
    /// Whether a line may tell how far it is.
    moves: bool,
}

enum From {
    #[cfg(feature = "kafka")]
    Kafka(Box<drivetap_bridge::sink_kafka::ReadBack>),
    Lines(Lines),
}

/// What was read, and what of it is no event.
#[derive(Default)]
struct Heard {
    events: u64,
    foreign: u64,
    broken: Vec<String>,
    more_broken: u64,
}

impl EventsSource {
    /// `sink` by its name, or a file of structured events, a line each; `-` is standard input.
    ///
    /// # Errors
    /// 64 where there is no such sink, or nothing of it can be read back; 69 where a file cannot be read.
    pub(super) fn new(config: &Config, sink: Option<&str>, events: Option<&Path>, moves: bool) -> Result<Self, Failure> {
        let named = sink.map(|name| {
            let names = || config.sinks.iter().map(|sink| sink.settings.name.clone()).collect::<Vec<_>>().join(", ");
            let found = config.sinks.iter().find(|sink| sink.settings.name == name);
            found.ok_or_else(|| Failure::usage(format_args!("--sink {name}: the configuration has {}", names())))
        });
        let named = named.transpose()?;
        let from = match (events, named) {
            (Some(path), _) => From::Lines(Lines::open(path)?),
            (None, Some(sink)) => read_back(&sink.kind, &sink.settings.name)?,
            (None, None) => {
                return Err(Failure::usage("which events? --sink NAME reads them back, --events FILE takes a file of them"));
            }
        };
        Ok(Self { from, heard: Heard::default(), moves })
    }

    /// Applies what stands there, up to its end as of now.
    ///
    /// # Errors
    /// 69 where it cannot be read.
    pub(super) async fn read_into(mut self, mut folds: Folds) -> Result<(Self, Folds), Failure> {
        let reading = tokio::task::spawn_blocking(move || {
            self.read(&mut folds)?;
            Ok((self, folds))
        });
        reading.await.map_err(Failure::internal)?
    }

    fn read(&mut self, folds: &mut Folds) -> Result<(), Failure> {
        let (heard, mut progress) = (&mut self.heard, Progress::new(self.moves));
        let mut take = |told: Result<Told, Unread>, at: Place| {
            heard.take(told, at, folds);
            progress.tell(heard.events, || format!("events are read, up to {at}"));
        };
        match &mut self.from {
            #[cfg(feature = "kafka")]
            From::Kafka(topic) => topic
                .read_on(|stored| {
                    let at = Place::Record { partition: stored.partition, offset: stored.offset };
                    take(stored.value.map_or(Err(Unread::Foreign), |value| Told::from_record(&stored.headers, value)), at);
                })
                .map_err(Failure::unavailable),
            From::Lines(lines) => lines.read(&mut take),
        }
    }

    /// What a person should know about what was read. `others`: events of feeds that the configuration does not name.
    pub(super) fn remarks(&self, others: u64) -> Vec<String> {
        let Heard { foreign, broken, more_broken, .. } = &self.heard;
        let mut remarks = broken.clone();
        if let From::Lines(lines) = &self.from
            && !lines.begun.is_empty()
        {
            remarks.push(format!("line {} is not whole, so it is not counted", lines.number + 1));
        }
        let mut count = |n: u64, what: &str| {
            if n > 0 {
                remarks.push(format!("{n} {what}"));
            }
        };
        count(*more_broken, "more that cannot be read");
        count(*foreign, "records are no events of drivetap's; they were passed over");
        count(others, "events are of feeds that the configuration does not name; they were passed over");
        remarks
    }
}

impl Heard {
    const BROKEN: usize = 20;

    fn take(&mut self, told: Result<Told, Unread>, at: Place, folds: &mut Folds) {
        match told {
            Ok(told) => {
                self.events += 1;
                folds.apply(&told, at);
            }
            Err(Unread::Foreign) => self.foreign += 1,
            Err(Unread::Broken(why)) if self.broken.len() < Self::BROKEN => {
                self.broken.push(format!("the event at {at} cannot be read: {why}"));
            }
            Err(Unread::Broken(_)) => self.more_broken += 1,
        }
    }
}

fn read_back(kind: &SinkKind, name: &str) -> Result<From, Failure> {
    let kept_nowhere = |what: &str| {
        Failure::usage(format_args!(
            "nothing can be read back from the sink {name}: {what} keeps nothing. Keep its events in a file and give that: \
             drivetap verify -c FILE --events events.jsonl, or --events - for standard input"
        ))
    };
    match *kind {
        #[cfg(feature = "kafka")]
        SinkKind::Kafka(ref config) => {
            let topic = drivetap_bridge::sink_kafka::ReadBack::new(config).map_err(Failure::config)?;
            Ok(From::Kafka(Box::new(topic)))
        }
        #[cfg(feature = "stdout")]
        SinkKind::Stdout(_) => Err(kept_nowhere("standard output")),
        #[cfg(feature = "redis")]
        SinkKind::Redis(_) => Err(kept_nowhere("Redis pub/sub")),
    }
}

/// Structured events, one a line.
struct Lines {
    from: Box<dyn BufRead + Send>,
    name: PathBuf,
    number: u64,
    // The front of a line whose end is not written yet.
    begun: Vec<u8>,
    // The last line was taken without its end.
    unended: bool,
}

impl Lines {
    /// In bytes: what a page of Graph's may have. A line beyond it is none of ours.
    const LONGEST: usize = 32 * 1024 * 1024;

    fn open(path: &Path) -> Result<Self, Failure> {
        let from: Box<dyn BufRead + Send> = if is_stdin(path) {
            Box::new(BufReader::new(io::stdin()))
        } else {
            let file = File::open(path).map_err(|error| cannot_be_read(path, &error))?;
            Box::new(BufReader::new(file))
        };
        Ok(Self { from, name: path.to_owned(), number: 0, begun: Vec::new(), unended: false })
    }

    fn read(&mut self, mut take: impl FnMut(Result<Told, Unread>, Place)) -> Result<(), Failure> {
        loop {
            let room = u64::try_from(Self::LONGEST.saturating_sub(self.begun.len())).unwrap_or(u64::MAX);
            let read = self.from.by_ref().take(room).read_until(b'\n', &mut self.begun);
            let read = read.map_err(|error| cannot_be_read(&self.name, &error))?;
            if self.begun.ends_with(b"\n") {
                if !std::mem::take(&mut self.unended) {
                    self.number += 1;
                }
                let line = std::mem::take(&mut self.begun);
                if !line.trim_ascii().is_empty() {
                    take(Told::structured(&line), Place::Line(self.number));
                }
            } else if self.begun.len() >= Self::LONGEST {
                return Err(Failure::unavailable(format_args!(
                    "{}: line {} is longer than 32 MiB, so this is no file of events",
                    self.name.display(),
                    self.number + 1
                )));
            } else if read == 0 {
                // The last line of a file need not have an end; the line that somebody is still writing has none yet.
                if let Ok(told) = Told::structured(&self.begun) {
                    self.begun.clear();
                    self.unended = true;
                    self.number += 1;
                    take(Ok(told), Place::Line(self.number));
                }
                return Ok(());
            }
        }
    }
}

fn cannot_be_read(path: &Path, error: &io::Error) -> Failure {
    let name = if is_stdin(path) { "standard input".to_owned() } else { path.display().to_string() };
    Failure::unavailable(format_args!("{name} cannot be read: {error}"))
}
