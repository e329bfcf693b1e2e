//! The sink against a real Kafka. How it is found: `tests/services/README.md`.
#![expect(clippy::unwrap_used, clippy::panic, reason = "test code: what cannot be set up fails the test, loudly")]

mod broker;
mod contract;
mod dead_letters;
mod injected;
mod permissions;
mod read_back;
mod records;
mod refusals;
mod secrets;
mod security;
mod topics;
