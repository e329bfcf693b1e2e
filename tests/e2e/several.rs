//! Several accounts, subscriptions and sinks in one process.

use std::collections::BTreeMap;

use drivetap_emulator::{Account, Config, GROUP, GROUP_DRIVE, ME_DRIVE, PERSONAL_DRIVE};

use crate::support::kafka::{Topic, events};
use crate::support::{CHANGE, SIGNAL};
use crate::support::{Event, Scene, assert_valid, of_type, redis, unique};

#[tokio::test(flavor = "multi_thread")]
async fn each_feed_reaches_each_sink_and_every_event_is_in_exactly_one_count() {
    let accounts = vec![Account::new("alice", ME_DRIVE).token("alices"), Account::new("bob", PERSONAL_DRIVE).token("bobs")];
    let scene = Scene::with(Config { accounts, ..Config::default() }).await;
    let (topic, channel) = (Topic::new("e2e-several").await, unique("e2e"));
    let mut subscriber = redis::Subscriber::on(&channel).await;
    let toml = format!(
        r#"
[account.alice]
token = {{ env = "ALICE" }}
[account.bob]
token = {{ env = "BOB" }}
[[subscription]]
resource = "me"
account = "alice"
[[subscription]]
resource = "drive:{ME_DRIVE}"
account = "bob"
[[subscription]]
resource = "group:{GROUP}"
account = "bob"
[[subscription]]
resource = "me"
account = "bob"
emit = ["signals"]
[sink.console]
type = "stdout"
{}{}"#,
        topic.sink("bus"),
        redis::sink("live", &channel),
    );
    let program = scene.run_with(&toml, &[("ALICE", "alices"), ("BOB", "bobs")]);
    scene.subscribed(4).await;
    for (drive, files) in [(ME_DRIVE, 3), (GROUP_DRIVE, 2), (PERSONAL_DRIVE, 1)] {
        scene.graph.drive(drive).unwrap().burst(files).unwrap();
    }

    // Signals: 3 to alice, 3 + 2 + 1 to bob. Changes: the same, less what only signals are wanted of.
    let all = |events: &[Event]| of_type(events, SIGNAL).len() == 9 && of_type(events, CHANGE).len() == 8;
    let printed = program.events("9 signals and 8 changes", all).await;
    let heard = subscriber.events("9 signals and 8 changes", all).await;
    let records = topic.read("9 signals and 8 changes", move |records| all(&events(records))).await;
    let ended = program.stop().await;
    ended.assert(0, &[]);

    for (sink, events) in [("console", printed), ("live", heard), ("bus", events(&records))] {
        assert_valid(&events);
        let mut feeds = BTreeMap::<_, Vec<u64>>::new();
        for event in of_type(&events, CHANGE) {
            let feed =
                (event.text("account").to_owned(), event.text("partitionkey").to_owned(), event.text("resource").to_owned());
            feeds.entry(feed).or_default().push(event.sequence());
        }
        let feed = |account: &str, drive: &str, resource: String| (account.to_owned(), drive.to_owned(), resource);
        let counts: BTreeMap<_, _> = feeds.iter().map(|(feed, numbers)| (feed.clone(), numbers.len())).collect();
        let expected = [
            (feed("alice", ME_DRIVE, "me".to_owned()), 3),
            (feed("bob", ME_DRIVE, format!("drive:{ME_DRIVE}")), 3),
            (feed("bob", GROUP_DRIVE, format!("group:{GROUP}")), 2),
        ];
        assert_eq!(counts, expected.into(), "{sink}");
        assert!(feeds.values().all(|numbers| numbers.windows(2).all(|pair| pair[1] == pair[0] + 1)), "{sink}: {feeds:?}");
        assert_eq!(ended.sink(sink)["delivered"], 17, "{ended:#?}");
    }
    let drained = ended.drained();
    assert_eq!(
        (drained["delivered"], drained["dead_lettered"], drained["abandoned"], drained["merged"]),
        (51, 0, 0, 0),
        "{ended:#?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn two_subscriptions_that_turn_out_to_be_one_drive_publish_a_change_once() {
    let scene = Scene::new().await;
    let toml = format!(
        "[[subscription]]\nresource = \"me\"\n[[subscription]]\nresource = \"drive:{ME_DRIVE}\"\n[sink.console]\ntype = \"stdout\"\n"
    );
    let program = scene.run(&toml);
    scene.subscribed(2).await;
    scene.me().create("/", "Once.txt").unwrap();
    program
        .events("a signal of each and the change", |events| {
            of_type(events, SIGNAL).len() == 2 && !of_type(events, CHANGE).is_empty()
        })
        .await;
    let ended = program.stop().await;
    ended.assert(0, &[]);
    let events = ended.events();
    let changes = of_type(&events, CHANGE);
    assert_eq!(changes.len(), 1, "{changes:#?}");
    assert_eq!(changes[0].text("resource"), "me", "the first in file order");
}
