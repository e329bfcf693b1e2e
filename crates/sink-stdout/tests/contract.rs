//! The contract suite on a real pipe, in both formats that a consumer reads ids from.
#![expect(clippy::unwrap_used, reason = "test code")]

use std::collections::HashSet;
use std::io::{BufRead as _, BufReader, pipe};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use drivetap_sink::Sink;
use drivetap_sink::contract::{Ability, Harness, Outage, Seen, check};
use drivetap_sink_stdout::{Format, StdoutSink};
use serde_json::Value;
use tokio::time::{Instant, sleep};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keeps_every_promise_on_a_pipe() {
    check(&mut Pipe::default()).await.unwrap();
}

#[derive(Default)]
struct Pipe {
    seen: Arc<Mutex<Vec<Seen>>>,
}

#[async_trait]
impl Harness for Pipe {
    async fn fresh(&mut self) -> Box<dyn Sink> {
        let (reader, writer) = pipe().unwrap();
        self.seen = Arc::default();
        let seen = Arc::clone(&self.seen);
        // Ends with the writer, that is with the sink.
        std::thread::spawn(move || {
            for line in BufReader::new(reader).lines() {
                let event: Value = serde_json::from_str(&line.unwrap()).unwrap();
                let word = |name: &str| event[name].as_str().unwrap().to_owned();
                seen.lock().unwrap().push(Seen { key: word("partitionkey"), id: word("id") });
            }
        });
        Box::new(StdoutSink::onto(writer, Format::Json))
    }

    async fn read_back(&mut self, distinct: usize) -> Vec<Seen> {
        let there = || self.seen.lock().unwrap().iter().map(|seen| &seen.id).collect::<HashSet<_>>().len();
        let deadline = Instant::now() + Duration::from_secs(5);
        while there() < distinct && Instant::now() < deadline {
            sleep(Duration::from_millis(5)).await;
        }
        sleep(Duration::from_millis(50)).await;
        self.seen.lock().unwrap().clone()
    }

    fn outage(&self) -> Ability<Arc<dyn Outage>> {
        Ability::Lacks("a pipe that was closed does not come back")
    }

    fn too_large(&self) -> Ability<usize> {
        Ability::Lacks("a line may be as long as it likes")
    }
}
