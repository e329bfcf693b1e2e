//! What goes to standard error: logs, and a sentence where the program ends early.

mod limit;

use std::borrow::Cow;
use std::io::{self, Write};
use std::sync::{Arc, OnceLock};

use drivetap_bridge::core::escape::{for_json, for_text};
use tracing::level_filters::LevelFilter;
use tracing::subscriber::Interest;
use tracing::{Level, Metadata, Subscriber, span};
use tracing_subscriber::filter::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::{Context, SubscriberExt as _};
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{Layer, Registry};

use self::limit::{Counted, Limit, Limited};
use crate::config::{Log, LogFormat};
use crate::env::Env;
use crate::escape;
use crate::exit::Failure;
use crate::progress;

/// Shows logs on standard error from here on.
///
/// `RUST_LOG` wins over the level. Whatever it says, other people's crates are capped at `info`: tungstenite prints the upgrade request,
/// with its secrets, at `trace`. A place in the code that says the same again and again is cut short, and how often stands in its next line.
///
/// # Errors
/// 78 where `RUST_LOG` is no filter.
pub fn init(log: Log, env: &Env) -> Result<(), Failure> {
    // An error of either means that somebody shows logs already: a test.
    let _ = tracing_log::LogTracer::init_with_filter(tracing_log::log::LevelFilter::Info);
    let limit = Arc::new(Limit::default());
    let _ = subscriber(log, env, Arc::clone(&limit), io::stderr)?.try_init();
    let _ = LIMIT.set(limit);
    Ok(())
}

static LIMIT: OnceLock<Arc<Limit>> = OnceLock::new();

/// How many lines were not shown and not counted in a later one: for the last words.
pub(crate) fn suppressed() -> u64 {
    LIMIT.get().map_or(0, |limit| limit.untold())
}

/// From the moment that `over` answers true, no log line is shown: a command that ends with its reader ends without a word, and what
/// its parts say about a reader that left would be one. The first call counts.
pub(crate) fn hush_once(over: impl Fn() -> bool + Send + Sync + 'static) {
    let _ = HUSH.set(Box::new(over));
}

static HUSH: OnceLock<Box<dyn Fn() -> bool + Send + Sync>> = OnceLock::new();

/// Tells a person, escaped. A standard error that is closed is no reason to fail.
pub fn say(message: &str) {
    escape::to_stderr(message);
}

type Shown = Box<dyn Subscriber + Send + Sync>;

fn subscriber<W>(log: Log, env: &Env, limit: Arc<Limit>, out: W) -> Result<Shown, Failure>
where
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    let filter = match env.filled("RUST_LOG") {
        Some(directives) => EnvFilter::try_new(&directives)
            .map_err(|error| Failure::config(format_args!("RUST_LOG in the environment is no filter: {error}")))?,
        None => EnvFilter::new(format!("warn,drivetap={}", log.level.as_str().to_ascii_lowercase())),
    };
    let writer = Escaping { out, escape: if log.format == LogFormat::Json { for_json } else { for_text } };
    // Colours would be escaped as well.
    let lines = tracing_subscriber::fmt::layer().with_ansi(false).with_writer(writer);
    let counted = Arc::clone(&limit);
    let lines = match log.format {
        LogFormat::Text => lines.map_event_format(|inner| Counted::new(inner, counted, LogFormat::Text)).boxed(),
        LogFormat::Json => {
            let lines = lines.json().flatten_event(true).with_current_span(false);
            lines.map_event_format(|inner| Counted::new(inner, counted, LogFormat::Json)).boxed()
        }
    };
    Ok(Box::new(Registry::default().with(lines).with(Limited(limit)).with(Capped(filter))))
}

/// The filter, and the cap that no filter lifts.
///
/// It is a layer of its own. As `Layer::with_filter`, a record of the `log` crate that it refuses would take the next line of the same
/// thread with it: such a record is asked about and never sent, and what was decided about it is left behind for the one that is.
struct Capped(EnvFilter);

impl Capped {
    fn lets_through(metadata: &Metadata<'_>) -> bool {
        *metadata.level() <= Level::INFO || is_ours(metadata.target())
    }
}

impl<S: Subscriber> Layer<S> for Capped {
    fn register_callsite(&self, metadata: &'static Metadata<'static>) -> Interest {
        if Self::lets_through(metadata) { Layer::<S>::register_callsite(&self.0, metadata) } else { Interest::never() }
    }

    fn enabled(&self, metadata: &Metadata<'_>, context: Context<'_, S>) -> bool {
        Self::lets_through(metadata) && self.0.enabled(metadata, context)
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        self.0.max_level_hint()
    }

    // For directives that ask for a span.
    fn on_new_span(&self, attributes: &span::Attributes<'_>, id: &span::Id, context: Context<'_, S>) {
        self.0.on_new_span(attributes, id, context);
    }

    fn on_record(&self, id: &span::Id, values: &span::Record<'_>, context: Context<'_, S>) {
        self.0.on_record(id, values, context);
    }

    fn on_enter(&self, id: &span::Id, context: Context<'_, S>) {
        self.0.on_enter(id, context);
    }

    fn on_exit(&self, id: &span::Id, context: Context<'_, S>) {
        self.0.on_exit(id, context);
    }

    fn on_close(&self, id: span::Id, context: Context<'_, S>) {
        self.0.on_close(id, context);
    }
}

// `drivetap`, `drivetap_bridge`, …
fn is_ours(target: &str) -> bool {
    let name = target.split("::").next().unwrap_or_default();
    name == "drivetap" || name.starts_with("drivetap_")
}

/// Escapes what is inside a line; a write is a line.
struct Escaping<W> {
    out: W,
    escape: fn(&str) -> Cow<'_, str>,
}

struct EscapingLine<W> {
    out: W,
    escape: fn(&str) -> Cow<'_, str>,
}

impl<'a, W: MakeWriter<'a>> MakeWriter<'a> for Escaping<W> {
    type Writer = EscapingLine<W::Writer>;

    fn make_writer(&'a self) -> Self::Writer {
        EscapingLine { out: self.out.make_writer(), escape: self.escape }
    }
}

impl<W: Write> Write for EscapingLine<W> {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        if HUSH.get().is_some_and(|over| over()) {
            return Ok(line.len());
        }
        let text = String::from_utf8_lossy(line);
        let (text, end) = text.strip_suffix('\n').map_or((text.as_ref(), ""), |text| (text, "\n"));
        let text = format!("{}{end}", (self.escape)(text));
        progress::beside(|| self.out.write_all(text.as_bytes()))?;
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Mutex, PoisonError};

    use tracing::subscriber::with_default;

    use super::*;

    #[derive(Clone, Default)]
    struct Kept(Arc<Mutex<Vec<u8>>>);

    impl Kept {
        fn text(&self) -> String {
            String::from_utf8(self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()).expect("UTF-8")
        }
    }

    impl Write for Kept {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn logged(log: Log, rust_log: Option<&'static str>, act: impl FnOnce()) -> String {
        let kept = Kept::default();
        let out = kept.clone();
        let env = Env::new(move |name| (name == "RUST_LOG").then_some(rust_log).flatten().map(str::to_owned));
        let subscriber = subscriber(log, &env, Arc::default(), move || out.clone()).expect("a filter");
        with_default(subscriber, act);
        kept.text()
    }

    fn everything() {
        tracing::trace!(target: "tungstenite::handshake", "GET /?token=secret");
        tracing::debug!(target: "drivetapish", "secret");
        tracing::info!(target: "reqwest", "theirs");
        tracing::warn!(target: "rdkafka", "warned");
        tracing::info!(target: "drivetap_bridge::feed", "ours");
        tracing::trace!(target: "drivetap", "detail");
    }

    #[test]
    fn what_dependencies_say_below_info_is_never_shown() {
        for (rust_log, shown, hidden) in [
            (None, vec!["ours", "warned"], vec!["secret", "theirs", "detail"]),
            (Some("trace"), vec!["ours", "theirs", "detail"], vec!["secret"]),
            (Some("trace,tungstenite=trace"), vec!["ours"], vec!["secret"]),
            (Some("tungstenite=trace"), vec![], vec!["secret", "ours"]),
            (Some("off"), vec![], vec!["ours", "warned"]),
        ] {
            let text = logged(Log::default(), rust_log, everything);
            assert!(shown.iter().all(|word| text.contains(word)), "{rust_log:?}: {text}");
            assert!(!hidden.iter().any(|word| text.contains(word)), "{rust_log:?}: {text}");
        }
    }

    #[test]
    fn a_record_that_is_refused_takes_no_other_line_with_it() {
        use tracing_log::log;

        let _ = tracing_log::LogTracer::init_with_filter(log::LevelFilter::Info);
        let line = || tracing::warn!("ours");
        // Twice, because the filter remembers the line's place from its first time on.
        let text = logged(Log::default(), None, || {
            line();
            log::info!(target: "rdkafka", "theirs");
            line();
        });
        assert_eq!((text.matches("ours").count(), text.matches("theirs").count()), (2, 0), "{text}");
    }

    #[test]
    fn a_log_line_drives_no_terminal_in_either_format() {
        let nasty = || tracing::warn!(name = "a\u{202e}b", "one\ntwo \u{1b}[2J\u{9b}3m");
        let text = logged(Log::default(), None, nasty);
        assert_eq!(text.matches('\n').count(), 1, "{text:?}");
        assert!(!text.contains(['\u{1b}', '\u{9b}', '\u{202e}']), "{text:?}");

        let text = logged(Log { format: LogFormat::Json, ..Log::default() }, None, nasty);
        assert!(!text.contains(['\u{1b}', '\u{9b}', '\u{202e}']), "{text:?}");
        let line: serde_json::Value = serde_json::from_str(&text).expect("JSON");
        assert_eq!(line["message"], "one\ntwo \u{1b}[2J\u{9b}3m");
        assert_eq!(line["level"], "WARN");
    }

    #[test]
    fn a_line_that_repeats_is_cut_short_and_counted_in_both_formats() {
        let storm = |n| (0..n).for_each(|n| tracing::warn!(n, reason = "again", "the session ended"));
        for format in [LogFormat::Text, LogFormat::Json] {
            let text = logged(Log { format, ..Log::default() }, None, || {
                storm(Limit::LINES + 5);
                tracing::warn!("another place");
            });
            assert_eq!(text.matches("again").count(), usize::try_from(Limit::LINES).expect("few"), "{text}");
            assert_eq!(text.matches("another place").count(), 1);
        }
        // Who asks for details gets all of them.
        let detail = || (0..Limit::LINES + 5).for_each(|n| tracing::debug!(target: "drivetap", n, "detail"));
        let all = logged(Log::default(), Some("drivetap=debug"), detail);
        assert_eq!(all.lines().count(), usize::try_from(Limit::LINES + 5).expect("few"));
    }

    #[test]
    fn a_filter_that_is_none_is_a_bad_configuration() {
        let env = Env::new(|_| Some("drivetap=loud".to_owned()));
        let Err(failure) = subscriber(Log::default(), &env, Arc::default(), io::sink) else { panic!("not a filter") };
        assert!(failure.message.starts_with("RUST_LOG in the environment is no filter: "), "{}", failure.message);
    }
}
