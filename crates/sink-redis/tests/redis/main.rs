//! The sink on a real Redis.
#![expect(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "test code")]

mod common;
mod contract;
mod faults;
mod receivers;
