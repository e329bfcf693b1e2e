use std::fmt;

use secrecy::{ExposeSecret, SecretString};
use url::Url;

/// Which proxy Graph and its socket are reached through: HTTP CONNECT, so that the proxy never sees a token.
///
/// Prints no user name and no password.
#[derive(Clone, Debug, Default)]
pub struct ProxySettings {
    url: Option<ProxyUrl>,
    no_proxy: Option<String>,
}

#[derive(Clone)]
struct ProxyUrl {
    whole: SecretString,
    host: String,
}

impl ProxySettings {
    /// `configured` (`[network] proxy`), or else the environment's `https_proxy` or `HTTPS_PROXY`; hosts in `no_proxy` or `NO_PROXY` are
    /// reached directly in both cases, as with curl. An empty value is none.
    ///
    /// `env` answers a variable's value by its name; nothing here reads the process's own environment.
    ///
    /// # Errors
    /// When the proxy is not an `http` or `https` URL; `host:port` alone is `http`.
    pub fn new(configured: Option<&str>, env: impl Fn(&str) -> Option<String>) -> Result<Self, ProxyUrlError> {
        let env = |names: [&str; 2]| names.into_iter().find_map(|name| env(name).filter(|value| !value.trim().is_empty()));
        let url = match configured {
            Some(url) => Some(url.to_owned()),
            None => env(["https_proxy", "HTTPS_PROXY"]),
        };
        Ok(Self { url: url.as_deref().map(ProxyUrl::parse).transpose()?, no_proxy: env(["no_proxy", "NO_PROXY"]) })
    }

    /// Whether there is a proxy at all.
    #[must_use]
    pub fn is_set(&self) -> bool {
        self.url.is_some()
    }

    /// The proxy's URL, with its user name and password. A secret: for the HTTP client alone.
    #[must_use]
    pub fn expose_url(&self) -> Option<&str> {
        self.url.as_ref().map(|url| url.whole.expose_secret())
    }

    /// What is reached directly: names, which stand for everything below them too, addresses and networks, with commas between.
    #[must_use]
    pub fn no_proxy(&self) -> Option<&str> {
        self.no_proxy.as_deref()
    }
}

impl ProxyUrl {
    fn parse(written: &str) -> Result<Self, ProxyUrlError> {
        use ProxyUrlError as E;

        let written = written.trim();
        let whole = if written.contains("://") { written.to_owned() } else { format!("http://{written}") };
        let url = Url::parse(&whole).map_err(|_| E::NotAUrl)?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(E::Scheme(url.scheme().to_owned()));
        }
        let host = url.host_str().filter(|host| !host.is_empty()).ok_or(E::NotAUrl)?.to_owned();
        Ok(Self { whole: whole.into(), host })
    }
}

impl fmt::Debug for ProxyUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ProxyUrl({}, …)", self.host)
    }
}

/// Why a text is no proxy. Does not print it: it could hold a password.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum ProxyUrlError {
    /// No host, or no URL at all.
    #[error("the proxy is not a URL like http://proxy.example.com:3128")]
    NotAUrl,
    /// `socks5` and others.
    #[error("the proxy has the scheme {0:?}: only http and https proxies are spoken to")]
    Scheme(String),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_configured_proxy_wins_over_the_environment_and_none_is_printed_whole() {
        let check =
            |configured: Option<&str>, env: &[(&str, &str)], want: Result<(Option<&str>, Option<&str>), ProxyUrlError>| {
                let read = |name: &str| env.iter().find(|(n, _)| *n == name).map(|(_, value)| (*value).to_owned());
                let got = ProxySettings::new(configured, read);
                let got = got.as_ref().map(|s| (s.expose_url(), s.no_proxy()));
                assert_eq!(got, want.as_ref().copied(), "{configured:?} {env:?}");
            };
        check(None, &[], Ok((None, None)));
        check(None, &[("HTTPS_PROXY", "http://a:1")], Ok((Some("http://a:1"), None)));
        check(None, &[("HTTPS_PROXY", "http://a:1"), ("https_proxy", "http://b:1")], Ok((Some("http://b:1"), None)));
        check(None, &[("HTTPS_PROXY", "a:1"), ("NO_PROXY", "x.example")], Ok((Some("http://a:1"), Some("x.example"))));
        check(None, &[("HTTPS_PROXY", " "), ("HTTP_PROXY", "http://a:1")], Ok((None, None)));
        check(Some("https://c:1"), &[("HTTPS_PROXY", "http://a:1")], Ok((Some("https://c:1"), None)));
        check(Some("socks5://c:1"), &[], Err(ProxyUrlError::Scheme("socks5".to_owned())));
        check(Some(""), &[], Err(ProxyUrlError::NotAUrl));
        check(Some("http://"), &[], Err(ProxyUrlError::NotAUrl));

        let secret = ProxySettings::new(Some("http://alice:hunter2@proxy:1"), |_| None).expect("a proxy");
        let printed = format!("{secret:?}");
        assert!(!printed.contains("hunter2") && !printed.contains("alice"), "{printed}");
    }
}
