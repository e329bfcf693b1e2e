use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use tempfile::TempDir;
use tokio::process::Command;

use super::Wanted;
use super::load::{self, Load};
use super::process::Process;
use super::roles;
use super::task::{Target, Task};

/// Who is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Contender {
    /// The built program: `run -c`.
    Drivetap,
    /// This executable in a role.
    Rust(&'static str),
    /// `contenders/node/contender.js` with this client of Kafka's, or of Redis's.
    Node(&'static str),
    Python,
    /// `contenders/java/Contender.java`, on the jars that the broker came with.
    Java,
}

/// One that runs, and the folder that it needs.
pub(crate) struct Running {
    pub(crate) process: Process,
    _dir: TempDir,
}

impl Contender {
    /// Whether what it needs was installed. One that could not be built is missing; anything else that is missing is an error.
    pub(crate) fn is_here(self, wanted: &Wanted) -> bool {
        if self == Self::Java {
            // What compiles its one file is part of a JDK, and not of what a broker needs.
            return std::process::Command::new("javac").arg("-version").output().is_ok_and(|said| said.status.success());
        }
        let addon = "node/node_modules/@confluentinc/kafka-javascript/build/Release/confluent-kafka-javascript.node";
        self != Self::Node("kafka-javascript") || wanted.contenders.join(addon).exists()
    }

    /// Waits until its sockets are in the namespace.
    pub(crate) async fn join(self, wanted: &Wanted, task: &Task, load: &mut Load) -> Running {
        let mut running = self.start(wanted, task);
        tokio::select! {
            () = load.joined(task.sockets) => running,
            () = running.process.ended() => panic!("{self:?} ended: {}", running.process.errors()),
        }
    }

    pub(crate) fn start(self, wanted: &Wanted, task: &Task) -> Running {
        let dir = tempfile::tempdir().unwrap();
        let said = serde_json::to_string(task).unwrap();
        let mut command = match self {
            Self::Drivetap => drivetap(wanted, task, dir.path()),
            Self::Rust(role) => {
                let mut command = Command::new(std::env::current_exe().unwrap());
                command.args([role, &said]);
                command
            }
            Self::Node(client) => {
                let mut command = Command::new("node");
                command.arg(wanted.contenders.join("node/contender.js")).args([client, &said]);
                if let Some(ca) = &task.ca {
                    command.env("NODE_EXTRA_CA_CERTS", ca);
                }
                command
            }
            Self::Python => {
                let mut command = Command::new(&wanted.python);
                command.arg(wanted.contenders.join("python/contender.py")).arg(&said);
                command
            }
            Self::Java => java(wanted, task),
        };
        Running { process: Process::start(&mut command), _dir: dir }
    }
}

fn java(wanted: &Wanted, task: &Task) -> Command {
    let Target::Records { servers, topic, warm_up, linger_ms, count } = &task.to else { panic!("not a task for this: {task:?}") };
    let mut command = Command::new("java");
    command.arg("-Xmx512m").arg("-cp").arg(wanted.kafka_jars.join("*")).arg(wanted.contenders.join("java/Contender.java"));
    command.args([servers, topic, warm_up, &linger_ms.to_string(), &count.to_string(), &load::body()]);
    command.args(roles::headers().into_iter().map(|(name, value)| format!("{name}={value}")));
    command
}

/// With what a user would write, and the sink's keys that all contenders have alike.
fn drivetap(wanted: &Wanted, task: &Task, dir: &Path) -> Command {
    let Task { origin, sockets, ca, to } = task;
    let mut config =
        format!("[graph]\nbase_url = \"{origin}/v1.0\"\n[account.default]\ntoken = {{ env = \"DRIVETAP_TOKEN\" }}\n");
    // Graph's quota would make it wait with the endpoints of more sockets than that.
    config += "requests_in_5_min = 1000000\n";
    if let Some(ca) = ca {
        writeln!(config, "[network]\nca_file = \"{ca}\"").unwrap();
    }
    for socket in 0..*sockets {
        writeln!(config, "[[subscription]]\nresource = \"drive:{}\"\nemit = [\"signals\"]", Task::drive(socket)).unwrap();
    }
    config += "[state]\npath = \"state.redb\"\n[sink.bench]\n";
    match to {
        Target::Nowhere { .. } => config += "type = \"stdout\"\n",
        Target::Kafka { servers, topic, linger_ms } => {
            writeln!(config, "type = \"kafka\"\nbootstrap_servers = \"{servers}\"\ntopic = \"{topic}\"").unwrap();
            writeln!(config, "[sink.bench.librdkafka]\n\"compression.type\" = \"none\"\n\"linger.ms\" = \"{linger_ms}\"")
                .unwrap();
        }
        Target::Records { .. } => panic!("not a task for this: {task:?}"),
        Target::Redis { address, channel } => {
            writeln!(config, "type = \"redis\"\nurl = \"redis://{address}\"\nchannel = \"{channel}\"").unwrap();
        }
    }
    let file = dir.join("drivetap.toml");
    fs::write(&file, config).unwrap();
    let mut command = Command::new(&wanted.program);
    command.args(["run".as_ref(), "-c".as_ref(), file.as_os_str()]);
    command.env("DRIVETAP_TOKEN", "EwB4A8l6BAAUopaque.access.token").env("RUST_LOG", "warn");
    command
}
