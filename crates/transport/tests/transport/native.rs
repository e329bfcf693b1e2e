//! drivetap's own transport against servers that misbehave, down to the byte.

use std::time::{Duration, Instant};

use drivetap_transport::{Ended, Limits, Native, NativeConfig, OpenError, Session, Transport, Who, Why};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

use crate::every::{everything, join, refusal};
use crate::server::{PATIENCE, Server};

pub(crate) fn install_ring() {
    // A second test of the same process finds it installed.
    let _ = rustls::crypto::ring::default_provider().install_default();
}

pub(crate) fn native() -> Native {
    install_ring();
    Native::new(&NativeConfig::default()).unwrap()
}

const OPEN: &str = r#"0{"sid":"a","upgrades":[],"pingInterval":25000,"pingTimeout":20000,"maxPayload":1000000}"#;
const JOIN: &str = r#"40/notifications,{"sid":"b"}"#;
const NOTIFICATION: &str = r#"42/notifications,["notification",{"value":[{"subscriptionId":"a"}]}]"#;

/// How bytes leave the server.
#[derive(Clone, Copy, Debug)]
enum Pace {
    /// All at once, the answer to the upgrade with them.
    Coalesced,
    /// One by one.
    Split,
}

#[tokio::test]
async fn every_malformed_shape_ends_the_session_whatever_way_its_bytes_arrive() {
    let malformed = |word: &str| Ended { by: Who::Server, why: Why::Malformed(word.to_owned()) };
    let closed = |by| Ended { by, why: Why::Closed };
    let text = |text: &str| frame(0x81, text.as_bytes());
    let (data, websocket) = ("data that does not belong to this packet type", "not a websocket frame");
    let cases = [
        // engine.io
        (text(""), malformed("an empty packet")),
        (text("9"), malformed("unknown packet type")),
        (text("b!!!"), malformed("unknown packet type")),
        (text("0{}"), malformed("a second handshake")),
        (text("€"), malformed("unknown packet type")),
        // socket.io
        (text("4"), malformed("an empty packet")),
        (text("4x"), malformed("unknown packet type")),
        (text("42/notifications"), malformed(data)),
        (text(r#"42/notifications,{"not":"an array"}"#), malformed(data)),
        (text(r#"42/notifications,99999999999999999999["notification"]"#), malformed("an acknowledgement id that is no number")),
        (text(r#"45x-/notifications,["notification"]"#), malformed("a bad count of attachments")),
        (text(r#"45999-/notifications,["notification"]"#), malformed("a bad count of attachments")),
        (text(r#"42/notifications,["notification","#), malformed("not JSON")),
        (text("42/notifications,[]"), malformed("an event without a name")),
        (text(r#"42/notifications,[{"a":1}]"#), malformed("an event without a name")),
        (
            [text(r#"451-/notifications,["x",{"_placeholder":true,"num":0}]"#), text(NOTIFICATION)].concat(),
            malformed("an attachment is missing"),
        ),
        (text(r#"451-/notifications,["notification",{"_placeholder":true,"num":0}]"#), malformed("a binary notification")),
        (frame(0x82, b"attached"), malformed("an attachment of nothing")),
        // notifications
        (text(r#"42/notifications,["notification","not JSON"]"#), malformed("the notification is not JSON")),
        (
            text(r#"42/notifications,["notification",7]"#),
            malformed("the notification is neither an object nor a string that holds one"),
        ),
        // websocket
        (frame(0xc1, b"42"), malformed(websocket)),
        (frame(0x83, b""), malformed(websocket)),
        (frame(0x80, b"continued"), malformed(websocket)),
        ([frame(0x01, b"4"), frame(0x81, b"2")].concat(), malformed(websocket)),
        (vec![0x81, 0x81, 1, 2, 3, 4, 5], malformed(websocket)),
        (vec![0x89, 126, 0, 126], malformed(websocket)),
        (frame(0x81, &[b'4', 0xff]), malformed("text that is not UTF-8")),
        // Too large by its header alone.
        (vec![0x81, 127, 0, 0, 0, 0, 0, 0x10, 0, 1], Ended { by: Who::Us, why: Why::TooLarge }),
        ([0x81, 127].into_iter().chain([0xff; 8]).collect(), Ended { by: Who::Us, why: Why::TooLarge }),
        // Goodbyes
        (frame(0x88, b""), closed(Who::Server)),
        (frame(0x88, &[3, 232, b'!']), closed(Who::Server)),
        (text("1"), Ended { by: Who::Server, why: Why::Disconnect }),
        (text("41/notifications,"), Ended { by: Who::Server, why: Why::Disconnect }),
    ];
    let (transport, server) = (native(), Server::start().await);
    for pace in [Pace::Coalesced, Pace::Split] {
        for (bytes, expected) in &cases {
            let frames = [text(OPEN), text(JOIN), text(NOTIFICATION), bytes.clone()].concat();
            let (session, mut socket) = open(&transport, &server, pace, &frames).await;
            let (heard, ended) = everything(&mut *session.unwrap()).await;
            assert_eq!(heard.len(), 1, "what came before {bytes:x?} is handed out ({pace:?})");
            assert_eq!(ended, *expected, "{bytes:x?} ({pace:?})");
            closed_by_client(&mut socket).await;
        }
    }
}

#[tokio::test]
async fn a_socket_that_breaks_anywhere_is_the_networks_fault() {
    let frames = [frame(0x81, OPEN.as_bytes()), frame(0x81, JOIN.as_bytes()), frame(0x81, NOTIFICATION.as_bytes())].concat();
    let joined = frames.len() - frame(0x81, NOTIFICATION.as_bytes()).len();
    let (transport, server) = (native(), Server::start().await);
    for length in (joined..frames.len()).step_by(7) {
        let (session, socket) = open(&transport, &server, Pace::Coalesced, &frames[..length]).await;
        drop(socket);
        let (heard, ended) = everything(&mut *session.unwrap()).await;
        assert_eq!((heard.len(), ended), (0, Ended { by: Who::Network, why: Why::Closed }), "after {length} bytes");
    }
    for length in (0..joined).step_by(7) {
        let (url, limits) = (server.url(), Limits::default());
        let (error, ()) = tokio::join!(refusal(&transport, &url, &limits), async {
            drop(speak(server.tcp().await, Pace::Coalesced, &frames[..length]).await);
        });
        assert_eq!(error, OpenError::Retry { reason: "connection closed (by the network) in the handshake".into() }, "{length}");
    }
}

#[tokio::test]
async fn what_was_said_before_the_socket_broke_is_handed_out() {
    let (transport, server) = (native(), Server::start().await);
    // The answer to the ping finds nobody, while most of the rest was not read yet.
    let mut frames = [frame(0x81, OPEN.as_bytes()), frame(0x81, JOIN.as_bytes()), frame(0x81, b"2")].concat();
    for _ in 0..500 {
        frames.extend(frame(0x81, NOTIFICATION.as_bytes()));
    }
    let (session, socket) = open(&transport, &server, Pace::Coalesced, &frames).await;
    // Not read to its end, it is closed by a reset.
    drop(socket);
    let (heard, ended) = everything(&mut *session.unwrap()).await;
    assert_eq!((heard.len(), ended), (500, Ended { by: Who::Network, why: Why::Closed }));
}

#[tokio::test]
async fn fragments_and_pings_of_the_websocket_are_no_concern_of_the_session() {
    let (transport, server) = (native(), Server::start().await);
    let (begin, end) = NOTIFICATION.split_at(20);
    let frames = [
        frame(0x81, OPEN.as_bytes()),
        frame(0x81, JOIN.as_bytes()),
        frame(0x01, begin.as_bytes()),
        frame(0x89, b"are you there?"),
        frame(0x00, b""),
        frame(0x80, end.as_bytes()),
        frame(0x8a, b""),
    ];
    for pace in [Pace::Coalesced, Pace::Split] {
        let (session, mut socket) = open(&transport, &server, pace, &frames.concat()).await;
        let mut session = session.unwrap();
        let mut heard = Vec::new();
        session.recv(&mut heard, 1.try_into().unwrap()).await.unwrap();
        assert_eq!(heard[0].subscription_id(), Some("a"));
        // The client joins, and answers with the ping's own bytes.
        let said = timeout(PATIENCE, async { [client_frame(&mut socket).await, client_frame(&mut socket).await] }).await.unwrap();
        assert!(said.contains(&(0x81, b"40/notifications,".to_vec())), "{said:?}");
        assert!(said.contains(&(0x8a, b"are you there?".to_vec())), "{said:?}");
    }
}

#[tokio::test]
async fn what_is_not_for_us_changes_nothing_and_who_asks_is_answered() {
    let (mut session, mut socket) = join(&native(), &Server::start().await, &Limits::default()).await;
    let frames = [
        "3",
        "5",
        "6",
        r#"40{"sid":"x"}"#,
        "41",
        r#"44{"message":"not ours"}"#,
        r#"42["notification","not ours"]"#,
        r#"42/other,["notification","not ours"]"#,
        "41/other,",
        r#"42/notifications,["notification"]"#,
        r#"42/notifications,["close","x"]"#,
        r#"42/notifications,["error",{"message":"x"}]"#,
        r#"42/notifications,[7,8]"#,
        r#"43/notifications,7["an answer to nothing"]"#,
        r#"40/notifications,{"sid":"again"}"#,
        r#"451-/notifications,["other",{"_placeholder":true,"num":0}]"#,
    ];
    for frame in frames {
        socket.send(frame).await;
    }
    socket.send_binary(b"attached").await;
    socket.ping().await;
    socket.send(r#"42/notifications,12["notification",{"subscriptionId":"a"},"and more"]"#).await;
    socket.expect("43/notifications,12[]").await;
    socket.send("41/notifications,").await;
    let (heard, ended) = everything(&mut *session).await;
    assert_eq!(heard.len(), 1);
    assert_eq!(heard[0].subscription_id(), Some("a"));
    assert_eq!(ended, Ended { by: Who::Server, why: Why::Disconnect });
}

#[tokio::test]
async fn silence_has_the_servers_own_deadline_and_a_ceiling() {
    let (transport, server) = (native(), Server::start().await);
    let values = [((300, 200), Duration::from_secs(120)), ((u64::MAX, u64::MAX), Duration::from_millis(500))];
    for ((interval, patience), ping_ceiling) in values {
        let (url, limits) = (server.url(), Limits { ping_ceiling, ..Limits::default() });
        let (opened, mut socket) = tokio::join!(transport.open(&url, &limits), async {
            let mut socket = server.upgrade().await;
            socket.handshake(interval, patience).await;
            socket.join().await;
            socket
        });
        let mut session = opened.unwrap();
        assert!(session.ping_interval() <= ping_ceiling);
        let start = Instant::now();
        for _ in 0..4 {
            sleep(Duration::from_millis(250)).await;
            socket.ping().await;
        }
        let pinged = Instant::now();
        let (_, ended) = everything(&mut *session).await;
        assert_eq!(ended, Ended { by: Who::Network, why: Why::Silent });
        assert!(start.elapsed() > Duration::from_millis(1_400) && pinged.elapsed() < Duration::from_secs(3));
        let silence = session.silence();
        // The last ping came a second after the start.
        assert!(silence >= Duration::from_millis(400) && silence <= start.elapsed() - Duration::from_secs(1), "{silence:?}");
        socket.closed().await;
    }
}

#[tokio::test]
async fn a_server_that_talks_and_never_pings_is_silent_all_the_same() {
    let (transport, server) = (native(), Server::start().await);
    let (url, limits) = (server.url(), Limits { ping_ceiling: Duration::from_millis(700), ..Limits::default() });
    let (opened, mut tcp) = tokio::join!(transport.open(&url, &limits), async {
        let frames = [frame(0x81, OPEN.as_bytes()), frame(0x81, JOIN.as_bytes())].concat();
        speak(server.tcp().await, Pace::Coalesced, &frames).await
    });
    let mut session = opened.unwrap();
    let noise = frame(0x81, b"42[\"noise\"]").repeat(1_000);
    let (ended, ()) = tokio::join!(everything(&mut *session), async { while tcp.write_all(&noise).await.is_ok() {} });
    assert_eq!(ended, (Vec::new(), Ended { by: Who::Network, why: Why::Silent }));
}

#[tokio::test]
async fn an_answer_that_is_no_upgrade_is_refused() {
    let accepted = |key: &str| format!("Sec-WebSocket-Accept: {}\r\n", derive_accept_key(key.as_bytes()));
    let head =
        |rest: String| format!("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n{rest}\r\n");
    let no_websocket = "the server does not speak websocket";
    type Answer<'a> = Box<dyn Fn(&str) -> String + 'a>;
    let cases: [(Answer<'_>, &str); 10] = [
        (Box::new(|_| head(String::new())), no_websocket),
        (Box::new(|_| head(accepted("another"))), no_websocket),
        (Box::new(|key| head(accepted(key) + "Sec-WebSocket-Extensions: permessage-deflate\r\n")), no_websocket),
        (Box::new(|key| head(accepted(key) + "Sec-WebSocket-Protocol: chat\r\n")), no_websocket),
        (Box::new(|key| head(accepted(key)).replace("Upgrade: websocket", "Upgrade: h2c")), no_websocket),
        (Box::new(|key| head(accepted(key)).replace("Connection: Upgrade", "Connection: close")), no_websocket),
        (Box::new(|_| "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n".into()), "HTTP status 200"),
        (Box::new(|_| "SSH-2.0-OpenSSH_9.6\r\n\r\n".into()), "the server does not speak HTTP/1.1"),
        (Box::new(|_| "HTTP/1.1 200 OK\r\nX".into()), "the connection was closed in the handshake"),
        (Box::new(|_| format!("HTTP/1.1 200 OK\r\nX: {}", "x".repeat(20_000))), "the answer's head is too long"),
    ];
    let (transport, server) = (native(), Server::start().await);
    for (answer, reason) in cases {
        let (url, limits) = (server.url(), Limits::default());
        let (error, ()) = tokio::join!(refusal(&transport, &url, &limits), async {
            let mut tcp = server.tcp().await;
            let request = request(&mut tcp).await;
            for forbidden in ["authorization", "extensions", "protocol:", "origin", "cookie"] {
                assert!(!request.to_ascii_lowercase().contains(forbidden), "{request}");
            }
            tcp.write_all(answer(key(&request)).as_bytes()).await.unwrap();
            tcp.shutdown().await.unwrap();
            closed_by_client(&mut tcp).await;
        });
        assert_eq!(error, OpenError::Retry { reason: reason.into() });
    }
}

#[tokio::test]
async fn a_session_keeps_little_of_what_nobody_reads() {
    let (mut session, mut socket) = join(&native(), &Server::start().await, &Limits::default()).await;
    let large = "x".repeat(100_000);
    for _ in 0..50 {
        socket.notify(&format!(r#"{{"value":[{{"subscriptionId":"a"}},{{"subscriptionId":"{large}"}}]}}"#)).await;
    }
    socket.ping().await;
    socket.notify(r#"{"subscriptionId":"newest"}"#).await;
    socket.send("1").await;
    let (heard, _) = everything(&mut *session).await;
    // A quarter of a megabyte waits, and one batch is on its way.
    assert!(heard.len() < 20, "{} are kept", heard.len());
    assert_eq!(heard.last().unwrap().subscription_id(), Some("newest"));
    assert_eq!(u64::try_from(heard.len()).unwrap() + session.take_merged(), 101);
}

/// Opens a session on a server that says all of this without waiting for an answer.
async fn open(
    transport: &dyn Transport,
    server: &Server,
    pace: Pace,
    frames: &[u8],
) -> (Result<Box<dyn Session>, OpenError>, TcpStream) {
    let (url, limits) = (server.url(), Limits::default());
    tokio::join!(transport.open(&url, &limits), async { speak(server.tcp().await, pace, frames).await })
}

async fn speak(mut tcp: TcpStream, pace: Pace, frames: &[u8]) -> TcpStream {
    tcp.set_nodelay(true).unwrap();
    let request = request(&mut tcp).await;
    let accept = derive_accept_key(key(&request).as_bytes());
    let head = format!(
        "HTTP/1.1 101 Switching Protocols\r\nconnection: keep-alive, UPGRADE\r\nupgrade: WebSocket\r\nsec-websocket-accept: {accept}\r\n\r\n"
    );
    let bytes = [head.as_bytes(), frames].concat();
    match pace {
        Pace::Coalesced => tcp.write_all(&bytes).await.unwrap(),
        Pace::Split => {
            for byte in bytes {
                // The client has hung up once it has heard enough.
                if tcp.write_all(&[byte]).await.is_err() {
                    break;
                }
                tokio::task::yield_now().await;
            }
        }
    }
    tcp
}

async fn request(tcp: &mut TcpStream) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(timeout(PATIENCE, tcp.read_u8()).await.expect("a request").unwrap());
    }
    String::from_utf8(head).unwrap()
}

fn key(request: &str) -> &str {
    request.lines().find_map(|line| line.strip_prefix("Sec-WebSocket-Key: ")).unwrap()
}

/// A server's frame.
fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let length = match u16::try_from(payload.len()).unwrap() {
        length if length < 126 => vec![u8::try_from(length).unwrap()],
        length => [&[126][..], &length.to_be_bytes()].concat(),
    };
    [&[first][..], &length, payload].concat()
}

/// A client's short frame, with its mask taken off.
async fn client_frame(tcp: &mut TcpStream) -> (u8, Vec<u8>) {
    let (first, length) = (tcp.read_u8().await.unwrap(), tcp.read_u8().await.unwrap());
    assert!(length & 0x80 != 0, "masked");
    let mut mask = [0; 4];
    tcp.read_exact(&mut mask).await.unwrap();
    let mut payload = vec![0; usize::from(length & 0x7f)];
    tcp.read_exact(&mut payload).await.unwrap();
    (first, payload.into_iter().zip(mask.into_iter().cycle()).map(|(byte, mask)| byte ^ mask).collect())
}

async fn closed_by_client(tcp: &mut TcpStream) {
    let mut rest = Vec::new();
    // Whether politely or not.
    drop(timeout(PATIENCE, tcp.read_to_end(&mut rest)).await.expect("the client's socket is closed"));
}
