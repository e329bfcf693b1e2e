use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use drivetap_core::feed::{SubscriptionSettings, Timing};
use drivetap_core::{AccountName, Backoff, FeedId};
use drivetap_graph::Walks;
use drivetap_sink::{DeadLetterBox, Sink};
use drivetap_transport::Transport;
use tokio::sync::{Notify, watch};
use tokio::task::{JoinError, JoinSet};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::info;

use crate::account::{Account, HeldBack};
use crate::builder::PipelineBuilder;
use crate::dispatch::{DeadLetterOffice, Dispatcher, Inlet};
use crate::feeds::{Feeds, join_all};
use crate::report::{Report, SinkReport};
use crate::shared::Shared;
use crate::status::{AccountStatus, FeedStatus, PipelineStatus, SinkState};

/// Subscriptions on one side, sinks on the other.
///
/// One task a feed, one a sink; [`run`](Self::run) owns them all and returns when they are done.
pub struct Pipeline {
    pub(crate) shared: Arc<Shared>,
    pub(crate) base_url: String,
    pub(crate) timing: Timing,
    pub(crate) accounts: HashMap<AccountName, Arc<Account>>,
    pub(crate) heard: Arc<Notify>,
    pub(crate) subscriptions: Vec<(AccountName, SubscriptionSettings)>,
    pub(crate) sinks: Vec<Outlet>,
    pub(crate) view: Arc<View>,
}

/// A sink, and where it keeps what it refuses.
pub(crate) type Outlet = (Box<dyn Sink>, Option<Box<dyn DeadLetterBox>>);

impl Pipeline {
    /// How long a sink may take to close, at most a quarter of the deadline.
    const CLOSE: Duration = Duration::from_secs(2);

    /// A pipeline whose events name `base_url` (Graph's, with its version) in their `source`.
    #[must_use]
    pub fn builder(base_url: impl Into<String>, transport: Arc<dyn Transport>) -> PipelineBuilder {
        PipelineBuilder::new(base_url.into(), transport)
    }

    /// A view of the pipeline that outlives it.
    #[must_use]
    pub fn handle(&self) -> Handle {
        let mut accounts: Vec<_> = self.accounts.values().map(Arc::clone).collect();
        accounts.sort_unstable_by(|a, b| a.name.cmp(&b.name));
        let (inlets, walks) = (self.shared.inlets.clone(), Arc::clone(&self.shared.walks));
        Handle { view: Arc::clone(&self.view), inlets, accounts, walks }
    }

    /// Runs until `shutdown` resolves, then drains for at most `deadline`: sessions are closed, what is published is delivered, cursors
    /// are saved. What has no acknowledgement by then is counted as abandoned, and comes again after a restart.
    ///
    /// # Errors
    /// [`RunError::SignIn`] when the first thing that Graph said to every account was that its token is refused, and none was let in
    /// since; [`RunError::Internal`] when a part of it broke down, a sink's code included. Both come after the drain.
    pub async fn run(self, shutdown: impl Future<Output = ()>, deadline: Duration) -> Result<Report, RunError> {
        let Self { shared, base_url, timing, accounts, heard, subscriptions, sinks, view } = self;

        let out_of_time = CancellationToken::new();
        let mut live_out_of_time = Vec::new();
        let mut dispatchers = JoinSet::new();
        for (inlet, (sink, letter_box)) in shared.inlets.iter().zip(sinks) {
            let out_of_time = out_of_time.child_token();
            if !inlet.holds_cursor() {
                live_out_of_time.push((Arc::clone(inlet), out_of_time.clone()));
            }
            let backoffs = (timing.backoff.clone(), hold_backoff(&timing));
            let office = DeadLetterOffice::new(inlet.settings(), letter_box);
            let seed = fastrand::u64(..);
            let dispatcher = Dispatcher::new(Arc::clone(inlet), sink, office, shared.clock, backoffs, seed, out_of_time)
                .leaving(inlet.holds_cursor() && shared.holders() > 1);
            dispatchers.spawn(dispatcher.run(Self::CLOSE));
        }

        let mut feeds = Feeds {
            shared,
            base_url,
            timing,
            accounts,
            subscriptions,
            view,
            tasks: JoinSet::new(),
            running: HashMap::new(),
            resolved: BTreeSet::new(),
        };
        let mut outcome = feeds.run(shutdown, &heard, &mut dispatchers).await;

        // The drain: feeds let go first, because they wait for the sinks; then the sinks finish what was put in.
        // The last of the time is for goodbyes, so that the whole ends within the deadline.
        let begun = Instant::now();
        let (end, deadline) = (begun + deadline, begun + deadline - Self::CLOSE.min(deadline / 4));
        feeds.view.with(|status| status.draining = true);
        info!("draining");
        feeds.shared.inlets.iter().for_each(|inlet| inlet.drain());
        let late = tokio::time::timeout_at(deadline, feeds.release_all(&mut outcome)).await.is_err();
        feeds.tasks.shutdown().await;
        for inlet in &feeds.shared.inlets {
            inlet.close();
        }
        if late {
            out_of_time.cancel();
        }
        // A live sink that is away now is not worth the wait: nothing of it would come again anyway.
        for (inlet, token) in live_out_of_time {
            if inlet.status().state != SinkState::Ready {
                token.cancel();
            }
        }
        if tokio::time::timeout_at(deadline, join_all(&mut dispatchers, &mut outcome)).await.is_err() {
            out_of_time.cancel();
            let _ = tokio::time::timeout_at(end, join_all(&mut dispatchers, &mut outcome)).await;
            // A sink that does not come back now is left where it is: its events are abandoned and come again.
            dispatchers.shutdown().await;
        }
        outcome?;
        Ok(report(&feeds.shared.inlets))
    }
}

/// Why a pipeline ended without having been asked to.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum RunError {
    /// Every account's token was refused at the start.
    #[error("sign-in is needed: {0}")]
    SignIn(String),
    /// A fault in this program: a feed, a look-up or a sink broke down. Nothing is lost; a restart goes on from the cursor.
    #[error("internal error: {0}")]
    Internal(String),
}

impl RunError {
    /// Nobody aborts a task that is waited for, so it panicked.
    pub(crate) fn broken(fault: &JoinError) -> Self {
        Self::Internal(fault.to_string())
    }
}

/// What is kept for [`Handle`].
#[derive(Default)]
pub(crate) struct View {
    status: Mutex<PipelineStatus>,
    feeds: Mutex<BTreeMap<FeedId, FeedView>>,
}

/// What is seen of a feed from outside.
pub(crate) struct FeedView {
    pub(crate) status: watch::Receiver<FeedStatus>,
    pub(crate) held_back: HeldBack,
}

impl View {
    pub(crate) fn with(&self, act: impl FnOnce(&mut PipelineStatus)) {
        act(&mut self.status.lock().unwrap_or_else(PoisonError::into_inner));
    }

    pub(crate) fn insert(&self, feed: FeedId, seen: FeedView) {
        self.feeds.lock().unwrap_or_else(PoisonError::into_inner).insert(feed, seen);
    }

    pub(crate) fn remove(&self, feed: &FeedId) {
        self.feeds.lock().unwrap_or_else(PoisonError::into_inner).remove(feed);
    }
}

/// A view of a running pipeline.
#[derive(Clone)]
pub struct Handle {
    view: Arc<View>,
    inlets: Vec<Arc<Inlet>>,
    accounts: Vec<Arc<Account>>,
    walks: Arc<Walks>,
}

impl Handle {
    /// What the pipeline is doing now.
    #[must_use]
    pub fn status(&self) -> PipelineStatus {
        let mut status = self.view.status.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let feeds = self.view.feeds.lock().unwrap_or_else(PoisonError::into_inner);
        let seen = |feed: &FeedView| FeedStatus { held_back: feed.held_back.count(), ..feed.status.borrow().clone() };
        status.feeds = feeds.values().map(seen).collect();
        let account = |account: &Arc<Account>| AccountStatus { account: account.name.clone(), gate: account.gate.status() };
        status.accounts = self.accounts.iter().map(account).collect();
        status.walks = self.walks.under_way();
        status.page_bytes = self.walks.bytes();
        status.sinks = self.inlets.iter().map(|inlet| inlet.status()).collect();
        status
    }

    /// What became of every event, however the pipeline ended: after [`Pipeline::run`] these are the last counts, before that an event
    /// on its way counts as abandoned.
    #[must_use]
    pub fn report(&self) -> Report {
        report(&self.inlets)
    }
}

fn report(inlets: &[Arc<Inlet>]) -> Report {
    let of = |inlet: &Arc<Inlet>| SinkReport { name: inlet.settings().name.clone(), counts: inlet.final_counts() };
    Report { sinks: inlets.iter().map(of).collect() }
}

/// What holds a sink is a person's to mend, so it is looked at again soon after: never more often than the back-off, never less than
/// every half minute.
fn hold_backoff(timing: &Timing) -> Backoff {
    Backoff::try_new(Duration::from_secs(1), Duration::from_secs(30)).unwrap_or_else(|_| timing.backoff.clone())
}
