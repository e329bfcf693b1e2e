//! The emulator against the facts, through a client that shares no code with it.

#![expect(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "integration tests: what fails here fails the test")]

mod browse;
mod control;
mod delta;
mod graph;
mod login;
mod socket;
mod support;
