//! What an operator asks: is it alive, is it ready, what does it count.

use std::time::Duration;

use drivetap_emulator::Handshake;

use crate::support::{CHANGE, Scene, Signal, closed_port, get, of_type};

/// Counts, sizes of queues, the age of a cursor. Dashboards are built on these names.
const METRICS: [&str; 10] = [
    "drivetap_events_total{",
    "drivetap_notifications_received_total",
    "drivetap_ready 1",
    "drivetap_feed_sessions{",
    "drivetap_feed_sequence{",
    "drivetap_feed_cursor_age_seconds{",
    "drivetap_unresolved_subscriptions 0",
    "drivetap_sink_up{",
    "drivetap_sink_queued_bytes{",
    "drivetap_sink_waiting_signals{",
];

#[tokio::test(flavor = "multi_thread")]
async fn it_is_ready_with_a_session_and_neither_without_one_nor_while_it_drains() {
    let scene = Scene::new().await;
    scene.graph.switch(|switches| switches.handshake = Handshake::Refused(503));
    let admin = format!("127.0.0.1:{}", closed_port());
    let stuck = format!("[sink.bus]\ntype = \"kafka\"\nbootstrap_servers = \"127.0.0.1:{}\"\ntopic = \"t\"\n", closed_port());
    let program = scene.run(&format!(
        "[[subscription]]\nresource = \"me\"\n[sink.console]\ntype = \"stdout\"\n{stuck}[admin]\nlisten = \"{admin}\"\n\
         [shutdown]\ndeadline = \"10m\"\n"
    ));

    answers(&admin, "/healthz", 200).await;
    answers(&admin, "/readyz", 503).await;
    scene.graph.switch(|switches| switches.handshake = Handshake::Normal);
    answers(&admin, "/readyz", 200).await;
    answers(&admin, "/no-such-page", 404).await;

    scene.me().create("/", "Counted.txt").unwrap();
    program.events("a change", |events| !of_type(events, CHANGE).is_empty()).await;
    let (status, metrics) = get(&admin, "/metrics").await.unwrap();
    assert_eq!(status, 200);
    for name in METRICS {
        assert!(metrics.lines().any(|line| line.starts_with(name)), "no {name}: {metrics}");
    }

    program.signal(Signal::TERM);
    answers(&admin, "/readyz", 503).await;
    answers(&admin, "/healthz", 200).await;
    program.signal(Signal::TERM);
    program.end().await.assert(143, &[]);
}

#[tokio::test(flavor = "multi_thread")]
async fn no_port_is_opened_unless_asked_for() {
    let scene = Scene::new().await;
    let program = scene.run("[[subscription]]\nresource = \"me\"\n[sink.console]\ntype = \"stdout\"\n");
    scene.subscribed(1).await;
    let listening = listening_sockets(program.pid());
    assert_eq!(listening, 0, "it listens somewhere");
    program.stop().await.assert(0, &[]);
}

/// Waits for the status; nobody listens at first.
async fn answers(admin: &str, path: &str, status: u16) {
    let mut last = None;
    let asking = async {
        loop {
            last = get(admin, path).await;
            if last.as_ref().is_some_and(|(got, _)| *got == status) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    if tokio::time::timeout(crate::support::PATIENCE, asking).await.is_err() {
        panic!("{path} does not answer {status}: {last:?}");
    }
}

/// How many of a process's sockets listen, as Linux lists them.
fn listening_sockets(pid: u32) -> usize {
    const LISTEN: &str = "0A";
    let tables = ["tcp", "tcp6"].map(|table| std::fs::read_to_string(format!("/proc/{pid}/net/{table}")).unwrap_or_default());
    let inodes: Vec<_> = tables
        .iter()
        .flat_map(|table| table.lines().skip(1))
        .map(|line| line.split_whitespace().collect::<Vec<_>>())
        .filter(|fields| fields.get(3) == Some(&LISTEN))
        .filter_map(|fields| fields.get(9).map(|inode| format!("socket:[{inode}]")))
        .collect();
    let open = std::fs::read_dir(format!("/proc/{pid}/fd")).unwrap();
    let open = open.filter_map(|entry| std::fs::read_link(entry.ok()?.path()).ok());
    open.filter(|target| inodes.iter().any(|inode| target.as_os_str() == inode.as_str())).count()
}
