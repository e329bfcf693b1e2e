//! Faults of the program's own machine: it is killed, it sleeps, its clock jumps, its disk is full, its names are not known.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use drivetap_tests::{KafkaCluster, Listener, Proxy};
use rustix::process::{Pid, Resource, Rlimit, Signal, prlimit};
use tokio::time::sleep;

use super::graph::quick_pings;
use super::{Row, Sinks, row, together};
use crate::setup::{GRAPH_HOST, REDIS_HOST};
use crate::sinks::Kind;
use crate::stage::Stage;

pub(super) fn rows() -> Vec<Row> {
    vec![
        together("drivetap-kill-9", "the program is killed in the middle of bursts, four times", 60, |stage| {
            Box::pin(killed(stage))
        }),
        together("sleep", "SIGSTOP for 10 s, longer than the heartbeat's 4 s", 60, |stage| Box::pin(slept(stage))),
        Row {
            needs: || lacks(faketime().is_some(), "libfaketime (Debian: libfaketime)"),
            ..together(
                "clock-jump",
                "the wall clock jumps an hour ahead, then two back (libfaketime, preloaded; monotonic time goes on)",
                60,
                |stage| Box::pin(clock_jumps(stage)),
            )
        },
        Row {
            needs: || lacks(unshare(), "a mount namespace of one's own: `unshare --map-root-user --mount`"),
            ..together(
                "disk-full",
                "the file system of the state is full for 10 s, and refuses what would need no more room",
                60,
                |stage| Box::pin(disk_full(stage)),
            )
        },
        Row {
            needs: || lacks(nss_wrapper().is_some(), "nss_wrapper (Debian: libnss-wrapper)"),
            ..row(
                "dns-failure",
                "the server's name is not known for 10 s (nss_wrapper, preloaded), and its connections are cut",
                Sinks::Each(|kind| (kind == Kind::Stdout).then_some("a pipe has no name to look up")),
                60,
                |stage| Box::pin(name_unknown(stage)),
            )
        },
        Row {
            needs: || lacks(nss_wrapper().is_some(), "nss_wrapper (Debian: libnss-wrapper)"),
            ..together(
                "graph-dns-failure",
                "Graph's name is not known for 10 s (nss_wrapper, preloaded), and its connections are cut",
                60,
                |stage| Box::pin(graphs_name_unknown(stage)),
            )
        },
    ]
}

fn lacks(found: bool, what: &str) -> Option<String> {
    (!found).then(|| format!("this machine lacks {what}"))
}

/// The library that Debian's package `libfaketime` brings.
fn faketime() -> Option<PathBuf> {
    library("faketime/libfaketimeMT.so.1")
}

/// The library that Debian's package `libnss-wrapper` brings.
fn nss_wrapper() -> Option<PathBuf> {
    library("libnss_wrapper.so")
}

fn library(name: &str) -> Option<PathBuf> {
    let folders = fs::read_dir("/usr/lib").into_iter().flatten().flatten().map(|entry| entry.path());
    folders.map(|folder| folder.join(name)).find(|path| path.exists())
}

fn unshare() -> bool {
    let tried =
        std::process::Command::new("unshare").args(["--map-root-user", "--mount", "mount", "-t", "tmpfs", "x", "/mnt"]).output();
    tried.is_ok_and(|output| output.status.success())
}

async fn killed(stage: &mut Stage) {
    stage.start().await;
    for round in 0..4 {
        stage.me().burst(30).unwrap();
        sleep(Duration::from_millis(40 * (round + 1))).await;
        stage.kill_program().await;
        stage.me().burst(5).unwrap();
        if round == 2 {
            stage.chapter().await;
        }
        stage.start_program();
    }
    stage.fault_ends();
}

async fn slept(stage: &mut Stage) {
    quick_pings(stage);
    stage.start().await;
    stage.program().signal(Signal::STOP);
    stage.holds(Duration::from_secs(10)).await;
    stage.program().signal(Signal::CONT);
    stage.fault_ends();
}

async fn clock_jumps(stage: &mut Stage) {
    let file = stage.dir.path().join("clock");
    fs::write(&file, "+0").unwrap();
    let env = [
        ("LD_PRELOAD", faketime().unwrap()),
        ("FAKETIME_TIMESTAMP_FILE", file.clone()),
        ("FAKETIME_NO_CACHE", "1".into()),
        ("FAKETIME_DONT_FAKE_MONOTONIC", "1".into()),
        ("DONT_FAKE_MONOTONIC", "1".into()),
    ];
    stage.setup.env.extend(env.map(|(name, value)| (name.to_owned(), value.display().to_string())));
    stage.start().await;
    for (jump, seconds) in [("+3600", 3_600), ("-3600", -3_600)] {
        let draft = file.with_extension("draft");
        fs::write(&draft, jump).unwrap();
        fs::rename(&draft, &file).unwrap();
        stage.keeps_up(Duration::from_secs(30)).await;
        stage.assert_recorded_about(seconds);
    }
    stage.fault_ends();
    stage.chapter().await;
}

/// A file system in memory, of the program's own, that the test fills to the last byte. What the state's file already has of it could
/// still be written over; so the kernel refuses that, too.
async fn disk_full(stage: &mut Stage) {
    let folder = stage.dir.path().join("disk");
    fs::create_dir(&folder).unwrap();
    stage.setup.state = "disk/drivetap.redb".to_owned();
    let mount = "trap '' XFSZ && mount -t tmpfs -o size=8m tmpfs \"$0\" && exec \"$@\"";
    let words = ["unshare", "--map-root-user", "--mount", "sh", "-c", mount, &folder.display().to_string()];
    stage.setup.wrapper = words.map(str::to_owned).to_vec();
    stage.start().await;
    let inside = PathBuf::from(format!("/proc/{}/root{}", stage.program().pid(), folder.display()));
    let filler = inside.join("filler");
    fill(&filler);
    write_no_file_beyond(stage, Some(1));
    stage.holds(Duration::from_secs(10)).await;
    fs::remove_file(&filler).unwrap();
    write_no_file_beyond(stage, None);
    stage.fault_ends();
}

/// `RLIMIT_FSIZE`: `EFBIG` where a full disk says `ENOSPC`. The signal that comes with it is ignored.
fn write_no_file_beyond(stage: &Stage, bytes: Option<u64>) {
    let pid = Pid::from_raw(stage.program().pid().try_into().unwrap());
    prlimit(pid, Resource::Fsize, Rlimit { current: bytes, maximum: None }).unwrap();
}

fn fill(path: &PathBuf) {
    use std::io::Write as _;
    let mut file = fs::File::create(path).unwrap();
    for size in [64 * 1024, 4_096, 1] {
        while file.write_all(&vec![0; size]).is_ok() {}
    }
}

/// A hosts file of the program's own, read again whenever it changes.
fn hosts(stage: &mut Stage) -> PathBuf {
    let file = stage.dir.path().join("hosts");
    let env = [("LD_PRELOAD", nss_wrapper().unwrap()), ("NSS_WRAPPER_HOSTS", file.clone())];
    stage.setup.env.extend(env.map(|(name, value)| (name.to_owned(), value.display().to_string())));
    know(&file, true);
    file
}

fn know(file: &PathBuf, known: bool) {
    let names = [GRAPH_HOST, REDIS_HOST, KafkaCluster::HOST];
    let text = names.map(|name| format!("127.0.0.1 {name}\n")).concat();
    fs::write(file, if known { text } else { "127.0.0.1 nobody\n".to_owned() }).unwrap();
}

async fn name_unknown(stage: &mut Stage) {
    let hosts = hosts(stage);
    stage.setup.listener = Listener::Named;
    stage.setup.redis = format!("redis://{REDIS_HOST}");
    stage.start().await;
    know(&hosts, false);
    stage.sink_proxies().await.into_iter().for_each(Proxy::cut);
    stage.holds(Duration::from_secs(10)).await;
    know(&hosts, true);
    stage.fault_ends();
}

async fn graphs_name_unknown(stage: &mut Stage) {
    let hosts = hosts(stage);
    stage.setup.https = true;
    stage.setup.graph_host = Some(GRAPH_HOST);
    stage.setup.network.insert("ca_file", "ca.pem");
    stage.web.identify(Some(&stage.authority.good()));
    stage.start().await;
    know(&hosts, false);
    stage.web.cut();
    stage.holds(Duration::from_secs(10)).await;
    know(&hosts, true);
    stage.fault_ends();
}
