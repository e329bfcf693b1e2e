//! One session without its socket: messages go in, what they mean comes out, and time is an argument.
//!
//! Four verbs, and the rule for them:
//! - [`Session::handle`] takes a message, a moment or a wish, and says what it [`Heard`], borrowed from the message;
//! - [`Session::poll`] gives what is to be sent: after each `handle`, until `None`;
//! - [`Session::timeout`] is the moment for [`Input::Timeout`];
//! - after [`Heard::Ended`] there is nothing left but to send what `poll` still gives, and to close the socket.
//!
//! It allocates nothing a message, whatever a server sends: what is kept is the namespace, a few numbers, and the ids of at most
//! [`Session::MAX_ACKS`] events.

mod output;
#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::time::{Duration, Instant};

use self::output::Output;
use super::Malformed;
use super::engine::{self, Handshake, Packet as Engine};
use super::socket::{Event, Kind, Namespace, Packet};
use crate::{Ended, Limits, Who, Why};

/// A client's session in one namespace.
///
/// ```
/// use std::time::Instant;
///
/// use drivetap_transport::Limits;
/// use drivetap_transport::native::session::{Heard, Input, Session};
/// use drivetap_transport::native::socket::Namespace;
///
/// let now = Instant::now();
/// let mut session = Session::new(Namespace::new("/notifications").unwrap(), &Limits::default(), now);
/// session.handle(now, Input::Text(r#"0{"sid":"a","pingInterval":25000,"pingTimeout":20000}"#));
/// assert_eq!(session.poll().as_deref(), Some("40/notifications,"));
/// assert_eq!(session.handle(now, Input::Text(r#"40/notifications,{"sid":"b"}"#)), Heard::Joined);
/// let heard = session.handle(now, Input::Text(r#"42/notifications,["notification",{"value":[]}]"#));
/// assert_eq!(heard, Heard::Notification(r#"{"value":[]}"#));
/// ```
#[derive(Debug)]
pub struct Session {
    namespace: Box<str>,
    frame_bytes: usize,
    ping_ceiling: Duration,
    state: State,
    /// From the handshake.
    ping_interval: Duration,
    /// How long after a ping the next one must have come.
    patience: Duration,
    /// When that is.
    deadline: Instant,
    /// Binary messages that still belong to the last header.
    attachments: u16,
    output: Output,
}

#[derive(Debug)]
enum State {
    /// The server has not spoken.
    Opening,
    /// The namespace was asked for.
    Joining,
    Joined,
    Ended(Ended),
}

/// What happens to a session.
#[derive(Clone, Copy, Debug)]
pub enum Input<'a> {
    /// A text message came.
    Text(&'a str),
    /// A binary message came.
    Binary(&'a [u8]),
    /// [`Session::timeout`] has passed.
    Timeout,
    /// Say goodbye.
    Leave,
}

/// What it means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Heard<'a> {
    /// Nothing that anybody waits for.
    Nothing,
    /// The namespace is joined.
    Joined,
    /// A `notification` event; this is its argument, JSON that was not looked into.
    Notification(&'a str),
    /// The namespace is refused, and this is what the server says to that: JSON that was not looked into, or nothing. The session is over.
    Refused(&'a str),
    /// The session is over, now or since long.
    Ended(Ended),
}

impl Session {
    /// The most events whose acknowledgement waits to be sent. A server that asks for more, and does not take them, is not answered
    /// on the oldest.
    pub const MAX_ACKS: usize = Output::MAX_ACKS;

    /// A session whose socket was just opened. The namespace is joined without its query. Of `limits` it keeps `frame_bytes` and `ping_ceiling`; until the handshake the ceiling is
    /// its liveness deadline.
    #[must_use]
    pub fn new(namespace: Namespace<'_>, limits: &Limits, now: Instant) -> Self {
        // Time stays countable whatever the limits say.
        let ping_ceiling = limits.ping_ceiling.min(DAY);
        Self {
            namespace: namespace.path().into(),
            frame_bytes: limits.frame_bytes,
            ping_ceiling,
            state: State::Opening,
            ping_interval: ping_ceiling,
            patience: ping_ceiling,
            deadline: now + ping_ceiling,
            attachments: 0,
            output: Output::default(),
        }
    }

    /// Takes what happened, and says what it means.
    pub fn handle<'a>(&mut self, now: Instant, input: Input<'a>) -> Heard<'a> {
        if let State::Ended(ended) = &self.state {
            return Heard::Ended(ended.clone());
        }
        let heard = match input {
            Input::Text(text) if text.len() <= self.frame_bytes => self.text(now, text),
            Input::Binary(bytes) if bytes.len() <= self.frame_bytes => self.binary(),
            Input::Text(_) | Input::Binary(_) => Err(Ended { by: Who::Us, why: Why::TooLarge }),
            Input::Timeout if now < self.deadline => Ok(Heard::Nothing),
            Input::Timeout => Err(Ended { by: Who::Network, why: Why::Silent }),
            Input::Leave => {
                self.output.leave(matches!(self.state, State::Joining | State::Joined));
                Err(Ended { by: Who::Us, why: Why::Closed })
            }
        };
        match heard {
            Ok(Heard::Refused(data)) => {
                self.state = State::Ended(LEFT);
                Heard::Refused(data)
            }
            Ok(heard) => heard,
            Err(ended) => {
                self.state = State::Ended(ended.clone());
                Heard::Ended(ended)
            }
        }
    }

    /// The next message to be sent, as text.
    pub fn poll(&mut self) -> Option<Cow<'static, str>> {
        self.output.next(Namespace(&self.namespace))
    }

    /// When [`Input::Timeout`] is due: the liveness deadline, which moves with each ping. `None` after the end.
    #[must_use]
    pub fn timeout(&self) -> Option<Instant> {
        (!matches!(self.state, State::Ended(_))).then_some(self.deadline)
    }

    /// The server's `pingInterval`, up to the ceiling.
    #[must_use]
    pub fn ping_interval(&self) -> Duration {
        self.ping_interval
    }

    fn text<'a>(&mut self, now: Instant, text: &'a str) -> Result<Heard<'a>, Ended> {
        let Engine { kind, data } = Engine::decode(text).map_err(malformed)?;
        match (kind, &self.state) {
            (engine::Kind::Open, State::Opening) => self.open(now, Handshake::decode(data).map_err(malformed)?),
            (_, State::Opening) => return Err(broken("a packet before the handshake")),
            (engine::Kind::Open, _) => return Err(broken("a second handshake")),
            (engine::Kind::Close, _) => return Err(LEFT),
            (engine::Kind::Ping, _) => {
                self.output.pong();
                self.deadline = now + self.patience;
            }
            (engine::Kind::Message, _) if self.attachments > 0 => return Err(broken("an attachment is missing")),
            (engine::Kind::Message, _) => return self.message(Packet::decode(data).map_err(malformed)?),
            // A pong answers what is never sent, and there is no transport to upgrade to.
            (engine::Kind::Pong | engine::Kind::Upgrade | engine::Kind::Noop, _) => {}
        }
        Ok(Heard::Nothing)
    }

    fn open(&mut self, now: Instant, handshake: Handshake) {
        self.ping_interval = handshake.ping_interval.min(self.ping_ceiling);
        self.patience = handshake.patience().min(self.ping_ceiling);
        self.deadline = now + self.patience;
        self.state = State::Joining;
        self.output.join();
    }

    fn message<'a>(&mut self, packet: Packet<'a>) -> Result<Heard<'a>, Ended> {
        self.attachments = packet.kind.attachments();
        if packet.namespace.path() != &*self.namespace {
            return Ok(Heard::Nothing);
        }
        match packet.kind {
            Kind::Connect if matches!(self.state, State::Joining) => {
                self.state = State::Joined;
                Ok(Heard::Joined)
            }
            Kind::ConnectError if matches!(self.state, State::Joining) => Ok(Heard::Refused(packet.data)),
            Kind::ConnectError | Kind::Disconnect => Err(LEFT),
            Kind::Event | Kind::BinaryEvent { .. } => self.event(&packet),
            // Joined it is already, and no answer is waited for.
            Kind::Connect | Kind::Ack | Kind::BinaryAck { .. } => Ok(Heard::Nothing),
        }
    }

    /// One that overtakes the answer to `connect` counts like any other.
    fn event<'a>(&mut self, packet: &Packet<'a>) -> Result<Heard<'a>, Ended> {
        let event = Event::decode(packet.data).map_err(malformed)?;
        let Some(argument) = event.argument.filter(|_| event.is("notification")) else {
            return Ok(Heard::Nothing);
        };
        if self.attachments > 0 {
            return Err(broken("a binary notification"));
        }
        if let Some(id) = packet.id {
            self.output.ack(id);
        }
        Ok(Heard::Notification(argument))
    }

    /// Its header said that nobody wants it.
    fn binary<'a>(&mut self) -> Result<Heard<'a>, Ended> {
        self.attachments = self.attachments.checked_sub(1).ok_or_else(|| broken("an attachment of nothing"))?;
        Ok(Heard::Nothing)
    }
}

const DAY: Duration = Duration::from_secs(24 * 60 * 60);
const LEFT: Ended = Ended { by: Who::Server, why: Why::Disconnect };

fn malformed(malformed: Malformed) -> Ended {
    Ended { by: Who::Server, why: Why::Malformed(malformed.to_string()) }
}

fn broken(what: &str) -> Ended {
    Ended { by: Who::Server, why: Why::Malformed(what.to_owned()) }
}
