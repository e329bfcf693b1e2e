use std::fmt;

use secrecy::{ExposeSecret, SecretString};
use url::{Host, Url};

/// The address that Graph answered, to be opened with socket.io. A credential: whoever has it, reads the drive's signals.
///
/// Prints its host and `…`; the rest comes out through [`expose`](Self::expose) only. Its path is the socket.io namespace, its
/// query goes into the handshake byte for byte (the engine's own path is always `/socket.io/`).
///
/// ```
/// use drivetap_core::{NotificationHosts, NotificationUrl};
///
/// let hosts = NotificationHosts::default();
/// let url = NotificationUrl::parse("https://southcentralus1-7.pushnp.svc.ms/notifications?token=secret", &hosts)?;
/// assert_eq!(url.expose_namespace(), "/notifications");
/// assert_eq!(url.expose_query(), "token=secret");
/// assert_eq!(format!("{url} {url:?}"), "https://southcentralus1-7.pushnp.svc.ms/… https://southcentralus1-7.pushnp.svc.ms/…");
/// # Ok::<(), drivetap_core::NotificationUrlError>(())
/// ```
#[derive(Clone)]
pub struct NotificationUrl {
    whole: SecretString,
    scheme: &'static str,
    host: String,
    port: Option<u16>,
    namespace: SecretString,
    query: SecretString,
}

impl NotificationUrl {
    /// The longest URL taken, in bytes.
    pub const MAX: usize = 8 * 1024;
    // RFC 1035, 2.3.4.
    const MAX_HOST: usize = 255;

    /// Checks what Graph sent against what may be dialled.
    ///
    /// # Errors
    /// When it is not `https` to one of `hosts` with a path, or has userinfo, a fragment or an IP address for a host. Loopback forms
    /// (`http`, an address) pass only where `hosts` says so. No error prints the URL.
    pub fn parse(written: &str, hosts: &NotificationHosts) -> Result<Self, NotificationUrlError> {
        use NotificationUrlError as E;

        if written.len() > Self::MAX {
            return Err(E::TooLong);
        }
        // `Url` would quietly drop tabs and newlines, and encode the rest: then the query would not be Graph's any more.
        if !written.bytes().all(|b| (0x21..0x7f).contains(&b) && b != b'\\') {
            return Err(E::Characters);
        }
        let url = Url::parse(written).map_err(|_| E::NotAUrl)?;
        let text = Written::split(written).ok_or(E::NotAUrl)?;
        if text.authority.contains('@') || !url.username().is_empty() || url.password().is_some() {
            return Err(E::Userinfo);
        }
        if url.fragment().is_some() {
            return Err(E::Fragment);
        }
        let host = url.host().filter(|host| host.to_string().len() <= Self::MAX_HOST).ok_or(E::NotAUrl)?;
        let loopback = match &host {
            Host::Domain(name) => *name == "localhost",
            Host::Ipv4(ip) => ip.is_loopback(),
            Host::Ipv6(ip) => ip.is_loopback(),
        };
        let scheme = match url.scheme() {
            "https" => "https",
            "http" if loopback && hosts.loopback => "http",
            other => return Err(E::Scheme(other.chars().take(20).collect())),
        };
        match &host {
            _ if loopback && hosts.loopback => {}
            Host::Ipv4(_) | Host::Ipv6(_) => return Err(E::Address(host.to_string())),
            Host::Domain(name) if hosts.allow(name) => {}
            Host::Domain(name) => return Err(E::Host((*name).to_owned())),
        }
        let host = host.to_string();
        if text.path.len() < 2 {
            return Err(E::NoNamespace(host));
        }
        // The text is what is dialled and joined, `url` is what was checked. And socket.io ends a namespace at a comma.
        if !text.names(&host) || text.path != url.path() || text.path.contains(',') {
            return Err(E::Ambiguous(host));
        }
        Ok(Self {
            scheme,
            host,
            port: url.port(),
            namespace: text.path.to_owned().into(),
            query: text.query.to_owned().into(),
            whole: written.to_owned().into(),
        })
    }

    /// The URL as Graph sent it. A secret: for the transport alone.
    #[must_use]
    pub fn expose(&self) -> &str {
        self.whole.expose_secret()
    }

    /// The query as Graph sent it, without `?`; empty when there was none. A secret.
    #[must_use]
    pub fn expose_query(&self) -> &str {
        self.query.expose_secret()
    }

    /// The socket.io namespace: the URL's path, `/notifications`. Not printed, because the service decides what is in it.
    #[must_use]
    pub fn expose_namespace(&self) -> &str {
        self.namespace.expose_secret()
    }

    /// `https`, or `http` on loopback.
    #[must_use]
    pub fn scheme(&self) -> &'static str {
        self.scheme
    }

    /// The host; an IPv6 address is in brackets.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The port, where it is not the scheme's own.
    #[must_use]
    pub fn port(&self) -> Option<u16> {
        self.port
    }
}

impl PartialEq for NotificationUrl {
    fn eq(&self, other: &Self) -> bool {
        self.expose() == other.expose()
    }
}

impl Eq for NotificationUrl {}

impl fmt::Debug for NotificationUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for NotificationUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}/…", self.scheme, self.host)
    }
}

/// A URL's text in its parts, none of them decoded or tidied.
struct Written<'a> {
    authority: &'a str,
    path: &'a str,
    query: &'a str,
}

impl<'a> Written<'a> {
    fn split(url: &'a str) -> Option<Self> {
        let (scheme, rest) = url.split_once("://")?;
        let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
        let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        scheme.bytes().all(|b| b.is_ascii_alphanumeric()).then_some(Self { authority, path, query })
    }

    fn names(&self, host: &str) -> bool {
        let Some((name, port)) = self.authority.split_at_checked(host.len()) else {
            return false;
        };
        let digits = |port: &str| !port.is_empty() && port.bytes().all(|b| b.is_ascii_digit());
        name.eq_ignore_ascii_case(host) && (port.is_empty() || port.strip_prefix(':').is_some_and(digits))
    }
}

/// Which hosts a [`NotificationUrl`] may name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotificationHosts {
    patterns: Vec<String>,
    loopback: bool,
}

impl NotificationHosts {
    /// Names (`push.example.com`) and wildcards (`*.svc.ms`: any name below, not the name itself). `loopback` lets an emulator on
    /// this machine answer; it belongs with a loopback base URL only.
    ///
    /// # Errors
    /// When a pattern is none of the two, or there is none.
    pub fn new<S: AsRef<str>>(patterns: &[S], loopback: bool) -> Result<Self, NotificationHostsError> {
        let check = |pattern: &S| {
            let pattern = pattern.as_ref().to_ascii_lowercase();
            let name = pattern.strip_prefix("*.").unwrap_or(&pattern);
            let label = |l: &str| !l.is_empty() && l.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_');
            let legal = name.split('.').count() >= 2 && name.split('.').all(label);
            if legal { Ok(pattern) } else { Err(NotificationHostsError(pattern)) }
        };
        if patterns.is_empty() {
            return Err(NotificationHostsError(String::new()));
        }
        Ok(Self { patterns: patterns.iter().map(check).collect::<Result<_, _>>()?, loopback })
    }

    fn allow(&self, host: &str) -> bool {
        let host = host.to_ascii_lowercase();
        let host = host.strip_suffix('.').unwrap_or(&host);
        self.patterns.iter().any(|pattern| match pattern.strip_prefix('*') {
            Some(suffix) => host.len() > suffix.len() && host.ends_with(suffix),
            None => host == pattern,
        })
    }
}

impl Default for NotificationHosts {
    /// `*.svc.ms`, the only suffix seen in the wild (abraunegg/onedrive#3583).
    fn default() -> Self {
        Self { patterns: vec!["*.svc.ms".to_owned()], loopback: false }
    }
}

/// A pattern that is neither a host name nor `*.` and a host name.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("notification host {0:?}: write a host name of at least two labels, or `*.` in front of one")]
pub struct NotificationHostsError(String);

/// Why a URL is not dialled. Names the host at most.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum NotificationUrlError {
    /// Not absolute, or no host.
    #[error("notificationUrl is not an absolute URL with a host")]
    NotAUrl,
    /// Above [`NotificationUrl::MAX`].
    #[error("notificationUrl is longer than 8 KiB")]
    TooLong,
    /// White space, control characters, backslashes or non-ASCII.
    #[error("notificationUrl contains characters that no URL has")]
    Characters,
    /// Neither `https` nor, on loopback, `http`.
    #[error("notificationUrl has the scheme {0:?}: only https is dialled")]
    Scheme(String),
    /// `user:password@`.
    #[error("notificationUrl contains userinfo before its host")]
    Userinfo,
    /// `#…`.
    #[error("notificationUrl contains a fragment")]
    Fragment,
    /// An IP address for a host.
    #[error("notificationUrl names the address {0} instead of a host")]
    Address(String),
    /// A host outside the list.
    #[error("notificationUrl names the host {0:?}, which is not in notification_hosts")]
    Host(String),
    /// No path, so no namespace to join.
    #[error("notificationUrl on {0} has no path: the path is the socket.io namespace")]
    NoNamespace(String),
    /// A host or path that parsers spell differently (`%61.svc.ms`, `/a/../b`), or a comma in the path.
    #[error("notificationUrl on {0} has a host or a path that two programs could read differently")]
    Ambiguous(String),
}
