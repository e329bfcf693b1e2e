//! The readers of `examples/consumers`, on what drivetap really published.

use std::path::PathBuf;

use drivetap_emulator::ME_DRIVE;
use tokio::process::Command;

use crate::support::kafka::{Record, Topic, bootstrap_servers, events};
use crate::support::{CHANGE, Event, Program, SIGNAL, Scene, of_type, redis, service, unique, until};

const FILES: usize = 5;

fn example(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../examples/consumers").join(name)
}

fn all(events: &[Event]) -> bool {
    of_type(events, CHANGE).len() == FILES && of_type(events, SIGNAL).len() == FILES
}

/// The first word of each line: the ids that the reader took.
fn taken(reader: &Program) -> Vec<String> {
    reader.stdout().iter().filter_map(|line| line.split(' ').next().map(ToOwned::to_owned)).collect()
}

fn ids(events: &[Event]) -> Vec<String> {
    events.iter().map(|event| event.id().to_owned()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_python_reader_takes_each_event_of_kafka_once_and_sees_what_is_missing() {
    let scene = Scene::new().await;
    let topic = Topic::new("e2e-python").await;
    let program = scene.run(&format!("[[subscription]]\nresource = \"me\"\n{}", topic.sink("bus")));
    scene.subscribed(1).await;
    scene.me().burst(FILES).unwrap();
    let published = topic.read("every event", |records| all(&events(records))).await;
    program.stop().await.assert(0, &[]);

    let mut python = Command::new(service("/tools/python"));
    python.arg(example("read_kafka.py")).args([bootstrap_servers(), topic.name.clone()]);
    let reader = Program::spawn(python);
    let expected = ids(&events(&published));
    until("each event", || taken(&reader).len() == expected.len()).await;

    // As a crash leaves them: the last three changes again, and behind them news without its predecessor.
    let changes: Vec<Record> = published.into_iter().filter(|record| record.event().is(CHANGE)).collect();
    let mut news = changes[FILES - 1].clone();
    let number = changes[FILES - 1].event().sequence() + 2;
    news.headers.insert("ce_id".to_owned(), unique("news"));
    news.headers.insert("ce_sequence".to_owned(), format!("{number:020}"));
    topic.write(changes[FILES - 3..].iter().cloned().chain([news.clone()]).collect()).await;
    until("the news", || taken(&reader).last() == Some(&news.headers["ce_id"])).await;
    assert_eq!(taken(&reader), [expected, vec![news.headers["ce_id"].clone()]].concat(), "repeats were dropped");
    reader.says("lost: ").await;
    let ended = reader.kill().await;
    assert!(ended.stderr.iter().filter(|line| line.contains("lost: ")).count() == 1, "{ended:#?}");
    assert!(ended.stderr.concat().contains(&format!("goes from {} to {number}", number - 2)), "{ended:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_node_reader_takes_each_event_of_redis_once_and_sees_what_is_missing() {
    let scene = Scene::new().await;
    let channel = unique("e2e-node");
    let mut node = Command::new(service("/tools/node"));
    node.arg(example("read_redis.mjs")).args([redis::url(), channel.clone()]);
    let reader = Program::spawn(node);
    reader.says("listening").await;
    let mut subscriber = redis::Subscriber::on(&channel).await;
    let program = scene.run(&format!("[[subscription]]\nresource = \"me\"\n{}", redis::sink("live", &channel)));
    scene.subscribed(1).await;
    scene.me().burst(FILES).unwrap();
    let published = subscriber.events("every event", all).await;
    program.stop().await.assert(0, &[]);
    let expected = ids(&published);
    until("each event", || taken(&reader).len() == expected.len()).await;

    for message in &subscriber.heard {
        assert_eq!(redis::publish(&channel, message).await, 2);
    }
    let mut news = of_type(&published, CHANGE)[FILES - 1].0.clone();
    let number = Event(news.clone()).sequence() + 2;
    news["id"] = unique("news").into();
    news["sequence"] = format!("{number:020}").into();
    redis::publish(&channel, &news.to_string()).await;
    let last = news["id"].as_str().unwrap().to_owned();
    until("the news", || taken(&reader).last() == Some(&last)).await;
    assert_eq!(taken(&reader), [expected, vec![last]].concat(), "repeats were dropped");
    reader.says("lost: ").await;
    let ended = reader.kill().await;
    assert_eq!(ended.stderr.iter().filter(|line| line.contains("lost: ")).count(), 1, "{ended:#?}");
    assert!(ended.stderr.concat().contains(&format!("{ME_DRIVE} goes from {} to {number}", number - 2)), "{ended:#?}");
}
