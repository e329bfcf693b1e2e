//! Websocket messages (RFC 6455) out of bytes and into bytes, for the client's end, without a socket.
//!
//! Headers, masks and close codes are tungstenite's. The buffers are not: its own keeps the size of the largest frame ever seen, and this
//! one lends each message to its reader instead of giving it away.

mod reader;
mod writer;

pub use self::reader::{Broken, Message, Reader};
pub use self::writer::Writer;
