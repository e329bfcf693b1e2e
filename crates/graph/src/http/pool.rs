use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use drivetap_core::ProxySettings;

use super::config::{ConfigError, GraphConfig};
use super::{proxy, tls};

/// The HTTP client, and the way to leave its connections behind.
///
/// After a 503 Graph wants the retry on a new connection (<https://learn.microsoft.com/en-us/graph/best-practices-concept>), and after a
/// timeout the connection may be dead without anyone having said so. HTTP/2 has no `Connection: close`, and reqwest no way to drop its
/// pool, so the client itself is replaced: requests under way finish on the old one, whose connections close with the last of them.
pub(super) struct Pool {
    config: GraphConfig,
    // Cloned into each client: they share the cache of TLS sessions, so a new connection resumes.
    tls: rustls::ClientConfig,
    current: Mutex<Lease>,
}

/// A client to send one request with.
#[derive(Clone)]
pub(super) struct Lease {
    pub(super) client: reqwest::Client,
    generation: u64,
}

impl Pool {
    pub(super) fn new(config: GraphConfig) -> Result<Self, ConfigError> {
        let tls = tls::client_config(config.base_url.is_https(), config.ca_pem.as_deref())?;
        let client = client(&Way::of(&config), &tls)?;
        Ok(Self { config, tls, current: Mutex::new(Lease { client, generation: 0 }) })
    }

    pub(super) fn lease(&self) -> Lease {
        self.current().clone()
    }

    /// Connections as old as this lease's are not used any more. Any number of requests that met the same bad connection replace it once.
    pub(super) fn renew(&self, spent: &Lease) {
        let mut current = self.current();
        if current.generation != spent.generation {
            return;
        }
        match client(&Way::of(&self.config), &self.tls) {
            Ok(client) => *current = Lease { client, generation: spent.generation.wrapping_add(1) },
            Err(error) => tracing::warn!(reason = %error, "the old connections to Graph stay in use"),
        }
    }

    fn current(&self) -> MutexGuard<'_, Lease> {
        self.current.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How a host is reached: Graph's, or the identity platform's.
pub(crate) struct Way<'a> {
    pub(crate) https: bool,
    pub(crate) loopback: bool,
    pub(crate) connect_timeout: Duration,
    pub(crate) request_timeout: Duration,
    pub(crate) proxy: &'a ProxySettings,
}

impl<'a> Way<'a> {
    fn of(config: &'a GraphConfig) -> Self {
        Self {
            https: config.base_url.is_https(),
            loopback: config.base_url.is_loopback(),
            connect_timeout: config.connect_timeout,
            request_timeout: config.request_timeout,
            proxy: &config.proxy,
        }
    }
}

/// A client that follows nothing, retries nothing and reads nothing from the environment.
pub(crate) fn client(way: &Way<'_>, tls: &rustls::ClientConfig) -> Result<reqwest::Client, ConfigError> {
    let error = |e: reqwest::Error| ConfigError::Client(e.without_url().to_string());
    let builder = reqwest::Client::builder()
        .tls_backend_preconfigured(tls.clone())
        .redirect(reqwest::redirect::Policy::none())
        .referer(false)
        // For `GraphClient::look`, whose caller may want to know how long the certificate is good.
        .tls_info(true)
        .retry(reqwest::retry::never())
        .connect_timeout(way.connect_timeout)
        .timeout(way.request_timeout)
        .pool_max_idle_per_host(16)
        .https_only(way.https)
        // Without this, reqwest reads the environment's proxies by itself.
        .no_proxy();
    let proxy = match way.loopback {
        true => None,
        false => proxy::of(way.proxy).map_err(error)?,
    };
    let builder = match proxy {
        Some(proxy) => builder.proxy(proxy),
        None => builder,
    };
    builder.build().map_err(error)
}
