use std::time::Duration;

use drivetap_core::{NotificationHostsError, ProxySettings};

use crate::base_url::BaseUrl;

/// How a [`GraphClient`](crate::GraphClient) reaches Graph. Every field has a default; nothing is read from the environment.
#[derive(Clone, Debug)]
pub struct GraphConfig {
    /// Where Graph is. Default `https://graph.microsoft.com/v1.0`.
    pub base_url: BaseUrl,
    /// Which hosts a `notificationUrl` may name, as [`NotificationHosts`](drivetap_core::NotificationHosts) takes them. Loopback forms are
    /// let through where `base_url` is loopback, and only there. Default `*.svc.ms`.
    pub notification_hosts: Vec<String>,
    /// `NONISV|Company|App/Version`, or `ISV|…` for a product: undecorated traffic is the first to be throttled. Default
    /// `NONISV|drivetap|drivetap/VERSION`.
    ///
    /// Source: <https://learn.microsoft.com/en-us/sharepoint/dev/general-development/how-to-avoid-getting-throttled-or-blocked-in-sharepoint-online>
    pub user_agent: String,
    /// For TCP, a proxy's CONNECT and TLS. Default 10 s.
    pub connect_timeout: Duration,
    /// For a request as a whole, from connecting to the body's last byte: Graph is known to stall before its headers. Default 60 s.
    pub request_timeout: Duration,
    /// Which proxy, if any. Not used for a loopback `base_url`. Default none.
    pub proxy: ProxySettings,
    /// Certificates in PEM, trusted besides the platform's. Default none.
    pub ca_pem: Option<Vec<u8>>,
}

impl Default for GraphConfig {
    fn default() -> Self {
        Self {
            base_url: BaseUrl::default(),
            notification_hosts: vec!["*.svc.ms".to_owned()],
            user_agent: concat!("NONISV|drivetap|drivetap/", env!("CARGO_PKG_VERSION")).to_owned(),
            connect_timeout: Duration::from_secs(10),
            request_timeout: Duration::from_secs(60),
            proxy: ProxySettings::default(),
            ca_pem: None,
        }
    }
}

/// Why there is no client with this configuration.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The process has no TLS implementation: a library does not choose one.
    #[error(
        "no TLS provider: call rustls::crypto::ring::default_provider().install_default() at the start of the program, \
         before a GraphClient is made"
    )]
    NoCryptoProvider,
    /// `ca_pem` holds no certificate, or a broken one.
    #[error("ca_file: {0}")]
    Ca(String),
    /// The platform's certificates could not be loaded.
    #[error("the platform's root certificates cannot be used: {0}")]
    Roots(String),
    /// `user_agent` does not fit into a header.
    #[error("user_agent is not a header value: use visible ASCII")]
    UserAgent,
    /// `notification_hosts` has a pattern that is none.
    #[error(transparent)]
    NotificationHosts(#[from] NotificationHostsError),
    /// The HTTP client could not be made; its words.
    #[error("the HTTP client cannot be made: {0}")]
    Client(String),
}
