//! The socket.io service: websocket only, `/socket.io/`, one namespace.

use std::{sync::Arc, time::Duration};

use axum::{
    extract::{ConnectInfo, Request, State},
    http::{StatusCode, Uri},
    middleware::Next,
    response::{IntoResponse, Response},
};
use socketioxide::{SocketIo, TransportType, extract::SocketRef, handler::ConnectHandler, layer::SocketIoLayer};
use tokio::time::Instant;

use crate::{
    emulator::{Config, Service},
    fault::{Answer, Route},
    graph,
    switches::{Handshake, StaleUrl},
    text,
    wire::{Fate, Line},
};

/// The path of every `notificationUrl` in the wild.
const NAMESPACE: &str = "/notifications";
/// Frames that wait for one slow socket; beyond, notifications to it are dropped and counted.
const BUFFERED_FRAMES: usize = 1_024;

/// What a client may send at once, in bytes: nothing that it has to say is as long.
const MAX_MESSAGE: usize = 64 * 1024;
/// How long a websocket may stay outside every namespace: long, so that a silent namespace stays silent.
const UNJOINED: Duration = Duration::from_secs(600);

/// The socket.io server, as a layer for the router and a handle to end it.
pub(crate) fn layer(config: &Config) -> (SocketIoLayer, SocketIo) {
    SocketIo::builder()
        .transports([TransportType::Websocket])
        .ping_interval(config.ping_interval)
        .ping_timeout(config.ping_timeout)
        .max_buffer_size(BUFFERED_FRAMES)
        .ws_max_message_size(MAX_MESSAGE)
        .ws_max_frame_size(MAX_MESSAGE)
        .connect_timeout(UNJOINED)
        .build_layer()
}

/// Says who may enter which namespace.
pub(crate) fn open_namespaces(io: &SocketIo, service: &Arc<Service>) {
    // Clients customarily join `/` as well, and nothing is ever said there.
    io.ns("/", async || ());

    let gate = Arc::clone(service);
    let admit = async move |socket: SocketRef| admit(&gate, &socket).await;
    let service = Arc::clone(service);
    // Not an `async` closure: this runs before the client can read that it is connected, so that no change which it
    // makes afterwards goes without a signal.
    let entered = move |socket: SocketRef| {
        enter(&service, socket);
        std::future::ready(())
    };
    io.ns(NAMESPACE, entered.with(admit));
}

fn enter(service: &Arc<Service>, socket: SocketRef) {
    let leaving = Arc::clone(service);
    socket.on_disconnect(async move |socket: SocketRef| leaving.with(|world| world.leave(socket.id)));
    let parts = socket.req_parts();
    let line = parts.extensions.get::<ConnectInfo<Line>>();
    let line = line.map(|ConnectInfo(line)| line.id()).unwrap_or_default();
    let token = url_token(&parts.uri);
    if !service.with(|world| world.join(socket.clone(), &token, line, Instant::now())) {
        drop(socket.disconnect());
        return;
    }
    service.wake_clock();
    // Where the socket ended before its handler was set, nobody else takes it out.
    if !socket.connected() {
        service.with(|world| world.leave(socket.id));
    }
}

/// The namespace's own check: `Err` is the message of a `44/notifications,{"message":…}`.
async fn admit(service: &Service, socket: &SocketRef) -> Result<(), String> {
    let token = url_token(&socket.req_parts().uri);
    let (handshake, valid) = service.with(|world| {
        let valid = world.endpoints.valid(&token, Instant::now()).is_some();
        (world.switches.handshake.clone(), valid)
    });
    match handshake {
        Handshake::ConnectError(message) => Err(message),
        Handshake::SilentNamespace => {
            service.stop.cancelled().await;
            Err("the service is going away".to_owned())
        }
        _ if !valid => Err("Unauthorized".to_owned()),
        _ => Ok(()),
    }
}

/// Stands before the socket.io layer: the log, the faults, and the check of the URL at the upgrade.
pub(crate) async fn guard(
    State(service): State<Arc<Service>>,
    ConnectInfo(line): ConnectInfo<Line>,
    request: Request,
    next: Next,
) -> Response {
    if !request.uri().path().starts_with("/socket.io") {
        return next.run(request).await;
    }
    let (parts, body) = request.into_parts();
    let (number, fault) = service.with(|world| {
        let number = world.journal.open(graph::noted(&parts, Some(Route::Socket), &line, world));
        (number, world.faults.take(Route::Socket))
    });
    if let Some(fault) = &fault {
        tokio::time::sleep(Duration::from_millis(fault.delay_ms)).await;
    }
    let refused = match fault.map(|fault| fault.answer) {
        Some(Answer::Hang) => std::future::pending().await,
        Some(Answer::Reset) => {
            line.meet(Fate::Reset);
            std::future::pending().await
        }
        Some(Answer::Error { status, .. } | Answer::Raw { status, .. }) => Some(status),
        Some(Answer::Gone(_)) => Some(410),
        Some(Answer::Truth | Answer::Login(_)) | None => service.with(|world| {
            let token = url_token(&parts.uri);
            let valid = world.endpoints.valid(&token, Instant::now()).is_some();
            match (&world.switches.handshake, world.switches.stale_url) {
                (Handshake::Refused(status), _) => Some(*status),
                (Handshake::SilentUpgrade, _) => {
                    line.mute_at_upgrade();
                    None
                }
                (Handshake::Normal, StaleUrl::Refused(status)) if !valid => Some(status),
                _ => None,
            }
        }),
    };
    let response = match refused {
        Some(status) => StatusCode::from_u16(status).unwrap_or(StatusCode::FORBIDDEN).into_response(),
        None => next.run(Request::from_parts(parts, body)).await,
    };
    service.with(|world| world.journal.close(number, response.status().as_u16()));
    response
}

fn url_token(uri: &Uri) -> String {
    text::field(uri.query().unwrap_or_default(), "token").unwrap_or_default()
}
