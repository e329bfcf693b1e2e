//! The two forms in which a session is read: as a stream, and with callbacks.

use std::future::{pending, ready};

use drivetap_core::NotificationUrl;
use drivetap_transport::{Ended, Farewell, Limits, Listener, MemoryPeer, OpenError, Session, Transport, Who, Why, memory};
use futures_util::StreamExt;
use tokio::sync::oneshot;

use crate::server::url;

const LEFT: Ended = Ended { by: Who::Server, why: Why::Disconnect };

#[tokio::test(start_paused = true)]
async fn a_stream_gives_every_notification_then_the_end_then_nothing() {
    let (session, peer) = open().await;
    for id in 0..200 {
        peer.notify(&format!(r#"{{"subscriptionId":"{id}"}}"#));
    }
    peer.leave();
    let mut stream = session.into_stream();
    for id in 0..200 {
        let notification = stream.next().await.unwrap().unwrap();
        assert_eq!(notification.subscription_id(), Some(id.to_string().as_str()));
    }
    assert_eq!(stream.next().await, Some(Err(LEFT)));
    assert_eq!(stream.next().await, None);
}

#[tokio::test(start_paused = true)]
async fn dropping_a_stream_closes_the_session() {
    let (session, peer) = open().await;
    let mut stream = session.into_stream();
    peer.notify("{}");
    stream.next().await.unwrap().unwrap();
    drop(stream);
    assert_eq!(peer.closed().await, Farewell::Dropped);
}

#[tokio::test(start_paused = true)]
async fn a_listener_calls_back_in_order_and_ends_with_the_session() {
    let (transport, mut server) = memory();
    let url = address();
    // Callbacks borrow what is around them; the cell is for three that share it.
    let calls = std::sync::Mutex::new(Vec::new());
    let call = |what: String| calls.lock().unwrap().push(what);
    let listener = Listener::new(&transport, &url)
        .on_connect(|| call("connect".into()))
        .on_notification(|n| call(format!("notification {}", n.subscription_id().unwrap())))
        .on_end(|ended| call(format!("end: {ended}")));
    let (ended, ()) = tokio::join!(listener.run(pending()), async {
        let peer = server.next().await.unwrap().accept();
        peer.notify(r#"{"value":[{"subscriptionId":"1"},{"subscriptionId":"2"}]}"#);
        peer.leave();
    });
    assert_eq!(ended, Ok(LEFT));
    assert_eq!(*calls.lock().unwrap(), ["connect", "notification 1", "notification 2", "end: disconnected (by the server)"]);
}

#[tokio::test(start_paused = true)]
async fn a_listener_says_goodbye_at_shutdown() {
    let (transport, mut server) = memory();
    let url = address();
    let (stop, stopped) = oneshot::channel();
    let (mut stop, mut ends) = (Some(stop), 0);
    let listener = Listener::new(&transport, &url).on_connect(|| stop.take().unwrap().send(()).unwrap()).on_end(|_| ends += 1);
    let shutdown = async { stopped.await.unwrap() };
    let (ended, farewell) = tokio::join!(listener.run(shutdown), async { server.next().await.unwrap().accept().closed().await });
    assert_eq!(ended, Ok(Ended { by: Who::Us, why: Why::Closed }));
    assert_eq!(farewell, Farewell::Goodbye);
    assert_eq!(ends, 1);
}

#[tokio::test(start_paused = true)]
async fn a_listener_that_cannot_connect_calls_nobody() {
    let (transport, mut server) = memory();
    let url = address();
    let never = || panic!("called");
    let refused = OpenError::Refetch { reason: "expired".into() };
    let listener = Listener::new(&transport, &url).on_connect(never).on_end(|_| panic!("called"));
    let (ended, ()) = tokio::join!(listener.run(pending()), async {
        server.next().await.unwrap().refuse(refused.clone());
    });
    assert_eq!(ended, Err(refused));
    // Shut down while it connects, it is neither connected nor in error.
    let ended = Listener::new(&transport, &url).on_connect(never).on_end(|_| panic!("called")).run(ready(())).await;
    assert_eq!(ended, Ok(Ended { by: Who::Us, why: Why::Closed }));
}

#[tokio::test(start_paused = true)]
async fn the_server_half_sees_what_is_opened_and_whether_it_was_given_up() {
    let (transport, mut server) = memory();
    let (url, limits) = (address(), Limits { frame_bytes: 7, ..Limits::default() });
    let (opened, ()) = tokio::join!(transport.open(&url, &limits), async {
        let mut opening = server.next().await.unwrap();
        assert_eq!((opening.url(), opening.limits()), (&url, &limits));
        opening.abandoned().await;
        assert_eq!(opening.accept().closed().await, Farewell::Dropped);
    });
    assert_eq!(opened.map(drop), Err(OpenError::Retry { reason: "no answer within 15s".into() }));
    drop(server);
    let refused = Err(OpenError::Retry { reason: "connection refused".into() });
    assert_eq!(transport.open(&url, &limits).await.map(drop), refused);
}

async fn open() -> (Box<dyn Session>, MemoryPeer) {
    let (transport, mut server) = memory();
    let (url, limits) = (address(), Limits::default());
    let (session, peer) = tokio::join!(transport.open(&url, &limits), async { server.next().await.unwrap().accept() });
    (session.unwrap(), peer)
}

fn address() -> NotificationUrl {
    url("https://a.svc.ms/notifications?token=t")
}
