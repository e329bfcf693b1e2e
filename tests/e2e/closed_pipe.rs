//! `drivetap … | head -1`: what a reader that goes away leaves.

use std::time::Duration;

use crate::support::kafka::{Topic, events};
use crate::support::{CHANGE, Event, Program, Scene, TOKEN, config, of_type};

const ENV: [(&str, &str); 1] = [("DRIVETAP_TOKEN", TOKEN)];

#[tokio::test(flavor = "multi_thread")]
async fn listen_ends_quietly_with_0() {
    let scene = Scene::new().await;
    let base_url = scene.graph.base_url();
    let args = ["listen", "me", "--base-url", &base_url];
    let (program, ()) = tokio::join!(Program::with_an_impatient_reader(args, &ENV), a_first_change(&scene));
    let ended = tokio::select! {
        ended = program.end() => ended,
        () = changes_for_ever(&scene) => unreachable!("it never ends"),
    };
    ended.assert(0, &[]);
    assert!(!ended.stderr.iter().any(|line| line.contains("ERROR") || line.contains("panic")), "{ended:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn demo_ends_quietly_with_0() {
    let program = Program::with_an_impatient_reader(["demo", "--for", "10m"], &[]).await;
    let ended = program.end().await;
    ended.assert(0, &[]);
    assert!(!ended.stderr.iter().any(|line| line.contains("ERROR") || line.contains("panic")), "{ended:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn run_stays_says_so_and_serves_its_other_sinks() {
    let scene = Scene::new().await;
    let topic = Topic::new("e2e-closed").await;
    let file = scene.path("drivetap.toml");
    let rest = format!(
        "[state]\npath = \"drivetap.redb\"\n[[subscription]]\nresource = \"me\"\n[sink.console]\ntype = \"stdout\"\n{}",
        topic.sink("bus")
    );
    std::fs::write(&file, config(&scene.graph.base_url(), &rest)).unwrap();
    let args = ["run", "-c", file.to_str().unwrap()];
    let (mut program, ()) = tokio::join!(Program::with_an_impatient_reader(args, &ENV), a_first_change(&scene));

    scene.me().create("/", "Nobody reads this.txt").unwrap();
    program.says("standard output").await;
    program.assert_stays(Duration::from_millis(500)).await;
    scene.me().create("/", "Kafka has it.txt").unwrap();
    let there = |events: &[Event]| of_type(events, CHANGE).iter().any(|event| event.item_name() == "Kafka has it.txt");
    topic.read("the change after the pipe closed", move |records| there(&events(records))).await;
    let asked = std::time::Instant::now();
    let ended = program.stop().await;
    ended.assert(0, &["the cursor follows the other sinks"]);
    assert!(asked.elapsed() < Duration::from_secs(20), "{:?}", asked.elapsed());
    assert!(ended.sink("console")["abandoned"] >= 2 && ended.sink("bus")["abandoned"] == 0, "{ended:#?}");

    // The cursor went on with Kafka: a restart does not tell it again.
    let program = scene.run(&rest);
    scene.subscribed(1).await;
    scene.me().create("/", "The next line.txt").unwrap();
    let named = |events: &[Event], name: &str| of_type(events, CHANGE).iter().any(|event| event.item_name() == name);
    let events = program.events("the next change", |events| named(events, "The next line.txt")).await;
    assert!(!named(&events, "Kafka has it.txt"), "{events:#?}");
    program.stop().await.assert(0, &[]);
}

/// The first change, as soon as somebody listens.
async fn a_first_change(scene: &Scene) {
    scene.subscribed(1).await;
    scene.me().create("/", "The first line.txt").unwrap();
}

async fn changes_for_ever(scene: &Scene) {
    loop {
        scene.me().update("/Notes.md").unwrap();
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}
