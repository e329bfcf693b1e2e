//! What the tests are written with.

mod event;
mod graph_stub;
mod http;
pub(crate) mod kafka;
mod person;
mod program;
pub(crate) mod redis;
mod scene;
mod terminal;

use std::net::{Ipv4Addr, TcpListener};

pub(crate) use self::event::{CHANGE, Event, GAP, RESYNC, SIGNAL, assert_valid, of_type};
pub(crate) use self::graph_stub::GraphStub;
pub(crate) use self::http::get;
pub(crate) use self::person::{browse, code_in, type_in, visit};
pub(crate) use self::program::{Ended, Program, Signal};
pub(crate) use self::scene::{Scene, TOKEN, config};
pub(crate) use self::terminal::{Screen, Terminal};
pub(crate) use drivetap_tests::{PATIENCE, SocketIo, drivetap, service, unique, until};

/// A loopback port that nobody listens on. Somebody else may take it, in theory.
pub(crate) fn closed_port() -> u16 {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port()
}
