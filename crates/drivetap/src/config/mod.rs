//! The configuration: a TOML file in, typed values out, and every mistake in it at once, each with its place.
//!
//! Two stages. [`toml`] gives a tree that knows where everything stands (serde's internally tagged enums would lose that); `Section`
//! reads it key by key into the values below, so that what is unknown is what nobody asked for.

mod excerpt;
mod network;
mod problem;
mod read;
mod secret;
mod section;
mod sink;

use std::fs::File;
use std::io::{self, Read as _};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use drivetap_bridge::core::AccountName;
use drivetap_bridge::core::feed::SubscriptionSettings;
use drivetap_bridge::graph::login::LoginUrl;
use drivetap_bridge::graph::{BaseUrl, Quota};

pub use self::network::{Network, TransportKind};
pub use self::problem::ConfigError;
pub(crate) use self::section::duration;
pub use self::sink::{OutputFormat, SinkConfig, SinkKind};
use crate::env::Env;

/// The JSON Schema (draft 2020-12) of the file: what `drivetap schema config` prints.
pub const SCHEMA: &str = include_str!("../../schema/config.v1.json");

/// A configuration that can be run.
#[derive(Debug)]
pub struct Config {
    /// `[graph]`.
    pub graph: GraphSection,
    /// `[account.NAME]`, in the order of the file.
    pub accounts: Vec<Account>,
    /// `[[subscription]]`, in the order of the file.
    pub subscriptions: Vec<Subscription>,
    /// `[state] path`. `None`: cursors are kept in memory.
    pub state: Option<PathBuf>,
    /// `[sink.NAME]`, in the order of the file.
    pub sinks: Vec<SinkConfig>,
    /// `[network]` and `[delta]`.
    pub network: Network,
    /// `[admin] listen`. `None`: no port is opened.
    pub admin: Option<SocketAddr>,
    /// `[shutdown] deadline`. Default 30 s.
    pub deadline: Duration,
    /// `[log]`.
    pub log: Log,
}

/// `[graph]`.
#[derive(Debug)]
pub struct GraphSection {
    /// Where Graph is. Default: the global cloud.
    pub base_url: BaseUrl,
    /// Where people sign in. `None`: it follows from `base_url`.
    pub login_url: Option<LoginUrl>,
    /// Default `NONISV|drivetap|drivetap/VERSION`.
    pub user_agent: Option<String>,
    /// Which hosts a `notificationUrl` may name. Default `*.svc.ms`.
    pub notification_hosts: Vec<String>,
}

impl GraphSection {
    /// The defaults, at this address.
    #[must_use]
    pub fn at(base_url: BaseUrl) -> Self {
        Self { base_url, login_url: None, user_agent: None, notification_hosts: vec!["*.svc.ms".to_owned()] }
    }
}

/// `[account.NAME]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    /// Its name, which is in every event.
    pub name: AccountName,
    /// Where its token comes from.
    pub token: TokenFrom,
    /// How many requests it may send: `requests_in_5_min`. Default 3,000, what Graph gives a user; less where other programs ask Graph
    /// for the same one.
    pub quota: Quota,
}

/// `token = { … }`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TokenFrom {
    /// A variable of the environment, by its name.
    Env(String),
    /// A file that holds nothing but the token, read at each request.
    File(PathBuf),
    /// A program and its arguments; it prints the token.
    Command(Vec<String>),
    /// A login, by its name: what `drivetap login` left.
    Login(AccountName),
}

/// `[[subscription]]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subscription {
    /// Whose.
    pub account: AccountName,
    /// What.
    pub settings: SubscriptionSettings,
}

/// `[log]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Log {
    /// From which level on drivetap's own lines are shown. Default `info`. `RUST_LOG` wins.
    pub level: tracing::Level,
    /// How a line looks. Default: text.
    pub format: LogFormat,
}

impl Default for Log {
    fn default() -> Self {
        Self { level: tracing::Level::INFO, format: LogFormat::Text }
    }
}

/// `[log] format`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum LogFormat {
    /// To be read.
    Text,
    /// A JSON object a line.
    Json,
}

/// What a file is read for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// `run`: it has to say what to watch and where events go. A secret's command is run.
    Service,
    /// `validate`: the same, and nothing is run.
    Validation,
    /// `listen -c`: it says how to reach Graph; what to watch and where events go are arguments. Nothing is run.
    Connection,
    /// `check -c` with a resource or an account: what to watch is an argument, and the sinks are connected to. A secret's command is run.
    Probe,
}

impl Config {
    /// Reads a file. Touches no network; a `ca_file` is read, a token is not asked for. A sink's secret is read, from a command only for
    /// [`Purpose::Service`] and [`Purpose::Probe`].
    ///
    /// # Errors
    /// Everything that is wrong with it.
    pub fn load(path: &Path, env: &Env, purpose: Purpose) -> Result<Self, ConfigError> {
        let file = path.display().to_string();
        let bytes = read_bounded(path).map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => ConfigError::whole(&file, "there is no such file"),
            _ => ConfigError::whole(&file, format!("cannot be read: {error}")),
        })?;
        let text = String::from_utf8(bytes).map_err(|error| {
            ConfigError::whole(&file, format!("is not UTF-8 from byte {} on", error.utf8_error().valid_up_to()))
        })?;
        let dir = path.parent().unwrap_or(Path::new(""));
        Self::parse(&text, &file, dir, env, purpose)
    }

    /// Reads a text. `file` is its name in errors, `dir` is what its relative paths are relative to.
    ///
    /// # Errors
    /// Everything that is wrong with it.
    pub fn parse(text: &str, file: &str, dir: &Path, env: &Env, purpose: Purpose) -> Result<Self, ConfigError> {
        read::config(text, dir, env, purpose).map_err(|problems| problems.into_error(file, text))
    }
}

/// No configuration and no certificate is larger than this, in bytes: 1 MiB.
const LARGEST_FILE: u64 = 1024 * 1024;

fn read_bounded(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(LARGEST_FILE + 1).read_to_end(&mut bytes)?;
    if u64::try_from(bytes.len()).is_ok_and(|read| read <= LARGEST_FILE) {
        Ok(bytes)
    } else {
        Err(io::Error::new(io::ErrorKind::FileTooLarge, "it is larger than 1 MiB"))
    }
}

#[cfg(test)]
mod tests;
