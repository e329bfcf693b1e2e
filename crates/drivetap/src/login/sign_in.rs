use std::sync::Arc;
use std::time::Duration;

use drivetap_bridge::core::AccountName;
use drivetap_bridge::core::escape::for_text;
use drivetap_bridge::graph::login::{
    Application, ClientId, Grant, IdentityPlatform, Login as Kept, LoginError, LoginStore as _, LoginUrl, Scope,
};
use drivetap_bridge::graph::{AccessToken, BaseUrl, GraphClient};
use serde_json::Value;

use super::{Login, NO_CLIENT_ID, browser, store};
use crate::config::{Config, GraphSection, Network, Purpose, TokenFrom};
use crate::env::Env;
use crate::exit::Failure;
use crate::logs::say;
use crate::wiring;

/// How long a page in the browser is waited for.
const BROWSER: Duration = Duration::from_secs(600);

/// `login`: what is not said is as the last time under this name, else the default. `next`: says what to type next.
pub(crate) async fn sign_in(args: Login, env: &Env, next: bool) -> Result<(), Failure> {
    let store = store(env)?;
    let store = args.store.map_or(store.clone(), |keep| store.keeping(keep));
    let by_flags = args.config.is_none() && (args.base_url.is_some() || args.cloud.is_some() || args.login_url.is_some());
    let from = Surroundings::new(&args, env)?;
    let account = from.account.clone();
    // One that cannot be read is replaced.
    let last = store.last(&account).await;
    let last_place = last.as_ref().filter(|_| args.config.is_none() && !by_flags);

    let graph = last_place.map_or(from.graph, |(_, graph)| GraphSection::at(graph.clone()));
    let base_url = graph.base_url.clone();
    let login_url = last_place.map(|(application, _)| application.login_url.clone());
    let last = last.as_ref().map(|(application, _)| application);
    let application = application(&args, last, login_url.or(graph.login_url.clone()), &base_url)?;
    // Nobody signs in for a login that cannot be kept.
    store.check(&account).await.map_err(Failure::config)?;
    let network = wiring::login_network(&from.network);
    let platform = IdentityPlatform::new(application.clone(), &network).map_err(|error| failure(&error))?;

    let grant = match args.browser {
        true => browser::sign_in(&platform, BROWSER).await,
        false => with_device_code(&platform, application.login_url.is_loopback()).await,
    };
    let mut login = grant.map_err(|error| failure(&error))?.into_login(application, base_url);
    login.user = whose(login.access(), graph, &from.network).await;
    let held = store.lock(&account).await.map_err(Failure::config)?;
    store.save(&held, &account, &login).await.map_err(Failure::config)?;
    say(&told(&account, &login));
    if next {
        say(&next_steps(&account));
    }
    Ok(())
}

/// What the flags or the configuration say about the way.
struct Surroundings {
    account: AccountName,
    graph: GraphSection,
    network: Network,
}

impl Surroundings {
    fn new(args: &Login, env: &Env) -> Result<Self, Failure> {
        let Some(file) = &args.config else {
            let base_url = args.base_url.clone().unwrap_or_else(|| args.cloud.map_or_else(BaseUrl::default, Into::into));
            let mut graph = GraphSection::at(base_url);
            graph.login_url.clone_from(&args.login_url);
            let network = Network::from_env(env).map_err(Failure::config)?;
            return Ok(Self { account: args.account.clone().unwrap_or_default(), graph, network });
        };
        let Config { graph, network, accounts, .. } = Config::load(file, env, Purpose::Connection)?;
        let login = |token: &TokenFrom| match token {
            TokenFrom::Login(name) => Some(name.clone()),
            _ => None,
        };
        let asked = args.account.as_ref().and_then(|name| accounts.iter().find(|account| account.name == *name));
        let account = match (asked, &args.account) {
            (Some(account), _) => login(&account.token).ok_or_else(|| {
                Failure::usage(format_args!("--account {}: its token comes from elsewhere than a login", account.name))
            })?,
            (None, Some(name)) => name.clone(),
            (None, None) => {
                let logins: Vec<_> = accounts.iter().filter_map(|account| login(&account.token)).collect();
                match &logins[..] {
                    [] => AccountName::default(),
                    [one] => one.clone(),
                    several => {
                        let names = several.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
                        return Err(Failure::usage(format_args!("which account? --account takes {names}")));
                    }
                }
            }
        };
        Ok(Self { account, graph, network })
    }
}

fn application(
    args: &Login,
    last: Option<&Application>,
    login_url: Option<LoginUrl>,
    graph: &BaseUrl,
) -> Result<Application, Failure> {
    let login_url = login_url.or_else(|| LoginUrl::beside(graph)).ok_or_else(|| {
        Failure::usage(format_args!(
            "where do people sign in for {graph}? Say it with --login-url, or [graph] login_url with -c; for Graph's own clouds it is known"
        ))
    })?;
    // An id is registered with one platform, and means nothing to another.
    let last = last.filter(|last| last.login_url == login_url);
    let client_id = args.client_id.clone().or_else(|| last.map(|last| last.client_id.clone()));
    // An emulator asks nobody for a registration.
    let emulators = || "emulator".parse::<ClientId>().ok().filter(|_| login_url.is_loopback());
    let client_id = client_id.or_else(emulators).ok_or_else(|| Failure::usage(NO_CLIENT_ID))?;
    let scopes = match &args.scopes {
        Some(scopes) => Scope::at(scopes.0.clone(), graph),
        None => last.map_or_else(|| Scope::at(Scope::defaults(), graph), |last| last.scopes.clone()),
    };
    let tenant = args.tenant.clone().or_else(|| last.map(|last| last.tenant.clone())).unwrap_or_default();
    Ok(Application { login_url, tenant, client_id, scopes })
}

async fn with_device_code(platform: &IdentityPlatform, at_loopback: bool) -> Result<Grant, LoginError> {
    let device = platform.device().await?;
    let minutes = device.good_for().as_secs().div_ceil(60);
    // The page of an emulator is nowhere else.
    let place = if at_loopback { "on this machine" } else { "on any device" };
    say(&format!(
        "To sign in, open {} in a browser, {place},\nand enter the code {}\nWaiting; the code is good for {minutes} min. Ctrl-C ends.",
        for_text(device.page()),
        for_text(device.user_code())
    ));
    platform.wait(&device).await
}

/// Whose drive it is. A sign-in stands without that: there may be no drive.
async fn whose(token: &AccessToken, graph: GraphSection, network: &Network) -> Option<String> {
    let client = GraphClient::new(wiring::graph_config(&graph, network), Arc::new(token.clone())).ok()?;
    match client.look("/me/drive?$select=id,owner").await {
        Ok(look) => owner(&look.body),
        Err(error) => {
            say(&format!("Graph at {} does not say whose token this is: {error}", graph.base_url));
            None
        }
    }
}

/// `owner.user` (or `owner.group`): `displayName` and `email`, each where it is. No longer than a line.
fn owner(drive: &Value) -> Option<String> {
    const LONGEST: usize = 200;

    let of = |kind: &str, name: &str| {
        let text = drive.get("owner")?.get(kind)?.get(name)?.as_str()?;
        (!text.is_empty()).then(|| text.chars().take(LONGEST).collect::<String>())
    };
    let either = |name: &str| of("user", name).or_else(|| of("group", name));
    match (either("displayName"), either("email")) {
        (Some(name), Some(email)) => Some(format!("{name} ({email})")),
        (name, email) => name.or(email),
    }
}

fn told(account: &AccountName, login: &Kept) -> String {
    let who = login.user.as_deref().map(|user| format!(" as {}", for_text(user))).unwrap_or_default();
    let mut text =
        format!("Signed in{who} ({}). In a configuration: token = {{ login = \"{account}\" }}", login.scopes.join(" "));
    if !login.renews() {
        text.push_str(&format!(
            "\nIt ends at {:.0} and cannot be renewed: ask for offline_access too, --scopes 'Files.Read offline_access'",
            login.expires
        ));
    }
    text
}

fn next_steps(account: &AccountName) -> String {
    let who = if *account == AccountName::default() { String::new() } else { format!(" --account {account}") };
    let (discover, listen) = (format!("drivetap discover{who}"), format!("drivetap listen me{who}"));
    let width = discover.len().max(listen.len());
    format!("Next:\n  {discover:width$}   what there is to watch\n  {listen:width$}   what happens in your drive")
}

fn failure(error: &LoginError) -> Failure {
    match error {
        LoginError::Network(_) | LoginError::Busy { .. } | LoginError::Answer => Failure::unavailable(error),
        LoginError::Config(_) | LoginError::Store(_) => Failure::config(error),
        _ => Failure::sign_in(format_args!("not signed in: {error}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_owner_is_named_as_far_as_graph_says() {
        let check = |body: &str, want: Option<&str>| {
            let body = serde_json::from_str(body).expect("JSON");
            assert_eq!(owner(&body).as_deref(), want, "{body}");
        };
        check(r#"{"owner":{"user":{"displayName":"Adele","email":"a@b.example"}}}"#, Some("Adele (a@b.example)"));
        check(r#"{"owner":{"user":{"displayName":"Adele"}}}"#, Some("Adele"));
        check(r#"{"owner":{"group":{"email":"g@b.example"}}}"#, Some("g@b.example"));
        check(r#"{"owner":{"user":{"displayName":7}}}"#, None);
        check("{}", None);
    }
}
