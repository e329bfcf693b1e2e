//! Who is asking: accounts, their access tokens, and what the identity platform gave out.

use std::{collections::HashMap, time::Duration};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tokio::time::Instant;
use uuid::Uuid;

use crate::{
    journal::Secret,
    refused::{LoginError, Refused},
    switches::{RefreshTokens, Switches, within_a_century},
    text,
};

/// Tokens of each sort that are remembered; beyond, the token endpoint answers 503.
const MAX_GRANTS: usize = 10_000;
/// How long a code of the authorize page is good. Microsoft's are said to be good for about ten minutes.
const CODE_LIFETIME: Duration = Duration::from_secs(600);
/// An expired token is remembered this long, so that it is nobody else's.
const REMEMBERED: Duration = Duration::from_secs(3_600);

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
    codes: HashMap<Secret, Code>,
}

#[derive(Debug)]
struct Device {
    expires: Instant,
    answer: Verdict,
    user_code: String,
}

/// What a person did with a device code.
#[derive(Debug, Clone, Copy)]
enum Verdict {
    Pending,
    Approved(usize),
    Declined,
}

/// A code of the authorize page.
#[derive(Debug)]
struct Code {
    account: usize,
    client_id: String,
    redirect_uri: String,
    challenge: String,
    expires: Instant,
    used: bool,
}

impl Accounts {
    pub(crate) fn new(list: Vec<Account>) -> Self {
        Self { list, access: HashMap::new(), refresh: HashMap::new(), device: HashMap::new(), codes: HashMap::new() }
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
        let account = self.position(account)?;
        let token = format!("M.C5_BAY.0.U.-{}{}", Uuid::new_v4().simple(), Uuid::new_v4().simple());
        if self.refresh.len() >= MAX_GRANTS {
            return None;
        }
        self.refresh.insert(token.as_str().into(), account);
        Some(token)
    }

    /// Somebody types the user code into a browser, as an account; `None` declines.
    pub(crate) fn answer(&mut self, user_code: &str, account: Option<&str>) -> bool {
        let verdict = match account {
            None => Verdict::Declined,
            Some(name) => match self.position(name) {
                Some(account) => Verdict::Approved(account),
                None => return false,
            },
        };
        let device = self.device.values_mut().find(|device| device.user_code == user_code);
        device.is_some_and(|device| {
            device.answer = verdict;
            true
        })
    }

    /// All access and refresh tokens that the token endpoint gave out are void from now on.
    pub(crate) fn revoke_all(&mut self, now: Instant) {
        self.refresh.clear();
        for (_, expires) in self.access.values_mut() {
            *expires = now;
        }
    }

    /// `POST /{tenant}/oauth2/v2.0/devicecode`
    pub(crate) fn device_code(&mut self, form: &str, page: &str, switches: &Switches, now: Instant) -> Result<Value, Refused> {
        client_id(form)?;
        self.device.retain(|_, device| now < device.expires + REMEMBERED);
        if self.device.len() >= MAX_GRANTS {
            return Err(LoginError::TemporarilyUnavailable.into());
        }
        let code = random();
        let user_code = Uuid::new_v4().simple().to_string().to_uppercase().chars().take(9).collect::<String>();
        let lifetime = within_a_century(switches.device_code_lifetime);
        let device = Device { expires: now + lifetime, answer: Verdict::Pending, user_code: user_code.clone() };
        self.device.insert(code.as_str().into(), device);
        Ok(json!({
            "device_code": code,
            "user_code": user_code,
            "verification_uri": page,
            "expires_in": seconds(lifetime),
            "interval": switches.device_interval_s,
            "message": format!("To sign in, use a web browser to open the page {page} and enter the code {user_code} to authenticate."),
        }))
    }

    /// `GET /{tenant}/oauth2/v2.0/authorize`: where the browser is sent with a code, as a person's who consented at once. `login_hint` says
    /// whose; without one it is the first account. `Err` is what a page says where there is nowhere to send the browser.
    pub(crate) fn authorize(&mut self, query: &str, refusal: Option<LoginError>, now: Instant) -> Result<String, String> {
        let field = |name: &str| text::field(query, name).unwrap_or_default();
        let redirect_uri = field("redirect_uri");
        if !is_loopback(&redirect_uri) {
            return Err(format!(
                "AADSTS50011: The redirect URI '{redirect_uri}' specified in the request does not match the redirect URIs \
                 configured for the application."
            ));
        }
        let state = text::form_value(&field("state"));
        let refuse = |refused: Refused| {
            let says = text::form_value(&refused.says());
            Ok(format!("{redirect_uri}?error={}&error_description={says}&state={state}", refused.error))
        };
        if let Some(error) = refusal {
            return refuse(error.into());
        }
        if field("response_type") != "code" {
            return refuse(Refused::new("unsupported_response_type", 700_054, "The response_type is not 'code'."));
        }
        let client_id = match client_id(query) {
            Ok(id) => id,
            Err(refused) => return refuse(refused),
        };
        // A public client without a challenge is turned away by registrations that demand PKCE, and always here.
        if field("code_challenge_method") != "S256" || field("code_challenge").is_empty() {
            return refuse(Refused::new(
                "invalid_request",
                9_002_325,
                "Proof Key for Code Exchange is required for cross-origin authorization code redemption.",
            ));
        }
        self.codes.retain(|_, code| now < code.expires);
        let account = self.position(&field("login_hint")).unwrap_or(0);
        if self.codes.len() >= MAX_GRANTS || self.list.is_empty() {
            return refuse(LoginError::TemporarilyUnavailable.into());
        }
        let code = format!("0.A{}", random());
        let kept = Code {
            account,
            client_id,
            redirect_uri: redirect_uri.clone(),
            challenge: field("code_challenge"),
            expires: now + CODE_LIFETIME,
            used: false,
        };
        self.codes.insert(code.as_str().into(), kept);
        Ok(format!("{redirect_uri}?code={code}&state={state}&session_state={}", Uuid::new_v4()))
    }

    /// `POST /{tenant}/oauth2/v2.0/token`
    pub(crate) fn token(&mut self, form: &str, switches: &Switches, now: Instant) -> Result<Value, Refused> {
        let field = |name: &str| text::field(form, name).unwrap_or_default();
        let account = match field("grant_type").as_str() {
            "refresh_token" => self.refresh(&field("refresh_token").into(), switches.refresh_tokens)?,
            "urn:ietf:params:oauth:grant-type:device_code" => self.device(&field("device_code").into(), now)?,
            "authorization_code" => self.code(form, now)?,
            _ => return Err(Refused::new("unsupported_grant_type", 70_003, "The app requested an unsupported grant type.")),
        };
        self.grant(account, &field("scope"), switches, now)
    }

    fn refresh(&mut self, token: &Secret, kept: RefreshTokens) -> Result<usize, Refused> {
        let known = match kept {
            RefreshTokens::Kept => self.refresh.get(token).copied(),
            RefreshTokens::UsedOnce => self.refresh.remove(token),
        };
        known.ok_or_else(|| LoginError::InvalidGrant.into())
    }

    fn device(&mut self, code: &Secret, now: Instant) -> Result<usize, Refused> {
        let device = self.device.get(code).ok_or(LoginError::BadVerificationCode)?;
        match device.answer {
            _ if now >= device.expires => Err(LoginError::ExpiredToken.into()),
            Verdict::Pending => Err(LoginError::AuthorizationPending.into()),
            Verdict::Declined => Err(LoginError::AuthorizationDeclined.into()),
            Verdict::Approved(account) => {
                self.device.remove(code);
                Ok(account)
            }
        }
    }

    fn code(&mut self, form: &str, now: Instant) -> Result<usize, Refused> {
        let field = |name: &str| text::field(form, name).unwrap_or_default();
        let refused = |number, says| Refused::new("invalid_grant", number, says);
        let code = self.codes.get_mut(&Secret::from(field("code")));
        let code = code.ok_or_else(|| refused(70_000, "The provided value for the 'code' parameter is not valid."))?;
        if code.used {
            return Err(refused(54_005, "OAuth2 Authorization code was already redeemed, please retry with a new valid code."));
        }
        // Whatever is wrong with it, a code is shown once.
        code.used = true;
        if now >= code.expires {
            return Err(refused(70_008, "The provided authorization code or refresh token has expired due to inactivity."));
        }
        if code.client_id != field("client_id") || code.redirect_uri != field("redirect_uri") {
            return Err(refused(50_011, "The redirect URI in the request does not match the one that the code was sent to."));
        }
        if URL_SAFE_NO_PAD.encode(Sha256::digest(field("code_verifier"))) != code.challenge {
            return Err(refused(
                501_481,
                "The Code_Verifier does not match the code_challenge supplied in the authorization request.",
            ));
        }
        Ok(code.account)
    }

    fn grant(&mut self, account: usize, scope: &str, switches: &Switches, now: Instant) -> Result<Value, Refused> {
        self.access.retain(|_, (_, expires)| now < *expires + REMEMBERED);
        let name = self.list.get(account).map(|account| account.name.clone()).unwrap_or_default();
        let refresh = self.sign_in(&name).filter(|_| self.access.len() < MAX_GRANTS);
        let refresh = refresh.ok_or(LoginError::TemporarilyUnavailable)?;
        // Opaque, as a personal account's.
        let access = format!("EwB4{}", random());
        let lifetime = within_a_century(switches.token_lifetime);
        self.access.insert(access.as_str().into(), (account, now + lifetime));
        let scope = if scope.is_empty() { "Files.Read offline_access" } else { scope };
        Ok(json!({
            "token_type": "Bearer",
            "scope": scope,
            "expires_in": seconds(lifetime),
            "ext_expires_in": seconds(lifetime),
            "access_token": access,
            "refresh_token": refresh,
        }))
    }

    fn position(&self, account: &str) -> Option<usize> {
        self.list.iter().position(|known| known.name == account)
    }
}

fn client_id(form: &str) -> Result<String, Refused> {
    text::field(form, "client_id").filter(|id| !id.is_empty()).ok_or_else(|| {
        Refused::new("invalid_request", 900_144, "The request body must contain the following parameter: 'client_id'.")
    })
}

/// The reply address of a native application: loopback, any port.
fn is_loopback(uri: &str) -> bool {
    let host =
        |rest: &str| rest.split(['/', ':', '?', '#']).next().is_some_and(|host| host == "localhost" || host == "127.0.0.1");
    uri.strip_prefix("http://").is_some_and(host)
}

fn random() -> String {
    format!("{}{}", Uuid::new_v4().simple(), Uuid::new_v4().simple())
}

/// Whole seconds, at least one: what the wire has.
fn seconds(lifetime: Duration) -> u64 {
    lifetime.as_millis().div_ceil(1_000).max(1).try_into().unwrap_or(u64::MAX)
}
