//! The emulator's pages, recorded once and served from memory, so that making them is nobody's cost.

use std::collections::HashMap;
use std::process::Stdio;
use std::sync::{Arc, Mutex};
use std::time::Instant;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Request, State};
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use drivetap_emulator::{Config, Emulator, Limits, ME_DRIVE};
use serde_json::Value;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::net::TcpListener;
use tokio::process::{Child, Command};

/// A server of pages in a process of its own, which ends with this.
pub(crate) struct Served {
    pub(crate) base_url: String,
    pub(crate) items: u64,
    pub(crate) pages: u64,
    pub(crate) bytes: u64,
    _process: Child,
}

impl Served {
    pub(crate) async fn start(items: usize) -> Self {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["serve", &items.to_string()]).stdout(Stdio::piped()).kill_on_drop(true);
        let mut process = command.spawn().unwrap();
        let mut line = String::new();
        BufReader::new(process.stdout.take().unwrap()).read_line(&mut line).await.unwrap();
        let said: Value = serde_json::from_str(&line).unwrap();
        let number = |name: &str| said[name].as_u64().unwrap();
        Self {
            base_url: said["base_url"].as_str().unwrap().to_owned(),
            items: number("items"),
            pages: number("pages"),
            bytes: number("bytes"),
            _process: process,
        }
    }

    /// Seconds since a walk last began: since the drive's root was asked for.
    pub(crate) async fn clock(&self) -> f64 {
        let text = reqwest::get(format!("{}/clock", self.base_url)).await.unwrap().text().await.unwrap();
        text.parse().unwrap()
    }
}

#[derive(Default)]
struct Recorded {
    /// By path and query.
    answers: HashMap<String, Bytes>,
    items: usize,
    pages: usize,
    bytes: usize,
}

/// Serves until it is killed; says where on standard output.
pub(crate) async fn serve(items: usize) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let origin = format!("http://{}", listener.local_addr().unwrap());
    let recorded = record(items, &origin).await;
    let said = serde_json::json!({
        "base_url": format!("{origin}/v1.0"), "items": recorded.items, "pages": recorded.pages, "bytes": recorded.bytes,
    });
    println!("{said}");
    let state = Arc::new((recorded.answers, Mutex::new(Instant::now())));
    axum::serve(listener, Router::new().fallback(answer).with_state(state)).await.unwrap();
}

type Shared = Arc<(HashMap<String, Bytes>, Mutex<Instant>)>;

async fn answer(State(shared): State<Shared>, request: Request) -> impl IntoResponse {
    let (answers, begun) = &*shared;
    let asked = request.uri().path_and_query().unwrap().as_str();
    if asked.ends_with("/clock") {
        let passed = begun.lock().unwrap().elapsed().as_secs_f64();
        return (StatusCode::OK, [(header::CONTENT_TYPE, "text/plain")], passed.to_string().into());
    }
    if asked.ends_with("/root/delta") {
        *begun.lock().unwrap() = Instant::now();
    }
    let json = [(header::CONTENT_TYPE, "application/json")];
    match answers.get(asked) {
        Some(body) => (StatusCode::OK, json, body.clone()),
        // The socket's endpoint among others: this is about walks.
        None => (StatusCode::BAD_REQUEST, json, Bytes::from_static(br#"{"error":{"code":"notSupported"}}"#)),
    }
}

/// Walks an emulated drive of so many items once and keeps what it answered, as if it had answered at `origin`.
async fn record(items: usize, origin: &str) -> Recorded {
    let limits = Limits { items: items + 1, ..Limits::default() };
    let emulator = Emulator::start(Config { limits, ..Config::default() }).await.unwrap();
    let drive = emulator.drive(ME_DRIVE).unwrap();
    let there = drive.items().len();
    drive.burst(items.saturating_sub(there)).unwrap();

    let mut recorded = Recorded::default();
    let client = reqwest::Client::new();
    let mut path = "/v1.0/me/drive?$select=id,driveType".to_owned();
    let mut next = Some(format!("/v1.0/drives/{}/root/delta", drive.id()));
    loop {
        let request = client.get(format!("{}{path}", emulator.origin())).bearer_auth("EwB4A8l6BAAUopaque.access.token");
        let body = request.header("deltaExcludeParent", "true").send().await.unwrap().error_for_status().unwrap();
        let body = body.text().await.unwrap().replace(emulator.origin(), origin);
        let page: Value = serde_json::from_str(&body).unwrap();
        if let Some(value) = page["value"].as_array() {
            recorded.items += value.len();
            recorded.pages += 1;
            recorded.bytes += body.len();
            next = page["@odata.nextLink"].as_str().map(|link| link.strip_prefix(origin).unwrap().to_owned());
        }
        recorded.answers.insert(path, body.into());
        match next.take() {
            Some(link) => path = link,
            None => break,
        }
    }
    emulator.shutdown().await;
    recorded
}
