//! engine.io, revision 4: what one websocket message is.
//!
//! Over websocket a text message is one packet, its type as the first character; a binary message is data alone. Source:
//! <https://github.com/socketio/engine.io-protocol>. The `b` of HTTP long-polling is no packet here.

mod handshake;

pub use self::handshake::Handshake;
use super::Malformed;

/// One packet, borrowed from the text that it was decoded from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Packet<'a> {
    /// What it is.
    pub kind: Kind,
    /// The rest of the text: a [`Handshake`] in `Open`, a [`socket::Packet`](super::socket::Packet) in `Message`, otherwise mostly empty.
    pub data: &'a str,
}

/// What a packet is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The server's first packet, the handshake.
    Open,
    /// The end of the session.
    Close,
    /// The server's heartbeat.
    Ping,
    /// The client's answer to it.
    Pong,
    /// What the session is for.
    Message,
    /// The end of a change of transport, which over websocket never begins.
    Upgrade,
    /// Nothing.
    Noop,
}

impl<'a> Packet<'a> {
    /// Reads one text message.
    ///
    /// ```
    /// use drivetap_transport::native::engine::{Kind, Packet};
    ///
    /// assert_eq!(Packet::decode("4hello"), Ok(Packet { kind: Kind::Message, data: "hello" }));
    /// ```
    ///
    /// # Errors
    /// When it is empty, or its first character is none of the seven types.
    pub fn decode(text: &'a str) -> Result<Self, Malformed> {
        let kind = match text.as_bytes().first().ok_or(Malformed::Empty)? {
            b'0' => Kind::Open,
            b'1' => Kind::Close,
            b'2' => Kind::Ping,
            b'3' => Kind::Pong,
            b'4' => Kind::Message,
            b'5' => Kind::Upgrade,
            b'6' => Kind::Noop,
            _ => return Err(Malformed::Type),
        };
        Ok(Self { kind, data: text.get(1..).ok_or(Malformed::Type)? })
    }

    /// Appends it to `out`, as [`decode`](Self::decode) reads it.
    pub fn encode(&self, out: &mut String) {
        out.push(match self.kind {
            Kind::Open => '0',
            Kind::Close => '1',
            Kind::Ping => '2',
            Kind::Pong => '3',
            Kind::Message => '4',
            Kind::Upgrade => '5',
            Kind::Noop => '6',
        });
        out.push_str(self.data);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The packet types and the examples of the protocol's document.
    #[test]
    fn the_published_packets_are_read_and_written() {
        let published = [
            (r#"0{"sid":"lv_VI97HAXpY6yYWAAAC","upgrades":["websocket"]}"#, Kind::Open),
            ("1", Kind::Close),
            ("2", Kind::Ping),
            ("2probe", Kind::Ping),
            ("3", Kind::Pong),
            ("3probe", Kind::Pong),
            ("4", Kind::Message),
            ("4hello", Kind::Message),
            ("4HelloWorld", Kind::Message),
            ("4€", Kind::Message),
            ("5", Kind::Upgrade),
            ("6", Kind::Noop),
        ];
        for (text, kind) in published {
            let packet = Packet::decode(text).unwrap();
            assert_eq!(packet, Packet { kind, data: &text[1..] });
            let mut out = String::new();
            packet.encode(&mut out);
            assert_eq!(out, text);
        }
        let refused =
            [("", Malformed::Empty), (":::", Malformed::Type), ("94103", Malformed::Type), ("bAQIDBA==", Malformed::Type)];
        for (text, malformed) in refused.into_iter().chain([("€", Malformed::Type)]) {
            assert_eq!(Packet::decode(text), Err(malformed), "{text}");
        }
    }
}
