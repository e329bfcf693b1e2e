use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use drivetap_bridge::core::{
    Drive, DriveId, Endpoint, Failure, Notification, NotificationUrl, Page, PageEnd, PageFrom, Remedy, Resource,
};
use drivetap_bridge::graph::{Graph, Share};
use drivetap_bridge::transport::{Ended, Limits, OpenError, Session, Transport, Why};
use serde_json::Value;

use super::{From, Help, Recorder, What};

/// Graph, with every page written down.
pub(crate) struct TappedGraph {
    pub(crate) graph: Arc<dyn Graph>,
    pub(crate) recorder: Recorder,
}

#[async_trait]
impl Graph for TappedGraph {
    async fn endpoint(&self, resource: &Resource) -> Result<Endpoint, Failure> {
        self.graph.endpoint(resource).await
    }

    async fn drive(&self, resource: &Resource) -> Result<Drive, Failure> {
        self.graph.drive(resource).await
    }

    async fn page(&self, drive: &DriveId, from: &PageFrom, share: &mut Share) -> Result<Page, Failure> {
        let answer = self.graph.page(drive, from, share).await;
        let from = match from {
            PageFrom::Latest => From::Latest,
            PageFrom::Root => From::Root,
            PageFrom::Link(_) => From::Link,
        };
        self.recorder.add(match &answer {
            Ok(page) => What::Page {
                from,
                items: page.items.iter().map(|item| Value::Object(item.fields())).collect(),
                more: matches!(page.end, PageEnd::Next(_)),
            },
            // Microsoft could tell from Graph's id of the request whose it was, and nothing is played by it.
            Err(Failure { code, remedy, request_id: _ }) => What::NoPage { from, code: code.clone(), remedy: help(remedy) },
        });
        answer
    }
}

fn help(remedy: &Remedy) -> Help {
    match remedy {
        Remedy::Retry { .. } => Help::Retry,
        // The recorded feed did the same with either.
        Remedy::RetrySlowly { .. } | Remedy::RetryThenResync { .. } => Help::RetrySlowly,
        Remedy::SignIn => Help::SignIn,
        Remedy::Resync { .. } => Help::Resync,
    }
}

/// A transport, with everything that its sessions hand out written down.
pub(crate) struct TappedTransport {
    pub(crate) transport: Arc<dyn Transport>,
    pub(crate) recorder: Recorder,
}

#[async_trait]
impl Transport for TappedTransport {
    async fn open(&self, url: &NotificationUrl, limits: &Limits) -> Result<Box<dyn Session>, OpenError> {
        match self.transport.open(url, limits).await {
            Ok(session) => {
                self.recorder.add(What::Opened {});
                Ok(Box::new(TappedSession { session, recorder: self.recorder.clone() }))
            }
            Err(error) => {
                self.recorder.add(What::NotOpened { why: error.to_string(), kind: kind_of_refusal(&error) });
                Err(error)
            }
        }
    }
}

fn kind_of_refusal(error: &OpenError) -> &'static str {
    match error {
        OpenError::Refetch { .. } => "the endpoint was refused",
        OpenError::Retry { .. } => "the network",
        OpenError::Busy { .. } => "no room",
        OpenError::Unusable(_) => "unusable",
    }
}

fn kind_of_end(why: &Why) -> &'static str {
    match why {
        Why::Disconnect => "disconnected",
        Why::Closed => "connection closed",
        Why::Silent => "no ping in time",
        Why::TooLarge => "a frame above the limit",
        Why::Malformed(_) => "malformed frame",
        Why::Internal(_) => "internal error",
    }
}

struct TappedSession {
    session: Box<dyn Session>,
    recorder: Recorder,
}

#[async_trait]
impl Session for TappedSession {
    async fn recv(&mut self, out: &mut Vec<Notification>, max: NonZeroUsize) -> Result<(), Ended> {
        let before = out.len();
        let received = self.session.recv(out, max).await;
        let notifications: Vec<_> = out.iter().skip(before).map(|one| Value::Object(one.fields().clone())).collect();
        if !notifications.is_empty() {
            self.recorder.add(What::Frame { notifications });
        }
        if let Err(ended) = &received {
            self.recorder.add(What::Ended { why: ended.to_string(), kind: kind_of_end(&ended.why) });
        }
        received
    }

    fn take_merged(&mut self) -> u64 {
        self.session.take_merged()
    }

    fn ping_interval(&self) -> Duration {
        self.session.ping_interval()
    }

    fn silence(&self) -> Duration {
        self.session.silence()
    }

    async fn close(self: Box<Self>, within: Duration) {
        self.session.close(within).await;
    }
}
