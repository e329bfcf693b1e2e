use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use drivetap_core::AccountName;
use drivetap_core::feed::{SubscriptionSettings, Timing};
use drivetap_graph::Graph;
use drivetap_sink::Sink;
use drivetap_transport::{Limits, Transport};

use crate::report::Report;
use crate::settings::SinkSettings;
use crate::status::PipelineStatus;
use crate::store::Store;

/// Subscriptions on one side, sinks on the other.
pub struct Pipeline {
    parts: PipelineBuilder,
}

impl Pipeline {
    /// A pipeline whose events name `base_url` (Graph's, with its version) in their `source`.
    #[must_use]
    pub fn builder(base_url: impl Into<String>, transport: Arc<dyn Transport>) -> PipelineBuilder {
        let _ = (base_url.into(), transport);
        PipelineBuilder {}
    }

    /// A view of the pipeline that outlives it.
    #[must_use]
    pub fn handle(&self) -> Handle {
        Handle {}
    }

    /// Runs until `shutdown` resolves, then drains for at most `deadline`.
    ///
    /// # Errors
    /// [`RunError::SignIn`] when every account's token was refused at the start.
    pub async fn run(self, shutdown: impl Future<Output = ()>, deadline: Duration) -> Result<Report, RunError> {
        let _ = (self.parts, deadline);
        shutdown.await;
        Ok(Report::default())
    }
}

/// Collects the parts of a [`Pipeline`].
pub struct PipelineBuilder {}

impl PipelineBuilder {
    /// An account, and Graph as it sees it.
    #[must_use]
    pub fn account(self, name: AccountName, graph: Arc<dyn Graph>) -> Self {
        let _ = (name, graph);
        self
    }

    /// What to watch, in the order in which subscriptions of one drive take precedence.
    #[must_use]
    pub fn subscription(self, account: AccountName, settings: SubscriptionSettings) -> Self {
        let _ = (account, settings);
        self
    }

    /// Where events go.
    #[must_use]
    pub fn sink(self, settings: SinkSettings, sink: Box<dyn Sink>) -> Self {
        let _ = (settings, sink);
        self
    }

    /// Where cursors are kept; in memory when this is not called.
    #[must_use]
    pub fn store(self, store: Arc<dyn Store>) -> Self {
        let _ = store;
        self
    }

    /// When things are due; the documented defaults when this is not called.
    #[must_use]
    pub fn timing(self, timing: Timing) -> Self {
        let _ = timing;
        self
    }

    /// What a session may cost; the documented defaults when this is not called.
    #[must_use]
    pub fn limits(self, limits: Limits) -> Self {
        let _ = limits;
        self
    }

    /// Checks that the parts fit together.
    ///
    /// # Errors
    /// [`BuildError`] says what is missing or twice.
    pub fn build(self) -> Result<Pipeline, BuildError> {
        Ok(Pipeline { parts: self })
    }
}

/// A view of a running pipeline.
#[derive(Clone)]
pub struct Handle {}

impl Handle {
    /// What the pipeline is doing now.
    #[must_use]
    pub fn status(&self) -> PipelineStatus {
        PipelineStatus::default()
    }
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
}

/// Why a pipeline ended without having been asked to.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum RunError {
    /// Every account's token was refused at the start.
    #[error("sign-in is needed: {0}")]
    SignIn(String),
    /// The state cannot be opened.
    #[error(transparent)]
    Store(#[from] crate::store::StoreError),
}
