//! A socket.io session behind a trait: one attempt, one session.
//!
//! A [`Transport`] never retries, never sleeps, never logs a URL. Everything a server sends is input: it can end a session, never the
//! process. Two ways to read a session, beside [`Session::recv`] itself:
//!
//! - as a stream: `session.into_stream()` gives [`Notifications`];
//! - with callbacks, as the JavaScript sample does: [`Listener`].
//!
//! # Implementations
//! | transport | feature | for |
//! |---|---|---|
//! | [`memory()`] | none | tests of whatever stands on a transport; runs under tokio's paused time |
//! | `Native` | `native` | production: drivetap's own |
//! | `RustSocketIo` | `rust-socketio` | the crate `rust_socketio`, its faults contained |
//!
//! All of it runs on tokio, with its timer enabled.
//!
//! The feature `conformance` adds the suite that each of them passes, for whoever writes another.

#[cfg(feature = "conformance")]
pub mod conformance;
mod end;
mod inbox;
mod listener;
mod memory;
#[cfg(feature = "native")]
pub mod native;
#[cfg(feature = "rust-socketio")]
mod rust_socket_io;
mod seam;
mod stream;
#[cfg(any(feature = "native", feature = "rust-socketio"))]
mod words;

pub use end::{Ended, OpenError, Who, Why};
pub use listener::Listener;
pub use memory::{Farewell, Memory, MemoryOpening, MemoryPeer, MemoryServer, memory};
#[cfg(feature = "native")]
pub use native::{Native, NativeConfig, NativeError};
#[cfg(feature = "rust-socketio")]
pub use rust_socket_io::{RustSocketIo, RustSocketIoConfig, RustSocketIoError};
pub use seam::{Limits, Session, Transport};
pub use stream::Notifications;
