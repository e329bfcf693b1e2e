//! SIGTERM with events in hand: the drain ends by its deadline, and at once where nothing is left to wait for.
//!
//! Upper bounds only, and generous ones: a machine that is busy may take its time, a drain that hangs takes for ever.

use std::net::TcpListener;
use std::process::Stdio;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::Command;
use tokio::time::timeout;

use crate::support::{CHANGE, Program, Scene, TOKEN, closed_port, config, drivetap, of_type};

const DEADLINE: Duration = Duration::from_secs(3);
const LATE: Duration = Duration::from_secs(10);
const SHUTDOWN: &str = "[shutdown]\ndeadline = \"3s\"\n";
const ME: &str = "[[subscription]]\nresource = \"me\"\n";
const CONSOLE: &str = "[sink.console]\ntype = \"stdout\"\n";

#[tokio::test(flavor = "multi_thread")]
async fn events_for_a_kafka_that_is_away_or_never_answers_are_abandoned_by_the_deadline() {
    // Connected and left without an answer, by a listener that nobody accepts from.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    for port in [closed_port(), silent.local_addr().unwrap().port()] {
        let scene = Scene::new().await;
        let bus = format!("[sink.bus]\ntype = \"kafka\"\nbootstrap_servers = \"127.0.0.1:{port}\"\ntopic = \"t\"\n");
        let program = scene.run(&format!("{ME}{CONSOLE}{bus}{SHUTDOWN}"));
        scene.subscribed(1).await;
        scene.me().create("/", "In hand.txt").unwrap();
        program.events("the change", |events| !of_type(events, CHANGE).is_empty()).await;

        let asked = Instant::now();
        let ended = program.stop().await;
        ended.assert(0, &[]);
        assert!(asked.elapsed() < DEADLINE + LATE, "{:?}", asked.elapsed());
        let (console, bus) = (ended.sink("console"), ended.sink("bus"));
        assert_eq!((bus["delivered"], bus["abandoned"]), (0, console["delivered"] + console["abandoned"]), "{ended:#?}");
        assert!(ended.drained()["abandoned"] >= 2, "a signal and a change: {ended:#?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_that_does_not_read_holds_up_no_exit() {
    let scene = Scene::new().await;
    let file = scene.path("drivetap.toml");
    let start = "start = \"beginning\"\n";
    std::fs::write(&file, config(&scene.graph.base_url(), &format!("{ME}{start}{CONSOLE}{SHUTDOWN}"))).unwrap();
    // More than a pipe holds.
    scene.me().burst(500).unwrap();
    let mut command = Command::new(drivetap());
    command.args(["run", "-c", file.to_str().unwrap()]).env_clear().env("DRIVETAP_TOKEN", TOKEN);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    let mut child = command.spawn().unwrap();
    let unread = child.stdout.take().unwrap();
    scene.subscribed(1).await;
    tokio::time::sleep(Duration::from_secs(1)).await;

    let asked = Instant::now();
    kill_process(Pid::from_raw(child.id().unwrap().try_into().unwrap()).unwrap(), Signal::TERM).unwrap();
    let status = timeout(DEADLINE + LATE, child.wait()).await.expect("it ends by its deadline").unwrap();
    assert_eq!(status.code(), Some(0), "after {:?}", asked.elapsed());
    let mut said = BufReader::new(child.stderr.take().unwrap()).lines();
    let mut last = String::new();
    while let Some(line) = said.next_line().await.unwrap() {
        last = line;
    }
    let count = |name: &str| {
        let words = last.strip_prefix("drained: ").unwrap_or_else(|| panic!("the last line is no report: {last}")).split(' ');
        words.filter_map(|word| word.split_once('=')).find(|(key, _)| *key == name).unwrap().1.parse::<u64>().unwrap()
    };
    // What is left in the pipe was taken by the system; the rest had no acknowledgement.
    assert!(count("abandoned") > 0 && count("dead_lettered") == 0, "{last}");
    drop(unread);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_idle_drain_does_not_wait_for_a_sink_that_is_away() {
    let scene = Scene::new().await;
    let nobody = closed_port();
    let deadline = "[shutdown]\ndeadline = \"10m\"\n";
    let redis = |role: &str| {
        format!("[sink.away]\ntype = \"redis\"\nurl = \"redis://127.0.0.1:{nobody}\"\nchannel = \"c\"\nrole = \"{role}\"\n")
    };
    for role in ["live", "durable"] {
        let program: Program = scene.run(&format!("{ME}{CONSOLE}{}{deadline}", redis(role)));
        program.says(&nobody.to_string()).await;
        scene.subscribed(1).await;
        let asked = Instant::now();
        let ended = program.stop().await;
        ended.assert(0, &[]);
        assert!(asked.elapsed() < LATE, "{role}: {:?}", asked.elapsed());
        assert_eq!((ended.drained()["delivered"], ended.drained()["abandoned"]), (0, 0), "{ended:#?}");
    }
}
