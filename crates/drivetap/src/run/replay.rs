//! `replay`: a recording through the same pipeline, to standard output.

use std::sync::Arc;
use std::time::Duration;

use drivetap_bridge::MemoryStore;
use drivetap_bridge::core::feed::{Emit, Start, SubscriptionSettings};
use drivetap_bridge::core::{AccountName, Backoff};
use drivetap_bridge::graph::{BaseUrl, Quota};

use super::{say_drained, until_closed};
use crate::config::{Config, GraphSection, Log, Network, Subscription};
use crate::env::Env;
use crate::everyday::Replay;
use crate::exit::Failure;
use crate::recording::{Player, Recording};
use crate::run::Streams;
use crate::run::listen::sink_of;
use crate::signals::Signals;
use crate::sink_url::SinkUrl;
use crate::wiring::Parts;

/// What is still on its way to the sinks when the last frame was taken.
const GRACE: Duration = Duration::from_millis(500);

pub(super) async fn replay(args: Replay, env: &Env, streams: Streams) -> Result<(), Failure> {
    let Replay { file, format } = args;
    let bad = |error: String| Failure::usage(format_args!("{}: {error}", file.display()));
    let player = Player::new(Recording::read(&file).map_err(Failure::usage)?).map_err(bad)?;
    let signals = Signals::watch()?;
    let account = AccountName::default();
    let settings = SubscriptionSettings {
        resource: player.resource().map_err(bad)?,
        emit: Emit { signals: true, changes: true },
        start: Start::Latest,
    };
    let config = Config {
        graph: GraphSection::at(BaseUrl::default()),
        accounts: Vec::new(),
        subscriptions: vec![Subscription { account: account.clone(), settings }],
        state: None,
        sinks: Vec::new(),
        network: quick(Network::from_env(&Env::new(|_| None)).map_err(Failure::internal)?)?,
        admin: None,
        deadline: Duration::from_secs(30),
        log: Log::default(),
    };
    let sink = sink_of(SinkUrl::Stdout, format, streams)?;
    let mut parts = Parts::new(&config, vec![sink], env, streams)?;
    parts.graphs.push((account, Arc::new(player.clone()), Quota::default()));
    let stdout = parts.stdout.take();
    let pipeline = parts.pipeline_over(&config, Arc::new(MemoryStore::default()), Arc::new(player.clone()))?;
    let over = async {
        tokio::select! {
            () = signals.asked() => {}
            () = async {
                player.over().await;
                tokio::time::sleep(GRACE).await;
            } => {}
        }
    };
    if let Some(report) = until_closed(pipeline, over, config.deadline, stdout, &config.accounts).await? {
        say_drained(&report, "");
    }
    Ok(())
}

/// As many attempts as on the day, without the waits between them.
fn quick(mut network: Network) -> Result<Network, Failure> {
    const SOON: Duration = Duration::from_millis(50);

    let timing = &mut network.timing;
    timing.lag_retries.iter_mut().for_each(|wait| *wait = SOON);
    timing.walk_spacing = SOON;
    timing.backoff = Backoff::try_new(SOON, SOON * 2).map_err(Failure::internal)?;
    Ok(network)
}
