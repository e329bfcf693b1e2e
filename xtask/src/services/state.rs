//! `state.json`: where the services are. Its shape is a contract with the tests, written down in `tests/services/README.md`.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};

use crate::mark::{Mark, SERVICE};
use crate::setup::Tools;

/// The variable by which tests find the file.
pub(crate) const VARIABLE: &str = "DRIVETAP_SERVICES";

/// Goes up when a reader written for the number before would misread the file.
pub(crate) const VERSION: u32 = 1;

/// Both services, and what a test needs to use them.
#[derive(Debug, Serialize, Deserialize, PartialEq, Eq)]
pub(crate) struct State {
    pub(crate) version: u32,
    pub(crate) dir: PathBuf,
    /// Which run the processes belong to.
    pub(crate) run: String,
    pub(crate) held_by_test: bool,
    pub(crate) kafka: Kafka,
    pub(crate) redis: Redis,
    pub(crate) tls: Tls,
    pub(crate) socketio: PathBuf,
    pub(crate) tools: Tools,
}

#[derive(Debug, Serialize, Deserialize, PartialEq, Eq)]
pub(crate) struct Kafka {
    pub(crate) pid: u32,
    pub(crate) plaintext: String,
    pub(crate) sasl: Sasl,
    pub(crate) ssl: String,
    pub(crate) mutual: String,
    pub(crate) proxied: Proxied,
    pub(crate) denied_prefix: String,
    pub(crate) classpath: String,
    pub(crate) log: PathBuf,
}

#[derive(Debug, Serialize, Deserialize, PartialEq, Eq)]
pub(crate) struct Sasl {
    pub(crate) address: String,
    pub(crate) mechanisms: Vec<String>,
    pub(crate) username: String,
    pub(crate) password: String,
}

/// The broker is at `upstream`, and sends clients to `bootstrap`.
#[derive(Debug, Serialize, Deserialize, PartialEq, Eq)]
pub(crate) struct Proxied {
    pub(crate) bootstrap: String,
    pub(crate) upstream: String,
}

#[derive(Debug, Serialize, Deserialize, PartialEq, Eq)]
pub(crate) struct Redis {
    pub(crate) pid: u32,
    pub(crate) plain: String,
    pub(crate) tls: String,
    pub(crate) acl: Acl,
    pub(crate) log: PathBuf,
}

#[derive(Debug, Serialize, Deserialize, PartialEq, Eq)]
pub(crate) struct Acl {
    pub(crate) username: String,
    pub(crate) password: String,
    pub(crate) channels: String,
}

#[derive(Debug, Serialize, Deserialize, PartialEq, Eq)]
pub(crate) struct Tls {
    pub(crate) ca: PathBuf,
    pub(crate) other_ca: PathBuf,
    pub(crate) server_cert: PathBuf,
    pub(crate) server_key: PathBuf,
    pub(crate) client_cert: PathBuf,
    pub(crate) client_key: PathBuf,
    pub(crate) client_key_encrypted: PathBuf,
    pub(crate) client_key_password: String,
    pub(crate) other_client_cert: PathBuf,
    pub(crate) other_client_key: PathBuf,
}

impl State {
    pub(crate) fn path(dir: &Path) -> PathBuf {
        dir.join("state.json")
    }

    pub(crate) fn read(dir: &Path) -> Result<Self> {
        let path = Self::path(dir);
        let Ok(text) = fs::read_to_string(&path) else {
            bail!("the services are down (`cargo xtask services up` starts them)");
        };
        serde_json::from_str(&text).with_context(|| format!("cannot read {}", path.display()))
    }

    /// Whole or not at all: a reader never sees half a file.
    pub(crate) fn write(&self) -> Result<()> {
        let path = Self::path(&self.dir);
        let draft = path.with_extension("draft");
        fs::write(&draft, serde_json::to_string_pretty(self)? + "\n")
            .with_context(|| format!("cannot write {}", draft.display()))?;
        fs::rename(&draft, &path).with_context(|| format!("cannot write {}", path.display()))
    }

    pub(crate) fn remove(dir: &Path) -> Result<()> {
        match fs::remove_file(Self::path(dir)) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error).context("cannot remove state.json"),
            _ => Ok(()),
        }
    }

    /// Both processes run, and are the ones that we started.
    pub(crate) fn check_alive(&self, dir: &Path) -> Result<()> {
        let alive = Mark::of_run(SERVICE, dir, &self.run).find();
        for (name, pid) in [("Kafka", self.kafka.pid), ("Redis", self.redis.pid)] {
            if !alive.iter().any(|process| u32::try_from(process.pid) == Ok(pid)) {
                bail!("{name} has ended (its log is in {}); `cargo xtask services up` starts it again", dir.display());
            }
        }
        Ok(())
    }

    /// For a person.
    pub(crate) fn summary(&self) -> String {
        let (kafka, redis) = (&self.kafka, &self.redis);
        let mut text = String::new();
        // Writing to a string does not fail.
        let _ = writeln!(text, "Kafka  pid {}  {}  sasl {}  ssl {}", kafka.pid, kafka.plaintext, kafka.sasl.address, kafka.ssl);
        let _ = writeln!(text, "       {}", kafka.log.display());
        let _ = writeln!(text, "Redis  pid {}  {}  tls {}", redis.pid, redis.plain, redis.tls);
        let _ = writeln!(text, "       {}", redis.log.display());
        text
    }
}
