use std::io::ErrorKind;
use std::net::SocketAddr;
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;
use drivetap_bridge::core::escape::for_text;
use drivetap_bridge::{Handle, PipelineStatus};
use jiff::Timestamp;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tracing::info;

use crate::bounded::Bounded;
use crate::exit::Failure;
use crate::metrics::Metrics;

/// `[admin]`: `/healthz`, `/readyz` and `/metrics` over HTTP. Nothing in them is secret, and nothing can be changed through them.
pub(crate) struct Admin {
    stop: CancellationToken,
    served: JoinHandle<()>,
}

#[derive(Clone)]
struct Seen {
    pipeline: Handle,
    metrics: Metrics,
}

impl Admin {
    /// At once: a probe and a scraper need one each.
    const CONNECTIONS: usize = 64;
    /// Of a connection, used or not.
    const LIFE: Duration = Duration::from_secs(30);
    /// How long an answer that is on its way may take at the end.
    const PARTING: Duration = Duration::from_secs(1);

    /// Listens. Needs a runtime.
    pub(crate) async fn start(listen: SocketAddr, pipeline: Handle, metrics: Metrics) -> Result<Self, Failure> {
        let listener = TcpListener::bind(listen).await.map_err(|error| {
            let message = format!("[admin] cannot listen on {listen}: {error}");
            if error.kind() == ErrorKind::AddrInUse { Failure::unavailable(message) } else { Failure::config(message) }
        })?;
        if let Ok(address) = listener.local_addr() {
            info!(%address, "[admin] answers");
        }
        let stop = CancellationToken::new();
        let stopped = stop.clone().cancelled_owned();
        let served = tokio::spawn(async move {
            // It ends when it is stopped; the type allows for listeners that fail, and this one does not.
            let _ = axum::serve(Bounded::new(listener, Self::CONNECTIONS, Self::LIFE), router(Seen { pipeline, metrics }))
                .with_graceful_shutdown(stopped)
                .await;
        });
        Ok(Self { stop, served })
    }

    /// Closes the port and waits for answers that are on their way.
    pub(crate) async fn stop(mut self) {
        self.stop.cancel();
        let _ = tokio::time::timeout(Self::PARTING, &mut self.served).await;
    }
}

impl Drop for Admin {
    fn drop(&mut self) {
        self.served.abort();
    }
}

fn router(seen: Seen) -> Router {
    Router::new()
        .route("/healthz", get(async || "ok\n"))
        .route("/readyz", get(ready))
        .route("/metrics", get(numbers))
        .with_state(seen)
}

async fn ready(State(seen): State<Seen>) -> impl IntoResponse {
    match why_not(&seen.pipeline.status()) {
        None => (StatusCode::OK, "ready\n".to_owned()),
        Some(reason) => (StatusCode::SERVICE_UNAVAILABLE, reason),
    }
}

async fn numbers(State(seen): State<Seen>) -> impl IntoResponse {
    let text = seen.metrics.render(&seen.pipeline.status(), Timestamp::now());
    // https://prometheus.io/docs/instrumenting/exposition_formats/
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], text)
}

fn why_not(status: &PipelineStatus) -> Option<String> {
    match (status.is_ready(), status.draining, status.unsaved()) {
        (true, ..) => None,
        (_, true, _) => Some("draining\n".to_owned()),
        (.., Some(reason)) => Some(format!("{}\n", for_text(reason))),
        _ => Some("no session\n".to_owned()),
    }
}
