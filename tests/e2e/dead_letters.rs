//! What a Kafka topic never takes: whole in the topic for dead letters, a stub in its place.

use std::fs;

use serde_json::Value;

use crate::support::kafka::{Topic, events};
use crate::support::{CHANGE, Event, Scene, of_type};

/// The sink takes records of up to so many bytes; a change with a name like this one is larger.
const BOUND: usize = 8_000;

fn large_name(n: usize) -> String {
    format!("{n}-{}.txt", "x".repeat(2 * BOUND))
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_topic_never_takes_is_whole_in_the_topic_for_dead_letters_and_a_stub_in_its_place() {
    let scene = Scene::new().await;
    let (topic, dead) = (Topic::new("e2e-bus").await, Topic::new("e2e-dead").await);
    let program = scene.run(&format!(
        "[state]\npath = \"state.redb\"\n[[subscription]]\nresource = \"me\"\nemit = [\"changes\"]\n{}\
         dead_letter = {{ topic = \"{}\" }}\nlibrdkafka = {{ \"message.max.bytes\" = {BOUND} }}\n",
        topic.sink("bus"),
        dead.name,
    ));
    scene.subscribed(1).await;
    let names = ["before.txt".to_owned(), large_name(1), "between.txt".to_owned(), large_name(2), "after.txt".to_owned()];
    let items = names.each_ref().map(|name| scene.me().create("/", name).unwrap());

    let last = items[4].clone();
    let records = topic.read("the last change", move |records| subjects(&events(records)).contains(&last)).await;
    let letters = dead.read("both letters", |letters| letters.len() >= 2).await;
    let ended = program.stop().await;
    ended.assert(0, &[]);

    let changes = of_type(&events(&records), CHANGE).into_iter().cloned().collect::<Vec<_>>();
    assert_eq!(subjects(&changes), items, "nothing is missing from the fold, and nothing is out of order");
    let truncated: Vec<bool> = changes.iter().map(|event| event.0["data"]["truncated"] == true).collect();
    assert_eq!(truncated, [false, true, false, true, false]);
    assert!(changes.windows(2).all(|pair| pair[1].sequence() == pair[0].sequence() + 1), "the sequence has no hole");

    assert_eq!(letters.len(), 2);
    for (letter, nth) in letters.iter().zip([1, 3]) {
        let whole: Value = serde_json::from_str(&letter.value).unwrap();
        assert_eq!((&whole["sink"], &whole["code"]), (&"bus".into(), &"MSG_SIZE_TOO_LARGE".into()));
        assert_eq!(whole["event"]["data"]["item"]["name"], names[nth].as_str());
        assert_eq!(whole["event"]["id"], changes[nth].id(), "the letter and its stub are one event");
        assert_eq!(letter.headers["dead_letter_event_id"], changes[nth].id());
        assert_eq!(letter.headers["dead_letter_topic"], topic.name);
        assert_eq!(letter.key, records[0].key);
    }
    let counts = ended.sink("bus");
    assert_eq!((counts["delivered"], counts["dead_lettered"], counts["abandoned"]), (3, 2, 0));
    assert!(!scene.path("state.redb.bus.dead-letters.jsonl").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_letter_too_large_for_its_topic_goes_beside_the_state_and_a_missing_topic_is_said_before_the_first() {
    let scene = Scene::new().await;
    let topic = Topic::new("e2e-bus").await;
    let missing = crate::support::unique("e2e-no-dead");
    let program = scene.run(&format!(
        "[state]\npath = \"state.redb\"\n[[subscription]]\nresource = \"me\"\nemit = [\"changes\"]\n{}\
         dead_letter = {{ topic = \"{missing}\" }}\nlibrdkafka = {{ \"message.max.bytes\" = {BOUND}, \"compression.type\" = \"none\" }}\n",
        topic.sink("bus"),
    ));
    scene.subscribed(1).await;
    program.says(&format!("--create --topic {missing}")).await;
    let item = scene.me().create("/", &large_name(1)).unwrap();
    program.says("cannot be kept").await;

    let _dead = Topic::with(&missing, &[("max.message.bytes", "8000")]).await;
    let awaited = item.clone();
    let records = topic.read("the stub", move |records| subjects(&events(records)).contains(&awaited)).await;
    let ended = program.stop().await;
    ended.assert(0, &[]);

    assert_eq!(events(&records)[0].0["data"]["truncated"], true);
    let file = fs::read_to_string(scene.path("state.redb.bus.dead-letters.jsonl")).unwrap();
    let letter: Value = serde_json::from_str(file.trim_end()).unwrap();
    assert_eq!(letter["event"]["subject"], item);
    assert_eq!(letter["event"]["data"]["item"]["name"], large_name(1));
    assert_eq!((ended.sink("bus")["delivered"], ended.sink("bus")["dead_lettered"]), (0, 1));
}

fn subjects(events: &[Event]) -> Vec<String> {
    of_type(events, CHANGE).into_iter().map(|event| event.text("subject").to_owned()).collect()
}
