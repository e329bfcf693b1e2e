//! The socketIo endpoint's answers, and the frames of the service behind it: the captured texts, filled in.

use std::collections::HashMap;

use jiff::Timestamp;
use serde::Serialize;
use serde_json::{Value, json};
use tokio::time::Instant;
use uuid::Uuid;

use crate::{model::Drive, switches::Payload, text};

/// The same in every subscription of every account that anybody has captured.
const CLIENT_STATE: &str = "system-managed:8082D436-D8DA-458D-96AD-34C902B73F37";
/// The client id in every URL. Made up.
const APPLICATION: &str = "e8d4b5a2-3f60-4c1e-9b7d-a05c6f812e94";
/// Endpoints that are remembered; beyond, those that expire soonest go.
const MAX_ENDPOINTS: usize = 50_000;

/// What a GET of an endpoint made.
#[derive(Debug, Clone)]
pub(crate) struct Endpoint {
    pub(crate) id: Uuid,
    pub(crate) drive: String,
    pub(crate) account: String,
    /// As printed in the answer and in each notification.
    pub(crate) expiration: Timestamp,
    /// The same moment on the clock that does not jump.
    pub(crate) expires: Instant,
}

/// Endpoints by the token of their URL.
#[derive(Debug, Default)]
pub(crate) struct Endpoints(HashMap<String, Endpoint>);

impl Endpoints {
    pub(crate) fn add(&mut self, endpoint: Endpoint) -> String {
        if self.0.len() >= MAX_ENDPOINTS {
            let soonest = self.0.iter().min_by_key(|(_, endpoint)| endpoint.expires);
            if let Some(token) = soonest.map(|(token, _)| token.clone()) {
                self.0.remove(&token);
            }
        }
        let token = format!("{}{}", Uuid::new_v4().simple(), Uuid::new_v4().simple());
        self.0.insert(token.clone(), endpoint);
        token
    }

    /// The endpoint of a URL that is still good.
    pub(crate) fn valid(&self, token: &str, now: Instant) -> Option<&Endpoint> {
        self.0.get(token).filter(|endpoint| now < endpoint.expires)
    }

    /// Ends every endpoint that `which` names.
    pub(crate) fn expire(&mut self, now: Instant, which: impl Fn(&Endpoint) -> bool) {
        for endpoint in self.0.values_mut().filter(|endpoint| which(endpoint)) {
            endpoint.expires = endpoint.expires.min(now);
        }
    }

    /// When the next endpoint expires of those whose sockets somebody watches.
    pub(crate) fn get(&self, token: &str) -> Option<&Endpoint> {
        self.0.get(token)
    }

    /// Forgets what expired before `then`.
    pub(crate) fn forget(&mut self, then: Instant) {
        self.0.retain(|_, endpoint| endpoint.expires >= then);
    }
}

/// The endpoint's answer, in the captured order (abraunegg/onedrive#3583).
#[derive(Serialize)]
struct Answer<'a> {
    #[serde(rename = "@odata.context")]
    context: &'a str,
    #[serde(rename = "clientState")]
    client_state: &'a str,
    #[serde(rename = "expirationDateTime")]
    expiration: String,
    id: Uuid,
    #[serde(rename = "notificationUrl")]
    url: String,
}

/// `http://127.0.0.1:PORT/notifications?token=…&applicationId=…`, and the answer that carries it.
pub(crate) fn answer(origin: &str, token: &str, endpoint: &Endpoint, bare: bool) -> String {
    let url = format!("{origin}/notifications?token={token}&applicationId={APPLICATION}");
    if bare {
        return json!({ "id": endpoint.id, "notificationUrl": url }).to_string();
    }
    let answer = Answer {
        context: "https://graph.microsoft.com/v1.0/$metadata#subscriptions/$entity",
        client_state: CLIENT_STATE,
        expiration: text::seven_digits(endpoint.expiration),
        id: endpoint.id,
        url,
    };
    serde_json::to_string(&answer).unwrap_or_default()
}

/// A notification, in the captured order (abraunegg/onedrive#3718).
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Notification<'a> {
    subscription_id: Uuid,
    client_state: &'a str,
    expiration_date_time: String,
    resource: Uuid,
    tenant_id: &'a str,
    site_url: &'a str,
    web_id: Uuid,
}

/// The older shape, modelled by yousong/onedriver in 2024.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Flat<'a> {
    client_state: &'a str,
    subscription_id: Uuid,
    subscription_expiration_date_time: String,
    user_id: &'a str,
    resource: Uuid,
}

/// The second argument of the `notification` event.
pub(crate) fn payload(drive: &Drive, endpoint: &Endpoint, shape: Payload, notifications: u16) -> Value {
    let expiration = text::seven_digits(endpoint.expiration);
    if shape == Payload::Flat {
        let flat = Flat {
            client_state: CLIENT_STATE,
            subscription_id: endpoint.id,
            subscription_expiration_date_time: expiration,
            user_id: &drive.id,
            resource: drive.list_id,
        };
        return Value::String(serde_json::to_string(&flat).unwrap_or_default());
    }
    let one = Notification {
        subscription_id: endpoint.id,
        client_state: CLIENT_STATE,
        expiration_date_time: expiration,
        resource: drive.list_id,
        tenant_id: drive.tenant_id,
        site_url: &drive.site_url,
        web_id: drive.web_id,
    };
    let one = serde_json::to_string(&one).unwrap_or_default();
    let all = vec![one; usize::from(notifications.max(1))].join(",");
    let text = format!("{{\"value\":[{all}]}}");
    match shape {
        Payload::Object => serde_json::from_str(&text).unwrap_or_default(),
        Payload::Wild | Payload::Flat => Value::String(text),
    }
}
