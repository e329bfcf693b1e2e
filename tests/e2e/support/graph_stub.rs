//! A Graph of a few lines: the endpoint says whatever a test wants, the drive is there, delta has what it is given.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};

use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinSet;

/// Its one drive, a consumer's.
pub(crate) const DRIVE: &str = "5a0b9e159b3310ad";

/// A server that ends with its test.
pub(crate) struct GraphStub {
    address: SocketAddr,
    shared: Arc<Shared>,
    _serving: JoinSet<()>,
}

struct Shared {
    origin: String,
    endpoint: Answer,
    /// What delta reports after the first link.
    items: Mutex<Vec<Value>>,
    asked: Mutex<Vec<(String, HeaderMap)>>,
}

struct Answer {
    content_type: &'static str,
    body: String,
}

impl GraphStub {
    /// One whose endpoint answers with `body`.
    pub(crate) async fn answering(body: &Value) -> Self {
        Self::start(Answer { content_type: "application/json", body: body.to_string() }).await
    }

    /// One whose endpoint answers with a gateway's page.
    pub(crate) async fn answering_html() -> Self {
        Self::start(Answer { content_type: "text/html", body: "<!DOCTYPE html><html><body>Sorry</body></html>".to_owned() }).await
    }

    async fn start(answer: Answer) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared {
            origin: format!("http://{address}"),
            endpoint: answer,
            items: Mutex::default(),
            asked: Mutex::default(),
        });
        let router = axum::Router::new().fallback(serve).with_state(Arc::clone(&shared));
        let mut serving = JoinSet::new();
        serving.spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { address, shared, _serving: serving }
    }

    pub(crate) fn base_url(&self) -> String {
        format!("http://{}/v1.0", self.address)
    }

    /// Reports these items from now on.
    pub(crate) fn report(&self, items: Vec<Value>) {
        *self.shared.items.lock().unwrap() = items;
    }

    /// Path and query, and the headers, of every request so far.
    pub(crate) fn asked(&self) -> Vec<(String, HeaderMap)> {
        self.shared.asked.lock().unwrap().clone()
    }
}

async fn serve(State(shared): State<Arc<Shared>>, request: Request) -> Response {
    let asked = request.uri().path_and_query().unwrap().to_string();
    shared.asked.lock().unwrap().push((asked.clone(), request.headers().clone()));
    let path = request.uri().path();
    if path.ends_with("/subscriptions/socketIo") {
        let Answer { content_type, body } = &shared.endpoint;
        return ([(header::CONTENT_TYPE, *content_type)], body.clone()).into_response();
    }
    if path.ends_with("/root/delta") {
        let items = if asked.ends_with("token=latest") { Vec::new() } else { shared.items.lock().unwrap().clone() };
        let number = items.len();
        let link = format!("{}/v1.0/drives/{DRIVE}/root/delta?token=after-{number}", shared.origin);
        let known = asked.ends_with(&format!("token=after-{number}"));
        let value = if known { Vec::new() } else { items };
        return axum::Json(json!({ "value": value, "@odata.deltaLink": link })).into_response();
    }
    if path.ends_with("/drive") || path.ends_with(DRIVE) {
        return axum::Json(json!({ "id": DRIVE, "driveType": "personal" })).into_response();
    }
    StatusCode::NOT_FOUND.into_response()
}
