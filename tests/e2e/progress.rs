//! Where long work is: a line that moves on a terminal and is gone in the end, a line in the log every ten seconds elsewhere.

use std::collections::BTreeSet;
use std::fs;
use std::time::Duration;

use drivetap_emulator::{Answer, Fault, Gone, Route};

use crate::support::{Program, RESYNC, Scene, Screen, TOKEN, Terminal, config, until};

/// A drive whose pages come slowly.
async fn slow(pages: u16, each: Duration) -> Scene {
    let scene = Scene::new().await;
    scene.graph.switch(|switches| switches.page_size = 50);
    scene.me().burst(usize::from(pages) * 50).unwrap();
    scene.graph.fault(Fault::new(Route::Delta, Answer::Truth).times(pages.into()).delayed(each));
    scene
}

impl Scene {
    /// A configuration with this standard output; the file's name.
    fn walks_from_the_beginning(&self) -> String {
        let rest = "[[subscription]]\nresource = \"me\"\nstart = \"beginning\"\n[sink.console]\ntype = \"stdout\"\n";
        let file = self.path("drivetap.toml");
        fs::write(&file, config(&self.graph.base_url(), rest)).unwrap();
        file.to_str().unwrap().to_owned()
    }
}

/// The numbers of items that a moving line showed, each as it stood alone on the last line of the screen.
fn shown(states: &[String], what: &str) -> BTreeSet<u64> {
    let line = |state: &String| state.lines().last().unwrap_or_default().to_owned();
    let lines = states.iter().map(line).filter(|line| line.contains(what) && line.contains("/s, "));
    let numbers = lines.filter_map(|line| {
        let before = line.split_once(" items")?.0.rsplit(' ').next()?.replace(',', "");
        before.parse().ok()
    });
    numbers.collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn on_a_terminal_the_line_of_a_first_walk_and_of_a_resync_moves_and_is_erased() {
    let scene = slow(16, Duration::from_millis(400)).await;
    let (file, out) = (scene.walks_from_the_beginning(), scene.path("events").to_str().unwrap().to_owned());
    let run = format!("exec drivetap run -c {file} > {out}");
    let (first, rest, code) = tokio::task::spawn_blocking(move || {
        let mut terminal = Terminal::shell(&run, &[("DRIVETAP_TOKEN", TOKEN), ("NO_COLOR", "1")]).wide(60);
        let mut first = terminal.shows(": the first walk of");
        // Its last page is read when the line is gone.
        first.push_str(&terminal.shows_after(|| events(&out).len() >= 800));
        scene.graph.fault(Fault::gone(Gone::default()));
        scene.graph.fault(Fault::new(Route::Delta, Answer::Truth).times(16).delayed(Duration::from_millis(400)));
        scene.me().create("/", "One more.txt").unwrap();
        let mut rest = terminal.shows(": a resync of");
        rest.push_str(
            &terminal.shows_after(|| events(&out).iter().any(|line| line.contains(RESYNC) && line.contains("completed"))),
        );
        terminal.interrupt();
        let (end, code) = terminal.end();
        (first, rest + &end, code)
    })
    .await
    .unwrap();
    assert_eq!(code, Some(0), "{rest}");
    let states = Screen::states(&(first + &rest));
    for what in ["the first walk", "a resync"] {
        let numbers = shown(&states, what);
        assert!(numbers.len() >= 3 && numbers.last() > numbers.first(), "{what} moves: {numbers:?}\n{states:#?}");
    }
    let last = states.last().unwrap();
    assert!(!last.contains("items") && last.contains("drained: delivered="), "erased: {last}");
    assert!(
        states.iter().flat_map(|state| state.lines()).filter(|line| line.contains("/s, ")).all(|line| line.chars().count() <= 60)
    );
}

/// The lines of a file that is being written.
fn events(file: &str) -> Vec<String> {
    fs::read_to_string(file).unwrap_or_default().lines().map(str::to_owned).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn on_a_terminal_the_line_of_verify_moves_and_is_erased() {
    let scene = slow(12, Duration::from_millis(250)).await;
    let (file, none) = (scene.walks_from_the_beginning(), scene.path("none.jsonl"));
    fs::write(&none, "").unwrap();
    let none = none.to_str().unwrap().to_owned();
    let (screen, code) = tokio::task::spawn_blocking(move || {
        let args = ["verify", "-c", &file, "--events", &none, "--recheck-after", "1ms"];
        Terminal::drivetap(&args, &[("DRIVETAP_TOKEN", TOKEN)]).wide(70).end()
    })
    .await
    .unwrap();
    assert_eq!(code, Some(1), "{screen}");
    let states = Screen::states(&screen);
    let numbers = shown(&states, ": enumerating");
    assert!(numbers.len() >= 3, "{numbers:?}\n{states:#?}");
    let last = states.last().unwrap();
    assert!(!last.contains("enumerat") && last.contains(" missing, "), "{last}");
}

#[tokio::test(flavor = "multi_thread")]
async fn at_a_pipe_a_long_walk_is_a_log_line_every_ten_seconds() {
    let scene = slow(50, Duration::from_millis(500)).await;
    let file = scene.walks_from_the_beginning();
    let program = Program::drivetap(["run", "-c", &file, "--log", "json"], &[("DRIVETAP_TOKEN", TOKEN)]);
    let told = || program.stderr().into_iter().filter(|line| line.contains("is under way")).collect::<Vec<_>>();
    until("two lines", || told().len() >= 2).await;
    let lines: Vec<serde_json::Value> = told().iter().map(|line| serde_json::from_str(line).unwrap()).collect();
    for line in &lines {
        assert_eq!(line["message"], "the first walk is under way");
        for field in ["feed", "items", "items_a_second", "seconds", "reason"] {
            assert!(!line[field].is_null(), "{field} in {line}");
        }
    }
    let seconds = |line: &serde_json::Value| line["seconds"].as_u64().unwrap();
    let apart = seconds(&lines[1]) - seconds(&lines[0]);
    assert!((9..=12).contains(&apart) && lines[1]["items"].as_u64() > lines[0]["items"].as_u64(), "{lines:#?}");
    let ended = program.stop().await;
    ended.assert(0, &[]);
    assert!(ended.stderr.iter().all(|line| !line.contains('\u{1b}') && !line.contains('\r')), "{ended:#?}");
}
