use std::fmt;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Map, Value};

use crate::notification_url::{NotificationHosts, NotificationUrl, NotificationUrlError};

/// What Graph answers to `GET …/subscriptions/socketIo`.
///
/// Documented are `id` and `notificationUrl`; the wild adds `expirationDateTime` and a constant `clientState`
/// (abraunegg/onedrive#3583). Only the URL is required. Unknown fields are kept, and of them `Debug` prints the names alone:
/// nobody knows what the service puts there, and a subscription elsewhere in Graph has a second URL.
///
/// ```
/// use drivetap_core::{NotificationHosts, Subscription};
///
/// let body = br#"{"id":"f267","expirationDateTime":"2025-12-24T03:32:50.8792357Z",
///                 "notificationUrl":"https://southcentralus1-7.pushnp.svc.ms/notifications?token=secret"}"#;
/// let subscription = Subscription::parse(body, &NotificationHosts::default())?;
/// assert_eq!(subscription.notification_url.host(), "southcentralus1-7.pushnp.svc.ms");
/// assert!(!format!("{subscription:?}").contains("secret"));
/// # Ok::<(), drivetap_core::SubscriptionError>(())
/// ```
#[derive(Clone, PartialEq)]
pub struct Subscription {
    /// The subscription's id, opaque.
    pub id: Option<String>,
    /// Where to connect.
    pub notification_url: NotificationUrl,
    /// When the URL stops working. `None` where the field is missing or not RFC 3339 (0 to 9 fractional digits, any offset).
    pub expiration: Option<Timestamp>,
    /// `system-managed:…`; a constant in the wild, so neither a secret nor a discriminator.
    pub client_state: Option<String>,
    /// Every other field, as sent.
    pub extra: Map<String, Value>,
}

impl Subscription {
    /// Reads the body of the answer.
    ///
    /// # Errors
    /// When it is not a JSON object with a `notificationUrl` that `hosts` lets through. No error prints the URL.
    pub fn parse(body: &[u8], hosts: &NotificationHosts) -> Result<Self, SubscriptionError> {
        use SubscriptionError as E;

        let Ok(Value::Object(mut extra)) = serde_json::from_slice(body) else {
            return Err(E::NotAnObject);
        };
        let mut text = |name: &str| match extra.remove(name) {
            Some(Value::String(s)) => Some(s),
            _ => None,
        };
        let url = text("notificationUrl").ok_or(E::NoUrl)?;
        let notification_url = NotificationUrl::parse(&url, hosts)?;
        let expiration = text("expirationDateTime").and_then(|at| at.parse().ok());
        Ok(Self { id: text("id"), notification_url, expiration, client_state: text("clientState"), extra })
    }
}

impl fmt::Debug for Subscription {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Subscription")
            .field("id", &self.id)
            .field("notification_url", &self.notification_url)
            .field("expiration", &self.expiration)
            .field("client_state", &self.client_state)
            .field("extra", &self.extra.keys().collect::<Vec<_>>())
            .finish()
    }
}

/// A body that is no [`Subscription`].
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum SubscriptionError {
    /// HTML, an array, nothing.
    #[error("the answer is not a JSON object")]
    NotAnObject,
    /// The one required field is missing or not a string.
    #[error("the answer has no notificationUrl")]
    NoUrl,
    /// It names a place that is not dialled.
    #[error(transparent)]
    Url(#[from] NotificationUrlError),
}

/// A [`Subscription`] with the lifetime it had when it was answered.
#[derive(Clone, Debug, PartialEq)]
pub struct Endpoint {
    /// What Graph answered.
    pub subscription: Subscription,
    /// `expirationDateTime` less the response's `Date`: by Graph's clock alone, so that a skewed one here does no harm. `None` where
    /// either is missing or the time is past.
    pub lifetime: Option<Duration>,
}

impl Endpoint {
    /// From an answer and its `Date` header.
    #[must_use]
    pub fn new(subscription: Subscription, date: Option<Timestamp>) -> Self {
        let lifetime = subscription
            .expiration
            .zip(date)
            .and_then(|(expiration, date)| Duration::try_from(expiration.duration_since(date)).ok())
            .filter(|lifetime| !lifetime.is_zero());
        Self { subscription, lifetime }
    }
}
