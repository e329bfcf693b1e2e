use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::exit::Failure;

/// SIGINT and SIGTERM: the first one asks for the end, a second one is the end. Dropped, a signal does nothing any more.
pub(crate) struct Signals {
    asked: CancellationToken,
    watch: JoinHandle<()>,
}

impl Signals {
    /// Catches them from here on. Needs a runtime.
    pub(crate) fn watch() -> Result<Self, Failure> {
        let failed = |error| Failure::internal(format_args!("signals cannot be caught: {error}"));
        let mut incoming = Incoming::new().map_err(failed)?;
        let asked = CancellationToken::new();
        let told = asked.clone();
        let watch = tokio::spawn(async move {
            incoming.next().await;
            told.cancel();
            exit_at_once(incoming.next().await);
        });
        Ok(Self { asked, watch })
    }

    /// Waits for the first one. Cancel safe.
    pub(crate) async fn asked(&self) {
        self.asked.cancelled().await;
    }
}

impl Drop for Signals {
    fn drop(&mut self) {
        self.watch.abort();
    }
}

#[expect(clippy::disallowed_methods, reason = "a second signal means at once: whatever the drain still waits for")]
fn exit_at_once(code: i32) {
    std::process::exit(code);
}

/// The signals as they come, each as the exit code that it means: 128 and its number.
#[cfg(unix)]
struct Incoming {
    interrupt: tokio::signal::unix::Signal,
    terminate: tokio::signal::unix::Signal,
}

#[cfg(unix)]
impl Incoming {
    fn new() -> std::io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};

        Ok(Self { interrupt: signal(SignalKind::interrupt())?, terminate: signal(SignalKind::terminate())? })
    }

    async fn next(&mut self) -> i32 {
        tokio::select! {
            _ = self.interrupt.recv() => 130,
            _ = self.terminate.recv() => 143,
        }
    }
}

#[cfg(not(unix))]
struct Incoming;

#[cfg(not(unix))]
impl Incoming {
    fn new() -> std::io::Result<Self> {
        Ok(Self)
    }

    async fn next(&mut self) -> i32 {
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
        130
    }
}
