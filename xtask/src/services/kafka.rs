//! A real Kafka: one KRaft node, with a listener for each way in that the sink supports.

use std::fs;
use std::net::TcpStream;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};

use super::launch::{Launched, fill_in};
use super::ports::Ports;
use super::state::{Kafka, Proxied, Sasl};
use crate::mark::Mark;
use crate::repo::Repo;
use crate::run::output;
use crate::setup::Tools;

/// Any UUID in Kafka's form will do: 16 bytes in URL-safe base64.
const CLUSTER_ID: &str = "ZHJpdmV0YXAtdGVzdHMtMQ";

const USERNAME: &str = "drivetap";
const PASSWORD: &str = "drivetap-secret";
const SCRAM: [&str; 2] = ["SCRAM-SHA-256", "SCRAM-SHA-512"];
const DENIED_PREFIX: &str = "denied-";

/// Started, and maybe not up yet.
pub(crate) struct Starting {
    launched: Launched,
    java: Java,
    plaintext_port: u16,
    state: Kafka,
}

pub(crate) fn start(repo: &Repo, tools: &Tools, dir: &Path, mark: &Mark, ports: &mut Ports) -> Result<Starting> {
    let data = dir.join("kafka");
    if data.exists() {
        fs::remove_dir_all(&data).with_context(|| format!("cannot empty {}", data.display()))?;
    }
    let [controller_port, plaintext_port, sasl_port, ssl_port, mutual_port, upstream_port, bootstrap_port] =
        [ports.next()?, ports.next()?, ports.next()?, ports.next()?, ports.next()?, ports.next()?, ports.next()?];

    let sources = repo.service_sources().join("kafka");
    let template = fs::read_to_string(sources.join("server.properties")).context("server.properties")?;
    let config = dir.join("kafka.properties");
    let filled = fill_in(
        &template,
        &[
            ("controller_port", &controller_port),
            ("plaintext_port", &plaintext_port),
            ("sasl_port", &sasl_port),
            ("ssl_port", &ssl_port),
            ("mutual_port", &mutual_port),
            ("upstream_port", &upstream_port),
            ("bootstrap_port", &bootstrap_port),
            ("tls", &dir.join("tls").display()),
            ("data", &data.display()),
            ("username", &USERNAME),
            ("password", &PASSWORD),
        ],
    )?;
    fs::write(&config, filled).with_context(|| format!("cannot write {}", config.display()))?;

    let java = Java {
        program: tools.java.display().to_string(),
        classpath: repo.setup_dir().join("kafka/libs/*").display().to_string(),
        logging: format!("-Dlog4j2.configurationFile={}", sources.join("log4j2.xml").display()),
    };
    java.format(&config).context("cannot format Kafka's storage")?;

    let log = dir.join("kafka.log");
    let launched = Launched::start("Kafka", java.broker().arg(&config), mark, &log)?;
    let state = Kafka {
        pid: launched.pid(),
        plaintext: format!("127.0.0.1:{plaintext_port}"),
        sasl: Sasl {
            address: format!("127.0.0.1:{sasl_port}"),
            mechanisms: ["PLAIN"].iter().chain(&SCRAM).map(ToString::to_string).collect(),
            username: USERNAME.to_owned(),
            password: PASSWORD.to_owned(),
        },
        ssl: format!("localhost:{ssl_port}"),
        mutual: format!("localhost:{mutual_port}"),
        proxied: Proxied { bootstrap: format!("127.0.0.1:{bootstrap_port}"), upstream: format!("127.0.0.1:{upstream_port}") },
        denied_prefix: DENIED_PREFIX.to_owned(),
        classpath: java.classpath.clone(),
        log,
    };
    Ok(Starting { launched, java, plaintext_port, state })
}

impl Starting {
    /// Up means that it did something for a client: the access rule of the topics that nobody may write to is made.
    pub(crate) fn wait_until_up(mut self) -> Result<Kafka> {
        let port = self.plaintext_port;
        self.launched.wait_until(|| TcpStream::connect(("127.0.0.1", port)).is_ok())?;
        self.java
            .deny_writing(&self.state.plaintext)
            .with_context(|| format!("Kafka does not answer; {}", self.launched.log_tail()))?;
        Ok(self.state)
    }
}

/// How Kafka's programs are started.
struct Java {
    program: String,
    classpath: String,
    logging: String,
}

impl Java {
    fn format(&self, config: &Path) -> Result<()> {
        let mut command = self.tool("kafka.tools.StorageTool");
        command.args(["format", "-t", CLUSTER_ID, "-c"]).arg(config);
        for mechanism in SCRAM {
            command.args(["--add-scram", &format!("{mechanism}=[name={USERNAME},password={PASSWORD}]")]);
        }
        output(&mut command).map(|_| ())
    }

    fn broker(&self) -> Command {
        let mut command = Command::new(&self.program);
        command.args(["-Xmx512m", "-XX:+UseSerialGC", &self.logging, "-cp", &self.classpath, "kafka.Kafka"]);
        command
    }

    /// Where a rule exists, only what it allows is allowed: everything but writing.
    fn deny_writing(&self, bootstrap: &str) -> Result<()> {
        let mut command = self.tool("org.apache.kafka.tools.AclCommand");
        command.args(["--bootstrap-server", bootstrap, "--add", "--allow-principal", "User:*"]);
        for operation in ["Create", "Delete", "Describe", "DescribeConfigs", "Read"] {
            command.args(["--operation", operation]);
        }
        command.args(["--topic", DENIED_PREFIX, "--resource-pattern-type", "prefixed"]);
        output(&mut command).map(|_| ())
    }

    /// A program that runs for a second: the quick compiler is enough.
    fn tool(&self, class: &str) -> Command {
        let mut command = Command::new(&self.program);
        command.args(["-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-cp", &self.classpath, class]);
        command
    }
}
