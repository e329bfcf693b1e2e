//! The crate `rust_socketio`, its faults contained.

mod life;
mod payload;
mod slot;
mod words;

use std::fmt;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use drivetap_core::{Notification, NotificationUrl};
use native_tls::{Certificate, TlsConnector};
use rust_socketio::TransportType;
use rust_socketio::asynchronous::ClientBuilder;
use tokio::time::{sleep_until, timeout};

use self::life::Life;
use self::slot::{Slot, Slots};
use crate::{Ended, Limits, OpenError, Session, Transport, Who, Why};

/// Sessions over the crate [`rust_socketio`] 0.6, websocket only, engine.io 4.
///
/// That client has faults, none of which reaches past one session: each session owns a runtime with one thread, and its end, whatever
/// the reason, is the end of that runtime, which closes the socket and every task.
///
/// What the client cannot do is this transport's limit too:
/// - A frame is measured after it was received and parsed: up to 64 MiB can be in memory before [`Limits::frame_bytes`] ends the session.
/// - `pingInterval` and `pingTimeout` do not come out of it. It keeps that deadline itself (a session that misses it ends as
///   [`Why::Closed`], for the client names no reason); [`Limits::ping_ceiling`] without a byte from the server ends it as
///   [`Why::Silent`]. [`Session::ping_interval`] says 25 s, socket.io's default.
/// - An engine.io close that is not followed by the socket's end is noticed at that deadline only.
/// - A URL whose query holds `'`, `"`, `<` or `>` is [`OpenError::Unusable`]: the client would send them encoded, and the query has to
///   arrive byte for byte.
/// - There is no proxy.
/// - A name lookup under way is not broken off with its attempt: its thread is gone when the system's resolver has given up.
/// - An event without an argument is not told apart from an event `message`: it is ignored. So is one
///   whose JSON is nested deeper than 128 levels.
pub struct RustSocketIo {
    tls: TlsConnector,
    slots: Slots,
}

/// How a [`RustSocketIo`] is made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RustSocketIoConfig {
    /// Certificates in PEM, trusted beside the system's. Default none.
    pub ca_pem: Option<Vec<u8>>,
    /// The most sessions at once; each costs a thread, five file descriptors and about 0.3 MB. Default 256.
    ///
    /// Beyond it `open` is [`OpenError::Busy`], as it is when the system has no thread or descriptor left. A [`Limits::renewal`] is not
    /// held to it, so that twice as many stand at the worst, for as long as a renewal takes.
    pub max_sessions: usize,
}

impl Default for RustSocketIoConfig {
    fn default() -> Self {
        Self { ca_pem: None, max_sessions: 256 }
    }
}

/// Why there is no [`RustSocketIo`].
#[derive(Debug, thiserror::Error)]
pub enum RustSocketIoError {
    /// [`RustSocketIoConfig::ca_pem`] is not a list of certificates in PEM.
    #[error("the CA file holds no certificates in PEM")]
    Ca,
    /// OpenSSL has no TLS to offer.
    #[error("TLS could not be set up: {0}")]
    Tls(String),
}

impl RustSocketIo {
    /// Reads the certificates; dials nothing.
    ///
    /// # Errors
    /// When the certificates are none, or TLS cannot be set up.
    pub fn new(config: &RustSocketIoConfig) -> Result<Self, RustSocketIoError> {
        let mut tls = TlsConnector::builder();
        if let Some(pem) = &config.ca_pem {
            let certificates = Certificate::stack_from_pem(pem).map_err(|_| RustSocketIoError::Ca)?;
            if certificates.is_empty() {
                return Err(RustSocketIoError::Ca);
            }
            for certificate in certificates {
                tls.add_root_certificate(certificate);
            }
        }
        let tls = tls.build().map_err(|error| RustSocketIoError::Tls(error.to_string()))?;
        Ok(Self { tls, slots: Slots::new(config.max_sessions) })
    }

    fn client(&self, url: &NotificationUrl) -> Result<ClientBuilder, OpenError> {
        Ok(ClientBuilder::new(address(url)?)
            .namespace(url.expose_namespace())
            .transport_type(TransportType::Websocket)
            .tls_config(self.tls.clone()))
    }
}

impl fmt::Debug for RustSocketIo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RustSocketIo").field("slots", &self.slots).finish_non_exhaustive()
    }
}

#[async_trait]
impl Transport for RustSocketIo {
    async fn open(&self, url: &NotificationUrl, limits: &Limits) -> Result<Box<dyn Session>, OpenError> {
        let slot = self.slots.take(limits.renewal)?;
        let client = self.client(url)?;
        let (life, opened) = Life::start(client, url, limits).map_err(|_| OpenError::NO_ROOM)?;
        // From here on, whatever drops the session ends the life.
        let session = Contained { life, ping_ceiling: limits.ping_ceiling.min(DAY), heard: None, _slot: slot };
        match timeout(limits.open, opened).await {
            Ok(Ok(Ok(()))) => Ok(Box::new(session)),
            Ok(Ok(Err(refused))) => Err(refused),
            Ok(Err(_)) => Err(OpenError::Retry { reason: "rust_socketio gave no answer".into() }),
            Err(_) => Err(OpenError::no_answer(limits)),
        }
    }
}

/// Time stays countable whatever the limits say.
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

struct Contained {
    life: Arc<Life>,
    ping_ceiling: Duration,
    /// When its server was last heard, once it is taken for silent.
    heard: Option<Instant>,
    _slot: Slot,
}

#[async_trait]
impl Session for Contained {
    async fn recv(&mut self, out: &mut Vec<Notification>, max: NonZeroUsize) -> Result<(), Ended> {
        loop {
            let silent_at = self.life.last_stirred() + self.ping_ceiling;
            tokio::select! {
                biased;
                received = self.life.inbox().recv(out, max) => return received,
                () = sleep_until(silent_at.into()) => {
                    let heard = self.life.last_stirred();
                    if heard + self.ping_ceiling <= Instant::now() {
                        self.heard = Some(heard);
                        self.life.end(Ended { by: Who::Network, why: Why::Silent });
                    }
                }
            }
        }
    }

    fn take_merged(&mut self) -> u64 {
        self.life.inbox().take_merged()
    }

    fn ping_interval(&self) -> Duration {
        Duration::from_secs(25).min(self.ping_ceiling)
    }

    /// Zero for every end but [`Why::Silent`]: the client does not say when it last read.
    fn silence(&self) -> Duration {
        self.heard.map_or(Duration::ZERO, |heard| heard.elapsed())
    }

    async fn close(self: Box<Self>, within: Duration) {
        self.life.say_goodbye(within).await;
    }
}

impl Drop for Contained {
    fn drop(&mut self) {
        self.life.stop();
    }
}

/// What `rust_socketio` dials: the URL without its path, for the engine's own path is always `/socket.io/`.
fn address(url: &NotificationUrl) -> Result<String, OpenError> {
    let query = url.expose_query();
    // `url::Url` encodes these in a query (WHATWG's special-query set); what else it encodes, a NotificationUrl cannot hold.
    if let Some(rewritten) = query.chars().find(|c| matches!(c, '\'' | '"' | '<' | '>')) {
        return Err(OpenError::Unusable(format!("the URL's query holds {rewritten}, which rust_socketio cannot send as it is")));
    }
    let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
    let mark = if query.is_empty() { "" } else { "?" };
    Ok(format!("{}://{}{port}/{mark}{query}", url.scheme(), url.host()))
}
