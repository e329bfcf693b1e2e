//! Who is asking: accounts, their access tokens, and the token endpoint's grants.

use std::{collections::HashMap, time::Duration};

use jiff::Timestamp;
use serde_json::{Value, json};
use tokio::time::Instant;
use uuid::Uuid;

use crate::{journal::Secret, text};

/// Tokens of each sort that are remembered; beyond, the token endpoint answers 503.
const MAX_GRANTS: usize = 10_000;
/// What Microsoft's token endpoint says.
const TOKEN_SECONDS: u64 = 3_599;
const DEVICE_CODE_SECONDS: u64 = 900;

/// A user of the emulated service.
#[derive(Debug, Clone)]
pub struct Account {
    /// How tests name it.
    pub name: String,
    /// Its access tokens. An account without any takes every bearer token that is nobody else's.
    pub tokens: Vec<Secret>,
    /// The id of its own drive: what `/me` is.
    pub drive: String,
    /// The drives that it may see, by id; `None` is all of them. Others answer `403 accessDenied`.
    pub sees: Option<Vec<String>>,
}

impl Account {
    /// An account that sees every drive and takes any token.
    pub fn new(name: &str, drive: &str) -> Self {
        Self { name: name.to_owned(), tokens: Vec::new(), drive: drive.to_owned(), sees: None }
    }

    /// With an access token of its own.
    #[must_use]
    pub fn token(mut self, token: &str) -> Self {
        self.tokens.push(token.into());
        self
    }
}

/// Accounts and what the token endpoint gave out.
#[derive(Debug)]
pub(crate) struct Accounts {
    pub(crate) list: Vec<Account>,
    access: HashMap<Secret, (usize, Instant)>,
    refresh: HashMap<Secret, usize>,
    device: HashMap<Secret, Device>,
}

#[derive(Debug)]
struct Device {
    expires: Instant,
    /// Set when somebody has approved the code.
    account: Option<usize>,
    user_code: String,
}

impl Accounts {
    pub(crate) fn new(list: Vec<Account>) -> Self {
        Self { list, access: HashMap::new(), refresh: HashMap::new(), device: HashMap::new() }
    }

    /// The account that a bearer token stands for.
    pub(crate) fn of(&self, token: &Secret, now: Instant) -> Option<&Account> {
        if let Some((account, expires)) = self.access.get(token) {
            return self.list.get(*account).filter(|_| now < *expires);
        }
        let owner = self.list.iter().find(|account| account.tokens.contains(token));
        owner.or_else(|| self.list.iter().find(|account| account.tokens.is_empty()))
    }

    /// A refresh token as a sign-in would leave it.
    pub(crate) fn sign_in(&mut self, account: &str) -> Option<String> {
        let account = self.list.iter().position(|known| known.name == account)?;
        let token = format!("M.C5_BAY.0.U.-{}{}", Uuid::new_v4().simple(), Uuid::new_v4().simple());
        if self.refresh.len() >= MAX_GRANTS {
            return None;
        }
        self.refresh.insert(token.as_str().into(), account);
        Some(token)
    }

    /// Somebody types the user code into a browser.
    pub(crate) fn approve(&mut self, user_code: &str, account: &str) -> bool {
        let account = self.list.iter().position(|known| known.name == account);
        let device = self.device.values_mut().find(|device| device.user_code == user_code);
        match (device, account) {
            (Some(device), Some(account)) => {
                device.account = Some(account);
                true
            }
            _ => false,
        }
    }

    /// All access and refresh tokens that the token endpoint gave out are void from now on.
    pub(crate) fn revoke_all(&mut self, now: Instant) {
        self.refresh.clear();
        for (_, expires) in self.access.values_mut() {
            *expires = now;
        }
    }

    /// `POST /{tenant}/oauth2/v2.0/devicecode`
    pub(crate) fn device_code(&mut self, form: &str, now: Instant) -> Result<Value, Refused> {
        if text::field(form, "client_id").is_none_or(|id| id.is_empty()) {
            return Err(Refused::new(
                "invalid_request",
                900_144,
                "The request body must contain the following parameter: 'client_id'.",
            ));
        }
        self.device.retain(|_, device| now < device.expires);
        if self.device.len() >= MAX_GRANTS {
            return Err(Refused::busy());
        }
        let code = format!("{}{}", Uuid::new_v4().simple(), Uuid::new_v4().simple());
        let user_code = Uuid::new_v4().simple().to_string().to_uppercase().chars().take(9).collect::<String>();
        let device =
            Device { expires: now + Duration::from_secs(DEVICE_CODE_SECONDS), account: None, user_code: user_code.clone() };
        self.device.insert(code.as_str().into(), device);
        Ok(json!({
            "device_code": code,
            "user_code": user_code,
            "verification_uri": "https://microsoft.com/devicelogin",
            "expires_in": DEVICE_CODE_SECONDS,
            "interval": 5,
            "message": format!("To sign in, use a web browser to open the page https://microsoft.com/devicelogin and enter the code {user_code} to authenticate."),
        }))
    }

    /// `POST /{tenant}/oauth2/v2.0/token`
    pub(crate) fn token(&mut self, form: &str, now: Instant) -> Result<Value, Refused> {
        let field = |name: &str| text::field(form, name).unwrap_or_default();
        match field("grant_type").as_str() {
            "refresh_token" => {
                // The old one is not revoked (refresh tokens: "each use returns a replacement").
                let account = self.refresh.get(&Secret::from(field("refresh_token"))).copied();
                let account = account.ok_or_else(|| {
                    Refused::new(
                        "invalid_grant",
                        70_000,
                        "The provided value for the input parameter 'refresh_token' is not valid.",
                    )
                })?;
                self.grant(account, &field("scope"), now)
            }
            "urn:ietf:params:oauth:grant-type:device_code" => {
                let code = Secret::from(field("device_code"));
                let Some(device) = self.device.get(&code) else {
                    return Err(Refused::new("bad_verification_code", 70_018, "The device_code is not valid."));
                };
                if now >= device.expires {
                    return Err(Refused::new(
                        "expired_token",
                        70_020,
                        "The provided value for the input parameter 'device_code' is not valid. This device code has expired.",
                    ));
                }
                let Some(account) = device.account else {
                    return Err(Refused::new(
                        "authorization_pending",
                        70_016,
                        "OAuth 2.0 device flow error. Authorization is pending. Continue polling.",
                    ));
                };
                self.device.remove(&code);
                self.grant(account, &field("scope"), now)
            }
            _ => Err(Refused::new("unsupported_grant_type", 70_003, "The app requested an unsupported grant type.")),
        }
    }

    fn grant(&mut self, account: usize, scope: &str, now: Instant) -> Result<Value, Refused> {
        self.access.retain(|_, (_, expires)| now < *expires + Duration::from_secs(TOKEN_SECONDS));
        if self.access.len() >= MAX_GRANTS {
            return Err(Refused::busy());
        }
        let name = self.list.get(account).map(|account| account.name.clone()).unwrap_or_default();
        let refresh = self.sign_in(&name).ok_or_else(Refused::busy)?;
        // Opaque, as a personal account's.
        let access = format!("EwB4{}{}", Uuid::new_v4().simple(), Uuid::new_v4().simple());
        self.access.insert(access.as_str().into(), (account, now + Duration::from_secs(TOKEN_SECONDS)));
        let scope = if scope.is_empty() { "Files.Read offline_access" } else { scope };
        Ok(json!({
            "token_type": "Bearer",
            "scope": scope,
            "expires_in": TOKEN_SECONDS,
            "ext_expires_in": TOKEN_SECONDS,
            "access_token": access,
            "refresh_token": refresh,
        }))
    }
}

/// A refusal of the token endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Refused {
    pub(crate) status: u16,
    error: &'static str,
    number: u32,
    says: &'static str,
}

impl Refused {
    fn new(error: &'static str, number: u32, says: &'static str) -> Self {
        Self { status: 400, error, number, says }
    }

    fn busy() -> Self {
        Self { status: 503, ..Self::new("temporarily_unavailable", 90_033, "A transient error has occurred. Please try again.") }
    }

    /// The body, as Microsoft's identity platform writes it.
    pub(crate) fn body(self, at: Timestamp) -> Value {
        let Self { error, number, says, .. } = self;
        let (trace, correlation, time) = (Uuid::new_v4(), Uuid::new_v4(), text::spaced(at));
        json!({
            "error": error,
            "error_description": format!("AADSTS{number}: {says}\r\nTrace ID: {trace}\r\nCorrelation ID: {correlation}\r\nTimestamp: {time}"),
            "error_codes": [number],
            "timestamp": time,
            "trace_id": trace,
            "correlation_id": correlation,
            "error_uri": format!("https://login.microsoftonline.com/error?code={number}"),
        })
    }
}
