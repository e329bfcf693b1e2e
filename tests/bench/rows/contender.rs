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
    /// The built program: `run -c`, with a subscription a socket.
    Drivetap,
    /// The built program: `run -c`, from a drive's beginning to standard output.
    Walk,
    /// This executable in a role.
    Rust(&'static str),
    /// `contenders/node/contender.js` with this client of Kafka's, or of Redis's.
    Node(&'static str),
    /// `contenders/node/walk.js`.
    NodeWalk,
    Python,
    /// `contenders/python/walk.py`.
    PythonWalk,
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
            Self::Drivetap => drivetap(wanted, &sockets(task), dir.path()),
            Self::Walk => drivetap(wanted, &beginning(task), dir.path()),
            Self::Rust(role) => {
                let mut command = Command::new(std::env::current_exe().unwrap());
                command.args([role, &said]).current_dir(dir.path());
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
            Self::NodeWalk => {
                let mut command = Command::new("node");
                command.arg(wanted.contenders.join("node/walk.js")).arg(&said);
                command
            }
            Self::Python | Self::PythonWalk => {
                let file = if self == Self::Python { "python/contender.py" } else { "python/walk.py" };
                let mut command = Command::new(&wanted.python);
                command.arg(wanted.contenders.join(file)).arg(&said);
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
fn sockets(task: &Task) -> String {
    let Task { origin, sockets, ca, to } = task;
    let mut config = graph(origin);
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
    config
}

fn beginning(task: &Task) -> String {
    graph(&task.origin)
        + "[[subscription]]\nresource = \"me\"\nemit = [\"changes\"]\nstart = \"beginning\"\n"
        + "[state]\npath = \"state.redb\"\n[sink.bench]\ntype = \"stdout\"\n"
}

/// Graph's quota is lifted: with it, drivetap would wait with the endpoints of more sockets than that, and with the pages of a walk.
fn graph(origin: &str) -> String {
    format!(
        "[graph]\nbase_url = \"{origin}/v1.0\"\n[account.default]\ntoken = {{ env = \"DRIVETAP_TOKEN\" }}\nrequests_in_5_min = 1000000\n"
    )
}

fn drivetap(wanted: &Wanted, config: &str, dir: &Path) -> Command {
    let file = dir.join("drivetap.toml");
    fs::write(&file, config).unwrap();
    let mut command = Command::new(&wanted.program);
    command.args(["run".as_ref(), "-c".as_ref(), file.as_os_str()]);
    command.env("DRIVETAP_TOKEN", "EwB4A8l6BAAUopaque.access.token").env("RUST_LOG", "warn");
    command
}
