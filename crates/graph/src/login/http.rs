use std::pin::Pin;
use std::time::Duration;

use drivetap_core::ProxySettings;
use oauth2::http::{Response, StatusCode};
use oauth2::{
    AsyncHttpClient, ErrorResponse, ErrorResponseType, HttpRequest, HttpResponse, RequestTokenError, StandardErrorResponse,
};
use reqwest::header::RETRY_AFTER;

use super::application::LoginUrl;
use super::error::LoginError;
use crate::http::{ConfigError, Way, client, client_config, network_words, retry_after};

/// How the identity platform is reached: as Graph is.
#[derive(Clone, Debug)]
pub struct LoginNetwork {
    /// For TCP, a proxy's CONNECT and TLS. Default 10 s.
    pub connect_timeout: Duration,
    /// For a request as a whole. Default 60 s.
    pub request_timeout: Duration,
    /// Which proxy, if any. Not used for a loopback host. Default none.
    pub proxy: ProxySettings,
    /// Certificates in PEM, trusted besides the platform's. Default none.
    pub ca_pem: Option<Vec<u8>>,
}

impl Default for LoginNetwork {
    fn default() -> Self {
        Self {
            connect_timeout: Duration::from_secs(10),
            request_timeout: Duration::from_secs(60),
            proxy: ProxySettings::default(),
            ca_pem: None,
        }
    }
}

/// The HTTP client that the OAuth library asks with: no redirects, no answer without a limit.
#[derive(Debug)]
pub(super) struct Http(reqwest::Client);

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum Sent {
    #[error("{}", network_words(.0))]
    Network(reqwest::Error),
    #[error("busy")]
    Busy(Option<Duration>),
    #[error("too large")]
    TooLarge,
}

impl Http {
    /// An answer's body, at most. A token is some kilobytes.
    const LARGEST: usize = 256 * 1024;

    pub(super) fn new(host: &LoginUrl, network: &LoginNetwork) -> Result<Self, ConfigError> {
        let tls = client_config(host.is_https(), network.ca_pem.as_deref())?;
        let way = Way {
            https: host.is_https(),
            loopback: host.is_loopback(),
            connect_timeout: network.connect_timeout,
            request_timeout: network.request_timeout,
            proxy: &network.proxy,
        };
        client(&way, &tls).map(Self)
    }

    async fn send(&self, request: HttpRequest) -> Result<HttpResponse, Sent> {
        let request = reqwest::Request::try_from(request).map_err(Sent::Network)?;
        let mut answer = self.0.execute(request).await.map_err(|error| Sent::Network(error.without_url()))?;
        let status = answer.status();
        if status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS {
            let after = answer.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok());
            return Err(Sent::Busy(after.and_then(|value| retry_after(value, None))));
        }
        let mut body = Vec::new();
        while let Some(chunk) = answer.chunk().await.map_err(|error| Sent::Network(error.without_url()))? {
            if body.len() + chunk.len() > Self::LARGEST {
                return Err(Sent::TooLarge);
            }
            body.extend_from_slice(&chunk);
        }
        let mut response = Response::new(body);
        *response.status_mut() = status;
        *response.headers_mut() = std::mem::take(answer.headers_mut());
        Ok(response)
    }
}

impl<'c> AsyncHttpClient<'c> for Http {
    type Error = Sent;
    type Future = Pin<Box<dyn Future<Output = Result<HttpResponse, Sent>> + Send + 'c>>;

    /// One attempt. What is busy is an error here, so that the wait for a device code goes on over it.
    fn call(&'c self, request: HttpRequest) -> Self::Future {
        Box::pin(self.send(request))
    }
}

/// An error's body in the library's two shapes.
pub(super) trait Words {
    fn words(&self) -> (&str, Option<&str>);
}

impl<T: ErrorResponseType + AsRef<str>> Words for StandardErrorResponse<T> {
    fn words(&self) -> (&str, Option<&str>) {
        (self.error().as_ref(), self.error_description().map(String::as_str))
    }
}

impl<T: ErrorResponse + Words> From<RequestTokenError<Sent, T>> for LoginError {
    // The library keeps the body of what it cannot read, so nothing of its words is passed on.
    fn from(error: RequestTokenError<Sent, T>) -> Self {
        match error {
            RequestTokenError::ServerResponse(response) => {
                let (error, description) = response.words();
                Self::of(error, description)
            }
            RequestTokenError::Request(Sent::Network(error)) => Self::Network(network_words(&error)),
            RequestTokenError::Request(Sent::Busy(after)) => Self::Busy { after },
            RequestTokenError::Request(Sent::TooLarge) | RequestTokenError::Parse(..) | RequestTokenError::Other(_) => {
                Self::Answer
            }
        }
    }
}
