//! The suite that every transport passes.
//!
//! Whoever writes a transport brings a [`Harness`], a server that answers as told, and calls [`check`]. Each promise gets a harness of its
//! own; one that is broken panics with its name.

#![expect(clippy::expect_used, reason = "a broken promise is a panic with its name")]

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use drivetap_core::{Notification, NotificationUrl};
use tokio::time::{Instant, timeout};

use crate::{Ended, Limits, OpenError, Session, Transport, Who, Why};

/// A transport, and the server that it is held against.
#[async_trait]
pub trait Harness: Send {
    /// The transport.
    fn transport(&self) -> Arc<dyn Transport>;

    /// A URL that leads to the server, with [`TOKEN`] in its query.
    fn url(&self) -> NotificationUrl;

    /// Waits for the next attempt to open a session, and answers it.
    async fn answer(&mut self, answer: Answer) -> Box<dyn Peer>;
}

/// What the URL's query holds, and no error may.
pub const TOKEN: &str = "s3cr3t-t0ken-that-n0-err0r-h0lds";

/// How the server answers an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// With a session.
    Join,
    /// With the refusal of this endpoint, whatever that looks like.
    Refuse,
    /// Not at all.
    Silence,
}

/// The server's end of one attempt.
#[async_trait]
pub trait Peer: Send {
    /// Sends one frame: the event `notification`, with this JSON text as its argument.
    async fn notify(&mut self, argument: &str);

    /// Sends one frame: another event, with this JSON text as its argument. Nothing, where there is no other event.
    async fn event(&mut self, name: &str, argument: &str);

    /// Leaves the namespace.
    async fn leave(&mut self);

    /// Closes the socket without goodbye.
    async fn lose(&mut self);

    /// Sends a heartbeat, and waits until it is answered.
    async fn ping(&mut self);

    /// Waits until the client's end is closed.
    async fn closed(&mut self);
}

/// Checks every promise of [`Transport`] and [`Session`], one after the other.
///
/// # Panics
/// When a promise is broken, with its name.
pub async fn check<H: Harness>(make: impl AsyncFn() -> H) {
    macro_rules! promises {
        ($($promise:ident),* $(,)?) => {
            $(
                let mut harness = make().await;
                let kept = timeout(PATIENCE, $promise(&mut harness)).await;
                assert!(kept.is_ok(), "{}: nothing happened for {PATIENCE:?}", stringify!($promise));
            )*
        };
    }
    promises![
        hands_out_in_the_order_of_arrival,
        takes_no_more_than_asked_for,
        hands_out_every_notification_of_a_frame,
        ignores_other_events,
        loses_nothing_when_recv_is_dropped,
        hands_out_everything_before_the_end,
        ends_when_the_socket_is_lost,
        ends_on_what_is_no_notification,
        ends_on_a_frame_above_the_limit,
        heartbeats_go_on_and_every_notification_counts_while_nobody_reads,
        hands_out_all_that_waits_before_it_is_closed,
        dropping_a_session_closes_it,
        closing_a_session_keeps_its_deadline,
        dropping_an_attempt_closes_it,
        an_attempt_has_a_deadline,
        a_refused_endpoint_is_to_be_fetched_again,
        sessions_do_not_mix,
    ];
}

/// For one promise.
const PATIENCE: Duration = Duration::from_secs(30);

async fn hands_out_in_the_order_of_arrival(harness: &mut impl Harness) {
    let (mut session, mut peer) = open(harness, &Limits::default()).await;
    for n in 0..200 {
        peer.notify(&numbered(n)).await;
    }
    assert_eq!(numbers(&receive(&mut *session, 200).await), (0..200).collect::<Vec<_>>());
    assert_eq!(session.take_merged(), 0);
}

async fn takes_no_more_than_asked_for(harness: &mut impl Harness) {
    let (mut session, mut peer) = open(harness, &Limits::default()).await;
    for n in 0..5 {
        peer.notify(&numbered(n)).await;
    }
    peer.ping().await;
    let mut out = Vec::new();
    for taken in [2, 4, 5] {
        session.recv(&mut out, two()).await.expect("the session stands");
        assert_eq!(out.len(), taken, "with room for two");
    }
}

async fn hands_out_every_notification_of_a_frame(harness: &mut impl Harness) {
    let (mut session, mut peer) = open(harness, &Limits::default()).await;
    let entries = r#"{"value":[{"subscriptionId":"0"},{"subscriptionId":"1"}]}"#;
    peer.notify(&format!("{entries:?}")).await;
    peer.notify(r#"{"value":[]}"#).await;
    peer.notify(r#"{"value":[{"subscriptionId":"2"}]}"#).await;
    peer.notify(r#""{\"subscriptionId\":\"3\"}""#).await;
    assert_eq!(numbers(&receive(&mut *session, 4).await), [0, 1, 2, 3]);
}

async fn ignores_other_events(harness: &mut impl Harness) {
    let (mut session, mut peer) = open(harness, &Limits::default()).await;
    for name in ["notifications", "Notification", "message", "connect", "disconnect", "open", "close", "error", ""] {
        peer.event(name, r#""{}""#).await;
        peer.event(name, r#"[[{}]]"#).await;
    }
    peer.notify(&numbered(7)).await;
    assert_eq!(numbers(&receive(&mut *session, 1).await), [7]);
}

async fn loses_nothing_when_recv_is_dropped(harness: &mut impl Harness) {
    let (mut session, mut peer) = open(harness, &Limits::default()).await;
    let mut out = Vec::new();
    for n in 0..50 {
        // Dropped before there is something, and again while it may be under way.
        drop(timeout(Duration::ZERO, session.recv(&mut out, two())).await);
        peer.notify(&numbered(n)).await;
        drop(timeout(Duration::from_millis(n % 3), session.recv(&mut out, two())).await);
    }
    while out.len() < 50 {
        session.recv(&mut out, two()).await.expect("the session stands");
    }
    assert_eq!(numbers(&out), (0..50).collect::<Vec<_>>());
}

async fn hands_out_everything_before_the_end(harness: &mut impl Harness) {
    let (mut session, mut peer) = open(harness, &Limits::default()).await;
    for n in 0..20 {
        peer.notify(&numbered(n)).await;
    }
    peer.leave().await;
    assert_eq!(numbers(&receive(&mut *session, 20).await), (0..20).collect::<Vec<_>>());
    let left = Ended { by: Who::Server, why: Why::Disconnect };
    for time in ["first", "second", "third"] {
        assert_eq!(end(&mut *session).await, left, "the {time} time");
    }
    // The end closes the socket, even of a session that is kept.
    peer.closed().await;
}

async fn ends_when_the_socket_is_lost(harness: &mut impl Harness) {
    let (mut session, mut peer) = open(harness, &Limits::default()).await;
    peer.notify(&numbered(1)).await;
    peer.lose().await;
    assert_eq!(numbers(&receive(&mut *session, 1).await), [1]);
    let ended = end(&mut *session).await;
    assert_eq!(ended.why, Why::Closed);
    assert_ne!(ended.by, Who::Us);
}

async fn ends_on_what_is_no_notification(harness: &mut impl Harness) {
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    for malformed in ["7", "[]", "null", r#""not JSON inside""#, r#"{"value":[7]}"#, &format!("{deep:?}")] {
        let (mut session, mut peer) = open(harness, &Limits::default()).await;
        peer.notify(&numbered(1)).await;
        peer.notify(malformed).await;
        assert_eq!(numbers(&receive(&mut *session, 1).await), [1]);
        let ended = end(&mut *session).await;
        assert_eq!(ended.by, Who::Server);
        assert!(matches!(ended.why, Why::Malformed(_)), "{ended:?} on {}", &malformed[..malformed.len().min(40)]);
        peer.closed().await;
    }
}

async fn ends_on_a_frame_above_the_limit(harness: &mut impl Harness) {
    let limits = Limits { frame_bytes: 4096, ..Limits::default() };
    let (mut session, mut peer) = open(harness, &limits).await;
    peer.notify(&format!(r#"{{"subscriptionId":"1","x":"{}"}}"#, "x".repeat(3500))).await;
    peer.notify(&format!(r#"{{"subscriptionId":"2","x":"{}"}}"#, "x".repeat(4500))).await;
    assert_eq!(numbers(&receive(&mut *session, 1).await), [1]);
    assert_eq!(end(&mut *session).await, Ended { by: Who::Us, why: Why::TooLarge });
    peer.closed().await;
}

async fn heartbeats_go_on_and_every_notification_counts_while_nobody_reads(harness: &mut impl Harness) {
    let (mut session, mut peer) = open(harness, &Limits::default()).await;
    const SENT: u64 = 5_000;
    for n in 0..SENT {
        peer.notify(&numbered(n)).await;
        if n % 1_000 == 0 {
            peer.ping().await;
        }
    }
    peer.ping().await;
    peer.leave().await;
    let mut out = Vec::new();
    while session.recv(&mut out, NonZeroUsize::MAX).await.is_ok() {}
    let numbers = numbers(&out);
    assert_eq!(numbers.last(), Some(&(SENT - 1)), "the newest is kept");
    assert!(numbers.is_sorted(), "in the order of arrival");
    let received = u64::try_from(numbers.len()).expect("a count");
    assert_eq!(received + session.take_merged(), SENT);
    assert_eq!(session.take_merged(), 0, "counted once");
}

async fn hands_out_all_that_waits_before_it_is_closed(harness: &mut impl Harness) {
    let (mut session, mut peer) = open(harness, &Limits::default()).await;
    const SENT: u64 = 1_000;
    for n in 0..SENT {
        peer.notify(&numbered(n)).await;
    }
    peer.ping().await;
    // Whoever closes a session asks until it is quiet.
    let mut out = Vec::new();
    while let Ok(received) = timeout(Duration::from_millis(250), session.recv(&mut out, NonZeroUsize::MAX)).await {
        received.expect("the session stands");
    }
    assert_eq!(u64::try_from(out.len()).expect("a count") + session.take_merged(), SENT);
    session.close(Duration::from_secs(1)).await;
    peer.closed().await;
}

async fn dropping_a_session_closes_it(harness: &mut impl Harness) {
    let (session, mut peer) = open(harness, &Limits::default()).await;
    drop(session);
    peer.closed().await;
}

async fn closing_a_session_keeps_its_deadline(harness: &mut impl Harness) {
    for within in [Duration::from_secs(1), Duration::ZERO] {
        let (session, mut peer) = open(harness, &Limits::default()).await;
        let start = Instant::now();
        session.close(within).await;
        assert!(start.elapsed() < within + Duration::from_secs(1), "close took {:?}", start.elapsed());
        peer.closed().await;
    }
}

async fn dropping_an_attempt_closes_it(harness: &mut impl Harness) {
    let (transport, url, limits) = (harness.transport(), harness.url(), Limits::default());
    let mut peer = {
        let attempt = transport.open(&url, &limits);
        tokio::select! {
            opened = attempt => panic!("opened without an answer: {:?}", opened.map(drop)),
            peer = harness.answer(Answer::Silence) => peer,
        }
    };
    peer.closed().await;
}

async fn an_attempt_has_a_deadline(harness: &mut impl Harness) {
    let (transport, url) = (harness.transport(), harness.url());
    let limits = Limits { open: Duration::from_secs(1), ..Limits::default() };
    let start = Instant::now();
    let (opened, mut peer) = tokio::join!(transport.open(&url, &limits), harness.answer(Answer::Silence));
    assert!(matches!(refusal(opened), OpenError::Retry { .. }));
    assert!(start.elapsed() >= limits.open && start.elapsed() < limits.open * 4, "took {:?}", start.elapsed());
    peer.closed().await;
}

async fn a_refused_endpoint_is_to_be_fetched_again(harness: &mut impl Harness) {
    let (transport, url, limits) = (harness.transport(), harness.url(), Limits::default());
    let (opened, mut peer) = tokio::join!(transport.open(&url, &limits), harness.answer(Answer::Refuse));
    assert!(matches!(refusal(opened), OpenError::Refetch { .. }));
    peer.closed().await;
}

async fn sessions_do_not_mix(harness: &mut impl Harness) {
    let (mut first, mut first_peer) = open(harness, &Limits::default()).await;
    let (mut second, mut second_peer) = open(harness, &Limits { renewal: true, ..Limits::default() }).await;
    first_peer.notify(&numbered(1)).await;
    second_peer.notify(&numbered(2)).await;
    assert_eq!(numbers(&receive(&mut *second, 1).await), [2]);
    first_peer.leave().await;
    assert_eq!(numbers(&receive(&mut *first, 1).await), [1]);
    end(&mut *first).await;
    first_peer.closed().await;
    second_peer.notify(&numbered(3)).await;
    assert_eq!(numbers(&receive(&mut *second, 1).await), [3]);
}

async fn open(harness: &mut impl Harness, limits: &Limits) -> (Box<dyn Session>, Box<dyn Peer>) {
    let (transport, url) = (harness.transport(), harness.url());
    let (session, peer) = tokio::join!(transport.open(&url, limits), harness.answer(Answer::Join));
    (session.expect("the server joins"), peer)
}

async fn receive(session: &mut dyn Session, count: usize) -> Vec<Notification> {
    let mut out = Vec::new();
    while out.len() < count {
        let left = NonZeroUsize::new(count - out.len()).expect("some are left");
        session.recv(&mut out, left).await.expect("everything is handed out before the end");
    }
    out
}

async fn end(session: &mut dyn Session) -> Ended {
    let mut out = Vec::new();
    let ended = session.recv(&mut out, NonZeroUsize::MAX).await.expect_err("nothing is left to hand out");
    assert_eq!(out, [], "an end hands out nothing");
    assert!(!format!("{ended} {ended:?}").contains(TOKEN), "{ended} repeats the URL");
    ended
}

fn refusal(opened: Result<Box<dyn Session>, OpenError>) -> OpenError {
    let error = opened.map(drop).expect_err("there is no session");
    assert!(!format!("{error} {error:?}").contains(TOKEN), "{error} repeats the URL");
    error
}

fn two() -> NonZeroUsize {
    NonZeroUsize::MIN.saturating_add(1)
}

fn numbered(n: u64) -> String {
    format!(r#"{{"value":[{{"subscriptionId":"{n}"}}]}}"#)
}

fn numbers(notifications: &[Notification]) -> Vec<u64> {
    let number = |n: &Notification| n.subscription_id().and_then(|id| id.parse().ok()).expect("a number");
    notifications.iter().map(number).collect()
}
