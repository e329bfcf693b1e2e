use std::fmt;
use std::str::FromStr;

use drivetap_core::Link;
use url::{Host, Url};

/// Where Graph is: an origin and a version prefix, `https://graph.microsoft.com/v1.0`. Tokens go there and nowhere else.
///
/// `https`, or `http` on a loopback address (an emulator). No userinfo, query or fragment; the prefix has at least one segment; one
/// trailing slash is dropped.
///
/// ```
/// use drivetap_graph::{BaseUrl, Cloud};
///
/// let base: BaseUrl = "http://127.0.0.1:4010/v1.0/".parse()?;
/// assert_eq!(base.to_string(), "http://127.0.0.1:4010/v1.0");
/// assert!(base.is_loopback());
/// assert_eq!(BaseUrl::from(Cloud::Global).to_string(), "https://graph.microsoft.com/v1.0");
/// # Ok::<(), drivetap_graph::BaseUrlError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct BaseUrl {
    origin: String,
    prefix: String,
    loopback: bool,
}

impl BaseUrl {
    /// Scheme, host and port, without a slash at the end.
    #[must_use]
    pub fn origin(&self) -> &str {
        &self.origin
    }

    /// The version prefix: `/v1.0`.
    #[must_use]
    pub fn prefix(&self) -> &str {
        &self.prefix
    }

    /// Whether the host is `localhost` or a loopback address. Only then may a `notificationUrl` be a loopback form, and no proxy is used.
    #[must_use]
    pub fn is_loopback(&self) -> bool {
        self.loopback
    }

    /// Whether TLS is spoken.
    #[must_use]
    pub fn is_https(&self) -> bool {
        self.origin.starts_with("https:")
    }

    /// Reads a `nextLink`, `deltaLink` or `Location` that Graph sent: an absolute URL, or a path and query on the same origin.
    ///
    /// What is kept is Graph's own text, byte for byte.
    ///
    /// # Errors
    /// When it leads to another origin, leaves the version prefix, has userinfo or is no URL. The link is not in the error.
    pub fn link(&self, written: &str) -> Result<Link, ForeignLink> {
        let path_and_query = if written.starts_with('/') {
            written
        } else {
            let (scheme, rest) = written.split_once("://").ok_or(ForeignLink::NotAUrl)?;
            let (authority, path_and_query) = rest.split_at(rest.find(['/', '?', '#', '\\']).unwrap_or(rest.len()));
            if authority.contains('@') {
                return Err(ForeignLink::Userinfo);
            }
            let url = Url::parse(&format!("{scheme}://{authority}/")).map_err(|_| ForeignLink::NotAUrl)?;
            if url.origin().ascii_serialization() != self.origin {
                return Err(ForeignLink::Origin);
            }
            path_and_query
        };
        let link = Link::new(path_and_query).map_err(|_| ForeignLink::NotAUrl)?;
        if self.covers(&link) { Ok(link) } else { Err(ForeignLink::Prefix) }
    }

    /// Whether a link is under the version prefix: checked again when a stored one is used.
    #[must_use]
    pub fn covers(&self, link: &Link) -> bool {
        link.as_str().strip_prefix(self.prefix.as_str()).is_some_and(|rest| rest.starts_with('/'))
    }

    /// The URL of a link that [`covers`](Self::covers) let through.
    #[cfg(feature = "reqwest")]
    pub(crate) fn at(&self, link: &Link) -> Option<String> {
        self.covers(link).then(|| format!("{}{link}", self.origin))
    }
}

impl fmt::Display for BaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.origin, self.prefix)
    }
}

impl FromStr for BaseUrl {
    type Err = BaseUrlError;

    fn from_str(written: &str) -> Result<Self, Self::Err> {
        use BaseUrlError as E;

        let (url, loopback) = absolute(written).ok_or(E::NotAUrl)?;
        if !url.username().is_empty() || url.password().is_some() || written.split('/').nth(2).is_some_and(|a| a.contains('@')) {
            return Err(E::Userinfo);
        }
        if url.query().is_some() || url.fragment().is_some() {
            return Err(E::Query);
        }
        match url.scheme() {
            "https" => {}
            "http" if loopback => {}
            "http" => return Err(E::Insecure(url.host_str().unwrap_or_default().to_owned())),
            other => return Err(E::Scheme(other.to_owned())),
        }
        let path = written.splitn(4, '/').nth(3).unwrap_or_default();
        let prefix = path.strip_suffix('/').unwrap_or(path);
        if prefix.is_empty() {
            return Err(E::NoVersion);
        }
        let legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_' | '~');
        let segment = |s: &str| !s.is_empty() && s != "." && s != ".." && s.chars().all(legal);
        if !prefix.split('/').all(segment) {
            return Err(E::Prefix);
        }
        Ok(Self { origin: url.origin().ascii_serialization(), prefix: format!("/{prefix}"), loopback })
    }
}

/// An absolute URL with a host, read as it is written; and whether that is `localhost` or a loopback address.
pub(crate) fn absolute(written: &str) -> Option<(Url, bool)> {
    // `Url` would quietly drop tabs and newlines and turn `\` into `/`.
    if !written.bytes().all(|b| (0x21..0x7f).contains(&b) && b != b'\\') {
        return None;
    }
    let url = Url::parse(written).ok()?;
    let loopback = match url.host()? {
        Host::Domain(name) => name == "localhost",
        Host::Ipv4(ip) => ip.is_loopback(),
        Host::Ipv6(ip) => ip.is_loopback(),
    };
    Some((url, loopback))
}

impl Default for BaseUrl {
    fn default() -> Self {
        Cloud::Global.into()
    }
}

impl From<Cloud> for BaseUrl {
    fn from(cloud: Cloud) -> Self {
        let origin = match cloud {
            Cloud::Global => "https://graph.microsoft.com",
            Cloud::UsGovL4 => "https://graph.microsoft.us",
            Cloud::UsGovL5 => "https://dod-graph.microsoft.us",
            Cloud::China => "https://microsoftgraph.chinacloudapi.cn",
        };
        Self { origin: origin.to_owned(), prefix: "/v1.0".to_owned(), loopback: false }
    }
}

/// One of Graph's deployments, as `[graph] cloud` spells it.
///
/// Source: <https://learn.microsoft.com/en-us/graph/deployments>
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Cloud {
    /// `global`: everyone else, GCC included. The only one with personal accounts.
    #[default]
    Global,
    /// `us-gov-l4`: GCC High.
    UsGovL4,
    /// `us-gov-l5`: DoD.
    UsGovL5,
    /// `china`: operated by 21Vianet.
    China,
}

impl Cloud {
    /// Each of them.
    pub const ALL: [Self; 4] = [Self::Global, Self::UsGovL4, Self::UsGovL5, Self::China];

    /// The name in the configuration.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Global => "global",
            Self::UsGovL4 => "us-gov-l4",
            Self::UsGovL5 => "us-gov-l5",
            Self::China => "china",
        }
    }
}

impl fmt::Display for Cloud {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Cloud {
    type Err = UnknownCloud;

    fn from_str(written: &str) -> Result<Self, Self::Err> {
        Self::ALL.into_iter().find(|cloud| cloud.name() == written).ok_or_else(|| UnknownCloud(written.to_owned()))
    }
}

/// A name that is no [`Cloud`]'s.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("cloud {0:?} is none of: global, us-gov-l4, us-gov-l5, china")]
pub struct UnknownCloud(String);

/// Why a text is no [`BaseUrl`].
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum BaseUrlError {
    /// Not absolute, no host, or characters that no URL has.
    #[error("base_url is not an absolute URL like https://graph.microsoft.com/v1.0")]
    NotAUrl,
    /// `http` to a host that is not loopback.
    #[error("base_url is http on {0}: a token goes over https, or over http to a loopback address only")]
    Insecure(String),
    /// Neither `https` nor `http`.
    #[error("base_url has the scheme {0:?}: only https is spoken")]
    Scheme(String),
    /// `user:password@`.
    #[error("base_url contains userinfo before its host")]
    Userinfo,
    /// `?…` or `#…`.
    #[error("base_url contains a query or a fragment")]
    Query,
    /// Nothing after the host.
    #[error("base_url has no version prefix: write it as https://graph.microsoft.com/v1.0")]
    NoVersion,
    /// An empty or dot segment, or a character that a version prefix does not have.
    #[error("base_url's path is not a version prefix: use letters, digits and '-', '.', '_', '~' between single slashes")]
    Prefix,
}

/// Why a link is not followed. Does not print it.
#[derive(Clone, Copy, Debug, thiserror::Error, PartialEq, Eq)]
pub enum ForeignLink {
    /// No URL, too long, or with characters that no URL has.
    #[error("is not a URL")]
    NotAUrl,
    /// `user:password@`.
    #[error("contains userinfo")]
    Userinfo,
    /// Another scheme, host or port.
    #[error("leads to another origin than base_url's")]
    Origin,
    /// Not below the version prefix.
    #[error("is not under base_url's version prefix")]
    Prefix,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_base_url_is_https_or_loopback_with_a_version_prefix() {
        let check = |written: &str, want: Result<&str, BaseUrlError>| {
            assert_eq!(written.parse::<BaseUrl>().map(|base| base.to_string()), want.map(str::to_owned), "{written}");
        };
        check("https://graph.microsoft.com/v1.0", Ok("https://graph.microsoft.com/v1.0"));
        check("https://GRAPH.microsoft.com:443/v1.0/", Ok("https://graph.microsoft.com/v1.0"));
        check("https://localhost:8443/graph/beta", Ok("https://localhost:8443/graph/beta"));
        check("http://127.0.0.1:4010/v1.0", Ok("http://127.0.0.1:4010/v1.0"));
        check("http://[::1]:4010/v1.0", Ok("http://[::1]:4010/v1.0"));
        check("http://localhost/v1.0", Ok("http://localhost/v1.0"));
        check("http://graph.microsoft.com/v1.0", Err(BaseUrlError::Insecure("graph.microsoft.com".to_owned())));
        check("http://localhost.evil.example/v1.0", Err(BaseUrlError::Insecure("localhost.evil.example".to_owned())));
        check("ftp://graph.microsoft.com/v1.0", Err(BaseUrlError::Scheme("ftp".to_owned())));
        check("https://me:secret@graph.microsoft.com/v1.0", Err(BaseUrlError::Userinfo));
        check("https://@graph.microsoft.com/v1.0", Err(BaseUrlError::Userinfo));
        check("https://graph.microsoft.com/v1.0?x=1", Err(BaseUrlError::Query));
        check("https://graph.microsoft.com/v1.0#x", Err(BaseUrlError::Query));
        check("https://graph.microsoft.com", Err(BaseUrlError::NoVersion));
        check("https://graph.microsoft.com/", Err(BaseUrlError::NoVersion));
        check("https://graph.microsoft.com//v1.0", Err(BaseUrlError::Prefix));
        check("https://graph.microsoft.com/v1.0//", Err(BaseUrlError::Prefix));
        check("https://graph.microsoft.com/a/../v1.0", Err(BaseUrlError::Prefix));
        check("https://graph.microsoft.com/v%31.0", Err(BaseUrlError::Prefix));
        check("https://graph.microsoft.com\\v1.0", Err(BaseUrlError::NotAUrl));
        check("https://graph.micro\tsoft.com/v1.0", Err(BaseUrlError::NotAUrl));
        check("graph.microsoft.com/v1.0", Err(BaseUrlError::NotAUrl));
        check("", Err(BaseUrlError::NotAUrl));
    }

    #[test]
    fn a_link_is_followed_on_the_configured_origin_and_prefix_only() {
        let base = BaseUrl::default();
        let check = |written: &str, want: Result<&str, ForeignLink>| {
            assert_eq!(base.link(written).map(String::from), want.map(str::to_owned), "{written}");
        };
        let opaque = "/v1.0/drives/b!x/root/delta(token='aYJ%2f%41,==')?x=%7E&y='";
        check(&format!("https://graph.microsoft.com{opaque}"), Ok(opaque));
        check(&format!("HTTPS://Graph.Microsoft.com:443{opaque}"), Ok(opaque));
        check(opaque, Ok(opaque));
        check("https://graph.microsoft.com.evil.example/v1.0/me", Err(ForeignLink::Origin));
        check("https://evil.example/v1.0/me", Err(ForeignLink::Origin));
        check("https://evil.example?/v1.0/me", Err(ForeignLink::Origin));
        check("https://graph.microsoft.com:8443/v1.0/me", Err(ForeignLink::Origin));
        check("http://graph.microsoft.com/v1.0/me", Err(ForeignLink::Origin));
        check("https://graph.microsoft.com@evil.example/v1.0/me", Err(ForeignLink::Userinfo));
        check("https://evil.example\\@graph.microsoft.com/v1.0/me", Err(ForeignLink::Origin));
        check("https://@graph.microsoft.com/v1.0/me", Err(ForeignLink::Userinfo));
        check("https://graph.microsoft.com/beta/me", Err(ForeignLink::Prefix));
        check("https://graph.microsoft.com/v1.0", Err(ForeignLink::Prefix));
        check("https://graph.microsoft.com/v1.01/me", Err(ForeignLink::Prefix));
        check("/beta/me", Err(ForeignLink::Prefix));
        check("https://graph.microsoft.com/v1.0/../beta/me", Err(ForeignLink::NotAUrl));
        check("https://graph.microsoft.com/v1.0/%2e%2E/beta/me", Err(ForeignLink::NotAUrl));
        check("https://graph.microsoft.com/v1.0/me#x", Err(ForeignLink::NotAUrl));
        check("https://graph.microsoft.com/v1.0\\me", Err(ForeignLink::NotAUrl));
        check("https://graph.microsoft.com/v1.0/me x", Err(ForeignLink::NotAUrl));
        check("//evil.example/v1.0/me", Err(ForeignLink::NotAUrl));
        check("https:graph.microsoft.com/v1.0/me", Err(ForeignLink::NotAUrl));
        check("", Err(ForeignLink::NotAUrl));
    }

    #[test]
    fn every_cloud_has_a_name_and_a_base_url() {
        for cloud in Cloud::ALL {
            assert_eq!(cloud.name().parse(), Ok(cloud));
            let base = BaseUrl::from(cloud);
            assert_eq!(base.to_string().parse(), Ok(base));
        }
        assert_eq!("germany".parse::<Cloud>(), Err(UnknownCloud("germany".to_owned())));
    }
}
