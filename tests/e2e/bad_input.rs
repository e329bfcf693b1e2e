//! What people and servers get wrong, and what they are told.

use std::time::Duration;

use serde_json::{Value, json};

use crate::support::{GraphStub, Program, Scene, TOKEN, config};

#[tokio::test(flavor = "multi_thread")]
async fn a_resource_is_refused_by_the_part_that_is_wrong() {
    for (resource, said) in [
        ("", "none of"),
        ("drives", "none of"),
        ("list:abc", "none of"),
        ("drive:", "driveId"),
        ("drive:a/b", "contains '/'"),
        ("drive:..", "is a dot segment"),
        ("drive:.", "is a dot segment"),
        ("group:a\u{7}b", "contains a control character"),
        ("site:a/list:\u{85}", "contains a control character"),
        ("/drives/../root/subscriptions/socketIo", "is a dot segment"),
        ("/me/drive/items/1/subscriptions/socketIo", "none of"),
    ] {
        let ended = Program::drivetap(["path", resource], &[]).end().await;
        ended.assert(64, &[said]);
        assert!(ended.stdout.is_empty(), "{resource:?}: {ended:#?}");
        assert!(!ended.stderr.concat().contains(['\u{7}', '\u{85}']), "a control character drives the terminal: {ended:#?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn ids_of_the_wild_and_of_any_script_make_a_path() {
    for (resource, path) in [
        ("drive:b!-RIj2DuyvEyV1T4NlOaMHk8XkS_I8MdF", "/drives/b!-RIj2DuyvEyV1T4NlOaMHk8XkS_I8MdF/root/subscriptions/socketIo"),
        ("group:grün", "/groups/gr%C3%BCn/drive/root/subscriptions/socketIo"),
        ("site:h.example,1,2/list:文 書", "/sites/h.example,1,2/lists/%E6%96%87%20%E6%9B%B8/drive/root/subscriptions/socketIo"),
        ("drive-list:a%2Fb", "/drives/a%252Fb/list/subscriptions/socketIo"),
    ] {
        let ended = Program::drivetap(["path", resource], &[]).end().await;
        ended.assert(0, &[]);
        assert_eq!(ended.stdout, [path]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_configuration_is_refused_with_the_place_of_what_is_wrong() {
    const GOOD: &str =
        "[account.default]\ntoken = { env = \"T\" }\n[[subscription]]\nresource = \"me\"\n[sink.console]\ntype = \"stdout\"\n";
    let scene = Scene::new().await;
    let file = scene.path("a.toml");
    let path = file.to_str().unwrap();
    let validate = |text: String| {
        std::fs::write(&file, text).unwrap();
        Program::drivetap(["validate", "-c", path], &[]).end()
    };
    validate(GOOD.to_owned()).await.assert(0, &[]);

    for (from, to, said) in [
        ("resource =", "resorce =", &["a.toml:4:1", "resorce", "resource"][..]),
        ("type = \"stdout\"", "type = \"stdout\"\n[sink.console]\ntype = \"stdout\"", &["a.toml:7:", "console is there twice"]),
        ("\"me\"", "\"mine\"", &["a.toml:4:12", "mine"]),
        ("\"me\"", "\"drive:a/b\"", &["a.toml:4:12", "contains '/'"]),
        ("[account.default]", "[graph]\nbase_url = \"http://graph.example/v1.0\"\n[account.default]", &["a.toml:2:12", "https"]),
        (
            "[account.default]",
            "[graph]\ncloud = \"global\"\nbase_url = \"https://g.example/v1.0\"\n[account.default]",
            &["cloud", "base_url"],
        ),
        ("resource = \"me\"\n", "resource = \"me\"\n[[subscription]]\nresource = \"me\"\n", &["a.toml:6:12", "twice"]),
        ("[sink.console]\ntype = \"stdout\"\n", "", &["no sink"]),
        ("[[subscription]]\nresource = \"me\"\n", "", &["no subscription"]),
        ("{ env = \"T\" }", "{ env = \"T\"", &["not TOML"]),
        ("[sink.console]", "[network]\ntransport = \"polling\"\n[sink.console]", &["polling"]),
        ("[sink.console]", "[shutdown]\ndeadline = 30\n[sink.console]", &["a.toml:6:12", "deadline"]),
    ] {
        let text = GOOD.replacen(from, to, 1);
        assert_ne!(text, GOOD, "{from}");
        validate(text.clone()).await.assert(78, said);
        Program::drivetap(["run", "-c", path], &[("T", TOKEN)]).end().await.assert(78, said);
    }
    for command in ["validate", "run"] {
        Program::drivetap([command, "-c", "no/such.toml"], &[]).end().await.assert(78, &["no/such.toml", "no such file"]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_endpoint_is_said_without_its_secret_and_never_dialled() {
    const SECRET: &str = "token=s3cr3t";
    let subscription = |url: &str| json!({ "id": "f267729a", "notificationUrl": url });
    let answering = |url: &str| {
        let body = subscription(url);
        async move { GraphStub::answering(&body).await }
    };
    let html = GraphStub::answering_html().await;
    let nothing: Value = json!({ "id": "f267729a", "expirationDateTime": "2099-01-01T00:00:00Z" });
    let cases = [
        (answering(&format!("https://x.svc.ms?{SECRET}")).await, "has no path"),
        (answering(&format!("https://user:{SECRET}@x.svc.ms/notifications")).await, "userinfo"),
        (answering(&format!("ftp://x.svc.ms/notifications?{SECRET}")).await, "scheme \"ftp\""),
        (
            answering(&format!("https://evil.example/notifications?{SECRET}")).await,
            "\"evil.example\", which is not in notification_hosts",
        ),
        (answering(&format!("https://x.svc.ms.evil.example/notifications?{SECRET}")).await, "not in notification_hosts"),
        (answering(&format!("http://x.svc.ms/notifications?{SECRET}")).await, "scheme \"http\""),
        (answering(&format!("https://192.0.2.1/notifications?{SECRET}")).await, "192.0.2.1"),
        (GraphStub::answering(&nothing).await, "no notificationUrl"),
        (html, "HTML, not JSON"),
    ];
    let folder = tempfile::tempdir().unwrap();
    let mut running = Vec::new();
    for (at, (graph, said)) in cases.iter().enumerate() {
        let file = folder.path().join(format!("{at}.toml"));
        let rest = "[[subscription]]\nresource = \"me\"\n[sink.console]\ntype = \"stdout\"\n";
        std::fs::write(&file, config(&graph.base_url(), rest)).unwrap();
        let args = ["run".as_ref(), "-c".as_ref(), file.as_os_str()];
        running.push((Program::drivetap(args, &[("DRIVETAP_TOKEN", TOKEN), ("RUST_LOG", "trace")]), *said));
    }
    for (mut program, said) in running {
        program.says(said).await;
        // The endpoint may be better next time.
        program.assert_stays(Duration::from_millis(100)).await;
        let ended = program.stop().await;
        ended.assert(0, &[]);
        assert!(!ended.stderr.concat().contains("s3cr3t"), "{said}: {ended:#?}");
    }
}
