//! Graph over HTTPS, against servers on loopback.

#![expect(clippy::unwrap_used, reason = "a test that cannot set itself up fails")]

mod client;
mod network;
mod secrets;
mod support;
