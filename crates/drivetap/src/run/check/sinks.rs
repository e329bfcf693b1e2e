use drivetap_bridge::sink::{NotReady, Sink};

use super::report::Problem;
use crate::config::SinkKind;
use crate::exit::Kind;

/// Connects as `run` would, and publishes nothing: nobody may read an event that is none.
pub(super) async fn probe(kind: SinkKind) -> Result<String, Problem> {
    match kind {
        #[cfg(feature = "stdout")]
        SinkKind::Stdout(_) => Ok("standard output".to_owned()),
        #[cfg(feature = "kafka")]
        SinkKind::Kafka(config) => kafka(config).await,
        #[cfg(feature = "redis")]
        SinkKind::Redis(config) => redis(config).await,
    }
}

#[cfg(feature = "kafka")]
async fn kafka(config: drivetap_bridge::sink_kafka::KafkaConfig) -> Result<String, Problem> {
    use drivetap_bridge::sink_kafka::{KafkaSink, ask_permission};

    const FIX: &str = "start the brokers, make the topic, or permit Describe and Write of it; the reason names which";
    let within = config.connect_timeout;
    let mut sink = KafkaSink::new(config.clone())
        .map_err(|error| Problem::new(Kind::Config, error.to_string(), "correct it; `drivetap validate` shows the place"))?;
    let connected = sink.connect().await;
    Box::new(sink).close(within).await;
    connected.map_err(|error| not_ready(error, FIX))?;
    let granted = ask_permission(config).await.map_err(|error| not_ready(error, FIX))?;
    let idempotently = if granted.idempotent.is_some() { ", idempotently" } else { "" };
    Ok(format!("{} may be written{idempotently}", granted.topics.join(" and ")))
}

#[cfg(feature = "redis")]
async fn redis(config: drivetap_bridge::sink_redis::RedisConfig) -> Result<String, Problem> {
    let mut sink = drivetap_bridge::sink_redis::RedisSink::new(config);
    sink.connect().await.map_err(|error| not_ready(error, "start Redis, or correct url, username and password"))?;
    Ok(match sink.version().await {
        Some(version) => format!("Redis {version}, a primary"),
        None => "connected; it does not tell its version".to_owned(),
    })
}

#[cfg(any(feature = "kafka", feature = "redis"))]
fn not_ready(error: NotReady, fix: &str) -> Problem {
    match error {
        NotReady::Later(reason) => Problem::new(Kind::Unavailable, reason, fix),
        NotReady::Never(reason) => Problem::new(Kind::Config, reason, "correct the sink's configuration"),
    }
}
