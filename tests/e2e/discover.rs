//! `discover`: what the account can see, ready to paste.

use drivetap_emulator::{Account, Config, Fault, GROUP, LIST, ME_DRIVE, PERSONAL_DRIVE, Route, SITE};
use serde_json::Value;

use crate::support::{Scene, closed_port};

#[tokio::test(flavor = "multi_thread")]
async fn it_lists_drives_groups_and_libraries_and_each_can_be_pasted_into_listen() {
    let scene = Scene::new().await;
    scene.graph.switch(|switches| switches.page_size = 1);
    let base_url = scene.graph.base_url();
    let ended = scene.drivetap(&["discover", "--base-url", &base_url, "--json"]).end().await;
    ended.assert(0, &[]);
    let lines: Vec<Value> = ended.stdout.iter().map(|line| serde_json::from_str(line).unwrap()).collect();
    let found: Vec<_> = lines.iter().map(|line| line["resource"].as_str().unwrap()).collect();
    let (personal, group, list) =
        (format!("drive:{PERSONAL_DRIVE}"), format!("group:{GROUP}"), format!("site:{SITE}/list:{LIST}"));
    assert_eq!(found, ["me", personal.as_str(), group.as_str(), list.as_str()]);
    for line in &lines {
        assert_eq!(line["allows"], serde_json::json!(["signals", "changes"]), "{line}");
    }
    assert_eq!(lines[3]["name"], "library Specifications of launch");

    let listen = scene.drivetap(&[&["listen", "--base-url", &base_url][..], &found].concat());
    listen.says("Ready. Watching me (OneDrive of ").await;
    listen.stop().await.assert(0, &[]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_search_shows_what_fits_and_a_limit_says_that_there_is_more() {
    let scene = Scene::new().await;
    let base_url = scene.graph.base_url();
    let ended = scene.drivetap(&["discover", "--base-url", &base_url, "--search", "Launch"]).end().await;
    ended.assert(0, &[]);
    let [group, library] = &*ended.stdout else { panic!("{ended:#?}") };
    assert!(group.starts_with(&format!("group:{GROUP}  group launch team  [signals, changes]")), "{group}");
    assert!(library.starts_with(&format!("site:{SITE}/list:{LIST}  library Specifications of launch")), "{library}");

    let ended = scene.drivetap(&["discover", "--base-url", &base_url, "--limit", "1"]).end().await;
    ended.assert(0, &["drives: there are more than 1; --limit shows more"]);
    let ended = scene.drivetap(&["discover", "--base-url", &base_url, "--search", "no such thing"]).end().await;
    ended.assert(0, &["nothing was found"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_may_not_be_listed_is_said_with_the_permission_that_it_needs_and_the_rest_is_shown() {
    let scene = Scene::new().await;
    scene.graph.fault(Fault::error(Route::Browse, 403, "accessDenied").after(2));
    let ended = scene.drivetap(&["discover", "--base-url", &scene.graph.base_url()]).end().await;
    ended.assert(0, &["sites: not listed: accessDenied (request-id ", "); the token needs Sites.Read.All for this"]);
    assert!(ended.stdout.iter().any(|line| line.starts_with("me  OneDrive of ")), "{ended:#?}");

    let account = Account { sees: Some(vec![ME_DRIVE.to_owned()]), ..Account::new("one", ME_DRIVE).token("right") };
    let scene = Scene::with(Config { accounts: vec![account], ..Config::default() }).await;
    let base_url = scene.graph.base_url();
    scene.drivetap(&["discover", "--base-url", &base_url]).end().await.assert(77, &["sign-in is needed", "DRIVETAP_TOKEN"]);
    let away = format!("http://127.0.0.1:{}/v1.0", closed_port());
    scene.drivetap(&["discover", "--base-url", &away]).end().await.assert(69, &["shows nothing", "refused"]);
}
