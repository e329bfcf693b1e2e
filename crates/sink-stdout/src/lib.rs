//! The stdout sink of drivetap: one event a line, as JSON or to be read.
//!
//! Standard output carries events and nothing else. Control characters that could drive a terminal are escaped in both forms; in JSON
//! that changes no value.

mod fit;
mod line;
mod sink;
mod text;

pub use sink::{Closed, StdoutSink};
pub use text::{Style, format_text, format_text_within};

/// How an event becomes a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// The CloudEvent in structured mode.
    Json,
    /// A line to be read: [`format_text`].
    Text(Style),
}
