//! Graph over HTTPS.

mod answer;
mod client;
mod config;
mod error;
mod look;
mod pool;
mod proxy;
mod retry_after;
mod tls;

pub use client::GraphClient;
pub use config::{ConfigError, GraphConfig};
pub use drivetap_core::{ProxySettings, ProxyUrlError};
pub use look::Look;
