//! The configuration of a row's program: one default, and what a row wants otherwise.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use drivetap_emulator::{Config, ME_DRIVE, Switches};
use drivetap_tests::{Feed, Listener};

use crate::sinks::Kind;

/// The access token that the emulator takes from the account `default`: opaque, as a personal account's.
pub(crate) const TOKEN: &str = "EwB4A8l6BAAUopaque.access.token";

/// A name of Graph's that no resolver knows.
pub(crate) const GRAPH_HOST: &str = "graph.drivetap.test";
/// A name of Redis's that no resolver knows.
pub(crate) const REDIS_HOST: &str = "redis.drivetap.test";

/// Changed by a row before its program starts.
pub(crate) struct Setup {
    pub(crate) emulator: Config,
    /// Account and drive of each feed.
    pub(crate) feeds: Vec<Feed>,
    /// `[account.NAME]` tables.
    pub(crate) accounts: String,
    /// `[[subscription]]` tables.
    pub(crate) subscriptions: String,
    /// Graph over TLS, at `https://localhost:PORT`, whose certificate the proxy shows.
    pub(crate) https: bool,
    /// The name under which Graph is reached, where that is not an address.
    pub(crate) graph_host: Option<&'static str>,
    /// Whether the socket is the official server's.
    pub(crate) official: bool,
    /// How the program reaches Kafka.
    pub(crate) listener: Listener,
    /// More keys of a sink.
    pub(crate) sink_keys: BTreeMap<Kind, String>,
    /// The start of the Redis sink's URL: scheme, user, host. A port and a channel follow.
    pub(crate) redis: String,
    /// Sinks with `role = "live"`.
    pub(crate) live: Vec<Kind>,
    pub(crate) network: Table,
    pub(crate) delta: Table,
    /// What the program is started by, in front of its own name.
    pub(crate) wrapper: Vec<String>,
    pub(crate) env: Vec<(String, String)>,
    /// Where the state is kept, relative to the configuration.
    pub(crate) state: String,
}

type Table = BTreeMap<&'static str, &'static str>;

/// How long a drain may take.
pub(crate) const DEADLINE_S: u64 = 5;

impl Default for Setup {
    /// One account, one personal drive, everything in it from the beginning. Waits are short, so that a row takes seconds: what the
    /// program decides does not hang on their length.
    fn default() -> Self {
        Self {
            // Most walks are of several pages.
            emulator: Config { switches: Switches { page_size: 7, ..Switches::default() }, ..Config::default() },
            feeds: vec![("default".to_owned(), ME_DRIVE.to_owned())],
            accounts: "[account.default]\ntoken = { file = \"token\" }\n".to_owned(),
            subscriptions: "[[subscription]]\nresource = \"me\"\nstart = \"beginning\"\n".to_owned(),
            https: false,
            graph_host: None,
            official: false,
            listener: Listener::Plain,
            sink_keys: BTreeMap::new(),
            redis: "redis://127.0.0.1".to_owned(),
            live: Vec::new(),
            network: BTreeMap::from([
                ("connect_timeout", "3s"),
                ("open_timeout", "5s"),
                ("request_timeout", "5s"),
                ("backoff_min", "100ms"),
                ("backoff_max", "2s"),
                ("slow_retry_min", "3s"),
                ("slow_retry_max", "6s"),
            ]),
            delta: BTreeMap::from([("safety_walk", "30s"), ("poll", "3s")]),
            wrapper: Vec::new(),
            env: Vec::new(),
            state: "drivetap.redb".to_owned(),
        }
    }
}

impl Setup {
    /// The file's text.
    pub(crate) fn toml(&self, base_url: &str, sinks: &[String]) -> String {
        let hosts = self.graph_host.map(|host| format!("notification_hosts = [\"{host}\"]\n")).unwrap_or_default();
        let mut text = format!("[graph]\nbase_url = \"{base_url}\"\n{hosts}{}", self.accounts);
        text += &self.subscriptions;
        writeln!(text, "[state]\npath = \"{}\"\n[shutdown]\ndeadline = \"{DEADLINE_S}s\"", self.state).unwrap();
        for (name, table) in [("network", &self.network), ("delta", &self.delta)] {
            writeln!(text, "[{name}]").unwrap();
            table.iter().for_each(|(key, value)| writeln!(text, "{key} = \"{value}\"").unwrap());
            if name == "delta" {
                text += "lag_retries = [\"200ms\", \"500ms\", \"1s\", \"2s\"]\n";
            }
        }
        text + &sinks.concat()
    }

    /// The keys that every sink has, and this one's own.
    pub(crate) fn sink(&self, kind: Kind, keys: &str) -> String {
        let role = if self.live.contains(&kind) { "live" } else { "durable" };
        let more = self.sink_keys.get(&kind).map(String::as_str).unwrap_or_default();
        format!("[sink.{kind}]\ntype = \"{kind}\"\nrole = \"{role}\"\n{keys}{more}")
    }
}
