//! Promise 2: what reaches the process is published or counted.

use drivetap_emulator::Route;

use crate::support::{CHANGE, Event, SIGNAL, Scene, of_type};

fn told(events: &[Event]) -> u64 {
    of_type(events, SIGNAL).iter().map(|event| event.data()["merged"].as_u64().unwrap_or(1)).sum()
}

#[tokio::test(flavor = "multi_thread")]
async fn three_hundred_in_a_burst_are_all_accounted_for_and_make_few_walks() {
    let scene = Scene::new().await;
    let program = scene.run("[[subscription]]\nresource = \"me\"\n[sink.console]\ntype = \"stdout\"\n");
    scene.subscribed(1).await;
    let walked = |scene: &Scene| scene.graph.requests().iter().filter(|request| request.route == Some(Route::Delta)).count();
    let before = walked(&scene);
    scene.me().create("/", "One change.txt").unwrap();
    scene.me().signal(299);

    program.events("300 signals and the change", |events| told(events) == 300 && !of_type(events, CHANGE).is_empty()).await;
    let ended = program.stop().await;
    ended.assert(0, &[]);
    assert_eq!(told(&ended.events()), 300);
    let drained = ended.drained();
    let signals = u64::try_from(of_type(&ended.events(), SIGNAL).len()).unwrap();
    assert_eq!(signals + drained["merged"], 300, "{ended:#?}");
    let walks = walked(&scene) - before;
    assert!((1..=10).contains(&walks), "300 signals made {walks} requests");
}
