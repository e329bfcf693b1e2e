use std::time::Duration;

use secrecy::SecretString;

use crate::{ClientCertificate, RedisUrl};

/// Where a [`RedisSink`](crate::RedisSink) publishes to, and within which limits.
///
/// `Debug` prints no password and no key.
#[derive(Clone, Debug)]
pub struct RedisConfig {
    /// The server.
    pub url: RedisUrl,
    /// The pub/sub channel.
    pub channel: String,
    /// The ACL user; wins over the URL's. Default: none, the user `default`.
    pub username: Option<String>,
    /// Its password; wins over the URL's. Default: none.
    pub password: Option<SecretString>,
    /// The authorities that a `rediss://` server's certificate is checked against, as PEM. Default: none, the system's.
    pub ca_pem: Option<Vec<u8>>,
    /// What is shown to a `rediss://` server that asks who connects. Default: none.
    pub client_certificate: Option<ClientCertificate>,
    /// For a connection in whole: name, TCP, TLS, sign-in. Default: 10 s.
    pub connect_timeout: Duration,
    /// For the answer to one chunk. Default: 10 s.
    pub response_timeout: Duration,
    /// The longest message, in bytes of JSON; a longer one is rejected. The server's own `proto-max-bulk-len` is obeyed where the user
    /// may read it. Default: 8 MiB, of Redis's 32 MiB at which it cuts a subscriber off.
    pub max_message_bytes: usize,
    /// How much is sent before the answer is waited for, in bytes of JSON; a longer message goes alone. Default: 256 KiB, about 50 MB
    /// a second at a round trip of 5 ms.
    pub pipeline_bytes: usize,
}

impl RedisConfig {
    /// With every default. The channel is the one given here, whatever the URL names.
    #[must_use]
    pub fn new(url: RedisUrl, channel: impl Into<String>) -> Self {
        Self {
            url,
            channel: channel.into(),
            username: None,
            password: None,
            ca_pem: None,
            client_certificate: None,
            connect_timeout: Duration::from_secs(10),
            response_timeout: Duration::from_secs(10),
            max_message_bytes: 8 << 20,
            pipeline_bytes: 256 << 10,
        }
    }

    pub(crate) fn username(&self) -> Option<&str> {
        self.username.as_deref().or(self.url.username())
    }

    pub(crate) fn password(&self) -> Option<&SecretString> {
        self.password.as_ref().or(self.url.password())
    }
}
