//! The control API, and activity at random.

use std::time::Duration;

use drivetap_emulator::{Animation, Config, Emulator, ME_DRIVE};
use serde_json::{Value, json};

use crate::support::{Reply, Socket, eventually, get, notification_url, send};

async fn emulator() -> Emulator {
    Emulator::start(Config::default()).await.unwrap()
}

async fn post(emulator: &Emulator, path: &str, body: &Value) -> Reply {
    let url = format!("{}/control{path}", emulator.origin());
    send("POST", &url, &[("Content-Type", "application/json")], &body.to_string()).await.unwrap()
}

#[tokio::test]
async fn a_person_with_curl_can_do_what_a_test_can() {
    let emulator = emulator().await;
    let url = notification_url(&emulator, "/me/drive").await;
    let mut socket = Socket::listen(&url).await;
    let drive = format!("/drives/{ME_DRIVE}");

    for change in [
        json!({ "op": "createFolder", "name": "New" }),
        json!({ "op": "create", "name": "a.txt", "parent": "/New", "size": 3 }),
        json!({ "op": "rename", "item": "/New/a.txt", "name": "b.txt" }),
        json!({ "op": "update", "item": "/New/b.txt" }),
        json!({ "op": "move", "item": "/New/b.txt" }),
        json!({ "op": "delete", "item": "/b.txt" }),
    ] {
        let reply = post(&emulator, &drive, &change).await;
        assert_eq!(reply.status, 200, "{change}: {}", reply.body);
        socket.signal().await;
    }
    let made = post(&emulator, &format!("{drive}/burst"), &json!({ "files": 5 })).await.json();
    assert_eq!(made["items"].as_array().unwrap().len(), 5);
    assert_eq!(post(&emulator, &format!("{drive}/signal"), &json!({ "count": 2 })).await.status, 204);
    for _ in 0..7 {
        socket.signal().await;
    }
    let stats = get(&format!("{}/control/stats", emulator.origin())).await.json();
    assert_eq!((&stats["changes"], &stats["notifications"], &stats["subscribers"]), (&json!(11), &json!(13), &json!(1)));

    let reply = post(&emulator, "/sockets", &json!({ "fault": { "frame": "1" }, "drive": ME_DRIVE })).await;
    assert_eq!(reply.json()["sockets"], 1);
    assert_eq!(socket.next().await.as_deref(), Some("1"));
    assert_eq!(post(&emulator, "/endpoints/expire", &json!({})).await.status, 204);
    assert_eq!(Socket::upgrade(&url).await.err(), Some(401));
}

#[tokio::test]
async fn switches_change_by_key_and_unknown_ones_are_refused() {
    let emulator = emulator().await;
    let given = json!({ "delta_lag_ms": 1_500, "expiry": "silent", "handshake": { "refused": 503 } });
    let now = post(&emulator, "/switches", &given).await.json();
    assert_eq!((&now["delta_lag_ms"], &now["page_size"]), (&json!(1_500), &json!(200)));
    assert_eq!(emulator.switches().delta_lag, Duration::from_millis(1_500));
    let eternal =
        json!({ "handshake": "normal", "delta_lag_ms": u64::MAX, "signal_delay_ms": u64::MAX, "endpoint_lifetime_ms": u64::MAX });
    assert_eq!(post(&emulator, "/switches", &eternal).await.status, 200);
    let url = notification_url(&emulator, "/me/drive").await;
    let mut socket = Socket::listen(&url).await;
    emulator.drive(ME_DRIVE).unwrap().create("/", "a.txt").unwrap();
    assert!(socket.silent_for(Duration::from_millis(50)).await, "a delay without end is one");
    let empty = get(&format!("{}/me/drive/root/delta", emulator.base_url())).await.json();
    assert_eq!(empty["value"], json!([]));

    let refused = post(&emulator, "/switches", &json!({ "delta_lag": 1 })).await;
    assert_eq!(refused.status, 400);
    assert!(refused.body.contains("delta_lag_ms"), "it names what there is: {}", refused.body);
}

#[tokio::test]
async fn faults_and_drives_can_be_added_by_hand() {
    let emulator = emulator().await;
    let fault = json!({ "route": "drive", "answer": { "error": { "status": 429, "code": "x", "retry_after_s": 3 } } });
    assert_eq!(post(&emulator, "/faults", &fault).await.status, 204);
    let reply = get(&format!("{}/me/drive", emulator.base_url())).await;
    assert_eq!((reply.status, reply.header("Retry-After")), (429, Some("3")));

    let id = post(&emulator, "/drives", &json!({ "kind": "personal" })).await.json()["id"].as_str().unwrap().to_owned();
    assert_eq!(post(&emulator, "/bind", &json!({ "group": "g", "drive": id })).await.status, 204);
    assert_eq!(get(&format!("{}/groups/g/drive", emulator.base_url())).await.json()["id"], id);
    let list = get(&format!("{}/control/drives", emulator.origin())).await.json();
    assert_eq!(list.as_array().unwrap().len(), 5);

    let asked = get(&format!("{}/control/requests?after=1", emulator.origin())).await;
    assert_eq!(asked.json()[0]["path"], "/v1.0/groups/g/drive");
    assert!(!asked.body.contains("some-token"), "the log shows no bearer token");
}

#[tokio::test]
async fn what_makes_no_sense_is_refused_with_a_reason() {
    let emulator = emulator().await;
    let drive = format!("/drives/{ME_DRIVE}");
    for (path, body, status) in [
        (drive.clone(), json!({ "op": "delete", "item": "/nothing" }), 404),
        (drive.clone(), json!({ "op": "create", "name": "Notes.md" }), 409),
        (drive.clone(), json!({ "op": "create", "name": "a:b" }), 400),
        (format!("{drive}/burst"), json!({ "files": 1_000_000 }), 400),
        ("/drives/b!nobody".to_owned(), json!({ "op": "createFolder", "name": "x" }), 404),
        ("/drives".to_owned(), json!({ "id": ME_DRIVE }), 409),
    ] {
        let reply = post(&emulator, &path, &body).await;
        assert_eq!(reply.status, status, "{path} {body}: {}", reply.body);
        assert!(reply.json()["error"].is_string());
    }
    let url = format!("{}/control/faults", emulator.origin());
    assert_eq!(send("POST", &url, &[], "{}").await.unwrap().status, 415, "no web page makes a change unasked");
}

#[tokio::test]
async fn activity_goes_on_until_it_is_dropped_and_is_signalled_like_any_change() {
    let emulator = emulator().await;
    let mut socket = Socket::listen(&notification_url(&emulator, "/me/drive").await).await;
    let animation = Animation { rate: 500.0, drives: vec![ME_DRIVE.to_owned()], seed: 7 };
    tokio::select! {
        () = emulator.animate(animation) => panic!("it ended by itself"),
        () = eventually("100 changes", || emulator.stats().changes >= 100) => {}
    }
    let made = emulator.stats().changes;
    for _ in 0..made {
        socket.signal().await;
    }
    assert!(socket.silent_for(Duration::from_millis(100)).await);
    assert_eq!(emulator.stats().changes, made);
}
