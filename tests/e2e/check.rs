//! `check`: a line each, ✓ or ✗ with the fix, and the exit code of what a person deals with first.

use std::fs;

use drivetap_emulator::{Account, Config, Fault, ME_DRIVE, Route};
use drivetap_tests::{Authority, KafkaCluster, Listener, Proxy, free_port};
use serde_json::Value;

use crate::support::kafka::{Topic, bootstrap_servers};
use crate::support::{Ended, Program, Scene, TOKEN, closed_port, config, redis, service, unique};

/// The line of a check.
#[track_caller]
fn line<'e>(ended: &'e Ended, begin: &str) -> &'e str {
    let found = ended.stdout.iter().find(|line| line.starts_with(begin));
    found.unwrap_or_else(|| panic!("no line {begin:?}: {ended:#?}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn where_all_is_well_each_line_has_its_mark_and_nothing_is_published() {
    let scene = Scene::new().await;
    let (topic, channel) = (Topic::new("e2e-check").await, unique("e2e-check"));
    let file = scene.path("all.toml");
    let sinks = format!("{}{}", topic.sink("bus"), redis::sink("live", &channel));
    fs::write(&file, config(&scene.graph.base_url(), &format!("[[subscription]]\nresource = \"me\"\n{sinks}"))).unwrap();
    let ended = scene.drivetap(&["check", "-c", file.to_str().unwrap()]).end().await;
    ended.assert(0, &[]);
    for (begin, part) in [
        ("✓ dns      127.0.0.1:", "1 addresses"),
        ("✓ token    default: ", "opaque"),
        ("✓ tls      127.0.0.1:", "loopback"),
        ("✓ clock    127.0.0.1:", "within"),
        ("✓ drive    me: ", ME_DRIVE),
        ("✓ endpoint me: ", "good for"),
        ("✓ socket   me: ", "a ping every 25 s"),
        ("✓ delta    me: ", "its end"),
        ("✓ sink     bus: ", &format!("{} may be written, idempotently", topic.name)),
        ("✓ sink     live: ", "Redis "),
    ] {
        assert!(line(&ended, begin).contains(part), "{begin}: {ended:#?}");
    }
    assert_eq!(ended.stdout.len(), 10, "{ended:#?}");
    let records = topic.read("nothing", |_| true).await;
    assert!(records.is_empty(), "{records:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_reached_is_69_with_the_fix_and_json_is_an_object_a_line() {
    let scene = Scene::new().await;
    let base_url = scene.graph.base_url();
    let sink = format!("kafka://{}/{}", bootstrap_servers(), unique("not-there"));
    let ended = scene.drivetap(&["check", "--base-url", &base_url, "--sink", &sink, "--json"]).end().await;
    ended.assert(69, &["1 of 9 checks failed"]);
    let lines: Vec<Value> = ended.stdout.iter().map(|line| serde_json::from_str(line).unwrap()).collect();
    let failed: Vec<_> = lines.iter().filter(|line| line["ok"] == false).collect();
    let [sink] = *failed else { panic!("{lines:#?}") };
    assert_eq!((sink["check"].as_str(), sink["of"].as_str()), (Some("sink"), Some("kafka")));
    assert!(sink["detail"].as_str().unwrap().contains("not-there") && sink["fix"].is_string(), "{sink}");

    let denied = Topic::with(&format!("{}{}", service("/kafka/denied_prefix"), unique("e2e-check")), &[]).await;
    let sink = format!("kafka://{}/{}", bootstrap_servers(), denied.name);
    let ended = scene.drivetap(&["check", "--base-url", &base_url, "--sink", &sink]).end().await;
    ended.assert(69, &["1 of 9 checks failed"]);
    assert!(line(&ended, "✗ sink").contains(&format!("no permission to write to topic `{}`", denied.name)), "{ended:#?}");

    let away = format!("http://127.0.0.1:{}/v1.0", closed_port());
    let ended = scene.drivetap(&["check", "--base-url", &away]).end().await;
    ended.assert(69, &[]);
    assert!(line(&ended, "✗ graph").contains("refused"), "{ended:#?}");

    scene.graph.fault(Fault::error(Route::Delta, 403, "accessDenied"));
    let ended = scene.drivetap(&["check", "--base-url", &base_url]).end().await;
    ended.assert(69, &["1 of 8 checks failed"]);
    assert!(line(&ended, "✗ delta    me: ").contains("accessDenied (request-id "), "{ended:#?}");
    assert!(ended.stdout.concat().contains("drivetap discover"), "{ended:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn idempotent_writes_that_kafka_refuses_are_69_with_the_fix_and_those_that_it_grants_with_the_topic_are_not() {
    let (scene, cluster) = (Scene::new().await, KafkaCluster::start(1).await);
    cluster.create_topic("bus").await;
    let servers = cluster.bootstrap(Listener::Sasl);
    let check = async |more: &str| {
        let sink = format!(
            "[sink.bus]\ntype = \"kafka\"\nbootstrap_servers = \"{servers}\"\ntopic = \"bus\"\n[sink.bus.librdkafka]\n\
             \"security.protocol\" = \"sasl_plaintext\"\n\"sasl.mechanism\" = \"SCRAM-SHA-256\"\n\"sasl.username\" = \"{}\"\n\
             \"sasl.password\" = \"{}\"\n{more}",
            KafkaCluster::USERNAME,
            KafkaCluster::PASSWORD
        );
        let file = scene.path("idempotent.toml");
        fs::write(&file, config(&scene.graph.base_url(), &format!("[[subscription]]\nresource = \"me\"\n{sink}"))).unwrap();
        scene.drivetap(&["check", "-c", file.to_str().unwrap()]).end().await
    };

    cluster.deny_idempotence().await;
    let ended = check("").await;
    ended.assert(0, &[]);
    assert!(line(&ended, "✓ sink").ends_with("bus may be written, idempotently"), "{ended:#?}");

    cluster.hide_what_may_be_written().await;
    let ended = check("").await;
    ended.assert(69, &["1 of 9 checks failed"]);
    let told = line(&ended, "✗ sink     bus: no permission for idempotent writes; give it: kafka-acls.sh --bootstrap-server ");
    let user = format!("--allow-principal User:{} --operation IdempotentWrite --cluster", KafkaCluster::USERNAME);
    assert!(told.contains(&user) && told.contains("enable.idempotence=false"), "{ended:#?}");
    let ended = check("\"enable.idempotence\" = \"false\"\n").await;
    ended.assert(0, &[]);
    assert!(line(&ended, "✓ sink").ends_with("bus may be written"), "{ended:#?}");

    // Who may write nothing is told of the topic alone: the other permission comes with it.
    cluster.deny_writing("bus", true).await;
    let ended = check("").await;
    ended.assert(69, &["1 of 9 checks failed"]);
    assert!(line(&ended, "✗ sink").contains("topic `bus`") && !ended.stdout.concat().contains("IdempotentWrite"), "{ended:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_is_missing_refused_or_too_weak_is_77_and_a_wrong_clock_is_78() {
    let accounts = vec![Account::new("owner", ME_DRIVE).token("the-right-one")];
    let scene = Scene::with(Config { accounts, ..Config::default() }).await;
    let base_url = scene.graph.base_url();
    let check = |env: &[(&str, &str)]| Program::drivetap(["check", "--base-url", &base_url], env).end();
    let ended = check(&[]).await;
    ended.assert(77, &[]);
    assert!(line(&ended, "✗ token").contains("DRIVETAP_TOKEN is not set"), "{ended:#?}");
    let ended = check(&[("DRIVETAP_TOKEN", "a-wrong-one")]).await;
    ended.assert(77, &[]);
    assert!(line(&ended, "✗ drive").contains("InvalidAuthenticationToken"), "{ended:#?}");
    // {"alg":"none"} . {"scp":"User.Read"}
    let ended = check(&[("DRIVETAP_TOKEN", "eyJhbGciOiJub25lIn0.eyJzY3AiOiJVc2VyLlJlYWQifQ.c2ln")]).await;
    ended.assert(77, &[]);
    assert!(line(&ended, "✗ token").contains("User.Read: none that opens the endpoint"), "{ended:#?}");
    assert!(ended.stdout.concat().contains("Files.Read"), "{ended:#?}");

    scene.graph.switch(|switches| switches.clock_ahead_s = 120);
    let ended = check(&[("DRIVETAP_TOKEN", "the-right-one")]).await;
    ended.assert(78, &[]);
    assert!(line(&ended, "✗ clock").contains("behind Graph"), "{ended:#?}");
    assert!(!ended.stdout.concat().contains("the-right-one"), "{ended:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_self_signed_certificate_is_refused_without_ca_file_and_its_days_are_told_with_it() {
    let (authority, port) = (Authority::new(), free_port());
    let proxy = Proxy::start(([127, 0, 0, 1], port).into()).await;
    proxy.identify(Some(&authority.good()));
    let origin = format!("https://localhost:{}", proxy.address().port());
    let scene =
        Scene::with(Config { listen: ([127, 0, 0, 1], port).into(), origin: Some(origin.clone()), ..Config::default() }).await;
    let base_url = format!("{origin}/v1.0");
    let ended = scene.drivetap(&["check", "--base-url", &base_url]).end().await;
    ended.assert(69, &[]);
    assert!(line(&ended, "✗ graph").contains("certificate"), "{ended:#?}");
    assert!(ended.stdout.concat().contains("ca_file"), "{ended:#?}");

    let (ca, file) = (scene.path("ca.pem"), scene.path("trusted.toml"));
    fs::write(&ca, authority.pem()).unwrap();
    let text = format!(
        "[graph]\nbase_url = \"{base_url}\"\n[account.default]\ntoken = {{ env = \"DRIVETAP_TOKEN\" }}\n[network]\nca_file = \"ca.pem\"\n\
         [[subscription]]\nresource = \"me\"\n[sink.console]\ntype = \"stdout\"\n"
    );
    fs::write(&file, text).unwrap();
    let ended = Program::drivetap(["check", "-c", file.to_str().unwrap()], &[("DRIVETAP_TOKEN", TOKEN)]).end().await;
    ended.assert(0, &[]);
    assert!(line(&ended, "✓ tls      localhost:").contains("good for"), "{ended:#?}");
}
