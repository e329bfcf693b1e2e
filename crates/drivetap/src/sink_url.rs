use std::fmt;
use std::str::FromStr;

/// `--sink URL`: where events go, in one word.
///
/// | written | is |
/// |---|---|
/// | `kafka://HOST:PORT[,HOST:PORT…]/TOPIC` | a Kafka topic |
/// | `redis[s]://[USER:PASS@]HOST:PORT[/DB]?channel=NAME` | a Redis channel |
/// | `stdout:` | standard output |
///
/// Prints no password.
#[derive(Clone)]
pub enum SinkUrl {
    /// Standard output.
    Stdout,
    /// A Kafka topic.
    Kafka {
        /// As librdkafka takes them.
        bootstrap_servers: String,
        /// The topic.
        topic: String,
    },
    /// A Redis channel.
    #[cfg(feature = "redis")]
    Redis {
        /// The server.
        url: drivetap_bridge::sink_redis::RedisUrl,
        /// The channel.
        channel: String,
    },
    /// A Redis channel, in a binary without the feature: whatever it says, it cannot be used.
    #[cfg(not(feature = "redis"))]
    Redis,
}

impl FromStr for SinkUrl {
    type Err = SinkUrlError;

    fn from_str(written: &str) -> Result<Self, Self::Err> {
        match written.split_once(':') {
            Some(("stdout", "" | "//")) => Ok(Self::Stdout),
            Some(("kafka", rest)) => kafka(rest),
            Some(("redis" | "rediss", _)) => redis(written),
            _ => Err(SinkUrlError::Scheme),
        }
    }
}

impl fmt::Debug for SinkUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Stdout => "stdout:",
            Self::Kafka { .. } => "kafka://…",
            Self::Redis { .. } => "redis://…",
        })
    }
}

/// Why a text is no [`SinkUrl`]. It does not repeat the text: there may be a password in it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SinkUrlError {
    /// None of the three.
    #[error("write kafka://HOST:PORT/TOPIC, redis://HOST:PORT?channel=NAME or stdout:")]
    Scheme,
    /// Not what Kafka's form is.
    #[error("write kafka://HOST:PORT[,HOST:PORT…]/TOPIC; what needs more than that, needs a configuration")]
    Kafka,
    /// Not what Redis's form is.
    #[error("{0}")]
    Redis(String),
}

fn kafka(rest: &str) -> Result<SinkUrl, SinkUrlError> {
    let (servers, topic) = rest.strip_prefix("//").and_then(|rest| rest.split_once('/')).ok_or(SinkUrlError::Kafka)?;
    let host_and_port = |server: &str| {
        let port = server.rsplit_once(':').filter(|(host, _)| !host.is_empty());
        port.is_some_and(|(_, port)| port.parse::<u16>().is_ok()) && !server.contains('@')
    };
    let legal = |b: u8| b.is_ascii_alphanumeric() || b"._-".contains(&b);
    if servers.split(',').all(host_and_port) && !topic.is_empty() && topic.bytes().all(legal) {
        Ok(SinkUrl::Kafka { bootstrap_servers: servers.to_owned(), topic: topic.to_owned() })
    } else {
        Err(SinkUrlError::Kafka)
    }
}

#[cfg(feature = "redis")]
fn redis(written: &str) -> Result<SinkUrl, SinkUrlError> {
    let url: drivetap_bridge::sink_redis::RedisUrl =
        written.parse().map_err(|error: drivetap_bridge::sink_redis::RedisUrlError| SinkUrlError::Redis(error.to_string()))?;
    match url.channel().filter(|channel| !channel.is_empty()).map(str::to_owned) {
        Some(channel) => Ok(SinkUrl::Redis { url, channel }),
        None => Err(SinkUrlError::Redis("the channel is missing: write redis://HOST:PORT?channel=NAME".to_owned())),
    }
}

#[cfg(not(feature = "redis"))]
fn redis(_: &str) -> Result<SinkUrl, SinkUrlError> {
    Ok(SinkUrl::Redis)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_three_forms_are_read_and_nothing_else() {
        for (written, want) in [
            ("stdout:", Ok("stdout:")),
            ("stdout://", Ok("stdout:")),
            ("stdout", Err(SinkUrlError::Scheme)),
            ("kafka://localhost:9092/drive-events", Ok("kafka://…")),
            ("kafka://a:9092,b:9093,[::1]:9094/t", Ok("kafka://…")),
            ("kafka://localhost/t", Err(SinkUrlError::Kafka)),
            ("kafka://localhost:9092", Err(SinkUrlError::Kafka)),
            ("kafka://localhost:9092/", Err(SinkUrlError::Kafka)),
            ("kafka://u:p@localhost:9092/t", Err(SinkUrlError::Kafka)),
            ("kafka://localhost:9092/t?acks=1", Err(SinkUrlError::Kafka)),
            ("ftp://x", Err(SinkUrlError::Scheme)),
            ("", Err(SinkUrlError::Scheme)),
        ] {
            let got = written.parse::<SinkUrl>().map(|url| format!("{url:?}"));
            assert_eq!(got, want.map(str::to_owned), "{written}");
        }
    }

    #[cfg(feature = "redis")]
    #[test]
    fn a_redis_url_names_its_channel_and_never_prints_its_password() {
        let url: SinkUrl = "redis://u:hunter2@127.0.0.1:6379/2?channel=c".parse().expect("a URL");
        assert!(!format!("{url:?}").contains("hunter2"));
        let SinkUrl::Redis { channel, .. } = url else { panic!("not redis") };
        assert_eq!(channel, "c");

        let error = "redis://u:hunter2@127.0.0.1".parse::<SinkUrl>().expect_err("no channel");
        assert_eq!(error.to_string(), "the channel is missing: write redis://HOST:PORT?channel=NAME");
    }
}
