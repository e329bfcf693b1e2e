//! Graph's REST routes, and what all answers have in common.

use std::{str::FromStr, sync::Arc, time::Duration};

use axum::{
    body::Body,
    extract::{ConnectInfo, State},
    http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header, request::Parts},
    response::Response,
};
use jiff::Timestamp;
use serde_json::{Map, Value, json};
use tokio::time::Instant;
use uuid::Uuid;

use crate::{
    accounts::Account,
    browse::Browse,
    delta::{self, Link, Query, Start, Token},
    emulator::Service,
    endpoint,
    fault::{Answer, Fault, Route},
    journal::{Request, Secret},
    login::{self, Login},
    model::{Drive, DriveKind},
    resource::{self, Asked, Resource},
    switches::{DriveIdSpelling, Gone, Links, Location, within_a_century},
    text,
    wire::{Fate, Line},
    world::World,
};

/// The token of a broken `Location`: it answers 500.
const BROKEN: &str = "broken";

/// Which of Graph's machines answered.
const DIAGNOSTIC: &str =
    r#"{"ServerInfo":{"DataCenter":"Loopback","Slice":"E","Ring":"3","ScaleUnit":"002","RoleInstance":"EMULATOR"}}"#;

/// What a request is answered with, before it is HTTP.
#[derive(Debug)]
pub(crate) struct Reply {
    status: u16,
    headers: Vec<(String, String)>,
    body: String,
}

/// A refusal in Graph's words.
#[derive(Debug)]
pub(crate) struct Refusal {
    status: u16,
    code: String,
    inner_code: Option<String>,
    message: String,
    headers: Vec<(String, String)>,
}

/// Answers every request that is neither a websocket's nor the control API's.
pub(crate) async fn serve(
    State(service): State<Arc<Service>>,
    ConnectInfo(line): ConnectInfo<Line>,
    request: axum::extract::Request,
) -> Response {
    let (parts, body) = request.into_parts();
    let path = parts.uri.path();
    let login = Login::of(path);
    let browse = Browse::of(path);
    let asked = path.strip_prefix("/v1.0").map_or_else(|| Err(path.to_owned()), resource::parse);
    let route = match login {
        Some(login) => login.route(),
        None if browse.is_some() => Some(Route::Browse),
        None => asked.as_ref().ok().map(|asked| asked.route),
    };

    let (number, fault) = service.with(|world| {
        let number = world.journal.open(noted(&parts, route, &line, world));
        (number, route.and_then(|route| world.faults.take(route)))
    });
    let refusal = fault.as_ref().and_then(Fault::login_error);
    let reply = match (meet(&service, &line, fault, &parts, asked.as_ref().ok()).await, login) {
        (Some(reply), _) => reply,
        (None, Some(login)) => login::answer(&service, login, &parts, body, refusal).await,
        (None, None) => service.with(|world| {
            match &asked {
                _ if browse.is_some() => collection(world, &service.origin, &parts, browse.as_ref()),
                Ok(asked) => truth(world, &service, &parts, asked),
                Err(segment) => Err(Refusal::new(400, "BadRequest", &format!("Resource not found for the segment '{segment}'."))),
            }
            .unwrap_or_else(|refusal| refusal.reply(world, &parts.headers))
        }),
    };
    // A new endpoint may have ended an older one.
    if route == Some(Route::Endpoint) {
        service.wake_clock();
    }
    service.with(|world| {
        world.journal.close(number, reply.status);
        reply.http(world, &parts.headers)
    })
}

/// Writes a request down.
pub(crate) fn noted(parts: &Parts, route: Option<Route>, line: &Line, world: &World) -> Request {
    const OF_INTEREST: [&str; 5] = ["content-type", "user-agent", "client-request-id", "deltaexcludeparent", "prefer"];
    let bearer = bearer(&parts.headers);
    let account = bearer.as_ref().and_then(|bearer| world.accounts.of(bearer, Instant::now()));
    let headers = OF_INTEREST.iter().filter_map(|name| {
        let value = parts.headers.get(*name)?.to_str().ok()?;
        Some(((*name).to_owned(), value.to_owned()))
    });
    Request {
        number: 0,
        connection: line.id(),
        at: Timestamp::now(),
        route,
        method: parts.method.to_string(),
        path: parts.uri.path().to_owned(),
        query: parts.uri.query().unwrap_or_default().to_owned(),
        account: account.map(|account| account.name.clone()),
        bearer,
        headers: headers.collect(),
        status: None,
    }
}

/// What a fault makes of a request; `None` is the truth.
async fn meet(service: &Service, line: &Line, fault: Option<Fault>, parts: &Parts, asked: Option<&Asked<'_>>) -> Option<Reply> {
    let fault = fault?;
    tokio::time::sleep(Duration::from_millis(fault.delay_ms)).await;
    match fault.answer {
        // The identity platform's refusals are told in its own words, by who knows them.
        Answer::Truth | Answer::Login(_) => None,
        Answer::Hang => std::future::pending().await,
        Answer::Reset => {
            line.meet(Fate::Reset);
            std::future::pending().await
        }
        Answer::Raw { status, headers, body } => Some(Reply { status, headers, body }),
        Answer::Error { status, code, retry_after_s } => {
            let mut refusal = Refusal::new(status, &code, says(status));
            if let Some(seconds) = retry_after_s {
                refusal.headers.push(("Retry-After".to_owned(), seconds.to_string()));
            }
            Some(service.with(|world| refusal.reply(world, &parts.headers)))
        }
        Answer::Gone(gone) => Some(service.with(|world| {
            let start = asked.and_then(|asked| fresh_link(world, &service.origin, parts, asked));
            gone_for(&gone, start.as_deref()).reply(world, &parts.headers)
        })),
    }
}

/// What Graph answers on a good day.
fn truth(world: &mut World, service: &Service, parts: &Parts, asked: &Asked<'_>) -> Result<Reply, Refusal> {
    if parts.method != Method::GET {
        return Err(Refusal::new(405, "BadRequest", "The HTTP method is not allowed for this resource."));
    }
    let account = account(world, &parts.headers)?;
    let drive = world.resolve(&asked.resource, &account);
    let drive = drive.ok_or_else(|| Refusal::new(404, "itemNotFound", "The resource could not be found."))?;
    if account.sees.as_ref().is_some_and(|seen| !seen.contains(&drive.id)) {
        return Err(Refusal::new(403, "accessDenied", "Access denied"));
    }
    let id = drive.id.clone();
    let query = parts.uri.query().unwrap_or_default();
    match asked.route {
        Route::Endpoint => open_endpoint(world, &service.notification_origin, parts, &account, &id),
        Route::Drive => Ok(Reply::json(200, &show_drive(world, drive, query)?)),
        _ => show_delta(world, &service.origin, parts, asked, drive),
    }
}

/// A page of a collection.
fn collection(world: &World, origin: &str, parts: &Parts, browse: Option<&Browse>) -> Result<Reply, Refusal> {
    let account = account(world, &parts.headers)?;
    let known = browse.ok_or_else(|| Refusal::new(404, "itemNotFound", "The resource could not be found."))?;
    Ok(Reply::json(200, &known.answer(world, origin, &account, parts.uri.query().unwrap_or_default())?))
}

fn account(world: &World, headers: &HeaderMap) -> Result<Account, Refusal> {
    let refused = |message: &str| {
        let mut refusal = Refusal::new(401, "InvalidAuthenticationToken", message);
        let realm = "Bearer realm=\"\", authorization_uri=\"https://login.microsoftonline.com/common/oauth2/authorize\"";
        refusal.headers.push(("WWW-Authenticate".to_owned(), realm.to_owned()));
        refusal
    };
    let bearer = bearer(headers).ok_or_else(|| refused("Access token is empty."))?;
    let account = world.accounts.of(&bearer, Instant::now()).cloned();
    account.ok_or_else(|| refused("Lifetime validation failed, the token is expired."))
}

fn bearer(headers: &HeaderMap) -> Option<Secret> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = value.split_once(' ')?;
    (scheme.eq_ignore_ascii_case("bearer") && !token.is_empty()).then(|| token.into())
}

fn open_endpoint(world: &mut World, origin: &str, parts: &Parts, account: &Account, drive: &str) -> Result<Reply, Refusal> {
    let declared = parts.headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let json = declared.is_some_and(|value| value.split(';').next().is_some_and(|kind| kind.trim() == "application/json"));
    if world.switches.strict_content_type && !json {
        return Err(Refusal::new(400, "invalidRequest", "Content-Type: application/json is required."));
    }
    let (token, endpoint) = world.open_endpoint(drive, &account.name, Instant::now(), Timestamp::now());
    let bare = world.switches.bare_endpoint;
    Ok(Reply::text(200, endpoint::answer(origin, &token, &endpoint, bare)))
}

pub(crate) fn show_drive(world: &World, drive: &Drive, query: &str) -> Result<Value, Refusal> {
    let root = drive.item(&drive.root);
    let owner = json!({ "user": { "email": drive.owner.email, "id": drive.owner.id, "displayName": drive.owner.name } });
    let full = json!({
        "id": spelled(world, drive),
        "driveType": drive.kind.as_str(),
        "name": drive.name,
        "webUrl": root.map(|root| drive.web_url(root)),
        "createdDateTime": root.map(|root| text::seconds(root.created)),
        "lastModifiedDateTime": root.map(|root| text::seconds(root.modified)),
        "owner": owner,
        "quota": { "state": "normal", "total": 1_099_511_627_776_u64, "used": root.map(|root| drive.size_of(root)) },
    });
    let selected = text::field(query, "$select");
    let mut shown = Map::new();
    let context = match &selected {
        Some(fields) => format!("https://graph.microsoft.com/v1.0/$metadata#drives({fields})/$entity"),
        None => "https://graph.microsoft.com/v1.0/$metadata#drives/$entity".to_owned(),
    };
    shown.insert("@odata.context".to_owned(), json!(context));
    let Value::Object(full) = full else {
        return Ok(Value::Object(shown));
    };
    if let Some(fields) = selected {
        for field in fields.split(',').map(str::trim) {
            let unknown = || {
                Refusal::new(
                    400,
                    "BadRequest",
                    &format!("Could not find a property named '{field}' on type 'microsoft.graph.drive'."),
                )
            };
            let value = full.get(field).ok_or_else(unknown)?;
            shown.insert(field.to_owned(), value.clone());
        }
    } else {
        shown.extend(full);
    }
    Ok(Value::Object(shown))
}

/// The drive's id as the service spells it today.
fn spelled(world: &World, drive: &Drive) -> String {
    let id = drive.id.clone();
    match world.switches.drive_id {
        _ if drive.kind != DriveKind::Personal => id,
        DriveIdSpelling::AsMade => id,
        DriveIdSpelling::Upper => id.to_ascii_uppercase(),
        DriveIdSpelling::NoLeadingZeros => id.trim_start_matches('0').to_ascii_uppercase(),
    }
}

fn show_delta(world: &World, origin: &str, parts: &Parts, asked: &Asked<'_>, drive: &Drive) -> Result<Reply, Refusal> {
    let query = parts.uri.query().unwrap_or_default();
    for option in query.split('&').filter_map(|pair| pair.split_once('=')).map(|(name, _)| name) {
        let known = matches!(text::percent_decode(option).as_deref(), Some("token" | "$top"));
        if !known {
            return Err(Refusal::new(
                400,
                "invalidRequest",
                &format!("This emulator does not know the query option '{option}'."),
            ));
        }
    }
    let token = asked.token.or_else(|| text::raw_field(query, "token"));
    let start = match token {
        None => Start::Beginning,
        Some("latest") => Start::Latest,
        Some(BROKEN) => return Err(Refusal::new(500, "generalException", "An unspecified error has occurred.")),
        Some(raw) => {
            let refused = || Refusal::new(400, "invalidRequest", "The provided token is not valid.");
            Start::From(Token::parse(raw).or_else(|| Token::of_a_time(drive, raw)).ok_or_else(refused)?)
        }
    };
    let top = match text::field(query, "$top") {
        None => None,
        Some(top) => match u16::from_str(&top) {
            Ok(top) if top > 0 => Some(top),
            _ => return Err(Refusal::new(400, "invalidRequest", "Invalid value for $top.")),
        },
    };
    let excluded = parts.headers.get("deltaExcludeParent").is_some_and(|value| value != "false");
    let query = Query { start, top, exclude_parent: excluded };
    let base = delta_base(origin, &asked.resource);
    let head = drive.visible_head(within_a_century(world.switches.delta_lag), Instant::now());
    let page =
        delta::page(drive, query, &world.switches, head).map_err(|delta::Expired| gone_for(&world.switches.gone, Some(&base)))?;
    let (name, token) = match page.link {
        Link::Next(token) => ("@odata.nextLink", token.text()),
        Link::Delta(token) => ("@odata.deltaLink", token.text()),
    };
    let link = match world.switches.links {
        Links::Query => format!("{base}?token={token}"),
        Links::Call => format!("{base}(token='{token}')"),
    };
    let mut body = Map::new();
    body.insert("@odata.context".to_owned(), json!("https://graph.microsoft.com/v1.0/$metadata#Collection(driveItem)"));
    body.insert(name.to_owned(), json!(link));
    body.insert("value".to_owned(), Value::Array(page.items));
    Ok(Reply::json(200, &Value::Object(body)))
}

fn delta_base(origin: &str, resource: &Resource) -> String {
    let path = match resource {
        Resource::Me => "me/drive".to_owned(),
        Resource::Drive(id) => format!("drives/{}", text::segment(id)),
        Resource::Group(id) => format!("groups/{}/drive", text::segment(id)),
        Resource::List(site, list) => format!("sites/{}/lists/{}/drive", text::segment(site), text::segment(list)),
    };
    format!("{origin}/v1.0/{path}/root/delta")
}

fn fresh_link(world: &World, origin: &str, parts: &Parts, asked: &Asked<'_>) -> Option<String> {
    let account = account(world, &parts.headers).ok()?;
    world.resolve(&asked.resource, &account)?;
    Some(delta_base(origin, &asked.resource))
}

fn gone_for(gone: &Gone, fresh: Option<&str>) -> Refusal {
    let mut refusal =
        Refusal::new(410, &gone.code, "Resync required. Replace any local items with the server's version (including deletes).");
    refusal.inner_code.clone_from(&gone.inner_code);
    let location = match (gone.location, fresh) {
        (Location::Fresh, Some(link)) => Some(link.to_owned()),
        (Location::Broken, Some(link)) => Some(format!("{link}?token={BROKEN}")),
        _ => None,
    };
    refusal.headers.extend(location.map(|link| ("Location".to_owned(), link)));
    refusal
}

impl Reply {
    pub(crate) fn json(status: u16, body: &Value) -> Self {
        Self::text(status, body.to_string())
    }

    /// Where a browser goes next.
    pub(crate) fn redirect(to: String) -> Self {
        Self { status: 302, headers: vec![("Location".to_owned(), to)], body: String::new() }
    }

    /// For a person.
    pub(crate) fn page(status: u16, says: &str) -> Self {
        let headers = vec![("Content-Type".to_owned(), "text/html; charset=utf-8".to_owned())];
        Self { status, headers, body: format!("<!DOCTYPE html><html><title>Sign in</title><body><p>{says}</p></body></html>") }
    }

    fn text(status: u16, body: String) -> Self {
        Self { status, headers: vec![("Content-Type".to_owned(), "application/json".to_owned())], body }
    }

    /// With the headers that every answer of Graph's carries.
    pub(crate) fn http(self, world: &World, asked: &HeaderMap) -> Response {
        let mut response = Response::new(Body::from(self.body));
        *response.status_mut() = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let client = asked.get("client-request-id").and_then(|value| value.to_str().ok());
        let usual = [
            ("Date", Some(text::http_date(world.wall(Timestamp::now())))),
            ("request-id", Some(Uuid::new_v4().to_string())),
            ("client-request-id", client.map(str::to_owned)),
            ("x-ms-ags-diagnostic", Some(DIAGNOSTIC.to_owned())),
        ];
        let usual = usual.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?)));
        let own = |name: &str| self.headers.iter().any(|(key, _)| key.eq_ignore_ascii_case(name));
        let usual: Vec<_> = usual.filter(|(name, _)| !own(name)).collect();
        for (name, value) in usual.iter().chain(&self.headers) {
            // A scripted header that HTTP cannot carry is left out.
            if let (Ok(name), Ok(value)) = (HeaderName::from_str(name), HeaderValue::from_str(value)) {
                response.headers_mut().append(name, value);
            }
        }
        response
    }
}

impl Refusal {
    pub(crate) fn new(status: u16, code: &str, message: &str) -> Self {
        Self { status, code: code.to_owned(), inner_code: None, message: message.to_owned(), headers: Vec::new() }
    }

    fn reply(self, world: &World, asked: &HeaderMap) -> Reply {
        let mut inner = Map::new();
        if let Some(code) = self.inner_code {
            inner.insert("code".to_owned(), json!(code));
        }
        let request = Uuid::new_v4().to_string();
        let client = asked.get("client-request-id").and_then(|value| value.to_str().ok()).unwrap_or(&request);
        inner.insert("date".to_owned(), json!(text::zoneless(world.wall(Timestamp::now()))));
        inner.insert("request-id".to_owned(), json!(request));
        inner.insert("client-request-id".to_owned(), json!(client));
        let body = json!({ "error": { "code": self.code, "message": self.message, "innerError": inner } });
        let mut reply = Reply::json(self.status, &body);
        reply.headers.push(("request-id".to_owned(), request));
        reply.headers.extend(self.headers);
        reply
    }
}

/// A message to go with a scripted status.
fn says(status: u16) -> &'static str {
    match status {
        400 => "Operation not supported",
        401 => "Lifetime validation failed, the token is expired.",
        403 => "Access denied",
        404 => "The resource could not be found.",
        429 => "The request has been throttled",
        503 => "The service is not available. Try the request again after a delay. There may be a Retry-After header.",
        _ => "An unspecified error has occurred.",
    }
}
