use super::*;

#[tokio::test(start_paused = true)]
async fn a_signal_waits_for_room_only_as_long_as_the_heartbeat_allows() {
    let rig = Rig::new(|settings| settings.signals = 1, MemoryPlace::cut);
    rig.inlet.put_signals([(Drive::new("b!one").signal(), 1)]);
    let begun = Instant::now();
    tokio::time::sleep(Duration::from_millis(1)).await;
    rig.inlet.put_signals([(Drive::new("b!one").signal(), 1)]);
    assert!(rig.inlet.signal_room(Signals { count: 1, bytes: 1_000 }, Duration::from_secs(6)).await.is_none());
    assert!(begun.elapsed() < Duration::from_secs(7));
}

#[tokio::test(start_paused = true)]
async fn room_for_signals_is_kept_for_who_waited_for_it() {
    let rig = Rig::new(|settings| settings.signals = 4, |_| {});
    // Many drives see the room of a sink that takes everything, and each of them brings as much as there is room for.
    let feeds = (0..20).map(|n| {
        let (inlet, mut drive) = (Arc::clone(&rig.inlet), Drive::new(&format!("b!{n}")));
        async move {
            for _ in 0..10 {
                let wanted = Signals { count: 4, bytes: 4_000 };
                let room = inlet.signal_room(wanted, Duration::from_secs(6)).await;
                assert!(room.is_some(), "there is room in time");
                tokio::task::yield_now().await;
                (0..4).for_each(|_| inlet.put_signals([(drive.signal(), 1)]));
            }
        }
    });
    futures_util::future::join_all(feeds).await;
    assert_eq!(rig.finish().await.0, counts(800, 0, 0, 0), "none was merged");
}
