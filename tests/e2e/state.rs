//! The state file: a disk that is full, a file that is damaged, a file of an earlier day.

use std::fs::{self, File};
use std::io::Write as _;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::process::Command;

use crate::support::{CHANGE, Event, Program, RESYNC, Scene, Signal, TOKEN, closed_port, config, drivetap, get, of_type};

const ME: &str = "[[subscription]]\nresource = \"me\"\n[sink.console]\ntype = \"stdout\"\n";
const STATE: &str = "[state]\npath = \"drivetap.redb\"\n";

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_holds_the_feed_is_said_and_goes_by_itself_when_there_is_room_again() {
    let scene = Scene::new().await;
    let admin = format!("127.0.0.1:{}", closed_port());
    let (mut program, disk) = on_a_disk_of("2m", &scene, &format!("{ME}[admin]\nlisten = \"{admin}\"\n")).await;
    let ballast = disk.join("ballast");
    let made = held_by_a_full_disk(&scene, &program, &ballast).await;
    program.says("No space left on device").await;
    let held = not_ready(&admin).await;
    assert!(held.contains("the state cannot be used") && held.contains("No space left on device"), "{held}");
    program.assert_stays(Duration::from_secs(1)).await;

    fs::remove_file(&ballast).unwrap();
    goes_on_whole(&scene, program, &admin, made).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disk_that_is_full_from_the_start_is_said_by_name() {
    let scene = Scene::new().await;
    let (program, _) = on_a_disk_of("8k", &scene, ME).await;
    program.end().await.assert(78, &["drivetap.redb", "No space left on device"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_used_file_that_was_damaged_since_is_refused_and_left_as_it_is() {
    let scene = Scene::new().await;
    let toml = format!("{STATE}{ME}");
    let file = scene.path("drivetap.redb");
    used(&scene, &toml).await;
    damage(&file);
    let damaged = fs::read(&file).unwrap();
    scene.run(&toml).end().await.assert(78, &["drivetap.redb"]);
    assert!(fs::read(&file).unwrap() == damaged, "it was written to");
}

/// A file that is in use is read from memory; after a write that failed it is opened anew, and that is when damage shows.
#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_was_damaged_under_a_running_service_holds_its_feed_until_a_whole_one_is_back() {
    let scene = Scene::new().await;
    let admin = format!("127.0.0.1:{}", closed_port());
    let (mut program, disk) = on_a_disk_of("2m", &scene, &format!("{ME}[admin]\nlisten = \"{admin}\"\n")).await;
    let (ballast, file) = (disk.join("ballast"), disk.join("drivetap.redb"));
    let made = held_by_a_full_disk(&scene, &program, &ballast).await;

    // As if it had crashed at that moment: nothing is written while it is copied.
    program.signal(Signal::STOP);
    tokio::time::sleep(Duration::from_millis(100)).await;
    let whole = fs::read(&file).unwrap();
    damage(&file);
    program.signal(Signal::CONT);
    fs::remove_file(&ballast).unwrap();
    while !not_ready(&admin).await.contains("orrupted") {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    program.says("orrupted").await;
    program.assert_stays(Duration::from_secs(1)).await;

    program.signal(Signal::STOP);
    tokio::time::sleep(Duration::from_millis(100)).await;
    fs::write(&file, whole).unwrap();
    program.signal(Signal::CONT);
    goes_on_whole(&scene, program, &admin, made).await;
}

/// As `drivetap 0.1.0` left it: `tests/fixtures/README.md`.
#[tokio::test(flavor = "multi_thread")]
async fn a_file_of_the_first_version_goes_on_with_its_cursor() {
    let scene = Scene::new().await;
    let fixture = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/state.v1.redb");
    fs::copy(&fixture, scene.path("drivetap.redb")).unwrap();
    let program = scene.run(&format!("{STATE}{ME}"));
    // Its cursor is of another emulator, so the drive is enumerated afresh, under the generation after the one in the file.
    let ends = |event: &&Event| event.data()["phase"] == "completed";
    let events = program.events("the resync", |events| of_type(events, RESYNC).iter().any(ends)).await;
    let resync = of_type(&events, RESYNC)[0];
    assert_eq!((resync.data()["generation"].as_u64(), resync.sequence()), (Some(1), 3), "{events:#?}");
    program.stop().await.assert(0, &[]);
}

fn told(events: &[Event], name: &str) -> bool {
    of_type(events, CHANGE).iter().any(|event| event.item_name() == name)
}

/// Runs until something is saved, and ends cleanly.
async fn used(scene: &Scene, toml: &str) {
    let program = scene.run(toml);
    scene.subscribed(1).await;
    scene.me().create("/", "Before.txt").unwrap();
    program.events("a change", |events| told(events, "Before.txt")).await;
    program.stop().await.assert(0, &[]);
}

/// Overwrites every page but the first; those that are a hole stay one, because a full disk has no room for them.
fn damage(path: &Path) {
    const PAGE: usize = 4096;
    let bytes = fs::read(path).unwrap();
    let file = File::options().write(true).open(path).unwrap();
    for (number, page) in bytes.chunks(PAGE).enumerate().skip(1) {
        if page.iter().any(|byte| *byte != 0) {
            file.write_all_at(&[0x5a; PAGE][..page.len()], u64::try_from(number * PAGE).unwrap()).unwrap();
        }
    }
}

/// `drivetap run` with its state on a file system of its own and of this size, which ends with it. Needs a kernel that lets an
/// unprivileged user, or this one, have a mount namespace.
async fn on_a_disk_of(size: &str, scene: &Scene, toml: &str) -> (Program, PathBuf) {
    let mount = scene.path("disk");
    fs::create_dir(&mount).unwrap();
    let state = format!("[state]\npath = \"{}\"\n", mount.join("drivetap.redb").display());
    let file = scene.path("drivetap.toml");
    fs::write(&file, config(&scene.graph.base_url(), &format!("{state}{toml}"))).unwrap();
    let mut command = Command::new("unshare");
    command.args(["--user", "--map-root-user", "--mount", "/bin/sh", "-c"]);
    command.arg("mount -t tmpfs -o size=\"$1\" tmpfs \"$2\" && exec \"$0\" run -c \"$3\"");
    command.arg(drivetap()).arg(size).arg(&mount).arg(&file);
    command.env_clear().env("DRIVETAP_TOKEN", TOKEN).env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin");
    let program = Program::spawn(command);
    // As the program sees it.
    let inside = PathBuf::from(format!("/proc/{}/root{}", program.pid(), mount.display()));
    (program, inside)
}

/// How many changes were made until the state took no more.
async fn held_by_a_full_disk(scene: &Scene, program: &Program, ballast: &Path) -> usize {
    scene.subscribed(1).await;
    scene.me().create("/", "Before.txt").unwrap();
    program.events("a change", |events| told(events, "Before.txt")).await;
    fill(ballast);
    // A file that is there has some room of its own: it is used up soon.
    for made in 1..500 {
        scene.me().create("/", &format!("Meanwhile {made}.txt")).unwrap();
        tokio::time::sleep(Duration::from_millis(100)).await;
        if program.stderr().iter().any(|line| line.contains("the cursor could not be saved; the feed is held")) {
            return made;
        }
    }
    panic!("a full disk stood in nobody's way");
}

/// What was made while it was held is told, and what is made after.
async fn goes_on_whole(scene: &Scene, program: Program, admin: &str, made: usize) {
    ready(admin).await;
    scene.me().create("/", "After.txt").unwrap();
    let events = program.events("the change after it", |events| told(events, "After.txt")).await;
    for n in 1..=made {
        assert!(told(&events, &format!("Meanwhile {n}.txt")), "{n} of {made} is lost");
    }
    program.stop().await.assert(0, &[]);
}

fn fill(ballast: &Path) {
    let mut file = File::create(ballast).unwrap();
    let full = loop {
        if let Err(error) = file.write_all(&[0; 1024]) {
            break error;
        }
    };
    assert_eq!(full.kind(), std::io::ErrorKind::StorageFull, "{full}");
}

async fn ready(admin: &str) {
    while get(admin, "/readyz").await.is_none_or(|(status, _)| status != 200) {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

async fn not_ready(admin: &str) -> String {
    loop {
        if let Some((503, body)) = get(admin, "/readyz").await {
            return body;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
