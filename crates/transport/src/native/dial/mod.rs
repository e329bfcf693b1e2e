//! The way to a server: TCP, perhaps a proxy, perhaps TLS, and the upgrade to websocket.

mod head;
mod proxy;
mod tcp;
mod tls;
mod upgrade;
mod wire;

use std::time::Duration;

use drivetap_core::NotificationUrl;
use rustls::crypto::CryptoProvider;

use self::proxy::Proxy;
use self::tls::Tls;
pub(super) use self::wire::{Lost, Wire};
use super::{NativeConfig, NativeError};
use crate::{Limits, OpenError};

/// What every attempt shares.
pub(super) struct Dialer {
    tls: Tls,
    proxy: Proxy,
    connect_timeout: Duration,
    provider: &'static CryptoProvider,
}

impl Dialer {
    pub(super) fn new(config: &NativeConfig) -> Result<Self, NativeError> {
        let provider = CryptoProvider::get_default().ok_or(NativeError::NoCryptoProvider)?;
        Ok(Self {
            tls: Tls::new(provider, config.ca_pem.as_deref())?,
            proxy: Proxy::new(&config.proxy),
            connect_timeout: config.connect_timeout,
            provider,
        })
    }

    /// A websocket to the URL's server. Dropping the future closes what was opened.
    pub(super) async fn dial(&self, url: &NotificationUrl, limits: &Limits) -> Result<Wire, OpenError> {
        let secure = url.scheme() == "https";
        let target = Target { host: url.host(), port: url.port().unwrap_or(if secure { 443 } else { 80 }) };
        let mut stream = match self.proxy.towards(target, secure) {
            Some(proxy) => proxy.tunnel(target, &self.tls, self.connect_timeout).await?,
            None => Box::new(tcp::connect(target, self.connect_timeout).await?),
        };
        if secure {
            stream = self.tls.wrap(target.name(), stream).await?;
        }
        let already = upgrade::upgrade(&mut stream, url).await?;
        Wire::new(stream, &already, limits.frame_bytes, self.provider.secure_random)
            .map_err(|_| crate::words::retry("the server does not speak websocket"))
    }
}

/// A host as URLs write it, and a port.
#[derive(Clone, Copy)]
struct Target<'a> {
    host: &'a str,
    port: u16,
}

impl<'a> Target<'a> {
    /// Without the brackets around an IPv6 address.
    fn name(self) -> &'a str {
        self.host.trim_start_matches('[').trim_end_matches(']')
    }

    fn is_loopback(self) -> bool {
        self.host == "localhost" || self.name().parse().is_ok_and(|ip: std::net::IpAddr| ip.is_loopback())
    }
}
