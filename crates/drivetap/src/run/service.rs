use tracing::{info, warn};

use super::{failure, say_drained, walks};
use crate::admin::Admin;
use crate::config::Config;
#[cfg(feature = "stdout")]
use crate::config::SinkKind;
use crate::env::Env;
use crate::exit::Failure;
use crate::metrics::Metrics;
use crate::run::Streams;
use crate::signals::Signals;
use crate::wiring::{self, Parts};

/// `run`: waits and retries for as long as nobody stops it.
pub(super) struct Service {
    config: Config,
    env: Env,
    streams: Streams,
}

impl Service {
    pub(super) fn new(config: Config, env: Env, streams: Streams) -> Self {
        Self { config, env, streams }
    }

    pub(super) async fn run(self) -> Result<(), Failure> {
        let Self { mut config, env, streams } = self;
        let signals = Signals::watch()?;
        // Before the first counter: what was counted without a recorder is lost.
        let metrics = config.admin.map(|_| Metrics::install()).transpose()?;
        if config.state.is_none() {
            warn!(
                reason = "nothing says where to keep them",
                "there is no [state], so cursors are kept in memory: a restart begins anew, and changes meanwhile are missed"
            );
        }
        let store = wiring::store(config.state.clone()).await?;
        let sinks = std::mem::take(&mut config.sinks);
        // Events on the same terminal would tear the line to pieces.
        #[cfg(feature = "stdout")]
        let moves = streams.stderr_moves
            && !(streams.stdout_is_terminal && sinks.iter().any(|sink| matches!(sink.kind, SinkKind::Stdout(_))));
        #[cfg(not(feature = "stdout"))]
        let moves = streams.stderr_moves;
        // A standard output that is closed holds its sink, which says so; the process stays.
        let parts = Parts::new(&config, sinks, &env, streams)?;
        parts.warn_of_closed_stdout();
        let pipeline = parts.pipeline(&config, store)?;
        let admin = match config.admin.zip(metrics) {
            Some((listen, metrics)) => Some(Admin::start(listen, pipeline.handle(), metrics).await?),
            None => None,
        };
        info!(
            version = env!("CARGO_PKG_VERSION"),
            graph = %config.graph.base_url,
            subscriptions = config.subscriptions.len(),
            "drivetap runs"
        );
        let handle = pipeline.handle();
        let ended = tokio::select! {
            ended = pipeline.run(signals.asked(), config.deadline) => ended,
            never = walks::watch(&handle, moves) => match never {},
        };
        if let Some(admin) = admin {
            admin.stop().await;
        }
        let report = ended.map_err(|error| failure(&error, &config.accounts, &handle.report()))?;
        say_drained(&report, "");
        Ok(())
    }
}
