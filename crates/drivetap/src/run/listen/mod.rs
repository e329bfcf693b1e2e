use std::sync::Arc;
use std::time::Duration;

use drivetap_bridge::core::feed::{Emit, Start, SubscriptionSettings};
use drivetap_bridge::core::{AccountName, Resource};
use drivetap_bridge::sink::NotReady;
use drivetap_bridge::{Handle, MemoryStore, Report, Role, SinkSettings};

use super::connect::connect;
use super::look_up::look_up;
use super::{say_drained, until_closed};
use crate::cli::Listen;
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
}

impl Listening {
    pub(super) fn new(args: Listen, env: &Env, streams: Streams) -> Result<Self, Failure> {
        let Listen { resources, sink, format, connection } = args;
        if let Some(twice) = resources.iter().enumerate().find(|(n, resource)| resources[..*n].contains(resource)) {
            return Err(Failure::usage(format_args!("{} is there twice", twice.1)));
        }
        let sinks = vec![sink_of(sink, format, streams)?];
        let mut config = connect(connection, env)?;
        let account = config.accounts.first().map(|account| account.name.clone()).unwrap_or_default();
        config.subscriptions = resources.into_iter().map(|resource| everything(resource, account.clone())).collect();
        config.sinks = sinks;
        Ok(Self { config, env: env.clone(), streams })
    }

    pub(super) async fn run(self) -> Result<(), Failure> {
        let Self { mut config, env, streams } = self;
        let signals = Signals::watch()?;
        let sinks = std::mem::take(&mut config.sinks);
        let mut parts = Parts::new(&config, sinks, &env, streams)?;
        if parts.has_closed_stdout() {
            return Ok(());
        }
        tokio::select! {
            checked = check(&config, &mut parts) => checked?,
            () = signals.asked() => {
                say_drained(&Report::default(), "");
                return Ok(());
            }
        }
        let stdout = parts.stdout.take();
        let pipeline = parts.pipeline(&config, Arc::new(MemoryStore::default()))?;
        let handle = pipeline.handle();
        let run = until_closed(pipeline, signals.asked(), config.deadline, stdout, &config.accounts);
        tokio::pin!(run);
        let ended = tokio::select! {
            ended = &mut run => ended,
            () = ready(&handle) => {
                say("listening; Ctrl-C ends it");
                run.await
            }
        };
        if let Some(report) = ended? {
            say_drained(&report, "");
        }
        Ok(())
    }
}

/// Graph knows each resource and the sink is there, before anything is promised.
async fn check(config: &Config, parts: &mut Parts) -> Result<(), Failure> {
    for subscription in &config.subscriptions {
        let Some((_, graph, _)) = parts.graphs.iter().find(|(name, ..)| *name == subscription.account) else {
            continue;
        };
        let Some(account) = config.accounts.iter().find(|account| account.name == subscription.account) else {
            continue;
        };
        let resource = &subscription.settings.resource;
        let drive = look_up(resource, graph.as_ref(), config, account).await?;
        say(&format!("{resource} is the {} drive {}", drive.drive_type, drive.id));
    }
    for (settings, sink) in &mut parts.sinks {
        sink.connect().await.map_err(|error| match error {
            NotReady::Later(reason) => Failure::unavailable(format_args!("sink {}: {reason}", settings.name)),
            NotReady::Never(reason) => Failure::config(format_args!("sink {}: {reason}", settings.name)),
        })?;
    }
    Ok(())
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

fn everything(resource: Resource, account: AccountName) -> Subscription {
    let settings = SubscriptionSettings { resource, emit: Emit { signals: true, changes: true }, start: Start::Latest };
    Subscription { account, settings }
}

fn sink_of(sink: SinkUrl, format: Option<OutputFormat>, streams: Streams) -> Result<SinkConfig, Failure> {
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
