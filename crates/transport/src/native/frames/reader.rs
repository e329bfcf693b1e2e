use std::io::Cursor;
use std::ops::Range;

use tungstenite::protocol::frame::FrameHeader;
use tungstenite::protocol::frame::coding::{Control, Data, OpCode};

/// Finds messages in what a server sends.
///
/// Three verbs: read into [`space`](Self::space), say [`filled`](Self::filled), and call [`advance`](Self::advance) until there is no
/// complete message any more; each one is [`message`](Self::message) until the next `advance`.
///
/// Memory: [`SMALL`](Self::SMALL) bytes, and more only while a frame is larger: then the buffer doubles as its bytes arrive, up to the
/// limit, and shrinks behind it. A message in fragments is put together beside it, up to the limit too. Who reads from a socket in which
/// more is waiting can [`widen`](Self::widen) it up to [`LARGE`](Self::LARGE), and [`narrow`](Self::narrow)s it before the socket is
/// waited for.
///
/// ```
/// use drivetap_transport::native::frames::{Message, Reader};
///
/// let mut reader = Reader::new(1024, b"\x81\x05hello")?;
/// assert!(reader.advance()?);
/// assert_eq!(reader.message()?, Message::Text("hello"));
/// assert!(!reader.advance()?);
/// # Ok::<(), drivetap_transport::native::frames::Broken>(())
/// ```
#[derive(Debug)]
pub struct Reader {
    buffer: Vec<u8>,
    /// What it holds while no frame needs more.
    usual: usize,
    /// What of the buffer was filled and not consumed.
    unread: Range<usize>,
    /// The message that is being shown.
    shown: Option<Shown>,
    /// The bytes from `unread.start` on that the next frame takes, as far as that is known.
    wanted: usize,
    /// A message of which not every fragment has come.
    fragments: Option<Fragments>,
    limit: usize,
}

#[derive(Debug)]
enum Shown {
    Frame(Kind, Range<usize>),
    Fragments,
}

#[derive(Clone, Copy, Debug)]
enum Kind {
    Text,
    Binary,
    Ping,
    Pong,
    Close,
}

#[derive(Debug)]
struct Fragments {
    kind: Kind,
    bytes: Vec<u8>,
}

/// A whole message, or a control frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Message<'a> {
    /// UTF-8.
    Text(&'a str),
    /// Bytes.
    Binary(&'a [u8]),
    /// To be answered with a pong of the same bytes, 125 at most.
    Ping(&'a [u8]),
    /// The answer to a ping.
    Pong,
    /// Nothing follows it.
    Close,
}

/// What is no websocket.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Broken {
    /// A message above the limit; found in a header, before its bytes are waited for.
    #[error("a message above the limit")]
    TooLarge,
    /// A header that RFC 6455 does not allow a server: a reserved bit or type, a mask, a long or split control frame, a
    /// continuation of nothing, a message inside a message.
    #[error("not a websocket frame")]
    Header,
    /// A text that is not UTF-8.
    #[error("text that is not UTF-8")]
    Utf8,
}

impl Reader {
    /// What the buffer holds while no frame needs more.
    pub const SMALL: usize = 4 * 1024;
    /// The same under load: a call to the system for so much costs little beside what is done with it.
    pub const LARGE: usize = 64 * 1024;
    /// The longest header of a server: type, length, and 8 bytes of length.
    const HEADER: usize = 10;
    /// RFC 6455, 5.5.
    const MAX_CONTROL: u64 = 125;

    /// `limit` is for the payload of a message. `already` came with the answer to the upgrade.
    ///
    /// # Errors
    /// [`Broken::TooLarge`], where `already` is above what any frame within the limit can take.
    pub fn new(limit: usize, already: &[u8]) -> Result<Self, Broken> {
        let mut buffer = vec![0; Self::SMALL.max(already.len())];
        buffer.get_mut(..already.len()).ok_or(Broken::TooLarge)?.copy_from_slice(already);
        Ok(Self { buffer, usual: Self::SMALL, unread: 0..already.len(), shown: None, wanted: 0, fragments: None, limit })
    }

    /// Where the next bytes go. Never empty.
    pub fn space(&mut self) -> &mut [u8] {
        self.shown = None;
        let waiting = self.unread.len();
        if waiting == 0 {
            self.unread = 0..0;
        }
        if self.buffer.len() > self.usual && self.wanted.max(waiting) < self.usual {
            self.buffer.copy_within(self.unread.clone(), 0);
            self.buffer.truncate(self.usual);
            self.buffer.shrink_to_fit();
            self.unread = 0..waiting;
        } else if self.buffer.len() < self.usual {
            self.buffer.copy_within(self.unread.clone(), 0);
            self.buffer.reserve_exact(self.usual - self.buffer.len());
            self.buffer.resize(self.usual, 0);
            self.unread = 0..waiting;
        } else if self.unread.end == self.buffer.len() && self.unread.start > 0 {
            self.buffer.copy_within(self.unread.clone(), 0);
            self.unread = 0..waiting;
        } else if self.unread.end == self.buffer.len() {
            // Full of one frame. No more than was received is allocated ahead of it, whatever its header promises.
            let more = self.wanted.saturating_sub(waiting).clamp(1, waiting.max(1));
            self.buffer.reserve_exact(more);
            self.buffer.resize(waiting + more, 0);
        }
        self.buffer.get_mut(self.unread.end..).unwrap_or_default()
    }

    /// The first `count` bytes of [`space`](Self::space) came from the server.
    pub fn filled(&mut self, count: usize) {
        self.unread.end = self.unread.end.saturating_add(count).min(self.buffer.len());
    }

    /// All of [`space`](Self::space) was filled, and more may be waiting: the next one is twice as large, up to [`LARGE`](Self::LARGE).
    pub fn widen(&mut self) {
        self.usual = (self.usual * 2).min(Self::LARGE);
    }

    /// Nothing is waiting: what [`widen`](Self::widen) added is given back.
    pub fn narrow(&mut self) {
        if self.usual > Self::SMALL {
            self.usual = Self::SMALL;
            self.space();
        }
    }

    /// Goes to the next message; `false` when more bytes are needed for it. The one before is gone.
    ///
    /// # Errors
    /// Once what came is no websocket, or too much: there is no way on from there.
    pub fn advance(&mut self) -> Result<bool, Broken> {
        if let Some(Shown::Fragments) = self.shown.take() {
            self.fragments = None;
        }
        loop {
            let Some((header, payload)) = self.frame()? else {
                return Ok(false);
            };
            let kind = match header.opcode {
                OpCode::Data(Data::Text) => Kind::Text,
                OpCode::Data(Data::Binary) => Kind::Binary,
                OpCode::Data(Data::Continue) => {
                    self.append(payload)?;
                    if header.is_final {
                        self.shown = Some(Shown::Fragments);
                        return Ok(true);
                    }
                    continue;
                }
                OpCode::Control(Control::Ping) => Kind::Ping,
                OpCode::Control(Control::Pong) => Kind::Pong,
                OpCode::Control(Control::Close) => Kind::Close,
                OpCode::Data(Data::Reserved(_)) | OpCode::Control(Control::Reserved(_)) => return Err(Broken::Header),
            };
            if header.is_final {
                self.shown = Some(Shown::Frame(kind, payload));
                return Ok(true);
            }
            self.fragments = Some(Fragments { kind, bytes: Vec::new() });
            self.append(payload)?;
        }
    }

    /// The message that [`advance`](Self::advance) went to. After a `false` it is [`Message::Pong`], which asks for nothing.
    ///
    /// # Errors
    /// [`Broken::Utf8`].
    pub fn message(&self) -> Result<Message<'_>, Broken> {
        let (kind, bytes) = match (&self.shown, &self.fragments) {
            (Some(Shown::Frame(kind, range)), _) => (*kind, self.buffer.get(range.clone()).unwrap_or_default()),
            (Some(Shown::Fragments), Some(fragments)) => (fragments.kind, fragments.bytes.as_slice()),
            (Some(Shown::Fragments) | None, _) => (Kind::Pong, &[][..]),
        };
        Ok(match kind {
            Kind::Text => Message::Text(str::from_utf8(bytes).map_err(|_| Broken::Utf8)?),
            Kind::Binary => Message::Binary(bytes),
            Kind::Ping => Message::Ping(bytes),
            Kind::Pong => Message::Pong,
            Kind::Close => Message::Close,
        })
    }

    /// What the buffer holds while no frame needs more.
    #[must_use]
    pub fn usual(&self) -> usize {
        self.usual
    }

    /// The bytes of memory that it holds.
    #[must_use]
    pub fn memory(&self) -> usize {
        self.buffer.capacity() + self.fragments.as_ref().map_or(0, |fragments| fragments.bytes.capacity())
    }

    /// Consumes the next frame, if all of it is there.
    fn frame(&mut self) -> Result<Option<(FrameHeader, Range<usize>)>, Broken> {
        let mut unread = Cursor::new(self.buffer.get(self.unread.clone()).unwrap_or_default());
        let Some((header, length)) = FrameHeader::parse(&mut unread).map_err(|_| Broken::Header)? else {
            self.wanted = Self::HEADER;
            return Ok(None);
        };
        let start = self.unread.start + usize::try_from(unread.position()).map_err(|_| Broken::TooLarge)?;
        self.check(&header, length)?;
        let length = usize::try_from(length).ok().filter(|length| *length <= self.limit).ok_or(Broken::TooLarge)?;
        let end = start + length;
        self.wanted = end - self.unread.start;
        if end > self.unread.end {
            return Ok(None);
        }
        self.wanted = 0;
        self.unread.start = end;
        Ok(Some((header, start..end)))
    }

    fn check(&self, header: &FrameHeader, length: u64) -> Result<(), Broken> {
        let reserved = header.rsv1 || header.rsv2 || header.rsv3;
        let misplaced = match header.opcode {
            OpCode::Control(_) => !header.is_final || length > Self::MAX_CONTROL,
            OpCode::Data(Data::Continue) => self.fragments.is_none(),
            OpCode::Data(_) => self.fragments.is_some(),
        };
        if reserved || misplaced || header.mask.is_some() { Err(Broken::Header) } else { Ok(()) }
    }

    fn append(&mut self, payload: Range<usize>) -> Result<(), Broken> {
        let Some(Fragments { bytes, .. }) = &mut self.fragments else {
            return Err(Broken::Header);
        };
        let fragment = self.buffer.get(payload).unwrap_or_default();
        let whole = bytes.len() + fragment.len();
        if whole > self.limit {
            return Err(Broken::TooLarge);
        }
        if whole > bytes.capacity() {
            // Doubled, but not beyond the limit.
            bytes.reserve_exact((bytes.len() * 2).clamp(whole, self.limit) - bytes.len());
        }
        bytes.extend_from_slice(fragment);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a server sends: one frame, not masked.
    fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
        let mut bytes = vec![first];
        match u16::try_from(payload.len()) {
            Ok(length) if length < 126 => bytes.push(u8::try_from(length).unwrap()),
            Ok(length) => bytes.extend([&[126][..], &length.to_be_bytes()].concat()),
            Err(_) => bytes.extend([&[127][..], &u64::try_from(payload.len()).unwrap().to_be_bytes()].concat()),
        }
        bytes.extend(payload);
        bytes
    }

    /// Feeds `bytes` at most `split` at a time, as a socket that holds all of them or as one that never holds more.
    fn read(bytes: &[u8], split: usize, limit: usize) -> (Vec<String>, Result<(), Broken>) {
        let calm = read_as(bytes, split, limit, false);
        assert!(read_as(bytes, split, limit, true) == calm, "the same in a wider buffer");
        calm
    }

    fn read_as(bytes: &[u8], split: usize, limit: usize, loaded: bool) -> (Vec<String>, Result<(), Broken>) {
        let (mut reader, mut shown) = (Reader::new(limit, b"").unwrap(), Vec::new());
        let mut rest = bytes;
        loop {
            let more = reader.advance().and_then(|there| Ok(there.then_some(reader.message()?).map(|m| format!("{m:?}"))));
            match more {
                Ok(Some(message)) => shown.push(message),
                Ok(None) if rest.is_empty() => return (shown, Ok(())),
                Ok(None) => {
                    let space = reader.space();
                    let count = space.len().min(split).min(rest.len());
                    let full = count == space.len();
                    space[..count].copy_from_slice(&rest[..count]);
                    reader.filled(count);
                    rest = &rest[count..];
                    match loaded {
                        true if full => reader.widen(),
                        true if count % 5 == 0 => reader.narrow(),
                        _ => {}
                    }
                }
                Err(broken) => return (shown, Err(broken)),
            }
            let usual = if loaded { Reader::LARGE } else { Reader::SMALL };
            assert!(reader.memory() <= 2 * limit.max(usual) + Reader::HEADER, "{} bytes", reader.memory());
        }
    }

    #[test]
    fn messages_are_the_same_however_their_bytes_arrive() {
        let (long, longer) = ("x".repeat(5_000), "y".repeat(70_000));
        let bytes = [
            frame(0x81, "Hello".as_bytes()),
            frame(0x81, b""),
            frame(0x82, &[1, 2]),
            frame(0x01, "Hel".as_bytes()),
            frame(0x89, b"Hello"),
            frame(0x80, "lo €".as_bytes()),
            frame(0x81, long.as_bytes()),
            frame(0x8a, b"x"),
            frame(0x81, longer.as_bytes()),
            frame(0x02, &[3]),
            frame(0x00, &[]),
            frame(0x80, &[4]),
            frame(0x88, &[3, 232]),
        ]
        .concat();
        let expected = [
            format!("{:?}", Message::Text("Hello")),
            format!("{:?}", Message::Text("")),
            format!("{:?}", Message::Binary(&[1, 2])),
            format!("{:?}", Message::Ping(b"Hello")),
            format!("{:?}", Message::Text("Hello €")),
            format!("{:?}", Message::Text(&long)),
            format!("{:?}", Message::Pong),
            format!("{:?}", Message::Text(&longer)),
            format!("{:?}", Message::Binary(&[3, 4])),
            format!("{:?}", Message::Close),
        ];
        for split in [1, 2, 3, 7, 100, 4_096, usize::MAX] {
            let (shown, end) = read(&bytes, split, 1 << 20);
            assert_eq!(end, Ok(()));
            assert!(shown == expected, "split {split}: {} messages", shown.len());
        }
    }

    #[test]
    fn what_a_server_must_not_send_is_refused() {
        let cases: [(&[u8], Broken); 14] = [
            (&[0xc1, 0], Broken::Header),
            (&[0xa1, 0], Broken::Header),
            (&[0x91, 0], Broken::Header),
            (&[0x83, 0], Broken::Header),
            (&[0x8b, 0], Broken::Header),
            (&[0x81, 0x81, 0, 0, 0, 0, 0], Broken::Header),
            (&[0x09, 0], Broken::Header),
            (&[0x89, 126, 0, 126], Broken::Header),
            (&[0x80, 0], Broken::Header),
            (&[0x01, 0, 0x81, 0], Broken::Header),
            (&[0x81, 1, 0xff], Broken::Utf8),
            (&[0x01, 1, 0xe2, 0x80, 1, b'a'], Broken::Utf8),
            (&[0x81, 126, 0x04, 0x01], Broken::TooLarge),
            (&[0x82, 127, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff], Broken::TooLarge),
        ];
        for (bytes, broken) in cases {
            for split in [1, usize::MAX] {
                assert_eq!(read(bytes, split, 1_024), (Vec::new(), Err(broken)), "{bytes:x?}");
            }
        }
    }

    #[test]
    fn fragments_count_together() {
        let bytes = [frame(0x01, &[b'a'; 600]), frame(0x00, &[b'a'; 424]), frame(0x80, b"")].concat();
        assert_eq!(read(&bytes, usize::MAX, 1_024).0.len(), 1);
        assert_eq!(read(&bytes, usize::MAX, 1_023).1, Err(Broken::TooLarge));
    }

    #[test]
    fn the_buffer_grows_with_what_arrives_and_shrinks_behind_it() {
        let (mut reader, large) = (Reader::new(1 << 20, b"").unwrap(), frame(0x81, &vec![b'x'; 1 << 20]));
        let mut rest = large.as_slice();
        while !reader.advance().unwrap() {
            let received = large.len() - rest.len();
            let space = reader.space();
            let count = space.len().min(rest.len());
            space[..count].copy_from_slice(&rest[..count]);
            reader.filled(count);
            rest = &rest[count..];
            assert!(reader.memory() <= Reader::SMALL.max(2 * received), "{} for {received}", reader.memory());
        }
        assert!(!reader.advance().unwrap());
        assert_eq!(reader.space().len(), Reader::SMALL);
        assert_eq!(reader.memory(), Reader::SMALL);
    }

    #[test]
    fn under_load_the_buffer_is_larger_and_at_rest_it_is_small() {
        let (mut reader, small) = (Reader::new(1 << 20, b"").unwrap(), frame(0x81, &[b'x'; 500]));
        let (mut rest, mut reads) = (small.iter().cycle(), Vec::new());
        for _ in 0..8 {
            let space = reader.space();
            reads.push(space.len());
            space.iter_mut().for_each(|byte| *byte = *rest.next().unwrap());
            let count = space.len();
            reader.filled(count);
            reader.widen();
            while reader.advance().unwrap() {}
            assert!(reader.memory() <= Reader::LARGE, "{}", reader.memory());
        }
        assert!(reads.is_sorted_by(|before, after| 2 * before + 1_000 >= *after), "{reads:?}");
        assert!(reads[7] > Reader::LARGE - 504, "{reads:?}");
        reader.narrow();
        assert_eq!(reader.memory(), Reader::SMALL, "with a part of a frame in it");
        assert!(!reader.advance().unwrap());
    }
}
