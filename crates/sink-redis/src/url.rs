use std::fmt;
use std::str::FromStr;

use percent_encoding::percent_decode_str;
use secrecy::SecretString;
use url::{Host, Url};

/// `redis[s]://[USER[:PASSWORD]@]HOST[:PORT][/DB][?channel=NAME]`.
///
/// Printed without the password, in `Debug` too. There is no form that turns certificate checks off.
///
/// ```
/// use drivetap_sink_redis::RedisUrl;
///
/// let url: RedisUrl = "rediss://feed:s3cret@cache.example/2?channel=drive-events".parse()?;
/// assert_eq!(url.to_string(), "rediss://feed@cache.example:6379/2");
/// assert_eq!(url.channel(), Some("drive-events"));
/// # Ok::<(), drivetap_sink_redis::RedisUrlError>(())
/// ```
///
/// The scheme and the database in the path are IANA's (<https://www.iana.org/assignments/uri-schemes/prov/redis>); `channel` is ours.
#[derive(Clone, Debug)]
pub struct RedisUrl {
    tls: bool,
    host: Host,
    port: u16,
    database: u16,
    username: Option<String>,
    password: Option<SecretString>,
    channel: Option<String>,
}

impl RedisUrl {
    /// Whether it is `rediss://`.
    #[must_use]
    pub fn tls(&self) -> bool {
        self.tls
    }

    /// The channel that the query names.
    #[must_use]
    pub fn channel(&self) -> Option<&str> {
        self.channel.as_deref()
    }

    // As `getaddrinfo` and TLS want it: an IPv6 address without its brackets.
    pub(crate) fn host(&self) -> String {
        match &self.host {
            Host::Domain(name) => name.clone(),
            Host::Ipv4(address) => address.to_string(),
            Host::Ipv6(address) => address.to_string(),
        }
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    pub(crate) fn database(&self) -> u16 {
        self.database
    }

    pub(crate) fn username(&self) -> Option<&str> {
        self.username.as_deref()
    }

    pub(crate) fn password(&self) -> Option<&SecretString> {
        self.password.as_ref()
    }
}

impl fmt::Display for RedisUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.tls { "rediss://" } else { "redis://" })?;
        if let Some(username) = &self.username {
            write!(f, "{username}@")?;
        }
        write!(f, "{}:{}", self.host, self.port)?;
        if self.database > 0 { write!(f, "/{}", self.database) } else { Ok(()) }
    }
}

impl FromStr for RedisUrl {
    type Err = RedisUrlError;

    fn from_str(written: &str) -> Result<Self, Self::Err> {
        let url = Url::parse(written).map_err(RedisUrlError::Syntax)?;
        let tls = match url.scheme() {
            "redis" => false,
            "rediss" => true,
            _ => return Err(RedisUrlError::Scheme),
        };
        if url.fragment().is_some() {
            return Err(RedisUrlError::Fragment);
        }
        Ok(Self {
            tls,
            host: host(&url)?,
            port: url.port().unwrap_or(6379),
            database: database(url.path())?,
            username: Some(decoded(url.username(), "user name")?).filter(|name| !name.is_empty()),
            password: url.password().map(|password| decoded(password, "password")).transpose()?.map(SecretString::from),
            channel: channel(&url)?,
        })
    }
}

/// Why a text is no [`RedisUrl`]. It does not repeat the text: there may be a password in it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RedisUrlError {
    /// No URL at all.
    #[error("not a URL ({0}); it looks like redis://HOST:PORT")]
    Syntax(url::ParseError),
    /// Neither `redis` nor `rediss`.
    #[error("the scheme is redis:// or, for TLS, rediss://")]
    Scheme,
    /// No host.
    #[error("the host is missing; it looks like redis://HOST:PORT")]
    Host,
    /// A path that is no number.
    #[error("the path is the number of the database, at most {}", u16::MAX)]
    Database,
    /// Not UTF-8 behind its percent signs.
    #[error("the {0} is not UTF-8")]
    NotUtf8(&'static str),
    /// A key other than `channel`, or `channel` twice or empty.
    #[error("the only key after '?' is channel, once: ?channel=NAME")]
    Query,
    /// `#insecure` and the like.
    #[error("nothing may follow a '#' (in a password write %23); certificate checks cannot be turned off")]
    Fragment,
}

// `redis` is no scheme that the URL standard knows, so its hosts arrive as text, case and all.
fn host(url: &Url) -> Result<Host, RedisUrlError> {
    match url.host() {
        Some(Host::Domain("")) | None => Err(RedisUrlError::Host),
        Some(Host::Domain(name)) => Host::parse(name).map_err(RedisUrlError::Syntax),
        Some(address) => Ok(address.to_owned()),
    }
}

fn database(path: &str) -> Result<u16, RedisUrlError> {
    match path.strip_prefix('/').unwrap_or(path) {
        "" => Ok(0),
        digits => digits.parse().map_err(|_| RedisUrlError::Database),
    }
}

fn channel(url: &Url) -> Result<Option<String>, RedisUrlError> {
    let mut channel = None;
    for (key, value) in url.query_pairs() {
        if key != "channel" || value.is_empty() || channel.is_some() {
            return Err(RedisUrlError::Query);
        }
        channel = Some(value.into_owned());
    }
    Ok(channel)
}

fn decoded(encoded: &str, part: &'static str) -> Result<String, RedisUrlError> {
    let text = percent_decode_str(encoded).decode_utf8().map_err(|_| RedisUrlError::NotUtf8(part))?;
    Ok(text.into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_says_where_and_prints_no_password() {
        for (written, printed) in [
            ("redis://127.0.0.1", "redis://127.0.0.1:6379"),
            ("redis://127.0.0.1:6380/0", "redis://127.0.0.1:6380"),
            ("rediss://Cache.Example:1/15", "rediss://cache.example:1/15"),
            ("redis://[::1]:7000", "redis://[::1]:7000"),
            ("redis://:s3cret@h", "redis://h:6379"),
            ("redis://feed:s3cret@h?channel=a%3Ab", "redis://feed@h:6379"),
        ] {
            let url: RedisUrl = written.parse().unwrap();
            assert_eq!(url.to_string(), printed, "{written}");
            assert!(!format!("{url:?}").contains("s3cret"), "{written}");
        }
        assert_eq!("redis://h?channel=a%3Ab".parse::<RedisUrl>().unwrap().channel(), Some("a:b"));
        assert_eq!("redis://[::1]".parse::<RedisUrl>().unwrap().host(), "::1");
    }

    #[test]
    fn what_is_no_redis_url_is_refused_by_name_and_without_the_password() {
        for (written, error) in [
            ("127.0.0.1:6379", RedisUrlError::Syntax(url::ParseError::RelativeUrlWithoutBase)),
            ("redis://h:99999", RedisUrlError::Syntax(url::ParseError::InvalidPort)),
            ("http://s3cret@h", RedisUrlError::Scheme),
            ("redis:", RedisUrlError::Host),
            ("redis:///2", RedisUrlError::Host),
            ("redis://h/two", RedisUrlError::Database),
            ("redis://h/1/2", RedisUrlError::Database),
            ("redis://u:%FFs3cret@h", RedisUrlError::NotUtf8("password")),
            ("redis://h?chanel=a", RedisUrlError::Query),
            ("redis://h?channel=", RedisUrlError::Query),
            ("redis://h?channel=a&channel=b", RedisUrlError::Query),
            ("rediss://u:s3cret@h#insecure", RedisUrlError::Fragment),
        ] {
            let refused = written.parse::<RedisUrl>().unwrap_err();
            assert_eq!(refused, error, "{written}");
            assert!(!format!("{refused} {refused:?}").contains("s3cret"), "{written}");
        }
    }
}
