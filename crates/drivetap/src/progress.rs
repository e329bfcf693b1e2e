//! How far long work is: a line that moves on a terminal, a sentence every ten seconds elsewhere. Standard error only.

use std::sync::OnceLock;
use std::time::{Duration, Instant};

use drivetap_bridge::core::escape::for_text;
use indicatif::{HumanCount, HumanDuration, MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::logs::say;

/// Where there is no terminal, and for how long work is short.
pub(crate) const EVERY: Duration = Duration::from_secs(10);
/// On a terminal: a person sees no more.
const LOOK: Duration = Duration::from_millis(200);

/// One piece of long work. Its line goes when it is dropped.
pub(crate) struct Progress {
    begun: Instant,
    told: Instant,
    bar: Option<ProgressBar>,
}

impl Progress {
    /// `moves`: standard error is a terminal, and nobody else writes there.
    pub(crate) fn new(moves: bool) -> Self {
        let now = Instant::now();
        Self { begun: now, told: now, bar: moves.then(bar) }
    }

    /// So many items of `what` so far. Costs next to nothing where there is nothing to show yet.
    pub(crate) fn tell(&mut self, items: u64, what: impl FnOnce() -> String) {
        let every = if self.bar.is_some() { LOOK } else { EVERY };
        if self.told.elapsed() < every {
            return;
        }
        self.told = Instant::now();
        let words = words(&what(), items, self.begun.elapsed());
        match &self.bar {
            Some(bar) => {
                bar.set_message(for_text(&words).into_owned());
                bar.tick();
            }
            None => say(&words),
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

/// `12,300 items, 1,230/s, 10 seconds: me`. What does not fit on a line is cut at its end, and an id can be long: the numbers come first.
pub(crate) fn words(what: &str, items: u64, elapsed: Duration) -> String {
    let rate = u128::from(items) * 1_000 / elapsed.as_millis().max(1);
    let rate = u64::try_from(rate).unwrap_or(u64::MAX);
    format!("{} items, {}/s, {}: {what}", HumanCount(items), HumanCount(rate), HumanDuration(elapsed))
}

/// Writes to standard error without leaving a piece of a moving line behind.
pub(crate) fn beside<T>(write: impl FnOnce() -> T) -> T {
    match LINES.get() {
        Some(lines) => lines.suspend(write),
        None => write(),
    }
}

/// The lines that move; none until there is one.
static LINES: OnceLock<MultiProgress> = OnceLock::new();

fn bar() -> ProgressBar {
    let lines = LINES.get_or_init(|| MultiProgress::with_draw_target(ProgressDrawTarget::stderr()));
    // As wide as the terminal, at most: a longer line would be several.
    let style = ProgressStyle::with_template("{spinner} {wide_msg}").unwrap_or_else(|_| ProgressStyle::default_spinner());
    lines.add(ProgressBar::new_spinner().with_style(style))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn progress_is_items_items_a_second_and_time() {
        assert_eq!(words("me", 12_300, Duration::from_secs(10)), "12,300 items, 1,230/s, 10 seconds: me");
        assert_eq!(words("me", 0, Duration::ZERO), "0 items, 0/s, 0 seconds: me");
    }

    #[test]
    fn what_is_written_beside_it_comes_through() {
        let mut progress = Progress::new(true);
        progress.tell(1, || "x".to_owned());
        assert_eq!(beside(|| 7), 7);
    }
}
