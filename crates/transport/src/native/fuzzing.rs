//! The bodies of the fuzz targets, each a plain function of bytes that panics where a promise is broken: `fuzz/` runs them on made-up
//! inputs, `cargo test` on stored ones.

#![expect(clippy::panic, clippy::expect_used, reason = "a broken promise is a panic")]

use std::time::{Duration, Instant};

use serde::de::IgnoredAny;

use super::driver::{Backlog, notifications};
use super::engine::{self, Handshake};
use super::frames::{Broken, Message, Reader};
use super::session::{Heard, Input, Session};
use super::socket::{Event, Namespace, Packet};
use crate::Limits;

/// Text as both protocols read it: what is decoded, encoded and decoded again is the same, and what is lent lies in the input.
pub fn decoder(data: &[u8]) {
    let Ok(text) = str::from_utf8(data) else {
        return;
    };
    let _ = Handshake::decode(text);
    event(text);
    if let Ok(packet) = engine::Packet::decode(text) {
        let mut encoded = String::new();
        packet.encode(&mut encoded);
        assert_eq!(encoded, text, "an engine.io packet is its text");
        message(packet.data);
    }
}

fn message(text: &str) {
    let Ok(packet) = Packet::decode(text) else {
        return;
    };
    let mut encoded = String::new();
    packet.encode(&mut encoded);
    assert_eq!(Packet::decode(&encoded), Ok(packet), "{encoded:?}");
    assert!(text.ends_with(packet.data), "the data is the end of the text");
    assert_eq!(Namespace::new(packet.namespace.path()).map(Namespace::path), Some(packet.namespace.path()));
    event(packet.data);
}

fn event(data: &str) {
    let Ok(Event { argument, .. }) = Event::decode(data) else {
        return;
    };
    serde_json::from_str::<IgnoredAny>(data).expect("an event is JSON");
    if let Some(argument) = argument {
        serde_json::from_str::<IgnoredAny>(argument).expect("an argument is JSON");
        assert!(data.as_bytes().as_ptr_range().contains(&argument.as_ptr()), "an argument is lent");
    }
}

/// Bytes as a websocket: the messages, and the end, are the same however the bytes arrive, and memory keeps its limit.
pub fn frames(data: &[u8]) {
    let Some((&split, bytes)) = data.split_first() else {
        return;
    };
    // Small enough to be passed by short inputs.
    let limit = 300;
    let whole = read(bytes, usize::MAX, limit, false);
    assert_eq!(read(bytes, 1, limit, false), whole, "one by one");
    assert_eq!(read(bytes, usize::from(split).max(1), limit, false), whole, "{split} at a time");
    assert_eq!(read(bytes, usize::MAX, limit, true), whole, "under load");
    assert_eq!(read(bytes, usize::from(split).max(1), limit, true), whole, "{split} at a time, under load");
}

fn read(mut bytes: &[u8], split: usize, limit: usize, load: bool) -> (Vec<String>, Result<(), Broken>) {
    let (mut messages, mut reader) = (Vec::new(), Reader::new(limit, &[]).expect("nothing came yet"));
    loop {
        match reader.advance().and_then(|there| Ok((there, format!("{:?}", reader.message()?)))) {
            Ok((true, message)) => messages.push(message),
            Ok((false, _)) if bytes.is_empty() => return (messages, Ok(())),
            Ok((false, _)) => {
                match bytes.len() % 4 {
                    0 if load => reader.narrow(),
                    _ if load => reader.widen(),
                    _ => {}
                }
                feed(&mut reader, &mut bytes, split, limit);
            }
            Err(broken) => return (messages, Err(broken)),
        }
    }
}

fn feed(reader: &mut Reader, bytes: &mut &[u8], split: usize, limit: usize) {
    let space = reader.space();
    assert!(!space.is_empty(), "there is room for a byte");
    let (now, later) = bytes.split_at(bytes.len().min(split).min(space.len()));
    if let Some(space) = space.get_mut(..now.len()) {
        space.copy_from_slice(now);
    }
    reader.filled(now.len());
    *bytes = later;
    let most = 2 * limit.max(Reader::SMALL) + 16;
    assert!(reader.memory() <= most.max(reader.usual() + limit), "{} bytes of memory", reader.memory());
}

/// A whole session under arbitrary bytes, times and wishes: it never panics, keeps its memory limit, and ends or is live.
///
/// The input is a list of steps: what happens, and what it needs.
pub fn session(data: &[u8]) {
    let mut input = Steps(data);
    let flags = input.byte();
    let limits = Limits {
        frame_bytes: if flags & 1 == 0 { 1 << 20 } else { 200 },
        ping_ceiling: if flags & 2 == 0 { Duration::from_secs(120) } else { Duration::from_millis(u64::from(input.byte())) },
        ..Limits::default()
    };
    let mut world = World::new(limits);
    if flags & 4 != 0 {
        world.text(r#"0{"sid":"a","pingInterval":25000,"pingTimeout":20000}"#);
        world.text(r#"40/notifications,{"sid":"b"}"#);
    }
    while !input.0.is_empty() {
        world.step(&mut input);
        world.check();
    }
    world.ends_in_silence();
}

struct Steps<'a>(&'a [u8]);

impl<'a> Steps<'a> {
    fn byte(&mut self) -> u8 {
        self.bytes(1).first().copied().unwrap_or_default()
    }

    fn some(&mut self) -> &'a [u8] {
        let count = self.byte();
        self.bytes(count.into())
    }

    fn bytes(&mut self, count: usize) -> &'a [u8] {
        let (some, rest) = self.0.split_at(count.min(self.0.len()));
        self.0 = rest;
        some
    }
}

/// What a driver has, without its socket.
struct World {
    limits: Limits,
    now: Instant,
    reader: Reader,
    /// The bytes of it cannot be read any further.
    broken: bool,
    session: Session,
    backlog: Backlog,
    ended: Option<crate::Ended>,
}

impl World {
    fn new(limits: Limits) -> Self {
        let now = Instant::now();
        let namespace = Namespace::new("/notifications").expect("it begins with a slash");
        let (reader, session) = (Reader::new(limits.frame_bytes, &[]), Session::new(namespace, &limits, now));
        let reader = reader.expect("nothing came yet");
        Self { limits, now, reader, broken: false, session, backlog: Backlog::default(), ended: None }
    }

    fn step(&mut self, input: &mut Steps<'_>) {
        match input.byte() % 8 {
            0 => self.text(&String::from_utf8_lossy(input.some())),
            1 => self.handle(Input::Binary(input.some())),
            2 => self.bytes(input.some()),
            3 => {
                self.now += Duration::from_millis(u64::from(input.byte()) * u64::from(input.byte()));
                self.handle(Input::Timeout);
            }
            4 => {
                let sent = std::iter::from_fn(|| self.session.poll()).count();
                assert!(sent <= Session::MAX_ACKS + 4, "{sent} messages waited to be sent");
            }
            5 => {
                for argument in self.backlog.batch().arguments {
                    drop(notifications(&argument));
                }
            }
            6 => {
                let text = String::from_utf8_lossy(input.some());
                for _ in 0..input.byte() {
                    self.text(&text);
                }
            }
            _ => self.handle(Input::Leave),
        }
    }

    fn bytes(&mut self, mut bytes: &[u8]) {
        while !self.broken {
            match self.reader.advance() {
                Ok(false) if bytes.is_empty() => return,
                Ok(false) => feed(&mut self.reader, &mut bytes, usize::MAX, self.limits.frame_bytes),
                Ok(true) => {
                    let reader = std::mem::replace(&mut self.reader, Reader::new(0, &[]).expect("nothing came yet"));
                    match reader.message() {
                        Ok(Message::Text(text)) => self.text(text),
                        Ok(Message::Binary(bytes)) => self.handle(Input::Binary(bytes)),
                        Ok(Message::Ping(_) | Message::Pong) => {}
                        Ok(Message::Close) | Err(_) => self.broken = true,
                    }
                    self.reader = reader;
                }
                Err(_) => self.broken = true,
            }
        }
    }

    fn text(&mut self, text: &str) {
        self.handle(Input::Text(text));
    }

    fn handle(&mut self, input: Input<'_>) {
        let heard = self.session.handle(self.now, input);
        match (heard, &self.ended) {
            (Heard::Ended(ended), None) => self.ended = Some(ended),
            (Heard::Ended(ended), Some(first)) => assert_eq!(ended, *first, "an end is final"),
            (heard, Some(first)) => panic!("{heard:?} after {first:?}"),
            (Heard::Notification(argument), None) => {
                // What gives way and is no notification ends the session; a driver would drop it here.
                drop(self.backlog.push(argument));
            }
            (Heard::Refused(_), None) => {
                let Heard::Ended(ended) = self.session.handle(self.now, Input::Timeout) else {
                    panic!("a refusal is the end");
                };
                self.ended = Some(ended);
            }
            (Heard::Nothing | Heard::Joined, None) => {}
        }
    }

    fn check(&self) {
        let (waiting, most) = (self.backlog.memory(), Backlog::MOST_MEMORY + self.limits.frame_bytes);
        assert!(waiting <= most, "{waiting} bytes wait");
        match (self.session.timeout(), &self.ended) {
            (None, Some(_)) => {}
            (Some(at), None) => assert!(at <= self.now + self.limits.ping_ceiling, "a deadline above the ceiling"),
            (timeout, ended) => panic!("timeout {timeout:?}, ended {ended:?}"),
        }
    }

    /// Whatever was said: without a further ping it is over at its own deadline.
    fn ends_in_silence(mut self) {
        if let Some(at) = self.session.timeout() {
            self.now = self.now.max(at);
            self.handle(Input::Timeout);
        }
        assert!(self.ended.is_some(), "it ends or is live");
    }
}
