use std::time::Duration;

use crate::backoff::Backoff;
use crate::drive::FeedId;
use crate::resource::Resource;

/// What a [`Feed`](crate::Feed) is told once.
#[derive(Clone, Debug)]
pub struct FeedSettings {
    /// Whose drive.
    pub id: FeedId,
    /// Graph's base URL with its version, without a `/` at the end: the front of every event's `source`.
    pub base_url: String,
    /// The subscriptions that resolved to this drive, in the order of the configuration. Each has its own endpoint and session.
    pub subscriptions: Vec<SubscriptionSettings>,
    /// A subscription of the account that says `beginning` has no known drive yet: it may be this one.
    pub may_begin: bool,
    /// When things are due.
    pub timing: Timing,
}

impl FeedSettings {
    /// Whether any subscription asks for signals.
    #[must_use]
    pub fn emits_signals(&self) -> bool {
        self.subscriptions.iter().any(|s| s.emit.signals)
    }

    /// Whether any subscription asks for changes.
    #[must_use]
    pub fn emits_changes(&self) -> bool {
        self.subscriptions.iter().any(|s| s.emit.changes)
    }

    /// Where the feed begins without a cursor: at the beginning if any subscription says so.
    #[must_use]
    pub fn start(&self) -> Start {
        if self.subscriptions.iter().any(|s| s.start == Start::Beginning) { Start::Beginning } else { Start::Latest }
    }
}

/// One `[[subscription]]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SubscriptionSettings {
    /// As it was written.
    pub resource: Resource,
    /// What is published of it.
    pub emit: Emit,
    /// Where to begin without a cursor.
    pub start: Start,
}

/// What is published of a subscription.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Emit {
    /// The notifications themselves, and the gaps between them.
    pub signals: bool,
    /// What delta reports, and resyncs.
    pub changes: bool,
}

/// Where a feed without a cursor begins.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Start {
    /// With what changes from now on.
    #[default]
    Latest,
    /// With everything that is there.
    Beginning,
}

/// When things are due. The defaults are the documented ones.
#[derive(Clone, Debug)]
pub struct Timing {
    /// After a failure that may pass by itself: 1 s to 60 s, full jitter.
    pub backoff: Backoff,
    /// After a failure that only time or a person ends: 60 s to 15 min.
    pub slow: Backoff,
    /// A walk though nothing asked for one: 1 h.
    pub safety_walk: Duration,
    /// A walk while a session is missing: 5 min.
    pub poll: Duration,
    /// After which waits a walk that found nothing after a signal is repeated: 2, 5, 15, 60 s. Delta lags behind the signal by up to
    /// a minute (OneDrive/onedrive-api-docs#1402). A walk that found something, and the one after a (re)connect, is repeated after the
    /// last of them: what changed together delta may show in parts, and nobody signals it again.
    pub lag_retries: Vec<Duration>,
    /// A full enumeration on a timer: off.
    pub resync_every: Option<Duration>,
    /// The least time between the starts of two walks: 1 s. 300 signals in a burst make few walks.
    pub walk_spacing: Duration,
    /// How long an endpoint of unknown lifetime is used: 30 min.
    pub unknown_lifetime: Duration,
    /// The least time between two renewals while the session works: 60 s (abraunegg/onedrive#3802).
    pub renewal_spacing: Duration,
    /// After how long of nothing but empty walks the newest link is taken: 24 h, so that a quiet drive's cursor does not grow old.
    pub quiet: Duration,
}

impl Timing {
    /// The documented defaults around two back-offs.
    #[must_use]
    pub fn new(backoff: Backoff, slow: Backoff) -> Self {
        Self {
            backoff,
            slow,
            safety_walk: Duration::from_secs(3600),
            poll: Duration::from_secs(300),
            lag_retries: [2, 5, 15, 60].map(Duration::from_secs).to_vec(),
            resync_every: None,
            walk_spacing: Duration::from_secs(1),
            unknown_lifetime: Duration::from_secs(30 * 60),
            renewal_spacing: Duration::from_secs(60),
            quiet: Duration::from_secs(24 * 3600),
        }
    }
}
