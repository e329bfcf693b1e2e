//! My drive's changes on standard output, as a program of one's own:
//! `DRIVETAP_TOKEN=… cargo run -p drivetap-bridge --example pipeline --features native,reqwest,stdout`
//!
//! `DRIVETAP_BASE_URL` points it at an emulator (`cargo run -- emulator`).

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use drivetap_bridge::core::feed::{Emit, Start, SubscriptionSettings};
use drivetap_bridge::core::{AccountName, Resource};
use drivetap_bridge::graph::{BaseUrl, EnvToken, GraphClient, GraphConfig};
use drivetap_bridge::sink_stdout::{Format, StdoutSink};
use drivetap_bridge::transport::{Native, NativeConfig};
use drivetap_bridge::{Pipeline, Role, SinkSettings};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    rustls::crypto::ring::default_provider().install_default().map_err(|_| "a TLS provider is installed already")?;
    let env = |name: &str| std::env::var(name).ok();
    let base_url = env("DRIVETAP_BASE_URL").map(|url| url.parse()).transpose()?.unwrap_or_else(BaseUrl::default);

    let config = GraphConfig { base_url: base_url.clone(), ..GraphConfig::default() };
    let graph = GraphClient::new(config, Arc::new(EnvToken::new("DRIVETAP_TOKEN", env)))?;
    let transport = Native::new(&NativeConfig::default())?;
    let emit = Emit { signals: false, changes: true };
    let pipeline = Pipeline::builder(base_url.to_string(), Arc::new(transport))
        .account(AccountName::default(), Arc::new(graph))
        .subscription(AccountName::default(), SubscriptionSettings { resource: Resource::Me, emit, start: Start::Beginning })
        .sink(SinkSettings::new("stdout", Role::Durable), Box::new(StdoutSink::new(Format::Json)))
        .build()?;
    let report = pipeline.run(async { drop(tokio::signal::ctrl_c().await) }, Duration::from_secs(10)).await?;
    eprintln!("{}", report.total());
    Ok(())
}
