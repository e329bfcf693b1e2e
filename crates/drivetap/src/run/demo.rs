use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use drivetap_bridge::core::feed::{Emit, Start, SubscriptionSettings};
use drivetap_bridge::core::{AccountName, Resource};
use drivetap_bridge::graph::Quota;
use drivetap_bridge::{MemoryStore, Role, SinkSettings};
use drivetap_emulator::{Animation, Config as EmulatorConfig, Emulator, ME_DRIVE, StartError};

use super::{say_drained, until_closed};
use crate::cli::{Demo, EmulatorArgs};
use crate::config::{Account, Config, GraphSection, Log, Network, SinkConfig, SinkKind, Subscription, TokenFrom};
use crate::env::Env;
use crate::exit::Failure;
use crate::logs::say;
use crate::run::Streams;
use crate::signals::Signals;
use crate::wiring::Parts;

const NEXT: &str = "\
That was an emulator. With a real account:
  drivetap login --client-id …   # once; docs/sign-in.md shows how to get the id
  drivetap listen me
  drivetap listen drive:b!… --sink kafka://localhost:9092/drive-events
Or with this emulator, in a terminal of its own:
  drivetap emulator --rate 1";

/// `demo`: the whole path in one process, for a while.
pub(super) struct Demonstration {
    args: Demo,
    streams: Streams,
}

impl Demonstration {
    pub(super) fn new(args: Demo, streams: Streams) -> Self {
        Self { args, streams }
    }

    pub(super) async fn run(self) -> Result<(), Failure> {
        let Self { args, streams } = self;
        let signals = Signals::watch()?;
        let emulator = start(EmulatorConfig::default()).await?;
        say(&format!("Microsoft Graph is played at {} for {:?}; Ctrl-C ends it", emulator.base_url(), args.lasts));

        let mut config = config(&emulator, &args, streams)?;
        // It takes any token; nothing of the real environment is needed.
        let env = Env::new(|_| Some("demo".to_owned()));
        let sinks = std::mem::take(&mut config.sinks);
        let mut parts = Parts::new(&config, sinks, &env, streams)?;
        let stdout = parts.stdout.take();
        let pipeline = parts.pipeline(&config, Arc::new(MemoryStore::default()))?;

        let activity = Animation { rate: args.rate, drives: vec![ME_DRIVE.to_owned()], ..Animation::default() };
        let over = async {
            tokio::select! {
                () = emulator.animate(activity) => {}
                () = tokio::time::sleep(args.lasts) => {}
                () = signals.asked() => {}
            }
        };
        let ended = until_closed(pipeline, over, config.deadline, stdout, &config.accounts).await;
        emulator.shutdown().await;
        if let Some(report) = ended? {
            say_drained(&report, NEXT);
        }
        Ok(())
    }
}

/// `emulator`: until a signal.
pub(super) async fn emulator(args: EmulatorArgs) -> Result<(), Failure> {
    let signals = Signals::watch()?;
    let emulator = start(EmulatorConfig { listen: args.listen, ..EmulatorConfig::default() }).await?;
    let (base_url, address) = (emulator.base_url(), emulator.address());
    let at = if address == SocketAddr::from(([127, 0, 0, 1], 4010)) { String::new() } else { format!(" --emulator {address}") };
    say(&format!(
        "Microsoft Graph is played at {base_url}. In another terminal:\n  \
         drivetap login --base-url {base_url}\n  \
         drivetap listen me\n\
         Or without signing in, for any token is taken:\n  \
         DRIVETAP_TOKEN=any drivetap listen me --base-url {base_url}\n\
         Changes are made by hand, or with --rate:\n  \
         drivetap trigger create /Hello.docx{at}"
    ));
    tokio::select! {
        () = emulator.animate(Animation { rate: args.rate, ..Animation::default() }) => {}
        () = signals.asked() => {}
    }
    emulator.shutdown().await;
    Ok(())
}

async fn start(config: EmulatorConfig) -> Result<Emulator, Failure> {
    Emulator::start(config).await.map_err(|error| match &error {
        StartError::NotLoopback(_) => Failure::usage(error),
        StartError::Listen { source, .. } => Failure::unavailable(format_args!("{error}: {source}")),
    })
}

fn config(emulator: &Emulator, args: &Demo, streams: Streams) -> Result<Config, Failure> {
    let settings =
        SubscriptionSettings { resource: Resource::Me, emit: Emit { signals: true, changes: true }, start: Start::Latest };
    let account = AccountName::default();
    Ok(Config {
        graph: GraphSection::at(emulator.base_url().parse().map_err(Failure::internal)?),
        accounts: vec![Account {
            name: account.clone(),
            token: TokenFrom::Env("DRIVETAP_TOKEN".to_owned()),
            quota: Quota::default(),
        }],
        subscriptions: vec![Subscription { account, settings }],
        state: None,
        sinks: vec![SinkConfig {
            settings: SinkSettings::new("console", Role::Durable),
            kind: SinkKind::Stdout(streams.format(args.format)),
        }],
        network: Network::from_env(&Env::new(|_| None)).map_err(Failure::internal)?,
        admin: None,
        deadline: Duration::from_secs(5),
        log: Log::default(),
    })
}
