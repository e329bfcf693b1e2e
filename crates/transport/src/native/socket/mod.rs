//! socket.io, revision 5: what one engine.io message is.
//!
//! `<type>[<attachments>-][<namespace>,][<id>][<JSON>]`. Source: <https://github.com/socketio/socket.io-protocol>. Attachments follow as
//! binary messages of their own.

mod event;

use std::fmt::Write;

pub use self::event::{Event, Name};
use super::Malformed;

/// The most attachments that a packet may announce. The official parser took any number until it was given a limit of its own; a
/// notification has none.
pub const MAX_ATTACHMENTS: u16 = 256;

/// One packet, borrowed from the text that it was decoded from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Packet<'a> {
    /// What it is.
    pub kind: Kind,
    /// Whom it is for.
    pub namespace: Namespace<'a>,
    /// In an event: acknowledge it with this number. In an acknowledgement: the event's.
    pub id: Option<u64>,
    /// JSON, whose first character fits the type; no more of it was looked at. Empty where there is none.
    pub data: &'a str,
}

/// What a packet is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Asks for a namespace, or lets into it.
    Connect,
    /// Leaves a namespace.
    Disconnect,
    /// An [`Event`].
    Event,
    /// The answer to an event.
    Ack,
    /// Refuses a namespace.
    ConnectError,
    /// An event, and the binary messages that follow.
    BinaryEvent {
        /// How many follow.
        attachments: u16,
    },
    /// The answer to an event, and the binary messages that follow.
    BinaryAck {
        /// How many follow.
        attachments: u16,
    },
}

impl Kind {
    /// How many binary messages follow.
    #[must_use]
    pub fn attachments(self) -> u16 {
        match self {
            Self::BinaryEvent { attachments } | Self::BinaryAck { attachments } => attachments,
            _ => 0,
        }
    }

    fn digit(self) -> char {
        match self {
            Self::Connect => '0',
            Self::Disconnect => '1',
            Self::Event => '2',
            Self::Ack => '3',
            Self::ConnectError => '4',
            Self::BinaryEvent { .. } => '5',
            Self::BinaryAck { .. } => '6',
        }
    }

    /// Whether data can begin like this.
    fn takes(self, first: Option<u8>) -> bool {
        match self {
            Self::Connect => matches!(first, None | Some(b'{')),
            Self::Disconnect => first.is_none(),
            // An object since revision 5, a string before.
            Self::ConnectError => matches!(first, None | Some(b'{' | b'"')),
            Self::Event | Self::Ack | Self::BinaryEvent { .. } | Self::BinaryAck { .. } => first == Some(b'['),
        }
    }
}

/// A namespace as a packet names it: a path, and perhaps a query that a server of an older revision repeats.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Namespace<'a>(pub(in crate::native) &'a str);

impl<'a> Namespace<'a> {
    /// The one that goes without saying: `/`.
    pub const MAIN: Namespace<'static> = Namespace("/");

    /// `None` for what a packet cannot name: it begins with `/` and ends at a comma.
    #[must_use]
    pub fn new(written: &'a str) -> Option<Self> {
        (written.starts_with('/') && !written.contains(',')).then_some(Self(written))
    }

    /// What names it, without the query.
    #[must_use]
    pub fn path(self) -> &'a str {
        self.0.split_once('?').map_or(self.0, |(path, _)| path)
    }

    /// What follows `?`.
    #[must_use]
    pub fn query(self) -> Option<&'a str> {
        self.0.split_once('?').map(|(_, query)| query)
    }
}

impl<'a> Packet<'a> {
    /// Reads the data of an engine.io message.
    ///
    /// ```
    /// use drivetap_transport::native::socket::{Kind, Packet};
    ///
    /// let packet = Packet::decode(r#"2/admin,13["foo"]"#)?;
    /// assert_eq!((packet.kind, packet.namespace.path(), packet.id), (Kind::Event, "/admin", Some(13)));
    /// assert_eq!(packet.data, r#"["foo"]"#);
    /// # Ok::<(), drivetap_transport::native::Malformed>(())
    /// ```
    ///
    /// # Errors
    /// When it does not follow the grammar, or its data begins with what this type never has. The JSON itself is looked at by
    /// [`Event::decode`], where somebody wants it.
    pub fn decode(text: &'a str) -> Result<Self, Malformed> {
        let first = text.as_bytes().first().ok_or(Malformed::Empty)?;
        // No type begins with a character of several bytes.
        let rest = text.get(1..).ok_or(Malformed::Type)?;
        let (kind, rest) = match first {
            b'0' => (Kind::Connect, rest),
            b'1' => (Kind::Disconnect, rest),
            b'2' => (Kind::Event, rest),
            b'3' => (Kind::Ack, rest),
            b'4' => (Kind::ConnectError, rest),
            b'5' => attachments(rest).map(|(attachments, rest)| (Kind::BinaryEvent { attachments }, rest))?,
            b'6' => attachments(rest).map(|(attachments, rest)| (Kind::BinaryAck { attachments }, rest))?,
            _ => return Err(Malformed::Type),
        };
        let (namespace, rest) = match rest.starts_with('/').then(|| rest.split_once(',').unwrap_or((rest, ""))) {
            Some((written, rest)) => (Namespace(written), rest),
            None => (Namespace::MAIN, rest),
        };
        let (digits, data) = digits(rest);
        let id = if digits.is_empty() { None } else { Some(digits.parse().map_err(|_| Malformed::Id)?) };
        if !kind.takes(data.as_bytes().first().copied()) {
            return Err(Malformed::Data);
        }
        Ok(Self { kind, namespace, id, data })
    }

    /// Appends it to `out`, as [`decode`](Self::decode) reads it.
    pub fn encode(&self, out: &mut String) {
        out.push(self.kind.digit());
        // Writing to a `String` cannot fail.
        if let Kind::BinaryEvent { attachments } | Kind::BinaryAck { attachments } = self.kind {
            let _ = write!(out, "{attachments}-");
        }
        if self.namespace != Namespace::MAIN {
            out.push_str(self.namespace.0);
            out.push(',');
        }
        if let Some(id) = self.id {
            let _ = write!(out, "{id}");
        }
        out.push_str(self.data);
    }
}

fn attachments(text: &str) -> Result<(u16, &str), Malformed> {
    let (digits, rest) = digits(text);
    let count = digits.parse().ok().filter(|count| *count <= MAX_ATTACHMENTS);
    count.zip(rest.strip_prefix('-')).ok_or(Malformed::Attachments)
}

fn digits(text: &str) -> (&str, &str) {
    text.split_at(text.bytes().take_while(u8::is_ascii_digit).count())
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOT_MAIN: Namespace<'static> = Namespace("/admin");

    fn packet(kind: Kind, namespace: Namespace<'static>, id: Option<u64>, data: &'static str) -> Packet<'static> {
        Packet { kind, namespace, id, data }
    }

    /// The tables under "Packet encoding" in the protocol's document.
    #[test]
    fn the_published_packets_are_read_and_written() {
        let (one, two) = (Kind::BinaryEvent { attachments: 1 }, Kind::BinaryEvent { attachments: 2 });
        let main = Namespace::MAIN;
        let published = [
            ("0", packet(Kind::Connect, main, None, "")),
            (r#"0{"sid":"wZX3oN0bSVIhsaknAAAI"}"#, packet(Kind::Connect, main, None, r#"{"sid":"wZX3oN0bSVIhsaknAAAI"}"#)),
            ("0/admin,", packet(Kind::Connect, NOT_MAIN, None, "")),
            (
                r#"0/admin,{"sid":"oSO0OpakMV_3jnilAAAA"}"#,
                packet(Kind::Connect, NOT_MAIN, None, r#"{"sid":"oSO0OpakMV_3jnilAAAA"}"#),
            ),
            (r#"4{"message":"Not authorized"}"#, packet(Kind::ConnectError, main, None, r#"{"message":"Not authorized"}"#)),
            (r#"2["foo"]"#, packet(Kind::Event, main, None, r#"["foo"]"#)),
            (r#"2/admin,["bar"]"#, packet(Kind::Event, NOT_MAIN, None, r#"["bar"]"#)),
            (r#"51-["baz",{"_placeholder":true,"num":0}]"#, packet(one, main, None, r#"["baz",{"_placeholder":true,"num":0}]"#)),
            (
                r#"52-/admin,["baz",{"_placeholder":true,"num":0},{"_placeholder":true,"num":1}]"#,
                packet(two, NOT_MAIN, None, r#"["baz",{"_placeholder":true,"num":0},{"_placeholder":true,"num":1}]"#),
            ),
            (r#"212["foo"]"#, packet(Kind::Event, main, Some(12), r#"["foo"]"#)),
            ("312[]", packet(Kind::Ack, main, Some(12), "[]")),
            (r#"2/admin,13["foo"]"#, packet(Kind::Event, NOT_MAIN, Some(13), r#"["foo"]"#)),
            (r#"3/admin,13["bar"]"#, packet(Kind::Ack, NOT_MAIN, Some(13), r#"["bar"]"#)),
            (
                r#"51-14["foo",{"_placeholder":true,"num":0}]"#,
                packet(one, main, Some(14), r#"["foo",{"_placeholder":true,"num":0}]"#),
            ),
            (r#"314["bar"]"#, packet(Kind::Ack, main, Some(14), r#"["bar"]"#)),
            (r#"215["foo"]"#, packet(Kind::Event, main, Some(15), r#"["foo"]"#)),
            (
                r#"61-15["bar",{"_placeholder":true,"num":0}]"#,
                packet(Kind::BinaryAck { attachments: 1 }, main, Some(15), r#"["bar",{"_placeholder":true,"num":0}]"#),
            ),
            ("1", packet(Kind::Disconnect, main, None, "")),
            ("1/admin,", packet(Kind::Disconnect, NOT_MAIN, None, "")),
        ];
        for (text, expected) in published {
            assert_eq!(Packet::decode(text), Ok(expected), "{text}");
            let mut out = String::new();
            expected.encode(&mut out);
            assert_eq!(out, text);
        }
    }

    /// What the official parser throws on, and what its grammar leaves open.
    #[test]
    fn what_is_no_packet_is_refused() {
        let cases = [
            ("", Malformed::Empty),
            ("999", Malformed::Type),
            ("x", Malformed::Type),
            ("€", Malformed::Type),
            ("5", Malformed::Attachments),
            ("5[]", Malformed::Attachments),
            ("5-[]", Malformed::Attachments),
            ("51[]", Malformed::Attachments),
            ("5257-[]", Malformed::Attachments),
            ("599999999999999999999-[]", Malformed::Attachments),
            ("218446744073709551616[]", Malformed::Id),
            (r#"442["some","data""#, Malformed::Data),
            (r#"0/admin,"invalid""#, Malformed::Data),
            ("0[]", Malformed::Data),
            ("1/admin,{}", Malformed::Data),
            (r#"2/admin,"invalid"#, Malformed::Data),
            ("2/admin,{}", Malformed::Data),
            ("2/admin", Malformed::Data),
            ("2", Malformed::Data),
            ("212", Malformed::Data),
            ("3/", Malformed::Data),
            ("2 []", Malformed::Data),
        ];
        for (text, malformed) in cases {
            assert_eq!(Packet::decode(text), Err(malformed), "{text}");
        }
    }

    #[test]
    fn a_namespace_is_known_by_its_path() {
        for (text, path, query) in [
            ("1/notifications,", "/notifications", None),
            ("1/notifications", "/notifications", None),
            ("1/notifications?token=a&b=/?,", "/notifications", Some("token=a&b=/?")),
            ("1/notifications?", "/notifications", Some("")),
            ("1/?a,", "/", Some("a")),
            ("1", "/", None),
        ] {
            let namespace = Packet::decode(text).unwrap().namespace;
            assert_eq!((namespace.path(), namespace.query()), (path, query), "{text}");
        }
        assert_eq!(Namespace::new("/a?b"), Some(Namespace("/a?b")));
        assert_eq!(Namespace::new("/a,b").or(Namespace::new("a")).or(Namespace::new("")), None);
    }
}
