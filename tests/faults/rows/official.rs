//! The ends of a session once more, by the official socket.io server.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::sleep;

use super::{Row, together};
use crate::stage::Stage;

pub(super) fn rows() -> Vec<Row> {
    vec![
        together("official-disconnect", "the official socket.io server makes it leave the namespace, six times", 60, |stage| {
            Box::pin(ended(stage, json!({ "disconnect": true })))
        }),
        together("official-engine-close", "the official socket.io server closes the engine.io session, six times", 60, |stage| {
            Box::pin(ended(stage, json!({ "closeEngine": true })))
        }),
        together("official-connect-error", "the official socket.io server refuses the namespace for 10 s", 60, |stage| {
            Box::pin(refused(stage))
        }),
    ]
}

async fn ended(stage: &mut Stage, end: Value) {
    stage.setup.official = true;
    stage.start().await;
    for _ in 0..6 {
        stage.joined().await;
        stage.me().burst(3).unwrap();
        stage.official().command(end.clone()).await;
        stage.me().burst(3).unwrap();
        sleep(Duration::from_millis(500)).await;
    }
    stage.chapter().await;
    stage.fault_ends();
}

async fn refused(stage: &mut Stage) {
    stage.setup.official = true;
    stage.start().await;
    stage.official().command(json!({ "refuse": "not now" })).await;
    stage.official().command(json!({ "closeEngine": true })).await;
    stage.keeps_up(Duration::from_secs(30)).await;
    sleep(Duration::from_secs(6)).await;
    assert!(stage.official().refused() > 0 && !stage.official().is_joined(), "nobody can have joined");
    stage.official().command(json!({ "refuse": false })).await;
    stage.fault_ends();
}
