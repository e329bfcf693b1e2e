//! Names and words that came from outside, on standard error: none of them drives the terminal, and none begins a line of its own,
//! which could pass for drivetap's.

use drivetap_emulator::{Answer, Fault, Handshake, Route};
use serde_json::{Value, json};

use crate::support::{Ended, Program, Scene, TOKEN};

/// Clears the screen, names the window, turns the text around, and says what drivetap would say.
const NASTY: &str = "x\nFORGED line\r\u{1b}[2J\u{1b}]0;title\u{7}\u{9b}3m\u{202e}y";
/// How a person reads it.
const SHOWN: &str = r"x\u{a}FORGED line\u{d}\u{1b}[2J\u{1b}]0;title\u{7}\u{9b}3m\u{202e}y";

fn answer(route: Route, body: &Value) -> Fault {
    Fault::new(route, Answer::Raw { status: 200, headers: Vec::new(), body: body.to_string() })
}

/// A line of standard error holds each of `parts`, and no line is driven or begun by what came from outside.
#[track_caller]
fn harmless(ended: &Ended, code: i32, parts: &[&str]) {
    ended.assert(code, parts);
    for line in ended.stderr.iter().chain(&ended.stdout) {
        let drives = line.contains(|c: char| c.is_control() || c == '\u{202e}');
        assert!(!drives && !line.starts_with("FORGED"), "{line:?}: {ended:#?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn whose_drive_it_is_and_of_which_kind() {
    let scene = Scene::new().await;
    let base_url = scene.graph.base_url();
    let drive = json!({ "id": "b!x", "driveType": NASTY });
    let owned = json!({ "id": "b!x", "driveType": "business", "name": NASTY, "owner": { "user": { "displayName": NASTY } } });
    scene.graph.fault(answer(Route::Drive, &drive));
    scene.graph.fault(answer(Route::Drive, &owned));
    let listen = scene.drivetap(&["listen", "me", "--base-url", &base_url]);
    listen.says("Ready. Watching me").await;
    harmless(&listen.stop().await, 0, &[&format!("me is the {SHOWN} drive b!x"), "Ready. Watching me (library x\\u{a}FORGED"]);

    for (shown, part) in [(&drive, "✓ drive    me: the x\\u{a}FORGED"), (&owned, "✓ drive    me: the business drive b!x")] {
        scene.graph.fault(answer(Route::Drive, shown).times(2));
        let ended = scene.drivetap(&["check", "--base-url", &base_url]).end().await;
        harmless(&ended, ended.code.unwrap(), &[]);
        assert!(ended.stdout.iter().any(|line| line.starts_with(part)), "{ended:#?}");
        scene.graph.clear_faults();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn sites_and_libraries_that_are_not_listed() {
    let scene = Scene::new().await;
    let base_url = scene.graph.base_url();
    // Drives and groups come before it, the site's libraries after it.
    let sites = json!({ "value": [{ "id": "contoso.sharepoint.com,1,2", "displayName": NASTY }] });
    scene.graph.fault(answer(Route::Browse, &sites).after(2));
    let ended = scene.drivetap(&["discover", "--base-url", &base_url]).end().await;
    harmless(&ended, 0, &[&format!("libraries of {SHOWN}: not listed: itemNotFound")]);

    let lists = json!({ "value": [
        { "id": "1", "displayName": NASTY, "list": { "template": "documentLibrary" } },
        { "id": "2", "displayName": NASTY, "list": { "template": "documentLibrary" } },
    ] });
    scene.graph.fault(answer(Route::Browse, &sites).after(2));
    scene.graph.fault(answer(Route::Browse, &lists));
    let ended = scene.drivetap(&["discover", "--base-url", &base_url, "--limit", "1"]).end().await;
    harmless(&ended, 0, &[&format!("libraries of {SHOWN}: there are more than 1")]);
    assert!(ended.stdout.iter().any(|line| line.contains(&format!("library {SHOWN} of {SHOWN}"))), "{ended:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_identity_platform_says_and_who_has_signed_in() {
    let scene = Scene::new().await;
    let base_url = scene.graph.base_url();
    let logins = scene.path("logins").to_str().unwrap().to_owned();
    let login = || Program::drivetap(["login", "--base-url", &base_url], &[("DRIVETAP_LOGIN_DIR", &logins)]);
    let device = json!({
        "device_code": "d", "user_code": NASTY, "verification_uri": format!("https://login.example/{NASTY}"), "expires_in": 900, "interval": 1, "message": NASTY,
    });
    scene.graph.fault(answer(Route::Token, &device));
    let grant = json!({
        "token_type": "Bearer", "scope": "Files.Read", "expires_in": 3600, "access_token": TOKEN, "refresh_token": "r",
    });
    scene.graph.fault(answer(Route::Token, &grant));
    scene.graph.fault(answer(Route::Drive, &json!({ "id": "b!x", "owner": { "user": { "displayName": NASTY } } })));
    let ended = login().end().await;
    harmless(
        &ended,
        0,
        &[
            &format!("open https://login.example/{SHOWN} in a browser"),
            &format!("the code {SHOWN}"),
            &format!("Signed in as {SHOWN}"),
        ],
    );

    let accounts = Program::drivetap(["accounts"], &[("DRIVETAP_LOGIN_DIR", &logins)]).end().await;
    harmless(&accounts, 0, &[]);
    assert!(accounts.stdout.concat().contains(SHOWN), "{accounts:#?}");

    scene.graph.fault(Fault::new(
        Route::Token,
        Answer::Raw {
            status: 400,
            headers: Vec::new(),
            body: json!({ "error": NASTY, "error_description": NASTY, "error_uri": NASTY }).to_string(),
        },
    ));
    let ended = login().end().await;
    harmless(&ended, ended.code.unwrap(), &["not signed in: "]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_graph_and_its_socket_refuse_with() {
    let scene = Scene::new().await;
    scene.graph.switch(|switches| switches.handshake = Handshake::ConnectError(NASTY.to_owned()));
    let body = json!({ "error": { "code": NASTY, "message": NASTY, "innerError": { "code": NASTY, "request-id": NASTY } } });
    scene.graph.fault(Fault::new(Route::Delta, Answer::Raw { status: 403, headers: Vec::new(), body: body.to_string() }));
    let toml = "[[subscription]]\nresource = \"me\"\n[sink.console]\ntype = \"stdout\"\n";
    let program = scene.run(toml);
    program.says("HTTP 403").await;
    program.says("the session could not be opened").await;
    harmless(&program.stop().await, 0, &["FORGED"]);

    // A host that is not dialled is named.
    scene.graph.fault(answer(Route::Endpoint, &json!({ "notificationUrl": format!("https://{NASTY}/notifications") })));
    let ended = scene.drivetap(&["check", "--base-url", &scene.graph.base_url()]).end().await;
    harmless(&ended, 69, &["checks failed"]);
}
