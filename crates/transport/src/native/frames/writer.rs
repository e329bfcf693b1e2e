use tungstenite::Bytes;
use tungstenite::protocol::frame::Frame;
use tungstenite::protocol::frame::coding::{Data, OpCode};

/// What is to be sent, as bytes. Empty it before more is put in: it has no limit of its own.
#[derive(Debug, Default)]
pub struct Writer {
    buffer: Vec<u8>,
    written: usize,
}

impl Writer {
    /// A text message. A client's frames are masked, with a key that nobody can foresee (RFC 6455, 5.3).
    pub fn text(&mut self, text: &str, mask: [u8; 4]) {
        self.frame(Frame::message(Bytes::copy_from_slice(text.as_bytes()), OpCode::Data(Data::Text), true), mask);
    }

    /// The answer to a ping.
    pub fn pong(&mut self, bytes: &[u8], mask: [u8; 4]) {
        self.frame(Frame::pong(Bytes::copy_from_slice(bytes)), mask);
    }

    /// The websocket's goodbye, without a code.
    pub fn close(&mut self, mask: [u8; 4]) {
        self.frame(Frame::close(None), mask);
    }

    /// What is left to be written.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        self.buffer.get(self.written..).unwrap_or_default()
    }

    /// The first `count` of [`bytes`](Self::bytes) were written. What was needed for them is given back with the last of them.
    pub fn wrote(&mut self, count: usize) {
        self.written = self.written.saturating_add(count);
        if self.bytes().is_empty() {
            *self = Self::default();
        }
    }

    fn frame(&mut self, mut frame: Frame, mask: [u8; 4]) {
        frame.header_mut().mask = Some(mask);
        // Writing to a `Vec` cannot fail.
        drop(frame.format(&mut self.buffer));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 6455, 5.7: a single-frame masked text message.
    #[test]
    fn frames_are_masked() {
        let mut writer = Writer::default();
        writer.text("Hello", [0x37, 0xfa, 0x21, 0x3d]);
        assert_eq!(writer.bytes(), [0x81, 0x85, 0x37, 0xfa, 0x21, 0x3d, 0x7f, 0x9f, 0x4d, 0x51, 0x58]);
        writer.wrote(2);
        writer.close([1, 2, 3, 4]);
        assert_eq!(writer.bytes()[9..], [0x88, 0x80, 1, 2, 3, 4]);
        writer.wrote(15);
        assert_eq!(writer.bytes(), [0; 0]);
        writer.pong(b"\0", [1, 2, 3, 4]);
        assert_eq!(writer.bytes(), [0x8a, 0x81, 1, 2, 3, 4, 1]);
    }
}
