//! A real Kafka of a test's own: one or three KRaft nodes from the jars that `cargo xtask setup` fetched.

use std::fmt::Write as _;
use std::fs::{self, File};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;
use tokio::process::{Child, Command};
use tokio::time::{sleep, timeout};

use crate::{PATIENCE, Proxy, free_port, service};

/// Any UUID in Kafka's form will do: 16 bytes in URL-safe base64.
const CLUSTER_ID: &str = "ZHJpdmV0YXAtdGVzdHMtMg";
const HEAP: &str = "-Xmx256m";

/// Brokers that end with their test. Ports and data outlive a node that is killed, so that it can come back.
///
/// The test itself talks to [`Listener::Direct`], where it may do anything; the program under test goes through a [`Proxy`] for each
/// node and listener.
pub struct KafkaCluster {
    dir: TempDir,
    nodes: Vec<Node>,
}

/// A way in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Listener {
    /// Plain text and no proxy, as a superuser: for the test.
    Direct,
    /// Plain text behind a proxy; with an identity on the proxy it is TLS.
    Plain,
    /// SCRAM-SHA-256 over plain text, behind a proxy, as [`KafkaCluster::USERNAME`].
    Sasl,
    /// Plain text behind a proxy, and advertised under the name [`KafkaCluster::HOST`], which no resolver knows.
    Named,
}

struct Node {
    config: PathBuf,
    log: PathBuf,
    controller: u16,
    /// Where the broker listens, in the order of [`LISTENERS`].
    ports: [u16; 4],
    /// What stands in front of all but the direct listener.
    proxies: Vec<Proxy>,
    process: Option<Child>,
}

const LISTENERS: [(Listener, &str); 4] =
    [(Listener::Direct, "DIRECT"), (Listener::Plain, "PLAIN"), (Listener::Sasl, "SASL"), (Listener::Named, "NAMED")];

impl KafkaCluster {
    /// The user of [`Listener::Sasl`].
    pub const USERNAME: &'static str = "drivetap";
    /// Its password, until [`set_password`](Self::set_password).
    pub const PASSWORD: &'static str = "drivetap-secret";
    /// The name that [`Listener::Named`] advertises.
    pub const HOST: &'static str = "kafka.drivetap.test";

    /// One node or three, formatted, started and answering. Topics are made by [`create_topic`](Self::create_topic) only.
    pub async fn start(nodes: usize) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let mut cluster = Self { nodes: Vec::new(), dir };
        for number in 1..=nodes {
            cluster.nodes.push(Node::new(cluster.dir.path(), number).await);
        }
        let voters: Vec<_> =
            cluster.nodes.iter().zip(1..).map(|(node, number)| format!("{number}@127.0.0.1:{}", node.controller)).collect();
        for (node, number) in cluster.nodes.iter().zip(1..) {
            fs::write(&node.config, node.properties(number, &voters, &cluster.dir.path().join(format!("data-{number}"))))
                .unwrap();
            node.format().await;
        }
        for node in &mut cluster.nodes {
            node.start();
        }
        cluster.answers().await;
        cluster
    }

    /// `bootstrap.servers` of a listener.
    pub fn bootstrap(&self, listener: Listener) -> String {
        let addresses: Vec<_> = self.nodes.iter().map(|node| node.advertised(listener)).collect();
        addresses.join(",")
    }

    /// The proxies in front of a listener, one a node; none in front of [`Listener::Direct`].
    pub fn proxies(&self, listener: Listener) -> Vec<&Proxy> {
        self.nodes.iter().filter_map(|node| node.proxy(listener)).collect()
    }

    /// librdkafka's settings for a client of the test.
    pub fn client(&self) -> ClientConfig {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", self.bootstrap(Listener::Direct)).set_log_level(rdkafka::config::RDKafkaLogLevel::Emerg);
        config
    }

    /// `kill -9`. Nodes are numbered from 1, as brokers are.
    pub async fn kill(&mut self, node: usize) {
        self.node(node).kill().await;
    }

    /// SIGTERM: the node hands its leaderships over first. Waits for the end.
    pub async fn stop(&mut self, node: usize) {
        let Some(mut process) = self.node(node).process.take() else { return };
        let pid = Pid::from_raw(process.id().unwrap().try_into().unwrap()).unwrap();
        kill_process(pid, Signal::TERM).unwrap();
        timeout(PATIENCE, process.wait()).await.expect("the broker does not end").unwrap();
    }

    /// Starts a node that was killed or stopped, with its data, and waits until it answers.
    pub async fn start_again(&mut self, node: usize) {
        self.node(node).start();
        self.answers().await;
    }

    /// Makes a topic with one partition on as many nodes as there are, and waits until it can be written.
    pub async fn create_topic(&self, name: &str) {
        let topic = NewTopic::new(name, 1, TopicReplication::Fixed(self.nodes.len().try_into().unwrap()));
        let made = self.admin().create_topics([&topic], &AdminOptions::new()).await.unwrap();
        assert_eq!(made, [Ok(name.to_owned())]);
        let begin = Instant::now();
        while self.leader(name).await.is_none() {
            assert!(begin.elapsed() < PATIENCE, "{name} has no leader");
            sleep(Duration::from_millis(50)).await;
        }
    }

    /// Deletes a topic with everything in it, and waits until it is gone.
    pub async fn delete_topic(&self, name: &str) {
        let deleted = self.admin().delete_topics(&[name], &AdminOptions::new()).await.unwrap();
        assert_eq!(deleted, [Ok(name.to_owned())]);
        let begin = Instant::now();
        while self.leader(name).await.is_some() {
            assert!(begin.elapsed() < PATIENCE, "{name} is still there");
            sleep(Duration::from_millis(50)).await;
        }
    }

    /// The node that leads the topic's one partition.
    pub async fn leader(&self, topic: &str) -> Option<usize> {
        let (config, name) = (self.client(), topic.to_owned());
        let asked = tokio::task::spawn_blocking(move || {
            let consumer: BaseConsumer = config.create().unwrap();
            let begin = Instant::now();
            loop {
                match consumer.fetch_metadata(Some(&name), Duration::from_secs(5)) {
                    Ok(metadata) => {
                        let partition = metadata.topics().first()?.partitions().first()?;
                        return usize::try_from(partition.leader()).ok().filter(|_| partition.error().is_none());
                    }
                    // A machine under load, or a cluster between two leaders.
                    Err(error) => assert!(begin.elapsed() < PATIENCE, "Kafka does not answer: {error}"),
                }
            }
        });
        asked.await.unwrap()
    }

    /// Takes from [`USERNAME`](Self::USERNAME) the right to write to a topic; or gives it back.
    pub async fn deny_writing(&self, topic: &str, denied: bool) {
        let action = if denied { "--add" } else { "--remove" };
        let principal = format!("User:{}", Self::USERNAME);
        let rule = ["--deny-principal", &principal, "--operation", "Write", "--topic", topic];
        let tool = tool("org.apache.kafka.tools.AclCommand");
        let servers = self.bootstrap(Listener::Direct);
        run(tool, &[&["--bootstrap-server", &servers, action][..], &rule, if denied { &[] } else { &["--force"] }].concat())
            .await;
    }

    /// Takes from [`USERNAME`](Self::USERNAME) the right to write idempotently, as far as the rule for the cluster does that: since Kafka 2.8
    /// who may write any topic has it all the same (KIP-679).
    pub async fn deny_idempotence(&self) {
        self.deny(&["--operation", "IdempotentWrite", "--cluster"]).await;
    }

    /// Has the broker find no topic that [`USERNAME`](Self::USERNAME) may write when it looks for one, as one that is older than 2.8 does
    /// not even look. Its authorizer asks about a topic `hardcode` first, and then about those that rules allow; those that no rule names
    /// stay open to everyone.
    pub async fn hide_what_may_be_written(&self) {
        self.deny(&["--operation", "Write", "--topic", "hardcode"]).await;
    }

    async fn deny(&self, rule: &[&str]) {
        let (servers, principal) = (self.bootstrap(Listener::Direct), format!("User:{}", Self::USERNAME));
        let words = ["--bootstrap-server", &servers, "--add", "--deny-principal", &principal];
        run(tool("org.apache.kafka.tools.AclCommand"), &[&words[..], rule].concat()).await;
    }

    /// Gives [`USERNAME`](Self::USERNAME) another password. Connections that are open stay so.
    pub async fn set_password(&self, password: &str) {
        let change = format!("SCRAM-SHA-256=[iterations=4096,password={password}]");
        let servers = self.bootstrap(Listener::Direct);
        let words = ["--bootstrap-server", &servers, "--alter", "--entity-type", "users", "--entity-name", Self::USERNAME];
        run(tool("kafka.admin.ConfigCommand"), &[&words[..], &["--add-config", &change]].concat()).await;
    }

    /// What any one client may write from now on, in bytes a second; `None` for no limit.
    pub async fn set_quota(&self, bytes_per_second: Option<u32>) {
        let servers = self.bootstrap(Listener::Direct);
        let words = ["--bootstrap-server", &servers, "--alter", "--entity-type", "clients", "--entity-default"];
        let change = match bytes_per_second {
            Some(rate) => ["--add-config".to_owned(), format!("producer_byte_rate={rate}")],
            None => ["--delete-config".to_owned(), "producer_byte_rate".to_owned()],
        };
        run(tool("kafka.admin.ConfigCommand"), &[&words[..], &change.each_ref().map(String::as_str)].concat()).await;
    }

    fn admin(&self) -> AdminClient<DefaultClientContext> {
        self.client().create().unwrap()
    }

    fn node(&mut self, number: usize) -> &mut Node {
        self.nodes.get_mut(number - 1).unwrap_or_else(|| panic!("no node {number}"))
    }

    /// Waits until every node that runs takes part.
    async fn answers(&mut self) {
        let expected = self.nodes.iter().filter(|node| node.process.is_some()).count();
        let begin = Instant::now();
        loop {
            for node in &mut self.nodes {
                node.check();
            }
            let config = self.client();
            let seen = tokio::task::spawn_blocking(move || {
                let consumer: BaseConsumer = config.create().unwrap();
                consumer.fetch_metadata(None, Duration::from_secs(2)).map_or(0, |metadata| metadata.brokers().len())
            });
            let listening = self.nodes.iter().filter(|node| node.process.is_some()).all(Node::listens);
            if listening && seen.await.unwrap() >= expected {
                return;
            }
            assert!(
                begin.elapsed() < PATIENCE,
                "Kafka does not answer: {}",
                self.nodes.iter().map(Node::tail).collect::<String>()
            );
            sleep(Duration::from_millis(100)).await;
        }
    }
}

impl Node {
    async fn new(dir: &Path, number: usize) -> Self {
        let ports = std::array::from_fn(|_| free_port());
        let mut proxies = Vec::new();
        for port in &ports[1..] {
            proxies.push(Proxy::start((Ipv4Addr::LOCALHOST, *port).into()).await);
        }
        let config = dir.join(format!("node-{number}.properties"));
        let log = dir.join(format!("node-{number}.log"));
        Self { config, log, controller: free_port(), ports, proxies, process: None }
    }

    fn proxy(&self, listener: Listener) -> Option<&Proxy> {
        let at = LISTENERS.iter().position(|(each, _)| *each == listener)?;
        self.proxies.get(at.checked_sub(1)?)
    }

    fn advertised(&self, listener: Listener) -> String {
        let host = if listener == Listener::Named { KafkaCluster::HOST } else { "127.0.0.1" };
        let port = self.proxy(listener).map_or(self.ports[0], |proxy| proxy.address().port());
        format!("{host}:{port}")
    }

    fn properties(&self, number: usize, voters: &[String], data: &Path) -> String {
        let (mut listeners, mut advertised) = (format!("CONTROLLER://127.0.0.1:{}", self.controller), Vec::new());
        for ((listener, name), port) in LISTENERS.iter().zip(self.ports) {
            write!(listeners, ",{name}://127.0.0.1:{port}").unwrap();
            advertised.push(format!("{name}://{}", self.advertised(*listener)));
        }
        let (replicas, isr) = (voters.len(), voters.len().div_ceil(2));
        format!(
            "process.roles=broker,controller
node.id={number}
controller.quorum.voters={}
controller.listener.names=CONTROLLER
inter.broker.listener.name=DIRECT
listeners={listeners}
advertised.listeners={}
listener.security.protocol.map=CONTROLLER:PLAINTEXT,DIRECT:PLAINTEXT,PLAIN:PLAINTEXT,SASL:SASL_PLAINTEXT,NAMED:PLAINTEXT
listener.name.sasl.sasl.enabled.mechanisms=SCRAM-SHA-256
listener.name.sasl.scram-sha-256.sasl.jaas.config=org.apache.kafka.common.security.scram.ScramLoginModule required;
authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer
allow.everyone.if.no.acl.found=true
super.users=User:ANONYMOUS
log.dirs={}
min.insync.replicas={isr}
offsets.topic.num.partitions=1
offsets.topic.replication.factor={replicas}
transaction.state.log.num.partitions=1
transaction.state.log.replication.factor={replicas}
transaction.state.log.min.isr={isr}
auto.create.topics.enable=false
log.retention.ms=-1
group.initial.rebalance.delay.ms=0
log.index.size.max.bytes=65536
",
            voters.join(","),
            advertised.join(","),
            data.display(),
        )
    }

    async fn format(&self) {
        let scram = format!("SCRAM-SHA-256=[name={},password={}]", KafkaCluster::USERNAME, KafkaCluster::PASSWORD);
        let config = self.config.display().to_string();
        run(tool("kafka.tools.StorageTool"), &["format", "-t", CLUSTER_ID, "-c", &config, "--add-scram", &scram]).await;
    }

    fn start(&mut self) {
        let log = File::options().create(true).append(true).open(&self.log).unwrap();
        let logging = concat!("-Dlog4j2.configurationFile=", env!("CARGO_MANIFEST_DIR"), "/services/kafka/log4j2.xml");
        let mut java = java();
        java.args([logging, "kafka.Kafka"]).arg(&self.config);
        java.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log).kill_on_drop(true);
        self.process = Some(java.spawn().unwrap());
    }

    async fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.kill().await.unwrap();
        }
    }

    fn listens(&self) -> bool {
        self.ports.iter().all(|port| TcpStream::connect(SocketAddr::from((Ipv4Addr::LOCALHOST, *port))).is_ok())
    }

    fn check(&mut self) {
        let ended = self.process.as_mut().and_then(|process| process.try_wait().unwrap());
        assert!(ended.is_none(), "the broker ended: {ended:?}{}", self.tail());
    }

    fn tail(&self) -> String {
        let log = fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<_> = log.lines().rev().take(30).collect();
        lines.into_iter().rev().fold("\n".to_owned(), |text, line| text + line + "\n")
    }
}

/// One of Kafka's own programs. It runs for a second: the quick compiler is enough.
fn tool(class: &str) -> Command {
    let mut java = java();
    java.arg(class);
    java
}

fn java() -> Command {
    let mut java = Command::new(service("/tools/java"));
    java.args([HEAP, "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-cp", &service("/kafka/classpath")]);
    java
}

async fn run(mut command: Command, words: &[&str]) {
    let output = command.args(words).stdin(Stdio::null()).kill_on_drop(true).output();
    let output = timeout(PATIENCE, output).await.expect("Kafka's tool does not end").unwrap();
    let said = [output.stdout, output.stderr].concat();
    assert!(output.status.success(), "{words:?}: {}\n{}", output.status, String::from_utf8_lossy(&said));
}
