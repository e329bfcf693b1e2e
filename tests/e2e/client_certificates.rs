//! Who drivetap is, for a Kafka and a Redis that ask: `ssl.client.auth=required`, `tls-auth-clients yes`.

use std::fs;

use drivetap_tests::{RedisServer, free_port};

use crate::support::kafka::Topic;
use crate::support::{Ended, Program, Scene, TOKEN, config, service, unique};

const PASSWORD: &str = "KEY_PASSWORD";

/// The certificate and the key as `[sink]` names them, by their names in the services' state.
type Identity = (&'static str, &'static str);

const RIGHT: Identity = ("client_cert", "client_key");
const LOCKED: Identity = ("client_cert", "client_key_encrypted");
const OTHER: Identity = ("other_client_cert", "other_client_key");

fn file(name: &str) -> String {
    service(&format!("/tls/{name}"))
}

fn kafka(topic: &str, identity: Option<Identity>) -> String {
    let mut text = format!(
        "[sink.bus]\ntype = \"kafka\"\nbootstrap_servers = \"{}\"\ntopic = \"{topic}\"\n[sink.bus.librdkafka]\n\
         security.protocol = \"ssl\"\nssl.ca.location = \"{}\"\n",
        service("/kafka/mutual"),
        file("ca")
    );
    if let Some((certificate, key)) = identity {
        text += &format!("ssl.certificate.location = \"{}\"\nssl.key.location = \"{}\"\n", file(certificate), file(key));
        if identity == Some(LOCKED) {
            text += &format!("ssl.key.password = {{ env = \"{PASSWORD}\" }}\n");
        }
    }
    text
}

fn redis_sink(port: u16, channel: &str, identity: Option<Identity>) -> String {
    let mut text = format!(
        "[sink.live]\ntype = \"redis\"\nurl = \"rediss://localhost:{port}\"\nchannel = \"{channel}\"\nca_file = \"{}\"\n",
        file("ca")
    );
    if let Some((certificate, key)) = identity {
        text += &format!("cert_file = \"{}\"\nkey_file = \"{}\"\n", file(certificate), file(key));
        if identity == Some(LOCKED) {
            text += &format!("key_password = {{ env = \"{PASSWORD}\" }}\n");
        }
    }
    text
}

/// Where anything but `sink` is well.
async fn drivetap(scene: &Scene, command: &str, sink: &str) -> Ended {
    let path = scene.path("mutual.toml");
    fs::write(&path, config(&scene.graph.base_url(), &format!("[[subscription]]\nresource = \"me\"\n{sink}"))).unwrap();
    let password = file("client_key_password");
    let env = [("DRIVETAP_TOKEN", TOKEN), (PASSWORD, &password)];
    Program::drivetap([command, "-c", path.to_str().unwrap()], &env).end().await
}

#[track_caller]
fn refused(ended: &Ended, says: &str) {
    assert_eq!(ended.code, Some(69), "{ended:#?}");
    let line = ended.stdout.iter().find(|line| line.starts_with("✗ sink")).unwrap_or_else(|| panic!("{ended:#?}"));
    assert!(line.contains(says), "{says}: {line}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kafka_that_asks_takes_the_certificate_of_its_authority_and_no_other() {
    let (scene, topic) = (Scene::new().await, Topic::new("e2e-mutual").await);
    for identity in [RIGHT, LOCKED] {
        drivetap(&scene, "validate", &kafka(&topic.name, Some(identity))).await.assert(0, &[]);
        drivetap(&scene, "check", &kafka(&topic.name, Some(identity))).await.assert(0, &[]);
    }
    refused(&drivetap(&scene, "check", &kafka(&topic.name, None)).await, "asks for a client certificate, and none is configured");
    refused(&drivetap(&scene, "check", &kafka(&topic.name, Some(OTHER))).await, "refuses the client certificate");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redis_that_asks_takes_the_certificate_of_its_authority_and_no_other() {
    let (scene, channel, port) = (Scene::new().await, unique("e2e-mutual"), free_port());
    let (ca, certificate, key) = (file("ca"), file("server_cert"), file("server_key"));
    let tls = ["--tls-port", &port.to_string(), "--tls-auth-clients", "yes", "--tls-ca-cert-file", &ca];
    let _server = RedisServer::start(&[&tls[..], &["--tls-cert-file", &certificate, "--tls-key-file", &key]].concat()).await;
    for identity in [RIGHT, LOCKED] {
        drivetap(&scene, "validate", &redis_sink(port, &channel, Some(identity))).await.assert(0, &[]);
        drivetap(&scene, "check", &redis_sink(port, &channel, Some(identity))).await.assert(0, &[]);
    }
    refused(
        &drivetap(&scene, "check", &redis_sink(port, &channel, None)).await,
        "asks for a client certificate, and none is configured",
    );
    refused(&drivetap(&scene, "check", &redis_sink(port, &channel, Some(OTHER))).await, "refuses the client certificate");
}

#[tokio::test(flavor = "multi_thread")]
async fn validate_says_which_file_is_wrong_and_runs_no_command_for_the_password() {
    let scene = Scene::new().await;
    let swapped = ("client_cert", "other_client_key");
    let validate = |sink: String| {
        let scene = &scene;
        async move { drivetap(scene, "validate", &sink).await }
    };
    validate(redis_sink(1, "c", Some(swapped))).await.assert(78, &["key_file is not the key of the certificate"]);
    validate(kafka("t", Some(swapped))).await.assert(78, &["`ssl.key.location`: is not the key of the certificate"]);
    let another = |text: String| text.replace(&format!("{{ env = \"{PASSWORD}\" }}"), "\"hunter2-hunter2\"");
    let none =
        |text: String| text.lines().filter(|line| !line.contains(PASSWORD)).fold(String::new(), |all, line| all + line + "\n");
    for (of, said, unsaid) in [
        (redis_sink(1, "c", Some(LOCKED)), "key_password does not open the key", "key_file is encrypted: write key_password"),
        (kafka("t", Some(LOCKED)), "is not opened by ssl.key.password", "is encrypted: write \"ssl.key.password\""),
    ] {
        let ended = validate(another(of.clone())).await;
        ended.assert(78, &[said]);
        assert!(!ended.stderr.concat().contains("hunter2"), "{ended:#?}");
        validate(none(of.clone())).await.assert(78, &[unsaid]);
        let command = of.replace(&format!("{{ env = \"{PASSWORD}\" }}"), "{ command = [\"touch\", \"ran\"] }");
        validate(command).await.assert(0, &[]);
    }
    assert!(!scene.path("ran").exists());
}
