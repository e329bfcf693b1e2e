//! `rust_socketio` against servers that misbehave: each fault of that crate, contained.

use std::num::NonZeroUsize;
use std::time::{Duration, Instant};

use drivetap_transport::{Ended, Limits, OpenError, RustSocketIo, RustSocketIoConfig, Session, Transport, Who, Why};
use tokio::time::{sleep, timeout};

use crate::every::{everything, join, refusal};
use crate::server::{Server, Socket, url};

#[tokio::test]
async fn a_frame_that_is_no_packet_ends_the_session_and_closes_the_socket() {
    let network = || Ended { by: Who::Network, why: Why::Closed };
    let malformed = |word: &str| Ended { by: Who::Server, why: Why::Malformed(word.to_owned()) };
    let cases = [
        ("9", network()),
        ("", network()),
        ("4", network()),
        ("0{}", network()),
        ("b!!!", network()),
        ("4x", malformed("unknown packet type")),
        (r#"42/notifications"#, malformed("incomplete packet")),
        (r#"42/notifications,["notification","#, malformed("not JSON")),
        (r#"42/notifications,99999999999["notification"]"#, malformed("invalid packet")),
        (r#"45x-/notifications,["notification"]"#, malformed("invalid packet")),
    ];
    for (frame, ended) in cases {
        let (mut session, mut socket) = joined().await;
        socket.notify("{}").await;
        socket.send(frame).await;
        let heard = everything(&mut *session).await;
        assert_eq!(heard.0.len(), 1, "what came before {frame:?} is handed out");
        assert_eq!(heard.1, ended, "{frame:?}");
        socket.closed().await;
    }
}

#[tokio::test]
async fn a_panic_inside_ends_that_session_only() {
    let transport = transport();
    let server = Server::start().await;
    let (mut bystander, mut bystander_socket) = join(&transport, &server, &Limits::default()).await;
    let (mut session, mut socket) = join(&transport, &server, &Limits::default()).await;
    socket.notify("{}").await;
    socket.send(r#"451-/notifications,["notification",{"_placeholder":true,"num":0}]"#).await;
    let ((heard, ended), ()) = tokio::join!(everything(&mut *session), socket.close());
    assert_eq!(heard.len(), 1);
    assert_eq!(ended, Ended { by: Who::Us, why: Why::Internal("rust_socketio panicked".into()) });

    bystander_socket.ping().await;
    bystander_socket.notify("{}").await;
    bystander.recv(&mut Vec::new(), NonZeroUsize::MIN).await.unwrap();
}

#[tokio::test]
async fn a_ping_interval_beyond_all_numbers_is_contained() {
    let server = Server::start().await;
    let limits = Limits { ping_ceiling: Duration::from_millis(300), ..Limits::default() };
    let (transport, url) = (transport(), server.url());
    for interval in [u64::MAX, u64::MAX / 2, 10_u64.pow(15)] {
        // The client adds the two up, and panics where overflows are checked.
        let panics = interval == u64::MAX && cfg!(debug_assertions);
        let (opened, mut socket) = tokio::join!(transport.open(&url, &limits), async {
            let mut socket = server.upgrade().await;
            socket.handshake(interval, 20_000).await;
            if !panics {
                socket.join().await;
            }
            socket
        });
        match opened {
            Err(error) => {
                assert!(panics, "{error:?}");
                assert_eq!(
                    error,
                    OpenError::Retry { reason: "internal error: rust_socketio panicked (by us) in the handshake".into() }
                );
            }
            Ok(mut session) => {
                let (_, ended) = everything(&mut *session).await;
                assert_eq!(ended, Ended { by: Who::Network, why: Why::Silent });
            }
        }
        socket.closed().await;
    }
}

#[tokio::test]
async fn a_session_that_is_pinged_outlives_the_ceiling_and_ends_with_the_pings() {
    let limits = Limits { ping_ceiling: Duration::from_millis(1_500), ..Limits::default() };
    let (mut session, mut socket) = join(&transport(), &Server::start().await, &limits).await;
    for _ in 0..8 {
        sleep(Duration::from_millis(250)).await;
        socket.ping().await;
        let nothing = timeout(Duration::from_millis(1), session.recv(&mut Vec::new(), NonZeroUsize::MIN)).await;
        nothing.expect_err("nothing to hand out, and no end");
    }
    let start = Instant::now();
    let (_, ended) = everything(&mut *session).await;
    assert_eq!(ended, Ended { by: Who::Network, why: Why::Silent });
    assert!(start.elapsed() < limits.ping_ceiling * 2, "took {:?}", start.elapsed());
    socket.closed().await;
}

#[tokio::test]
async fn the_servers_own_ping_values_end_a_silent_session() {
    let server = Server::start().await;
    let (transport, url, limits) = (transport(), server.url(), Limits::default());
    for last_words in [None, Some("1")] {
        let (opened, mut socket) = tokio::join!(transport.open(&url, &limits), async {
            let mut socket = server.upgrade().await;
            socket.handshake(300, 200).await;
            socket.join().await;
            socket
        });
        if let Some(text) = last_words {
            // An engine.io close with the socket left open is noticed no earlier.
            socket.send(text).await;
        }
        let start = Instant::now();
        let (_, ended) = everything(&mut *opened.unwrap()).await;
        assert_eq!(ended, Ended { by: Who::Network, why: Why::Closed });
        assert!(start.elapsed() < Duration::from_secs(5), "took {:?}", start.elapsed());
        socket.closed().await;
    }
}

#[tokio::test]
async fn a_closed_socket_ends_the_session_at_once() {
    let (mut session, mut socket) = joined().await;
    socket.send("1").await;
    let ((_, ended), ()) = tokio::join!(everything(&mut *session), socket.close());
    assert_eq!(ended, Ended { by: Who::Server, why: Why::Closed });
}

#[tokio::test]
async fn what_is_not_for_us_changes_nothing() {
    let (mut session, mut socket) = joined().await;
    let frames = [
        "6",
        r#"40{"sid":"x"}"#,
        "41",
        r#"44{"message":"not ours"}"#,
        r#"42["notification","not ours"]"#,
        r#"42/other,["notification","not ours"]"#,
        "41/other,",
        r#"42/notifications,["notification"]"#,
        r#"42/notifications,["message"]"#,
        r#"42/notifications,["close","x"]"#,
        r#"42/notifications,["error","x"]"#,
        r#"42/notifications,["error",{"message":"x"}]"#,
        r#"42/notifications,["open","x"]"#,
        r#"42/notifications,[]"#,
        r#"42/notifications,{"not":"an array"}"#,
        r#"42/notifications,[7,8]"#,
        r#"43/notifications,7["an answer to nothing"]"#,
        r#"40/notifications,{"sid":"again"}"#,
    ];
    for frame in frames {
        socket.send(frame).await;
    }
    let (opened, closed) = ("[".repeat(100_000), "]".repeat(100_000));
    socket.send(&format!(r#"42/notifications,["notification",{opened}{closed}]"#)).await;
    socket.send(r#"451-/notifications,["other",{"_placeholder":true,"num":0}]"#).await;
    socket.send_binary(b"attached").await;
    socket.ping().await;
    // With an id, it asks for an acknowledgement.
    socket.send(r#"42/notifications,12["notification",{"subscriptionId":"a"},"and more"]"#).await;
    socket.send("41/notifications,").await;
    let (heard, ended) = everything(&mut *session).await;
    assert_eq!(heard.len(), 1);
    assert_eq!(heard[0].subscription_id(), Some("a"));
    assert_eq!(ended, Ended { by: Who::Server, why: Why::Disconnect });
}

#[tokio::test]
async fn a_binary_notification_ends_the_session() {
    let (mut session, mut socket) = joined().await;
    socket.send(r#"451-/notifications,["notification",{"_placeholder":true,"num":0}]"#).await;
    socket.send_binary(b"attached").await;
    let (_, ended) = everything(&mut *session).await;
    assert_eq!(ended, Ended { by: Who::Server, why: Why::Malformed("a binary notification".into()) });
    socket.closed().await;
}

#[tokio::test]
async fn a_large_frame_of_any_event_ends_the_session() {
    let large = "x".repeat(2 * 1024 * 1024);
    for event in ["notification", "other", "message", "open", "close", "error"] {
        let (mut session, mut socket) = joined().await;
        socket.send(&format!(r#"42/notifications,["{event}","{large}"]"#)).await;
        let (_, ended) = everything(&mut *session).await;
        assert_eq!(ended, Ended { by: Who::Us, why: Why::TooLarge }, "{event}");
        socket.closed().await;
    }
}

#[tokio::test]
async fn what_would_arrive_changed_is_not_sent() {
    for query in ["a='", "a=<b>", "\""] {
        let url = url(&format!("http://127.0.0.1:9/notifications?{query}"));
        let error = refusal(&transport(), &url, &Limits::default()).await;
        assert!(matches!(error, OpenError::Unusable(_)), "{query}: {error:?}");
    }
}

#[tokio::test]
async fn beyond_the_most_sessions_only_a_renewal_is_opened() {
    let transport = RustSocketIo::new(&RustSocketIoConfig { max_sessions: 1, ..RustSocketIoConfig::default() }).unwrap();
    let server = Server::start().await;
    let (url, limits) = (server.url(), Limits::default());
    let (old, _old_socket) = join(&transport, &server, &limits).await;
    assert!(matches!(refusal(&transport, &url, &limits).await, OpenError::Busy { .. }));
    let (new, _new_socket) = join(&transport, &server, &Limits { renewal: true, ..limits.clone() }).await;
    drop(old);
    assert!(matches!(refusal(&transport, &url, &limits).await, OpenError::Busy { .. }), "the new one has its place");
    drop(new);
    join(&transport, &server, &limits).await;
}

fn transport() -> RustSocketIo {
    RustSocketIo::new(&RustSocketIoConfig::default()).unwrap()
}

async fn joined() -> (Box<dyn Session>, Socket) {
    join(&transport(), &Server::start().await, &Limits::default()).await
}
