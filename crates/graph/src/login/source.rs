use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use drivetap_core::AccountName;
use secrecy::{ExposeSecret, SecretString};
use tokio::sync::Mutex;
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::error::LoginError;
use super::http::LoginNetwork;
use super::platform::IdentityPlatform;
use super::record::Login;
use super::store::LoginStore;
use crate::base_url::BaseUrl;
use crate::token::{AccessToken, TokenError, TokenSource, wall};

/// A token of a login: `token = { login = "default" }`.
///
/// - What is stored is read at each request, so a sign-in in another terminal is noticed at once, and nobody has to be restarted.
/// - A token is renewed five minutes before it expires (a quarter of its life, where that is less), and when Graph refuses it; once, however
///   many feeds ask. While it cannot be renewed and is not over, it stays in use.
/// - Two processes take turns: the second one finds what the first one stored.
/// - What a renewal met is remembered for a while (30 s, or what the platform asks for): as long as the same login is there, nobody asks
///   again.
///
/// **Cancel safe:** a renewal goes on in a task of this source's own, and the next caller finds it. Dropping the source ends it.
pub struct LoginToken {
    shared: Arc<Shared>,
    renewal: Mutex<Renewal>,
}

#[derive(Debug)]
struct Shared {
    account: AccountName,
    graph: BaseUrl,
    network: LoginNetwork,
    store: Arc<dyn LoginStore>,
}

#[derive(Default)]
struct Renewal {
    /// The one that is under way, if any.
    task: JoinSet<Result<Login, Failed>>,
    /// What the last one met.
    failed: Option<(Failed, Instant)>,
}

/// A renewal that came to nothing, with the refresh token that it was tried with.
#[derive(Clone)]
struct Failed {
    error: LoginError,
    with: Option<SecretString>,
}

impl LoginToken {
    /// The login of `account` in `store`, for this Graph and no other.
    pub fn new(account: AccountName, graph: BaseUrl, network: LoginNetwork, store: Arc<dyn LoginStore>) -> Self {
        Self { shared: Arc::new(Shared { account, graph, network, store }), renewal: Mutex::default() }
    }

    async fn get(&self, refused: Option<&AccessToken>) -> Result<AccessToken, LoginError> {
        if let Stored::Good(token) = self.shared.look(refused).await? {
            return Ok(token);
        }
        // Everybody who finds the token old waits here, and then looks again.
        let mut renewal = self.renewal.lock().await;
        let Renewal { task, failed } = &mut *renewal;
        let old = match self.shared.look(refused).await? {
            Stored::Good(token) => return Ok(token),
            Stored::Old(login) => login,
        };
        let remembered = failed.as_ref().filter(|(failed, until)| failed.is_about(&old) && Instant::now() < *until);
        let error = match remembered {
            Some((failed, _)) => failed.error.clone(),
            None => {
                if task.is_empty() {
                    task.spawn(Shared::renew(Arc::clone(&self.shared), refused.cloned()));
                }
                match task.join_next().await {
                    Some(Ok(Ok(login))) => {
                        *failed = None;
                        tracing::info!(login = %self.shared.account, expires = %login.expires, "the sign-in was renewed");
                        return Ok(login.access);
                    }
                    Some(Ok(Err(met))) => {
                        let error = met.error.clone();
                        *failed = Some((met, Instant::now() + pause(&error)));
                        tracing::warn!(login = %self.shared.account, reason = %error, "the sign-in was not renewed");
                        error
                    }
                    Some(Err(_)) | None => LoginError::Config("the renewal was ended".to_owned()),
                }
            }
        };
        // A token that is not over is better than none.
        match Some(&old.access) != refused && !old.is_over(wall()) {
            true => Ok(old.access),
            false => Err(error),
        }
    }
}

/// How long nobody asks again.
fn pause(error: &LoginError) -> Duration {
    const PASSES: Duration = Duration::from_secs(5);
    const NEEDS_A_PERSON: Duration = Duration::from_secs(30);
    const LONGEST: Duration = Duration::from_secs(600);

    match error {
        LoginError::Busy { after: Some(after) } => (*after).clamp(PASSES, LONGEST),
        error if error.passes() => PASSES,
        _ => NEEDS_A_PERSON,
    }
}

#[async_trait]
impl TokenSource for LoginToken {
    async fn token(&self, refused: Option<&AccessToken>) -> Result<AccessToken, TokenError> {
        let name = || self.shared.account.to_string();
        self.get(refused).await.map_err(|why| TokenError::Login { name: name(), why })
    }
}

impl fmt::Debug for LoginToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LoginToken").field("account", &self.shared.account).finish_non_exhaustive()
    }
}

enum Stored {
    Good(AccessToken),
    /// Due, over, or refused.
    Old(Box<Login>),
}

impl Shared {
    /// What is stored.
    async fn look(&self, refused: Option<&AccessToken>) -> Result<Stored, LoginError> {
        let login = self.store.load(&self.account).await.map_err(|error| LoginError::Store(error.to_string()))?;
        let login = login.ok_or(LoginError::NotSignedIn)?;
        if login.graph.origin() != self.graph.origin() {
            let (signed_in, asked) = (login.graph.origin().to_owned(), self.graph.origin().to_owned());
            return Err(LoginError::OtherGraph { signed_in, asked });
        }
        match refused == Some(&login.access) || login.is_due(wall()) {
            true => Ok(Stored::Old(Box::new(login))),
            false => Ok(Stored::Good(login.access)),
        }
    }

    /// Takes the turn, looks whether another process was quicker, and renews.
    async fn renew(self: Arc<Self>, refused: Option<AccessToken>) -> Result<Login, Failed> {
        let before = |error| Failed { error, with: None };
        let store = |error: super::StoreError| LoginError::Store(error.to_string());
        let held = self.store.lock(&self.account).await.map_err(store).map_err(before)?;
        let login = self.store.load(&self.account).await.map_err(store).map_err(before)?;
        let login = login.ok_or(before(LoginError::NotSignedIn))?;
        if Some(&login.access) != refused.as_ref() && !login.is_due(wall()) {
            return Ok(login);
        }
        let with = login.refresh.clone();
        let renew = async {
            let refresh = with.as_ref().ok_or(LoginError::NoRefreshToken)?;
            let platform = IdentityPlatform::new(login.application.clone(), &self.network)?;
            let new = platform.refresh(refresh).await?.renewed(login);
            self.store.save(&held, &self.account, &new).await.map_err(store)?;
            Ok(new)
        };
        renew.await.map_err(|error| Failed { error, with: with.clone() })
    }
}

impl Failed {
    /// Whether the login is still the one that it was tried with.
    fn is_about(&self, login: &Login) -> bool {
        let exposed = |token: &Option<SecretString>| token.as_ref().map(|token| token.expose_secret().to_owned());
        self.with.is_some() && exposed(&self.with) == exposed(&login.refresh)
    }
}
