//! Reading back what stands in a topic.

use std::collections::BTreeMap;
use std::time::Duration;

use drivetap_sink::contract::{events, publish};
use drivetap_sink::{Outcome, Sink};
use drivetap_sink_kafka::{KafkaConfig, ReadBack, ReadBackError};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};

use crate::broker::{config, connected, ids, new_topic, plaintext, service, unique, with};

/// The ids of what one reading hands out, by partition, and the offsets.
type Heard = (BTreeMap<i32, Vec<String>>, Vec<(i32, i64)>);

async fn read_on(mut reader: ReadBack) -> (ReadBack, Result<Heard, ReadBackError>) {
    let reading = tokio::task::spawn_blocking(move || {
        let (mut found, mut places) = (BTreeMap::<i32, Vec<String>>::new(), Vec::new());
        let read = reader.read_on(|stored| {
            let id = stored.headers.iter().find(|(name, _)| *name == "ce_id").map(|(_, value)| String::from_utf8_lossy(value));
            let id = id.map_or_else(|| String::from_utf8_lossy(stored.value.unwrap_or_default()).into_owned(), Into::into);
            found.entry(stored.partition).or_default().push(id);
            places.push((stored.partition, stored.offset));
        });
        (reader, read.map(|()| (found, places)))
    });
    reading.await.unwrap()
}

async fn refused(config: KafkaConfig) -> String {
    let (_, read) = read_on(ReadBack::new(&config).unwrap()).await;
    read.unwrap_err().to_string()
}

#[tokio::test]
async fn it_hands_out_every_partition_in_order_up_to_the_end_and_goes_on_behind_it() {
    let topic = new_topic("back", 3, &[]).await;
    let mut sink = connected(plaintext(&topic, &[])).await;
    // Five drives, spread over the partitions.
    let (before, after) = (events(200, 5), events(40, 5));
    assert_eq!(publish(&mut sink, &before).await, Outcome::all(200));

    let (reader, read) = read_on(ReadBack::new(&plaintext(&topic, &[])).unwrap()).await;
    let (found, places) = read.unwrap();
    assert_eq!(places.len(), 200);
    let (mut all, expected) = (found.values().flatten().cloned().collect::<Vec<_>>(), ids(&before));
    for in_partition in found.values() {
        let order: Vec<_> = in_partition.iter().map(|id| expected.iter().position(|known| known == id).unwrap()).collect();
        assert!(order.is_sorted(), "{order:?}");
    }
    all.sort_unstable();
    let mut sorted = expected.clone();
    sorted.sort_unstable();
    assert_eq!(all, sorted);

    // Nothing new, then something.
    let (reader, read) = read_on(reader).await;
    assert_eq!(read.unwrap().1, []);
    assert_eq!(publish(&mut sink, &after).await, Outcome::all(40));
    let (_, read) = read_on(reader).await;
    let (found, places) = read.unwrap();
    assert_eq!((found.values().flatten().count(), places.iter().any(|(_, offset)| *offset == 0)), (40, false));
    Box::new(sink).close(Duration::from_secs(5)).await;
}

#[tokio::test]
async fn an_empty_topic_has_nothing_and_the_mark_of_a_transaction_is_no_record() {
    let topic = new_topic("back", 1, &[]).await;
    let (reader, read) = read_on(ReadBack::new(&plaintext(&topic, &[])).unwrap()).await;
    assert_eq!(read.unwrap().1, []);

    let (servers, name) = (service("/kafka/plaintext"), topic.clone());
    let transaction = tokio::task::spawn_blocking(move || {
        let mut config = rdkafka::ClientConfig::new();
        config.set("bootstrap.servers", servers).set("transactional.id", unique("tx"));
        let producer: BaseProducer = config.create().unwrap();
        producer.init_transactions(Duration::from_secs(20)).unwrap();
        for (value, kept) in [("kept", true), ("aborted", false)] {
            producer.begin_transaction().unwrap();
            producer.send(BaseRecord::<str, str>::to(&name).payload(value)).map_err(|(error, _)| error).unwrap();
            producer.flush(Duration::from_secs(20)).unwrap();
            let end = if kept { BaseProducer::commit_transaction } else { BaseProducer::abort_transaction };
            end(&producer, Duration::from_secs(20)).unwrap();
        }
    });
    transaction.await.unwrap();
    let (_, read) = read_on(reader).await;
    assert_eq!(read.unwrap().0, BTreeMap::from([(0, vec!["kept".to_owned()])]));
}

#[tokio::test]
async fn it_signs_in_and_speaks_tls_by_the_sinks_own_keys() {
    let topic = new_topic("back", 1, &[]).await;
    assert_eq!(publish(&mut connected(plaintext(&topic, &[])).await, &events(3, 1)).await, Outcome::all(3));
    let (username, password, ca) = (service("/kafka/sasl/username"), service("/kafka/sasl/password"), service("/tls/ca"));
    let sasl = |password: &str| {
        let keys = [("security.protocol", "sasl_plaintext"), ("sasl.mechanism", "PLAIN"), ("sasl.username", &username)];
        with(with(config("/kafka/sasl/address", &topic), &keys), &[("sasl.password", password)])
    };
    let tls = with(config("/kafka/ssl", &topic), &[("security.protocol", "ssl"), ("ssl.ca.location", &ca)]);
    for config in [sasl(&password), tls] {
        let (_, read) = read_on(ReadBack::new(&config).unwrap()).await;
        assert_eq!(read.unwrap().1.len(), 3);
    }
    let reason = refused(sasl("hunter2-hunter2")).await;
    assert!(reason.contains("refuses the sign-in") && !reason.contains("hunter2"), "{reason}");
}

#[tokio::test]
async fn what_cannot_be_read_is_said() {
    let reason = refused(plaintext(&unique("no-such"), &[])).await;
    assert!(reason.contains("does not exist"), "{reason}");
    let nobody = KafkaConfig { connect_timeout: Duration::from_secs(2), ..KafkaConfig::new("127.0.0.1:9", "t") };
    let reason = refused(nobody).await;
    assert!(reason.contains("127.0.0.1:9 is not reachable"), "{reason}");
    let error = ReadBack::new(&plaintext("t", &[("no.such.key", "1")])).err().unwrap();
    assert!(error.to_string().contains("no.such.key"), "{error}");
}
