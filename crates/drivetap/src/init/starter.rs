use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use drivetap_bridge::core::{AccountName, Resource};
use drivetap_bridge::graph::{BaseUrl, Cloud};

use crate::env::Env;
use crate::login;
use crate::sink_url::SinkUrl;

/// The schema's file, beside the configuration.
pub(super) const SCHEMA_FILE: &str = "drivetap.schema.json";

/// What a starter is made from. Prints as the file.
#[derive(Debug)]
pub(super) struct Starter {
    pub(super) resources: Vec<Resource>,
    pub(super) sinks: Vec<SinkChoice>,
    pub(super) account: AccountName,
    pub(super) cloud: Option<Cloud>,
    pub(super) base_url: Option<BaseUrl>,
    pub(super) token: TokenChoice,
}

/// Where the token comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum TokenChoice {
    Login(AccountName),
    Env(String),
    File(PathBuf),
}

/// As the question takes it.
impl fmt::Display for TokenChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Login(name) if *name == AccountName::default() => f.write_str("login"),
            Self::Login(name) => write!(f, "login:{name}"),
            Self::Env(name) => write!(f, "env:{name}"),
            Self::File(path) => write!(f, "file:{}", path.display()),
        }
    }
}

/// `--sink` of `init`: a type, or a URL.
#[derive(Clone, PartialEq, Eq)]
pub enum SinkChoice {
    /// Standard output.
    Stdout,
    /// A Kafka topic.
    Kafka {
        /// As librdkafka takes them.
        bootstrap_servers: String,
        /// The topic.
        topic: String,
    },
    /// A Redis channel.
    Redis {
        /// Without user and password.
        url: String,
        /// Where the URL does not name it.
        channel: Option<String>,
        /// Whose password stands in `REDIS_PASSWORD`: the user's name, empty for the default user's.
        user: Option<String>,
    },
}

impl SinkChoice {
    pub(super) const TOPIC: &str = "drive-events";
    pub(super) const SERVERS: &str = "localhost:9092";
    pub(super) const REDIS: &str = "redis://127.0.0.1:6379";

    fn from_url(written: &str) -> Result<Self, String> {
        let parsed: SinkUrl = written.parse().map_err(|error: crate::SinkUrlError| match error {
            crate::SinkUrlError::Scheme => {
                "write stdout, kafka, redis, or a URL: kafka://HOST:PORT/TOPIC, redis://HOST:PORT?channel=NAME".to_owned()
            }
            error => error.to_string(),
        })?;
        match parsed {
            SinkUrl::Stdout => Ok(Self::Stdout),
            SinkUrl::Kafka { bootstrap_servers, topic } => Ok(Self::Kafka { bootstrap_servers, topic }),
            SinkUrl::Redis { .. } => {
                let (scheme, rest) = written.split_once("://").unwrap_or(("redis", ""));
                let end = rest.find(['/', '?']).unwrap_or(rest.len());
                let (authority, path) = rest.split_at_checked(end).unwrap_or((rest, ""));
                let (user, host) = authority.rsplit_once('@').map_or((None, authority), |(user, host)| (Some(user), host));
                let user = user.map(|user| user.split(':').next().unwrap_or_default().to_owned());
                Ok(Self::Redis { url: format!("{scheme}://{host}{path}"), channel: None, user })
            }
        }
    }
}

impl FromStr for SinkChoice {
    type Err = String;

    fn from_str(written: &str) -> Result<Self, String> {
        match written {
            "stdout" => Ok(Self::Stdout),
            "kafka" => Ok(Self::Kafka { bootstrap_servers: Self::SERVERS.to_owned(), topic: Self::TOPIC.to_owned() }),
            "redis" => Ok(Self::Redis { url: Self::REDIS.to_owned(), channel: Some(Self::TOPIC.to_owned()), user: None }),
            url => Self::from_url(url),
        }
    }
}

impl fmt::Debug for SinkChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl SinkChoice {
    /// `[sink.NAME]`.
    fn name(&self) -> &'static str {
        match self {
            Self::Stdout => "console",
            Self::Kafka { .. } => "bus",
            Self::Redis { .. } => "live",
        }
    }
}

impl Starter {
    /// # Errors
    /// What was said twice.
    pub(super) fn without_repeats(self) -> Result<Self, String> {
        if let Some((_, resource)) = self.resources.iter().enumerate().find(|(n, it)| self.resources[..*n].contains(it)) {
            return Err(format!("--resource {resource} is there twice"));
        }
        if let Some((_, sink)) = self.sinks.iter().enumerate().find(|(n, it)| self.sinks[..*n].contains(it)) {
            return Err(format!("--sink {} is there twice", sink.kind()));
        }
        Ok(self)
    }

    /// What to type next.
    pub(super) fn next_steps(&self, file: &str, env: &Env) -> String {
        let file = typed(file);
        let mut lines = vec!["Next:".to_owned()];
        match &self.token {
            TokenChoice::Login(name) if login::is_there(env, name) => {}
            TokenChoice::Login(_) => {
                lines.push(format!("  drivetap login -c {file}       # once; it says how to register an application"));
            }
            TokenChoice::Env(name) if env.filled(name).is_some() => {}
            TokenChoice::Env(name) => {
                lines.push(format!("  export {name}=…   # a delegated token with Files.Read; Graph Explorer shows one"));
            }
            TokenChoice::File(path) => lines.push(format!("  put a delegated token with Files.Read into {}", path.display())),
        }
        if self.sinks.iter().any(|sink| matches!(sink, SinkChoice::Redis { user: Some(_), .. })) {
            lines.push("  export REDIS_PASSWORD=…".to_owned());
        }
        lines.push(format!("  drivetap check -c {file}       # whether everything is there that it needs"));
        lines.push(format!("  drivetap run -c {file}         # the service; Ctrl-C ends it"));
        lines.join("\n")
    }
}

/// A path as a shell takes it.
fn typed(path: &str) -> String {
    let plain = |c: char| c.is_alphanumeric() || "/._-+,@%:=".contains(c);
    if !path.is_empty() && path.chars().all(plain) { path.to_owned() } else { format!("'{}'", path.replace('\'', r"'\''")) }
}

impl SinkChoice {
    fn kind(&self) -> &'static str {
        match self {
            Self::Stdout => "stdout",
            Self::Kafka { .. } => "kafka",
            Self::Redis { .. } => "redis",
        }
    }
}

impl fmt::Display for Starter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { resources, sinks, account, cloud, base_url, token } = self;
        writeln!(f, "#:schema ./{SCHEMA_FILE}")?;
        f.write_str(HEAD)?;
        f.write_str("[graph]\n")?;
        match (base_url, cloud) {
            (Some(url), _) => writeln!(f, "base_url = {}", quoted(&url.to_string()))?,
            (None, Some(cloud)) => writeln!(f, "cloud = {}", quoted(cloud.name()))?,
            (None, None) => f.write_str("# cloud = \"global\"                          # or us-gov-l4, us-gov-l5, china\n")?,
        }
        f.write_str(USER_AGENT)?;

        writeln!(f, "\n[account.{}]", key(account.as_str()))?;
        match token {
            TokenChoice::Login(name) => write!(f, "token = {{ login = {} }}", quoted(name.as_str()))?,
            TokenChoice::Env(name) => write!(f, "token = {{ env = {} }}", quoted(name))?,
            TokenChoice::File(path) => write!(f, "token = {{ file = {} }}", quoted(&path.to_string_lossy()))?,
        }
        f.write_str("        # or { login = \"…\" }, { env = \"…\" }, { file = \"…\" }, { command = [\"…\"] }\n")?;

        for resource in resources {
            writeln!(f, "\n[[subscription]]\nresource = {}", quoted(&resource.to_string()))?;
            if *account != AccountName::default() {
                writeln!(f, "account = {}", quoted(account.as_str()))?;
            }
            f.write_str(SUBSCRIPTION)?;
        }
        f.write_str(STATE)?;
        let mut names: Vec<String> = Vec::new();
        for sink in sinks {
            let same = sinks.iter().take(names.len()).filter(|other| other.name() == sink.name()).count();
            let name = if same == 0 { sink.name().to_owned() } else { format!("{}-{}", sink.name(), same + 1) };
            writeln!(f, "\n[sink.{name}]\ntype = {}", quoted(sink.kind()))?;
            sink.keys(f)?;
            names.push(name);
        }
        f.write_str(REST)
    }
}

impl SinkChoice {
    fn keys(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stdout => f.write_str("# format = \"json\"                           # or text\n"),
            Self::Kafka { bootstrap_servers, topic } => {
                writeln!(f, "bootstrap_servers = {}", quoted(bootstrap_servers))?;
                writeln!(f, "topic = {}", quoted(topic))?;
                f.write_str(KAFKA)
            }
            Self::Redis { url, channel, user } => {
                writeln!(f, "url = {}", quoted(url))?;
                if let Some(channel) = channel {
                    writeln!(f, "channel = {}", quoted(channel))?;
                }
                match user.as_deref() {
                    None => f.write_str(REDIS_PASSWORD)?,
                    Some(user) => {
                        if !user.is_empty() {
                            writeln!(f, "username = {}", quoted(user))?;
                        }
                        f.write_str(
                            "password = { env = \"REDIS_PASSWORD\" }     # or { file = \"…\" }, { command = [\"…\"] }\n",
                        )?;
                    }
                }
                f.write_str(REDIS)
            }
        }
    }
}

fn quoted(text: &str) -> String {
    toml::Value::from(text).to_string()
}

/// A name with a dot in it would be two.
fn key(name: &str) -> String {
    if name.contains('.') { quoted(name) } else { name.to_owned() }
}

const HEAD: &str = "\
# The line above lets an editor know every key (Taplo, Even Better TOML); `drivetap schema config > drivetap.schema.json` makes that
# file anew. `drivetap validate -c FILE` says what is wrong here, `drivetap run -c FILE` runs it. What is commented out is the default,
# or an example. Relative paths are relative to this file; durations have a unit, like \"30s\" or \"5m\".

";

const USER_AGENT: &str = "\
# user_agent = \"NONISV|Contoso|drivetap/0.1\" # who asks: undecorated traffic is throttled first
";

const SUBSCRIPTION: &str = "\
# emit = [\"signals\", \"changes\"]             # or one of them
# start = \"latest\"                          # without a cursor: what changes from now on, or \"beginning\": what is there, too
";

const STATE: &str = "
[state]
path = \"drivetap.redb\"                     # where cursors are kept: a restart goes on where the last run was acknowledged
";

const KAFKA: &str = "\
# mode = \"binary\"                           # or structured
# dead_letter = { topic = \"drive-events-dead\" } # or { file = \"bus.dead-letters.jsonl\" }; default: a file beside the state
# Any key of librdkafka, as it is spelled there:
# librdkafka.\"security.protocol\" = \"SASL_SSL\"
# librdkafka.\"sasl.mechanisms\" = \"SCRAM-SHA-512\"
# librdkafka.\"sasl.username\" = \"drivetap\"
# librdkafka.\"sasl.password\" = { env = \"KAFKA_PASSWORD\" } # or { file = \"…\" }, { command = [\"…\"] }
";

const REDIS_PASSWORD: &str = "\
# username = \"drivetap\"
# password = { env = \"REDIS_PASSWORD\" }     # or { file = \"…\" }, { command = [\"…\"] }
";

const REDIS: &str = "\
# role = \"live\"                             # it loses what it cannot take; durable: the cursor waits for it
# overflow_after = \"10s\"
";

const REST: &str = "
# [admin]
# listen = \"127.0.0.1:9464\"                 # /healthz, /readyz, /metrics

# [network]
# proxy = \"http://proxy.example.com:3128\"   # wins over HTTPS_PROXY; NO_PROXY names exceptions

# [delta]
# resync_every = \"7d\"                       # enumerate each drive afresh, to be sure

# [shutdown]
# deadline = \"30s\"

# [log]
# level = \"info\"                            # error, warn, info, debug, trace
# format = \"text\"                           # or json
";
