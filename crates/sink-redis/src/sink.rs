use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use drivetap_core::Event;
use drivetap_sink::{NotReady, Outcome, Sink, Stop};
use redis::aio::MultiplexedConnection;
use redis::io::tcp::TcpSettings;
use redis::{
    AsyncConnectionConfig, Client, ConnectionAddr, IntoConnectionInfo as _, Pipeline, RedisConnectionInfo, RedisError,
    TlsCertificates, Value,
};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use secrecy::ExposeSecret as _;
use tokio::time::timeout;

use crate::role::is_replica;
use crate::{ClientCertificate, RedisConfig, fault};

/// Publishes events on a channel of one Redis server, in order.
///
/// What is durable here is what Redis answered: it has passed the message on to whoever is subscribed, and keeps nothing. Events go out in
/// chunks of [`pipeline_bytes`](RedisConfig::pipeline_bytes), the next one when Redis answered the last (it is written meanwhile); where a
/// connection breaks, the whole chunk counts as not acknowledged and is offered again.
///
/// A replica is not published to: it would take the messages, and the subscribers of its primary would not hear them.
///
/// It never waits longer than the time limits of its configuration and never tries twice.
pub struct RedisSink {
    config: RedisConfig,
    session: Option<Session>,
}

struct Session {
    connection: MultiplexedConnection,
    max_message_bytes: usize,
    // Not every service that speaks Redis knows `HELLO`.
    tells_its_role: bool,
}

impl RedisSink {
    /// Not connected yet.
    #[must_use]
    pub fn new(config: RedisConfig) -> Self {
        Self { config, session: None }
    }

    /// The version of the server that it is connected to (`7.0.15`); `None` where it is not, or the server does not tell.
    pub async fn version(&mut self) -> Option<String> {
        let session = self.session.as_mut()?;
        let info: String = redis::cmd("INFO").arg("server").query_async(&mut session.connection).await.ok()?;
        let version = info.lines().find_map(|line| line.strip_prefix("redis_version:"))?.trim();
        Some(version.chars().take(32).collect())
    }
}

#[async_trait]
impl Sink for RedisSink {
    async fn connect(&mut self) -> Result<(), NotReady> {
        self.session = None;
        let client = client(&self.config)?;
        let limit = self.config.connect_timeout;
        let opened = timeout(limit, open(&self.config, &client)).await;
        let opened = opened.map_err(|_| NotReady::Later(format!("{}: no connection within {limit:?}", self.config.url)))?;
        let (session, is_replica) = opened.map_err(|error| NotReady::Later(fault::not_connected(&self.config, &error)))?;
        if is_replica {
            return Err(NotReady::Later(fault::replica(&self.config)));
        }
        self.session = Some(session);
        Ok(())
    }

    async fn publish(&mut self, batch: &[Arc<Event>]) -> Outcome {
        let mut acked = 0;
        match self.publish_counting(batch, &mut acked).await {
            Ok(()) => Outcome::all(acked),
            Err(stop) => {
                if matches!(stop, Stop::Reconnect { .. }) {
                    self.session = None;
                }
                Outcome::stopped(acked, stop)
            }
        }
    }

    async fn close(self: Box<Self>, _within: Duration) {
        // Nothing is in flight between two calls of `publish`; dropping the connection closes it.
    }
}

impl RedisSink {
    async fn publish_counting(&mut self, batch: &[Arc<Event>], acked: &mut usize) -> Result<(), Stop> {
        if batch.is_empty() {
            return Ok(());
        }
        let config = &self.config;
        let Some(session) = &mut self.session else {
            return Err(Stop::Reconnect { reason: format!("{}: not connected", config.url) });
        };
        let limit = session.max_message_bytes;
        let (mut chunk, mut rest) = (Chunk::of(batch, config, limit), batch);
        while chunk.len > 0 {
            rest = rest.get(chunk.len..).unwrap_or_default();
            // The next one is written while Redis works on this one.
            let (answered, next) = tokio::join!(biased; session.send(config, chunk), async { Chunk::of(rest, config, limit) });
            count(config, answered?, acked)?;
            chunk = next;
        }
        match chunk.too_large {
            None => Ok(()),
            Some(bytes) => {
                let reason = format!("{bytes} bytes of JSON, at most {limit} are taken");
                Err(Stop::Reject { code: "MESSAGE_TOO_LARGE".to_owned(), reason })
            }
        }
    }
}

/// The first events of a batch, in Redis' words.
struct Chunk {
    pipeline: Pipeline,
    len: usize,
    /// It ends before a message of so many bytes, which Redis does not take.
    too_large: Option<usize>,
}

impl Chunk {
    /// As many as are [`pipeline_bytes`](RedisConfig::pipeline_bytes), and at least one.
    fn of(batch: &[Arc<Event>], config: &RedisConfig, max_message_bytes: usize) -> Self {
        let mut chunk = Self { pipeline: Pipeline::new(), len: 0, too_large: None };
        let mut bytes = 0;
        for event in batch {
            let message = event.to_json();
            if message.len() > max_message_bytes {
                chunk.too_large = Some(message.len());
                break;
            }
            bytes += message.len();
            if chunk.len > 0 && bytes > config.pipeline_bytes {
                break;
            }
            chunk.pipeline.cmd("PUBLISH").arg(&config.channel).arg(&*message);
            chunk.len += 1;
        }
        chunk
    }
}

impl Session {
    /// What Redis answered to each message.
    async fn send(&mut self, config: &RedisConfig, Chunk { mut pipeline, .. }: Chunk) -> Result<Vec<Value>, Stop> {
        // Behind the messages: a server that is a primary now was one when it took them.
        if self.tells_its_role {
            pipeline.cmd("HELLO");
        }
        let answered = self.connection.send_packed_commands(&pipeline, 0, pipeline.len()).await;
        let mut answers = answered.map_err(|error| fault::lost(config, &error))?;
        if self.tells_its_role && answers.pop().is_some_and(is_replica) {
            return Err(Stop::Reconnect { reason: fault::replica(config) });
        }
        Ok(answers)
    }
}

// Adds to `acked` each message that Redis answered with its number of receivers, up to the first that it did not.
fn count(config: &RedisConfig, answers: Vec<Value>, acked: &mut usize) -> Result<(), Stop> {
    let receivers = metrics::counter!("drivetap_redis_receivers_total", "channel" => config.channel.clone());
    for answer in answers {
        match answer {
            Value::Int(n) => {
                *acked += 1;
                receivers.increment(u64::try_from(n).unwrap_or_default());
            }
            Value::ServerError(error) => return Err(fault::refused(config, &error)),
            _ => return Err(Stop::Reconnect { reason: format!("{}: PUBLISH was not answered with a number", config.url) }),
        }
    }
    Ok(())
}

fn client(config: &RedisConfig) -> Result<Client, NotReady> {
    let never = |error: RedisError| NotReady::Never(fault::not_connected(config, &error));
    let (host, port) = (config.url.host(), config.url.port());
    let address = if config.url.tls() {
        // redis-rs panics without one.
        if CryptoProvider::get_default().is_none() {
            return Err(NotReady::Never(
                "no TLS provider: call rustls::crypto::ring::default_provider().install_default() before".to_owned(),
            ));
        }
        ConnectionAddr::TcpTls { host, port, insecure: false, tls_params: None }
    } else {
        ConnectionAddr::Tcp(host, port)
    };
    let mut login =
        RedisConnectionInfo::default().set_db(config.url.database().into()).set_lib_name("drivetap", env!("CARGO_PKG_VERSION"));
    if let Some(username) = config.username() {
        login = login.set_username(username);
    }
    if let Some(password) = config.password() {
        login = login.set_password(password.expose_secret());
    }
    let info = address.into_connection_info().map_err(never)?;
    let info = info.set_redis_settings(login).set_tcp_settings(TcpSettings::default().set_nodelay(true));
    if config.ca_pem.is_none() && config.client_certificate.is_none() {
        return Client::open(info).map_err(never);
    }
    if !config.url.tls() {
        return Err(NotReady::Never(format!("{}: certificates are of use with rediss:// only", config.url)));
    }
    if config.ca_pem.as_ref().is_some_and(|pem| !matches!(CertificateDer::pem_slice_iter(pem).next(), Some(Ok(_)))) {
        return Err(NotReady::Never(format!("{}: the authority's file holds no PEM certificate", config.url)));
    }
    let client_tls = config.client_certificate.as_ref().map(ClientCertificate::for_redis);
    Client::build_with_tls(info, TlsCertificates { client_tls, root_cert: config.ca_pem.clone() }).map_err(never)
}

/// A session, and whether it is one with a replica.
async fn open(config: &RedisConfig, client: &Client) -> Result<(Session, bool), RedisError> {
    // The limit on the whole of it is the caller's.
    let limits = AsyncConnectionConfig::new().set_connection_timeout(None).set_response_timeout(Some(config.response_timeout));
    let mut connection = client.get_multiplexed_async_connection_with_config(&limits).await?;
    // A message above this is answered by closing the connection: without the limit it would be offered again for ever.
    let asked: Result<Vec<String>, _> =
        redis::cmd("CONFIG").arg("GET").arg("proto-max-bulk-len").query_async(&mut connection).await;
    let server_limit = match asked {
        Ok(answer) => answer.get(1).and_then(|bytes| bytes.parse().ok()),
        Err(error) if fault::does_not_tell(&error) => None,
        Err(error) => return Err(error),
    };
    let max_message_bytes = server_limit.map_or(config.max_message_bytes, |limit| config.max_message_bytes.min(limit));
    let (tells_its_role, replica) = match redis::cmd("HELLO").query_async(&mut connection).await {
        Ok(hello) => (true, is_replica(hello)),
        Err(error) if fault::does_not_tell(&error) => (false, false),
        Err(error) => return Err(error),
    };
    Ok((Session { connection, max_message_bytes, tells_its_role }, replica))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_redis_answered_before_its_first_error_is_acknowledged_and_no_more() {
        let config = RedisConfig::new("redis://h".parse().unwrap(), "drive-events");
        for (answers, prefix, stopped) in [
            ("*0\r\n", 0, false),
            ("*3\r\n:1\r\n:0\r\n:2\r\n", 3, false),
            ("*4\r\n:1\r\n:0\r\n-LOADING in memory\r\n:1\r\n", 2, true),
            ("*2\r\n+QUEUED\r\n:1\r\n", 0, true),
        ] {
            let Ok(Value::Array(answers)) = redis::parse_redis_value(answers.as_bytes()) else { panic!("{answers:?}") };
            let mut acked = 0;
            assert_eq!(count(&config, answers, &mut acked).is_err(), stopped);
            assert_eq!(acked, prefix);
        }
    }
}
