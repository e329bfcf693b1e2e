//! How the commands that a person types reach Graph: by flags and the environment, or as a configuration says.

use std::time::Duration;

use drivetap_bridge::core::AccountName;
use drivetap_bridge::graph::{BaseUrl, Quota};

use crate::cli::Connection;
use crate::config::{Account, Config, GraphSection, Log, Network, Purpose, TokenFrom};
use crate::env::Env;
use crate::exit::Failure;
use crate::login;

/// The configuration that the flags say, with the one account that is used. What it says of sinks is not for use: a secret's command was
/// not run.
pub(super) fn connect(connection: Connection, env: &Env) -> Result<Config, Failure> {
    connect_for(Purpose::Connection, connection, env)
}

/// The same, with a file read for this.
pub(super) fn connect_for(purpose: Purpose, connection: Connection, env: &Env) -> Result<Config, Failure> {
    let Connection { config, base_url, cloud, token_env, token_file, account } = connection;
    if let Some(path) = config {
        let mut config = Config::load(&path, env, purpose)?;
        config.accounts = vec![choose(config.accounts, account)?];
        (config.state, config.admin) = (None, None);
        return Ok(config);
    }
    let token = match token_file {
        Some(path) => TokenFrom::File(path),
        None => token_of_the_environment(token_env, &account.clone().unwrap_or_default(), env),
    };
    let said = base_url.or_else(|| cloud.map(Into::into));
    let base_url = said.or_else(|| of_the_login(&token, env)).unwrap_or_default();
    Ok(Config {
        graph: GraphSection::at(base_url),
        accounts: vec![Account { name: account.unwrap_or_default(), token, quota: Quota::default() }],
        subscriptions: Vec::new(),
        state: None,
        sinks: Vec::new(),
        network: Network::from_env(env).map_err(Failure::config)?,
        admin: None,
        deadline: Duration::from_secs(30),
        log: Log::default(),
    })
}

/// The Graph that somebody signed in to: its token is for no other.
fn of_the_login(token: &TokenFrom, env: &Env) -> Option<BaseUrl> {
    match token {
        TokenFrom::Login(name) => login::graph_of(env, name),
        TokenFrom::Env(_) | TokenFrom::File(_) | TokenFrom::Command(_) => None,
    }
}

/// The variable that was asked for; else `DRIVETAP_TOKEN`, else the login of that name, where there is one.
fn token_of_the_environment(asked: Option<String>, account: &AccountName, env: &Env) -> TokenFrom {
    const TOKEN: &str = "DRIVETAP_TOKEN";

    match asked {
        Some(name) => TokenFrom::Env(name),
        None if env.get(TOKEN).is_none() && login::is_there(env, account) => TokenFrom::Login(account.clone()),
        None => TokenFrom::Env(TOKEN.to_owned()),
    }
}

fn choose(mut accounts: Vec<Account>, asked: Option<AccountName>) -> Result<Account, Failure> {
    let names = accounts.iter().map(|account| account.name.to_string()).collect::<Vec<_>>().join(", ");
    let position = match &asked {
        Some(name) => accounts.iter().position(|account| account.name == *name),
        None if accounts.len() == 1 => Some(0),
        None => accounts.iter().position(|account| account.name == AccountName::default()),
    };
    match (position, asked) {
        (Some(position), _) => Ok(accounts.swap_remove(position)),
        (None, _) if accounts.is_empty() => {
            Err(Failure::config("the configuration has no account: add [account.default] with a token"))
        }
        (None, Some(name)) => Err(Failure::usage(format_args!("--account {name}: the configuration has {names}"))),
        (None, None) => Err(Failure::usage(format_args!("which account? --account takes {names}"))),
    }
}
