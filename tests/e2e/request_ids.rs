//! Graph's `request-id`, which Microsoft's support asks for: it stands in the words of each refusal, once, and never drives a terminal.

use std::fs;

use drivetap_emulator::{Answer, Fault, Route};
use serde_json::{Value, json};

use crate::support::{CHANGE, Ended, Scene, config, of_type, until};

const ME_TO_STDOUT: &str = "[[subscription]]\nresource = \"me\"\n[sink.console]\ntype = \"stdout\"\n";

/// A refusal with `code`, of a request that Graph calls by `id` in the header.
fn refused(route: Route, status: u16, code: &str, id: &str) -> Fault {
    let body = format!(r#"{{"error":{{"code":"{code}","innerError":{{"request-id":"of-the-body"}}}}}}"#);
    Fault::new(route, Answer::Raw { status, headers: vec![("request-id".to_owned(), id.to_owned())], body })
}

/// A line of standard error holds this, and the id in it stands in no other.
#[track_caller]
fn said_once(ended: &Ended, words: &str, id: &str) {
    let lines: Vec<_> = ended.stderr.iter().filter(|line| line.contains(id)).collect();
    let [line] = *lines else { panic!("{id} is in {} lines: {ended:#?}", lines.len()) };
    assert!(line.contains(&format!("{words} (request-id {id})")), "{line}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_warning_of_run_has_it_once_whatever_was_asked_for() {
    let scene = Scene::new().await;
    for fault in [
        refused(Route::Drive, 503, "serviceNotAvailable", "of-the-drive"),
        refused(Route::Delta, 502, "badGateway", "of-the-first-page"),
        refused(Route::Endpoint, 429, "activityLimitReached", "of-the-endpoint"),
        refused(Route::Delta, 500, "generalException", "of-a-page").after(1),
        // An answer that is no refusal, and no use either.
        Fault::new(
            Route::Delta,
            Answer::Raw {
                status: 200,
                headers: vec![("request-id".to_owned(), "of-the-html".to_owned())],
                body: "<html>".to_owned(),
            },
        ),
    ] {
        scene.graph.fault(fault);
    }
    let program = scene.run(ME_TO_STDOUT);
    scene.subscribed(1).await;
    program.says("of-the-html").await;
    scene.me().create("/", "All the same.txt").unwrap();
    program.events("the change", |events| !of_type(events, CHANGE).is_empty()).await;
    let ended = program.stop().await;
    ended.assert(0, &[]);
    said_once(&ended, "serviceNotAvailable", "of-the-drive");
    said_once(&ended, "badGateway", "of-the-first-page");
    said_once(&ended, "activityLimitReached", "of-the-endpoint");
    said_once(&ended, "generalException", "of-a-page");
    said_once(&ended, "Graph answered in its place", "of-the-html");
    assert!(!ended.stderr.concat().contains("of-the-body"), "the header comes first: {ended:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_commands_of_a_person_say_it_with_the_refusal() {
    let scene = Scene::new().await;
    let base_url = scene.graph.base_url();
    let run = async |args: &[&str], fault: Fault| {
        scene.graph.clear_faults();
        scene.graph.fault(fault);
        scene.drivetap(&[args, &["--base-url", &base_url]].concat()).end().await
    };
    let many = |route, status, code, id| refused(route, status, code, id).times(1_000);

    let ended = run(&["check"], refused(Route::Delta, 403, "accessDenied", "of-delta")).await;
    ended.assert(69, &["1 of 8 checks failed"]);
    assert!(ended.stdout.iter().any(|line| line == "✗ delta    me: accessDenied (request-id of-delta)"), "{ended:#?}");
    let ended = run(&["check", "--json"], many(Route::Endpoint, 403, "accessDenied", "of-the-endpoint")).await;
    let detail = r#""detail":"accessDenied (request-id of-the-endpoint)""#;
    assert!(ended.stdout.iter().any(|line| line.contains(detail)), "{ended:#?}");

    let ended = run(&["discover"], many(Route::Any, 403, "accessDenied", "of-all")).await;
    ended.assert(
        69,
        &[
            "sites: not listed: accessDenied (request-id of-all); the token needs Sites.Read.All for this",
            "shows nothing: accessDenied (request-id of-all)",
        ],
    );
    let drives = || many(Route::Drive, 404, "itemNotFound", "of-a-drive").after(1);
    let ended = run(&["discover"], drives()).await;
    let said = |line: &String| line.ends_with("  [refused: itemNotFound (request-id of-a-drive)]");
    assert!(ended.stdout.iter().any(said), "{ended:#?}");
    // A program compares the code, and has the id beside it.
    let ended = run(&["discover", "--json"], drives()).await;
    let lines: Vec<Value> = ended.stdout.iter().map(|line| serde_json::from_str(line).unwrap()).collect();
    let refused_line = lines.iter().find(|line| !line["refused"].is_null()).unwrap_or_else(|| panic!("{ended:#?}"));
    assert_eq!((&refused_line["refused"], &refused_line["request_id"]), (&json!("itemNotFound"), &json!("of-a-drive")));

    let ended = run(&["listen", "me"], many(Route::Drive, 404, "itemNotFound", "of-the-drive")).await;
    ended.assert(69, &["shows no drive for me: itemNotFound (request-id of-the-drive); the id is wrong"]);
    let ended = run(&["listen", "me"], many(Route::Drive, 401, "InvalidAuthenticationToken", "of-the-drive")).await;
    ended.assert(77, &["sign-in is needed for me: InvalidAuthenticationToken (request-id of-the-drive)"]);

    let file = scene.path("run.toml");
    fs::write(&file, config(&base_url, ME_TO_STDOUT)).unwrap();
    scene.graph.clear_faults();
    scene.graph.fault(many(Route::Any, 401, "InvalidAuthenticationToken", "of-the-token"));
    let ended = scene.drivetap(&["run", "-c", file.to_str().unwrap()]).end().await;
    ended.assert(77, &["sign-in is needed: InvalidAuthenticationToken (request-id of-the-token)"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_time_that_graph_does_not_take_is_told_with_it() {
    let scene = Scene::new().await;
    scene.graph.fault(refused(Route::Delta, 400, "invalidRequest", "of-the-time"));
    let listen = scene.drivetap(&["listen", "me", "--since", "2h", "--base-url", &scene.graph.base_url()]);
    listen.says("deletions since then are unknown").await;
    let ended = listen.stop().await;
    ended.assert(0, &[]);
    said_once(&ended, "invalidRequest", "of-the-time");
}

/// Microsoft could tell from it whose request it was. The person who records has it in the log.
#[tokio::test(flavor = "multi_thread")]
async fn a_recording_has_none() {
    let scene = Scene::new().await;
    scene.graph.fault(refused(Route::Delta, 503, "serviceNotAvailable", "of-a-page"));
    for (name, names) in [("masked.jsonl", &[][..]), ("named.jsonl", &["--names"])] {
        let file = scene.path(name);
        let base_url = scene.graph.base_url();
        let args = [&["record", file.to_str().unwrap(), "--base-url", &base_url], names].concat();
        let record = scene.drivetap(&args);
        record.says("serviceNotAvailable (request-id of-a-page)").await;
        until("the refusal is written", || fs::read_to_string(&file).unwrap().contains("no_page")).await;
        record.stop().await.assert(0, &[]);
        let text = fs::read_to_string(&file).unwrap();
        assert!(text.contains(r#""code":"serviceNotAvailable""#) && !text.contains("of-a-page"), "{text}");
        scene.graph.fault(refused(Route::Delta, 503, "serviceNotAvailable", "of-a-page"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_id_is_left_out() {
    let scene = Scene::new().await;
    let base_url = scene.graph.base_url();
    for (header, body) in [
        ("a".repeat(10_000), "b".repeat(10_000)),
        ("two words".to_owned(), r"\u001b[2J\u001b]0;title\u0007".to_owned()),
        ("x)\tall".to_owned(), r"\nWARN all is well".to_owned()),
        (String::new(), r"\u202ebackwards".to_owned()),
    ] {
        let text = format!(r#"{{"error":{{"code":"accessDenied","innerError":{{"request-id":"{body}"}}}}}}"#);
        let headers = vec![("request-id".to_owned(), header)];
        scene.graph.fault(Fault::new(Route::Delta, Answer::Raw { status: 403, headers, body: text }));
        let ended = scene.drivetap(&["check", "--base-url", &base_url]).end().await;
        ended.assert(69, &[]);
        assert!(ended.stdout.iter().any(|line| line == "✗ delta    me: accessDenied"), "{body}: {ended:#?}");
        let all = [ended.stdout.concat(), ended.stderr.concat()].concat();
        assert!(!all.contains(['\u{1b}', '\u{7}', '\u{202e}']), "{ended:#?}");
    }
}
