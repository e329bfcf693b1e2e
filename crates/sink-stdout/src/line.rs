use std::io::{self, ErrorKind, Write};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use drivetap_core::Event;
use drivetap_core::escape::for_json;

use crate::{Format, format_text_within};

/// Events as the bytes to be written, and where each line ends.
pub(crate) struct Lines {
    events: Vec<Arc<Event>>,
    bytes: Vec<u8>,
    first: usize,
    ends: Vec<usize>,
    written: usize,
    before: Option<Torn>,
    width: usize,
}

/// A line of which only the front was written before an error.
pub(crate) struct Torn {
    id: String,
    written: usize,
    width: usize,
}

impl Lines {
    /// Goes on where `torn` stopped when that is the first of `events`, else ends the torn line before the first. A text is no wider than
    /// `width`, or than what was when it was torn.
    pub(crate) fn new(events: &[Arc<Event>], format: Format, width: usize, torn: Option<Torn>) -> Self {
        let again = torn.as_ref().filter(|torn| events.first().is_some_and(|first| first.id() == torn.id));
        let written = again.map_or(0, |torn| torn.written);
        let width = again.map_or(width, |torn| torn.width);
        let (before, mut bytes) = if again.is_none() && torn.is_some() { (torn, vec![b'\n']) } else { (None, Vec::new()) };
        let first = bytes.len();
        let (mut ends, mut json) = (Vec::with_capacity(events.len()), String::new());
        for event in events {
            match format {
                Format::Json => {
                    json.clear();
                    event.write_json(&mut json);
                    bytes.extend_from_slice(for_json(&json).as_bytes());
                }
                Format::Text(style) => bytes.extend_from_slice(format_text_within(event, style, width).as_bytes()),
            }
            bytes.push(b'\n');
            ends.push(bytes.len());
        }
        Self { events: events.to_vec(), bytes, first, ends, written, before, width }
    }

    /// Writes and flushes; blocks.
    pub(crate) fn write_to(&mut self, out: &mut impl Write) -> io::Result<()> {
        while let Some(rest) = self.bytes.get(self.written..).filter(|rest| !rest.is_empty()) {
            match out.write(rest) {
                Ok(0) => return Err(ErrorKind::WriteZero.into()),
                Ok(n) => self.written += n,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                // Another process that shares the terminal can have set it to non-blocking. This waits for the reader.
                Err(error) if error.kind() == ErrorKind::WouldBlock => thread::sleep(Duration::from_millis(5)),
                Err(error) => return Err(error),
            }
        }
        out.flush()
    }

    /// How many of the events stand on the output as whole lines.
    pub(crate) fn whole(&self) -> usize {
        self.ends.partition_point(|end| *end <= self.written)
    }

    /// The line in which the writing stopped, if it did not stop between two.
    pub(crate) fn into_torn(self) -> Option<Torn> {
        if self.written < self.first {
            return self.before;
        }
        let whole = self.whole();
        let start = whole.checked_sub(1).and_then(|last| self.ends.get(last)).copied().unwrap_or(self.first);
        let event = self.events.get(whole).filter(|_| self.written > start)?;
        Some(Torn { id: event.id().to_owned(), written: self.written - start, width: self.width })
    }
}
