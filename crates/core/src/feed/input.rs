use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use super::loss::Loss;
use super::record::Record;
use crate::delta::{Page, PageFrom};
use crate::event::Event;
use crate::failure::Failure;
use crate::notification::Notification;
use crate::notification_url::NotificationUrl;
use crate::resource::Resource;
use crate::subscription::Endpoint;

/// Names one thing that was asked for. The answer carries it back; an answer that nobody waits for is ignored.
///
/// The attempt that opened a session is also the session's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Attempt(pub u64);

/// Names a batch of events, in the order of publication within the feed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct BatchId(pub u64);

/// What a [`Feed`](crate::Feed) wants done.
#[derive(Debug)]
pub enum Action {
    /// Ask Graph for an endpoint; answer with [`Input::Endpoint`].
    FetchEndpoint {
        /// Comes back in the answer.
        attempt: Attempt,
        /// For what.
        resource: Resource,
        /// How urgent it is to the account's gate.
        urgency: Urgency,
    },
    /// Open a session; answer with [`Input::Opened`], then with [`Input::Signals`] and one [`Input::Ended`].
    Open {
        /// Comes back in the answer and names the session.
        attempt: Attempt,
        /// Where.
        url: NotificationUrl,
        /// Whether it takes the place of a session that still works: a transport with a bound on sessions lets it through.
        renewal: bool,
    },
    /// Close the session, or give up opening it. No [`Input::Ended`] is needed.
    Close {
        /// Which.
        session: Attempt,
    },
    /// Fetch a page of delta; answer with [`Input::Page`].
    FetchPage {
        /// Comes back in the answer.
        attempt: Attempt,
        /// From where.
        from: PageFrom,
        /// How urgent it is to the account's gate.
        urgency: Urgency,
    },
    /// Publish in this order; answer with [`Input::Queued`] once the sinks' windows took it, and include it in [`Input::Acked`].
    Publish {
        /// Comes back in both answers.
        batch: BatchId,
        /// In delta's order.
        events: Vec<Arc<Event>>,
    },
    /// Publish signals: at most once, merged where a sink is slow, never answered.
    PublishSignals {
        /// In the order of arrival.
        events: Vec<Arc<Event>>,
        /// How many notifications the last of them stands for beside its own.
        merged: u64,
    },
    /// Tell a live sink what it lost before this process was there; answer with [`Input::LossTold`] once it has the event, or at once where
    /// there is no sink of that name any more.
    TellLoss {
        /// The sink's name.
        sink: String,
        /// Comes back in the answer.
        from: Timestamp,
        /// The gap event.
        event: Arc<Event>,
    },
    /// Write the record; answer with [`Input::Committed`] once it is durable.
    Commit {
        /// Comes back in the answer.
        attempt: Attempt,
        /// The whole record.
        record: Box<Record>,
    },
    /// The feed has let go: everything that it published is acknowledged and saved, or it lost the record to another owner.
    Released,
}

/// What happened.
#[derive(Debug)]
pub enum Input {
    /// The answer to [`Action::FetchEndpoint`].
    Endpoint {
        /// The attempt that it answers.
        attempt: Attempt,
        /// What Graph said.
        result: Result<Endpoint, Failure>,
    },
    /// The answer to [`Action::Open`].
    Opened {
        /// The attempt that it answers, from now on the session's name.
        attempt: Attempt,
        /// Whether the session is up.
        result: Result<(), OpenFailure>,
    },
    /// Notifications arrived.
    Signals {
        /// On which session.
        session: Attempt,
        /// In the order of arrival.
        notifications: Vec<Notification>,
        /// How many more arrived that the transport had no room for: the last of these stands for them.
        merged: u64,
    },
    /// A session is over, without having been asked to.
    Ended {
        /// Which.
        session: Attempt,
        /// Whose doing.
        by: EndedBy,
        /// For how long its server had not been heard: signals may have been missed since. Zero where that is not known.
        silence: Duration,
    },
    /// The answer to [`Action::FetchPage`].
    Page {
        /// The attempt that it answers.
        attempt: Attempt,
        /// What Graph said.
        result: Result<Page, Failure>,
    },
    /// Every sink's window has taken the batch, or a live sink has lost it: there is room for another.
    Queued {
        /// Which batch.
        batch: BatchId,
        /// What live sinks lost of the feed, this batch included, and have not been told by now.
        lost: Vec<Loss>,
    },
    /// Every batch up to this one is durable in every sink that holds the cursor.
    Acked {
        /// The last of them.
        through: BatchId,
    },
    /// A sink has the gap event of a loss: one of [`Action::TellLoss`], or one that was lost in this process.
    LossTold {
        /// The sink's name.
        sink: String,
        /// When the loss began.
        from: Timestamp,
    },
    /// The answer to [`Action::Commit`].
    Committed {
        /// The attempt that it answers.
        attempt: Attempt,
        /// Whether the record is durable.
        result: Result<(), StoreFailure>,
    },
    /// Stop: close sessions, begin nothing, finish what is published.
    Release,
}

/// The order in which an account's gate lets requests through.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Urgency {
    /// An endpoint: without it signals are lost.
    Endpoint,
    /// A walk that something asked for.
    Signalled,
    /// The first walk of a feed, or an enumeration.
    First,
    /// A walk on a timer.
    Safety,
}

/// Whose doing the end of a session was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EndedBy {
    /// The server's.
    Server,
    /// The network's.
    Network,
    /// A limit of this side, or a fault of the transport.
    Us,
}

/// Why a session could not be opened, named for what the feed does next.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OpenFailure {
    /// The endpoint is no good: ask for another.
    #[error("{reason}")]
    Refetch {
        /// For status.
        reason: String,
    },
    /// The network's fault: the same endpoint again while it is young.
    #[error("{reason}")]
    Retry {
        /// For status.
        reason: String,
    },
    /// The transport is full.
    #[error("the transport has no room for another session")]
    Busy {
        /// How long to wait at least.
        after: Duration,
    },
    /// It will not work by trying: retried slowly all the same.
    #[error("{reason}")]
    Unusable {
        /// For status.
        reason: String,
    },
}

/// Why a record was not saved.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StoreFailure {
    /// The disk is full, the file cannot be written: hold, try again.
    #[error("{reason}")]
    Retry {
        /// For status.
        reason: String,
    },
    /// Another process owns the record now: stop.
    #[error("{reason}")]
    Lost {
        /// For status.
        reason: String,
    },
}
