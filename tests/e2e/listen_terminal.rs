//! `listen` and `demo` on a pseudo-terminal, and what `listen` takes.

use std::time::Duration;

use drivetap_emulator::{Config, DriveKind, ME_DRIVE, NewDrive, PERSONAL_DRIVE};

use crate::support::{CHANGE, Event, SIGNAL, Scene, TOKEN, Terminal, of_type};

#[tokio::test(flavor = "multi_thread")]
async fn on_a_terminal_a_spinner_turns_until_ready_and_each_event_is_a_line_until_ctrl_c() {
    let scene = Scene::new().await;
    let (base_url, me) = (scene.graph.base_url(), scene.me());
    let (before, line, ended) = tokio::task::spawn_blocking(move || {
        let mut terminal = Terminal::drivetap(&["listen", "me", "--base-url", &base_url], &[("DRIVETAP_TOKEN", TOKEN)]);
        let before = terminal.shows("Ready. Watching me (OneDrive of ");
        terminal.shows("). Ctrl-C ends.");
        me.create("/", "Grüße – 你好.txt").unwrap();
        terminal.shows("changed");
        let mut line = terminal.shows("[me]");
        line.push_str(&terminal.shows("\n"));
        terminal.interrupt();
        (before, line, terminal.end())
    })
    .await
    .unwrap();
    assert!(before.contains('⠋') || before.contains('⠙') || before.contains('⠁'), "a spinner: {before:?}");
    assert!(line.contains("Grüße – 你好.txt") && line.contains("\u{1b}["), "a coloured line with the name: {line:?}");
    let (rest, code) = ended;
    assert_eq!(code, Some(0), "{rest}");
    assert!(rest.contains("drained: delivered="), "{rest}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_line_is_no_wider_than_the_window_whatever_a_name_is_written_in() {
    /// What these tests write, as a terminal shows it.
    fn columns(text: &str) -> usize {
        let of = |c| match c {
            '\u{301}' | '\u{200d}' => 0,
            '\u{4e00}'..='\u{9fff}' => 2,
            _ => 1,
        };
        text.chars().map(of).sum()
    }

    let scene = Scene::new().await;
    let (base_url, me) = (scene.graph.base_url(), scene.me());
    let lines = tokio::task::spawn_blocking(move || {
        let env = [("DRIVETAP_TOKEN", TOKEN), ("NO_COLOR", "1")];
        let args = ["listen", "me", "--type", "change", "--base-url", &base_url];
        let mut terminal = Terminal::drivetap(&args, &env).wide(60);
        terminal.shows("Ctrl-C ends.");
        let names = [format!("{}.txt", "你好世界".repeat(8)), "cafe\u{301} ".repeat(12), "exe\u{202e}gpj.txt".to_owned()];
        let lines = names.map(|name| {
            me.create("/Plans", &name).unwrap();
            terminal.shows("changed  ");
            terminal.shows("\r\n")
        });
        terminal.interrupt();
        assert_eq!(terminal.end().1, Some(0));
        lines
    })
    .await
    .unwrap();
    // The time and the kind are before it.
    let room = 60 - "2026-05-28T20:26:41Z  changed  ".len();
    assert!(lines.iter().all(|line| columns(line) <= room), "{lines:#?}");
    assert!(lines[0].starts_with("你好世界") && lines[0].ends_with('…') && columns(&lines[0]) >= room - 1, "{lines:#?}");
    assert!(lines[1].starts_with("cafe\u{301} cafe\u{301}") && !lines[1].ends_with("e…"), "{lines:#?}");
    assert!(lines[2].contains("exe\\u{202e}gpj.txt"), "{lines:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn no_color_is_respected_on_a_terminal() {
    let (screen, code) = tokio::task::spawn_blocking(|| {
        let mut terminal = Terminal::drivetap(&["demo", "--for", "4s"], &[("NO_COLOR", "1")]);
        let mut screen = terminal.shows("drivetap listen me");
        let (rest, code) = terminal.end();
        screen.push_str(&rest);
        (screen, code)
    })
    .await
    .unwrap();
    assert_eq!(code, Some(0), "{screen}");
    assert!(!screen.contains('\u{1b}') && !screen.contains("specversion"), "{screen:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn on_a_terminal_demo_prints_coloured_lines_and_ends_by_itself() {
    let (screen, code) = tokio::task::spawn_blocking(|| Terminal::drivetap(&["demo", "--for", "4s"], &[]).end()).await.unwrap();
    assert_eq!(code, Some(0), "{screen}");
    assert!(
        screen.contains("\u{1b}[") && screen.contains("drained: delivered=") && !screen.contains("specversion"),
        "{screen:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_type_is_all_that_is_shown_and_for_ends_it() {
    let scene = Scene::new().await;
    for (word, kind) in [("change", CHANGE), ("signal", SIGNAL)] {
        let subscribed = scene.graph.stats().joined;
        let args = ["listen", "me", "--base-url", &scene.graph.base_url(), "--type", word, "--for", "6s"];
        let listen = scene.drivetap(&args);
        crate::support::until("it listens", || scene.graph.stats().joined > subscribed).await;
        scene.me().create("/", &format!("{word}.txt")).unwrap();
        listen.events(word, |events| !events.is_empty()).await;
        let ended = listen.end().await;
        ended.assert(0, &["Ready. Watching me (OneDrive of", "Ends by itself 6s after its start."]);
        let events = ended.events();
        assert_eq!(of_type(&events, kind).len(), events.len(), "{events:#?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn since_shows_what_changed_from_then_on_with_its_deletions_and_goes_on_live() {
    let scene = Scene::new().await;
    tokio::time::sleep(Duration::from_secs(3)).await;
    let me = scene.me();
    let deleted = me.delete("/Notes.md").unwrap();
    me.create("/Plans", "Since then.txt").unwrap();
    let args = ["listen", "me", "--base-url", &scene.graph.base_url(), "--type", "change", "--since", "2s"];
    let listen = scene.drivetap(&args);
    scene.subscribed(1).await;
    me.create("/", "Live.txt").unwrap();
    let events = listen.events("the live one", |events| events.iter().any(|event| event.item_name() == "Live.txt")).await;
    let seen: Vec<_> = events.iter().map(|event| (event.text("subject"), event.data()["kind"].as_str().unwrap())).collect();
    assert!(seen.contains(&(deleted.as_str(), "deleted")), "{events:#?}");
    assert!(events.iter().any(|event| event.item_name() == "Since then.txt"), "{events:#?}");
    assert!(!events.iter().any(|event| event.item_name() == "Budget.xlsx"), "what is older is not shown: {events:#?}");
    assert!(events.iter().all(|event| event.is(CHANGE)), "{events:#?}");
    listen.stop().await.assert(0, &[]);
    // A colon, which a token has not: its first digits are random, and can look like a year's.
    let asked = scene.graph.requests().into_iter().filter(|request| request.query.contains("%3A")).count();
    assert_eq!(asked, 1, "one request with a time");
}

#[tokio::test(flavor = "multi_thread")]
async fn on_a_personal_drive_since_enumerates_and_says_that_deletions_are_unknown() {
    let scene = Scene::new().await;
    scene.graph.switch(|switches| switches.page_size = 2);
    let drive = scene.graph.drive(PERSONAL_DRIVE).unwrap();
    tokio::time::sleep(Duration::from_secs(4)).await;
    drive.create("/", "Lately.txt").unwrap();
    let resource = format!("drive:{PERSONAL_DRIVE}");
    let args = ["listen", &resource, "--base-url", &scene.graph.base_url(), "--since", "3s", "--type", "change"];
    let listen = scene.drivetap(&args);
    scene.subscribed(1).await;
    drive.create("/", "Live.txt").unwrap();
    let events = listen.events("the live one", |events| events.iter().any(|event| event.item_name() == "Live.txt")).await;
    let names: Vec<_> = events.iter().map(Event::item_name).collect();
    assert_eq!(names, ["Lately.txt", "Live.txt"]);
    listen.stop().await.assert(0, &["deleted before now is unknown"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_library_is_named_and_what_makes_no_sense_is_64() {
    let graph = Config::default();
    let scene = Scene::with(graph).await;
    let library = NewDrive { id: Some("b!lib".to_owned()), kind: DriveKind::DocumentLibrary, name: Some("Contracts".to_owned()) };
    scene.graph.add_drive(library).unwrap();
    let base_url = scene.graph.base_url();
    let listen = scene.drivetap(&["listen", "drive:b!lib", "me", "--base-url", &base_url]);
    listen.says("Ready. Watching drive:b!lib (library Contracts), me (OneDrive of ").await;
    listen.stop().await.assert(0, &[&format!("me is the business drive {ME_DRIVE}")]);

    for (args, word) in [
        (["--since", "2h", "--type", "signal"], "--since is for changes"),
        (["--type", "gap", "--for", "1s"], "--type"),
        (["--since", "yesterday", "--for", "1s"], "write 2h, 30m, or a time"),
    ] {
        let ended = scene.drivetap(&[&["listen", "me", "--base-url", &base_url], &args[..]].concat()).end().await;
        ended.assert(64, &[word]);
    }
}
