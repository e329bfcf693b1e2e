//! A place in the code that says its line again and again is cut short, so that one storm does not bury everything else.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tracing::callsite::Identifier;
use tracing::{Event, Level, Metadata, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::layer::Context;
use tracing_subscriber::registry::LookupSpan;

use crate::config::LogFormat;

/// What each place in the code has said lately. There are as many as the code has: it does not grow without an end.
#[derive(Default)]
pub(super) struct Limit {
    places: Mutex<HashMap<Identifier, Said>>,
}

struct Said {
    since: Instant,
    shown: u32,
    suppressed: u64,
}

impl Limit {
    /// So many lines of a place are shown in each stretch of time.
    pub(super) const LINES: u32 = 50;
    const IN: Duration = Duration::from_secs(10);

    /// Whether the place may say its line now. `debug` and `trace` may always: who asks for them wants all of it.
    fn admits(&self, metadata: &Metadata<'_>, now: Instant) -> bool {
        if *metadata.level() > Level::INFO {
            return true;
        }
        let mut places = self.places.lock().unwrap_or_else(PoisonError::into_inner);
        let said = places.entry(metadata.callsite()).or_insert(Said { since: now, shown: 0, suppressed: 0 });
        if now.duration_since(said.since) >= Self::IN {
            (said.since, said.shown) = (now, 0);
        }
        if said.shown < Self::LINES {
            said.shown += 1;
            return true;
        }
        said.suppressed += 1;
        false
    }

    /// How many lines of the place were not shown since the last one that was. They are told by asking.
    fn take(&self, metadata: &Metadata<'_>) -> u64 {
        let mut places = self.places.lock().unwrap_or_else(PoisonError::into_inner);
        places.get_mut(&metadata.callsite()).map_or(0, |said| std::mem::take(&mut said.suppressed))
    }

    /// What no line has told yet.
    pub(super) fn untold(&self) -> u64 {
        let places = self.places.lock().unwrap_or_else(PoisonError::into_inner);
        places.values().map(|said| said.suppressed).sum()
    }
}

/// Lets through what the limit admits.
pub(super) struct Limited(pub(super) Arc<Limit>);

impl<S: Subscriber> Layer<S> for Limited {
    fn event_enabled(&self, event: &Event<'_>, _: Context<'_, S>) -> bool {
        self.0.admits(event.metadata(), Instant::now())
    }
}

/// A line of another format, with `suppressed` at its end where lines of its place were not shown before it.
pub(super) struct Counted<F> {
    inner: F,
    limit: Arc<Limit>,
    format: LogFormat,
}

impl<F> Counted<F> {
    pub(super) fn new(inner: F, limit: Arc<Limit>, format: LogFormat) -> Self {
        Self { inner, limit, format }
    }
}

impl<S, N, F> FormatEvent<S, N> for Counted<F>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
    F: FormatEvent<S, N>,
{
    fn format_event(&self, context: &FmtContext<'_, S, N>, mut writer: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        let suppressed = self.limit.take(event.metadata());
        if suppressed == 0 {
            return self.inner.format_event(context, writer, event);
        }
        let mut line = String::new();
        self.inner.format_event(context, Writer::new(&mut line), event)?;
        writer.write_str(&with(line.trim_end(), suppressed, self.format))
    }
}

fn with(line: &str, suppressed: u64, format: LogFormat) -> String {
    match (format, line.strip_suffix('}')) {
        (LogFormat::Json, Some(open)) => format!("{open},\"suppressed\":{suppressed}}}\n"),
        _ => format!("{line} suppressed={suppressed}\n"),
    }
}

#[cfg(test)]
mod tests {
    use tracing::callsite::Callsite;
    use tracing::subscriber::Interest;

    use super::*;

    struct Place;

    impl Callsite for Place {
        fn set_interest(&self, _: Interest) {}
        fn metadata(&self) -> &Metadata<'_> {
            &WARNING
        }
    }

    static WARNING: Metadata<'static> = tracing::metadata!(name: "a", target: "drivetap", level: Level::WARN, fields: &[], callsite: &Place, kind: tracing::metadata::Kind::EVENT);

    #[test]
    fn a_place_is_heard_again_after_a_while_and_says_what_was_not_shown() {
        let (limit, now) = (Limit::default(), Instant::now());
        let admitted = |at| (0..Limit::LINES + 30).filter(|_| limit.admits(&WARNING, at)).count();
        assert_eq!(admitted(now), usize::try_from(Limit::LINES).expect("few"));
        assert_eq!(limit.untold(), 30);
        assert!(!limit.admits(&WARNING, now + Limit::IN / 2));
        assert!(limit.admits(&WARNING, now + Limit::IN));
        assert_eq!((limit.take(&WARNING), limit.take(&WARNING), limit.untold()), (31, 0, 0));
    }

    #[test]
    fn the_count_stands_in_the_line() {
        assert_eq!(with("WARN x reason=y", 3, LogFormat::Text), "WARN x reason=y suppressed=3\n");
        assert_eq!(with("{\"a\":1}", 3, LogFormat::Json), "{\"a\":1,\"suppressed\":3}\n");
    }
}
