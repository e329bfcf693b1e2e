use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::base_url::{BaseUrl, Cloud, absolute};

/// What signs in, and where.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Application {
    /// The identity platform's host.
    pub login_url: LoginUrl,
    /// Whose accounts: `common` by default.
    pub tenant: Tenant,
    /// The application's id, as it was registered. There is no built-in one.
    pub client_id: ClientId,
    /// What is asked for. Without `offline_access` there is no refresh token, and the login ends with its first token.
    pub scopes: Vec<Scope>,
}

/// The identity platform's host: scheme, host and port, and no path. `https`, or `http` on a loopback address (an emulator).
///
/// Refresh tokens go there and nowhere else.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct LoginUrl {
    origin: String,
    loopback: bool,
}

impl LoginUrl {
    /// The host that belongs to Graph's: a cloud's own, or the same origin on a loopback address (an emulator plays both). `None` for any
    /// other: who runs a gateway says where people sign in.
    ///
    /// Source: <https://learn.microsoft.com/en-us/entra/identity-platform/authentication-national-cloud>
    #[must_use]
    pub fn beside(graph: &BaseUrl) -> Option<Self> {
        if graph.is_loopback() {
            return Some(Self { origin: graph.origin().to_owned(), loopback: true });
        }
        let cloud = Cloud::ALL.into_iter().find(|cloud| BaseUrl::from(*cloud).origin() == graph.origin())?;
        Some(cloud.into())
    }

    /// Scheme, host and port, without a slash at the end.
    #[must_use]
    pub fn origin(&self) -> &str {
        &self.origin
    }

    /// Whether the host is `localhost` or a loopback address. Then no proxy is used.
    #[must_use]
    pub fn is_loopback(&self) -> bool {
        self.loopback
    }

    /// Whether TLS is spoken.
    #[must_use]
    pub fn is_https(&self) -> bool {
        self.origin.starts_with("https:")
    }
}

impl From<Cloud> for LoginUrl {
    fn from(cloud: Cloud) -> Self {
        let origin = match cloud {
            Cloud::Global => "https://login.microsoftonline.com",
            Cloud::UsGovL4 | Cloud::UsGovL5 => "https://login.microsoftonline.us",
            Cloud::China => "https://login.partner.microsoftonline.cn",
        };
        Self { origin: origin.to_owned(), loopback: false }
    }
}

impl FromStr for LoginUrl {
    type Err = LoginUrlError;

    fn from_str(written: &str) -> Result<Self, Self::Err> {
        let (url, loopback) = absolute(written).ok_or(LoginUrlError::NotAUrl)?;
        match url.scheme() {
            "https" => {}
            "http" if loopback => {}
            _ => return Err(LoginUrlError::Insecure),
        }
        let bare = url.path() == "/" && url.query().is_none() && url.fragment().is_none();
        if !bare || written.contains('@') {
            return Err(LoginUrlError::MoreThanAHost);
        }
        Ok(Self { origin: url.origin().ascii_serialization(), loopback })
    }
}

impl TryFrom<String> for LoginUrl {
    type Error = LoginUrlError;

    fn try_from(written: String) -> Result<Self, Self::Error> {
        written.parse()
    }
}

impl From<LoginUrl> for String {
    fn from(url: LoginUrl) -> Self {
        url.origin
    }
}

impl fmt::Display for LoginUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.origin)
    }
}

/// Why a text is no [`LoginUrl`].
#[derive(Clone, Copy, Debug, thiserror::Error, PartialEq, Eq)]
pub enum LoginUrlError {
    /// Not absolute, no host, or characters that no URL has.
    #[error("login_url is not an absolute URL like https://login.microsoftonline.com")]
    NotAUrl,
    /// Neither https, nor http on loopback.
    #[error("login_url must be https, or http on a loopback address: a refresh token goes there")]
    Insecure,
    /// Userinfo, a path, a query or a fragment.
    #[error("login_url is a scheme and a host and nothing else: https://login.microsoftonline.com")]
    MoreThanAHost,
}

/// Declares a text that is checked once and is then what it is.
macro_rules! checked_text {
    ($(#[$doc:meta])* $name:ident, $(#[$error_doc:meta])* $error:ident = $says:literal, $legal:expr) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            /// The text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = $error;

            fn from_str(written: &str) -> Result<Self, Self::Err> {
                let legal: fn(&str) -> bool = $legal;
                if legal(written) { Ok(Self(written.to_owned())) } else { Err($error(written.to_owned())) }
            }
        }

        impl TryFrom<String> for $name {
            type Error = $error;

            fn try_from(written: String) -> Result<Self, Self::Error> {
                written.parse()
            }
        }

        impl From<$name> for String {
            fn from(text: $name) -> Self {
                text.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        $(#[$error_doc])*
        #[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
        #[error($says)]
        pub struct $error(String);
    };
}

checked_text! {
    /// Whose accounts may sign in: `common`, `organizations`, `consumers`, a directory's id or one of its domains.
    Tenant,
    /// A text that is no [`Tenant`].
    NotATenant = "tenant {0:?} is none: write common, organizations, consumers, a directory's id or a domain",
    |text| (1..=255).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'.')
        && !text.starts_with('.')
}

impl Default for Tenant {
    /// `common`: work, school and personal accounts.
    fn default() -> Self {
        Self("common".to_owned())
    }
}

checked_text! {
    /// An application's id: "Application (client) ID" of its registration.
    ClientId,
    /// A text that is no [`ClientId`].
    NotAClientId = "client id {0:?} is none: it is the registration's \"Application (client) ID\", like 1d5c0f3e-…",
    |text| (1..=100).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
}

checked_text! {
    /// One permission that is asked for: `Files.Read`, `offline_access`.
    Scope,
    /// A text that is no [`Scope`].
    NotAScope = "scope {0:?} is none: write names like Files.Read, with spaces between them",
    // RFC 6749, appendix A.4.
    |text| (1..=255).contains(&text.len()) && text.bytes().all(|b| (0x21..0x7f).contains(&b) && b != b'"' && b != b'\\')
}

impl Scope {
    /// What drivetap asks for where nobody says otherwise: the least that the endpoint takes, and to stay signed in.
    #[must_use]
    pub fn defaults() -> Vec<Self> {
        ["Files.Read", "offline_access"].map(|scope| Self(scope.to_owned())).into()
    }

    /// The scopes as this cloud's identity platform takes them: a permission without a host is the global Graph's, so elsewhere it is
    /// written with its own. OpenID's words have no host anywhere.
    #[must_use]
    pub fn at(scopes: Vec<Self>, graph: &BaseUrl) -> Vec<Self> {
        const OPEN_ID: [&str; 4] = ["openid", "profile", "email", "offline_access"];
        let global = BaseUrl::from(Cloud::Global);
        let bare = |scope: &Self| OPEN_ID.contains(&scope.as_str()) || scope.0.contains("://");
        let spell = |scope: Self| match graph {
            graph if graph.is_loopback() || graph.origin() == global.origin() || bare(&scope) => scope,
            graph => Self(format!("{}/{}", graph.origin(), scope.0)),
        };
        scopes.into_iter().map(spell).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_login_url_is_https_or_loopback_and_a_host_alone() {
        let check = |written: &str, want: Result<&str, LoginUrlError>| {
            assert_eq!(written.parse::<LoginUrl>().map(String::from), want.map(str::to_owned), "{written}");
        };
        check("https://login.microsoftonline.com/", Ok("https://login.microsoftonline.com"));
        check("http://127.0.0.1:4010", Ok("http://127.0.0.1:4010"));
        check("http://[::1]:4010", Ok("http://[::1]:4010"));
        check("http://login.example", Err(LoginUrlError::Insecure));
        check("http://localhost.evil.example", Err(LoginUrlError::Insecure));
        check("file:///etc", Err(LoginUrlError::NotAUrl));
        check("https://a@login.example", Err(LoginUrlError::MoreThanAHost));
        check("https://login.example/common", Err(LoginUrlError::MoreThanAHost));
        check("https://login.example?x", Err(LoginUrlError::MoreThanAHost));
        check("https://login.exa\tmple", Err(LoginUrlError::NotAUrl));
        check("login.example", Err(LoginUrlError::NotAUrl));
    }

    #[test]
    fn each_cloud_has_its_login_host_and_a_gateway_has_none() {
        let check = |graph: &str, want: Option<&str>| {
            let graph: BaseUrl = graph.parse().expect("a base URL");
            assert_eq!(LoginUrl::beside(&graph).map(String::from).as_deref(), want, "{graph}");
        };
        check("https://graph.microsoft.com/v1.0", Some("https://login.microsoftonline.com"));
        check("https://graph.microsoft.us/v1.0", Some("https://login.microsoftonline.us"));
        check("https://dod-graph.microsoft.us/v1.0", Some("https://login.microsoftonline.us"));
        check("https://microsoftgraph.chinacloudapi.cn/v1.0", Some("https://login.partner.microsoftonline.cn"));
        check("http://127.0.0.1:4010/v1.0", Some("http://127.0.0.1:4010"));
        check("https://gateway.example/v1.0", None);
        for cloud in Cloud::ALL {
            assert_eq!(String::from(LoginUrl::from(cloud)).parse(), Ok(LoginUrl::from(cloud)));
        }
    }

    #[test]
    fn a_scope_names_its_clouds_graph_where_that_is_not_the_global_one() {
        let spelled = |graph: BaseUrl| {
            let scopes = Scope::at(Scope::defaults(), &graph);
            scopes.iter().map(Scope::as_str).collect::<Vec<_>>().join(" ")
        };
        assert_eq!(spelled(Cloud::Global.into()), "Files.Read offline_access");
        assert_eq!(spelled("http://127.0.0.1:1/v1.0".parse().expect("a base URL")), "Files.Read offline_access");
        assert_eq!(spelled(Cloud::UsGovL5.into()), "https://dod-graph.microsoft.us/Files.Read offline_access");
        assert_eq!(spelled(Cloud::China.into()), "https://microsoftgraph.chinacloudapi.cn/Files.Read offline_access");
    }

    #[test]
    fn what_goes_into_a_url_or_a_form_is_checked_first() {
        for text in ["common", "contoso.onmicrosoft.com", "9188040d-6c67-4c5b-b112-36a304b66dad"] {
            assert!(text.parse::<Tenant>().is_ok(), "{text}");
        }
        for text in ["", "a/b", "..", "a b", "a?x", "a%2f"] {
            assert!(text.parse::<Tenant>().is_err(), "{text}");
        }
        assert!("1d5c0f3e-0000-4000-8000-000000000000".parse::<ClientId>().is_ok());
        assert!("".parse::<ClientId>().is_err() && "a&b".parse::<ClientId>().is_err());
        assert!("https://graph.microsoft.com/Files.Read".parse::<Scope>().is_ok());
        assert!("Files.Read offline_access".parse::<Scope>().is_err() && "a\"b".parse::<Scope>().is_err());
    }
}
