use std::borrow::Cow;
use std::collections::VecDeque;

use crate::native::engine;
use crate::native::socket::{Kind, Namespace, Packet};

/// What is to be sent. Bounded: a second ping before the answer to the first makes no second answer, and acknowledgements have a limit.
#[derive(Debug, Default)]
pub(super) struct Output {
    join: bool,
    pong: bool,
    acks: VecDeque<u64>,
    leave: bool,
    close: bool,
}

impl Output {
    pub(super) const MAX_ACKS: usize = 16;

    pub(super) fn join(&mut self) {
        self.join = true;
    }

    pub(super) fn pong(&mut self) {
        self.pong = true;
    }

    pub(super) fn ack(&mut self, id: u64) {
        if self.acks.len() == Self::MAX_ACKS {
            self.acks.pop_front();
        }
        self.acks.push_back(id);
    }

    /// Goodbye, and nothing else any more.
    pub(super) fn leave(&mut self, joined: bool) {
        *self = Self { leave: joined, close: true, ..Self::default() };
    }

    /// In the order in which a server wants them: heartbeats first, the end last.
    pub(super) fn next(&mut self, namespace: Namespace<'_>) -> Option<Cow<'static, str>> {
        if std::mem::take(&mut self.pong) {
            return Some(Cow::Borrowed(PONG));
        }
        if std::mem::take(&mut self.join) {
            return Some(message(Kind::Connect, namespace, None, ""));
        }
        if let Some(id) = self.acks.pop_front() {
            return Some(message(Kind::Ack, namespace, Some(id), "[]"));
        }
        if std::mem::take(&mut self.leave) {
            return Some(message(Kind::Disconnect, namespace, None, ""));
        }
        std::mem::take(&mut self.close).then_some(Cow::Borrowed(CLOSE))
    }
}

const PONG: &str = "3";
const CLOSE: &str = "1";

fn message(kind: Kind, namespace: Namespace<'_>, id: Option<u64>, data: &str) -> Cow<'static, str> {
    let mut text = String::new();
    engine::Packet { kind: engine::Kind::Message, data: "" }.encode(&mut text);
    Packet { kind, namespace, id, data }.encode(&mut text);
    Cow::Owned(text)
}
