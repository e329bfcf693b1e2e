//! The control API: JSON over HTTP, for people with `curl` and for tests in other languages.
//!
//! Every POST needs `Content-Type: application/json`, so that no web page can make one without a preflight.

use std::sync::Arc;

use axum::{
    Json, Router,
    extract::{Path, Query, State},
    http::StatusCode,
    response::{IntoResponse, Response},
    routing::{get, post},
};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::{
    drive::DriveHandle,
    emulator::{Service, SocketFault},
    fault::Fault,
    model::{Change, ChangeError, NewDrive},
    switches::Switches,
};

/// Files in one burst, at most.
const MAX_BURST: usize = 10_000;

type Shared = State<Arc<Service>>;

pub(crate) fn routes() -> Router<Arc<Service>> {
    Router::new()
        .route("/control/drives", get(drives).post(add_drive))
        .route("/control/drives/{drive}", get(items).post(change))
        .route("/control/drives/{drive}/burst", post(burst))
        .route("/control/drives/{drive}/signal", post(signal))
        .route("/control/drives/{drive}/expire-tokens", post(expire_tokens))
        .route("/control/bind", post(bind))
        .route("/control/switches", get(switches).post(switch))
        .route("/control/faults", post(fault).delete(clear_faults))
        .route("/control/sockets", post(socket_fault))
        .route("/control/endpoints/expire", post(expire_endpoints))
        .route("/control/sign-in", post(sign_in))
        .route("/control/tokens/revoke", post(revoke_tokens))
        .route("/control/stats", get(stats))
        .route("/control/requests", get(requests))
}

async fn drives(State(service): Shared) -> Json<Value> {
    Json(service.with(|world| {
        let drives = world.drives().map(|drive| {
            json!({
                "id": drive.id,
                "kind": drive.kind.as_str(),
                "name": drive.name,
                "items": drive.living(),
                "subscribers": world.sockets(Some(&drive.id)).len(),
            })
        });
        drives.collect()
    }))
}

async fn add_drive(State(service): Shared, Json(new): Json<NewDrive>) -> Response {
    match service.with(|world| world.add_drive(new)) {
        Ok(id) => (StatusCode::CREATED, Json(json!({ "id": id }))).into_response(),
        Err(error) => refused(&error),
    }
}

async fn items(State(service): Shared, Path(drive): Path<String>) -> Response {
    let Some(drive) = handle(&service, &drive) else {
        return unknown_drive(&drive);
    };
    let items = drive.items().into_iter().map(|(id, name)| json!({ "id": id, "name": name }));
    Json(items.collect::<Value>()).into_response()
}

async fn change(State(service): Shared, Path(drive): Path<String>, Json(change): Json<Change>) -> Response {
    let Some(drive) = handle(&service, &drive) else {
        return unknown_drive(&drive);
    };
    match drive.change(&change) {
        Ok(item) => Json(json!({ "item": item })).into_response(),
        Err(error) => refused(&error),
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Burst {
    files: usize,
}

async fn burst(State(service): Shared, Path(drive): Path<String>, Json(Burst { files }): Json<Burst>) -> Response {
    let Some(drive) = handle(&service, &drive) else {
        return unknown_drive(&drive);
    };
    if files > MAX_BURST {
        return says(StatusCode::BAD_REQUEST, &format!("at most {MAX_BURST} files at once"));
    }
    match drive.burst(files) {
        Ok(items) => Json(json!({ "items": items })).into_response(),
        Err(error) => refused(&error),
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Signal {
    count: u16,
}

async fn signal(State(service): Shared, Path(drive): Path<String>, Json(Signal { count }): Json<Signal>) -> Response {
    match handle(&service, &drive) {
        Some(drive) => {
            drive.signal(u32::from(count));
            StatusCode::NO_CONTENT.into_response()
        }
        None => unknown_drive(&drive),
    }
}

async fn expire_tokens(State(service): Shared, Path(drive): Path<String>, Json(Nothing {}): Json<Nothing>) -> Response {
    match handle(&service, &drive) {
        Some(drive) => {
            drive.expire_tokens();
            StatusCode::NO_CONTENT.into_response()
        }
        None => unknown_drive(&drive),
    }
}

/// `{"group":"…","drive":"…"}` or `{"site":"…","list":"…","drive":"…"}`
#[derive(Deserialize)]
#[serde(untagged, deny_unknown_fields)]
enum Bind {
    Group { group: String, drive: String },
    List { site: String, list: String, drive: String },
}

async fn bind(State(service): Shared, Json(bind): Json<Bind>) -> StatusCode {
    service.with(|world| match bind {
        Bind::Group { group, drive } => world.bind_group(&group, &drive),
        Bind::List { site, list, drive } => world.bind_list(&site, &list, &drive),
    });
    StatusCode::NO_CONTENT
}

async fn switches(State(service): Shared) -> Json<Switches> {
    Json(service.with(|world| world.switches.clone()))
}

/// The keys that are given change, the others stay.
async fn switch(State(service): Shared, Json(given): Json<serde_json::Map<String, Value>>) -> Response {
    let changed = service.with(|world| {
        let Value::Object(mut all) = serde_json::to_value(&world.switches)? else {
            return Ok(());
        };
        all.extend(given);
        world.switches = serde_json::from_value(Value::Object(all))?;
        Ok::<_, serde_json::Error>(())
    });
    service.wake_clock();
    match changed {
        Ok(()) => switches(State(service)).await.into_response(),
        Err(error) => says(StatusCode::BAD_REQUEST, &error.to_string()),
    }
}

async fn fault(State(service): Shared, Json(fault): Json<Fault>) -> Response {
    if service.with(|world| world.faults.push(fault)) {
        StatusCode::NO_CONTENT.into_response()
    } else {
        says(StatusCode::CONFLICT, "too many faults wait already")
    }
}

async fn clear_faults(State(service): Shared) -> StatusCode {
    service.with(|world| world.faults.clear());
    StatusCode::NO_CONTENT
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Sockets {
    fault: SocketFault,
    #[serde(default)]
    drive: Option<String>,
}

async fn socket_fault(State(service): Shared, Json(Sockets { fault, drive }): Json<Sockets>) -> Json<Value> {
    Json(json!({ "sockets": service.socket_fault(&fault, drive.as_deref()) }))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Nothing {}

async fn expire_endpoints(State(service): Shared, Json(Nothing {}): Json<Nothing>) -> StatusCode {
    service.with(|world| world.expire_endpoints(Instant::now(), |_| true));
    service.wake_clock();
    StatusCode::NO_CONTENT
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SignIn {
    user_code: String,
    #[serde(default)]
    account: Option<String>,
}

async fn sign_in(State(service): Shared, Json(SignIn { user_code, account }): Json<SignIn>) -> Response {
    if service.with(|world| world.accounts.answer(&user_code, account.as_deref())) {
        StatusCode::NO_CONTENT.into_response()
    } else {
        says(StatusCode::NOT_FOUND, "nobody asked for this code, or there is no such account")
    }
}

async fn revoke_tokens(State(service): Shared, Json(Nothing {}): Json<Nothing>) -> StatusCode {
    service.with(|world| world.accounts.revoke_all(Instant::now()));
    StatusCode::NO_CONTENT
}

async fn stats(State(service): Shared) -> Json<Value> {
    Json(json!(service.stats()))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Since {
    /// The number of the last request that is already known.
    #[serde(default)]
    after: u64,
}

async fn requests(State(service): Shared, Query(Since { after }): Query<Since>) -> Json<Value> {
    Json(service.with(|world| {
        let requests = world.journal.requests().filter(|request| request.number > after);
        requests.map(|request| json!(request)).collect()
    }))
}

fn handle(service: &Arc<Service>, drive: &str) -> Option<DriveHandle> {
    let id = service.with(|world| world.drive(drive).map(|drive| drive.id.clone()))?;
    Some(DriveHandle::new(Arc::clone(service), id))
}

fn unknown_drive(drive: &str) -> Response {
    refused(&ChangeError::NotFound(drive.to_owned()))
}

fn refused(error: &ChangeError) -> Response {
    let status = match error {
        ChangeError::NotFound(_) => StatusCode::NOT_FOUND,
        ChangeError::NameTaken(_) => StatusCode::CONFLICT,
        ChangeError::Full => StatusCode::INSUFFICIENT_STORAGE,
        ChangeError::BadName(_) | ChangeError::NotAFolder(_) | ChangeError::NotAllowed(_) => StatusCode::BAD_REQUEST,
    };
    says(status, &error.to_string())
}

fn says(status: StatusCode, error: &str) -> Response {
    (status, Json(json!({ "error": error }))).into_response()
}
