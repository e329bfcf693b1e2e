use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::Timestamp;
use serde_json::{Map, Value};

/// A JWT's payload, not verified: Graph verifies it, this only looks for what would be refused anyway.
///
/// Source of the claims: <https://learn.microsoft.com/en-us/entra/identity-platform/access-token-claims-reference>
#[derive(Default)]
pub(super) struct Claims(Map<String, Value>);

impl Claims {
    /// `None` for everything that is not three parts with a JSON object in the middle.
    pub(super) fn of(token: &str) -> Option<Self> {
        let mut parts = token.split('.');
        let (_header, payload, _signature) = (parts.next()?, parts.next()?, parts.next()?);
        if parts.next().is_some() {
            return None;
        }
        let payload = URL_SAFE_NO_PAD.decode(payload.trim_end_matches('=')).ok()?;
        match serde_json::from_slice(&payload) {
            Ok(Value::Object(claims)) => Some(Self(claims)),
            _ => None,
        }
    }

    /// `scp`: what the signed-in person let the application do.
    pub(super) fn scopes(&self) -> Option<Vec<String>> {
        let scopes: Vec<_> = self.0.get("scp")?.as_str()?.split_ascii_whitespace().map(str::to_owned).collect();
        (!scopes.is_empty()).then_some(scopes)
    }

    /// No person in it: `roles` without `scp`, or `idtyp` says so.
    pub(super) fn is_application(&self) -> bool {
        let roles = self.0.get("roles").and_then(Value::as_array).is_some_and(|roles| !roles.is_empty());
        let app = self.0.get("idtyp").and_then(Value::as_str) == Some("app");
        (roles || app) && self.scopes().is_none()
    }

    /// `exp`, in seconds since 1970.
    pub(super) fn expires(&self) -> Option<Timestamp> {
        Timestamp::from_second(self.0.get("exp")?.as_i64()?).ok()
    }
}
