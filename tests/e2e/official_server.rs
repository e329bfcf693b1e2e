//! The official `socket.io` server in the place of Graph's service, and the one frame that anybody has captured.

use serde_json::{Value, json};

use crate::support::{CHANGE, Event, GAP, GraphStub, Program, SIGNAL, Scene, SocketIo, TOKEN, assert_valid, config, of_type};

/// The second argument of `42/notifications,["notification","…"]` as it was captured from a live account (abraunegg/onedrive#3718).
const WILD: &str = r#"{"value":[{"subscriptionId":"5554a2f6-1959-4b95-96f4-369b49212df9","clientState":"system-managed:8082D436-D8DA-458D-96AD-34C902B73F37","expirationDateTime":"2026-05-11T21:52:27.5200000Z","resource":"b8a61df7-e8b3-4e48-9cc2-73425b82160e","tenantId":"9188040d-6c67-4c5b-b112-36a304b66dad","siteUrl":"/personal/5a0b9e159b3310ad","webId":"be8f18aa-284c-4452-8e7d-3db9e0e4babd"}]}"#;

/// Whatever a client decodes, sorts or encodes anew, it changes here.
const QUERY: &str = "token=a%2Bb%2fc+d~e==&z=%7E%41&applicationId=e8d4b5a2-3f60&empty=&flag&a=1&a=0";

/// Both transports; ours with the previous major version of the server too, the first to speak engine.io 4.
const EVERY: [(&str, u8); 3] = [("native", 4), ("native", 3), ("rust-socketio", 4)];

/// A Graph whose endpoint leads to `server`.
async fn graph_in_front_of(server: &SocketIo) -> GraphStub {
    GraphStub::answering(&json!({
        "@odata.context": "https://graph.microsoft.com/v1.0/$metadata#subscriptions/$entity",
        "clientState": "system-managed:8082D436-D8DA-458D-96AD-34C902B73F37",
        "expirationDateTime": "2099-12-24T03:32:50.8792357Z",
        "id": "f267729a-51a1-4e7b-a65d-fe76017a5b81",
        "notificationUrl": format!("http://127.0.0.1:{}/notifications?{QUERY}", server.port),
    }))
    .await
}

fn run(transport: &str, folder: &std::path::Path, graph: &GraphStub) -> Program {
    println!("{transport}");
    let file = folder.join("drivetap.toml");
    let rest = "[[subscription]]\nresource = \"me\"\n[sink.console]\ntype = \"stdout\"\n";
    let network = format!("[network]\ntransport = \"{transport}\"\n");
    std::fs::write(&file, config(&graph.base_url(), rest).replacen("[network]\n", &network, 1)).unwrap();
    Program::drivetap(["run".as_ref(), "-c".as_ref(), file.as_os_str()], &[("DRIVETAP_TOKEN", TOKEN)])
}

fn item(id: &str, name: &str) -> Value {
    json!({
        "id": id, "name": name, "lastModifiedDateTime": "2026-05-11T21:28:20Z", "file": {},
        "@microsoft.graph.downloadUrl": "https://my.microsoftpersonalcontent.com/x?tempauth=v1.secret",
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn the_captured_frame_becomes_a_signal_and_delta_tells_what_changed() {
    for (transport, major) in EVERY {
        frame_and_delta(transport, major).await;
    }
}

async fn frame_and_delta(transport: &str, major: u8) {
    let mut server = SocketIo::start(major, json!({})).await;
    let graph = graph_in_front_of(&server).await;
    let folder = tempfile::tempdir().unwrap();
    let program = run(transport, folder.path(), &graph);

    let upgrade = server.next("upgrade").await;
    let connect = server.next("connect").await;
    // Websocket from the first request on: an upgrade of a polling session would bring its `sid`.
    let url = upgrade["url"].as_str().unwrap();
    assert!(url.starts_with("/socket.io/?") && url.contains("EIO=4") && url.contains("transport=websocket"), "{url}");
    assert!(!url.contains("sid="), "{url}");
    assert!(url.contains(QUERY), "the query was changed: {url}");
    assert_eq!(connect["nsp"], "/notifications");
    for line in [&upgrade, &connect] {
        assert!(!line["headers"].as_array().unwrap().contains(&json!("authorization")), "{line}");
    }

    graph.report(vec![item("5A0B9E159B3310AD!101", "Holiday.jpg"), item("5A0B9E159B3310AD!102", "Übersicht.docx")]);
    server.emit(WILD).await;
    let both = |events: &[Event]| of_type(events, SIGNAL).len() == 1 && of_type(events, CHANGE).len() == 2;
    let events = program.events("a signal and two changes", both).await;
    let ended = program.stop().await;

    ended.assert(0, &[]);
    assert_valid(&events);
    let wild: Value = serde_json::from_str(WILD).unwrap();
    assert_eq!(of_type(&events, SIGNAL)[0].data(), &wild["value"][0], "every field, as Graph named it");
    let names: Vec<_> = of_type(&events, CHANGE).iter().map(|event| event.item_name()).collect();
    assert_eq!(names, ["Holiday.jpg", "Übersicht.docx"]);
    assert!(!ended.stdout.concat().contains("tempauth"), "a pre-signed link was published");

    let asked = graph.asked();
    assert!(asked.iter().all(|(_, headers)| headers["authorization"].to_str().unwrap() == format!("Bearer {TOKEN}")));
    let endpoint = asked.iter().position(|(path, _)| path == "/v1.0/me/drive/root/subscriptions/socketIo").unwrap();
    let latest = asked.iter().position(|(path, _)| path.ends_with("/root/delta?token=latest")).unwrap();
    assert!(latest < endpoint, "the cursor is taken before the endpoint is asked for: {asked:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_takes_its_leave_is_joined_again_and_the_gap_is_told() {
    for (transport, major) in EVERY {
        leave(transport, major).await;
    }
}

async fn leave(transport: &str, major: u8) {
    let mut server = SocketIo::start(major, json!({})).await;
    let graph = graph_in_front_of(&server).await;
    let folder = tempfile::tempdir().unwrap();
    let program = run(transport, folder.path(), &graph);
    server.next("connect").await;

    // Nobody signals this: the walk after the reconnect finds it.
    graph.report(vec![item("5A0B9E159B3310AD!103", "Meanwhile.txt")]);
    server.command(&json!({ "disconnect": true })).await;
    server.next("connect").await;
    let told = |events: &[Event]| of_type(events, GAP).len() == 1 && of_type(events, CHANGE).len() == 1;
    let events = program.events("a gap and a change", told).await;
    let ended = program.stop().await;

    ended.assert(0, &[]);
    assert_valid(&events);
    let gap = of_type(&events, GAP)[0].data();
    assert_eq!(
        (&gap["reason"], &gap["affects"], &gap["recovered_by_walk"]),
        (&json!("disconnected"), &json!("signals"), &json!(true))
    );
    let endpoints = graph.asked().iter().filter(|(path, _)| path.ends_with("/subscriptions/socketIo")).count();
    assert!(endpoints >= 2, "a new session wants a new endpoint");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_server_says_that_is_no_notification_costs_a_session_at_most() {
    for (transport, major) in EVERY {
        junk(transport, major).await;
    }
}

async fn junk(transport: &str, major: u8) {
    let mut server = SocketIo::start(major, json!({})).await;
    let graph = graph_in_front_of(&server).await;
    let folder = tempfile::tempdir().unwrap();
    let program = run(transport, folder.path(), &graph);
    server.next("connect").await;

    server.command(&json!({ "emitEvent": "greeting", "args": ["?", { "deep": [[[]]] }] })).await;
    server.command(&json!({ "emitEvent": "message", "args": ["?"] })).await;
    server.emit("{\"value\":[]}").await;
    server.emit(WILD).await;
    let signals = |count: usize| move |events: &[Event]| of_type(events, SIGNAL).len() == count;
    let events = program.events("the signal behind what is passed over", signals(1)).await;
    assert!(of_type(&events, GAP).is_empty(), "{events:#?}");

    let junk = ["", "not JSON", "[]", "{\"value\":[7]}"];
    for (already, text) in (1..).zip(junk) {
        server.emit(text).await;
        server.next("connect").await;
        server.emit(WILD).await;
        program.events(&format!("the signal behind {text:?}"), signals(already + 1)).await;
    }
    let ended = program.stop().await;
    ended.assert(0, &[]);
    let events = ended.events();
    assert_valid(&events);
    let wild: Value = serde_json::from_str(WILD).unwrap();
    assert!(of_type(&events, SIGNAL).iter().all(|event| *event.data() == wild["value"][0]), "{events:#?}");
    assert!(!of_type(&events, GAP).is_empty(), "a session that ended leaves a gap: {events:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn heartbeats_acknowledgements_and_attachments_of_the_official_server_are_understood() {
    for major in [4, 3] {
        // A server that misses an answer hangs up within two seconds.
        let mut server = SocketIo::start(major, json!({ "pingInterval": 300, "pingTimeout": 1_500 })).await;
        let graph = graph_in_front_of(&server).await;
        let folder = tempfile::tempdir().unwrap();
        let program = run("native", folder.path(), &graph);
        server.next("connect").await;

        server.command(&json!({ "emitAck": WILD })).await;
        server.next("acked").await;
        server.command(&json!({ "emitBinary": "greeting" })).await;
        tokio::time::sleep(std::time::Duration::from_secs(4)).await;
        server.emit(WILD).await;
        let both = |events: &[Event]| of_type(events, SIGNAL).len() == 2;
        let events = program.events("a signal before and one after the attachments", both).await;
        program.stop().await.assert(0, &[]);
        assert!(of_type(&events, GAP).is_empty(), "the session stood all the time: {events:#?}");
    }
}

/// The two doubles of Graph agree on what matters here.
#[tokio::test(flavor = "multi_thread")]
async fn the_emulator_signals_with_the_fields_of_the_captured_frame() {
    let scene = Scene::new().await;
    let program = scene.run("[[subscription]]\nresource = \"me\"\n[sink.console]\ntype = \"stdout\"\n");
    scene.subscribed(1).await;
    scene.me().signal(1);
    let events = program.events("a signal", |events| !of_type(events, SIGNAL).is_empty()).await;
    let keys = |value: &Value| value.as_object().unwrap().keys().cloned().collect::<std::collections::BTreeSet<_>>();
    let wild: Value = serde_json::from_str(WILD).unwrap();
    assert_eq!(keys(of_type(&events, SIGNAL)[0].data()), keys(&wild["value"][0]));
}
