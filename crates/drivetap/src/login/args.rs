use std::path::PathBuf;

use clap::Args;
use drivetap_bridge::core::AccountName;
use drivetap_bridge::graph::login::{ClientId, Keep, LoginUrl, Scope, Tenant};
use drivetap_bridge::graph::{BaseUrl, Cloud};

pub(crate) const LOGIN_EXAMPLES: &str = "\
Examples:
  drivetap login --client-id 1d5c0f3e-…                a code to type in on any device
  drivetap login --client-id 1d5c0f3e-… --browser      where device codes are blocked
  drivetap login --account work --tenant contoso.onmicrosoft.com --client-id 1d5c0f3e-…
  drivetap login                                       again, as the last time
  drivetap login --base-url http://127.0.0.1:4010/v1.0    at `drivetap emulator`";

/// `login`.
#[derive(Debug, Args)]
pub struct Login {
    /// The name of the login: token = { login = "NAME" } (default: default)
    #[arg(long, value_name = "NAME")]
    pub account: Option<AccountName>,
    /// Whose accounts: common, organizations, consumers, a directory's id or domain (default: common)
    #[arg(long, value_name = "TENANT")]
    pub tenant: Option<Tenant>,
    /// The application's id; there is no built-in one
    #[arg(long, value_name = "ID")]
    pub client_id: Option<ClientId>,
    /// Sign in on a page in this machine's browser, instead of with a code on any device
    #[arg(long)]
    pub browser: bool,
    /// What to ask for, with spaces or commas between (default: Files.Read offline_access)
    #[arg(long, value_name = "SCOPES", value_parser = scopes)]
    pub scopes: Option<Scopes>,
    /// Where its tokens are kept: file or keyring (default: as the last time, else file)
    #[arg(long, value_name = "WHERE")]
    pub store: Option<Keep>,
    /// Take Graph and network (proxy, ca_file) from this configuration
    #[arg(short, long, value_name = "FILE", conflicts_with_all = ["base_url", "cloud", "login_url"])]
    pub config: Option<PathBuf>,
    /// Graph's address with its version, https or loopback
    #[arg(long, value_name = "URL", conflicts_with = "cloud")]
    pub base_url: Option<BaseUrl>,
    /// One of Graph's deployments: global, us-gov-l4, us-gov-l5, china
    #[arg(long)]
    pub cloud: Option<Cloud>,
    /// Where people sign in, https or loopback; it follows from Graph's address, but for a gateway's
    #[arg(long, value_name = "URL", conflicts_with = "cloud")]
    pub login_url: Option<LoginUrl>,
}

impl Login {
    /// At this place; everything else is as the last time, or the default.
    pub(crate) fn of(account: AccountName, cloud: Option<Cloud>, base_url: Option<BaseUrl>) -> Self {
        Self {
            account: Some(account),
            tenant: None,
            client_id: None,
            browser: false,
            scopes: None,
            store: None,
            config: None,
            base_url,
            cloud,
            login_url: None,
        }
    }

    /// Whether nobody signs in there without a registered application. An emulator asks for none.
    pub(crate) fn needs_client_id(&self) -> bool {
        let base_url = self.base_url.clone().unwrap_or_else(|| self.cloud.map_or_else(BaseUrl::default, Into::into));
        self.client_id.is_none() && LoginUrl::beside(&base_url).is_none_or(|url| !url.is_loopback())
    }
}

/// Several scopes in one argument.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scopes(pub Vec<Scope>);

/// `logout`.
#[derive(Debug, Args)]
pub struct Logout {
    /// The name of the login (default: default)
    #[arg(long, value_name = "NAME")]
    pub account: Option<AccountName>,
}

/// `accounts`.
#[derive(Debug, Args)]
pub struct Accounts {
    /// Print a JSON array instead of lines
    #[arg(long)]
    pub json: bool,
}

fn scopes(text: &str) -> Result<Scopes, String> {
    let words = text.split([' ', ',']).filter(|word| !word.is_empty());
    let scopes = words.map(|word| word.parse::<Scope>().map_err(|error| error.to_string())).collect::<Result<Vec<_>, _>>()?;
    if scopes.is_empty() { Err("write at least one, like Files.Read".to_owned()) } else { Ok(Scopes(scopes)) }
}
