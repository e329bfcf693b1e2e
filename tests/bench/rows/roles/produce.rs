//! Records that are there already, into a topic: by drivetap's sink, and by what is beneath it.

use std::io::BufRead as _;
use std::sync::Arc;
use std::time::Duration;

use drivetap_core::{AccountName, Drive, DriveType, Event, FeedId, GraphId, Notification, Origin};
use drivetap_sink::{Sink as _, Stop};
use drivetap_sink_kafka::{KafkaConfig, KafkaSink};
use jiff::Timestamp;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{BaseRecord, Producer as _};

use super::bare;
use crate::PATIENCE;
use crate::load::Frame;
use crate::task::{Target, Task};

/// What `publish` is given at a time. The program's own dispatcher offers about as much.
const BATCH: usize = 8_192;

/// The events are made beforehand: this is about the sink.
pub(crate) async fn sink(task: Task) {
    let Target::Records { servers, topic, linger_ms, count, .. } = &task.to else { panic!("not a task for this: {task:?}") };
    let mut config = KafkaConfig::new(servers, topic);
    config.librdkafka.insert("compression.type".into(), "none".into());
    config.librdkafka.insert("linger.ms".into(), linger_ms.to_string());
    let mut sink = KafkaSink::new(config).unwrap();
    sink.connect().await.unwrap();
    let (frame, origins) = (Frame::body(), (0..task.sockets).map(origin).collect::<Vec<_>>());
    let event = |n: u64| Arc::new(event(&origins[usize::try_from(n).unwrap() % origins.len()], &frame, n));
    let events: Vec<_> = (0..*count).map(event).collect();
    begin();
    let mut rest = &events[..];
    while !rest.is_empty() {
        let outcome = sink.publish(&rest[..BATCH.min(rest.len())]).await;
        assert!(matches!(outcome.stop, None | Some(Stop::Underway)), "{:?}", outcome.stop);
        rest = &rest[outcome.acked..];
    }
    println!("done");
    std::future::pending::<()>().await;
}

/// The same records, each as a copy of one that was made beforehand but for its number.
pub(crate) fn threaded(task: &Task) {
    let Target::Records { servers, topic, linger_ms, count, .. } = &task.to else { panic!("not a task for this: {task:?}") };
    let producer = bare::producer(servers, topic, *linger_ms);
    let (frame, mut body) = (Frame::body(), Vec::new());
    let keys: Vec<_> = (0..task.sockets).map(Task::drive).collect();
    let headers = headers();
    let insert = |all: OwnedHeaders, (key, value): &(String, String)| all.insert(Header { key, value: Some(value) });
    let headers = headers.iter().fold(OwnedHeaders::new_with_capacity(headers.len()), insert);
    begin();
    for n in 0..*count {
        body.clear();
        frame.append(n, None, &mut body);
        let key = &keys[usize::try_from(n).unwrap() % keys.len()];
        let mut record = BaseRecord::to(topic).key(key.as_str()).payload(body.as_slice()).headers(headers.clone());
        while let Err((error, again)) = producer.send(record) {
            assert_eq!(error, KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull));
            std::thread::sleep(Duration::from_millis(1));
            record = again;
        }
    }
    producer.flush(PATIENCE).unwrap();
    println!("done");
    std::thread::park();
}

/// What a record of drivetap's has for headers.
pub(crate) fn headers() -> Vec<(String, String)> {
    let event = event(&origin(0), &Frame::body(), 0);
    let mut all = vec![("ce_specversion".to_owned(), Event::SPEC_VERSION.to_owned())];
    all.extend(event.attributes().map(|(name, value)| (format!("ce_{name}"), value)));
    all.push(("content-type".to_owned(), Event::CONTENT_TYPE.to_owned()));
    all
}

fn origin(n: usize) -> Arc<Origin> {
    let drive = Drive::new(&GraphId::new("driveId", &Task::drive(n)).unwrap(), DriveType::Business).id;
    Arc::new(Origin::new(FeedId { account: AccountName::default(), drive }, "https://graph.microsoft.com/v1.0", 7))
}

fn event(origin: &Arc<Origin>, frame: &Frame, n: u64) -> Event {
    let mut body = Vec::new();
    frame.append(n, None, &mut body);
    let [notification] = &Notification::parse(str::from_utf8(&body).unwrap()).unwrap()[..] else { panic!("one") };
    Event::signal(origin, &Arc::from("me"), notification, n.into(), Timestamp::now())
}

fn begin() {
    println!("ready");
    let mut line = String::new();
    std::io::stdin().lock().read_line(&mut line).unwrap();
}
