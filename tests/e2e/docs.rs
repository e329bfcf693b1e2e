//! Every command of README.md and of the pages in docs/ that are a task each, run as it stands there.
//!
//! A ```` ```toml ```` block is `drivetap.toml` from there on, and before it where it is the page's first; each line of a ```` ```sh ```` block
//! is a command, which ends with 0. `run` and `listen` are stopped once they watch, and whoever has to sign in does. Graph is the emulator, and
//! the addresses of the pages stand for the services' own. What stands in a sentence or in a table is parsed by the program.

use std::collections::BTreeMap;

use drivetap_emulator::ME_DRIVE;
use drivetap_tests::free_port;
use tokio::process::Command;

use crate::support::kafka::{Topic, bootstrap_servers};
use crate::support::{Ended, Program, Scene, TOKEN, browse, drivetap, redis, service, type_in, until};

const SERVERS: &str = "localhost:9092";
const REDIS: &str = "redis://127.0.0.1:6379";
const TOPIC: &str = "drive-events";
const EMULATOR: &str = "127.0.0.1:4010";

/// What cannot run here, by how the command begins, and where it does run or what it needs.
const NOT_RUN: [(&str, &str); 4] = [
    ("az ", "the Azure CLI and a directory: the page says so beside it"),
    ("cargo demo", "`cargo xtask ci` runs it"),
    ("cargo xtask test", "it is what runs this"),
    ("cargo install ", "it builds the program that the tests run"),
];

const PAGES: [&str; 7] = [
    "README.md",
    "docs/sign-in.md",
    "docs/kafka.md",
    "docs/redis.md",
    "docs/several-accounts.md",
    "docs/proxies.md",
    "docs/upgrade.md",
];

/// What a sentence leaves to the reader, where the program takes not just any text.
const PLACES: [(&str, &str); 5] = [
    ("RESOURCE", "me"),
    ("WHERE", "file"),
    ("CLOUD", "global"),
    ("--login-url URL", "--login-url http://127.0.0.1:4010"),
    (" URL", " http://127.0.0.1:4010/v1.0"),
];

#[tokio::test(flavor = "multi_thread")]
async fn every_command_of_the_readme_runs() {
    let topic = Topic::new("e2e-docs").await;
    let instead =
        [(SERVERS, &*bootstrap_servers()), (TOPIC, &topic.name), ("b!abc", ME_DRIVE), ("DRIVETAP_TOKEN=…", "DRIVETAP_TOKEN=t")];
    page("README.md", &instead, 7, 3).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_command_of_the_page_on_signing_in_runs() {
    let address = format!("127.0.0.1:{}", free_port());
    page("docs/sign-in.md", &[(EMULATOR, &address)], 7, 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_command_of_the_page_on_kafka_runs() {
    let topic = Topic::new("e2e-docs").await;
    page("docs/kafka.md", &[(SERVERS, &bootstrap_servers()), (TOPIC, &topic.name)], 5, 0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_command_of_the_page_on_redis_runs() {
    page("docs/redis.md", &[(REDIS, &redis::url())], 5, 0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_command_of_the_pages_without_a_service_runs() {
    page("docs/several-accounts.md", &[], 3, 0).await;
    page("docs/proxies.md", &[], 2, 0).await;
    page("docs/upgrade.md", &[], 6, 0).await;
}

/// `drivetap listen me` in a sentence, `--account NAME` in the table of the page on signing in: the program knows command and flags.
#[tokio::test(flavor = "multi_thread")]
async fn every_command_in_a_sentence_or_a_table_is_one() {
    let mut understood = 0;
    for name in PAGES {
        for span in code_spans(&text(name)) {
            let line = match span {
                span if span.starts_with("drivetap ") => span.to_owned(),
                span if !span.starts_with("--") || name != "docs/sign-in.md" => continue,
                // A flag by its name.
                span if !span.contains(' ') => {
                    let help = bash("drivetap login --help", &BTreeMap::new()).end().await;
                    assert!(help.stdout.iter().any(|line| line.contains(span)), "{name}: {span}: {help:#?}");
                    continue;
                }
                span => format!("drivetap login {span}"),
            };
            let line = PLACES.iter().fold(line, |line, (place, value)| line.replace(place, value));
            let ended = bash(&format!("{line} --help"), &BTreeMap::new()).end().await;
            assert_eq!(ended.code, Some(0), "{name}: {line}: {ended:#?}");
            understood += 1;
        }
    }
    assert!(understood >= 20, "as many as there are: {understood}");
}

/// Runs a page of so many commands, beside so many that do not run here.
async fn page(name: &str, instead: &[(&str, &str)], commands: usize, not_run: usize) {
    let text = instead.iter().fold(text(name), |text, (from, to)| text.replace(from, to));
    let scene = Scene::new().await;
    scene.graph.switch(|switches| switches.device_interval_s = 1);
    // The files that the pages name; `secret` is the password of the key.
    std::fs::copy(service("/tls/ca"), scene.path("ca.pem")).unwrap();
    std::fs::copy(service("/tls/client_cert"), scene.path("client.pem")).unwrap();
    std::fs::copy(service("/tls/client_key_encrypted"), scene.path("client.key")).unwrap();
    std::fs::write(scene.path("token"), TOKEN).unwrap();
    let blocks = blocks(&text);
    let configure = |block: &str| {
        let graph = format!("[graph]\nbase_url = \"{}\"\n", scene.graph.base_url());
        std::fs::write(scene.path("drivetap.toml"), graph + block).unwrap();
    };
    blocks.iter().find(|(language, _)| *language == "toml").iter().for_each(|(_, block)| configure(block));

    let mut env = BTreeMap::from([("DRIVETAP_TOKEN".to_owned(), TOKEN.to_owned())]);
    env.insert("DRIVETAP_LOGIN_DIR".to_owned(), scene.path("logins").display().to_string());
    let (mut run, mut left_out, mut background) = (0, 0, Vec::new());
    for (language, block) in &blocks {
        if *language == "toml" {
            configure(block);
            continue;
        }
        // A command may go on in the next line.
        for line in block.replace("\\\n", " ").lines().filter(|line| !line.trim().is_empty() && !line.starts_with('#')) {
            if NOT_RUN.iter().any(|(begin, _)| line.starts_with(begin)) {
                left_out += 1;
            } else if let Some(pairs) = line.strip_prefix("export ") {
                let pairs = pairs.split(" #").next().unwrap_or_default();
                let meant = |value: &str| if value == "secret" { service("/tls/client_key_password") } else { value.to_owned() };
                let pairs = pairs.trim().split(' ').map(|pair| pair.split_once('=').unwrap());
                env.extend(pairs.map(|(name, value)| (name.to_owned(), meant(value))));
            } else if let Some(line) = line.strip_suffix(" &") {
                let address = instead.iter().find(|(from, _)| *from == EMULATOR).unwrap().1;
                env.insert("DRIVETAP_EMULATOR_LISTEN".to_owned(), address.to_owned());
                background.push(bash(&format!("exec {line}"), &env));
                let listens = || std::net::TcpStream::connect(address).is_ok();
                until("the emulator listens", listens).await;
                // Who signs in here has no token.
                env.remove("DRIVETAP_TOKEN");
                run += 1;
            } else {
                let ended = command(&scene, &env, line).await;
                assert_eq!(ended.code, Some(0), "{line}: {ended:#?}");
                run += 1;
            }
        }
    }
    for program in background {
        program.stop().await.assert(0, &[]);
    }
    assert_eq!((run, left_out), (commands, not_run), "{name}: as many commands as there are, and as many that are not run");
}

async fn command(scene: &Scene, env: &BTreeMap<String, String>, line: &str) -> Ended {
    // `exec`, so that a signal reaches the program.
    let stays = ["drivetap run ", "drivetap listen "].iter().any(|begin| line.starts_with(begin));
    let line = format!("cd {} && {}{line}", scene.path("").display(), if stays { "exec " } else { "" });
    let mut env = env.clone();
    // What a configuration or a flag says, a variable does not.
    if ![" -c ", " --base-url "].iter().any(|flag| line.contains(flag)) {
        env.insert("DRIVETAP_BASE_URL".to_owned(), scene.graph.base_url());
    }
    let program = bash(&line, &env);
    if line.contains("drivetap login --browser") {
        program.says("/authorize?").await;
        let page = program.stderr().into_iter().find(|line| line.contains("/authorize?")).unwrap();
        browse(&page).await;
    } else if line.contains("drivetap login") {
        program.says("enter the code ").await;
        type_in(&program.stderr().join("\n")).await;
    }
    if stays {
        program.says(if line.contains("drivetap listen ") { "Ready. " } else { "the session is open" }).await;
        program.stop().await
    } else {
        program.end().await
    }
}

/// A line for a shell in which `drivetap` is the program under test.
fn bash(line: &str, env: &BTreeMap<String, String>) -> Program {
    let folder = drivetap().parent().unwrap().display();
    let mut bash = Command::new("bash");
    bash.args(["-ec", line]).env_clear().envs(env).env("PATH", format!("{folder}:/usr/bin:/bin"));
    Program::spawn(bash)
}

fn text(name: &str) -> String {
    std::fs::read_to_string(format!("{}/../{name}", env!("CARGO_MANIFEST_DIR"))).unwrap()
}

/// The fenced blocks in TOML and for a shell.
fn blocks(page: &str) -> Vec<(&str, String)> {
    let mut blocks = Vec::new();
    let mut open: Option<(&str, String)> = None;
    for line in page.lines() {
        match (line.strip_prefix("```"), open.as_mut()) {
            (Some(language), None) => open = Some((language, String::new())),
            (Some(_), Some(_)) => blocks.extend(open.take()),
            (None, Some((_, block))) => *block += &format!("{line}\n"),
            (None, None) => {}
        }
    }
    blocks.retain(|(language, _)| ["toml", "sh"].contains(language));
    blocks
}

/// What stands between single backticks outside of the fenced blocks.
fn code_spans(page: &str) -> Vec<&str> {
    let mut fenced = false;
    let mut spans = Vec::new();
    for line in page.lines() {
        if line.starts_with("```") {
            fenced = !fenced;
        } else if !fenced {
            spans.extend(line.split('`').skip(1).step_by(2));
        }
    }
    spans
}
