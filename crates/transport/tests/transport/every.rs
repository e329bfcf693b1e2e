//! What every transport over a socket does with servers that refuse, stall, or misspeak in the handshake.

use std::num::NonZeroUsize;
use std::time::{Duration, Instant};

use drivetap_core::{Notification, NotificationUrl};
use drivetap_transport::{Ended, Limits, OpenError, RustSocketIo, RustSocketIoConfig, Session, Transport};
use tokio::time::timeout;

use crate::server::{PATIENCE, Server, Socket};

macro_rules! every_transport {
    ($($promise:ident),* $(,)?) => {
        mod rust_socketio {
            $(
                #[tokio::test]
                async fn $promise() {
                    super::$promise(&super::RustSocketIo::new(&super::RustSocketIoConfig::default()).unwrap()).await;
                }
            )*
        }
        mod native {
            $(
                #[tokio::test]
                async fn $promise() {
                    super::$promise(&crate::native::native()).await;
                }
            )*
        }
    };
}

every_transport![
    a_refused_namespace_or_upgrade_says_what_comes_next,
    a_handshake_that_goes_wrong_is_tried_again,
    a_server_that_never_answers_costs_the_deadline,
    a_server_that_ignores_goodbye_is_left_anyway,
    the_query_arrives_byte_for_byte,
    a_namespace_is_joined_as_it_is_written,
];

async fn a_refused_namespace_or_upgrade_says_what_comes_next(transport: &dyn Transport) {
    let server = Server::start().await;
    let (url, limits) = (server.url(), Limits::default());
    for (status, refetch) in
        [(401, true), (403, true), (404, true), (410, true), (400, true), (429, false), (502, false), (503, false)]
    {
        let (error, ()) = tokio::join!(refusal(transport, &url, &limits), server.refuse(status));
        let reason = format!("HTTP status {status}");
        let expected = if refetch { OpenError::Refetch { reason } } else { OpenError::Retry { reason } };
        assert_eq!(error, expected);
    }
    let refusals = [
        (r#"44/notifications,{"message":"Invalid token"}"#, "the namespace was refused: Invalid token"),
        (r#"44/notifications,"no""#, "the namespace was refused"),
        ("44/notifications,", "the namespace was refused"),
        ("41/notifications,", "the server left the namespace in the handshake"),
    ];
    for (frame, reason) in refusals {
        let (error, mut socket) = tokio::join!(refusal(transport, &url, &limits), async {
            let mut socket = server.upgrade().await;
            socket.handshake(25_000, 20_000).await;
            socket.expect("40/notifications,").await;
            socket.send(frame).await;
            socket
        });
        assert_eq!(error, OpenError::Refetch { reason: reason.into() }, "{frame}");
        socket.closed().await;
    }
}

async fn a_handshake_that_goes_wrong_is_tried_again(transport: &dyn Transport) {
    let server = Server::start().await;
    let (url, limits) = (server.url(), Limits::default());
    for frame in ["", "hello", "0", "0{}", "2", r#"0{"sid":7,"upgrades":[],"pingInterval":-1,"pingTimeout":"x"}"#] {
        let (error, mut socket) = tokio::join!(refusal(transport, &url, &limits), async {
            let mut socket = server.upgrade().await;
            socket.send(frame).await;
            socket
        });
        assert!(matches!(error, OpenError::Retry { .. }), "{frame:?}: {error:?}");
        socket.closed().await;
    }
    // A server that hangs up, one that is no web server, none at all, a name that is none.
    let (error, ()) = tokio::join!(refusal(transport, &url, &limits), async { drop(server.tcp().await) });
    assert!(matches!(error, OpenError::Retry { .. }), "{error:?}");
    drop(server);
    assert_eq!(refusal(transport, &url, &limits).await, OpenError::Retry { reason: "connection refused".into() });
    let nowhere = crate::server::url("https://nowhere.invalid.svc.ms/notifications?token=t");
    assert!(matches!(refusal(transport, &nowhere, &limits).await, OpenError::Retry { .. }));
}

async fn a_server_that_never_answers_costs_the_deadline(transport: &dyn Transport) {
    let server = Server::start().await;
    let limits = Limits { open: Duration::from_secs(1), ..Limits::default() };
    let expected = OpenError::Retry { reason: "no answer within 1s".into() };
    let url = server.url();
    // Silent after the TCP handshake, after the upgrade, after the engine's handshake.
    let (error, tcp) = tokio::join!(refusal(transport, &url, &limits), server.tcp());
    assert_eq!(error, expected);
    drop(tcp);
    for handshake in [false, true] {
        let (error, mut socket) = tokio::join!(refusal(transport, &url, &limits), async {
            let mut socket = server.upgrade().await;
            if handshake {
                socket.handshake(25_000, 20_000).await;
            }
            socket
        });
        assert_eq!(error, expected);
        socket.closed().await;
    }
}

async fn a_server_that_ignores_goodbye_is_left_anyway(transport: &dyn Transport) {
    let (session, mut socket) = join(transport, &Server::start().await, &Limits::default()).await;
    let start = Instant::now();
    session.close(Duration::from_secs(5)).await;
    assert!(start.elapsed() < Duration::from_secs(3), "goodbye is said, not answered");
    let heard = socket.closed().await;
    assert_eq!(heard, ["41/notifications,", "1"]);
}

async fn the_query_arrives_byte_for_byte(transport: &dyn Transport) {
    let server = Server::start().await;
    let limits = Limits::default();
    let queries = [
        "token=a%2Fb+c~d%20e%7E&applicationId=0-1_2.3",
        "a=%2f%2F%zz%&&=&b=c=d?e/f:g@h!i$j(k)l*m,n;o[p]q{r}s|t^u`v",
        "%27%22%3C%3E",
        "no-value",
    ];
    for query in queries {
        let url = server.url_to("/notifications", query);
        let (opened, socket) = tokio::join!(transport.open(&url, &limits), server.join());
        opened.unwrap();
        assert_eq!(socket.uri, format!("/socket.io/?{query}&EIO=4&transport=websocket"));
    }
    let url = server.url_to("/notifications", "");
    let (opened, socket) = tokio::join!(transport.open(&url, &limits), server.join());
    opened.unwrap();
    assert_eq!(socket.uri, "/socket.io/?EIO=4&transport=websocket");
}

async fn a_namespace_is_joined_as_it_is_written(transport: &dyn Transport) {
    let server = Server::start().await;
    let limits = Limits::default();
    for path in ["/x", "/a/b%20c/callback"] {
        let url = server.url_to(path, "t=t");
        let (opened, ()) = tokio::join!(transport.open(&url, &limits), async {
            let mut socket = server.upgrade().await;
            socket.handshake(25_000, 20_000).await;
            socket.expect(&format!("40{path},")).await;
            socket.send(&format!(r#"40{path},{{"sid":"x"}}"#)).await;
        });
        opened.unwrap();
    }
}

pub(crate) async fn join(transport: &dyn Transport, server: &Server, limits: &Limits) -> (Box<dyn Session>, Socket) {
    let url = server.url();
    let (opened, socket) = tokio::join!(transport.open(&url, limits), server.join());
    (opened.unwrap(), socket)
}

pub(crate) async fn refusal(transport: &dyn Transport, url: &NotificationUrl, limits: &Limits) -> OpenError {
    let opened = timeout(PATIENCE, transport.open(url, limits)).await.expect("an answer within the deadline");
    let error = opened.map(drop).expect_err("no session");
    let shown = format!("{error} {error:?}");
    assert!(!shown.contains(drivetap_transport::conformance::TOKEN), "{shown}");
    error
}

pub(crate) async fn everything(session: &mut dyn Session) -> (Vec<Notification>, Ended) {
    let mut heard = Vec::new();
    let read = async {
        loop {
            if let Err(ended) = session.recv(&mut heard, NonZeroUsize::MAX).await {
                return ended;
            }
        }
    };
    let ended = timeout(PATIENCE, read).await.expect("an end");
    (heard, ended)
}
