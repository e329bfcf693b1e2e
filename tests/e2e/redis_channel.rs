//! What Redis's subscribers hear.

use drivetap_emulator::ME_DRIVE;

use crate::support::{CHANGE, Event, SIGNAL, Scene, assert_valid, of_type, redis, unique};

const FILES: usize = 20;

fn all(events: &[Event]) -> bool {
    of_type(events, CHANGE).len() == FILES && of_type(events, SIGNAL).len() == FILES
}

#[tokio::test(flavor = "multi_thread")]
async fn a_subscriber_hears_every_event_in_order_as_structured_json() {
    let scene = Scene::new().await;
    let channel = unique("e2e");
    let mut subscriber = redis::Subscriber::on(&channel).await;
    let program = scene.run(&format!("[[subscription]]\nresource = \"me\"\n{}", redis::sink("live", &channel)));
    scene.subscribed(1).await;
    let expected = scene.me().burst(FILES).unwrap();

    let events = subscriber.events("every change and signal", all).await;
    let ended = program.stop().await;
    ended.assert(0, &[]);
    assert_valid(&events);
    let changes = of_type(&events, CHANGE);
    assert_eq!(changes.iter().map(|event| event.text("subject")).collect::<Vec<_>>(), expected, "delta's order");
    assert!(changes.windows(2).all(|pair| pair[1].sequence() == pair[0].sequence() + 1), "{changes:#?}");
    assert!(events.iter().all(|event| event.text("partitionkey") == ME_DRIVE));
    assert_eq!(ended.sink("live")["delivered"], u64::try_from(events.len()).unwrap());
    assert!(ended.stdout.is_empty(), "standard output has no sink: {ended:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn that_nobody_listens_is_a_delivery() {
    let scene = Scene::new().await;
    let toml = format!(
        "[[subscription]]\nresource = \"me\"\n{}[sink.console]\ntype = \"stdout\"\n",
        redis::sink("live", &unique("e2e-void"))
    );
    let program = scene.run(&toml);
    scene.subscribed(1).await;
    scene.me().burst(FILES).unwrap();
    let events = program.events("every change and signal", all).await;
    let ended = program.stop().await;
    ended.assert(0, &[]);
    let live = ended.sink("live");
    assert_eq!((live["delivered"], live["abandoned"]), (u64::try_from(events.len()).unwrap(), 0), "{ended:#?}");
}
