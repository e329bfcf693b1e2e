mod since;

use std::sync::Arc;
use std::time::Duration;

use drivetap_bridge::core::escape::for_text;
use drivetap_bridge::core::feed::{Emit, Start, SubscriptionSettings};
use drivetap_bridge::core::{Drive, Resource};
use drivetap_bridge::sink::NotReady;
use drivetap_bridge::{Handle, MemoryStore, Report, Role, SinkSettings};
use jiff::Timestamp;

use self::since::{Since, knows_times};
use super::connect::connect;
use super::look_up::look_up;
use super::ready::Spinner;
use super::whose::whose;
use super::{after, say_drained, until_closed};
use crate::cli::{EventKind, Listen};
use crate::config::{Config, OutputFormat, SinkConfig, SinkKind, Subscription};
use crate::env::Env;
use crate::exit::Failure;
use crate::logs::say;
use crate::run::Streams;
use crate::signals::Signals;
use crate::sink_url::SinkUrl;
use crate::wiring::Parts;

/// `listen`: one person, a terminal, no state. What it needs has to be there, else it ends and says what is missing.
pub(super) struct Listening {
    config: Config,
    env: Env,
    streams: Streams,
    since: Option<Timestamp>,
    lasts: Option<Duration>,
}

impl Listening {
    pub(super) fn new(args: Listen, env: &Env, streams: Streams) -> Result<Self, Failure> {
        let Listen { resources, sink, format, types, since, lasts, connection } = args;
        if let Some(twice) = resources.iter().enumerate().find(|(n, resource)| resources[..*n].contains(resource)) {
            return Err(Failure::usage(format_args!("{} is there twice", twice.1)));
        }
        let emit = Emit { signals: types.contains(&EventKind::Signal), changes: types.contains(&EventKind::Change) };
        if since.is_some() && !emit.changes {
            return Err(Failure::usage("--since is for changes, which --type leaves out: nobody keeps signals"));
        }
        let sinks = vec![sink_of(sink, format, streams)?];
        let mut config = connect(connection, env)?;
        let account = config.accounts.first().map(|account| account.name.clone()).unwrap_or_default();
        let start = if since.is_some() { Start::Beginning } else { Start::Latest };
        let subscription =
            |resource| Subscription { account: account.clone(), settings: SubscriptionSettings { resource, emit, start } };
        config.subscriptions = resources.into_iter().map(subscription).collect();
        config.sinks = sinks;
        let since = since.map(|since| since.before(Timestamp::now()));
        Ok(Self { config, env: env.clone(), streams, since, lasts })
    }

    pub(super) async fn run(self) -> Result<(), Failure> {
        let Self { mut config, env, streams, since, lasts } = self;
        let signals = Signals::watch()?;
        let sinks = std::mem::take(&mut config.sinks);
        let mut parts = Parts::new(&config, sinks, &env, streams)?;
        if parts.has_closed_stdout() {
            return Ok(());
        }
        let spinner = Spinner::new("asking Graph");
        let watched = tokio::select! {
            checked = check(&config, &mut parts, &env, &spinner) => checked?,
            () = signals.asked() => {
                drop(spinner);
                say_drained(&Report::default(), "");
                return Ok(());
            }
        };
        if let Some(since) = since {
            begin_at(since, &watched, &config, &mut parts, &spinner);
        }
        spinner.waits_for("opening the socket");

        let stdout = parts.stdout.take();
        let pipeline = parts.pipeline(&config, Arc::new(MemoryStore::default()))?;
        let handle = pipeline.handle();
        let over = async {
            tokio::select! {
                () = signals.asked() => {}
                () = after(lasts) => {}
            }
        };
        let run = until_closed(pipeline, over, config.deadline, stdout, &config.accounts);
        tokio::pin!(run);
        let ended = tokio::select! {
            ended = &mut run => {
                drop(spinner);
                ended
            }
            () = ready(&handle) => {
                drop(spinner);
                let names: Vec<_> = watched.iter().map(|watched| format!("{} ({})", watched.resource, watched.words)).collect();
                let by_itself = lasts.map_or_else(String::new, |lasts| format!(" Ends by itself {lasts:?} after its start."));
                // A name is what somebody gave a drive: it begins no line of its own.
                say(&format!("Ready. Watching {}. Ctrl-C ends.{by_itself}", for_text(&names.join(", "))));
                run.await
            }
        };
        if let Some(report) = ended? {
            say_drained(&report, "");
        }
        Ok(())
    }
}

/// A resource, with the drive that it turned out to be.
struct Watched {
    resource: Resource,
    drive: Drive,
    words: String,
}

/// Graph knows each resource and the sink is there, before anything is promised.
async fn check(config: &Config, parts: &mut Parts, env: &Env, spinner: &Spinner) -> Result<Vec<Watched>, Failure> {
    let mut watched = Vec::new();
    for subscription in &config.subscriptions {
        let Some((_, graph, _)) = parts.graphs.iter().find(|(name, ..)| *name == subscription.account) else {
            continue;
        };
        let Some(account) = config.accounts.iter().find(|account| account.name == subscription.account) else {
            continue;
        };
        let resource = subscription.settings.resource.clone();
        let drive = look_up(&resource, graph.as_ref(), config, account).await?;
        let words = whose(&resource, &drive, config, account, env).await;
        spinner.say(&format!("{resource} is the {} drive {}", drive.drive_type, drive.id));
        watched.push(Watched { resource, drive, words });
    }
    for (settings, sink) in &mut parts.sinks {
        spinner.waits_for(&format!("connecting to the sink {}", settings.name));
        sink.connect().await.map_err(|error| match error {
            // A server's words begin no line of their own either.
            NotReady::Later(reason) => Failure::unavailable(format_args!("sink {}: {}", settings.name, for_text(&reason))),
            NotReady::Never(reason) => Failure::config(format_args!("sink {}: {}", settings.name, for_text(&reason))),
        })?;
    }
    Ok(watched)
}

/// `--since`: the first walk of each drive shows what changed from then on.
fn begin_at(since: Timestamp, watched: &[Watched], config: &Config, parts: &mut Parts, spinner: &Spinner) {
    for Watched { resource, drive, .. } in watched.iter().filter(|watched| !knows_times(&watched.drive.drive_type)) {
        spinner.say(&format!(
            "{resource}: delta takes no time on a {} drive. What was modified since then is found by an enumeration, and what was \
             deleted before now is unknown.",
            drive.drive_type
        ));
    }
    for (_, graph, _) in &mut parts.graphs {
        let drives = watched.iter().map(|watched| &watched.drive);
        *graph = Arc::new(Since::new(Arc::clone(graph), &config.graph.base_url, since, drives));
    }
}

/// Waits until every subscription has its session.
async fn ready(handle: &Handle) {
    /// A person does not see less; nothing tells when it changes.
    const LOOK: Duration = Duration::from_millis(50);

    let mut looks = tokio::time::interval(LOOK);
    loop {
        looks.tick().await;
        let status = handle.status();
        if status.is_ready() && status.unresolved.is_empty() && status.feeds.iter().all(|feed| feed.status.connected()) {
            return;
        }
    }
}

/// The one sink that a URL names.
pub(in crate::run) fn sink_of(sink: SinkUrl, format: Option<OutputFormat>, streams: Streams) -> Result<SinkConfig, Failure> {
    if format.is_some() && !matches!(sink, SinkUrl::Stdout) {
        return Err(Failure::usage("--format is for standard output: a bus gets JSON"));
    }
    let (name, role, kind) = match sink {
        SinkUrl::Stdout => ("console", Role::Durable, stdout(streams.format(format))?),
        SinkUrl::Kafka { bootstrap_servers, topic } => ("kafka", Role::Durable, kafka(bootstrap_servers, topic)?),
        #[cfg(feature = "redis")]
        SinkUrl::Redis { url, channel } => {
            ("redis", Role::Live, SinkKind::Redis(drivetap_bridge::sink_redis::RedisConfig::new(url, channel)))
        }
        #[cfg(not(feature = "redis"))]
        SinkUrl::Redis => return Err(Failure::not_compiled_in("the sink redis", "redis")),
    };
    Ok(SinkConfig { settings: SinkSettings::new(name, role), kind })
}

#[cfg(feature = "stdout")]
fn stdout(format: OutputFormat) -> Result<SinkKind, Failure> {
    Ok(SinkKind::Stdout(format))
}

#[cfg(not(feature = "stdout"))]
fn stdout(_: OutputFormat) -> Result<SinkKind, Failure> {
    Err(Failure::not_compiled_in("the sink stdout", "stdout"))
}

#[cfg(feature = "kafka")]
fn kafka(bootstrap_servers: String, topic: String) -> Result<SinkKind, Failure> {
    use drivetap_bridge::sink_kafka::{KafkaConfig, KafkaSink};

    let config = KafkaConfig::new(bootstrap_servers, topic);
    // For its checks: what is wrong here was typed as an argument.
    KafkaSink::new(config.clone()).map_err(|error| Failure::usage(format_args!("--sink: {error}")))?;
    Ok(SinkKind::Kafka(config))
}

#[cfg(not(feature = "kafka"))]
fn kafka(_: String, _: String) -> Result<SinkKind, Failure> {
    Err(Failure::not_compiled_in("the sink kafka", "kafka"))
}
