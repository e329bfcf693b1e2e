//! `record`: what Graph and its socket say of one drive, into a file.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use drivetap_bridge::core::feed::{Emit, Start, SubscriptionSettings};
use drivetap_bridge::core::{Event, Resource};
use drivetap_bridge::sink::{NotReady, Outcome, Sink};
use drivetap_bridge::{MemoryStore, Role, SinkSettings};

use super::connect::connect;
use super::look_up::look_up;
use super::until_closed;
use crate::config::{Config, Subscription};
use crate::env::Env;
use crate::everyday::Record;
use crate::exit::Failure;
use crate::logs::say;
use crate::recording::{Recorder, TappedGraph, TappedTransport};
use crate::run::Streams;
use crate::signals::Signals;
use crate::wiring::{Parts, transport};

/// What was asked for, and the way to Graph.
pub(super) struct RecordingRun {
    config: Config,
    env: Env,
    streams: Streams,
    file: PathBuf,
    resource: Resource,
    lasts: Option<Duration>,
    names: bool,
}

impl RecordingRun {
    pub(super) fn new(args: Record, env: &Env, streams: Streams) -> Result<Self, Failure> {
        let Record { file, resource, lasts, names, connection } = args;
        if file.exists() {
            return Err(there_already(&file));
        }
        let config = connect(connection, env)?;
        Ok(Self { config, env: env.clone(), streams, file, resource, lasts, names })
    }

    pub(super) async fn run(self) -> Result<(), Failure> {
        let Self { mut config, env, streams, file, resource, lasts, names } = self;
        let signals = Signals::watch()?;
        let account = config.accounts.first().cloned().ok_or_else(|| Failure::config("there is no account"))?;
        let settings = SubscriptionSettings {
            resource: resource.clone(),
            emit: Emit { signals: true, changes: true },
            start: Start::Latest,
        };
        config.subscriptions = vec![Subscription { account: account.name.clone(), settings }];
        let mut parts = Parts::new(&config, Vec::new(), &env, streams)?;
        let Some((_, graph, _)) = parts.graphs.first_mut() else {
            return Err(Failure::config("there is no account"));
        };
        let drive = tokio::select! {
            drive = look_up(&resource, graph.as_ref(), &config, &account) => drive?,
            () = signals.asked() => return Ok(()),
        };
        let recorder = Recorder::create(&file, &drive, names).map_err(|error| match error.kind() {
            io::ErrorKind::AlreadyExists => there_already(&file),
            _ => cannot_write(&file, &error),
        })?;
        *graph = Arc::new(TappedGraph { graph: Arc::clone(graph), recorder: recorder.clone() });
        parts.sinks.push((SinkSettings::new("nowhere", Role::Durable), Box::new(Nowhere)));
        let transport = TappedTransport { transport: transport(&config.network)?, recorder: recorder.clone() };
        let pipeline = parts.pipeline_over(&config, Arc::new(MemoryStore::default()), Arc::new(transport))?;
        let with = if names { "with every name in it" } else { "without a token or a name" };
        say(&format!("Recording {resource} into {}, {with}. Ctrl-C ends.", file.display()));
        let over = async {
            tokio::select! {
                () = signals.asked() => {}
                () = super::after(lasts) => {}
            }
        };
        until_closed(pipeline, over, config.deadline, None, &config.accounts).await?;
        let lines = recorder.finish().map_err(|error| cannot_write(&file, &error))?;
        say(&format!("{}: {lines} lines; look through them before you hand them over", file.display()));
        Ok(())
    }
}

fn there_already(file: &std::path::Path) -> Failure {
    Failure::usage(format_args!("{} is there already: name another file, or remove it", file.display()))
}

fn cannot_write(file: &std::path::Path, error: &io::Error) -> Failure {
    Failure::unavailable(format_args!("{} cannot be written: {error}", file.display()))
}

/// Takes every event and keeps none: what is wanted is what made them.
struct Nowhere;

#[async_trait]
impl Sink for Nowhere {
    async fn connect(&mut self) -> Result<(), NotReady> {
        Ok(())
    }

    async fn publish(&mut self, batch: &[Arc<Event>]) -> Outcome {
        Outcome::all(batch.len())
    }

    async fn close(self: Box<Self>, _within: Duration) {}
}
