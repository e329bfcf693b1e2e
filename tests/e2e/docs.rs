//! Every command of the pages in docs/ that are a task each, run as it stands there.
//!
//! A ```` ```toml ```` block is `drivetap.toml` from there on; each line of a ```` ```sh ```` block is a command, which ends with 0. `run` and
//! `listen` are stopped once they watch. Graph is the emulator, and the addresses of the pages stand for the services' own.

use std::collections::BTreeMap;

use tokio::process::Command;

use crate::support::kafka::{Topic, bootstrap_servers};
use crate::support::{Program, Scene, TOKEN, drivetap, redis, service};

const SERVERS: &str = "localhost:9092";
const REDIS: &str = "redis://127.0.0.1:6379";
const TOPIC: &str = "drive-events";

#[tokio::test(flavor = "multi_thread")]
async fn every_command_of_the_page_on_kafka_runs() {
    let topic = Topic::new("e2e-docs").await;
    page("kafka.md", &[(SERVERS, &bootstrap_servers()), (TOPIC, &topic.name)], 5).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_command_of_the_page_on_redis_runs() {
    page("redis.md", &[(REDIS, &redis::url())], 5).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_command_of_the_pages_without_a_service_runs() {
    page("several-accounts.md", &[], 3).await;
    page("proxies.md", &[], 2).await;
    page("upgrade.md", &[], 6).await;
}

/// Runs a page of so many commands.
async fn page(name: &str, instead: &[(&str, &str)], commands: usize) {
    let path = format!("{}/../docs/{name}", env!("CARGO_MANIFEST_DIR"));
    let text = instead.iter().fold(std::fs::read_to_string(path).unwrap(), |text, (from, to)| text.replace(from, to));
    let scene = Scene::new().await;
    // The certificates of the pages; `secret` is the password of the key.
    std::fs::copy(service("/tls/ca"), scene.path("ca.pem")).unwrap();
    std::fs::copy(service("/tls/client_cert"), scene.path("client.pem")).unwrap();
    std::fs::copy(service("/tls/client_key_encrypted"), scene.path("client.key")).unwrap();
    let mut env = BTreeMap::from([("DRIVETAP_TOKEN".to_owned(), TOKEN.to_owned())]);
    let mut run = 0;
    for (language, block) in blocks(&text) {
        if language == "toml" {
            let graph = format!("[graph]\nbase_url = \"{}\"\n", scene.graph.base_url());
            std::fs::write(scene.path("drivetap.toml"), graph + &block).unwrap();
            continue;
        }
        for line in block.lines().filter(|line| !line.trim().is_empty()) {
            match line.strip_prefix("export ") {
                Some(pairs) => {
                    let pairs = pairs.split(' ').map(|pair| pair.split_once('=').unwrap());
                    let meant =
                        |value: &str| if value == "secret" { service("/tls/client_key_password") } else { value.to_owned() };
                    env.extend(pairs.map(|(name, value)| (name.to_owned(), meant(value))));
                }
                None => {
                    command(&scene, &env, line).await;
                    run += 1;
                }
            }
        }
    }
    assert_eq!(run, commands, "{name}: as many commands as there are");
}

async fn command(scene: &Scene, env: &BTreeMap<String, String>, line: &str) {
    let folder = drivetap().parent().unwrap().display();
    let mut bash = Command::new("bash");
    // `exec`, so that a signal reaches the program.
    let stays = ["drivetap run ", "drivetap listen "].iter().any(|begin| line.starts_with(begin));
    bash.args(["-ec", &format!("{}{line}", if stays { "exec " } else { "" })]);
    bash.env_clear().envs(env).env("PATH", format!("{folder}:/usr/bin:/bin")).current_dir(scene.path(""));
    // What a configuration says, a variable does not.
    if !line.contains(" -c ") {
        bash.env("DRIVETAP_BASE_URL", scene.graph.base_url());
    }
    let program = Program::spawn(bash);
    let ended = if stays {
        scene.subscribed(1).await;
        program.stop().await
    } else {
        program.end().await
    };
    assert_eq!(ended.code, Some(0), "{line}: {ended:#?}");
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
