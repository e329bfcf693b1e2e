//! drivetap's own transport: engine.io 4 and socket.io 5 over websocket, the part of them that a notification needs.
//!
//! | module | knows | and nothing of |
//! |---|---|---|
//! | [`engine`] | packets of engine.io | sockets, time |
//! | [`socket`] | packets of socket.io, and events in them | sockets, time |
//! | [`session`] | what follows what, and when it is over | sockets, clocks |
//!
//! The three are public for tests, fuzzers and benchmarks; a program needs none of them.

pub mod engine;
mod malformed;
pub mod session;
pub mod socket;

pub use self::malformed::Malformed;
