//! A live sink beside a durable one.

use super::*;

#[tokio::test(start_paused = true)]
async fn what_a_live_sink_lost_before_a_crash_is_told_after_it() {
    let graph = MemoryGraph::new();
    let drive = graph.mount(&Resource::Me, "b!x", DriveType::Business);
    let with_live = |place: &mut Option<MemoryPlace>| {
        let (live, live_place) = MemorySink::new();
        if place.is_none() {
            live_place.cut();
        }
        *place = Some(live_place);
        let mut settings = SinkSettings::new("live", Role::Live);
        settings.window = 10_000;
        move |builder: PipelineBuilder| builder.subscription(AccountName::default(), watch("me")).sink(settings, Box::new(live))
    };
    let mut live = None;
    let mut world = World::start(graph.clone(), drive.clone(), Arc::default(), with_live(&mut live));
    let peer = world.connect().await;
    tokio::time::sleep(Duration::from_secs(3)).await;
    (0..1_000).for_each(|n| world.change(&format!("item-{n}")));
    peer.notify(&tap());
    world.changed(1_000).await;
    // overflow_after, and the write to the store.
    tokio::time::sleep(Duration::from_secs(20)).await;
    world.task.abort();
    let store = Arc::clone(&world.store);

    for round in 0..2 {
        let mut world = World::start(graph.clone(), drive.clone(), Arc::clone(&store), with_live(&mut live));
        let _peer = world.connect().await;
        tokio::time::sleep(Duration::from_secs(60)).await;
        let told = |event: &Arc<Event>| event.data_value()["reason"] == "sink_overflow";
        let gaps: Vec<_> = live.as_ref().unwrap().events().into_iter().filter(told).collect();
        if round == 0 {
            let data = gaps[0].data_value();
            assert_eq!((gaps.len(), &data["to_sequence"]), (1, &json!("00000000000000000999")), "{data}");
        } else {
            assert!(gaps.is_empty(), "it was told");
        }
        assert!(!world.place.events().iter().any(told), "the durable sink lost nothing");
        world.stop().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_loss_that_is_told_while_the_durable_sink_is_away_is_not_told_after_the_restart() {
    let graph = MemoryGraph::new();
    let drive = graph.mount(&Resource::Me, "b!x", DriveType::Business);
    let with_live = |place: &mut Option<MemoryPlace>| {
        let (live, live_place) = MemorySink::new();
        *place = Some(live_place);
        let mut settings = SinkSettings::new("live", Role::Live);
        settings.window = 10_000;
        move |builder: PipelineBuilder| builder.subscription(AccountName::default(), watch("me")).sink(settings, Box::new(live))
    };
    let told = |place: &Option<MemoryPlace>| {
        let gap = |event: &Arc<Event>| event.data_value()["reason"] == "sink_overflow";
        place.as_ref().unwrap().events().iter().filter(|event| gap(event)).count()
    };
    let mut live = None;
    let mut world = World::start(graph.clone(), drive.clone(), Arc::default(), with_live(&mut live));
    let peer = world.connect().await;
    tokio::time::sleep(Duration::from_secs(3)).await;
    // Both are away for so long that the live one loses what waits for room with the durable one.
    live.as_ref().unwrap().cut();
    world.place.cut();
    let long = "x".repeat(1_000);
    (0..12_000).for_each(|n| world.graph.upsert(&drive, &format!("item-{n}"), json!({ "name": long })));
    peer.notify(&tap());
    tokio::time::sleep(Duration::from_secs(60)).await;
    live.as_ref().unwrap().mend();
    tokio::time::sleep(Duration::from_secs(120)).await;
    assert_eq!(told(&live), 1, "the live sink is back first");
    world.place.mend();
    world.changed(12_000).await;
    world.stop().await;

    let mut world = World::start(graph, drive, Arc::clone(&world.store), with_live(&mut live));
    let _peer = world.connect().await;
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(told(&live), 0, "it was told");
    world.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_drain_does_not_wait_for_a_live_sink_that_is_away() {
    let graph = MemoryGraph::new();
    let drive = graph.mount(&Resource::Me, "b!x", DriveType::Business);
    let with_live = |place: &mut Option<MemoryPlace>| {
        let (live, live_place) = MemorySink::new();
        *place = Some(live_place);
        let mut settings = SinkSettings::new("live", Role::Live);
        (settings.window, settings.overflow_after) = (10_000, Duration::from_secs(3_600));
        move |builder: PipelineBuilder| builder.subscription(AccountName::default(), watch("me")).sink(settings, Box::new(live))
    };
    let mut live = None;
    let mut world = World::start(graph.clone(), drive.clone(), Arc::default(), with_live(&mut live));
    let peer = world.connect().await;
    tokio::time::sleep(Duration::from_secs(3)).await;
    live.as_ref().unwrap().cut();
    (0..1_000).for_each(|n| world.change(&format!("item-{n}")));
    peer.notify(&tap());
    tokio::time::sleep(Duration::from_secs(60)).await;
    let before = world.changes().len();
    assert!((1..1_000).contains(&before), "a page waits for room in the live sink: {before}");
    let begun = Instant::now();
    world.stop().await;
    assert!(begun.elapsed() < Duration::from_secs(1), "{:?}", begun.elapsed());
    // The page that waited may have gone to the durable one while the drain began.
    let before = world.changes().len();

    let mut world = World::start(graph, drive, Arc::clone(&world.store), with_live(&mut live));
    let _peer = world.connect().await;
    world.changed(1_000 - before).await;
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(world.changes().len(), 1_000 - before, "the durable sink gets nothing twice");
    let told = live.unwrap().events().into_iter().find(|event| event.data_value()["reason"] == "sink_overflow");
    let last = told.expect("the live sink is told of what it lost").data_value()["to_sequence"].clone();
    assert_eq!(last, format!("{:020}", before - 1));
    world.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_slow_live_sink_does_not_hold_the_durable_one() {
    let graph = MemoryGraph::new();
    let drive = graph.mount(&Resource::Me, "b!x", DriveType::Business);
    let (live, live_place) = MemorySink::new();
    live_place.cut();
    let mut settings = SinkSettings::new("live", Role::Live);
    settings.window = 10_000;
    let mut world = World::start(graph, drive, Arc::default(), |builder| {
        builder.subscription(AccountName::default(), watch("me")).sink(settings, Box::new(live))
    });
    let peer = world.connect().await;
    tokio::time::sleep(Duration::from_secs(3)).await;
    for n in 0..1_000 {
        world.change(&format!("item-{n}"));
    }
    peer.notify(&tap());
    world.changed(1_000).await;
    let report = world.stop().await;
    let (main, live) = (report.sinks[0].counts, report.sinks[1].counts);
    assert_eq!(main.delivered, 1_001);
    assert_eq!(live.delivered, 0);
    assert_eq!(live.abandoned, 1_001, "counted, not forgotten");
}
