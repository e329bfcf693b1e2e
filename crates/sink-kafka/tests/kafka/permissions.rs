//! Whether the sink may write is answered, and nothing is written.

use drivetap_sink::NotReady;
use drivetap_sink_kafka::{Granted, KafkaConfig, ask_permission};

use crate::broker::{make_topic, new_topic, plaintext, read, service, unique, with};

#[tokio::test]
async fn a_topic_that_may_be_written_is_proven_so_and_stays_empty() {
    let (topic, letters) = (new_topic("may", 1, &[]).await, new_topic("may-letters", 1, &[]).await);
    let config = KafkaConfig { dead_letter_topic: Some(letters.clone()), ..plaintext(&topic, &[]) };
    let granted = Granted { topics: vec![topic.clone(), letters.clone()], idempotent: Some(true) };
    assert_eq!(ask_permission(config.clone()).await, Ok(granted.clone()));
    // Under whatever name acknowledgements and waits are configured.
    let plain =
        with(config, &[("enable.idempotence", "false"), ("request.required.acks", "1"), ("queue.buffering.max.ms", "5000")]);
    assert_eq!(ask_permission(plain).await, Ok(Granted { idempotent: None, ..granted }));
    for topic in [topic, letters] {
        assert_eq!(read(&topic, 0).await, []);
    }
}

#[tokio::test]
async fn a_topic_that_may_not_be_written_or_is_not_there_is_said_with_what_helps() {
    let denied = unique(&service("/kafka/denied_prefix"));
    make_topic(&denied, 1, &[]).await;
    let allowed = new_topic("may", 1, &[]).await;
    for (config, says) in [
        (plaintext(&denied, &[]), format!("no permission to write to topic `{denied}`")),
        (
            KafkaConfig { dead_letter_topic: Some(denied.clone()), ..plaintext(&allowed, &[]) },
            format!("no permission to write to topic `{denied}`"),
        ),
        (plaintext("not-there", &[]), "topic `not-there` does not exist".to_owned()),
    ] {
        let Err(NotReady::Later(reason)) = ask_permission(config).await else { panic!("{says}") };
        assert!(reason.contains(&says), "{says}\n{reason}");
    }
    assert_eq!(read(&denied, 0).await, []);
}
