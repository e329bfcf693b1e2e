use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use drivetap_core::feed::{FeedSettings, SubscriptionSettings, Timing};
use drivetap_core::{AccountName, Backoff, BackoffError, FeedId};
use drivetap_graph::Graph;
use drivetap_sink::Sink;
use drivetap_transport::{Limits, Transport};
use tokio::sync::{Notify, Semaphore, mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::account::Account;
use crate::clock::Clock;
use crate::dispatch::{Dispatcher, Inlet, holders};
use crate::driver::Driver;
use crate::lookup::{self, Found};
use crate::report::{Report, SinkReport};
use crate::settings::SinkSettings;
use crate::shared::Shared;
use crate::status::{FeedStatus, PipelineStatus, SinkState};
use crate::store::{MemoryStore, Store};

/// Subscriptions on one side, sinks on the other.
///
/// One task a feed, one a sink; [`run`](Self::run) owns them all and returns when they are done.
pub struct Pipeline {
    shared: Arc<Shared>,
    base_url: String,
    timing: Timing,
    accounts: HashMap<AccountName, Arc<Account>>,
    heard: Arc<Notify>,
    subscriptions: Vec<(AccountName, SubscriptionSettings)>,
    sinks: Vec<Box<dyn Sink>>,
    view: Arc<View>,
}

impl Pipeline {
    /// How long the first look-ups may take before the feeds that are known start without the others.
    const PATIENCE: Duration = Duration::from_secs(3);
    /// How long a sink may take to close after the drain.
    const CLOSE: Duration = Duration::from_secs(2);

    /// A pipeline whose events name `base_url` (Graph's, with its version) in their `source`.
    #[must_use]
    pub fn builder(base_url: impl Into<String>, transport: Arc<dyn Transport>) -> PipelineBuilder {
        PipelineBuilder {
            base_url: base_url.into(),
            transport,
            accounts: Vec::new(),
            subscriptions: Vec::new(),
            sinks: Vec::new(),
            store: None,
            timing: None,
            limits: Limits::default(),
            clock: Clock::System,
        }
    }

    /// A view of the pipeline that outlives it.
    #[must_use]
    pub fn handle(&self) -> Handle {
        Handle { view: Arc::clone(&self.view), inlets: self.shared.inlets.clone() }
    }

    /// Runs until `shutdown` resolves, then drains for at most `deadline`: sessions are closed, what is published is delivered, cursors
    /// are saved. What has no acknowledgement by then is counted as abandoned, and comes again after a restart.
    ///
    /// # Errors
    /// [`RunError::SignIn`] when the first thing that Graph said to every account was that its token is refused.
    pub async fn run(self, shutdown: impl Future<Output = ()>, deadline: Duration) -> Result<Report, RunError> {
        let Self { shared, base_url, timing, accounts, heard, subscriptions, sinks, view } = self;

        let out_of_time = CancellationToken::new();
        let mut live_out_of_time = Vec::new();
        let mut dispatchers = JoinSet::new();
        for (inlet, sink) in shared.inlets.iter().zip(sinks) {
            let out_of_time = out_of_time.child_token();
            if !inlet.holds_cursor() {
                live_out_of_time.push((Arc::clone(inlet), out_of_time.clone()));
            }
            let backoffs = (timing.backoff.clone(), hold_backoff(&timing));
            let dispatcher = Dispatcher::new(Arc::clone(inlet), sink, shared.clock, backoffs, fastrand::u64(..), out_of_time);
            dispatchers.spawn(dispatcher.run(Self::CLOSE));
        }

        let mut feeds =
            Feeds { shared, base_url, timing, accounts, subscriptions, view, tasks: JoinSet::new(), running: HashMap::new() };
        let outcome = feeds.run(shutdown, &heard).await;

        // The drain: feeds let go first, because they wait for the sinks; then the sinks finish what was put in.
        let deadline = Instant::now() + deadline;
        feeds.view.with(|status| status.draining = true);
        info!("draining");
        let late = tokio::time::timeout_at(deadline, feeds.release_all()).await.is_err();
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
        let drained = async { while dispatchers.join_next().await.is_some() {} };
        if tokio::time::timeout_at(deadline.max(Instant::now() + Self::CLOSE), drained).await.is_err() {
            out_of_time.cancel();
            let closed = async { while dispatchers.join_next().await.is_some() {} };
            let _ = tokio::time::timeout(Self::CLOSE, closed).await;
            // A sink that does not come back now is left where it is: its events are abandoned and come again.
            dispatchers.shutdown().await;
        }
        outcome?;
        let report = |inlet: &Arc<Inlet>| SinkReport { name: inlet.settings().name.clone(), counts: inlet.final_counts() };
        Ok(Report { sinks: feeds.shared.inlets.iter().map(report).collect() })
    }
}

/// The feeds of a running pipeline.
struct Feeds {
    shared: Arc<Shared>,
    base_url: String,
    timing: Timing,
    accounts: HashMap<AccountName, Arc<Account>>,
    subscriptions: Vec<(AccountName, SubscriptionSettings)>,
    view: Arc<View>,
    tasks: JoinSet<FeedId>,
    running: HashMap<FeedId, Running>,
}

struct Running {
    release: CancellationToken,
    /// The numbers of the subscriptions that it serves.
    serves: BTreeSet<usize>,
    /// The numbers of those that became known since: the feed lets go and starts again with them.
    joining: BTreeSet<usize>,
}

impl Feeds {
    /// Starts feeds as their drives become known, until `shutdown`.
    async fn run(&mut self, shutdown: impl Future<Output = ()>, heard: &Notify) -> Result<(), RunError> {
        let (news, mut found) = mpsc::channel(self.subscriptions.len().max(1));
        let mut lookups = JoinSet::new();
        for (number, (account, subscription)) in self.subscriptions.iter().enumerate() {
            if let Some(account) = self.accounts.get(account) {
                let store = Arc::clone(&self.shared.store);
                lookups.spawn(lookup::find(
                    number,
                    subscription.clone(),
                    Arc::clone(account),
                    store,
                    self.timing.clone(),
                    news.clone(),
                ));
            }
        }
        drop(news);

        // Subscriptions of one drive share a feed, so the feeds start when every look-up had its first answer, or patience ends.
        let mut known: BTreeMap<FeedId, BTreeSet<usize>> = BTreeMap::new();
        let mut silent: BTreeSet<usize> = (0..self.subscriptions.len()).collect();
        let patience = tokio::time::sleep(Pipeline::PATIENCE);
        tokio::pin!(shutdown, patience);
        let mut gathering = true;
        loop {
            if gathering && silent.is_empty() {
                gathering = false;
                for (feed, serves) in std::mem::take(&mut known) {
                    self.start(feed, serves);
                }
            }
            tokio::select! {
                () = &mut shutdown => return Ok(()),
                () = &mut patience, if gathering => silent.clear(),
                () = heard.notified() => {
                    let refusals: Option<BTreeSet<&str>> = self.accounts.values().map(|account| account.refusal()).collect();
                    if let Some(refusals) = refusals {
                        return Err(RunError::SignIn(refusals.into_iter().collect::<Vec<_>>().join("; ")));
                    }
                }
                Some((number, found)) = found.recv() => {
                    silent.remove(&number);
                    let resource = self.subscriptions.get(number).map(|(_, s)| s.resource.to_string()).unwrap_or_default();
                    match found {
                        Found::NotYet(problem) => self.view.with(|status| {
                            status.unresolved.retain(|(r, _)| *r != resource);
                            status.unresolved.push((resource, problem));
                        }),
                        Found::Feed(feed) => {
                            self.view.with(|status| status.unresolved.retain(|(r, _)| *r != resource));
                            if gathering {
                                known.entry(feed).or_default().insert(number);
                            } else {
                                self.join(feed, number);
                            }
                        }
                    }
                }
                Some(ended) = self.tasks.join_next() => match ended {
                    Ok(feed) => {
                        self.view.remove(&feed);
                        if let Some(Running { mut serves, joining, .. }) = self.running.remove(&feed)
                            && !joining.is_empty()
                        {
                            serves.extend(joining);
                            self.start(feed, serves);
                        }
                    }
                    Err(fault) => return Err(RunError::Internal(fault.to_string())),
                },
            }
        }
    }

    /// A subscription whose drive became known later.
    fn join(&mut self, feed: FeedId, number: usize) {
        match self.running.get_mut(&feed) {
            Some(running) => {
                running.joining.insert(number);
                running.release.cancel();
            }
            None => self.start(feed, BTreeSet::from([number])),
        }
    }

    fn start(&mut self, id: FeedId, serves: BTreeSet<usize>) {
        let Some(account) = self.accounts.get(&id.account).map(Arc::clone) else {
            return;
        };
        let subscriptions = serves.iter().filter_map(|n| Some(self.subscriptions.get(*n)?.1.clone())).collect();
        let settings =
            FeedSettings { id: id.clone(), base_url: self.base_url.clone(), subscriptions, timing: self.timing.clone() };
        let release = CancellationToken::new();
        self.running.insert(id.clone(), Running { release: release.clone(), serves, joining: BTreeSet::new() });
        let (shared, view) = (Arc::clone(&self.shared), Arc::clone(&self.view));
        self.tasks.spawn(async move {
            let opened = tokio::select! {
                driver = open(settings, account, shared) => Some(driver),
                () = release.cancelled() => None,
            };
            if let Some(driver) = opened {
                info!(feed = %id, "the feed starts");
                view.insert(id.clone(), driver.status());
                driver.run(release).await;
            }
            id
        });
    }

    async fn release_all(&mut self) {
        for running in self.running.values() {
            running.release.cancel();
        }
        while self.tasks.join_next().await.is_some() {}
    }
}

/// A feed whose record cannot be read yet is held, like one whose record cannot be saved.
async fn open(settings: FeedSettings, account: Arc<Account>, shared: Arc<Shared>) -> Driver {
    let mut backoff = settings.timing.backoff.clone();
    let mut rng = fastrand::Rng::new();
    loop {
        match Driver::open(settings.clone(), Arc::clone(&account), Arc::clone(&shared)).await {
            Ok(driver) => return driver,
            Err(reason) => {
                let wait = backoff.next(&mut rng);
                warn!(feed = %settings.id, %reason, retry_in = ?wait, "the cursor could not be read; the feed is held");
                tokio::time::sleep(wait).await;
            }
        }
    }
}

/// What is kept for [`Handle`].
#[derive(Default)]
struct View {
    status: Mutex<PipelineStatus>,
    feeds: Mutex<BTreeMap<FeedId, watch::Receiver<FeedStatus>>>,
}

impl View {
    fn with(&self, act: impl FnOnce(&mut PipelineStatus)) {
        act(&mut self.status.lock().unwrap_or_else(PoisonError::into_inner));
    }

    fn insert(&self, feed: FeedId, status: watch::Receiver<FeedStatus>) {
        self.feeds.lock().unwrap_or_else(PoisonError::into_inner).insert(feed, status);
    }

    fn remove(&self, feed: &FeedId) {
        self.feeds.lock().unwrap_or_else(PoisonError::into_inner).remove(feed);
    }
}

/// A view of a running pipeline.
#[derive(Clone)]
pub struct Handle {
    view: Arc<View>,
    inlets: Vec<Arc<Inlet>>,
}

impl Handle {
    /// What the pipeline is doing now.
    #[must_use]
    pub fn status(&self) -> PipelineStatus {
        let mut status = self.view.status.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let feeds = self.view.feeds.lock().unwrap_or_else(PoisonError::into_inner);
        status.feeds = feeds.values().map(|feed| feed.borrow().clone()).collect();
        status.sinks = self.inlets.iter().map(|inlet| inlet.status()).collect();
        status
    }
}

/// Collects the parts of a [`Pipeline`].
pub struct PipelineBuilder {
    base_url: String,
    transport: Arc<dyn Transport>,
    accounts: Vec<(AccountName, Arc<dyn Graph>)>,
    subscriptions: Vec<(AccountName, SubscriptionSettings)>,
    sinks: Vec<(SinkSettings, Box<dyn Sink>)>,
    store: Option<Arc<dyn Store>>,
    timing: Option<Timing>,
    limits: Limits,
    clock: Clock,
}

impl PipelineBuilder {
    /// An account, and Graph as it sees it.
    #[must_use]
    pub fn account(mut self, name: AccountName, graph: Arc<dyn Graph>) -> Self {
        self.accounts.push((name, graph));
        self
    }

    /// What to watch, in the order in which subscriptions of one drive take precedence.
    #[must_use]
    pub fn subscription(mut self, account: AccountName, settings: SubscriptionSettings) -> Self {
        self.subscriptions.push((account, settings));
        self
    }

    /// Where events go.
    #[must_use]
    pub fn sink(mut self, settings: SinkSettings, sink: Box<dyn Sink>) -> Self {
        self.sinks.push((settings, sink));
        self
    }

    /// Where cursors are kept; in memory when this is not called.
    #[must_use]
    pub fn store(mut self, store: Arc<dyn Store>) -> Self {
        self.store = Some(store);
        self
    }

    /// When things are due; the documented defaults when this is not called.
    #[must_use]
    pub fn timing(mut self, timing: Timing) -> Self {
        self.timing = Some(timing);
        self
    }

    /// What a session may cost; the documented defaults when this is not called.
    #[must_use]
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    #[cfg(test)]
    pub(crate) fn clock(mut self, clock: Clock) -> Self {
        self.clock = clock;
        self
    }

    /// Checks that the parts fit together.
    ///
    /// # Errors
    /// [`BuildError`] says what is missing or twice.
    pub fn build(self) -> Result<Pipeline, BuildError> {
        if self.subscriptions.is_empty() {
            return Err(BuildError::NoSubscription);
        }
        if self.sinks.is_empty() {
            return Err(BuildError::NoSink);
        }
        let heard = Arc::new(Notify::new());
        let mut accounts = HashMap::new();
        for (name, graph) in self.accounts {
            let account = Arc::new(Account::new(name.clone(), graph, Arc::clone(&heard)));
            if accounts.insert(name.clone(), account).is_some() {
                return Err(BuildError::AccountTwice(name));
            }
        }
        // An account that watches nothing never hears from Graph; it has no say in whether everybody was refused.
        accounts.retain(|name, _| self.subscriptions.iter().any(|(account, _)| account == name));
        let mut seen = BTreeSet::new();
        for (account, SubscriptionSettings { resource, .. }) in &self.subscriptions {
            let (account, resource) = (account.clone(), resource.to_string());
            if !accounts.contains_key(&account) {
                return Err(BuildError::UnknownAccount { resource, account });
            }
            if !seen.insert((account.clone(), resource.clone())) {
                return Err(BuildError::SubscriptionTwice { resource, account });
            }
        }
        let holds = holders(&self.sinks.iter().map(|(settings, _)| settings.role).collect::<Vec<_>>());
        let mut names = BTreeSet::new();
        let mut inlets = Vec::new();
        let mut sinks = Vec::new();
        for ((settings, sink), holds_cursor) in self.sinks.into_iter().zip(holds) {
            if !names.insert(settings.name.clone()) {
                return Err(BuildError::SinkTwice(settings.name));
            }
            inlets.push(Arc::new(Inlet::new(settings, holds_cursor)));
            sinks.push(sink);
        }
        let timing = match self.timing {
            Some(timing) => timing,
            None => default_timing()?,
        };
        Ok(Pipeline {
            shared: Arc::new(Shared {
                transport: self.transport,
                limits: self.limits,
                store: self.store.unwrap_or_else(|| Arc::new(MemoryStore::default())),
                clock: self.clock,
                inlets,
                walks: Semaphore::new(Shared::WALKS),
            }),
            base_url: self.base_url,
            timing,
            accounts,
            heard,
            subscriptions: self.subscriptions,
            sinks,
            view: Arc::default(),
        })
    }
}

fn default_timing() -> Result<Timing, BackoffError> {
    let backoff = Backoff::try_new(Duration::from_secs(1), Duration::from_secs(60))?;
    let slow = Backoff::try_slow(Duration::from_secs(60), Duration::from_secs(15 * 60))?;
    Ok(Timing::new(backoff, slow))
}

/// What holds a sink is a person's to mend, so it is looked at again soon after: never more often than the back-off, never less than
/// every half minute.
fn hold_backoff(timing: &Timing) -> Backoff {
    Backoff::try_new(Duration::from_secs(1), Duration::from_secs(30)).unwrap_or_else(|_| timing.backoff.clone())
}

/// Parts that do not fit together.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum BuildError {
    /// Nothing to watch.
    #[error("there is no subscription: nothing would be watched")]
    NoSubscription,
    /// Nowhere to go.
    #[error("there is no sink: events would go nowhere")]
    NoSink,
    /// A subscription of an account that was not added.
    #[error("subscription {resource} names the account {account}, which is not there")]
    UnknownAccount {
        /// The resource.
        resource: String,
        /// The account.
        account: AccountName,
    },
    /// Two accounts of one name.
    #[error("two accounts are named {0}")]
    AccountTwice(AccountName),
    /// Two sinks of one name.
    #[error("two sinks are named {0:?}")]
    SinkTwice(String),
    /// One resource twice in an account.
    #[error("{resource} is there twice in the account {account}")]
    SubscriptionTwice {
        /// The resource.
        resource: String,
        /// The account.
        account: AccountName,
    },
    /// Back-off bounds that are none.
    #[error(transparent)]
    Backoff(#[from] BackoffError),
}

/// Why a pipeline ended without having been asked to.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum RunError {
    /// Every account's token was refused at the start.
    #[error("sign-in is needed: {0}")]
    SignIn(String),
    /// A fault in this program: a feed broke down. Nothing is lost; a restart goes on from the cursor.
    #[error("internal error: {0}")]
    Internal(String),
}
