use std::path::{Path, PathBuf};

use drivetap_bridge::{DeadLetters, Role, SinkSettings};

#[cfg(feature = "kafka")]
use super::secret::Secret;
use super::section::{At, Section};

/// `[sink.NAME]`.
#[derive(Debug)]
pub struct SinkConfig {
    /// Name, role, window, dead letters.
    pub settings: SinkSettings,
    /// What it is.
    pub kind: SinkKind,
}

/// What a sink is, with what it needs to connect.
#[derive(Debug)]
pub enum SinkKind {
    /// Standard output.
    #[cfg(feature = "stdout")]
    Stdout(OutputFormat),
    /// A Kafka topic.
    #[cfg(feature = "kafka")]
    Kafka(drivetap_bridge::sink_kafka::KafkaConfig),
    /// A Redis channel.
    #[cfg(feature = "redis")]
    Redis(drivetap_bridge::sink_redis::RedisConfig),
}

impl SinkKind {
    fn has_topics(&self) -> bool {
        // By value, so that a build without any sink has no case.
        match *self {
            #[cfg(feature = "stdout")]
            Self::Stdout(_) => false,
            #[cfg(feature = "kafka")]
            Self::Kafka(_) => true,
            #[cfg(feature = "redis")]
            Self::Redis(_) => false,
        }
    }
}

/// How an event becomes a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum OutputFormat {
    /// One readable line.
    Text,
    /// The CloudEvent as JSON on one line.
    Json,
}

/// How large a dead-letter file may grow where nothing is said: 64 MiB.
const DEAD_LETTER_BYTES: u64 = 64 * 1024 * 1024;
const GIB: i64 = 1 << 30;

/// `None`: it is wrong, and why is among the problems.
pub(super) fn sink(name: &At<&str>, section: Section<'_>, state: Option<&Path>) -> Option<SinkConfig> {
    let role = section.word("role", &[("durable", Role::Durable), ("live", Role::Live)]);
    let window = section.integer("window", 1, GIB);
    let overflow_after = section.duration("overflow_after");
    let (dead_letters, letter_topic) = dead_letters(&section, name.value, state);
    let knows_type = section.text("type").is_some_and(|kind| ["stdout", "kafka", "redis"].contains(&kind.value));
    let kind =
        section.required("type", section.text("type"), "\"stdout\", \"kafka\" or \"redis\"").and_then(|kind| match kind.value {
            "stdout" => stdout(&section, &kind),
            "kafka" => kafka(&section, &kind, letter_topic.as_ref()),
            "redis" => redis(&section, &kind),
            other => {
                section.problem_at(&kind, format!("type is {other:?}, which is none of: stdout, kafka, redis"));
                None
            }
        });
    if let (Some(topic), Some((kind, _))) = (&letter_topic, &kind)
        && !kind.has_topics()
    {
        section.problem_at(topic, "dead_letter: a topic is for type = \"kafka\"; here it is file = \"dead-letters.jsonl\"");
    }
    if !is_name(name.value) {
        section.problem_at(
            name,
            format!("sink name {:?}: use 1 to 64 of letters, digits, '-', '_' and '.', and no dot in front", name.value),
        );
    }

    // Which other keys there are hangs on the type: without one, every key would look unknown.
    if knows_type {
        section.finish();
    }
    let (kind, default_role) = kind?;
    let mut settings = SinkSettings::new(name.value, role.map_or(default_role, |at| at.value));
    window.into_iter().for_each(|at| settings.window = at.value);
    overflow_after.into_iter().for_each(|at| settings.overflow_after = at.value);
    settings.dead_letters = dead_letters;
    Some(SinkConfig { settings, kind })
}

type Made = Option<(SinkKind, Role)>;

#[cfg(feature = "stdout")]
fn stdout(section: &Section<'_>, _: &At<&str>) -> Made {
    let format = section.word("format", &[("json", OutputFormat::Json), ("text", OutputFormat::Text)]);
    Some((SinkKind::Stdout(format.map_or(OutputFormat::Json, |at| at.value)), Role::Durable))
}

#[cfg(not(feature = "stdout"))]
fn stdout(section: &Section<'_>, kind: &At<&str>) -> Made {
    not_compiled_in(section, kind)
}

/// In place of a secret whose command is not run.
#[cfg(feature = "kafka")]
const UNREAD: &str = "unread";

#[cfg(feature = "kafka")]
fn kafka(section: &Section<'_>, _: &At<&str>, letter_topic: Option<&At<&str>>) -> Made {
    use drivetap_bridge::sink_kafka::{InvalidConfig, KafkaConfig, KafkaSink, Mode};

    let servers = section.required("bootstrap_servers", section.text("bootstrap_servers"), "\"localhost:9092\"");
    let topic = section.required("topic", section.text("topic"), "\"drive-events\"");
    let mode = section.word("mode", &[("binary", Mode::Binary), ("structured", Mode::Structured)]);
    let keys = section.section("librdkafka", format!("{} librdkafka", section.name())).map(|s| s.pairs()).unwrap_or_default();

    // What is missing is said; it is no reason not to look at the rest.
    let value = |at: &Option<At<&str>>, instead: &str| at.as_ref().map_or(instead, |at| at.value).to_owned();
    let mut config = KafkaConfig::new(value(&servers, "localhost:9092"), value(&topic, "drive-events"));
    config.dead_letter_topic = letter_topic.map(|at| at.value.to_owned());
    mode.into_iter().for_each(|at| config.mode = at.value);
    let text = |key: &str, value: &Secret| {
        let text = value.expose().unwrap_or(UNREAD);
        let is_path = KafkaConfig::FILES.contains(&key) && value.expose().is_some() && text != KafkaConfig::SYSTEMS_AUTHORITIES;
        if is_path { section.context().dir.join(text).display().to_string() } else { text.to_owned() }
    };
    config.librdkafka = keys.iter().map(|(key, value)| (key.value.clone(), text(&key.value, value))).collect();
    let unread = |name: &str| keys.iter().any(|(key, value)| key.value == name && value.expose().is_none());
    let place = |key: &str| keys.iter().find(|(at, _)| at.value == key).map(|(at, _)| &at.span);
    let (mut checked, mut good) = (config.clone(), true);
    while let Err(error) = KafkaSink::new(checked.clone()) {
        // What is wrong is taken out, so that the rest is looked at in the same run.
        let (span, taken_out) = match &error {
            // Its name is right; what its command would print is not known, and what it would open stays closed.
            InvalidConfig::Value { key, .. } if unread(key) && checked.librdkafka.remove(key).is_some() => continue,
            InvalidConfig::Unloadable { .. }
                if keys.iter().any(|(key, _)| key.value.starts_with("ssl.") && unread(&key.value)) =>
            {
                break;
            }
            InvalidConfig::NoServers => {
                checked.bootstrap_servers = "localhost:9092".to_owned();
                (servers.as_ref().map(|at| &at.span), true)
            }
            InvalidConfig::Topic(_) => {
                checked.topic = "drive-events".to_owned();
                (topic.as_ref().map(|at| &at.span), true)
            }
            InvalidConfig::DeadLetterTopic { .. } => {
                (letter_topic.map(|at| &at.span), checked.dead_letter_topic.take().is_some())
            }
            InvalidConfig::UnknownKey(key) | InvalidConfig::Value { key, .. } | InvalidConfig::Reserved { key, .. } => {
                (place(key), checked.librdkafka.remove(key).is_some())
            }
            InvalidConfig::Certificate { key, .. } | InvalidConfig::Unloadable { key, .. } => (place(key), false),
        };
        match span {
            Some(span) => section.problem_at(&At { value: (), span: span.clone() }, error.to_string()),
            None => section.problem(error.to_string()),
        }
        good = false;
        if !taken_out {
            break;
        }
    }
    let complete = servers.is_some() && topic.is_some() && good;
    complete.then_some((SinkKind::Kafka(config), Role::Durable))
}

#[cfg(not(feature = "kafka"))]
fn kafka(section: &Section<'_>, kind: &At<&str>, _: Option<&At<&str>>) -> Made {
    not_compiled_in(section, kind)
}

#[cfg(feature = "redis")]
fn redis(section: &Section<'_>, _: &At<&str>) -> Made {
    use drivetap_bridge::sink_redis::{RedisConfig, RedisUrl};

    let url = section.required("url", section.parsed::<RedisUrl>("url"), "\"redis://127.0.0.1:6379\"");
    let channel = section.text("channel");
    let username = section.text("username");
    let password = section.secret("password");
    let ca = section.authorities("ca_file");
    let client_certificate = client_certificate(section);
    if url.as_ref().is_some_and(|at| !at.value.tls()) {
        for key in ["ca_file", "cert_file"] {
            if let Some(at) = section.text(key) {
                section.problem_at(&at, format!("{key} is for TLS: write rediss:// in the url"));
            }
        }
    }

    let in_url = url.as_ref().and_then(|at| at.value.channel());
    let named = channel.as_ref().map(|at| at.value).or(in_url).map(str::to_owned);
    // A url that cannot be read may name the channel all the same.
    let unreadable = url.is_none() && section.text("url").is_some_and(|at| at.value.contains("channel="));
    let named = if unreadable { named } else { section.required("channel", named, "\"drive-events\"") };
    if named.as_ref().is_some_and(String::is_empty) {
        match &channel {
            Some(at) => section.problem_at(at, "channel is empty"),
            None => section.problem("channel is empty"),
        }
        return None;
    }
    let mut config = RedisConfig::new(url?.value, named?);
    config.username = username.map(|at| at.value.to_owned());
    config.password = password.and_then(|at| at.value.known());
    config.ca_pem = ca.map(|at| at.value);
    config.client_certificate = client_certificate;
    Some((SinkKind::Redis(config), Role::Live))
}

/// Who the sink is, for a server that asks: `cert_file`, `key_file` and, where the key is encrypted, `key_password`.
#[cfg(feature = "redis")]
fn client_certificate(section: &Section<'_>) -> Option<drivetap_bridge::sink_redis::ClientCertificate> {
    use drivetap_bridge::sink_redis::{CertificateError, ClientCertificate};

    let (chain, key, password) = (section.contents("cert_file"), section.contents("key_file"), section.secret("key_password"));
    for (one, other, example) in [("cert_file", "key_file", "client.key"), ("key_file", "cert_file", "client.pem")] {
        if let Some(at) = section.text(one).filter(|_| !section.has(other)) {
            section.problem_at(&at, format!("{one} goes with a {other}: write {other} = {example:?}"));
        }
    }
    if let Some(at) = password.as_ref().filter(|_| !section.has("key_file")) {
        section.problem_at(at, "key_password goes with a key_file");
    }
    let (chain, key) = chain.zip(key)?;
    let (unread, known) = match &password {
        Some(at) => (at.value.expose().is_none(), at.value.clone().known()),
        // Not said, or wrong and said to be.
        None => (section.has("key_password"), None),
    };
    match ClientCertificate::from_pem(&chain.value, &key.value, known.as_ref()) {
        Ok(certificate) => Some(certificate),
        // Its command is not run: the key stays locked.
        Err(CertificateError::NoPassword) if unread => None,
        Err(error) => {
            let (name, span) = match error {
                CertificateError::NoCertificate => ("cert_file", &chain.span),
                CertificateError::WrongPassword => ("key_password", password.as_ref().map_or(&key.span, |at| &at.span)),
                CertificateError::NoPassword => {
                    section.problem_at(&key, "key_file is encrypted: write key_password = { env = \"REDIS_KEY_PASSWORD\" }");
                    return None;
                }
                _ => ("key_file", &key.span),
            };
            section.problem_at(&At { value: (), span: span.clone() }, format!("{name} {error}"));
            None
        }
    }
}

#[cfg(not(feature = "redis"))]
fn redis(section: &Section<'_>, kind: &At<&str>) -> Made {
    not_compiled_in(section, kind)
}

#[cfg(not(all(feature = "stdout", feature = "kafka", feature = "redis")))]
fn not_compiled_in(section: &Section<'_>, kind: &At<&str>) -> Made {
    let kind_name = kind.value;
    let message = format!("type {kind_name:?} is not compiled into this binary: build it with the feature {kind_name:?}");
    section.problem_at(kind, message);
    None
}

/// A file, and before it a topic where one is named: what is too large for the topic goes to the file beside the state.
fn dead_letters<'d>(section: &Section<'d>, name: &str, state: Option<&Path>) -> (DeadLetters, Option<At<&'d str>>) {
    let default = || state.map_or(DeadLetters::None, |state| beside(state, name));
    let Some(table) = section.section("dead_letter", format!("dead_letter of {}", section.name())) else {
        return (default(), None);
    };
    let topic = table.text("topic");
    let max_bytes = table.integer("max_bytes", 1, i64::MAX);
    let path = table.path("file");
    let places = match (topic, path) {
        (Some(topic), None) => {
            if let Some(at) = max_bytes {
                table.problem_at(&at, "max_bytes is for a file; the topic's own settings bound it");
            }
            (default(), Some(topic))
        }
        (Some(topic), Some(_)) => {
            table.problem_at(&topic, "dead_letter: either topic or file");
            (DeadLetters::None, None)
        }
        (None, path) => {
            let path = table.required("file", path, "\"dead-letters.jsonl\"");
            let max_bytes = max_bytes.map_or(DEAD_LETTER_BYTES, |at| at.value);
            (path.map_or(DeadLetters::None, |path| DeadLetters::File { path: path.value, max_bytes }), None)
        }
    };
    table.finish();
    places
}

/// `drivetap.redb` has `drivetap.redb.bus.dead-letters.jsonl` beside it.
fn beside(state: &Path, sink: &str) -> DeadLetters {
    let mut path = state.as_os_str().to_owned();
    path.push(format!(".{sink}.dead-letters.jsonl"));
    DeadLetters::File { path: PathBuf::from(path), max_bytes: DEAD_LETTER_BYTES }
}

// As an account's: it becomes part of a file's name and of a metric's label.
fn is_name(name: &str) -> bool {
    let legal = |b: u8| b.is_ascii_alphanumeric() || b"-_.".contains(&b);
    (1..=64).contains(&name.len()) && name.bytes().all(legal) && !name.starts_with('.')
}
