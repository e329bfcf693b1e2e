//! Live roles: what they may lose, they tell; what is durable beside them loses nothing and waits for nobody.

use std::time::Duration;

use super::sink::{down, up};
use super::{Row, together};
use crate::sinks::Kind;
use crate::stage::Stage;

pub(super) fn rows() -> Vec<Row> {
    vec![
        together("live-stdout", "stdout is live and nobody reads it for 12 s; the other two are durable", 60, |stage| {
            Box::pin(live(stage, Kind::Stdout))
        }),
        together("live-kafka", "Kafka is live and its broker is killed for 12 s; the other two are durable", 60, |stage| {
            Box::pin(live(stage, Kind::Kafka))
        }),
        together("live-redis", "Redis is live and killed for 12 s; the other two are durable", 60, |stage| {
            Box::pin(live(stage, Kind::Redis))
        }),
    ]
}

/// More than the live sink's window and a pipe hold.
async fn live(stage: &mut Stage, kind: Kind) {
    stage.setup.live = vec![kind];
    stage.setup.sink_keys.insert(kind, "window = 20000\noverflow_after = \"1s\"\n".to_owned());
    stage.start().await;
    down(stage, kind).await;
    for _ in 0..4 {
        stage.me().burst(100).unwrap();
        stage.keeps_up(Duration::from_secs(30)).await;
    }
    up(stage, kind).await;
    stage.fault_ends();
    stage.loss_is_told(kind).await;
}
