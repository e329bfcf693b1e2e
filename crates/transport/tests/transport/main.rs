//! The transports against servers that keep the contract, and servers that do not.
#![expect(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "helpers of tests")]

mod contract;
mod every;
mod faults;
mod forms;
mod native;
mod proxy;
mod server;
mod stored_inputs;
mod tls;
