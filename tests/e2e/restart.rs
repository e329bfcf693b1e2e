//! The cursor in a file: what a stop, a crash and an outage leave behind.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::support::{CHANGE, Event, GAP, RESYNC, Scene, assert_valid, closed_port, of_type};

const STATE: &str = "[state]\npath = \"drivetap.redb\"\n";
const ME_TO_STDOUT: &str = "[[subscription]]\nresource = \"me\"\n[sink.console]\ntype = \"stdout\"\n";

fn changed<'a>(events: &'a [Event], ids: &'a [String]) -> impl Iterator<Item = &'a Event> {
    of_type(events, CHANGE).into_iter().filter(|event| ids.iter().any(|id| id == event.text("subject")))
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_clean_stop_it_goes_on_where_it_was_and_tells_the_gap() {
    let scene = Scene::new().await;
    let toml = format!("{STATE}{ME_TO_STDOUT}");
    let program = scene.run(&toml);
    scene.subscribed(1).await;
    let first = scene.me().burst(3).unwrap();
    program.events("three changes", |events| changed(events, &first).count() == 3).await;
    let before = program.stop().await;
    before.assert(0, &[]);

    let down = scene.me().burst(4).unwrap();
    let program = scene.run(&toml);
    let after = program.events("what changed meanwhile, and the gap", |events| {
        changed(events, &down).count() == 4 && !of_type(events, GAP).is_empty()
    });
    let after = after.await;
    program.stop().await.assert(0, &[]);

    let before = before.events();
    assert_valid(&before);
    assert_valid(&after);
    assert!(of_type(&before, GAP).is_empty(), "the very first start leaves no gap: {before:#?}");
    assert_eq!(of_type(&after, GAP)[0].data()["reason"], "restart");
    let numbers: Vec<_> = [&before, &after].into_iter().flat_map(|events| of_type(events, CHANGE)).map(Event::sequence).collect();
    assert_eq!(numbers.len(), 7, "nothing was acknowledged twice");
    assert!(numbers.windows(2).all(|pair| pair[1] == pair[0] + 1), "{numbers:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_one_durable_sink_did_not_acknowledge_comes_again_under_the_same_ids_after_kill_9() {
    let scene = Scene::new().await;
    // Nobody is there, so the cursor cannot move.
    let stuck = format!("[sink.bus]\ntype = \"kafka\"\nbootstrap_servers = \"127.0.0.1:{}\"\ntopic = \"t\"\n", closed_port());
    let program = scene.run(&format!("{STATE}{ME_TO_STDOUT}{stuck}"));
    scene.subscribed(1).await;
    let first = scene.me().burst(5).unwrap();
    program.events("five changes", |events| changed(events, &first).count() == 5).await;
    let before = program.kill().await;
    assert_eq!(before.code, None, "it was killed");

    let down = scene.me().burst(2).unwrap();
    let program = scene.run(&format!("{STATE}{ME_TO_STDOUT}"));
    let all = |events: &[Event]| {
        changed(events, &first).count() == 5 && changed(events, &down).count() == 2 && !of_type(events, GAP).is_empty()
    };
    let after = program.events("the five again, two more and the gap", all).await;
    program.stop().await.assert(0, &[]);

    let before = before.events();
    assert_valid(&before);
    assert_valid(&after);
    let identity = |event: &Event| (event.sequence(), event.id().to_owned(), event.text("subject").to_owned());
    let published: Vec<_> = changed(&before, &first).map(identity).collect();
    let again: Vec<_> = changed(&after, &first).map(identity).collect();
    assert_eq!(published, again, "a redelivery has the same id and number");
    assert_eq!(of_type(&after, GAP)[0].data()["reason"], "restart");
    let numbers: Vec<_> = of_type(&after, CHANGE).into_iter().map(Event::sequence).collect();
    assert!(numbers.windows(2).all(|pair| pair[1] == pair[0] + 1), "{numbers:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_in_the_middle_of_bursts_it_loses_nothing_and_no_number_is_skipped() {
    let scene = Scene::new().await;
    scene.graph.switch(|switches| switches.page_size = 7);
    let toml = format!("{STATE}{ME_TO_STDOUT}");
    let (mut created, mut lives) = (Vec::new(), Vec::new());
    for round in 0..3 {
        let program = scene.run(&toml);
        if round == 0 {
            scene.subscribed(1).await;
        }
        let burst = scene.me().burst(30).unwrap();
        // Somewhere in the burst, each time elsewhere.
        program.events("some of the burst", |events| changed(events, &burst).count() > round * 9).await;
        created.extend(burst);
        lives.push(program.kill().await.events());
    }
    let program = scene.run(&toml);
    let seen = |lives: &[Vec<Event>], events: &[Event]| {
        let all = lives.iter().flatten().chain(events).filter(|event| event.is(CHANGE));
        all.map(|event| event.text("subject").to_owned()).collect::<BTreeSet<_>>()
    };
    let all = |events: &[Event]| created.iter().all(|id| seen(&lives, events).contains(id)) && !of_type(events, GAP).is_empty();
    let last = program.events("everything that was created, and the gap", all).await;
    program.stop().await.assert(0, &[]);
    lives.push(last);

    let (mut highest, mut known) = (None::<u64>, BTreeMap::<String, Event>::new());
    for life in &lives {
        assert_valid(life);
        assert!(of_type(life, RESYNC).is_empty(), "{life:#?}");
        for event in of_type(life, CHANGE) {
            let number = event.sequence();
            assert!(highest.is_none_or(|highest| number <= highest + 1), "{number} after {highest:?}");
            highest = highest.max(Some(number));
            // `recordedtime` is when it was received, which is not the same the second time.
            let first = known.entry(event.id().to_owned()).or_insert_with(|| event.clone());
            assert_eq!((first.data(), first.text("subject")), (event.data(), event.text("subject")), "one id, two events");
        }
    }
    // Each item changed once, so what is left without its repeats is each item once.
    let subjects: BTreeSet<_> = known.values().map(|event| event.text("subject").to_owned()).collect();
    assert_eq!((known.len(), subjects), (created.len(), created.into_iter().collect()), "a consumer that drops repeats by id");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cursor_that_graph_forgot_is_told_and_the_drive_is_enumerated() {
    let scene = Scene::new().await;
    let program = scene.run(ME_TO_STDOUT);
    scene.subscribed(1).await;
    scene.me().create("/", "Before.txt").unwrap();
    program.events("the change before", |events| of_type(events, CHANGE).len() == 1).await;

    scene.me().expire_tokens();
    scene.me().create("/", "After.txt").unwrap();
    let events = program.events("a resync from here to there", |events| of_type(events, RESYNC).len() == 2).await;
    program.stop().await.assert(0, &[]);

    assert_valid(&events);
    let numbered: Vec<_> = events.iter().filter(|event| event.is(CHANGE) || event.is(RESYNC)).collect();
    assert!(numbered.windows(2).all(|pair| pair[1].sequence() == pair[0].sequence() + 1), "{numbered:#?}");
    let phase = |name: &str| numbered.iter().position(|event| event.is(RESYNC) && event.data()["phase"] == name).unwrap();
    let (started, completed) = (phase("started"), phase("completed"));
    assert_eq!(numbered[started].data()["code"], "resyncChangesApplyDifferences");
    let enumerated: BTreeSet<_> = numbered[started + 1..completed].iter().map(|event| event.text("subject").to_owned()).collect();
    let there: BTreeSet<_> = scene.me().items().into_iter().map(|(id, _)| id).collect();
    assert_eq!(enumerated, there, "everything that is there, the root included");
    assert_eq!(numbered[completed].data()["items"], enumerated.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_state_file_in_use_is_refused_by_name_of_its_holder() {
    let scene = Scene::new().await;
    let toml = format!("{STATE}{ME_TO_STDOUT}");
    let mut holder = scene.run(&toml);
    scene.subscribed(1).await;
    let second = scene.run(&toml).end().await;
    second.assert(69, &["drivetap.redb", &holder.pid().to_string()]);
    holder.assert_stays(Duration::from_millis(200)).await;
    holder.stop().await.assert(0, &[]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_state_file_that_cannot_be_read_is_said_and_left_as_it_is() {
    let scene = Scene::new().await;
    let file = scene.path("drivetap.redb");
    let garbage = b"somebody else's notes".repeat(500);
    std::fs::write(&file, &garbage).unwrap();
    scene.run(&format!("{STATE}{ME_TO_STDOUT}")).end().await.assert(78, &["drivetap.redb"]);
    assert_eq!(std::fs::read(&file).unwrap(), garbage);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_state_it_warns_that_cursors_are_in_memory() {
    let scene = Scene::new().await;
    let program = scene.run(ME_TO_STDOUT);
    program.says("[state]").await;
    program.stop().await.assert(0, &[]);
}
