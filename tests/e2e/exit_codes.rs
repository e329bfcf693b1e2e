//! How it ends, in numbers: README.md, "Exit codes".

use std::time::Duration;

use drivetap_emulator::{Account, Config, ME_DRIVE};
use tokio::process::Command;

use crate::support::{CHANGE, Program, Scene, Signal, TOKEN, closed_port, config, drivetap, get, of_type, until};

const ME_TO_STDOUT: &str = "[[subscription]]\nresource = \"me\"\n[sink.console]\ntype = \"stdout\"\n";

/// A JWT with `roles` and no `scp`: an application's own.
const APPLICATION: &str = "eyJhbGciOiJSUzI1NiIsInR5cCI6IkpXVCJ9.eyJyb2xlcyI6WyJGaWxlcy5SZWFkLkFsbCJdfQ.c2lnbmF0dXJl";

/// A durable sink that nobody answers.
fn stuck() -> String {
    format!("[sink.bus]\ntype = \"kafka\"\nbootstrap_servers = \"127.0.0.1:{}\"\ntopic = \"t\"\n", closed_port())
}

#[tokio::test(flavor = "multi_thread")]
async fn arguments_that_mean_nothing_are_64() {
    for args in
        [&["no-such-command"][..], &["run"], &["listen"], &["listen", "nonsense"], &["demo", "--for", "soon"], &["--no-such"]]
    {
        let ended = Program::drivetap(args, &[]).end().await;
        ended.assert(64, &[]);
        assert!(ended.stdout.is_empty() && !ended.stderr.is_empty(), "{args:?}: {ended:#?}");
    }
    Program::drivetap(["--version"], &[]).end().await.assert(0, &[]);
    Program::drivetap(["--help"], &[]).end().await.assert(0, &[]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_graph_or_a_sink_that_cannot_be_reached_is_69_where_it_is_needed_and_run_waits() {
    let scene = Scene::new().await;
    let (real, nobody) = (scene.graph.base_url(), closed_port());
    let graph = format!("http://127.0.0.1:{nobody}/v1.0");
    scene.drivetap(&["listen", "me", "--base-url", &graph]).end().await.assert(69, &["does not give the drive of me", "refused"]);
    for sink in [format!("kafka://127.0.0.1:{nobody}/t"), format!("redis://127.0.0.1:{nobody}?channel=c")] {
        let ended = scene.drivetap(&["listen", "me", "--base-url", &real, "--sink", &sink]).end().await;
        ended.assert(69, &[]);
        assert!(ended.stderr.iter().any(|line| line.contains(&nobody.to_string())), "{sink}: {ended:#?}");
        let raw = |line: &String| line.contains("librdkafka") || line.contains("ERROR");
        assert!(!ended.stderr.iter().any(raw), "one readable reason is enough: {ended:#?}");
    }
    let ended = scene.drivetap(&["listen", "drive:nope", "--base-url", &real]).end().await;
    ended.assert(
        69,
        &["shows no drive for drive:nope: itemNotFound (request-id ", "; the id is wrong, or this account may not see it"],
    );

    let file = scene.path("away.toml");
    std::fs::write(&file, config(&graph, ME_TO_STDOUT)).unwrap();
    let mut service = scene.drivetap(&["run", "-c", file.to_str().unwrap()]);
    service.says("refused").await;
    service.assert_stays(Duration::from_secs(1)).await;
    service.stop().await.assert(0, &[]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sign_in_that_is_needed_is_77_in_clear_words() {
    let accounts = vec![Account::new("owner", ME_DRIVE).token("the-right-one")];
    let scene = Scene::with(Config { accounts, ..Config::default() }).await;
    let base_url = scene.graph.base_url();
    let file = scene.path("drivetap.toml");
    std::fs::write(&file, config(&base_url, ME_TO_STDOUT)).unwrap();
    let commands = [&["run", "-c", file.to_str().unwrap()][..], &["listen", "me", "--base-url", &base_url]];
    for args in commands {
        for (env, said) in [
            (&[("DRIVETAP_TOKEN", "")][..], "the access token is empty"),
            (&[("DRIVETAP_TOKEN", "  ")], "the access token is empty"),
            (&[], "DRIVETAP_TOKEN is not set"),
            (&[("DRIVETAP_TOKEN", APPLICATION)], "Application: Not supported"),
            (&[("DRIVETAP_TOKEN", "Bearer x")], "the bare token"),
            (&[("DRIVETAP_TOKEN", TOKEN)], "InvalidAuthenticationToken"),
        ] {
            let ended = Program::drivetap(args, env).end().await;
            ended.assert(77, &[said, "put a delegated access token with Files.Read into DRIVETAP_TOKEN"]);
            if args[0] == "run" {
                assert_eq!(ended.drained()["delivered"], 0, "{ended:#?}");
            }
            assert!(ended.stdout.is_empty(), "{ended:#?}");
        }
    }
}

/// What no correct program can do without, taken away: the way to a mistake of drivetap's own that needs no mistake.
#[tokio::test(flavor = "multi_thread")]
async fn where_the_system_gives_nothing_to_run_on_it_is_70_and_a_panic_is_70_too() {
    // Four open files: the loader's, then the runtime's first, and none for its second.
    let mut command = Command::new("sh");
    command.args(["-c", "ulimit -n 4; exec \"$0\" path me"]).arg(drivetap()).env_clear();
    let ended = Program::spawn(command).end().await;
    ended.assert(70, &["no runtime: Too many open files"]);
    assert!(ended.stdout.is_empty(), "{ended:#?}");

    // No address space has such a stack. tokio panics where it cannot have a thread.
    let ended = Program::drivetap(["path", "me"], &[("RUST_MIN_STACK", "1000000000000000")]).end().await;
    ended.assert(70, &["OS can't spawn worker thread", "internal error: drivetap panicked; the lines above say where"]);
    assert!(ended.stdout.is_empty(), "{ended:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn one_account_that_has_to_sign_in_does_not_stop_the_others() {
    let scene = Scene::new().await;
    let toml = format!(
        "[account.away]\ntoken = {{ env = \"NOT_SET\" }}\n[[subscription]]\nresource = \"drive:{ME_DRIVE}\"\naccount = \"away\"\n{ME_TO_STDOUT}"
    );
    let program = scene.run(&toml);
    scene.subscribed(1).await;
    scene.me().create("/", "Still there.txt").unwrap();
    program.events("the other account's change", |events| !of_type(events, CHANGE).is_empty()).await;
    let ended = program.stop().await;
    ended.assert(0, &["NOT_SET"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_signal_stops_at_once() {
    for (signal, code) in [(Signal::INT, 130), (Signal::TERM, 143)] {
        let scene = Scene::new().await;
        let admin = format!("127.0.0.1:{}", closed_port());
        // The drain would wait for this sink for ten minutes.
        let toml = format!("{ME_TO_STDOUT}{}[admin]\nlisten = \"{admin}\"\n[shutdown]\ndeadline = \"10m\"\n", stuck());
        let program = scene.run(&toml);
        scene.subscribed(1).await;
        scene.me().create("/", "Waits.txt").unwrap();
        program.events("the change", |events| !of_type(events, CHANGE).is_empty()).await;
        program.signal(signal);
        draining(&admin).await;
        program.signal(signal);
        program.end().await.assert(code, &[]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_drain_that_ends_at_its_deadline_is_0_and_counts_what_it_leaves() {
    let scene = Scene::new().await;
    let program = scene.run(&format!("{ME_TO_STDOUT}{}[shutdown]\ndeadline = \"500ms\"\n", stuck()));
    scene.subscribed(1).await;
    scene.me().create("/", "Left.txt").unwrap();
    program.events("the change", |events| !of_type(events, CHANGE).is_empty()).await;
    let ended = program.stop().await;
    ended.assert(0, &[]);
    let (console, bus) = (ended.sink("console"), ended.sink("bus"));
    assert_eq!((bus["delivered"], bus["abandoned"]), (0, console["delivered"]), "{ended:#?}");
    assert_eq!(ended.drained()["abandoned"], bus["abandoned"], "{ended:#?}");
}

/// Waits until `/readyz` says that it drains.
async fn draining(admin: &str) {
    loop {
        if get(admin, "/readyz").await.is_some_and(|(status, body)| status == 503 && body.contains("drain")) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_idle_service_ends_at_once_when_it_is_asked_to() {
    let scene = Scene::new().await;
    let program = scene.run(ME_TO_STDOUT);
    scene.subscribed(1).await;
    let asked = std::time::Instant::now();
    let ended = program.stop().await;
    ended.assert(0, &[]);
    assert!(asked.elapsed() < Duration::from_secs(10), "{:?}", asked.elapsed());
    assert_eq!(ended.drained()["delivered"], 0, "{ended:#?}");
    until("the socket is closed", || scene.graph.stats().open_sockets == 0).await;
}
