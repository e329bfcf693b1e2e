//! The helpers keep their promises: a fault that does not strike would prove nothing.

#![expect(clippy::unwrap_used, reason = "a helper that cannot go on fails its test")]

mod kafka;
mod matrix;
mod proxy;
mod relay;
