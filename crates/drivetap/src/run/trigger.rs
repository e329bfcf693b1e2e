//! `trigger`: a change in a running emulator's drive, over its control API.

use std::time::Duration;

use drivetap_emulator::ME_DRIVE;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::print;
use crate::everyday::{Trigger, TriggerChange};
use crate::exit::Failure;

/// Prints the ids of the items that changed, one a line.
pub(super) async fn trigger(args: Trigger) -> Result<(), Failure> {
    let Trigger { change, emulator, drive } = args;
    if !emulator.ip().is_loopback() {
        return Err(Failure::usage(format_args!("--emulator {emulator}: an emulator listens on loopback addresses only")));
    }
    let drive = utf8_percent_encode(drive.as_deref().unwrap_or(ME_DRIVE), NON_ALPHANUMERIC).to_string();
    let (path, body) = match change {
        TriggerChange::Create { path } => {
            let (parent, name) = path.rsplit_once('/').unwrap_or(("", &path));
            (
                format!("/control/drives/{drive}"),
                json!({"op": "create", "name": name, "parent": format!("/{}", parent.trim_matches('/'))}),
            )
        }
        TriggerChange::Rename { item, name } => {
            (format!("/control/drives/{drive}"), json!({"op": "rename", "item": item, "name": name}))
        }
        TriggerChange::Delete { item } => (format!("/control/drives/{drive}"), json!({"op": "delete", "item": item})),
        TriggerChange::Burst { files } => (format!("/control/drives/{drive}/burst"), json!({"files": files})),
    };
    let missing = |error: &dyn std::fmt::Display| {
        Failure::unavailable(format_args!(
            "no emulator answers at {emulator}: {error}\nstart one in another terminal: drivetap emulator --listen {emulator}"
        ))
    };
    let asked = tokio::time::timeout(PATIENCE, post(emulator, &path, &body)).await;
    let (status, answer) =
        asked.map_err(|_| missing(&format!("nothing within {PATIENCE:?}")))?.map_err(|error| missing(&error))?;
    let answer: Value = serde_json::from_str(&answer).map_err(|_| missing(&"what answers there is no emulator"))?;
    if status != 200 {
        let said = answer["error"].as_str().unwrap_or("it did not say why");
        return Err(Failure::usage(format_args!("the emulator refuses: {said}")));
    }
    let items = answer["items"].as_array().cloned().unwrap_or_else(|| vec![answer["item"].clone()]);
    print(&items.iter().filter_map(Value::as_str).collect::<Vec<_>>().join("\n"))
}

/// A burst of 10,000 files on a slow machine takes seconds.
const PATIENCE: Duration = Duration::from_secs(60);
/// Ids of 10,000 items, and room.
const LARGEST: u64 = 4 * 1024 * 1024;

/// As much HTTP as a loopback emulator needs: the status and the body.
async fn post(address: std::net::SocketAddr, path: &str, body: &Value) -> std::io::Result<(u16, String)> {
    let mut stream = TcpStream::connect(address).await?;
    let body = body.to_string();
    let request = format!(
        "POST {path} HTTP/1.0\r\nHost: {address}\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(request.as_bytes()).await?;
    let mut answer = Vec::new();
    stream.take(LARGEST).read_to_end(&mut answer).await?;
    let answer = String::from_utf8_lossy(&answer);
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or_default();
    Ok((status, body.to_owned()))
}
