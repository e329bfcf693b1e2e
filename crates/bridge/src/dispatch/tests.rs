mod gone;
mod live;
mod room;
mod underway;

use std::collections::VecDeque;
use std::sync::Mutex;
use std::time::Duration;

use drivetap_core::feed::BatchId;
use drivetap_core::{Event, EventType};
use drivetap_sink::contract::Drive;
use drivetap_sink::{DeadLetter, DeadLetterBox, MemoryPlace, MemorySink, NotKept, Step, Stop};
use serde_json::Value;
use tokio::task::JoinHandle;

use super::*;
use crate::report::Counts;
use crate::settings::{DeadLetters, Role, SinkSettings};

struct Rig {
    inlet: Arc<Inlet>,
    place: MemoryPlace,
    progress: Arc<Progress>,
    deadline: CancellationToken,
    task: JoinHandle<()>,
}

impl Rig {
    fn new(change: impl FnOnce(&mut SinkSettings), prepare: impl FnOnce(&MemoryPlace)) -> Self {
        Self::with_box(None, change, prepare)
    }

    fn with_box(
        letter_box: Option<Box<dyn DeadLetterBox>>,
        change: impl FnOnce(&mut SinkSettings),
        prepare: impl FnOnce(&MemoryPlace),
    ) -> Self {
        let (sink, place) = MemorySink::new();
        prepare(&place);
        Self::start(Box::new(sink), place, letter_box, change)
    }

    /// A rig whose place stays empty.
    fn with_sink(sink: Box<dyn Sink>) -> Self {
        Self::start(sink, MemorySink::new().1, None, |_| {})
    }

    fn start(
        sink: Box<dyn Sink>,
        place: MemoryPlace,
        letter_box: Option<Box<dyn DeadLetterBox>>,
        change: impl FnOnce(&mut SinkSettings),
    ) -> Self {
        let mut settings = SinkSettings::new("test", Role::Durable);
        change(&mut settings);
        let holds_cursor = settings.role == Role::Durable;
        let inlet = Arc::new(Inlet::new(settings, holds_cursor));
        let deadline = CancellationToken::new();
        let backoff = || Backoff::try_new(Duration::from_secs(1), Duration::from_secs(60)).unwrap();
        let office = DeadLetterOffice::new(inlet.settings(), letter_box);
        let backoffs = (backoff(), backoff());
        let dispatcher = Dispatcher::new(Arc::clone(&inlet), sink, office, Clock::System, backoffs, 1, deadline.clone());
        let task = tokio::spawn(dispatcher.run(Duration::from_secs(1)));
        Self { inlet, place, progress: Progress::new(1), deadline, task }
    }

    async fn put(&self, batch: u64, events: &[Arc<Event>]) {
        self.inlet.announce(events);
        self.inlet.put(events, Some(self.progress.ticket(0, BatchId(batch)))).await;
    }

    async fn finish(self) -> (Counts, Vec<Arc<Event>>) {
        self.inlet.close();
        self.task.await.unwrap();
        (self.inlet.final_counts(), self.place.events())
    }
}

fn changes(n: usize) -> Vec<Arc<Event>> {
    let mut drive = Drive::new("b!one");
    (0..n).map(|i| drive.change(&format!("file-{i}"))).collect()
}

fn ids(events: &[Arc<Event>]) -> Vec<&str> {
    events.iter().map(|event| event.id()).collect()
}

/// What is in a dead-letter file.
fn letters(path: &std::path::Path) -> Vec<Value> {
    std::fs::read_to_string(path).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

async fn until(done: impl Fn() -> bool) {
    let waiting = async {
        while !done() {
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(600), waiting).await.unwrap();
}

fn counts(delivered: u64, dead_lettered: u64, abandoned: u64, merged: u64) -> Counts {
    Counts { delivered, dead_lettered, abandoned, merged }
}

#[tokio::test(start_paused = true)]
async fn events_arrive_in_order_and_the_ticket_is_punched_last() {
    let rig = Rig::new(|_| {}, |_| {});
    let events = changes(3_000);
    rig.put(1, &events).await;
    rig.place.arrived(3_000).await;
    rig.progress.moved().await;
    assert_eq!(rig.progress.through(), BatchId(1));
    let (ended, arrived) = rig.finish().await;
    assert_eq!(ids(&arrived), ids(&events));
    assert_eq!(ended, counts(3_000, 0, 0, 0));
}

#[tokio::test(start_paused = true)]
async fn after_a_stop_everything_from_the_first_unacknowledged_is_offered_again() {
    for stop in [Stop::Reconnect { reason: "gone".into() }, Stop::Hold { what: "no topic".into() }] {
        let rig = Rig::new(|_| {}, |place| place.script([Step::Stop { delivered: 3, acked: 1, stop: stop.clone() }]));
        let events = changes(4);
        rig.put(1, &events).await;
        let (ended, arrived) = rig.finish().await;
        let expected: Vec<&str> = [0, 1, 2, 1, 2, 3].map(|n: usize| events[n].id()).to_vec();
        assert_eq!(ids(&arrived), expected, "{stop:?}: repeats, no hole, no reorder");
        assert_eq!(ended, counts(4, 0, 0, 0), "{stop:?}: a repeat is not counted twice");
    }
}

#[tokio::test(start_paused = true)]
async fn a_sink_that_is_not_ready_is_tried_again_with_back_off() {
    let refusals = vec![NotReady::Later("refused".into()), NotReady::Never("bad option".into()), NotReady::Later("x".into())];
    let rig = Rig::new(|_| {}, |place| place.refuse(refusals));
    rig.put(1, &changes(1)).await;
    rig.place.arrived(1).await;
    assert_eq!(rig.place.connects(), 4);
    assert_eq!(rig.finish().await.0, counts(1, 0, 0, 0));
}

#[tokio::test(start_paused = true)]
async fn a_rejected_change_leaves_a_stub_in_its_place_and_goes_to_the_dead_letters() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("dead.jsonl");
    let file = DeadLetters::File { path: path.clone(), max_bytes: 1 << 20 };
    let rig = Rig::new(|settings| settings.dead_letters = file, |place| place.limit(2_000));
    let mut drive = Drive::new("b!one");
    let events = vec![drive.change("small"), drive.change_of(5_000), drive.change("after")];
    rig.put(1, &events).await;
    let (ended, arrived) = rig.finish().await;
    assert_eq!(ids(&arrived), ids(&events), "sequence never skips");
    assert_eq!(arrived[1].data_value()["truncated"], true);
    assert_eq!(ended, counts(2, 1, 0, 0));
    let line: Value = serde_json::from_str(std::fs::read_to_string(path).unwrap().trim()).unwrap();
    assert_eq!(line["sink"], "test");
    assert_eq!(line["code"], "TOO_LARGE");
    assert_eq!(line["event"]["id"], events[1].id());
    assert!(line["event"].to_string().len() > 5_000, "the whole event");
}

#[tokio::test(start_paused = true)]
async fn a_rejected_event_that_cannot_be_kept_holds_the_sink() {
    let folder = tempfile::tempdir().unwrap();
    let full = DeadLetters::File { path: folder.path().join("dead.jsonl"), max_bytes: 10 };
    let no_room = DeadLetters::File { path: "/dev/full".into(), max_bytes: 1 << 20 };
    for (place_for_them, says) in [(DeadLetters::None, "no dead_letter"), (full, "above 10 bytes"), (no_room, "No space left")] {
        let rig = Rig::new(|settings| settings.dead_letters = place_for_them, |place| place.limit(2_000));
        let mut drive = Drive::new("b!one");
        rig.put(1, &[drive.change_of(5_000), drive.change("after")]).await;
        tokio::time::sleep(Duration::from_secs(300)).await;
        let SinkState::Held { what } = rig.inlet.status().state else { panic!("{:?}", rig.inlet.status()) };
        assert!(what.contains(says), "{what}");
        assert!(rig.place.events().is_empty(), "nothing overtakes it");
        rig.deadline.cancel();
        assert_eq!(rig.finish().await.0, counts(0, 0, 2, 0));
    }
}

#[tokio::test(start_paused = true)]
async fn a_stub_that_is_refused_as_well_holds_the_sink_and_leaves_one_letter() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("dead.jsonl");
    let file = DeadLetters::File { path: path.clone(), max_bytes: 1 << 20 };
    let rig = Rig::new(|settings| settings.dead_letters = file, |place| place.limit(10));
    let mut drive = Drive::new("b!one");
    let events = [drive.change("one"), drive.change("two")];
    rig.put(1, &events).await;
    tokio::time::sleep(Duration::from_secs(300)).await;
    let SinkState::Held { what } = rig.inlet.status().state else { panic!("{:?}", rig.inlet.status()) };
    assert!(what.contains("stub") && what.contains("TOO_LARGE"), "{what}");
    assert_eq!(rig.progress.through(), BatchId(0));
    rig.place.limit(1 << 20);
    let (ended, arrived) = rig.finish().await;
    assert_eq!(ids(&arrived), ids(&events), "sequence never skips");
    assert_eq!(ended, counts(1, 1, 0, 0));
    assert_eq!(letters(&path).len(), 1);
}

#[tokio::test(start_paused = true)]
async fn signals_and_gaps_that_are_refused_end_in_the_dead_letters_and_leave_no_stub() {
    for role in [Role::Durable, Role::Live] {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("dead.jsonl");
        let file = DeadLetters::File { path: path.clone(), max_bytes: 1 << 20 };
        let rig = Rig::new(
            |settings| {
                (settings.role, settings.dead_letters, settings.signals) = (role, file, 2);
            },
            |place| place.limit(10),
        );
        let mut drive = Drive::new("b!one");
        for _ in 0..5 {
            rig.inlet.put_signals([(drive.signal(), 1)]);
        }
        let gap = drive.gap();
        rig.put(1, &[Arc::clone(&gap)]).await;
        let (ended, arrived) = rig.finish().await;
        assert_eq!(ids(&arrived), Vec::<&str>::new());
        assert_eq!(ended, counts(0, 3, 0, 3), "{role:?}: every notification and the gap in exactly one count");
        let letters = letters(&path);
        assert_eq!(letters.len(), 3);
        assert_eq!(letters.iter().filter_map(|letter| letter["event"]["data"]["merged"].as_u64()).sum::<u64>(), 4);
        assert_eq!(letters[2]["event"]["id"], gap.id());
    }
}

/// A box that answers from a list, then keeps everything; and the ids that it kept.
struct ScriptedBox {
    answers: VecDeque<NotKept>,
    kept: Arc<Mutex<Vec<String>>>,
}

#[async_trait::async_trait]
impl DeadLetterBox for ScriptedBox {
    async fn look(&mut self) -> Result<(), NotKept> {
        Ok(())
    }

    async fn keep(&mut self, letter: &DeadLetter<'_>) -> Result<(), NotKept> {
        if let Some(answer) = self.answers.pop_front() {
            return Err(answer);
        }
        let letter: Value = serde_json::from_str(&letter.to_json().unwrap()).unwrap();
        self.kept.lock().unwrap().push(letter["event"]["id"].as_str().unwrap().to_owned());
        Ok(())
    }

    async fn close(self: Box<Self>, _: Duration) {
        self.kept.lock().unwrap().push("closed".to_owned());
    }
}

#[tokio::test(start_paused = true)]
async fn a_letter_goes_to_the_sinks_own_box_and_waits_until_it_is_back() {
    let kept = Arc::<Mutex<Vec<String>>>::default();
    let answers = (0..50).map(|_| NotKept::Later("the topic is away".into())).collect();
    let letter_box = ScriptedBox { answers, kept: Arc::clone(&kept) };
    let rig = Rig::with_box(Some(Box::new(letter_box)), |_| {}, |place| place.limit(2_000));
    let mut drive = Drive::new("b!one");
    let events = [drive.change_of(5_000), drive.change("after")];
    rig.put(1, &events).await;
    tokio::time::sleep(Duration::from_secs(20)).await;
    let SinkState::Held { what } = rig.inlet.status().state else { panic!("{:?}", rig.inlet.status()) };
    assert!(what.contains("the topic is away"), "{what}");
    let (ended, arrived) = rig.finish().await;
    assert_eq!(ids(&arrived), ids(&events));
    assert_eq!(ended, counts(1, 1, 0, 0));
    assert_eq!(*kept.lock().unwrap(), [events[0].id(), "closed"]);
}

#[tokio::test(start_paused = true)]
async fn a_letter_that_its_box_never_takes_goes_to_the_file_or_holds_the_sink_with_both_reasons() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("dead.jsonl");
    let never = || -> Option<Box<dyn DeadLetterBox>> {
        let answers = std::iter::repeat_n(NotKept::Never("too large for the topic".into()), 1_000).collect();
        Some(Box::new(ScriptedBox { answers, kept: Arc::default() }))
    };
    let event = Drive::new("b!one").change_of(5_000);

    let file = DeadLetters::File { path: path.clone(), max_bytes: 1 << 20 };
    let rig = Rig::with_box(never(), |settings| settings.dead_letters = file, |place| place.limit(2_000));
    rig.put(1, &[Arc::clone(&event)]).await;
    assert_eq!(rig.finish().await.0, counts(0, 1, 0, 0));
    assert_eq!(letters(&path)[0]["event"]["id"], event.id());

    let rig = Rig::with_box(never(), |_| {}, |place| place.limit(2_000));
    rig.put(1, &[Arc::clone(&event)]).await;
    tokio::time::sleep(Duration::from_secs(100)).await;
    let SinkState::Held { what } = rig.inlet.status().state else { panic!("{:?}", rig.inlet.status()) };
    assert!(what.contains("too large for the topic") && what.contains("[state]"), "{what}");
    rig.deadline.cancel();
    assert_eq!(rig.finish().await.0, counts(0, 0, 1, 0));
}

#[tokio::test(start_paused = true)]
async fn a_dead_letter_file_that_is_emptied_lets_the_sink_go_on_where_it_stopped() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("dead.jsonl");
    std::fs::write(&path, "x".repeat(10_000)).unwrap();
    let file = DeadLetters::File { path: path.clone(), max_bytes: 12_000 };
    let rig = Rig::new(|settings| settings.dead_letters = file, |place| place.limit(2_000));
    let mut drive = Drive::new("b!one");
    let events = [drive.change("before"), drive.change_of(5_000), drive.change("after")];
    rig.put(1, &events).await;
    tokio::time::sleep(Duration::from_secs(100)).await;
    assert!(matches!(rig.inlet.status().state, SinkState::Held { .. }));
    std::fs::write(&path, "").unwrap();
    let (ended, arrived) = rig.finish().await;
    assert_eq!(ids(&arrived), ids(&events));
    assert_eq!(ended, counts(2, 1, 0, 0));
    assert_eq!(letters(&path).len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_restart_between_the_letter_and_its_stub_repeats_both() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("dead.jsonl");
    let mut drive = Drive::new("b!one");
    let event = drive.change_of(5_000);
    // A process that died in the middle of a line left this.
    std::fs::write(&path, "{\"at\":\"2026-").unwrap();
    for letters_by_then in [1, 2] {
        let file = DeadLetters::File { path: path.clone(), max_bytes: 1 << 20 };
        let rig = Rig::new(|settings| settings.dead_letters = file, |place| place.limit(2_000));
        rig.put(1, &[Arc::clone(&event)]).await;
        let (_, arrived) = rig.finish().await;
        assert_eq!(ids(&arrived), [event.id()]);
        let text = std::fs::read_to_string(&path).unwrap();
        let whole: Vec<Value> = text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
        assert_eq!(whole.len(), letters_by_then, "{text}");
        assert!(whole.iter().all(|letter| letter["event"]["id"] == event.id()));
    }
}

#[tokio::test(start_paused = true)]
async fn a_full_window_makes_the_feed_wait() {
    let rig = Rig::new(|settings| settings.window = 50_000, MemoryPlace::cut);
    let events = changes(500);
    let waited = tokio::time::timeout(Duration::from_secs(600), rig.put(1, &events)).await;
    assert!(waited.is_err(), "a durable sink is waited for");
    assert!(rig.inlet.status().queued_bytes <= 50_000);
    rig.place.mend();
    rig.place.arrived(1).await;
}

#[tokio::test(start_paused = true)]
async fn a_live_sink_that_stays_full_loses_whole_pages_and_is_told_so() {
    let rig = Rig::new(
        |settings| {
            settings.role = Role::Live;
            settings.window = 20_000;
        },
        MemoryPlace::cut,
    );
    let events = changes(200);
    let begun = Instant::now();
    for page in events.chunks(20) {
        rig.inlet.announce(page);
        rig.inlet.put(page, None).await;
    }
    assert_eq!(begun.elapsed(), Duration::from_secs(10), "waited for overflow_after once, then not at all");
    rig.place.mend();
    let taken = rig.place.clone();
    tokio::time::timeout(Duration::from_secs(600), async {
        while !taken.events().iter().any(|event| event.event_type() == EventType::Gap) {
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    })
    .await
    .unwrap();
    let (ended, arrived) = rig.finish().await;
    let (gaps, rest): (Vec<_>, Vec<_>) = arrived.iter().partition(|event| event.event_type() == EventType::Gap);
    assert_eq!(gaps.len(), 1);
    let gap = gaps[0].data_value();
    let lost_from = events.iter().find(|event| !rest.iter().any(|arrived| arrived.id() == event.id())).unwrap();
    assert_eq!(gap["reason"], "sink_overflow");
    assert_eq!(gap["from_sequence"], lost_from.sequence().unwrap().to_string());
    assert_eq!(gap["to_sequence"], events[199].sequence().unwrap().to_string());
    assert_eq!(ended.delivered + ended.abandoned, 201, "every event in exactly one count: {ended:?}");
}

#[tokio::test(start_paused = true)]
async fn a_live_sink_that_lost_a_gap_event_is_told_of_the_gap_when_it_is_back() {
    let rig = Rig::new(
        |settings| {
            settings.role = Role::Live;
            settings.window = 5_000;
        },
        MemoryPlace::cut,
    );
    let mut drive = Drive::new("b!one");
    let (lost, first, second) = (changes(20), drive.gap(), drive.gap());
    for page in [&lost[..], &lost[..], &[Arc::clone(&first)], &[Arc::clone(&second)]] {
        rig.inlet.announce(page);
        rig.inlet.put(page, None).await;
    }
    rig.place.mend();
    let place = rig.place.clone();
    let gaps = move || {
        let gaps = place.events().into_iter().filter(|event| event.event_type() == EventType::Gap);
        gaps.map(|event| (event.id().to_owned(), event.data_value())).collect::<Vec<_>>()
    };
    until(|| gaps().iter().any(|(_, data)| data["affects"] == "signals")).await;
    let (ended, _) = rig.finish().await;
    let of_signals: Vec<_> = gaps().into_iter().filter(|(_, data)| data["affects"] == "signals").collect();
    let [(id, data)] = &of_signals[..] else { panic!("{of_signals:?}") };
    assert_eq!(data["from"], first.data_value()["from"], "one range over both");
    assert_eq!(data["to"], second.data_value()["to"]);
    assert_eq!(id, second.id(), "the id of the newer one: the older one may be a repeat that the consumer has seen");
    // 20 changes and the two gaps came in; one more tells of the changes that were lost.
    assert_eq!((ended.delivered, ended.abandoned, ended.dead_lettered), (22, 21, 0), "{ended:?}");
}

#[tokio::test(start_paused = true)]
async fn a_loss_that_shows_while_a_live_sink_waits_for_events_is_told_at_once() {
    let rig = Rig::new(|settings| settings.role = Role::Live, |_| {});
    tokio::time::sleep(Duration::from_secs(1)).await;
    let events = changes(3);
    rig.inlet.announce(&events);
    rig.inlet.lose(&events, None);
    tokio::time::timeout(Duration::from_secs(1), rig.place.arrived(1)).await.unwrap();
    let (ended, arrived) = rig.finish().await;
    assert_eq!(arrived[0].data_value()["to_sequence"], events[2].sequence().unwrap().to_string());
    assert_eq!(ended, counts(1, 0, 3, 0));
}

#[tokio::test(start_paused = true)]
async fn signals_without_room_merge_and_every_notification_is_counted() {
    let rig = Rig::new(|settings| settings.signals = 3, MemoryPlace::cut);
    let mut drive = Drive::new("b!one");
    for _ in 0..100 {
        rig.inlet.put_signals([(drive.signal(), 1)]);
    }
    let mut other = Drive::new("b!two");
    rig.inlet.put_signals([(other.signal(), 1)]);
    assert!(rig.inlet.status().waiting_signals <= 5, "{:?}", rig.inlet.status());
    rig.place.mend();
    rig.place.arrived(4).await;
    let (ended, arrived) = rig.finish().await;
    let merged: u64 = arrived.iter().map(|event| event.data_value()["merged"].as_u64().unwrap_or(1)).sum();
    assert_eq!(merged, 101, "the signals stand for all of them");
    assert_eq!(ended.delivered + ended.merged + ended.abandoned, 101);
    assert_eq!(ended.abandoned, 0);
    assert!(
        arrived.iter().any(|event| event.partition_key() == "b!two"),
        "a flood of one drive does not swallow another's signal"
    );
}

#[tokio::test(start_paused = true)]
async fn a_sink_that_is_away_holds_up_no_drain_of_nothing() {
    let refusals = std::iter::repeat_n(NotReady::Later("away".into()), 1_000);
    let rig = Rig::new(|_| {}, |place| place.refuse(refusals));
    tokio::time::sleep(Duration::from_secs(100)).await;
    let begun = Instant::now();
    assert_eq!(rig.finish().await.0, counts(0, 0, 0, 0));
    assert_eq!(begun.elapsed(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn what_is_left_at_the_deadline_is_abandoned() {
    let rig = Rig::new(|_| {}, MemoryPlace::cut);
    rig.put(1, &changes(7)).await;
    rig.inlet.put_signals([(Drive::new("b!one").signal(), 1)]);
    tokio::time::sleep(Duration::from_secs(5)).await;
    rig.deadline.cancel();
    assert_eq!(rig.place.closed(), 0);
    let place = rig.place.clone();
    assert_eq!(rig.finish().await.0, counts(0, 0, 8, 0));
    assert_eq!(place.closed(), 1, "the sink is closed all the same");
}

#[test]
fn with_only_live_sinks_they_hold_the_cursor() {
    use Role::{Durable, Live};
    for (roles, holds) in [
        (vec![Durable, Live], vec![true, false]),
        (vec![Live, Live], vec![true, true]),
        (vec![Durable, Durable], vec![true, true]),
    ] {
        assert_eq!(holders(&roles), holds, "{roles:?}");
    }
}
