//! What a person sees until events come: a spinner on a terminal, nothing elsewhere.

use std::time::Duration;

use drivetap_bridge::core::escape::for_text;
use indicatif::{ProgressBar, ProgressStyle};

use crate::logs::say;

/// Turns on standard error while something is waited for. Gone when dropped, and never there where nobody looks.
pub(super) struct Spinner(ProgressBar);

impl Spinner {
    pub(super) fn new(waits_for: &str) -> Self {
        let bar = ProgressBar::new_spinner();
        // As wide as the terminal, at most: a longer line would leave pieces of itself behind.
        if let Ok(style) = ProgressStyle::with_template("{spinner} {wide_msg}") {
            bar.set_style(style);
        }
        bar.set_message(for_text(waits_for).into_owned());
        bar.enable_steady_tick(Duration::from_millis(100));
        Self(bar)
    }

    pub(super) fn waits_for(&self, what: &str) {
        self.0.set_message(for_text(what).into_owned());
    }

    /// Says a line without a trace of the spinner in it. One line, whatever names from outside are in it.
    pub(super) fn say(&self, line: &str) {
        self.suspend(|| say(&for_text(line)));
    }

    /// Does something while there is no trace of it.
    pub(super) fn suspend<T>(&self, act: impl FnOnce() -> T) -> T {
        self.0.suspend(act)
    }
}

impl Drop for Spinner {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}
