//! SIGINT and SIGTERM end what we run, and then us: in order, not in the middle.

use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::thread;

use anyhow::{Result, bail};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use crate::mark::Mark;
use crate::run::say;

/// Whether a signal has come. From here on none of them ends this process by itself.
#[derive(Clone)]
pub(crate) struct Interrupted(Arc<AtomicU8>);

impl Interrupted {
    /// Catches the signals; each of them kills the processes that carry `mark`.
    pub(crate) fn by_signals_that_kill(mark: Mark) -> Result<Self> {
        let seen = Arc::new(AtomicU8::new(0));
        let mut signals = Signals::new([SIGHUP, SIGINT, SIGTERM])?;
        let result = Self(Arc::clone(&seen));
        // The thread ends with the process; it owns nothing that would have to be put in order first.
        thread::Builder::new().name("signals".to_owned()).spawn(move || {
            for signal in signals.forever() {
                say(format_args!("signal {signal}: ending what runs"));
                seen.store(u8::try_from(signal).unwrap_or(u8::MAX), Ordering::SeqCst);
                if let Err(error) = mark.kill() {
                    say(format_args!("error: {error:#}"));
                }
            }
        })?;
        Ok(result)
    }

    /// An error once a signal has come: the place between two steps.
    pub(crate) fn check(&self) -> Result<()> {
        if self.exit_code().is_some() {
            bail!("interrupted");
        }
        Ok(())
    }

    /// `128 + signal`, once a signal has come.
    pub(crate) fn exit_code(&self) -> Option<ExitCode> {
        match self.0.load(Ordering::SeqCst) {
            0 => None,
            signal => Some(ExitCode::from(signal.saturating_add(128))),
        }
    }
}
