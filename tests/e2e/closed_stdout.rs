//! `drivetap … >&-`: a standard output that was closed before the program began.

use std::time::Duration;

use tokio::process::Command;

use crate::support::kafka::{Topic, events};
use crate::support::{CHANGE, Event, Program, Scene, TOKEN, config, drivetap, of_type};

const ME: &str = "[state]\npath = \"drivetap.redb\"\n[[subscription]]\nresource = \"me\"\n[sink.console]\ntype = \"stdout\"\n";

#[tokio::test(flavor = "multi_thread")]
async fn alone_it_holds_the_feed_and_a_restart_brings_what_was_held() {
    let scene = Scene::new().await;
    let mut program = with_stdout(">&-", &scene, ME);
    scene.subscribed(1).await;
    scene.me().create("/", "Held.txt").unwrap();
    program.says("standard output is closed").await;
    program.assert_stays(Duration::from_millis(500)).await;
    let ended = program.stop().await;
    ended.assert(0, &[]);
    assert_eq!(ended.drained()["delivered"], 0, "{ended:#?}");

    let program = scene.run(ME);
    program.events("what was held", |events| names(events).contains(&"Held.txt".to_owned())).await;
    program.stop().await.assert(0, &[]);
}

#[tokio::test(flavor = "multi_thread")]
async fn beside_another_durable_sink_it_leaves_the_cursor_to_that_one() {
    let scene = Scene::new().await;
    let topic = Topic::new("e2e-closed-stdout").await;
    let toml = format!("{ME}{}", topic.sink("bus"));
    let program = with_stdout(">&-", &scene, &toml);
    scene.subscribed(1).await;
    scene.me().create("/", "To Kafka only.txt").unwrap();
    topic.read("the change", |records| names(&events(records)).contains(&"To Kafka only.txt".to_owned())).await;
    let ended = program.stop().await;
    ended.assert(0, &["the cursor follows the other sinks"]);
    assert_eq!(ended.sink("console")["delivered"], 0, "{ended:#?}");

    let program = scene.run(&toml);
    scene.subscribed(1).await;
    scene.me().create("/", "To both.txt").unwrap();
    let events = program.events("the next change", |events| names(events).contains(&"To both.txt".to_owned())).await;
    assert!(!names(&events).contains(&"To Kafka only.txt".to_owned()), "the cursor had not moved: {events:#?}");
    program.stop().await.assert(0, &[]);
}

#[tokio::test(flavor = "multi_thread")]
async fn listen_and_demo_end_quietly_with_0() {
    let scene = Scene::new().await;
    let base_url = scene.graph.base_url();
    for args in [&["listen", "me", "--base-url", &base_url][..], &["demo", "--for", "10m"]] {
        let ended = shell(">&-", args).end().await;
        ended.assert(0, &[]);
        assert!(!ended.stderr.iter().any(|line| ["ERROR", "WARN", "panic"].iter().any(|word| line.contains(word))), "{ended:#?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_sent_to_dev_null_on_purpose_is_delivered() {
    let scene = Scene::new().await;
    let program = with_stdout(">/dev/null", &scene, ME);
    scene.subscribed(1).await;
    scene.me().create("/", "Thrown away.txt").unwrap();
    scene.me().signal(1);
    tokio::time::sleep(Duration::from_secs(2)).await;
    let ended = program.stop().await;
    ended.assert(0, &[]);
    assert!(ended.drained()["delivered"] >= 2, "{ended:#?}");
}

fn names(events: &[Event]) -> Vec<String> {
    of_type(events, CHANGE).iter().map(|event| event.item_name().to_owned()).collect()
}

fn with_stdout(redirection: &str, scene: &Scene, toml: &str) -> Program {
    let file = scene.path("drivetap.toml");
    std::fs::write(&file, config(&scene.graph.base_url(), toml)).unwrap();
    shell(redirection, &["run", "-c", file.to_str().unwrap()])
}

/// Only a shell, or what is unsafe, closes a stream before a program begins.
fn shell(redirection: &str, args: &[&str]) -> Program {
    let mut command = Command::new("/bin/sh");
    command.args(["-c", &format!("exec \"$0\" \"$@\" {redirection}")]).arg(drivetap()).args(args);
    command.env_clear().env("DRIVETAP_TOKEN", TOKEN);
    Program::spawn(command)
}
