//! `record` and `replay`: what happened somewhere else, as a test here.

use std::fs;
use std::path::Path;

use crate::support::{CHANGE, Program, SIGNAL, Scene, TOKEN, assert_valid, of_type, until};

#[tokio::test(flavor = "multi_thread")]
async fn what_is_recorded_has_no_token_and_no_name_and_replays_to_the_same_events() {
    let scene = Scene::new().await;
    let (base_url, file) = (scene.graph.base_url(), scene.path("report.jsonl"));
    let file = file.to_str().unwrap();
    let record = scene.drivetap(&["record", file, "--base-url", &base_url]);
    record.says("Recording me into").await;
    scene.subscribed(1).await;
    scene.me().create("/Plans", "Secret Gehälter.docx").unwrap();
    scene.me().create("/Plans", "Bo").unwrap();
    until("the page is written", || fs::read_to_string(file).unwrap().matches("lastModifiedDateTime").count() >= 2).await;
    let ended = record.stop().await;
    ended.assert(0, &["look through them before you hand them over"]);
    assert!(ended.stdout.is_empty(), "{ended:#?}");

    let text = fs::read_to_string(file).unwrap();
    let me = scene.me();
    let private = [
        TOKEN,
        "Secret",
        "Geh",
        "\"Bo\"",
        "Plans",
        "contoso",
        "sharepoint",
        "http",
        "@",
        "token=",
        "notificationUrl",
        "tempauth",
        "127.0.0.1",
        me.id(),
    ];
    for private in private {
        assert!(!text.contains(private), "{private}: {text}");
    }
    let ended = Program::drivetap(["replay", file], &[]).end().await;
    ended.assert(0, &[]);
    let events = ended.events();
    assert_valid(&events);
    assert_eq!(of_type(&events, CHANGE).len(), 2, "{events:#?}");
    assert!(!of_type(&events, SIGNAL).is_empty(), "{events:#?}");
    assert!(events.iter().all(|event| event.text("partitionkey").contains('!')), "{events:#?}");

    let again = scene.drivetap(&["record", file, "--base-url", &base_url]).end().await;
    again.assert(64, &["is there already"]);
    let named = scene.path("named.jsonl");
    let record = scene.drivetap(&["record", named.to_str().unwrap(), "--base-url", &base_url, "--names"]);
    record.says("with every name in it").await;
    record.stop().await.assert(0, &[]);
    assert!(fs::read_to_string(named).unwrap().contains(scene.me().id()));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_recording_in_the_repository_is_read_and_tells_a_creation_and_a_deletion() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/recording.v1.jsonl");
    let ended = Program::drivetap(["replay".as_ref(), file.as_os_str()], &[]).end().await;
    ended.assert(0, &[]);
    let events = ended.events();
    assert_valid(&events);
    let told: Vec<_> = of_type(&events, CHANGE).iter().map(|event| event.data()["kind"].as_str().unwrap().to_owned()).collect();
    assert_eq!(told, ["upserted", "deleted"]);
    assert_eq!(of_type(&events, SIGNAL).len(), 2, "{events:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_recording_is_64_with_its_line() {
    let scene = Scene::new().await;
    let file = scene.path("bad.jsonl");
    let head = r#"{"drivetap_recording":1,"version":"0.1.0","drive_type":"business","drive":"b!x"}"#;
    for (text, says) in [
        (String::new(), "bad.jsonl:1: a recording begins with its head"),
        ("{}\n".to_owned(), "bad.jsonl:1: this is no recording"),
        (head.replace(":1,", ":2,"), "bad.jsonl:1: format 2"),
        (format!("{head}\n{{\"ms\":1}}\n"), "bad.jsonl:2: "),
        (format!("{head}\n{{\"ms\":1,\"page\":{{\"from\":\"root\",\"items\":[{{}}],\"more\":false}}}}\n"), "line 2: "),
    ] {
        fs::write(&file, &text).unwrap();
        Program::drivetap(["replay".as_ref(), file.as_os_str()], &[]).end().await.assert(64, &[says]);
    }
    Program::drivetap(["replay", "/no/such/file"], &[]).end().await.assert(64, &["/no/such/file"]);
}
