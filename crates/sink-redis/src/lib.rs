//! The redis sink of drivetap: each event is a message on a pub/sub channel.
//!
//! The message is the structured JSON event ([`Event::to_json`](drivetap_core::Event::to_json)). A message that nobody listens for is a
//! delivery: Redis keeps none. How many subscribers the messages reached is counted in `drivetap_redis_receivers_total`, by `channel`,
//! through the `metrics` facade.
//!
//! **TLS** is rustls. The process installs a provider before the first connect, else [`connect`](drivetap_sink::Sink::connect) says so:
//! `rustls::crypto::ring::default_provider().install_default()`.
//!
//! **After a lost connection** Redis may still carry out what it had received on the old one, while the new one publishes. What can
//! come late that way is at most one chunk ([`RedisConfig::pipeline_bytes`]): a consumer sees it as repeats, by the event's id. The same
//! holds where a server refuses one message of a chunk and takes the next: the refused one comes again, and all behind it after it.

mod certificate;
mod config;
mod fault;
mod role;
mod sink;
mod url;

pub use certificate::{CertificateError, ClientCertificate};
pub use config::RedisConfig;
pub use sink::RedisSink;
pub use url::{RedisUrl, RedisUrlError};
