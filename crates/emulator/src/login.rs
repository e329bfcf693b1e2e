//! The identity platform's HTTP: `/{tenant}/oauth2/v2.0/…`, and the page on which a person types a device code in.

use axum::{
    body::{Body, to_bytes},
    http::{Method, request::Parts},
};
use jiff::Timestamp;
use serde_json::json;
use tokio::time::Instant;

use crate::{
    emulator::Service,
    fault::Route,
    graph::Reply,
    refused::{LoginError, Refused},
    text,
};

/// A form, at most.
const MAX_FORM: usize = 64 * 1024;
/// Where a person types a device code in. At Microsoft it is another host.
const DEVICE_PAGE: &str = "/devicelogin";

/// What of the identity platform a path is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Login {
    DeviceCode,
    Token,
    Authorize,
    DevicePage,
}

impl Login {
    pub(crate) fn of(path: &str) -> Option<Self> {
        if path == DEVICE_PAGE {
            return Some(Self::DevicePage);
        }
        match path.split('/').skip(2).collect::<Vec<_>>().as_slice() {
            ["oauth2", "v2.0", "devicecode"] => Some(Self::DeviceCode),
            ["oauth2", "v2.0", "token"] => Some(Self::Token),
            ["oauth2", "v2.0", "authorize"] => Some(Self::Authorize),
            _ => None,
        }
    }

    /// The route that faults know. A person's page has none.
    pub(crate) fn route(self) -> Option<Route> {
        match self {
            Self::DeviceCode | Self::Token => Some(Route::Token),
            Self::Authorize => Some(Route::Authorize),
            Self::DevicePage => None,
        }
    }
}

/// The truth, or the `refusal` of a fault.
pub(crate) async fn answer(service: &Service, login: Login, parts: &Parts, body: Body, refusal: Option<LoginError>) -> Reply {
    let form = to_bytes(body, MAX_FORM).await.unwrap_or_default();
    let form = String::from_utf8_lossy(&form);
    let query = parts.uri.query().unwrap_or_default();
    service.with(|world| {
        let (now, wall) = (Instant::now(), world.wall(Timestamp::now()));
        let switches = &world.switches;
        let answer = match (login, refusal) {
            (Login::Authorize, _) => {
                return match world.accounts.authorize(query, refusal, now) {
                    Ok(to) => Reply::redirect(to),
                    Err(says) => Reply::page(400, &says),
                };
            }
            (Login::DevicePage, _) => return device_page(&mut world.accounts, &parts.method, &form),
            (_, Some(error)) => Err(Refused::from(error)),
            _ if parts.method != Method::POST => return Reply::json(405, &json!({ "error": "invalid_request" })),
            (Login::DeviceCode, None) => {
                world.accounts.device_code(&form, &format!("{}{DEVICE_PAGE}", service.origin), switches, now)
            }
            (Login::Token, None) => world.accounts.token(&form, switches, now),
        };
        match answer {
            Ok(body) => Reply::json(200, &body),
            Err(refused) => Reply::json(refused.status, &refused.body(wall)),
        }
    })
}

/// A form; sent with a code, it approves as the first account.
fn device_page(accounts: &mut crate::accounts::Accounts, method: &Method, form: &str) -> Reply {
    if method != Method::POST {
        return Reply::page(
            200,
            "<form method=\"post\"><label>Enter the code: <input name=\"code\" autofocus></label> <button>Next</button></form>",
        );
    }
    let account = accounts.list.first().map(|account| account.name.clone());
    let code = text::field(form, "code").unwrap_or_default();
    match account.filter(|account| accounts.answer(code.trim(), Some(account))) {
        Some(account) => Reply::page(200, &format!("You have signed in as {account}. You may now close this window.")),
        None => Reply::page(400, "That code didn't work. Check the code and try again."),
    }
}
