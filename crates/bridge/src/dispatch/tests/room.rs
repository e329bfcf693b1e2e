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

#[test]
fn signals_join_what_is_under_way_only_up_to_half_of_the_window() {
    let mut settings = SinkSettings::new("test", Role::Durable);
    settings.window = 1 << 20;
    let inlet = Inlet::new(settings, true);
    let mut drive = Drive::new("b!one");
    let large = |drive: &mut Drive| drive.signal_of(100_000);
    let most = (1 << 19) + large(&mut drive).size();
    // Nothing of it is acknowledged, and notifications go on arriving.
    let (mut in_hand, mut taken) = (0, Vec::new());
    for _ in 0..100 {
        inlet.put_signals([(large(&mut drive), 1)]);
        taken.extend(inlet.take_behind(in_hand, 4_096));
        in_hand = taken.iter().map(|slot| slot.event.size()).sum();
        assert!(in_hand <= most, "{in_hand} of {most}");
    }
    assert!(inlet.status().waiting_signals > 0, "the rest waits, or merges");
}

#[tokio::test]
async fn a_flood_of_large_signals_leaves_room_for_changes() {
    let mut settings = SinkSettings::new("test", Role::Durable);
    settings.window = 1 << 20;
    let inlet = Inlet::new(settings, true);
    let mut drive = Drive::new("b!one");
    for size in [50_000, 1_000_000] {
        inlet.put_signals((0..20).map(|_| (drive.signal_of(size), 1)));
        inlet.put(&changes(10), None).await;
        for in_hand in [0, (1 << 19) - 1] {
            let taken = inlet.take_behind(in_hand, 4_096);
            let change = taken.iter().any(|slot| slot.event.event_type() == EventType::Change);
            assert!(change, "signals of {size} bytes, {in_hand} bytes in hand: {} taken", taken.len());
            inlet.put(&changes(10), None).await;
        }
    }
}
