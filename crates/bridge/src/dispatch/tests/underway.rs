use super::*;

fn underway(delivered: usize, acked: usize) -> Step {
    Step::Stop { delivered, acked, stop: Stop::Underway }
}

#[tokio::test(start_paused = true)]
async fn what_is_under_way_is_offered_again_with_newer_events_behind_it() {
    let rig = Rig::new(|_| {}, |place| place.script([underway(usize::MAX, Dispatcher::BATCH - 1)]));
    let events = changes(Dispatcher::BATCH + 2);
    rig.put(1, &events).await;
    let place = rig.place.clone();
    let (ended, arrived) = rig.finish().await;
    assert_eq!(place.batches(), [Dispatcher::BATCH, 3]);
    assert_eq!(ids(&arrived), ids(&events), "each once, in order");
    assert_eq!(ended, counts(4_098, 0, 0, 0));
}

#[tokio::test(start_paused = true)]
async fn the_ticket_waits_for_the_last_acknowledgement_and_nobody_else_does() {
    let rig = Rig::new(|_| {}, |place| place.script([underway(3, 2), underway(3, 0), Step::Wait(Duration::from_secs(9))]));
    let begun = Instant::now();
    let (first, second) = (changes(2), changes(3));
    rig.put(1, &first).await;
    rig.put(2, &second[2..]).await;
    rig.progress.moved().await;
    assert_eq!((rig.progress.through(), begun.elapsed()), (BatchId(1), Duration::ZERO), "the first two are acknowledged");
    rig.progress.moved().await;
    assert_eq!((rig.progress.through(), begun.elapsed()), (BatchId(2), Duration::from_secs(9)), "no back-off in between");
    assert_eq!(rig.finish().await.0, counts(3, 0, 0, 0));
}

#[tokio::test(start_paused = true)]
async fn a_failure_behind_what_is_under_way_offers_all_of_that_again() {
    for stop in [Stop::Reconnect { reason: "gone".into() }, Stop::Hold { what: "no topic".into() }] {
        let fails = Step::Stop { delivered: 0, acked: 0, stop: stop.clone() };
        let rig = Rig::new(|_| {}, |place| place.script([underway(3, 1), fails]));
        let events = changes(4);
        rig.put(1, &events).await;
        let (ended, arrived) = rig.finish().await;
        let expected: Vec<&str> = [0, 1, 2, 1, 2, 3].map(|n: usize| events[n].id()).to_vec();
        assert_eq!(ids(&arrived), expected, "{stop:?}: repeats, no hole, no reorder");
        assert_eq!(ended, counts(4, 0, 0, 0), "{stop:?}: a repeat is not counted twice");
    }
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_is_lost_under_what_is_under_way_offers_all_of_that_again() {
    let rig = Rig::new(|_| {}, |place| place.script([underway(2, 1), Step::Wait(Duration::from_secs(2))]));
    let events = changes(3);
    rig.put(1, &events).await;
    rig.place.arrived(2).await;
    rig.place.cut();
    tokio::time::sleep(Duration::from_secs(100)).await;
    rig.place.mend();
    let (ended, arrived) = rig.finish().await;
    assert_eq!(ids(&arrived), [0, 1, 1, 2].map(|n: usize| events[n].id()));
    assert_eq!(ended, counts(3, 0, 0, 0));
}

#[tokio::test(start_paused = true)]
async fn a_restart_while_events_are_under_way_repeats_them() {
    let events = changes(3);
    let rig = Rig::new(|_| {}, |place| place.script([underway(2, 1), Step::Wait(Duration::from_secs(60))]));
    rig.put(1, &events).await;
    rig.place.arrived(2).await;
    rig.task.abort();
    assert_eq!(rig.progress.through(), BatchId(0));
    // What the next process makes, onto the same place.
    let mut sink = rig.place.sink();
    sink.connect().await.unwrap();
    assert_eq!(sink.publish(&events[1..]).await, drivetap_sink::Outcome::all(2));
    assert_eq!(ids(&rig.place.events()), [0, 1, 1, 2].map(|n: usize| events[n].id()));
}

#[tokio::test(start_paused = true)]
async fn an_event_that_is_rejected_behind_others_under_way_leaves_its_stub_in_its_place() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("dead.jsonl");
    let file = DeadLetters::File { path: path.clone(), max_bytes: 1 << 20 };
    let prepare = |place: &MemoryPlace| {
        place.limit(2_000);
        place.script([underway(1, 0)]);
    };
    let rig = Rig::new(|settings| settings.dead_letters = file, prepare);
    let mut drive = Drive::new("b!one");
    let events = [drive.change("small"), drive.change_of(5_000), drive.change("after")];
    rig.put(1, &events).await;
    let (ended, arrived) = rig.finish().await;
    assert_eq!(ids(&arrived), ids(&events), "sequence never skips");
    assert_eq!(ended, counts(2, 1, 0, 0));
    assert_eq!(letters(&path)[0]["event"]["id"], events[1].id());
}

/// It has sent everything, and nobody ever answers.
struct Unanswered;

#[async_trait::async_trait]
impl Sink for Unanswered {
    async fn connect(&mut self) -> Result<(), NotReady> {
        Ok(())
    }

    async fn publish(&mut self, _: &[Arc<Event>]) -> drivetap_sink::Outcome {
        tokio::time::sleep(Duration::from_secs(1)).await;
        drivetap_sink::Outcome::stopped(0, Stop::Underway)
    }

    async fn close(self: Box<Self>, _: Duration) {}
}

#[tokio::test(start_paused = true)]
async fn what_is_under_way_at_the_deadline_is_abandoned() {
    let rig = Rig::with_sink(Box::new(Unanswered));
    rig.put(1, &changes(3)).await;
    tokio::time::sleep(Duration::from_millis(5_500)).await;
    let begun = Instant::now();
    rig.deadline.cancel();
    assert_eq!(rig.finish().await.0, counts(0, 0, 3, 0));
    assert_eq!(begun.elapsed(), Duration::from_millis(500), "the answer that was waited for is the last one");
}

#[tokio::test(start_paused = true)]
async fn what_is_in_hand_stays_half_of_the_window() {
    let steps = std::iter::repeat_n(underway(usize::MAX, 100), 5);
    let rig = Rig::new(|settings| settings.window = 1 << 20, |place| place.script(steps));
    let mut drive = Drive::new("b!one");
    let events: Vec<_> = (0..4_000).map(|n| drive.change(&format!("file-{n:04}"))).collect();
    assert!(events.iter().map(|event| event.size()).sum::<usize>() > 1 << 20);
    rig.put(1, &events).await;
    let place = rig.place.clone();
    let (ended, arrived) = rig.finish().await;
    let most = (1_usize << 19).div_ceil(events[0].size());
    assert!(place.batches().iter().all(|batch| *batch <= most), "{:?} of {most}", place.batches());
    assert_eq!(ids(&arrived), ids(&events));
    assert_eq!(ended, counts(4_000, 0, 0, 0));
}

#[tokio::test(start_paused = true)]
async fn a_live_sink_is_told_of_its_loss_behind_what_is_under_way() {
    let rig = Rig::new(|settings| settings.role = Role::Live, |place| place.script([underway(2, 1)]));
    let events = changes(5);
    rig.inlet.announce(&events);
    rig.inlet.put(&events[..2], None).await;
    rig.inlet.lose(&events[2..], None);
    let place = rig.place.clone();
    let (ended, arrived) = rig.finish().await;
    assert_eq!(place.batches(), [2, 2]);
    assert_eq!(arrived[2].data_value()["reason"], "sink_overflow");
    assert_eq!(ended, counts(3, 0, 3, 0));
}
