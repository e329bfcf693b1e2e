//! drivetap's own transport: engine.io 4 and socket.io 5 over websocket, the part of them that a notification needs.
//!
//! From the bottom up:
//! | module | knows | and nothing of |
//! |---|---|---|
//! | [`frames`] | websocket messages in bytes | sockets, time |
//! | [`engine`] | packets of engine.io | sockets, time |
//! | [`socket`] | packets of socket.io, and events in them | sockets, time |
//! | [`session`] | what follows what, and when it is over | sockets, clocks |
//! | `dial` | the way to a server: TCP, proxy, TLS, upgrade | what is said there |
//! | `driver` | the task that owns a socket, and its handle | what a message means |
//!
//! Those with a link are public for tests, fuzzers and benchmarks; a program needs none of them.

mod dial;
mod driver;
pub mod engine;
pub mod frames;
#[cfg(feature = "fuzzing")]
pub mod fuzzing;
mod malformed;
pub mod session;
pub mod socket;

use std::fmt;
use std::time::Duration;

use async_trait::async_trait;
use drivetap_core::{NotificationUrl, ProxySettings};
use tokio::time::timeout;

use self::dial::Dialer;
use self::driver::Line;
pub use self::malformed::Malformed;
use crate::{Limits, OpenError, Transport};

/// Sessions of drivetap's own making: websocket only, engine.io 4, socket.io 5.
///
/// A session is one task and one socket. The task owns both, reads whether or not anyone is in
/// [`recv`](crate::Session::recv), and keeps at most 1,024 notification frames or 256 KiB of them; the handle ends it when it is
/// dropped. There is no lock and no thread, and the number of sessions has no limit but the system's.
///
/// - [`Limits::frame_bytes`] is held against a frame's header, before its bytes are waited for.
/// - The deadline for silence is the server's `pingInterval + pingTimeout`, [`Limits::ping_ceiling`] at most. Only a ping moves it.
/// - The query arrives byte for byte.
/// - Compression is not offered. A server that compresses all the same is refused.
/// - A name look-up under way is not broken off with its attempt: its thread is gone when the system's resolver has given up.
///
/// *Cancel safety:* until `open` returns, its future owns the socket; afterwards the session does. Dropping either closes it.
pub struct Native {
    dialer: Dialer,
}

/// How a [`Native`] is made. Nothing is read from the environment.
#[derive(Clone, Debug)]
pub struct NativeConfig {
    /// Certificates in PEM, trusted beside the platform's. Default none.
    pub ca_pem: Option<Vec<u8>>,
    /// Which proxy, if any. Not used for a host on loopback. Default none.
    pub proxy: ProxySettings,
    /// For TCP to one address of a host; the next one is tried after it. Default 10 s.
    pub connect_timeout: Duration,
}

impl Default for NativeConfig {
    fn default() -> Self {
        Self { ca_pem: None, proxy: ProxySettings::default(), connect_timeout: Duration::from_secs(10) }
    }
}

/// Why there is no [`Native`].
#[derive(Debug, thiserror::Error)]
pub enum NativeError {
    /// The process has no TLS implementation: a library does not choose one.
    #[error(
        "no TLS provider: call rustls::crypto::ring::default_provider().install_default() at the start of the program, \
         before a transport is made"
    )]
    NoCryptoProvider,
    /// [`NativeConfig::ca_pem`] holds no certificate, or a broken one; what is wrong with it.
    #[error("the CA file: {0}")]
    Ca(String),
    /// TLS could not be set up.
    #[error("TLS could not be set up: {0}")]
    Tls(String),
}

impl Native {
    /// Reads the certificates; dials nothing.
    ///
    /// # Errors
    /// When the process has no TLS provider, or the certificates are none. A platform without a single trusted certificate is no
    /// error before a server with TLS is dialled: an emulator has none.
    pub fn new(config: &NativeConfig) -> Result<Self, NativeError> {
        Ok(Self { dialer: Dialer::new(config)? })
    }
}

impl fmt::Debug for Native {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Native").finish_non_exhaustive()
    }
}

#[async_trait]
impl Transport for Native {
    async fn open(&self, url: &NotificationUrl, limits: &Limits) -> Result<Box<dyn crate::Session>, OpenError> {
        let attempt = async {
            let wire = self.dialer.dial(url, limits).await?;
            Line::new(wire, url, limits).join(url).await
        };
        let line = timeout(limits.open, attempt).await.unwrap_or_else(|_| Err(OpenError::no_answer(limits)))?;
        Ok(Box::new(line.drive()))
    }
}
