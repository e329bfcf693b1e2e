//! What the log shows of a password: nothing, even when librdkafka tells all it does.

use std::io::Write;
use std::sync::{Arc, Mutex};

use drivetap_sink::Outcome;
use drivetap_sink::contract::{events, publish};
use tracing_subscriber::filter::LevelFilter;

use crate::broker::{config, connected, later, new_topic, service, with};

#[tokio::test]
async fn a_password_is_in_no_log_line() {
    let log = Log::default();
    let writer = log.clone();
    // For the whole process: librdkafka's lines come from its own threads. Other tests write into it, too.
    let subscriber = tracing_subscriber::fmt().with_max_level(LevelFilter::TRACE).with_writer(move || writer.clone()).finish();
    tracing::subscriber::set_global_default(subscriber).unwrap();

    let topic = new_topic("secrets", 1, &[]).await;
    let sasl = |password: &str| {
        let username = service("/kafka/sasl/username");
        with(
            config("/kafka/sasl/address", &topic),
            &[
                ("security.protocol", "sasl_plaintext"),
                ("sasl.mechanism", "PLAIN"),
                ("sasl.username", &username),
                ("sasl.password", password),
                ("debug", "all"),
            ],
        )
    };
    let password = service("/kafka/sasl/password");
    let mut sink = connected(sasl(&password)).await;
    assert_eq!(publish(&mut sink, &events(3, 1)).await, Outcome::all(3));
    later(sasl("hunter2-hunter2")).await;

    let log = log.text();
    assert!(log.contains("drivetap_sink_kafka::librdkafka") && log.contains("sasl"), "librdkafka's lines are not here");
    assert!(!log.contains(&password) && !log.contains("hunter2"), "a password is in the log");
}

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    fn text(&self) -> String {
        String::from_utf8_lossy(&self.0.lock().unwrap()).into_owned()
    }
}

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}
