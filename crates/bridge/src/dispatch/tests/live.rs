//! What a live sink lost, and who hears of it.

use drivetap_core::Sequence;
use jiff::Timestamp;

use super::*;

#[tokio::test(start_paused = true)]
async fn what_a_live_sink_lost_is_reported_at_once_and_again_when_it_was_told() {
    let rig = Rig::new(
        |settings| {
            settings.role = Role::Live;
            settings.window = 5_000;
        },
        MemoryPlace::cut,
    );
    let progress = Progress::new(0);
    let (events, mut lost) = (changes(40), None);
    for (batch, page) in (1..).zip(events.chunks(10)) {
        rig.inlet.announce(page);
        lost = rig.inlet.put(page, Some(progress.live_ticket(BatchId(batch)))).await;
    }
    let lost = lost.unwrap();
    assert_eq!((lost.sink.as_str(), lost.last), (rig.inlet.settings().name.as_str(), events[39].sequence().unwrap().0));
    assert!(progress.take_told().is_empty());
    rig.place.mend();
    progress.moved().await;
    assert_eq!(progress.take_told(), [(lost.sink, lost.from)]);
    let (_, arrived) = rig.finish().await;
    let gap = arrived.iter().find(|event| event.event_type() == EventType::Gap).unwrap().data_value();
    assert_eq!((&gap["from"], &gap["from_sequence"]), (&lost.from.to_string().into(), &Sequence(lost.first).to_string().into()));
}

#[tokio::test(start_paused = true)]
async fn a_loss_of_the_process_before_is_told_first_and_once() {
    let rig = Rig::new(|settings| settings.role = Role::Live, MemoryPlace::cut);
    let (progress, again) = (Progress::new(0), Progress::new(0));
    let mut drive = Drive::new("b!one");
    let (gap, from) = (drive.gap(), Timestamp::UNIX_EPOCH);
    rig.inlet.tell(Arc::clone(&gap), from, &progress);
    // The feed let go and came back: it is the newer one that wants to hear of it.
    rig.inlet.tell(Arc::clone(&gap), from, &again);
    rig.put(1, &changes(3)).await;
    rig.place.mend();
    again.moved().await;
    assert_eq!(again.take_told(), [(rig.inlet.settings().name.clone(), from)]);
    assert!(progress.take_told().is_empty());
    let (ended, arrived) = rig.finish().await;
    assert_eq!(arrived[0].id(), gap.id());
    assert_eq!(ended, counts(4, 0, 0, 0));
}
