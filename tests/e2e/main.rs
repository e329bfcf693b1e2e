//! End-to-end tests: the built program, as a user starts it, on real services.
//!
//! Graph is the emulator, or a stub of a test's own; Kafka, Redis and the official socket.io server are real. A test that misses a
//! service fails and says how to get it: `cargo xtask test`.

#![expect(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a helper that cannot go on fails its test")]

mod support;

mod admin;
mod bad_input;
mod check;
mod client_certificates;
mod closed_pipe;
mod closed_stdout;
mod consumers;
mod dead_letters;
mod demo;
mod discover;
mod docs;
mod drain_deadline;
mod exit_codes;
mod init;
mod kafka;
mod listen;
mod listen_terminal;
mod login;
mod memory;
mod new_user;
mod official_server;
mod outside_words;
mod progress;
mod recording;
mod redis_channel;
mod request_ids;
mod resources;
mod restart;
mod secrets;
mod several;
mod shells;
mod signals;
mod state;
mod tokens;
mod trigger;
mod verify;
