use std::fmt;
use std::time::Duration;

use oauth2::basic::{BasicClient, BasicTokenResponse};
use oauth2::{
    AuthUrl, AuthorizationCode, ClientId, CsrfToken, DeviceAuthorizationUrl, EndpointNotSet, EndpointSet, PkceCodeChallenge,
    PkceCodeVerifier, RedirectUrl, RefreshToken, Scope, StandardDeviceAuthorizationResponse, TokenResponse as _, TokenUrl,
};
use secrecy::{ExposeSecret, SecretString};
use url::Url;

use super::application::Application;
use super::error::LoginError;
use super::http::{Http, LoginNetwork};
use super::record::Login;
use crate::base_url::BaseUrl;
use crate::token::{AccessToken, wall};

/// The conversation with the identity platform, for one application.
///
/// One attempt a call; [`wait`](Self::wait) asks again and again, as a device code is made for. No redirect is followed, and an answer is
/// read up to 256 KiB. The URLs are `LOGIN_URL/TENANT/oauth2/v2.0/…`.
pub struct IdentityPlatform {
    application: Application,
    client: Client,
    http: Http,
}

/// Authorize page, device code and token; no introspection, no revocation.
type Client = BasicClient<EndpointSet, EndpointSet, EndpointNotSet, EndpointNotSet, EndpointSet>;

/// What a sign-in gave.
pub struct Grant {
    access: AccessToken,
    refresh: Option<SecretString>,
    scopes: Vec<String>,
    life: Duration,
}

/// A device code: what a person has to be told.
pub struct DeviceLogin(StandardDeviceAuthorizationResponse);

/// A sign-in in a browser, under way.
pub struct BrowserLogin {
    url: Url,
    redirect: RedirectUrl,
    state: CsrfToken,
    verifier: PkceCodeVerifier,
}

/// What the browser brought back. Good once.
pub struct Code(AuthorizationCode);

impl IdentityPlatform {
    /// A device code that is good for longer is taken to be good for this long.
    const LONGEST_WAIT: Duration = Duration::from_secs(3_600);
    /// A server that wants longer pauses is none.
    const LONGEST_PAUSE: Duration = Duration::from_secs(300);
    const SHORTEST_PAUSE: Duration = Duration::from_secs(1);

    /// Connects to nothing yet. Needs rustls' process-wide crypto provider to be installed.
    ///
    /// # Errors
    /// [`LoginError::Config`].
    pub fn new(application: Application, network: &LoginNetwork) -> Result<Self, LoginError> {
        let config = |error: &dyn fmt::Display| LoginError::Config(error.to_string());
        let at = |path: &str| format!("{}/{}/oauth2/v2.0/{path}", application.login_url, application.tenant);
        let client = BasicClient::new(ClientId::new(application.client_id.to_string()))
            .set_auth_uri(AuthUrl::new(at("authorize")).map_err(|error| config(&error))?)
            .set_device_authorization_url(DeviceAuthorizationUrl::new(at("devicecode")).map_err(|error| config(&error))?)
            .set_token_uri(TokenUrl::new(at("token")).map_err(|error| config(&error))?);
        let http = Http::new(&application.login_url, network).map_err(|error| config(&error))?;
        Ok(Self { application, client, http })
    }

    /// Asks for a device code (RFC 8628).
    ///
    /// # Errors
    /// As the platform refuses.
    pub async fn device(&self) -> Result<DeviceLogin, LoginError> {
        let request = self.client.exchange_device_code().add_scopes(self.scopes());
        let details: StandardDeviceAuthorizationResponse = request.request_async(&self.http).await?;
        if details.interval() > Self::LONGEST_PAUSE {
            return Err(LoginError::Answer);
        }
        Ok(DeviceLogin(details))
    }

    /// Waits until somebody has signed in with the code, declined, or its time is over by a clock that nobody sets. Asks as often as the
    /// platform wants, five seconds less often each time it says `slow_down`; a network that is away for a while, and a platform that is
    /// busy, are waited for.
    ///
    /// **Cancel safe**, except that a sign-in that was completed at that moment is lost: the code is spent.
    ///
    /// # Errors
    /// As the platform refuses; [`LoginError::Expired`].
    pub async fn wait(&self, device: &DeviceLogin) -> Result<Grant, LoginError> {
        /// The library's own limit goes by the wall clock, so it gets one that is never reached.
        const NEVER: Duration = Duration::from_secs(10 * 365 * 24 * 3_600);

        let sleep = |pause: Duration| tokio::time::sleep(pause.max(Self::SHORTEST_PAUSE));
        let asking = self.client.exchange_device_access_token(&device.0).request_async(&self.http, sleep, Some(NEVER));
        let granted = tokio::time::timeout(device.0.expires_in().min(Self::LONGEST_WAIT), asking).await;
        self.grant(&granted.map_err(|_| LoginError::Expired)??)
    }

    /// Begins a sign-in in a browser (RFC 6749, 4.1, with PKCE, RFC 7636): the page to open, and what its answer is held against.
    /// `redirect` is where the browser is sent back to: `http://localhost:PORT/`, on which the caller listens.
    ///
    /// # Errors
    /// [`LoginError::Config`] where `redirect` is no URL.
    pub fn browser(&self, redirect: &str) -> Result<BrowserLogin, LoginError> {
        let redirect = RedirectUrl::new(redirect.to_owned()).map_err(|error| LoginError::Config(error.to_string()))?;
        let (challenge, verifier) = PkceCodeChallenge::new_random_sha256();
        let (url, state) = self
            .client
            .clone()
            .set_redirect_uri(redirect.clone())
            .authorize_url(CsrfToken::new_random)
            .add_scopes(self.scopes())
            .set_pkce_challenge(challenge)
            // Else a browser that is signed in somewhere decides which account it is.
            .add_extra_param("prompt", "select_account")
            .url();
        Ok(BrowserLogin { url, redirect, state, verifier })
    }

    /// Redeems what the browser brought back.
    ///
    /// # Errors
    /// As the platform refuses.
    pub async fn redeem(&self, browser: BrowserLogin, code: Code) -> Result<Grant, LoginError> {
        let client = self.client.clone().set_redirect_uri(browser.redirect);
        let request = client.exchange_code(code.0).set_pkce_verifier(browser.verifier);
        self.grant(&request.request_async(&self.http).await?)
    }

    /// Exchanges a refresh token for new tokens. The old one may be good for nothing afterwards.
    ///
    /// # Errors
    /// As the platform refuses.
    pub(super) async fn refresh(&self, token: &SecretString) -> Result<Grant, LoginError> {
        let token = RefreshToken::new(token.expose_secret().to_owned());
        let request = self.client.exchange_refresh_token(&token).add_scopes(self.scopes());
        self.grant(&request.request_async(&self.http).await?)
    }

    fn scopes(&self) -> impl Iterator<Item = Scope> {
        self.application.scopes.iter().map(|scope| Scope::new(scope.to_string()))
    }

    fn grant(&self, answer: &BasicTokenResponse) -> Result<Grant, LoginError> {
        /// Where nothing is said. Short, so that a wrong guess costs a request and no outage.
        const UNKNOWN: Duration = Duration::from_secs(300);
        /// Tokens under continuous access evaluation live for 28 h; nothing is known to live longer.
        const LONGEST: Duration = Duration::from_secs(7 * 24 * 3_600);

        let scopes = match answer.scopes() {
            Some(scopes) => scopes.iter().map(|scope| scope.to_string()).collect(),
            None => self.application.scopes.iter().map(ToString::to_string).collect(),
        };
        Ok(Grant {
            access: AccessToken::new(answer.access_token().secret()).map_err(|_| LoginError::Answer)?,
            refresh: answer.refresh_token().map(|token| token.secret().clone().into()),
            scopes,
            life: answer.expires_in().unwrap_or(UNKNOWN).min(LONGEST),
        })
    }
}

impl fmt::Debug for IdentityPlatform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IdentityPlatform").field("application", &self.application).finish_non_exhaustive()
    }
}

impl Grant {
    /// The first record of a sign-in, made now.
    #[must_use]
    pub fn into_login(self, application: Application, graph: BaseUrl) -> Login {
        let now = wall();
        Login {
            application,
            graph,
            user: None,
            scopes: self.scopes,
            signed_in: now,
            issued: now,
            expires: now.checked_add(self.life).unwrap_or(now),
            access: self.access,
            refresh: self.refresh,
        }
    }

    /// The record after a renewal. Where no new refresh token came, the old one stays.
    pub(super) fn renewed(self, old: Login) -> Login {
        let Login { application, graph, user, signed_in, refresh, .. } = old;
        let new = self.into_login(application, graph);
        Login { user, signed_in, refresh: new.refresh.clone().or(refresh), ..new }
    }

    /// The token, to ask Graph with before anything is kept.
    #[must_use]
    pub fn access(&self) -> &AccessToken {
        &self.access
    }
}

impl fmt::Debug for Grant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Grant").field("scopes", &self.scopes).field("life", &self.life).finish_non_exhaustive()
    }
}

impl DeviceLogin {
    /// The page on which the code is typed in, as the platform says it.
    #[must_use]
    pub fn page(&self) -> &str {
        self.0.verification_uri()
    }

    /// What is typed in there.
    #[must_use]
    pub fn user_code(&self) -> &str {
        self.0.user_code().secret()
    }

    /// For how long it is good.
    #[must_use]
    pub fn good_for(&self) -> Duration {
        self.0.expires_in().min(IdentityPlatform::LONGEST_WAIT)
    }
}

impl fmt::Debug for DeviceLogin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DeviceLogin(…)")
    }
}

impl BrowserLogin {
    /// The page to open.
    #[must_use]
    pub fn url(&self) -> &str {
        self.url.as_str()
    }

    /// Reads the query that the browser came back with.
    ///
    /// # Errors
    /// [`LoginError::WrongState`] where it is the answer to another question (then the right one may still come); else what the platform
    /// said instead of a code.
    pub fn code(&self, query: &str) -> Result<Code, LoginError> {
        let field = |name: &str| {
            let mut pairs = url::form_urlencoded::parse(query.as_bytes());
            pairs.find(|(key, _)| key == name).map(|(_, value)| value.into_owned())
        };
        // Whatever it says: without the state it is not for us.
        if field("state").as_deref() != Some(self.state.secret().as_str()) {
            return Err(LoginError::WrongState);
        }
        match (field("error"), field("code")) {
            (Some(error), _) => Err(LoginError::of(&error, field("error_description").as_deref())),
            (None, Some(code)) if !code.is_empty() => Ok(Code(AuthorizationCode::new(code))),
            (None, _) => Err(LoginError::Answer),
        }
    }
}

impl fmt::Debug for BrowserLogin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("BrowserLogin(…)")
    }
}

impl fmt::Debug for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Code(…)")
    }
}
