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

#[cfg(feature = "login")]
pub(crate) use self::{
    error::network_words,
    pool::{Way, client},
    retry_after::parse as retry_after,
    tls::client_config,
};
pub use client::GraphClient;
pub use config::{ConfigError, GraphConfig};
pub use drivetap_core::{ProxySettings, ProxyUrlError};
pub use look::Look;
