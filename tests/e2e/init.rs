//! `init` on a pseudo-terminal: it asks, writes a file that `validate` takes, and signs in.

use std::fs;
use std::path::Path;

use drivetap_emulator::{Account, Config, ME_DRIVE};

use crate::support::{CHANGE, Program, Scene, Terminal, of_type};

const RESOURCE: &str = "What is watched?";
const SINK: &str = "Where do events go?";
const TOKEN: &str = "Where does the access token come from?";

/// The files of a folder.
fn files(dir: &Path) -> Vec<String> {
    let mut names: Vec<_> = fs::read_dir(dir).unwrap().map(|it| it.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_on_a_terminal_make_a_file_sign_in_and_run() {
    let accounts = vec![Account::new("adele", ME_DRIVE).token("nobody-has-this-one")];
    let scene = Scene::with(Config { accounts, ..Config::default() }).await;
    scene.graph.switch(|switches| switches.device_interval_s = 1);
    let file = scene.path("drivetap.toml").to_str().unwrap().to_owned();
    let logins = scene.path("logins").to_str().unwrap().to_owned();
    let env = [("DRIVETAP_LOGIN_DIR", logins.as_str())];

    let mut terminal = Terminal::drivetap(&["init", &file, "--base-url", &scene.graph.base_url()], &env);
    terminal.shows(RESOURCE);
    terminal.types("my drive");
    terminal.shows("is none of: me");
    terminal.shows(RESOURCE);
    terminal.types("");
    terminal.shows(SINK);
    terminal.types("stdout");
    terminal.shows(TOKEN);
    terminal.types("");
    terminal.shows("drivetap.toml is written.");
    terminal.shows("Sign in now? yes, no [yes]: ");
    terminal.types("");
    terminal.shows("enter the code ");
    let code = terminal.shows("\r\n");
    assert!(scene.graph.approve_device(code.trim(), "adele"), "{code}");
    terminal.shows("Signed in as ");
    terminal.shows("Next:");
    let (rest, exit) = terminal.end();
    assert_eq!(exit, Some(0), "{rest}");
    assert!(rest.contains(&format!("drivetap run -c {file}")) && !rest.contains("login -c"), "{rest}");

    let text = fs::read_to_string(&file).unwrap();
    assert!(text.starts_with("#:schema ./drivetap.schema.json\n") && text.contains("token = { login = \"default\" }"), "{text}");
    let schema: serde_json::Value =
        serde_json::from_str(&fs::read_to_string(scene.path("drivetap.schema.json")).unwrap()).unwrap();
    assert!(schema["properties"]["subscription"].is_object(), "{schema}");
    Program::drivetap(["validate", "-c", &file], &env).end().await.assert(0, &["valid"]);
    let program = Program::drivetap(["run", "-c", &file], &env);
    scene.subscribed(1).await;
    scene.me().create("/", "From nothing.txt").unwrap();
    program.events("the change", |events| !of_type(events, CHANGE).is_empty()).await;
    program.stop().await.assert(0, &[]);
}

#[tokio::test(flavor = "multi_thread")]
async fn flags_leave_nothing_to_ask_and_make_the_same_file() {
    let scene = Scene::new().await;
    let flags = ["--resource", "group:02bd9fd6", "--sink", "kafka://a:1/t", "--token-env", "T"];
    let write = |name: &str| scene.path(name).to_str().unwrap().to_owned();
    let (flagged, answered, piped) = (write("flagged.toml"), write("answered.toml"), write("piped.toml"));

    let (screen, code) = Terminal::drivetap(&[&["init", &flagged], &flags[..]].concat(), &[]).end();
    assert!(code == Some(0) && !screen.contains('?') && screen.contains("export T="), "{screen}");

    let mut terminal = Terminal::drivetap(&["init", &answered], &[]);
    for (question, answer) in
        [(RESOURCE, "group:02bd9fd6"), (SINK, "kafka"), ("Kafka's servers", "a:1"), ("The topic", "t"), (TOKEN, "env:T")]
    {
        terminal.shows(question);
        terminal.types(answer);
    }
    let (screen, code) = terminal.end();
    assert_eq!(code, Some(0), "{screen}");
    assert_eq!(fs::read_to_string(&answered).unwrap(), fs::read_to_string(&flagged).unwrap());

    // At a pipe nobody is asked.
    Program::drivetap([&["init", &piped], &flags[..]].concat(), &[]).end().await.assert(0, &["piped.toml is written."]);
    assert_eq!(fs::read_to_string(&piped).unwrap(), fs::read_to_string(&flagged).unwrap());
    for file in [&flagged, &answered, &piped] {
        Program::drivetap(["validate", "-c", file], &[]).end().await.assert(0, &["valid"]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_is_there_is_refused_before_anything_is_asked() {
    let scene = Scene::new().await;
    let file = scene.path("mine.toml");
    fs::write(&file, "mine").unwrap();
    let name = file.to_str().unwrap();
    let (screen, code) = Terminal::drivetap(&["init", name], &[]).end();
    assert_eq!(code, Some(64), "{screen}");
    assert!(screen.contains("mine.toml is there already: --force overwrites it") && !screen.contains(RESOURCE), "{screen}");
    Program::drivetap(["init", name, "--yes"], &[]).end().await.assert(64, &["is there already"]);
    assert_eq!(fs::read_to_string(&file).unwrap(), "mine");
    assert_eq!(files(file.parent().unwrap()), ["mine.toml"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_stops_at_a_question_leaves_nothing_behind() {
    let scene = Scene::new().await;
    let file = scene.path("drivetap.toml");
    let dir = file.parent().unwrap();
    let questions = [RESOURCE, SINK, TOKEN];
    for stops_at in 0..questions.len() {
        let mut terminal = Terminal::drivetap(&["init", file.to_str().unwrap()], &[]);
        for question in &questions[..stops_at] {
            terminal.shows(question);
            terminal.types("");
        }
        terminal.shows(questions[stops_at]);
        terminal.interrupt();
        let (screen, code) = terminal.end();
        assert_ne!(code, Some(0), "{screen}");
        assert!(files(dir).is_empty(), "{:?}", files(dir));
    }

    // The end of the input (Ctrl-D) says so.
    let mut terminal = Terminal::drivetap(&["init", file.to_str().unwrap()], &[]);
    terminal.shows(RESOURCE);
    terminal.ends_input();
    let (screen, code) = terminal.end();
    assert_eq!(code, Some(64), "{screen}");
    assert!(screen.contains("nothing was written") && files(dir).is_empty(), "{screen}");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_stops_at_the_sign_in_keeps_a_whole_file() {
    let scene = Scene::new().await;
    let file = scene.path("drivetap.toml");
    let name = file.to_str().unwrap();
    let logins = scene.path("logins").to_str().unwrap().to_owned();
    let env = [("DRIVETAP_LOGIN_DIR", logins.as_str())];
    let mut terminal = Terminal::drivetap(&["init", name, "--yes", "--sink", "kafka"], &env);
    terminal.shows(&format!("drivetap login -c {name}"));
    terminal.end();
    fs::remove_file(&file).unwrap();

    let args =
        ["init", name, "--resource", "me", "--sink", "stdout", "--login", "default", "--base-url", &scene.graph.base_url()];
    let mut terminal = Terminal::drivetap(&args, &env);
    terminal.shows("Sign in now?");
    terminal.types("yes");
    terminal.shows("enter the code ");
    terminal.interrupt();
    terminal.end();
    Program::drivetap(["validate", "-c", name], &env).end().await.assert(0, &["valid"]);
    assert_eq!(files(file.parent().unwrap()), ["drivetap.schema.json", "drivetap.toml"]);
}
