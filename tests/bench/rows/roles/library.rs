//! A program of somebody else's over drivetap's libraries: a walk from a drive's beginning, with the cursor in redb, to a sink that counts.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use drivetap_bridge::core::feed::{Emit, Start, SubscriptionSettings};
use drivetap_bridge::core::{AccountName, Event, Resource};
use drivetap_bridge::graph::{BaseUrl, EnvToken, GraphClient, GraphConfig, Quota};
use drivetap_bridge::sink::{NotReady, Outcome, Sink};
use drivetap_bridge::transport::{Native, NativeConfig};
use drivetap_bridge::{Pipeline, RedbStore, Role, SinkSettings};

use crate::ledger::Ledger;
use crate::pages;
use crate::task::{Target, Task};

pub(crate) async fn library(task: Task) {
    let Target::Nowhere { count } = task.to else { panic!("not a task for this: {task:?}") };
    let base_url: BaseUrl = format!("{}/v1.0", task.origin).parse().unwrap();
    let token = EnvToken::new("DRIVETAP_TOKEN", |_| Some("EwB4A8l6BAAUopaque.access.token".to_owned()));
    let graph = GraphClient::new(GraphConfig { base_url: base_url.clone(), ..GraphConfig::default() }, Arc::new(token)).unwrap();
    // Graph's quota is Graph's, and this is not about Graph.
    let quota = Quota::in_five_minutes(NonZeroU32::new(1_000_000).unwrap());
    let emit = Emit { signals: false, changes: true };
    let pipeline = Pipeline::builder(base_url.to_string(), Arc::new(Native::new(&NativeConfig::default()).unwrap()))
        .account_behind(AccountName::default(), Arc::new(graph), quota)
        .subscription(AccountName::default(), SubscriptionSettings { resource: Resource::Me, emit, start: Start::Beginning })
        .sink(SinkSettings::new("count", Role::Durable), Box::new(Count(Ledger::new(count))))
        .store(Arc::new(RedbStore::open("state.redb").unwrap()))
        .build()
        .unwrap();
    pipeline.run(std::future::pending(), Duration::from_secs(10)).await.unwrap();
}

/// Says so when it is full.
struct Count(Ledger);

#[async_trait]
impl Sink for Count {
    async fn connect(&mut self) -> Result<(), NotReady> {
        Ok(())
    }

    async fn publish(&mut self, batch: &[Arc<Event>]) -> Outcome {
        for event in batch {
            self.0.see(event.subject().and_then(pages::number));
        }
        if self.0.is_full() {
            super::walk::say(&self.0);
        }
        Outcome::all(batch.len())
    }

    async fn close(self: Box<Self>, _: Duration) {}
}
