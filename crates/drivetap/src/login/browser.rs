//! The sign-in in a browser: a page is opened, and the browser comes back to a port of this process's own.

use std::net::Ipv4Addr;
use std::time::Duration;

use axum::Router;
use axum::extract::{RawQuery, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use drivetap_bridge::graph::login::{Grant, IdentityPlatform, LoginError};
use tokio::net::TcpListener;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::bounded::Bounded;
use crate::logs::say;

/// Prints the page to open and waits for the browser, at most `within`. An answer with another `state` is turned away with a page that says
/// so, and does not end the waiting: anything on this machine can ask this port.
pub(super) async fn sign_in(platform: &IdentityPlatform, within: Duration) -> Result<Grant, LoginError> {
    let network = |error: std::io::Error| LoginError::Network(format!("no port on 127.0.0.1: {error}"));
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.map_err(network)?;
    let port = listener.local_addr().map_err(network)?.port();
    // `localhost` and not the address: a registration takes any port of it (RFC 8252, 7.3, as Entra does it).
    let login = platform.browser(&format!("http://localhost:{port}/"))?;
    let (asks, mut asked) = mpsc::channel(1);
    let listening = Listening::start(listener, asks);
    say(&format!("To sign in, open this page in a browser on this machine:\n{}\nWaiting. Ctrl-C ends.", login.url()));

    let waiting = async {
        while let Some(Ask { query, page }) = asked.recv().await {
            match login.code(&query) {
                Ok(code) => return Ok((code, page)),
                Err(LoginError::WrongState) => drop(page.send(Page::refused(&LoginError::WrongState))),
                Err(error) => {
                    drop(page.send(Page::refused(&error)));
                    return Err(error);
                }
            }
        }
        Err(LoginError::Expired)
    };
    let came = tokio::time::timeout(within, waiting).await.unwrap_or(Err(LoginError::Expired));
    // Who comes from here on, with the same answer or another one, is too late.
    drop(asked);
    let granted = match came {
        Ok((code, page)) => {
            let granted = platform.redeem(login, code).await;
            drop(page.send(granted.as_ref().map_or_else(Page::refused, |_| Page::welcome())));
            granted
        }
        Err(error) => Err(error),
    };
    listening.stop().await;
    granted
}

/// What the browser brought, and where the page goes that it is shown.
struct Ask {
    query: String,
    page: oneshot::Sender<Page>,
}

/// For a person.
struct Page {
    status: StatusCode,
    says: String,
}

impl Page {
    fn welcome() -> Self {
        Self { status: StatusCode::OK, says: "You have signed in. You can close this window.".to_owned() }
    }

    fn refused(error: &LoginError) -> Self {
        Self { status: StatusCode::BAD_REQUEST, says: format!("Not signed in: {error}.") }
    }

    fn over() -> Self {
        Self { status: StatusCode::GONE, says: "This sign-in is over: nobody waits for it any more.".to_owned() }
    }
}

impl IntoResponse for Page {
    fn into_response(self) -> Response {
        let says = self.says.replace('&', "&amp;").replace('<', "&lt;");
        let html = format!("<!DOCTYPE html><html lang=\"en\"><title>drivetap</title><body><p>{says}</p></body></html>");
        // The address has the code in it: it goes no further, and stays in no cache.
        let headers = [
            (header::CONTENT_TYPE, "text/html; charset=utf-8"),
            (header::CACHE_CONTROL, "no-store"),
            (header::REFERRER_POLICY, "no-referrer"),
        ];
        (self.status, headers, html).into_response()
    }
}

/// The port, for as long as somebody waits.
struct Listening {
    stop: CancellationToken,
    served: JoinHandle<()>,
}

impl Listening {
    const CONNECTIONS: usize = 16;
    const LIFE: Duration = Duration::from_secs(90);
    /// For the last page to reach the browser.
    const PARTING: Duration = Duration::from_secs(1);

    fn start(listener: TcpListener, asks: mpsc::Sender<Ask>) -> Self {
        let router = Router::new().route("/", get(ask)).with_state(asks);
        let stop = CancellationToken::new();
        let stopped = stop.clone().cancelled_owned();
        let served = tokio::spawn(async move {
            let listener = Bounded::new(listener, Self::CONNECTIONS, Self::LIFE);
            let _ = axum::serve(listener, router).with_graceful_shutdown(stopped).await;
        });
        Self { stop, served }
    }

    async fn stop(mut self) {
        self.stop.cancel();
        let _ = tokio::time::timeout(Self::PARTING, &mut self.served).await;
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        self.served.abort();
    }
}

async fn ask(State(asks): State<mpsc::Sender<Ask>>, RawQuery(query): RawQuery) -> Page {
    let (page, shown) = oneshot::channel();
    let ask = Ask { query: query.unwrap_or_default(), page };
    match asks.send(ask).await {
        Ok(()) => shown.await.unwrap_or_else(|_| Page::over()),
        Err(_) => Page::over(),
    }
}
