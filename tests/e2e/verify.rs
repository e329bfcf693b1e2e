//! `drivetap verify`: what a sink holds against what the drive holds, on a real Kafka.

use std::fs;
use std::time::Duration;

use drivetap_emulator::{Fault, Gone, Route};
use tokio::process::Command;

use crate::support::kafka::{Record, Topic, events, groups};
use crate::support::{
    CHANGE, Ended, Event, Program, RESYNC, Scene, Signal, TOKEN, closed_port, config, drivetap, of_type, redis, unique,
};

const STATE: &str = "[state]\npath = \"drivetap.redb\"\n";
const FROM_BEGINNING: &str = "[[subscription]]\nresource = \"me\"\nstart = \"beginning\"\n";
const FROM_NOW: &str = "[[subscription]]\nresource = \"me\"\n";
const CONSOLE: &str = "[sink.console]\ntype = \"stdout\"\n";
const CLEAN: &str = "0 missing, 0 extra, 0 stale, 0 repeats, 0 not covered";

#[tokio::test(flavor = "multi_thread")]
async fn a_drive_that_was_told_in_full_is_clean_from_kafka_in_both_modes_from_a_file_and_from_standard_input() {
    let scene = Scene::new().await;
    scene.graph.switch(|switches| switches.page_size = 4);
    let (binary, structured) = (Topic::new("e2e-verify").await, Topic::new("e2e-verify").await);
    let toml =
        format!("{FROM_BEGINNING}{CONSOLE}{}{}mode = \"structured\"\n", binary.sink("binary"), structured.sink("structured"));
    let program = scene.run(&toml);
    scene.subscribed(1).await;
    busy_day(&scene);
    program.events("the last change", |events| told(events, "The end.txt")).await;
    let ended = program.stop().await;
    ended.assert(0, &[]);
    // Cut off in the middle of a line that says nothing new.
    let torn = format!("{}\n{}", ended.stdout.join("\n"), &ended.stdout[0][..100]);
    fs::write(scene.path("torn.jsonl"), torn).unwrap();
    fs::write(scene.path("events.jsonl"), ended.stdout.join("\n")).unwrap();

    let file = scene.path("events.jsonl");
    let file = file.to_str().unwrap();
    for args in [&["--sink", "binary"][..], &["--sink", "structured"], &["--events", file]] {
        let ended = verify(&scene, &toml, args).await;
        ended.assert(0, &["items in the drive"]);
        assert_eq!(ended.stdout, [CLEAN], "{args:?}: {ended:#?}");
    }
    let ended = from_stdin(&scene, &toml, scene.path("torn.jsonl").to_str().unwrap()).await;
    ended.assert(0, &["is not whole"]);
    assert_eq!(ended.stdout, [CLEAN], "{ended:#?}");
    assert_eq!(groups("drivetap-read-back").await, Vec::<String>::new(), "a consumer group was made");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_that_is_missing_from_the_topic_is_found_whatever_it_told() {
    let scene = Scene::new().await;
    let whole = Topic::new("e2e-verify").await;
    let toml = |topic: &Topic| format!("{FROM_BEGINNING}{CONSOLE}{}", topic.sink("bus"));
    let program = scene.run(&toml(&whole));
    scene.subscribed(1).await;
    program.events("the drive", |events| told(events, "Notes.md")).await;
    let made = scene.me().create("/", "Made.txt").unwrap();
    program.events("a change", |events| told(events, "Made.txt")).await;
    let updated = scene.me().rename("/Notes.md", "Renamed.md").unwrap();
    program.events("a change", |events| told(events, "Renamed.md")).await;
    let deleted = scene.me().create("/", "Deleted.txt").unwrap();
    program.events("a change", |events| told(events, "Deleted.txt")).await;
    scene.me().delete(&deleted).unwrap();
    let gone = |event: &&Event| event.text("subject") == deleted && event.data()["kind"] == "deleted";
    program.events("a deletion", |events| of_type(events, CHANGE).iter().any(gone)).await;
    scene.me().create("/", "The end.txt").unwrap();
    program.events("the last change", |events| told(events, "The end.txt")).await;
    program.stop().await.assert(0, &[]);
    let records = whole.read("all of it", |records| told(&events(records), "The end.txt")).await;

    for (lost, word, numbers, differs) in [
        (&made, "missing", "1 missing, 0 extra, 0 stale", "never told"),
        (&deleted, "extra", "0 missing, 1 extra, 0 stale", "not in the drive; last told by sequence"),
        (&updated, "stale", "0 missing, 0 extra, 1 stale", "differs in name, eTag"),
    ] {
        let torn = Topic::new("e2e-verify").await;
        torn.write(without_the_last_about(lost, &records)).await;
        let ended = verify(&scene, &toml(&torn), &["--sink", "bus", "--recheck-after", "200ms"]).await;
        ended.assert(1, &["differences; they count if they are still there in 200ms"]);
        let [difference, gap, last] = ended.stdout.as_slice() else { panic!("{ended:#?}") };
        assert!(difference.starts_with(word) && difference.contains(lost.as_str()) && difference.contains(differs), "{ended:#?}");
        assert!(gap.starts_with("sequence  after ") && gap.contains(" comes ") && gap.contains("offset"), "{ended:#?}");
        assert_eq!(*last, format!("{numbers}, 0 repeats, 0 not covered"), "{ended:#?}");
    }

    let torn = Topic::new("e2e-verify").await;
    torn.write(without_the_last_about(&made, &records)).await;
    let ended = verify(&scene, &toml(&torn), &["--sink", "bus", "--recheck-after", "200ms", "--json"]).await;
    ended.assert(1, &[]);
    let json: serde_json::Value = serde_json::from_str(&ended.stdout.concat()).unwrap();
    assert_eq!((&json["missing"], &json["feeds"][0]["differences"][0]["id"]), (&1.into(), &made.as_str().into()), "{json:#}");
    assert_eq!(json["feeds"][0]["sequence_gaps"].as_array().unwrap().len(), 1, "{json:#}");
}

#[tokio::test(flavor = "multi_thread")]
async fn after_kill_9_and_a_restart_nothing_is_missing_and_each_event_told_again_is_a_repeat() {
    let scene = Scene::new().await;
    let topic = Topic::new("e2e-verify").await;
    let toml = format!("{STATE}{FROM_BEGINNING}{}", topic.sink("bus"));
    let program = scene.run(&toml);
    scene.subscribed(1).await;
    for _ in 0..20 {
        scene.me().burst(10).unwrap();
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    program.signal(Signal::KILL);
    program.end().await;
    busy_day(&scene);
    let program = scene.run(&toml);
    let records = topic.read("the last change", |records| told(&events(records), "The end.txt")).await;
    program.stop().await.assert(0, &[]);

    let ids: std::collections::BTreeSet<_> = events(&records).iter().map(|event| event.id().to_owned()).collect();
    let repeats = records.len() - ids.len();
    let ended = verify(&scene, &toml, &["--sink", "bus"]).await;
    ended.assert(0, &[]);
    // What came after it was read here is a signal, or nothing: no repeat.
    assert_eq!(ended.stdout, [format!("0 missing, 0 extra, 0 stale, {repeats} repeats, 0 not covered")], "{ended:#?}");

    let again = records.iter().rev().take(5).rev().cloned().collect();
    topic.write(again).await;
    let ended = verify(&scene, &toml, &["--sink", "bus"]).await;
    ended.assert(0, &[]);
    let last = format!("0 missing, 0 extra, 0 stale, {} repeats, 0 not covered", repeats + 5);
    assert_eq!(ended.stdout, [last], "{ended:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_there_before_the_first_event_is_not_covered() {
    let scene = Scene::new().await;
    let topic = Topic::new("e2e-verify").await;
    let toml = format!("{STATE}{FROM_NOW}{CONSOLE}{}", topic.sink("bus"));
    let before = scene.me().items().len();
    let program = scene.run(&toml);
    scene.subscribed(1).await;
    scene.me().create("/", "New.txt").unwrap();
    program.events("the change", |events| told(events, "New.txt")).await;
    program.stop().await.assert(0, &[]);
    let ended = verify(&scene, &toml, &["--sink", "bus"]).await;
    ended.assert(0, &[]);
    assert_eq!(ended.stdout, [format!("0 missing, 0 extra, 0 stale, 0 repeats, {before} not covered")], "{ended:#?}");

    // A resync tells of everything, and of what is gone without a word.
    let notes = scene.me().find("/Notes.md").unwrap();
    scene.me().delete(&notes).unwrap();
    scene.me().expire_tokens();
    let program = scene.run(&toml);
    let ends = |event: &&Event| event.data()["phase"] == "completed";
    program.events("the resync", |events| of_type(events, RESYNC).iter().any(ends)).await;
    program.stop().await.assert(0, &[]);
    let ended = verify(&scene, &toml, &["--sink", "bus"]).await;
    ended.assert(0, &[]);
    assert_eq!(ended.stdout, [CLEAN], "{ended:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_on_its_way_is_looked_at_again_and_does_not_count() {
    let scene = Scene::new().await;
    let topic = Topic::new("e2e-verify").await;
    let toml = format!("{STATE}{FROM_BEGINNING}{CONSOLE}{}", topic.sink("bus"));
    let program = scene.run(&toml);
    scene.subscribed(1).await;
    program.events("the drive", |events| told(events, "Notes.md")).await;
    program.stop().await.assert(0, &[]);

    scene.me().create("/", "On its way.txt").unwrap();
    let verifying = verifying(&scene, &toml, &["--sink", "bus", "--recheck-after", "15s"]);
    verifying.says("1 differences").await;
    let program = scene.run(&toml);
    program.events("the change", |events| told(events, "On its way.txt")).await;
    let ended = verifying.end().await;
    ended.assert(0, &[]);
    assert_eq!(ended.stdout, [CLEAN], "{ended:#?}");
    program.stop().await.assert(0, &[]);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_enumeration_waits_where_graph_asks_for_it_and_begins_again_where_it_is_cut_off() {
    let scene = Scene::new().await;
    let toml = format!("{FROM_BEGINNING}{CONSOLE}");
    let program = scene.run(&toml);
    scene.subscribed(1).await;
    busy_day(&scene);
    program.events("the last change", |events| told(events, "The end.txt")).await;
    let ended = program.stop().await;
    ended.assert(0, &[]);
    let file = scene.path("events.jsonl");
    fs::write(&file, ended.stdout.join("\n")).unwrap();
    let args = ["--events", file.to_str().unwrap()];

    scene.graph.switch(|switches| (switches.page_size, switches.repeated_items) = (4, true));
    scene.graph.fault(Fault::throttled(Route::Delta, 1).times(1).after(1));
    scene.graph.fault(Fault::gone(Gone::default()).times(1).after(3));
    scene.graph.fault(Fault::html(Route::Delta, 502).times(2).after(5));
    let ended = verify(&scene, &toml, &args).await;
    ended.assert(0, &["activityLimitReached (request-id ", "; once more in 1s", "resyncChangesApplyDifferences", "HTTP 502"]);
    assert_eq!(ended.stdout, [CLEAN], "{ended:#?}");
    // Each once, however often it was shown.
    ended.assert(0, &[&format!(" {} items in the drive", scene.me().items().len())]);

    scene.graph.clear_faults();
    scene.graph.fault(Fault::error(Route::Delta, 403, "accessDenied").times(1_000));
    let ended = verify(&scene, &toml, &args).await;
    ended.assert(69, &["does not enumerate the drive", "accessDenied (request-id "]);
    assert!(ended.stdout.is_empty(), "{ended:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_verified_is_said_with_its_exit_code() {
    let scene = Scene::new().await;
    let topic = Topic::new("e2e-verify").await;
    let channel = unique("e2e");
    let away = format!("[sink.away]\ntype = \"kafka\"\nbootstrap_servers = \"127.0.0.1:{}\"\ntopic = \"t\"\n", closed_port());
    let missing = topic.sink("missing").replace(&topic.name, &unique("e2e-missing"));
    let toml = format!("{FROM_NOW}{CONSOLE}{}{}{away}{missing}", topic.sink("bus"), redis::sink("live", &channel));
    for (args, code, said) in [
        (&["--sink", "away"][..], 69, "is not reachable"),
        (&["--sink", "missing"], 69, "does not exist"),
        (&["--sink", "console"], 64, "keeps nothing"),
        (&["--sink", "live"], 64, "--events -"),
        (&["--sink", "bsu"], 64, "the configuration has console, bus, live, away, missing"),
        (&[], 64, "--sink"),
        (&["--events", "/no/such/file"], 69, "/no/such/file cannot be read"),
    ] {
        let ended = verify(&scene, &toml, args).await;
        ended.assert(code, &[said]);
        assert!(ended.stdout.is_empty(), "{args:?}: {ended:#?}");
    }
    // Nothing there yet, and nothing claimed.
    let ended = verify(&scene, &toml, &["--sink", "bus"]).await;
    ended.assert(0, &["no event is of this feed"]);

    let file = scene.path("verify.toml");
    let run = |env: &[(&str, &str)]| Program::drivetap(["verify", "-c", file.to_str().unwrap(), "--sink", "bus"], env).end();
    run(&[]).await.assert(77, &["DRIVETAP_TOKEN is not set", "put a delegated access token"]);
    fs::write(&file, config(&format!("http://127.0.0.1:{}/v1.0", closed_port()), &toml)).unwrap();
    run(&[("DRIVETAP_TOKEN", TOKEN)]).await.assert(69, &["refused"]);
    fs::write(&file, "[grap]\n").unwrap();
    run(&[]).await.assert(78, &["did you mean \"graph\"?"]);
}

/// Everything that can happen to an item.
fn busy_day(scene: &Scene) {
    let me = scene.me();
    let folder = me.create_folder("/", "Trips").unwrap();
    let moved = me.create("/", "Moved.txt").unwrap();
    me.move_to(&moved, &folder).unwrap();
    me.rename(&folder, "Trips of last year").unwrap();
    let updated = me.create(&folder, "Updated.txt").unwrap();
    me.update(&updated).unwrap();
    let gone = me.create("/", "Gone.txt").unwrap();
    me.delete(&gone).unwrap();
    let back = me.create("/", "Back.txt").unwrap();
    me.delete(&back).unwrap();
    me.restore(&back).unwrap();
    me.burst(30).unwrap();
    me.create("/", "The end.txt").unwrap();
}

fn told(events: &[Event], name: &str) -> bool {
    of_type(events, CHANGE).iter().any(|event| event.item_name() == name)
}

/// All records but the last change of an item.
fn without_the_last_about(item: &str, records: &[Record]) -> Vec<Record> {
    let about = |event: &Event| event.is(CHANGE) && event.text("subject") == item;
    let last = events(records).iter().rposition(about).expect("the change is there");
    let before = records[..last].iter();
    before.chain(&records[last + 1..]).cloned().collect()
}

async fn verify(scene: &Scene, toml: &str, args: &[&str]) -> Ended {
    verifying(scene, toml, args).end().await
}

fn verifying(scene: &Scene, toml: &str, args: &[&str]) -> Program {
    let file = write(scene, toml);
    scene.drivetap(&[&["verify", "-c", &file], args].concat())
}

async fn from_stdin(scene: &Scene, toml: &str, events: &str) -> Ended {
    let file = write(scene, toml);
    let mut command = Command::new("/bin/sh");
    command.args(["-c", "exec \"$0\" verify -c \"$1\" --events - <\"$2\""]).arg(drivetap()).args([&file, events]);
    command.env_clear().env("DRIVETAP_TOKEN", TOKEN);
    Program::spawn(command).end().await
}

/// Beside the service's own file, which a running service may still read.
fn write(scene: &Scene, toml: &str) -> String {
    let file = scene.path("verify.toml");
    fs::write(&file, config(&scene.graph.base_url(), toml)).unwrap();
    file.to_str().unwrap().to_owned()
}
