//! From a configuration to the parts of a pipeline: the one place that knows which parts were compiled in.

use std::path::PathBuf;
use std::sync::Arc;

use drivetap_bridge::core::AccountName;
use drivetap_bridge::graph::{Graph, Quota};
use drivetap_bridge::sink::{DeadLetterBox, Sink};
use drivetap_bridge::transport::Transport;
use drivetap_bridge::{MemoryStore, Pipeline, SinkSettings, Store};
use tracing::warn;

use crate::config::{Config, GraphSection, Network, SinkConfig, SinkKind, TransportKind};
use crate::env::Env;
use crate::exit::{Failure, chain};
use crate::run::Streams;

/// Graph as each account sees it, and how much it may ask.
type Graphs = Vec<(AccountName, Arc<dyn Graph>, Quota)>;

/// The parts of a pipeline, made and not yet put together.
pub(crate) struct Parts {
    pub(crate) graphs: Graphs,
    pub(crate) sinks: Vec<(SinkSettings, Box<dyn Sink>)>,
    letter_boxes: Vec<(String, Box<dyn DeadLetterBox>)>,
    pub(crate) stdout: Option<StdoutClosed>,
}

/// Tells when the reader of standard output has gone away.
#[cfg(feature = "stdout")]
pub(crate) type StdoutClosed = drivetap_bridge::sink_stdout::Closed;
/// There is no such reader in this binary.
#[cfg(not(feature = "stdout"))]
pub(crate) type StdoutClosed = std::convert::Infallible;

impl Parts {
    /// Makes Graph as each account sees it, and the sinks. Connects to nothing.
    pub(crate) fn new(config: &Config, sinks: Vec<SinkConfig>, env: &Env, streams: Streams) -> Result<Self, Failure> {
        let mut parts = Self { graphs: graphs(config, env)?, sinks: Vec::new(), letter_boxes: Vec::new(), stdout: None };
        for SinkConfig { settings, kind } in sinks {
            if let Some(letter_box) = letter_box(&kind)? {
                parts.letter_boxes.push((settings.name.clone(), letter_box));
            }
            let sink = parts.sink(kind, streams)?;
            parts.sinks.push((settings, sink));
        }
        Ok(parts)
    }

    /// Whether a sink writes to a standard output that was closed before the program began.
    pub(crate) fn has_closed_stdout(&self) -> bool {
        #[cfg(feature = "stdout")]
        return self.stdout.as_ref().is_some_and(StdoutClosed::is_closed);
        #[cfg(not(feature = "stdout"))]
        false
    }

    /// Says at the start what a closed standard output means; the bridge acts on it.
    pub(crate) fn warn_of_closed_stdout(&self) {
        if self.has_closed_stdout() {
            warn!(
                reason = "it was so before the program began",
                "standard output is closed: its events are held, or left to the other durable sinks; `>/dev/null` throws them away"
            );
        }
    }

    /// Puts them together.
    pub(crate) fn pipeline(self, config: &Config, store: Arc<dyn Store>) -> Result<Pipeline, Failure> {
        self.pipeline_over(config, store, transport(&config.network)?)
    }

    /// Puts them together over another transport than the configuration's.
    pub(crate) fn pipeline_over(
        self,
        config: &Config,
        store: Arc<dyn Store>,
        transport: Arc<dyn Transport>,
    ) -> Result<Pipeline, Failure> {
        let mut builder = Pipeline::builder(config.graph.base_url.to_string(), transport)
            .store(store)
            .timing(config.network.timing.clone())
            .limits(config.network.limits.clone());
        for (name, graph, quota) in self.graphs {
            builder = builder.account_behind(name, graph, quota);
        }
        for subscription in &config.subscriptions {
            builder = builder.subscription(subscription.account.clone(), subscription.settings.clone());
        }
        for (settings, sink) in self.sinks {
            builder = builder.sink(settings, sink);
        }
        for (sink, letter_box) in self.letter_boxes {
            builder = builder.dead_letters(sink, letter_box);
        }
        builder.build().map_err(Failure::config)
    }

    #[cfg_attr(not(feature = "stdout"), expect(clippy::unused_self, reason = "what it keeps comes with the feature stdout"))]
    fn sink(&mut self, kind: SinkKind, streams: Streams) -> Result<Box<dyn Sink>, Failure> {
        match kind {
            #[cfg(feature = "stdout")]
            SinkKind::Stdout(format) => {
                use drivetap_bridge::sink_stdout::{Format, StdoutSink, Style};

                use crate::config::OutputFormat;

                let style = if streams.coloured { Style::Coloured } else { Style::Plain };
                let sink = StdoutSink::new(match format {
                    OutputFormat::Json => Format::Json,
                    OutputFormat::Text => Format::Text(style),
                });
                self.stdout = Some(sink.closed());
                Ok(Box::new(sink))
            }
            #[cfg(feature = "kafka")]
            SinkKind::Kafka(config) => {
                Ok(Box::new(drivetap_bridge::sink_kafka::KafkaSink::new(config).map_err(Failure::config)?))
            }
            #[cfg(feature = "redis")]
            SinkKind::Redis(config) => Ok(Box::new(drivetap_bridge::sink_redis::RedisSink::new(config))),
        }
    }
}

/// Where a sink of this kind itself keeps what it refuses.
fn letter_box(kind: &SinkKind) -> Result<Option<Box<dyn DeadLetterBox>>, Failure> {
    match *kind {
        #[cfg(feature = "stdout")]
        SinkKind::Stdout(_) => Ok(None),
        #[cfg(feature = "kafka")]
        SinkKind::Kafka(ref config) => {
            match drivetap_bridge::sink_kafka::KafkaDeadLetters::new(config).map_err(Failure::config)? {
                Some(letters) => Ok(Some(Box::new(letters))),
                None => Ok(None),
            }
        }
        #[cfg(feature = "redis")]
        SinkKind::Redis(_) => Ok(None),
    }
}

/// The cursors' place. Reads a state file as a whole, on a thread for such work.
pub(crate) async fn store(path: Option<PathBuf>) -> Result<Arc<dyn Store>, Failure> {
    match path {
        Some(path) => file_store(path).await,
        None => Ok(Arc::new(MemoryStore::default())),
    }
}

#[cfg(feature = "redb")]
async fn file_store(path: PathBuf) -> Result<Arc<dyn Store>, Failure> {
    use drivetap_bridge::{OpenStoreError, RedbStore};

    let opened = tokio::task::spawn_blocking(move || RedbStore::open(path)).await.map_err(Failure::internal)?;
    match opened {
        Ok(store) => Ok(Arc::new(store)),
        Err(error @ OpenStoreError::InUse { .. }) => Err(Failure::unavailable(error)),
        Err(error) => Err(Failure::config(error)),
    }
}

#[cfg(not(feature = "redb"))]
async fn file_store(_: PathBuf) -> Result<Arc<dyn Store>, Failure> {
    Err(Failure::not_compiled_in("[state]", "redb"))
}

#[cfg(feature = "reqwest")]
fn graphs(config: &Config, env: &Env) -> Result<Graphs, Failure> {
    let graph = |account: &crate::config::Account| {
        let client: Arc<dyn Graph> = Arc::new(graph_client(config, account, env)?);
        Ok((account.name.clone(), client, account.quota))
    };
    config.accounts.iter().map(graph).collect()
}

/// Graph as an account sees it. Connects to nothing.
#[cfg(feature = "reqwest")]
pub(crate) fn graph_client(
    config: &Config,
    account: &crate::config::Account,
    env: &Env,
) -> Result<drivetap_bridge::graph::GraphClient, Failure> {
    use drivetap_bridge::graph::{CommandToken, EnvToken, FileToken, GraphClient, TokenSource};

    use crate::config::TokenFrom;

    let tokens: Arc<dyn TokenSource> = match &account.token {
        TokenFrom::Env(name) => {
            let env = env.clone();
            Arc::new(EnvToken::new(name, move |name| env.get(name)))
        }
        TokenFrom::File(path) => Arc::new(FileToken::new(path)),
        TokenFrom::Command(words) => {
            let (program, args) = words.split_first().ok_or_else(|| Failure::config("a token's command is empty"))?;
            Arc::new(CommandToken::new(program, args))
        }
        #[cfg(feature = "login")]
        TokenFrom::Login(name) => {
            let store = Arc::new(crate::login::store(env)?);
            let (graph, network) = (config.graph.base_url.clone(), login_network(&config.network));
            Arc::new(drivetap_bridge::graph::login::LoginToken::new(name.clone(), graph, network, store))
        }
        #[cfg(not(feature = "login"))]
        TokenFrom::Login(_) => return Err(Failure::not_compiled_in("token = { login = … }", "login")),
    };
    GraphClient::new(graph_config(&config.graph, &config.network), tokens).map_err(|error| Failure::config(chain(&error)))
}

/// How Graph is reached, by anyone who asks it.
#[cfg(feature = "reqwest")]
pub(crate) fn graph_config(graph: &GraphSection, network: &Network) -> drivetap_bridge::graph::GraphConfig {
    use drivetap_bridge::graph::GraphConfig;

    let default = GraphConfig::default();
    GraphConfig {
        base_url: graph.base_url.clone(),
        notification_hosts: graph.notification_hosts.clone(),
        user_agent: graph.user_agent.clone().unwrap_or(default.user_agent),
        connect_timeout: network.connect_timeout,
        request_timeout: network.request_timeout,
        proxy: network.proxy.clone(),
        ca_pem: network.ca_pem.clone(),
    }
}

/// How the identity platform is reached: as Graph is.
#[cfg(feature = "login")]
pub(crate) fn login_network(network: &Network) -> drivetap_bridge::graph::login::LoginNetwork {
    drivetap_bridge::graph::login::LoginNetwork {
        connect_timeout: network.connect_timeout,
        request_timeout: network.request_timeout,
        proxy: network.proxy.clone(),
        ca_pem: network.ca_pem.clone(),
    }
}

#[cfg(not(feature = "reqwest"))]
fn graphs(_: &Config, _: &Env) -> Result<Graphs, Failure> {
    Err(Failure::not_compiled_in("Graph over HTTPS", "reqwest"))
}

pub(crate) fn transport(network: &Network) -> Result<Arc<dyn Transport>, Failure> {
    match network.transport {
        #[cfg(feature = "native")]
        TransportKind::Native => {
            use drivetap_bridge::transport::{Native, NativeConfig};

            let config = NativeConfig {
                ca_pem: network.ca_pem.clone(),
                proxy: network.proxy.clone(),
                connect_timeout: network.connect_timeout,
            };
            Ok(Arc::new(Native::new(&config).map_err(|error| Failure::config(chain(&error)))?))
        }
        #[cfg(not(feature = "native"))]
        TransportKind::Native => Err(Failure::not_compiled_in("the transport \"native\"", "native")),
        #[cfg(feature = "rust-socketio")]
        TransportKind::RustSocketIo => {
            use drivetap_bridge::transport::{RustSocketIo, RustSocketIoConfig};

            if network.proxy.is_set() {
                warn!(
                    reason = "its library takes none",
                    "the proxy reaches Graph only: the transport \"rust-socketio\" opens its sockets without one"
                );
            }
            let config = RustSocketIoConfig { ca_pem: network.ca_pem.clone(), max_sessions: network.max_sessions };
            Ok(Arc::new(RustSocketIo::new(&config).map_err(|error| Failure::config(chain(&error)))?))
        }
        #[cfg(not(feature = "rust-socketio"))]
        TransportKind::RustSocketIo => Err(Failure::not_compiled_in("the transport \"rust-socketio\"", "rust-socketio")),
    }
}
