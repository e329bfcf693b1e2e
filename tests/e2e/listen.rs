//! `drivetap listen` and `drivetap emulator`: one person, two terminals.

use crate::support::kafka::{Topic, bootstrap_servers, events};
use crate::support::{CHANGE, Event, Program, SIGNAL, Scene, TOKEN, assert_valid, of_type, redis, unique};

fn both(events: &[Event]) -> bool {
    !of_type(events, SIGNAL).is_empty() && !of_type(events, CHANGE).is_empty()
}

#[tokio::test(flavor = "multi_thread")]
async fn in_two_terminals_the_emulator_makes_changes_and_listen_prints_them() {
    let emulator = Program::drivetap(["emulator", "--listen", "127.0.0.1:0", "--rate", "5"], &[]);
    emulator.says("/v1.0").await;
    let told = emulator.stderr().concat();
    let base_url = told.split(' ').find(|word| word.contains("/v1.0")).unwrap().trim_end_matches([';', '.', ',']).to_owned();

    let args = ["listen", "me", "--base-url", &base_url, "--account", "desk"];
    let listen = Program::drivetap(args, &[("DRIVETAP_TOKEN", "any")]);
    let events = listen.events("a signal and a change", both).await;
    assert_valid(&events);
    assert!(events.iter().all(|event| event.text("account") == "desk"), "{events:#?}");
    let ended = listen.stop().await;
    ended.assert(0, &[]);
    assert_eq!(ended.drained()["delivered"], u64::try_from(ended.stdout.len()).unwrap(), "{ended:#?}");

    let ended = emulator.stop().await;
    ended.assert(0, &[]);
    assert!(ended.stdout.is_empty(), "standard output carries events and nothing else: {ended:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sink_is_one_word() {
    let scene = Scene::new().await;
    let base_url = scene.graph.base_url();
    let (topic, channel) = (Topic::new("e2e-listen").await, unique("e2e"));
    let mut subscriber = redis::Subscriber::on(&channel).await;
    let to_kafka = format!("kafka://{}/{}", bootstrap_servers(), topic.name);
    let to_redis = format!("{}?channel={channel}", redis::url());
    let listening = [&to_kafka, &to_redis].map(|sink| scene.drivetap(&["listen", "me", "--base-url", &base_url, "--sink", sink]));
    scene.subscribed(2).await;
    scene.me().create("/", "For both.txt").unwrap();

    let records = topic.read("a signal and a change", |records| both(&events(records))).await;
    let heard = subscriber.events("a signal and a change", both).await;
    for events in [events(&records), heard] {
        assert_valid(&events);
        assert_eq!(of_type(&events, CHANGE)[0].item_name(), "For both.txt");
    }
    for listen in listening {
        let ended = listen.stop().await;
        ended.assert(0, &[]);
        assert!(ended.stdout.is_empty(), "{ended:#?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn as_text_each_event_is_one_line_that_drives_no_terminal() {
    let scene = Scene::new().await;
    let listen = scene.drivetap(&["listen", "me", "--base-url", &scene.graph.base_url(), "--format", "text"]);
    scene.subscribed(1).await;
    scene.me().create("/", "invoice\u{202e}fdp.exe\u{1b}[2J").unwrap();
    listen.prints("invoice").await;
    let ended = listen.stop().await;
    ended.assert(0, &[]);
    assert!(!ended.stdout.concat().contains(['\u{202e}', '\u{1b}']), "{ended:#?}");
    assert!(!ended.stdout.concat().contains(TOKEN) && !ended.stdout.concat().contains("specversion"), "{ended:#?}");
}
