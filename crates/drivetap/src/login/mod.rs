//! `login`, `logout`, `accounts`: who, and what they let drivetap see.

mod args;
#[cfg(feature = "login")]
mod browser;
mod list;
mod place;
#[cfg(feature = "login")]
mod sign_in;

use drivetap_bridge::core::AccountName;
use drivetap_bridge::graph::BaseUrl;
use drivetap_bridge::graph::login::LoginStore as _;

pub(crate) use self::args::LOGIN_EXAMPLES;
pub use self::args::{Accounts, Login, Logout, Scopes};
pub(crate) use self::list::list;
pub(crate) use self::place::store;
#[cfg(feature = "login")]
pub(crate) use self::sign_in::sign_in;
use crate::env::Env;
use crate::exit::Failure;
use crate::logs::say;

/// What to do without a client id.
pub(crate) const NO_CLIENT_ID: &str = "\
drivetap has no client id of its own. Register one as a public client, once, and give its id with --client-id:
  az ad app create --display-name drivetap --sign-in-audience AzureADandPersonalMicrosoftAccount \\
    --is-fallback-public-client true --public-client-redirect-uris http://localhost --query appId --output tsv
Or by hand, at https://entra.microsoft.com (App registrations):
  1. New registration, any name
  2. Supported account types: any directory, and personal accounts
  3. Redirect URI: \"Public client/native\", http://localhost
  4. Register; then Authentication > Allow public client flows > Yes
  5. Overview: copy the \"Application (client) ID\"";

/// Whether somebody signed in under this name.
pub(crate) fn is_there(env: &Env, account: &AccountName) -> bool {
    store(env).is_ok_and(|store| store.path(account).exists())
}

/// The Graph that this login is for. What is wrong with it is said when its token is asked for.
pub(crate) fn graph_of(env: &Env, account: &AccountName) -> Option<BaseUrl> {
    let login = store(env).ok()?.load_now(account).ok()??;
    Some(login.graph)
}

/// `logout`: the tokens are deleted here. The identity platform has no way to revoke them for one application.
pub(crate) async fn sign_out(args: Logout, env: &Env) -> Result<(), Failure> {
    let (store, account) = (store(env)?, args.account.unwrap_or_default());
    // Not even the folder is made for nothing.
    let removed = store.path(&account).exists() && {
        let held = store.lock(&account).await.map_err(Failure::config)?;
        store.remove(&held, &account).await.map_err(Failure::config)?
    };
    say(&match removed {
        true => format!(
            "{account} is signed out: its tokens are deleted here. What was consented to stands until it is withdrawn at \
             https://myapps.microsoft.com or, for a personal account, https://account.live.com/consent/Manage"
        ),
        false => format!("{account} was not signed in"),
    });
    Ok(())
}

/// How a person signs in again.
pub(crate) fn command(account: &AccountName) -> String {
    if *account == AccountName::default() { "drivetap login".to_owned() } else { format!("drivetap login --account {account}") }
}

#[cfg(not(feature = "login"))]
pub(crate) async fn sign_in(_: Login, _: &Env, _: bool) -> Result<(), Failure> {
    Err(Failure::not_compiled_in("signing in", "login"))
}
