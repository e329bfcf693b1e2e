//! SASL and TLS, by librdkafka's own keys.

use drivetap_sink::Outcome;
use drivetap_sink::contract::{events, publish};
use drivetap_sink_kafka::{KafkaConfig, KafkaSink};

use crate::broker::{config, connected, ids, later, new_topic, read_ids, service, with};

async fn takes_events(topic: &str, config: KafkaConfig) {
    let events = events(3, 1);
    assert_eq!(publish(&mut connected(config).await, &events).await, Outcome::all(3));
    assert_eq!(read_ids(topic, 3).await, ids(&events));
}

fn sasl(topic: &str, mechanism: &str, password: &str) -> KafkaConfig {
    let username = service("/kafka/sasl/username");
    with(
        config("/kafka/sasl/address", topic),
        &[
            ("security.protocol", "sasl_plaintext"),
            ("sasl.mechanism", mechanism),
            ("sasl.username", &username),
            ("sasl.password", password),
        ],
    )
}

fn tls(topic: &str, ca: &str) -> KafkaConfig {
    with(config("/kafka/ssl", topic), &[("security.protocol", "ssl"), ("ssl.ca.location", ca)])
}

#[tokio::test]
async fn it_signs_in_by_every_password_mechanism() {
    for mechanism in ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] {
        let topic = new_topic("sasl", 1, &[]).await;
        takes_events(&topic, sasl(&topic, mechanism, &service("/kafka/sasl/password"))).await;
    }
}

#[tokio::test]
async fn a_refused_password_is_said_at_once_and_not_repeated() {
    for mechanism in ["PLAIN", "SCRAM-SHA-256"] {
        let reason = later(sasl("t", mechanism, "hunter2-hunter2")).await;
        assert!(reason.contains("refuses the sign-in") && reason.to_lowercase().contains("authentication failed"), "{reason}");
        assert!(!reason.contains("hunter2"), "{reason}");
    }
}

#[tokio::test]
async fn it_speaks_tls_with_a_private_authority() {
    let topic = new_topic("tls", 1, &[]).await;
    takes_events(&topic, tls(&topic, &service("/tls/ca"))).await;
}

/// For the listener that wants to know who connects.
fn mutual(topic: &str, certificate: &str, key: &str) -> KafkaConfig {
    let (certificate, key) = (service(certificate), service(key));
    let ca = service("/tls/ca");
    with(
        config("/kafka/mutual", topic),
        &[
            ("security.protocol", "ssl"),
            ("ssl.ca.location", &ca),
            ("ssl.certificate.location", &certificate),
            ("ssl.key.location", &key),
        ],
    )
}

#[tokio::test]
async fn it_shows_a_client_certificate_where_one_is_required() {
    let topic = new_topic("mtls", 1, &[]).await;
    takes_events(&topic, mutual(&topic, "/tls/client_cert", "/tls/client_key")).await;
    let encrypted = mutual(&topic, "/tls/client_cert", "/tls/client_key_encrypted");
    let topic = new_topic("mtls", 1, &[]).await;
    let password = service("/tls/client_key_password");
    takes_events(&topic, with(KafkaConfig { topic: topic.clone(), ..encrypted }, &[("ssl.key.password", &password)])).await;
}

#[tokio::test]
async fn a_broker_that_requires_another_certificate_or_any_says_which() {
    let another = later(mutual("t", "/tls/other_client_cert", "/tls/other_client_key")).await;
    assert!(another.contains("refuses the client certificate"), "{another}");
    let mut none = mutual("t", "/tls/client_cert", "/tls/client_key");
    for key in ["ssl.certificate.location", "ssl.key.location"] {
        none.librdkafka.remove(key);
    }
    let none = later(none).await;
    assert!(none.contains("asks for a client certificate") && none.contains("ssl.certificate.location"), "{none}");
}

#[test]
fn what_is_wrong_with_a_certificate_or_its_key_is_said_before_anything_connects() {
    let (folder, services) = (std::env::temp_dir(), |name: &str| service(&format!("/tls/{name}")));
    let junk = folder.join(format!("drivetap-junk-{}.pem", std::process::id()));
    std::fs::write(&junk, "junk").unwrap();
    let junk = junk.to_str().unwrap();
    let (ca, certificate, key, locked) =
        (services("ca"), services("client_cert"), services("client_key"), services("client_key_encrypted"));
    let ssl = ("security.protocol", "ssl");
    let pair = [("ssl.certificate.location", certificate.as_str()), ("ssl.key.location", key.as_str())];
    for (keys, says) in [
        (&[ssl, ("ssl.ca.location", "no/such.pem")][..], "`ssl.ca.location`: no/such.pem cannot be read"),
        (&[ssl, ("ssl.ca.location", junk)], "`ssl.ca.location`: "),
        (&[ssl, pair[0]], "`ssl.certificate.location`: a certificate goes with its key"),
        (&[ssl, pair[1]], "`ssl.key.location`: a key goes with its certificate"),
        (&[pair[0], pair[1]], "`ssl.certificate.location`: a certificate is shown in TLS only"),
        (&[ssl, ("ssl.certificate.location", junk), pair[1]], "`ssl.certificate.location`: "),
        (&[ssl, pair[0], ("ssl.key.location", junk)], "`ssl.key.location`: holds no private key in PEM"),
        (&[ssl, pair[0], ("ssl.key.location", &ca)], "`ssl.key.location`: holds no private key in PEM"),
        (
            &[ssl, pair[0], ("ssl.key.location", &services("other_client_key"))],
            "`ssl.key.location`: is not the key of the certificate",
        ),
        (&[ssl, pair[0], ("ssl.key.location", &locked)], "`ssl.key.location`: is encrypted: write \"ssl.key.password\""),
        (
            &[ssl, pair[0], ("ssl.key.location", &locked), ("ssl.key.password", "hunter2-hunter2")],
            "`ssl.key.location`: is not opened by ssl.key.password",
        ),
    ] {
        let config = with(KafkaConfig::new("localhost:1", "t"), keys);
        let error = KafkaSink::new(config).map(|_| ()).unwrap_err().to_string();
        assert!(error.contains(says) && !error.contains("hunter2"), "{says}\n{error}");
    }
    KafkaSink::new(with(KafkaConfig::new("localhost:1", "t"), &[ssl, pair[0], pair[1]])).unwrap();
    std::fs::remove_file(junk).unwrap();
}

#[tokio::test]
async fn an_authority_that_did_not_sign_is_refused_with_clear_words() {
    // One that signed nothing here, and the system's.
    for reason in [
        later(tls("t", &service("/tls/other_ca"))).await,
        later(with(config("/kafka/ssl", "t"), &[("security.protocol", "ssl")])).await,
    ] {
        assert!(reason.contains("is not trusted") && reason.contains("ssl.ca.location"), "{reason}");
    }
}

#[tokio::test]
async fn a_certificate_for_another_host_is_refused_with_clear_words() {
    // The same address under a name that the certificate does not have.
    let port = service("/kafka/ssl").rsplit_once(':').unwrap().1.to_owned();
    let elsewhere = KafkaConfig { bootstrap_servers: format!("127.1:{port}"), ..tls("t", &service("/tls/ca")) };
    let reason = later(elsewhere).await;
    assert!(reason.contains("is not trusted") && reason.contains("host name"), "{reason}");
}
