//! The socket.io service, frame by frame against the captured ones.

use std::time::Duration;

use crate::support::{Socket, eventually, get, keys, notification_url, send};
use drivetap_emulator::{
    Config, Emulator, Expiry, Fault, Handshake, ME_DRIVE, PERSONAL_DRIVE, Payload, Route, SocketFault, StaleUrl,
};

async fn emulator() -> Emulator {
    Emulator::start(Config::default()).await.unwrap()
}

/// Blanks what differs from run to run, and nothing else.
fn blanked(text: &str) -> String {
    let mut out = String::new();
    let mut digits = 0;
    for c in text.chars() {
        if c.is_ascii_hexdigit() {
            digits += 1;
            continue;
        }
        if digits > 0 {
            out.push('#');
            digits = 0;
        }
        out.push(c);
    }
    out
}

#[tokio::test]
async fn a_session_speaks_the_captured_frames() {
    let emulator = emulator().await;
    let url = notification_url(&emulator, &format!("/drives/{PERSONAL_DRIVE}")).await;
    let mut socket = Socket::upgrade(&url).await.unwrap();

    let open = socket.next().await.unwrap();
    let open: serde_json::Value = serde_json::from_str(open.strip_prefix('0').unwrap()).unwrap();
    assert_eq!((&open["pingInterval"], &open["pingTimeout"]), (&25_000.into(), &20_000.into()));
    assert!(open["sid"].is_string(), "{open}");

    socket.say("40").await;
    let root = socket.next().await.unwrap();
    assert!(root.starts_with("40{\"sid\":\""), "{root}");
    socket.say("40/notifications").await;
    let joined = socket.next().await.unwrap();
    assert!(joined.starts_with("40/notifications,{\"sid\":\""), "{joined}");

    emulator.drive(PERSONAL_DRIVE).unwrap().create("/", "a.txt").unwrap();
    let frame = socket.next().await.unwrap();
    // abraunegg/onedrive#3718, as it came over the wire.
    let captured = r#"42/notifications,["notification","{\"value\":[{\"subscriptionId\":\"5554a2f6-1959-4b95-96f4-369b49212df9\",\"clientState\":\"system-managed:8082D436-D8DA-458D-96AD-34C902B73F37\",\"expirationDateTime\":\"2026-05-11T21:52:27.5200000Z\",\"resource\":\"b8a61df7-e8b3-4e48-9cc2-73425b82160e\",\"tenantId\":\"9188040d-6c67-4c5b-b112-36a304b66dad\",\"siteUrl\":\"/personal/5a0b9e159b3310ad\",\"webId\":\"be8f18aa-284c-4452-8e7d-3db9e0e4babd\"}]}"]"#;
    assert_eq!(blanked(&frame), blanked(captured));
    for constant in [
        r#"\"clientState\":\"system-managed:8082D436-D8DA-458D-96AD-34C902B73F37\""#,
        r#"\"tenantId\":\"9188040d-6c67-4c5b-b112-36a304b66dad\",\"siteUrl\":\"/personal/5a0b9e159b3310ad\""#,
    ] {
        assert!(frame.contains(constant) && captured.contains(constant), "{frame}");
    }
    let expiration = frame.split("expirationDateTime\\\":\\\"").nth(1).unwrap();
    assert_eq!(expiration.split('\\').next().unwrap().len(), "2026-05-11T21:52:27.5200000Z".len());
    emulator.shutdown().await;
}

#[tokio::test]
async fn only_the_drive_that_changed_is_signalled() {
    let emulator = emulator().await;
    let mut mine = Socket::listen(&notification_url(&emulator, "/me/drive").await).await;
    let mut other = Socket::listen(&notification_url(&emulator, &format!("/drives/{PERSONAL_DRIVE}")).await).await;
    emulator.drive(ME_DRIVE).unwrap().burst(3).unwrap();
    for _ in 0..3 {
        mine.signal().await;
    }
    assert!(other.silent_for(Duration::from_millis(100)).await);
    assert_eq!(emulator.stats().notifications, 3);
}

#[tokio::test]
async fn every_shape_of_the_payload_can_be_had() {
    let emulator = emulator().await;
    let mut socket = Socket::listen(&notification_url(&emulator, "/me/drive").await).await;
    let drive = emulator.drive(ME_DRIVE).unwrap();
    let inner = |payload: serde_json::Value| serde_json::from_str::<serde_json::Value>(payload.as_str().unwrap()).unwrap();

    emulator.switch(|switches| switches.notifications_per_frame = 3);
    drive.signal(1);
    assert_eq!(inner(socket.signal().await)["value"].as_array().unwrap().len(), 3);

    emulator.switch(|switches| switches.payload = Payload::Flat);
    drive.signal(1);
    let flat = inner(socket.signal().await);
    assert_eq!(keys(&flat), ["clientState", "resource", "subscriptionExpirationDateTime", "subscriptionId", "userId"]);

    emulator.switch(|switches| switches.payload = Payload::Object);
    drive.signal(1);
    assert!(socket.signal().await["value"][0]["subscriptionId"].is_string());
}

#[tokio::test]
async fn polling_and_older_protocols_are_refused() {
    let emulator = emulator().await;
    let url = notification_url(&emulator, "/me/drive").await;
    let query = url.split_once('?').unwrap().1;
    for (protocol, transport) in [(4, "polling"), (3, "websocket"), (3, "polling")] {
        let url = format!("{}/socket.io/?EIO={protocol}&transport={transport}&{query}", emulator.origin());
        assert_eq!(send("GET", &url, &[], "").await.unwrap().status, 400, "EIO={protocol} {transport}");
    }
}

#[tokio::test]
async fn a_url_that_is_unknown_or_expired_is_refused_both_ways() {
    let emulator = emulator().await;
    let known = notification_url(&emulator, "/me/drive").await;
    let unknown = known.replace("token=", "token=x");
    assert_eq!(Socket::upgrade(&unknown).await.err(), Some(401));
    emulator.expire_endpoints();
    assert_eq!(Socket::upgrade(&known).await.err(), Some(401));

    emulator.switch(|switches| switches.stale_url = StaleUrl::ConnectError);
    let mut socket = Socket::upgrade(&known).await.unwrap();
    socket.next().await.unwrap();
    socket.say("40/notifications,").await;
    assert_eq!(socket.next().await.unwrap(), r#"44/notifications,{"message":"Unauthorized"}"#);
}

#[tokio::test]
async fn a_second_get_ends_the_first_url_where_the_switch_says_so() {
    let emulator = emulator().await;
    let first = notification_url(&emulator, "/me/drive").await;
    let mut socket = Socket::listen(&first).await;
    let second = notification_url(&emulator, "/me/drive").await;
    drop(Socket::listen(&first).await);

    emulator.switch(|switches| switches.second_get_invalidates = true);
    let third = notification_url(&emulator, "/me/drive").await;
    for (url, refused) in [(&first, Some(401)), (&second, Some(401)), (&third, None)] {
        assert_eq!(Socket::upgrade(url).await.err(), refused);
    }
    assert_eq!(socket.next().await.as_deref(), Some("41/notifications,"));
}

#[tokio::test]
async fn an_expiring_endpoint_parts_with_its_socket_in_three_ways() {
    for (expiry, last) in [(Expiry::Disconnect, Some("41/notifications,")), (Expiry::CloseWebsocket, None)] {
        let emulator = emulator().await;
        emulator.switch(|switches| {
            switches.expiry = expiry;
            switches.endpoint_lifetime = Duration::from_millis(150);
        });
        let mut socket = Socket::listen(&notification_url(&emulator, "/me/drive").await).await;
        assert_eq!(socket.next().await.as_deref(), last, "{expiry:?}");
        drop(socket);
        eventually("the subscriber is gone", || emulator.stats().subscribers == 0).await;
    }

    let emulator = emulator().await;
    emulator.switch(|switches| switches.expiry = Expiry::Silent);
    let mut socket = Socket::listen(&notification_url(&emulator, "/me/drive").await).await;
    emulator.expire_endpoints();
    emulator.drive(ME_DRIVE).unwrap().signal(1);
    assert!(socket.silent_for(Duration::from_millis(150)).await);
    assert_eq!(emulator.stats().open_sockets, 1);
}

#[tokio::test]
async fn every_fault_of_a_socket_reaches_the_client() {
    for (fault, last) in [
        (SocketFault::Disconnect, Some("41/notifications,")),
        (SocketFault::CloseEngine, Some("1")),
        (SocketFault::CloseWebsocket, None),
        (SocketFault::HangUp, None),
        (SocketFault::Reset, None),
        (SocketFault::Frame("451-/notifications,[]".to_owned()), Some("451-/notifications,[]")),
        (SocketFault::Bytes(b"\x81\x0451-x".to_vec()), Some("51-x")),
    ] {
        let emulator = emulator().await;
        let mut socket = Socket::listen(&notification_url(&emulator, "/me/drive").await).await;
        assert_eq!(emulator.drive(ME_DRIVE).unwrap().socket_fault(&fault), 1, "{fault:?}");
        assert_eq!(socket.next().await.as_deref(), last, "{fault:?}");
        if matches!(fault, SocketFault::CloseWebsocket | SocketFault::HangUp | SocketFault::Reset) {
            drop(socket);
            eventually("the connection is gone", || emulator.stats().open_sockets == 0).await;
        }
    }
}

#[tokio::test]
async fn a_stalled_socket_says_nothing_and_resumes_with_what_waited() {
    let emulator = emulator().await;
    let mut socket = Socket::listen(&notification_url(&emulator, "/me/drive").await).await;
    let drive = emulator.drive(ME_DRIVE).unwrap();
    drive.socket_fault(&SocketFault::Stall);
    drive.signal(1);
    assert!(socket.silent_for(Duration::from_millis(150)).await);
    drive.socket_fault(&SocketFault::Resume);
    socket.signal().await;
}

#[tokio::test]
async fn a_stalled_socket_stays_open_when_the_server_has_given_it_up() {
    let emulator = Emulator::start(Config {
        ping_interval: Duration::from_millis(50),
        ping_timeout: Duration::from_millis(50),
        ..Config::default()
    })
    .await
    .unwrap();
    let mut socket = Socket::listen(&notification_url(&emulator, "/me/drive").await).await;
    emulator.socket_fault(&SocketFault::Stall);
    eventually("the server's heartbeat fails", || emulator.stats().subscribers == 0).await;
    assert!(socket.silent_for(Duration::from_millis(200)).await, "no FIN from a network that is gone");
    assert_eq!(emulator.stats().open_sockets, 1);
    emulator.shutdown().await;
    assert_eq!(socket.next().await, None);
}

#[tokio::test]
async fn a_handshake_can_go_wrong_in_every_way() {
    let emulator = emulator().await;
    let url = notification_url(&emulator, "/me/drive").await;
    let set = |handshake: Handshake| emulator.switch(|switches| switches.handshake = handshake);

    set(Handshake::Refused(503));
    assert_eq!(Socket::upgrade(&url).await.err(), Some(503));

    set(Handshake::SilentUpgrade);
    let mut silent = Socket::upgrade(&url).await.unwrap();
    assert!(silent.silent_for(Duration::from_millis(100)).await);

    set(Handshake::ConnectError("the namespace is full".to_owned()));
    let mut refused = Socket::upgrade(&url).await.unwrap();
    refused.next().await.unwrap();
    refused.say("40/notifications,").await;
    let frame = refused.next().await.unwrap();
    assert_eq!(frame, r#"44/notifications,{"message":"the namespace is full"}"#);

    set(Handshake::SilentNamespace);
    let mut unanswered = Socket::upgrade(&url).await.unwrap();
    unanswered.next().await.unwrap();
    unanswered.say("40/notifications,").await;
    assert!(unanswered.silent_for(Duration::from_millis(100)).await);

    set(Handshake::Normal);
    emulator.fault(Fault::empty(Route::Socket, 403));
    assert_eq!(Socket::upgrade(&url).await.err(), Some(403));
    drop(Socket::listen(&url).await);
}

#[tokio::test]
async fn shutdown_ends_every_connection_and_gives_the_port_back() {
    let emulator = emulator().await;
    let origin = emulator.origin().to_owned();
    let mut socket = Socket::listen(&notification_url(&emulator, "/me/drive").await).await;
    emulator.fault(Fault::new(Route::Drive, drivetap_emulator::Answer::Hang));
    let url = format!("{}/me/drive", emulator.base_url());
    let hanging = tokio::spawn(async move { send("GET", &url, &[("Authorization", "Bearer x")], "").await.is_none() });
    eventually("the request hangs", || emulator.requests().len() == 3).await;

    emulator.shutdown().await;
    while socket.next().await.is_some() {}
    assert!(hanging.await.unwrap(), "no answer, and no wait either");
    let port = origin.strip_prefix("http://").unwrap();
    tokio::net::TcpListener::bind(port).await.unwrap();
}

#[tokio::test]
async fn dropping_it_ends_it_too() {
    let emulator = emulator().await;
    let url = format!("{}/me/drive", emulator.base_url());
    assert_eq!(get(&url).await.status, 200);
    let mut socket = Socket::listen(&notification_url(&emulator, "/me/drive").await).await;
    drop(emulator);
    while socket.next().await.is_some() {}
}
