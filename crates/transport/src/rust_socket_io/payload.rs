use std::io;

use rust_socketio::Payload;
use serde_json::Value;

/// The client's own calls carry an empty string; a server's event of the same name carries something else.
pub(super) fn is_lifecycle(payload: &Payload) -> bool {
    matches!(payload, Payload::Text(values) if matches!(values.as_slice(), [Value::String(text)] if text.is_empty()))
}

/// What an event brings.
pub(super) enum Argument {
    /// As text; empty when there is none.
    Json(String),
    Binary,
}

/// An event's first argument; `None` when all of them together are above the limit.
pub(super) fn first_argument(payload: &Payload, limit: usize) -> Option<Argument> {
    let arguments = match payload {
        Payload::Text(arguments) => arguments.as_slice(),
        Payload::Binary(bytes) => return (bytes.len() <= limit).then_some(Argument::Binary),
        // The deprecated rest is for sending only.
        _ => &[],
    };
    let mut written = Capped { bytes: Vec::new(), limit };
    let mut first = 0;
    for (index, argument) in arguments.iter().enumerate() {
        serde_json::to_writer(&mut written, argument).ok()?;
        if index == 0 {
            first = written.bytes.len();
        }
    }
    written.bytes.truncate(first);
    String::from_utf8(written.bytes).ok().map(Argument::Json)
}

/// A `Vec` that refuses to grow beyond its limit.
struct Capped {
    bytes: Vec<u8>,
    limit: usize,
}

impl io::Write for Capped {
    fn write(&mut self, more: &[u8]) -> io::Result<usize> {
        if self.bytes.len().saturating_add(more.len()) > self.limit {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        self.bytes.extend_from_slice(more);
        Ok(more.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
