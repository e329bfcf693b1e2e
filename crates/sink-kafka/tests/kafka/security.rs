//! SASL and TLS, by librdkafka's own keys.

use drivetap_sink::contract::events;
use drivetap_sink::{Outcome, Sink};
use drivetap_sink_kafka::KafkaConfig;

use crate::broker::{config, connected, ids, later, new_topic, read_ids, service, with};

async fn takes_events(topic: &str, config: KafkaConfig) {
    let events = events(3, 1);
    assert_eq!(connected(config).await.publish(&events).await, Outcome::all(3));
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

#[tokio::test]
async fn it_shows_a_client_certificate() {
    let topic = new_topic("mtls", 1, &[]).await;
    let (certificate, key) = (service("/tls/client_cert"), service("/tls/client_key"));
    let mutual = [("ssl.certificate.location", certificate.as_str()), ("ssl.key.location", key.as_str())];
    takes_events(&topic, with(tls(&topic, &service("/tls/ca")), &mutual)).await;
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
