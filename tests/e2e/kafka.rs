//! What is in Kafka, as a consumer reads it back.

use std::collections::BTreeSet;
use std::time::Duration;

use drivetap_emulator::ME_DRIVE;

use crate::support::kafka::{Topic, events};
use crate::support::{CHANGE, Event, SIGNAL, Scene, assert_valid, of_type};

#[tokio::test(flavor = "multi_thread")]
async fn every_change_is_there_in_deltas_order_keyed_by_its_drive_in_both_modes() {
    const CREATED: usize = 25;
    let scene = Scene::new().await;
    // Several pages a walk.
    scene.graph.switch(|switches| switches.page_size = 4);
    let (binary, structured) = (Topic::new("e2e-binary").await, Topic::new("e2e-structured").await);
    let mut expected: Vec<String> = scene.me().items().into_iter().map(|(id, _)| id).collect();
    let program = scene.run(&format!(
        "[[subscription]]\nresource = \"me\"\nstart = \"beginning\"\n{}{}mode = \"structured\"\n",
        binary.sink("binary"),
        structured.sink("structured"),
    ));
    scene.subscribed(1).await;
    expected.extend(scene.me().burst(CREATED).unwrap());

    let count = expected.len();
    let all = move |records: &[_]| {
        let events = events(records);
        of_type(&events, CHANGE).len() >= count && of_type(&events, SIGNAL).len() >= CREATED
    };
    let in_binary = binary.read("every change and signal", all).await;
    let in_structured = structured.read("every change and signal", all).await;
    let ended = program.stop().await;
    ended.assert(0, &[]);

    for record in &in_binary {
        assert_eq!(record.headers["content-type"], "application/json");
        assert_eq!(record.headers["ce_specversion"], "1.0");
    }
    for record in &in_structured {
        assert!(record.headers["content-type"].starts_with("application/cloudevents+json"), "{record:?}");
        assert!(!record.headers.contains_key("ce_id"), "{record:?}");
    }
    for (name, records) in [("binary", &in_binary), ("structured", &in_structured)] {
        assert!(records.iter().all(|record| record.key == ME_DRIVE), "{records:#?}");
        let events = events(records);
        assert_valid(&events);
        let changes = of_type(&events, CHANGE);
        assert_eq!(changes.iter().map(|event| event.text("subject")).collect::<Vec<_>>(), expected, "{name}: delta's order");
        let skips = changes.windows(2).filter(|pair| pair[1].sequence() != pair[0].sequence() + 1).count();
        assert_eq!(skips, 0, "{name}: {changes:#?}");
        let ids: BTreeSet<_> = events.iter().map(Event::id).collect();
        assert_eq!(ids.len(), events.len(), "{name}: an id twice");
        assert_eq!(ended.sink(name)["delivered"], u64::try_from(records.len()).unwrap());
    }
    let (binary, structured) = (events(&in_binary), events(&in_structured));
    let in_one_order = |events: &[Event]| of_type(events, CHANGE).into_iter().cloned().collect::<Vec<_>>();
    assert_eq!(in_one_order(&binary), in_one_order(&structured), "both modes carry the same events");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_topic_holds_the_sink_says_how_to_make_it_and_loses_nothing() {
    let scene = Scene::new().await;
    let topic = Topic::new("e2e-late").await;
    let missing = crate::support::unique("e2e-missing");
    let mut program = scene.run(&format!(
        "[[subscription]]\nresource = \"me\"\n{}{}[shutdown]\ndeadline = \"1s\"\n",
        topic.sink("there"),
        topic.sink("missing").replace(&topic.name, &missing),
    ));
    scene.subscribed(1).await;
    scene.me().create("/", "Waits.txt").unwrap();

    program.says(&missing).await;
    program.says("kafka-topics").await;
    let records = topic.read("the change, in the other topic", |records| !of_type(&events(records), CHANGE).is_empty()).await;
    assert_eq!(of_type(&events(&records), CHANGE)[0].item_name(), "Waits.txt");
    program.assert_stays(Duration::from_millis(500)).await;

    let ended = program.stop().await;
    ended.assert(0, &[]);
    assert_eq!(ended.sink("missing")["delivered"], 0);
    assert!(ended.sink("missing")["abandoned"] > 0, "{ended:#?}");
}
