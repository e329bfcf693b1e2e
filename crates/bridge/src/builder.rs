use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use drivetap_core::feed::{SubscriptionSettings, Timing};
use drivetap_core::{AccountName, Backoff, BackoffError};
use drivetap_graph::{Gate, Graph, Quota, Walks};
use drivetap_sink::{DeadLetterBox, Sink};
use drivetap_transport::{Limits, Transport};
use tokio::sync::Notify;

use crate::account::Account;
use crate::clock::Clock;
use crate::dispatch::{Inlet, holders};
use crate::pipeline::Pipeline;
use crate::settings::SinkSettings;
use crate::shared::Shared;
use crate::store::{MemoryStore, Store};

/// Collects the parts of a [`Pipeline`].
pub struct PipelineBuilder {
    base_url: String,
    pub(crate) transport: Arc<dyn Transport>,
    accounts: Vec<(AccountName, Arc<dyn Graph>, Gate)>,
    subscriptions: Vec<(AccountName, SubscriptionSettings)>,
    sinks: Vec<(SinkSettings, Box<dyn Sink>)>,
    letter_boxes: HashMap<String, Box<dyn DeadLetterBox>>,
    store: Option<Arc<dyn Store>>,
    timing: Option<Timing>,
    limits: Limits,
    clock: Clock,
}

impl PipelineBuilder {
    pub(crate) fn new(base_url: String, transport: Arc<dyn Transport>) -> Self {
        Self {
            base_url,
            transport,
            accounts: Vec::new(),
            subscriptions: Vec::new(),
            sinks: Vec::new(),
            letter_boxes: HashMap::new(),
            store: None,
            timing: None,
            limits: Limits::default(),
            clock: Clock::System,
        }
    }

    /// An account, and Graph as it sees it, with all the requests that Graph gives a user.
    #[must_use]
    pub fn account(self, name: AccountName, graph: Arc<dyn Graph>) -> Self {
        self.account_behind(name, graph, Quota::default())
    }

    /// The same, with fewer requests: where other programs ask Graph for the same user.
    #[must_use]
    pub fn account_behind(mut self, name: AccountName, graph: Arc<dyn Graph>, quota: Quota) -> Self {
        self.accounts.push((name, graph, Gate::new(quota)));
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

    /// Where the sink of that name keeps what it refuses, in place of the file of its settings. What this box never takes goes to the file.
    #[must_use]
    pub fn dead_letters(mut self, sink: impl Into<String>, letter_box: Box<dyn DeadLetterBox>) -> Self {
        self.letter_boxes.insert(sink.into(), letter_box);
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
    pub fn build(mut self) -> Result<Pipeline, BuildError> {
        if self.subscriptions.is_empty() {
            return Err(BuildError::NoSubscription);
        }
        if self.sinks.is_empty() {
            return Err(BuildError::NoSink);
        }
        let timing = match self.timing {
            Some(timing) => timing,
            None => default_timing()?,
        };
        let heard = Arc::new(Notify::new());
        let mut accounts = HashMap::new();
        for (name, graph, gate) in self.accounts {
            let account = Arc::new(Account::new(name.clone(), graph, gate, Arc::clone(&heard), timing.renewal_spacing));
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
            sinks.push((sink, self.letter_boxes.remove(&settings.name)));
            inlets.push(Arc::new(Inlet::new(settings, holds_cursor)));
        }
        if let Some(name) = self.letter_boxes.into_keys().next() {
            return Err(BuildError::NoSuchSink(name));
        }
        Ok(Pipeline {
            shared: Arc::new(Shared {
                transport: self.transport,
                limits: self.limits,
                store: self.store.unwrap_or_else(|| Arc::new(MemoryStore::default())),
                clock: self.clock,
                inlets,
                walks: Arc::new(Walks::new()),
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
    /// Dead letters of a sink that was not added.
    #[error("dead letters are kept for a sink {0:?}, which is not there")]
    NoSuchSink(String),
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
