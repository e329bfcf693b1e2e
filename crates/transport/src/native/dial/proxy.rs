use std::time::Duration;

use drivetap_core::ProxySettings;
use http::Uri;
use hyper_util::client::proxy::matcher::{Intercept, Matcher};
use tokio::io::{AsyncWriteExt, BufWriter};

use super::wire::Stream;
use super::{Target, head, tcp, tls::Tls};
use crate::OpenError;
use crate::words::retry;

/// Which way leads through a proxy. The same rules as for Graph, for reqwest reads them with this matcher too.
pub(super) struct Proxy(Matcher);

/// The proxy of one way.
pub(super) struct Through(Intercept);

impl Proxy {
    pub(super) fn new(settings: &ProxySettings) -> Self {
        let (url, no_proxy) = (settings.expose_url().unwrap_or_default(), settings.no_proxy().unwrap_or_default());
        Self(Matcher::builder().https(url.to_owned()).no(no_proxy.to_owned()).build())
    }

    /// `None`: straight on, as to everything on loopback and everything without TLS, which is on loopback too.
    pub(super) fn towards(&self, target: Target<'_>, secure: bool) -> Option<Through> {
        if !secure || target.is_loopback() {
            return None;
        }
        let uri: Uri = format!("https://{}:{}/", target.host, target.port).parse().ok()?;
        self.0.intercept(&uri).map(Through)
    }
}

impl Through {
    /// A connection to `target` that the proxy cannot read once TLS is spoken in it.
    pub(super) async fn tunnel(&self, target: Target<'_>, tls: &Tls, limit: Duration) -> Result<Box<dyn Stream>, OpenError> {
        let uri = self.0.uri();
        let secure = uri.scheme_str() == Some("https");
        let host = uri.host().unwrap_or_default();
        let at = Target { host, port: uri.port_u16().unwrap_or(if secure { 443 } else { 80 }) };
        let through = |error| match error {
            OpenError::Retry { reason } => OpenError::Retry { reason: format!("the proxy: {reason}") },
            other => other,
        };
        let mut stream: Box<dyn Stream> = Box::new(tcp::connect(at, limit).await.map_err(through)?);
        if secure {
            stream = tls.wrap(at.name(), stream).await.map_err(through)?;
        }
        let authority = format!("{}:{}", target.host, target.port);
        let mut request = format!("CONNECT {authority} HTTP/1.1\r\nHost: {authority}\r\n").into_bytes();
        if let Some(secret) = self.0.basic_auth() {
            request.extend([b"Proxy-Authorization: ", secret.as_bytes(), b"\r\n"].concat());
        }
        request.extend(b"\r\n");
        let lost = |_| retry("the proxy: connection lost");
        let mut writer = BufWriter::new(&mut stream);
        writer.write_all(&request).await.map_err(lost)?;
        writer.flush().await.map_err(lost)?;
        let (answer, already) = head::read(&mut stream).await.map_err(|reason| through(retry(reason)))?;
        match answer.status {
            // A server waits for the client to begin with TLS.
            200..300 if already.is_empty() => Ok(stream),
            200..300 => Err(retry("the proxy: it speaks inside the tunnel")),
            status => Err(retry(&format!("the proxy: HTTP status {status}"))),
        }
    }
}
