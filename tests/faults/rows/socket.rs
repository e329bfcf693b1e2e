//! Faults of the socket.io session: its frames, its handshake, its heartbeat, its end.

use std::time::Duration;

use drivetap_emulator::{Expiry, Handshake, SocketFault};
use tokio::time::sleep;

use super::graph::quick_pings;
use super::{Row, together};
use crate::stage::Stage;

pub(super) fn rows() -> Vec<Row> {
    [frames(), handshakes(), ends(), expiries()].into_iter().flatten().collect()
}

fn frames() -> Vec<Row> {
    vec![
        together(
            "frame-truncated",
            "a packet that breaks off, then a websocket frame that does, then the line hangs up",
            60,
            |stage| {
                let packet = text(r#"42/notifications,["notification","{\"value\":[{\"subscr"#);
                Box::pin(hostile(stage, vec![packet, SocketFault::Bytes(b"\x81\x7d42/notif".to_vec()), SocketFault::HangUp]))
            },
        ),
        together("frame-oversized", "a frame of 2 MiB, and one that promises 1 TiB (the cap is 1 MiB)", 60, |stage| {
            let mut frame = vec![0x81, 127];
            frame.extend((2_u64 << 20).to_be_bytes());
            frame.resize(frame.len() + (2 << 20), b'4');
            let mut promise = vec![0x81, 127];
            promise.extend((1_u64 << 40).to_be_bytes());
            Box::pin(hostile(stage, vec![SocketFault::Bytes(frame), SocketFault::Bytes(promise)]))
        }),
        together("frame-not-json", "packets and payloads that are no JSON, or another JSON", 60, |stage| {
            let packets = [
                r#"42/notifications,["notification",not json]"#,
                r#"42/notifications,["notification","not JSON"]"#,
                r#"42/notifications,["notification","[]"]"#,
                r#"42/notifications,["notification",7]"#,
                r#"42/notifications,{}"#,
                "9",
                "42",
            ];
            Box::pin(hostile(stage, packets.into_iter().map(text).collect()))
        }),
        together("frame-binary", "a binary frame, and a binary event with its attachment", 60, |stage| {
            let attachment = SocketFault::Bytes(b"\x82\x04\x00\xff\x13\x37".to_vec());
            let event = text(r#"451-/notifications,["notification",{"_placeholder":true,"num":0}]"#);
            Box::pin(hostile(stage, vec![attachment.clone(), event, attachment]))
        }),
        together("frame-deep", "JSON nested 200,000 deep, as a packet and inside a payload", 60, |stage| {
            let deep = format!("{}{}", "[".repeat(200_000), "]".repeat(200_000));
            let packets = [
                format!(r#"42/notifications,["notification",{deep}]"#),
                format!(r#"42/notifications,["notification","{{\"value\":{deep}}}"]"#),
            ];
            Box::pin(hostile(stage, packets.iter().map(|packet| text(packet)).collect()))
        }),
    ]
}

fn handshakes() -> Vec<Row> {
    vec![
        together("handshake-silent-upgrade", "the upgrade succeeds, then nothing is said, for 12 s", 60, |stage| {
            Box::pin(shaky(stage, Handshake::SilentUpgrade))
        }),
        together("handshake-silent-namespace", "the namespace is never answered, for 12 s", 60, |stage| {
            Box::pin(shaky(stage, Handshake::SilentNamespace))
        }),
        together("handshake-refused", "the upgrade is answered 503 for 12 s", 60, |stage| {
            Box::pin(shaky(stage, Handshake::Refused(503)))
        }),
        together("socketio-connect-error", "the namespace is refused for 12 s", 60, |stage| {
            Box::pin(shaky(stage, Handshake::ConnectError("Unauthorized".to_owned())))
        }),
    ]
}

fn ends() -> Vec<Row> {
    vec![
        together("socketio-disconnect", "the server leaves the namespace, six times", 60, |stage| {
            Box::pin(ended(stage, SocketFault::Disconnect))
        }),
        together("engineio-close", "the server closes the engine.io session, six times", 60, |stage| {
            Box::pin(ended(stage, SocketFault::CloseEngine))
        }),
        together("websocket-close", "the server closes the websocket, six times", 60, |stage| {
            Box::pin(ended(stage, SocketFault::CloseWebsocket))
        }),
        together("socket-reset", "RST on the websocket, six times", 60, |stage| Box::pin(ended(stage, SocketFault::Reset))),
        together("socket-half-open", "the websocket is dead and nobody says so; Graph's REST is not touched", 60, |stage| {
            Box::pin(stalled(stage))
        }),
    ]
}

fn expiries() -> Vec<Row> {
    vec![
        together("expiry-with-close", "the endpoint expires early and the server leaves the namespace", 60, |stage| {
            Box::pin(expired(stage, Expiry::Disconnect))
        }),
        together("expiry-with-websocket-close", "the endpoint expires early and the server closes the websocket", 60, |stage| {
            Box::pin(expired(stage, Expiry::CloseWebsocket))
        }),
        together(
            "expiry-without-close",
            "the endpoint expires early; its socket stays open, answers pings and signals nothing",
            60,
            |stage| Box::pin(expired(stage, Expiry::Silent)),
        ),
        together(
            "expiry-renewed",
            "endpoints live 12 s and expire without a word, for 30 s: each is renewed before",
            60,
            |stage| Box::pin(renewed(stage)),
        ),
    ]
}

fn text(packet: &str) -> SocketFault {
    SocketFault::Frame(packet.to_owned())
}

/// Each is said to whatever session there is then: some cost it.
async fn hostile(stage: &mut Stage, faults: Vec<SocketFault>) {
    stage.start().await;
    for fault in faults {
        stage.joined().await;
        assert!(stage.graph().socket_fault(&fault) > 0, "nobody was there to hear it");
        stage.me().burst(3).unwrap();
        sleep(Duration::from_millis(700)).await;
    }
    stage.chapter().await;
    stage.fault_ends();
}

/// No session comes about. Delta is polled meanwhile.
async fn shaky(stage: &mut Stage, handshake: Handshake) {
    stage.start().await;
    stage.graph().switch(|switches| switches.handshake = handshake);
    stage.graph().socket_fault(&SocketFault::HangUp);
    stage.keeps_up(Duration::from_secs(30)).await;
    sleep(Duration::from_secs(8)).await;
    assert_eq!(stage.graph().stats().subscribers, 0, "nobody can have joined");
    stage.graph().switch(|switches| switches.handshake = Handshake::Normal);
    stage.fault_ends();
}

async fn ended(stage: &mut Stage, fault: SocketFault) {
    stage.start().await;
    for _ in 0..6 {
        stage.joined().await;
        stage.me().burst(3).unwrap();
        assert!(stage.graph().socket_fault(&fault) > 0);
        stage.me().burst(3).unwrap();
        sleep(Duration::from_millis(500)).await;
    }
    stage.chapter().await;
    stage.fault_ends();
}

async fn stalled(stage: &mut Stage) {
    quick_pings(stage);
    stage.start().await;
    assert!(stage.graph().socket_fault(&SocketFault::Stall) > 0);
    stage.fault_ends();
    stage.chapter().await;
}

async fn expired(stage: &mut Stage, expiry: Expiry) {
    stage.setup.delta.insert("safety_walk", "20s");
    stage.start().await;
    // A walk that is left over would find what nobody signals.
    stage.quiet().await;
    stage.graph().switch(|switches| switches.expiry = expiry);
    stage.graph().expire_endpoints();
    stage.fault_ends();
    if expiry == Expiry::Silent {
        // Only the safety walk finds these.
        stage.holds(Duration::ZERO).await;
    } else {
        stage.chapter().await;
    }
}

async fn renewed(stage: &mut Stage) {
    stage.setup.emulator.switches.endpoint_lifetime = Duration::from_secs(12);
    stage.setup.emulator.switches.expiry = Expiry::Silent;
    stage.setup.delta.insert("safety_walk", "10m");
    stage.start().await;
    for _ in 0..4 {
        stage.chapter().await;
        sleep(Duration::from_secs(6)).await;
    }
    let joined = stage.graph().stats().joined;
    assert!(joined >= 3, "{joined} sessions in more than 30 s of endpoints that live 12 s");
    stage.fault_ends();
}
