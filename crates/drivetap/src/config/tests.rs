use std::cell::RefCell;
use std::path::{Path, PathBuf};
use std::time::Duration;

use drivetap_bridge::graph::Quota;
use drivetap_bridge::{DeadLetters, Role};

use super::*;

#[cfg(all(feature = "kafka", feature = "redis"))]
mod certificates;

const GOOD: &str = "
[account.default]
token = { env = \"T\" }
[[subscription]]
resource = \"me\"
[sink.console]
type = \"stdout\"
";

fn read(text: &str) -> Result<Config, String> {
    let env = Env::new(|name| (name == "REDIS_PASSWORD").then(|| "hunter2".to_owned()));
    Config::parse(text, "d.toml", Path::new("/etc/drivetap"), &env, Purpose::Service).map_err(|error| error.to_string())
}

fn examples() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../config")
}

#[test]
fn a_short_file_has_the_documented_defaults() {
    let config = read(GOOD).expect("valid");
    assert_eq!(config.graph.base_url.to_string(), "https://graph.microsoft.com/v1.0");
    assert_eq!(config.graph.notification_hosts, ["*.svc.ms"]);
    assert_eq!(
        config.accounts,
        [Account { name: AccountName::default(), token: TokenFrom::Env("T".to_owned()), quota: Quota::default() }]
    );
    let [subscription] = &config.subscriptions[..] else { panic!("{:?}", config.subscriptions) };
    assert!(subscription.settings.emit.signals && subscription.settings.emit.changes);
    assert_eq!((config.state, config.admin), (None, None));
    let [sink] = &config.sinks[..] else { panic!("{:?}", config.sinks) };
    assert!(matches!(sink.kind, SinkKind::Stdout(OutputFormat::Json)));
    assert_eq!((sink.settings.role, &sink.settings.dead_letters), (Role::Durable, &DeadLetters::None));
    assert_eq!((sink.settings.window, sink.settings.overflow_after), (8 * 1024 * 1024, Duration::from_secs(10)));
    let (network, seconds) = (&config.network, Duration::from_secs);
    assert_eq!((network.connect_timeout, network.request_timeout), (seconds(10), seconds(60)));
    assert_eq!((network.limits.open, network.max_sessions), (seconds(15), 256));
    assert_eq!(
        (network.timing.safety_walk, network.timing.poll, network.timing.resync_every),
        (seconds(3600), seconds(300), None)
    );
    assert_eq!(config.deadline, seconds(30));
    assert_eq!(config.log, Log { level: tracing::Level::INFO, format: LogFormat::Text });
}

#[cfg(all(feature = "kafka", feature = "redis", feature = "redb"))]
#[test]
fn the_example_with_every_key_is_read_and_relative_paths_are_relative_to_it() {
    let file = examples().join("drivetap.toml");
    let config = Config::load(&file, &Env::new(|_| None), Purpose::Service).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(config.state, Some(examples().join("drivetap.redb")));
    assert_eq!(config.accounts[1].token, TokenFrom::File(examples().join("work.token")));
    assert_eq!(config.sinks.iter().map(|s| s.settings.name.as_str()).collect::<Vec<_>>(), ["console", "bus", "live"]);
    assert_eq!(config.sinks.iter().map(|s| s.settings.role).collect::<Vec<_>>(), [Role::Durable, Role::Durable, Role::Live]);
    let file = |name: &str| DeadLetters::File { path: examples().join(name), max_bytes: 64 * 1024 * 1024 };
    assert_eq!(config.sinks[0].settings.dead_letters, file("drivetap.redb.console.dead-letters.jsonl"));
    assert_eq!(config.sinks[1].settings.dead_letters, file("bus.dead-letters.jsonl"));
    let SinkKind::Kafka(kafka) = &config.sinks[1].kind else { panic!("not kafka") };
    assert_eq!(kafka.librdkafka.get("compression.type").map(String::as_str), Some("lz4"));
    assert_eq!(config.admin, Some(([127, 0, 0, 1], 9464).into()));
}

#[test]
fn the_example_for_the_emulator_is_read() {
    let config = Config::load(&examples().join("emulator.toml"), &Env::new(|_| None), Purpose::Service);
    assert!(config.unwrap_or_else(|error| panic!("{error}")).graph.base_url.is_loopback());
}

#[cfg(feature = "kafka")]
#[test]
fn librdkafka_keys_may_have_bare_dots_and_values_of_any_scalar_type() {
    let keys = "[sink.k]\ntype = \"kafka\"\nbootstrap_servers = \"a:1\"\ntopic = \"t\"\n[sink.k.librdkafka]\nlinger.ms = 7\n\"socket.keepalive.enable\" = false\n";
    let config = read(&format!("{GOOD}{keys}")).expect("valid");
    let SinkKind::Kafka(kafka) = &config.sinks[1].kind else { panic!("not kafka") };
    let keys: Vec<_> = kafka.librdkafka.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
    assert_eq!(keys, [("linger.ms", "7"), ("socket.keepalive.enable", "false")]);
}

#[cfg(feature = "redis")]
#[test]
fn a_redis_password_can_stay_out_of_the_file_and_is_never_printed() {
    let sink = "[sink.r]\ntype = \"redis\"\nurl = \"redis://h:1?channel=c\"\nusername = \"u\"\npassword = { env = \"REDIS_PASSWORD\" }\n";
    let config = read(&format!("{GOOD}{sink}")).expect("valid");
    let SinkKind::Redis(redis) = &config.sinks[1].kind else { panic!("not redis") };
    assert!(redis.password.is_some());
    assert_eq!(redis.channel, "c");
    assert!(!format!("{config:?}").contains("hunter2"));
}

#[test]
fn every_mistake_is_said_with_its_place() {
    // Appended to GOOD, whose last line is 7: the first line of a case is 8.
    let wrong = RefCell::new(Vec::new());
    let check = |text: &str, want: &[&str]| {
        let error = read(&format!("{GOOD}{text}")).expect_err(text);
        if error.lines().collect::<Vec<_>>() != want {
            wrong.borrow_mut().push(format!("{text}says {error}\nnot  {}", want.join("\n")));
        }
    };
    // Unknown keys.
    check("[grap]\n", &["d.toml:8:2: unknown key \"grap\" in the file: did you mean \"graph\"?"]);
    check("[graph]\nclod = \"x\"\n", &["d.toml:9:1: unknown key \"clod\" in [graph]: did you mean \"cloud\"?"]);
    check(
        "[graph]\nzzz = 1\n",
        &["d.toml:9:1: unknown key \"zzz\" in [graph]: it takes cloud, base_url, login_url, user_agent, notification_hosts"],
    );
    check(
        "[network]\nbackof_max = \"1s\"\n",
        &["d.toml:9:1: unknown key \"backof_max\" in [network]: did you mean \"backoff_max\"?"],
    );
    check("[sink.a]\ntype = \"stdio\"\n", &["d.toml:9:8: type is \"stdio\", which is none of: stdout, kafka, redis"]);
    check("[sink.a]\ntopic = \"t\"\n", &["d.toml:8:7: [sink.a] has no type: write type = \"stdout\", \"kafka\" or \"redis\""]);
    // Twice.
    check("[sink.console]\ntype = \"stdout\"\n", &["d.toml:8:7: console is there twice"]);
    check("[sink.more]\ntype = \"stdout\"\n", &["d.toml:8:7: [sink.console] writes to standard output already"]);
    check("[[subscription]]\nresource = \"me\"\n", &["d.toml:9:12: me is there twice in the account \"default\""]);
    check(
        "[[subscription]]\nresource = \"/me/drive/root/subscriptions/socketIo\"\n",
        &["d.toml:9:12: me is there twice in the account \"default\""],
    );
    // Accounts and tokens.
    check(
        "[[subscription]]\nresource = \"group:g\"\naccount = \"wrok\"\n",
        &["d.toml:10:11: there is no account \"wrok\": add [account.wrok] with token = { env = \"DRIVETAP_TOKEN\" }"],
    );
    check(
        "[account.b]\n",
        &[
            "d.toml:8:10: [account.b] has no token: write token = { login = \"default\" }, { env = \"DRIVETAP_TOKEN\" }, { file = \"…\" } or { command = [\"…\"] }",
        ],
    );
    check(
        "[account.b]\ntoken = { login = \"a b\" }\n",
        &["d.toml:9:19: login: account name \"a b\": use 1 to 64 of letters, digits, '-', '_' and '.', and no dot in front"],
    );
    check(
        "[account.b]\ntoken = {}\n",
        &[
            "d.toml:9:9: a token has no source: write login = \"default\", env = \"DRIVETAP_TOKEN\", file = \"…\" or command = [\"…\"]",
        ],
    );
    check(
        "[account.b]\ntoken = { env = \"A\", file = \"b\" }\n",
        &["d.toml:9:9: a token has one source: login, env, file or command"],
    );
    check("[account.b]\ntoken = { env = \"\" }\n", &["d.toml:9:17: env is empty: write the variable's name"]);
    check("[account.b]\ntoken = { env = 1 }\n", &["d.toml:9:17: env must be a string, and this is a whole number"]);
    check(
        "[account.b]\ntoken = { enw = \"T\" }\n",
        &[
            "d.toml:9:9: a token has no source: write login = \"default\", env = \"DRIVETAP_TOKEN\", file = \"…\" or command = [\"…\"]",
            "d.toml:9:11: unknown key \"enw\" in token of [account.b]: did you mean \"env\"?",
        ],
    );
    check(
        "[account.b]\ntoken = { command = [] }\n",
        &["d.toml:9:9: command is empty: write the program and its arguments, [\"az\", \"account\", \"get-access-token\"]"],
    );
    check(
        "[account.\"a b\"]\ntoken = { env = \"T\" }\n",
        &["d.toml:8:10: account name \"a b\": use 1 to 64 of letters, digits, '-', '_' and '.', and no dot in front"],
    );
    // Graph.
    check(
        "[graph]\ncloud = \"global\"\nbase_url = \"https://g.example/v1.0\"\n",
        &["d.toml:10:12: cloud and base_url are both given: one of them says where Graph is"],
    );
    check("[graph]\ncloud = \"moon\"\n", &["d.toml:9:9: cloud \"moon\" is none of: global, us-gov-l4, us-gov-l5, china"]);
    check(
        "[graph]\nbase_url = \"http://graph.example/v1.0\"\n",
        &["d.toml:9:12: base_url is http on graph.example: a token goes over https, or over http to a loopback address only"],
    );
    check(
        "[graph]\nnotification_hosts = [\"*.svc.ms\", \"*\"]\n",
        &["d.toml:9:35: notification host \"*\": write a host name of at least two labels, or `*.` in front of one"],
    );
    let none = "d.toml:8:1: notification_hosts is empty: write [\"*.svc.ms\"], or leave it out";
    check("[graph]\nnotification_hosts = []\n", &[none]);
    check("[graph]\nuser_agent = \"ä\"\n", &["d.toml:9:14: user_agent is not a header value: use visible ASCII"]);
    // Values.
    check(
        "[shutdown]\ndeadline = \"30\"\n",
        &["d.toml:9:12: deadline is \"30\", which is no duration: write a number and a unit, like \"30s\" or \"5m\""],
    );
    check("[shutdown]\ndeadline = 30\n", &["d.toml:9:12: deadline must be a string, and this is a whole number"]);
    check("[network]\nopen_timeout = \"0s\"\n", &["d.toml:9:16: open_timeout must be above zero"]);
    check(
        "[network]\nbackoff_min = \"2m\"\n",
        &["d.toml:9:15: a back-off from 120s to 60s: the minimum must be above zero and at most the maximum"],
    );
    let requests = "[account.b]\ntoken = { env = \"T\" }\nrequests_in_5_min = 9\n";
    check(requests, &["d.toml:10:21: requests_in_5_min must be between 10 and 1000000"]);
    check("[network]\nmax_sessions = 0\n", &["d.toml:9:16: max_sessions must be between 1 and 65536"]);
    check(
        "[network]\ntransport = \"polling\"\n",
        &["d.toml:9:13: transport is \"polling\", which is none of: native, rust-socketio"],
    );
    check(
        "[network]\nproxy = \"socks5://u:hunter2@p:1\"\n",
        &["d.toml:9:9: the proxy has the scheme \"socks5\": only http and https proxies are spoken to"],
    );
    check(
        "[network]\nca_file = \"none.pem\"\n",
        &["d.toml:9:11: ca_file: /etc/drivetap/none.pem cannot be read: No such file or directory (os error 2)"],
    );
    check("[admin]\nlisten = \"9464\"\n", &["d.toml:9:10: listen: invalid socket address syntax"]);
    check("[log]\nlevel = \"loud\"\n", &["d.toml:9:9: level is \"loud\", which is none of: error, warn, info, debug, trace"]);
    check("[state]\n", &["d.toml:8:1: [state] has no path: write path = \"drivetap.redb\""]);
    check(
        "[delta]\nlag_retries = [\"2s\", \"x\"]\n",
        &["d.toml:9:22: lag_retries is \"x\", which is no duration: write a number and a unit, like \"30s\" or \"5m\""],
    );
    // Subscriptions.
    check(
        "[[subscription]]\nresource = \"notes\"\n",
        &[
            "d.toml:9:12: resource: \"notes\" is none of: me, drive:{driveId}, drive-list:{driveId}, group:{groupId}, site:{siteId}/list:{listId}, or Graph's path to their subscriptions/socketIo",
        ],
    );
    check(
        "[[subscription]]\naccount = \"default\"\n",
        &["d.toml:8:1: [[subscription]] has no resource: write resource = \"me\""],
    );
    check(
        "[[subscription]]\nresource = \"group:g\"\nemit = [\"signal\"]\n",
        &["d.toml:10:9: emit has \"signal\", which is none of: signals, changes"],
    );
    check(
        "[[subscription]]\nresource = \"group:g\"\nemit = []\n",
        &["d.toml:8:1: emit is empty, so nothing would be published: write [\"signals\", \"changes\"] or one of them"],
    );
    check(
        "[[subscription]]\nresource = \"group:g\"\nstart = \"now\"\n",
        &["d.toml:10:9: start is \"now\", which is none of: latest, beginning"],
    );
    // Twice: one mistake, said once.
    check("[log]\nlevel = \"info\"\n\n  [log]\n  level = \"warn\"\n", &["d.toml:11:4: log is there twice"]);
    check(
        "[sink.console]\ntype = \"stdout\"\nformat = \"json\"\n[log]\nlevel = \"info\"\nlevel = \"warn\"\n",
        &["d.toml:8:7: console is there twice", "d.toml:13:1: level is there twice"],
    );
    // Not TOML at all.
    check("[log\n", &["d.toml:8:5: not TOML: unclosed table, expected `]`"]);
    assert_eq!(wrong.take().join("\n\n"), "");
}

#[cfg(all(feature = "kafka", feature = "redis"))]
#[test]
fn every_mistake_in_a_sink_is_said_with_its_place() {
    let wrong = RefCell::new(Vec::new());
    let check = |text: &str, want: &[&str]| {
        let error = read(&format!("{GOOD}{text}")).expect_err(text);
        if error.lines().collect::<Vec<_>>() != want {
            wrong.borrow_mut().push(format!("{text}says {error}\nnot  {}", want.join("\n")));
        }
    };
    let kafka = "[sink.k]\ntype = \"kafka\"\nbootstrap_servers = \"a:1\"\ntopic = \"t\"\n";
    check(
        "[sink.k]\ntype = \"kafka\"\ntopic = \"t\"\n",
        &["d.toml:8:7: [sink.k] has no bootstrap_servers: write bootstrap_servers = \"localhost:9092\""],
    );
    check(&format!("{kafka}[sink.k.librdkafka]\n\"linger\" = 1\n"), &["d.toml:13:1: librdkafka has no key `linger`"]);
    check(&format!("{kafka}mod = \"x\"\n"), &["d.toml:12:1: unknown key \"mod\" in [sink.k]: did you mean \"mode\"?"]);
    check(&format!("{kafka}role = \"best\"\n"), &["d.toml:12:8: role is \"best\", which is none of: durable, live"]);
    check(&format!("{kafka}window = 0\n"), &["d.toml:12:10: window must be between 1 and 1073741824"]);
    check(
        &format!("{kafka}dead_letter = {{ topic = \"t\" }}\n"),
        &["d.toml:12:25: dead_letter topic `t` is the topic that refused the event: name another one"],
    );
    check(
        &format!("{kafka}dead_letter = {{ topic = \"d d\" }}\n"),
        &[
            "d.toml:12:25: dead_letter topic `d d` is not a name that Kafka takes: 1 to 249 of a-z A-Z 0-9 . _ -, and neither `.` nor `..`",
        ],
    );
    check(
        &format!("{kafka}dead_letter = {{ topic = \"dead\", file = \"dead.jsonl\" }}\n"),
        &["d.toml:12:25: dead_letter: either topic or file"],
    );
    check(
        &format!("{kafka}dead_letter = {{ topic = \"dead\", max_bytes = 9 }}\n"),
        &["d.toml:12:45: max_bytes is for a file; the topic's own settings bound it"],
    );
    check(
        "[sink.r]\ntype = \"redis\"\nurl = \"redis://h:1\"\nchannel = \"c\"\ndead_letter = { topic = \"dead\" }\n",
        &["d.toml:12:25: dead_letter: a topic is for type = \"kafka\"; here it is file = \"dead-letters.jsonl\""],
    );
    check(
        &format!("{kafka}dead_letter = {{ max_bytes = 1 }}\n"),
        &["d.toml:12:15: dead_letter of [sink.k] has no file: write file = \"dead-letters.jsonl\""],
    );
    check(
        "[sink.r]\ntype = \"redis\"\nurl = \"redis://:hunter2@h:1\"\n",
        &["d.toml:8:7: [sink.r] has no channel: write channel = \"drive-events\""],
    );
    check(
        "[sink.r]\ntype = \"redis\"\nurl = \"http://:hunter2@h:1\"\nchannel = \"c\"\n",
        &["d.toml:10:7: url: the scheme is redis:// or, for TLS, rediss://"],
    );
    check(
        "[sink.r]\ntype = \"redis\"\nurl = \"redis://h:1\"\nchannel = \"c\"\npassword = { env = \"NOT_SET\" }\n",
        &["d.toml:12:20: password: the environment variable NOT_SET is not set"],
    );
    // What the rest of a section lacks does not wait until its first mistake is mended.
    check(
        "[sink.r]\ntype = \"redis\"\nurl = \"http://:hunter2@h:1\"\n",
        &[
            "d.toml:8:7: [sink.r] has no channel: write channel = \"drive-events\"",
            "d.toml:10:7: url: the scheme is redis:// or, for TLS, rediss://",
        ],
    );
    check(
        "[sink.r]\ntype = \"redis\"\nurl = \"http://h:1?channel=c\"\n",
        &["d.toml:10:7: url: the scheme is redis:// or, for TLS, rediss://"],
    );
    check(
        "[sink.r]\ntype = \"redis\"\nchannel = \"\"\n",
        &["d.toml:8:7: [sink.r] has no url: write url = \"redis://127.0.0.1:6379\"", "d.toml:10:11: channel is empty"],
    );
    check(
        "[sink.k]\ntype = \"kafka\"\ntopic = \"a b\"\n",
        &[
            "d.toml:8:7: [sink.k] has no bootstrap_servers: write bootstrap_servers = \"localhost:9092\"",
            "d.toml:10:9: topic `a b` is not a name that Kafka takes: 1 to 249 of a-z A-Z 0-9 . _ -, and neither `.` nor `..`",
        ],
    );
    check(
        "[sink.\"a b\"]\ntype = \"redis\"\nurl = \"redis://h:1\"\nchannel = \"c\"\n",
        &["d.toml:8:7: sink name \"a b\": use 1 to 64 of letters, digits, '-', '_' and '.', and no dot in front"],
    );
    assert_eq!(wrong.take().join("\n\n"), "");
}

#[test]
fn all_mistakes_are_said_at_once_in_the_order_of_the_file() {
    let error = read("[graph]\nclod = 1\n[shutdown]\ndeadline = 3\n").expect_err("wrong");
    assert_eq!(
        error.lines().collect::<Vec<_>>(),
        [
            "d.toml:2:1: unknown key \"clod\" in [graph]: did you mean \"cloud\"?",
            "d.toml:4:12: deadline must be a string, and this is a whole number",
            "d.toml: there is no subscription, so nothing would be watched: add [[subscription]] with resource = \"me\"",
            "d.toml: there is no sink, so events would go nowhere: add [sink.console] with type = \"stdout\"",
        ]
    );
}

#[test]
fn a_file_that_cannot_be_read_is_named() {
    let dir = tempfile::tempdir().expect("a folder");
    let load =
        |name: &str| Config::load(&dir.path().join(name), &Env::new(|_| None), Purpose::Service).expect_err(name).to_string();
    let at = |name: &str| dir.path().join(name).display().to_string();
    assert_eq!(load("none.toml"), format!("{}: there is no such file", at("none.toml")));
    std::fs::write(dir.path().join("latin.toml"), b"# \xe4\n").expect("written");
    assert_eq!(load("latin.toml"), format!("{}: is not UTF-8 from byte 2 on", at("latin.toml")));
}

#[test]
fn for_a_connection_neither_subscription_nor_sink_is_needed() {
    let text = "[account.a]\ntoken = { env = \"T\" }\n";
    assert!(read(text).is_err());
    let config = Config::parse(text, "d.toml", Path::new(""), &Env::new(|_| None), Purpose::Connection);
    assert_eq!(config.expect("valid").accounts.len(), 1);
}

#[test]
fn the_environments_proxy_is_checked_too() {
    let env = Env::new(|name| (name == "HTTPS_PROXY").then(|| "socks5://p:1".to_owned()));
    let error = Config::parse(GOOD, "d.toml", Path::new(""), &env, Purpose::Service).expect_err("a proxy of another kind");
    assert_eq!(
        error.to_string(),
        "d.toml: HTTPS_PROXY in the environment: the proxy has the scheme \"socks5\": only http and https proxies are spoken to"
    );
}

mod schema {
    use std::collections::BTreeSet;

    use serde_json::Value;

    use super::*;

    fn schema() -> Value {
        serde_json::from_str(SCHEMA).expect("JSON")
    }

    fn check(text: &str) -> (bool, Result<Config, String>) {
        let instance: Value = toml::from_str(text).expect("TOML");
        let validator = jsonschema::draft202012::new(&schema()).expect("a schema");
        (validator.is_valid(&instance), read(text))
    }

    #[test]
    fn what_is_accepted_is_valid() {
        let every_key = std::fs::read_to_string(examples().join("drivetap.toml")).expect("the example");
        let emulator = std::fs::read_to_string(examples().join("emulator.toml")).expect("the example");
        let list =
            "[[subscription]]\nresource = \"site:h,1,2/list:Shared Documents\"\nemit = [\"changes\"]\nstart = \"beginning\"\n";
        let redis = "[sink.r]\ntype = \"redis\"\nurl = \"rediss://u:p@h?channel=c\"\npassword = \"p\"\nrole = \"durable\"\n";
        let kafka = "[sink.k]\ntype = \"kafka\"\nbootstrap_servers = \"a:1\"\ntopic = \"t\"\n[sink.k.librdkafka]\n";
        let secret = "sasl.password = { command = [\"echo\", \"p\"] }\n\"ssl.key.password\" = { env = \"REDIS_PASSWORD\" }\n";
        let kafka = format!("{GOOD}{kafka}{secret}");
        for text in [GOOD.to_owned(), every_key, emulator, format!("{GOOD}{list}"), format!("{GOOD}{redis}"), kafka] {
            let (valid, read) = check(&text);
            assert!(valid, "{text}");
            assert!(read.is_ok(), "{read:?}");
        }
    }

    #[test]
    fn what_is_refused_for_its_shape_is_invalid() {
        for text in [
            "[grap]\n",
            "[graph]\nclod = \"global\"\n",
            "[graph]\ncloud = \"global\"\nbase_url = \"https://g.example/v1.0\"\n",
            "[graph]\nbase_url = \"http://graph.example/v1.0\"\n",
            "[graph]\ncloud = \"moon\"\n",
            "[account.b]\n",
            "[account.b]\ntoken = { env = \"A\" }\nrequests_in_5_min = 9\n",
            "[account.b]\ntoken = { login = \"a b\" }\n",
            "[graph]\nlogin_url = \"http://login.example\"\n",
            "[account.b]\ntoken = { env = \"A\", file = \"b\" }\n",
            "[account.\"a b\"]\ntoken = { env = \"T\" }\n",
            "[[subscription]]\nresource = \"notes\"\n",
            "[[subscription]]\nresource = \"group:g\"\nemit = []\n",
            "[sink.a]\ntype = \"stdio\"\n",
            "[sink.a]\ntype = \"kafka\"\ntopic = \"t\"\n",
            "[sink.a]\ntype = \"redis\"\nurl = \"redis://h\"\n",
            "[sink.a]\ntype = \"redis\"\nurl = \"rediss://h\"\nchannel = \"c\"\ncert_file = \"c.pem\"\n",
            "[sink.a]\ntype = \"redis\"\nurl = \"rediss://h\"\nchannel = \"c\"\nkey_password = \"p\"\n",
            "[sink.a]\ntype = \"redis\"\nurl = \"redis://h\"\nchannel = \"c\"\ntopic = \"t\"\n",
            "[sink.a]\ntype = \"redis\"\nurl = \"redis://h\"\nchannel = \"c\"\ndead_letter = { topic = \"t\" }\n",
            "[shutdown]\ndeadline = 30\n",
            "[network]\nmax_sessions = 0\n",
            "[network]\ntransport = \"polling\"\n",
            "[admin]\nlisten = \"9464\"\n",
            "[log]\nlevel = \"loud\"\n",
            "[state]\n",
        ] {
            let (valid, read) = check(&format!("{GOOD}{text}"));
            assert!(!valid, "{text}");
            assert!(read.is_err(), "{text}");
        }
        for text in ["", "[sink.console]\ntype = \"stdout\"\n", "[[subscription]]\nresource = \"me\"\n"] {
            let (valid, read) = check(text);
            assert!(!valid && read.is_err(), "{text}");
        }
    }

    /// The keys that an error names are those that were asked for: they have to be the schema's.
    #[cfg(all(feature = "stdout", feature = "kafka", feature = "redis"))]
    #[test]
    fn the_schema_names_exactly_the_keys_that_are_read() {
        let schema = schema();
        let keys = |pointer: &str| -> BTreeSet<String> {
            let properties = schema.pointer(pointer).and_then(Value::as_object).unwrap_or_else(|| panic!("{pointer}"));
            properties.keys().cloned().collect()
        };
        let asked_for = |section: &str| -> BTreeSet<String> {
            let error = read(&format!("{GOOD}{section}\n\"????????????????????\" = 1\n")).expect_err(section);
            let (_, all) = error.split_once("it takes ").unwrap_or_else(|| panic!("{error}"));
            all.lines().next().unwrap_or_default().split(", ").map(str::to_owned).collect()
        };
        for section in ["graph", "state", "network", "delta", "admin", "shutdown", "log"] {
            assert_eq!(asked_for(&format!("[{section}]")), keys(&format!("/properties/{section}/properties")), "{section}");
        }
        assert_eq!(asked_for("[[subscription]]\nresource = \"group:g\""), keys("/properties/subscription/items/properties"));
        assert_eq!(asked_for("[account.b]"), keys("/properties/account/additionalProperties/properties"));
        let kafka = "[sink.b]\ntype = \"kafka\"\nbootstrap_servers = \"a:1\"\ntopic = \"t\"";
        let redis = "[sink.b]\ntype = \"redis\"\nurl = \"redis://h\"\nchannel = \"c\"";
        for (name, section) in [("stdout", "[sink.b]\ntype = \"stdout\""), ("kafka", kafka), ("redis", redis)] {
            assert_eq!(asked_for(section), keys(&format!("/$defs/{name}/properties")), "{name}");
        }
        assert_eq!(asked_for("[account.b.token]"), keys("/properties/account/additionalProperties/properties/token/properties"));
        let secrets: BTreeSet<_> = (0..3).flat_map(|n| keys(&format!("/$defs/secret/oneOf/{n}/properties"))).collect();
        assert_eq!(asked_for(&format!("{redis}\n[sink.b.password]")), secrets);
        let mut dead_letter = asked_for("[sink.b]\ntype = \"stdout\"\n[sink.b.dead_letter]");
        assert!(dead_letter.remove("topic"));
        assert_eq!(dead_letter, keys("/$defs/dead_letter/properties"));
        assert_eq!(BTreeSet::from(["topic".to_owned()]), keys("/$defs/dead_letter_topic/properties"));
        let top = {
            let error = read(&format!("\"????????????????????\" = 1\n{GOOD}")).expect_err("unknown");
            error.split_once("it takes ").map(|(_, all)| all.split(", ").map(str::to_owned).collect::<BTreeSet<_>>())
        };
        assert_eq!(top, Some(keys("/properties")));
    }
}
