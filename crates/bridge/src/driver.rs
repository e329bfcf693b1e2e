mod answers;
mod pages;

use std::collections::{HashMap, VecDeque};
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use drivetap_core::feed::{Action, Attempt, BatchId, EndedBy, Feed, FeedSettings, Input, Loss, Urgency};
use drivetap_core::{Event, EventType, Failure, FeedId, Notification, NotificationUrl, Page, PageEnd, PageFrom, Resource};
use drivetap_graph::{Share, Slot};
use drivetap_transport::{Ended, Limits, OpenError, Session, Who};
use futures_util::StreamExt;
use futures_util::future::{BoxFuture, FutureExt};
use futures_util::stream::FuturesUnordered;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

use self::answers::{open_failure, store_failure};
use self::pages::Early;
use crate::account::{Account, HeldBack};
use crate::dispatch::{Progress, SignalRoom, Signals};
use crate::pipeline::FeedView;
use crate::shared::Shared;
use crate::status::FeedStatus;
use crate::store::{Epoch, StoreError};

/// Performs what one [`Feed`] asks for, and decides nothing.
pub(crate) struct Driver {
    id: FeedId,
    feed: Feed,
    account: Arc<Account>,
    shared: Arc<Shared>,
    epoch: Epoch,
    /// Everything that is under way. Owned here: what the driver drops, ends.
    jobs: FuturesUnordered<BoxFuture<'static, Done>>,
    sessions: HashMap<Attempt, CancellationToken>,
    /// Batches that wait for their turn to be put into the sinks' inlets; a feed has a handful at most.
    offers: VecDeque<Offer>,
    offering: bool,
    /// Of the walk that is under way.
    slot: Option<Slot>,
    /// Of the page that the feed has and has not published yet.
    unpublished: Option<Share>,
    /// The next page of the walk, from before the feed has worked through this one.
    early: Option<Early>,
    /// Of the walk that is under way.
    urgency: Urgency,
    progress: Arc<Progress>,
    held_back: HeldBack,
    status: watch::Sender<FeedStatus>,
    /// In the sinks' lines, for the signals that were heard and are published next.
    rooms: Vec<SignalRoom>,
    /// How many notifications were heard and are not published yet: what is left of them when all is done is published to nobody.
    unpublished_signals: u64,
    released: bool,
}

/// A batch on its way into the sinks' windows, and what its page holds of the budget until it is there.
struct Offer {
    batch: BatchId,
    events: Vec<Arc<Event>>,
    share: Option<Share>,
}

/// A job that came to its end.
enum Done {
    Input(Input),
    Opened {
        attempt: Attempt,
        result: Result<Box<dyn Session>, OpenError>,
    },
    Received {
        attempt: Attempt,
        session: Box<dyn Session>,
        notifications: Vec<Notification>,
        merged: u64,
        rooms: Vec<SignalRoom>,
    },
    Ended {
        attempt: Attempt,
        ended: Ended,
        silence: Duration,
    },
    Page {
        attempt: Attempt,
        result: Result<Page, Failure>,
        slot: Option<Slot>,
        share: Share,
    },
    Offered {
        batch: BatchId,
        lost: Vec<Loss>,
    },
    /// It is to be closed, and this is what had arrived.
    Last {
        attempt: Attempt,
        session: Box<dyn Session>,
        notifications: Vec<Notification>,
        merged: u64,
    },
    /// As it was asked to.
    Closed {
        attempt: Attempt,
    },
}

impl Driver {
    /// How many notifications are taken from a session at a time.
    const RECEIVE: NonZeroUsize = NonZeroUsize::MIN.saturating_add(255);
    /// How many are taken from a session that is being closed, at least where that many come: more than a transport keeps waiting.
    const LAST: NonZeroUsize = NonZeroUsize::MIN.saturating_add(4_095);
    /// When nothing has come for that long, nothing waits: a transport hands over in batches, with a moment between them.
    const QUIET: Duration = Duration::from_millis(50);
    /// How long all of it may take, however the server goes on talking.
    const LAST_WORDS: Duration = Duration::from_millis(500);
    /// How long a session may take to say goodbye.
    const GOODBYE: Duration = Duration::from_secs(2);

    /// Takes the feed over in the store and goes on from its record.
    pub(crate) async fn open(settings: FeedSettings, account: Arc<Account>, shared: Arc<Shared>) -> Result<Self, StoreError> {
        let id = settings.id.clone();
        let (epoch, record) = shared.store.open(&id).await?;
        let now = shared.clock.now();
        let feed = Feed::new(settings, record, now, fastrand::u64(..));
        let status = watch::Sender::new(FeedStatus { feed: id.clone(), status: feed.status(now), held_back: 0 });
        let progress = Progress::new(shared.holders());
        Ok(Self {
            id,
            feed,
            account,
            shared,
            epoch,
            jobs: FuturesUnordered::new(),
            sessions: HashMap::new(),
            offers: VecDeque::new(),
            offering: false,
            slot: None,
            unpublished: None,
            early: None,
            urgency: Urgency::Safety,
            progress,
            held_back: HeldBack::default(),
            status,
            rooms: Vec::new(),
            unpublished_signals: 0,
            released: false,
        })
    }

    /// What the feed says of itself, as it changes.
    pub(crate) fn status(&self) -> FeedView {
        FeedView { status: self.status.subscribe(), held_back: self.held_back.clone() }
    }

    /// Runs until the feed has let go: after `release`, or when another process took it over.
    pub(crate) async fn run(mut self, release: CancellationToken) {
        let mut releasing = false;
        loop {
            self.perform();
            if self.released {
                break;
            }
            let timeout = self.feed.timeout().map(tokio::time::Instant::from_std);
            let asleep = async {
                match timeout {
                    Some(at) => tokio::time::sleep_until(at).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                Some(done) = self.jobs.next() => self.take(done),
                () = self.progress.moved() => self.moved(),
                () = release.cancelled(), if !releasing => {
                    releasing = true;
                    self.handle(Input::Release);
                }
                () = asleep => {}
            }
        }
        // Sessions say goodbye; everything else that is under way is dropped with the driver.
        let goodbyes = async {
            while !self.sessions.is_empty() {
                match self.jobs.next().await {
                    Some(done @ (Done::Last { .. } | Done::Closed { .. } | Done::Ended { .. } | Done::Received { .. })) => {
                        self.take(done);
                    }
                    Some(_) => {}
                    None => break,
                }
                self.perform();
            }
        };
        let _ = tokio::time::timeout(Self::GOODBYE, goodbyes).await;
    }

    fn perform(&mut self) {
        while let Some(action) = self.feed.poll(self.shared.clock.now()) {
            match action {
                Action::FetchEndpoint { attempt, resource, urgency } => self.fetch_endpoint(attempt, resource, urgency),
                Action::Open { attempt, url, renewal } => self.open_session(attempt, url, renewal),
                Action::Close { session } => {
                    if let Some(token) = self.sessions.get(&session) {
                        token.cancel();
                    }
                }
                Action::FetchPage { attempt, from, urgency } => self.fetch_page(attempt, from, urgency),
                Action::Publish { batch, events } => {
                    for inlet in &self.shared.inlets {
                        inlet.announce(&events);
                    }
                    // A gap's events are no page's.
                    let of_a_page = events.iter().any(|event| event.event_type() == EventType::Change);
                    let share = self.unpublished.take_if(|_| of_a_page);
                    self.offers.push_back(Offer { batch, events, share });
                }
                Action::PublishSignals { events, merged } => self.publish_signals(&events, merged),
                Action::TellLoss { sink, from, event } => {
                    let inlets = &self.shared.inlets;
                    match inlets.iter().find(|inlet| inlet.settings().name == sink) {
                        Some(inlet) => inlet.tell(event, from, &self.progress),
                        // Who comes back under that name starts at the cursor.
                        None => self.handle(Input::LossTold { sink, from }),
                    }
                }
                Action::Commit { attempt, record } => {
                    let (shared, id, epoch) = (Arc::clone(&self.shared), self.id.clone(), self.epoch);
                    self.jobs.push(
                        async move {
                            let result = shared.store.save(&id, epoch, &record).await.map_err(|error| store_failure(&error));
                            Done::Input(Input::Committed { attempt, result })
                        }
                        .boxed(),
                    );
                }
                Action::Released => {
                    info!(feed = %self.id, "the feed has let go");
                    self.released = true;
                }
            }
        }
        self.rooms.clear();
        // Of a subscription without signals in `emit`; or the session was no longer the feed's.
        if self.unpublished_signals > 0 {
            metrics::counter!("drivetap_notifications_unpublished_total")
                .increment(std::mem::take(&mut self.unpublished_signals));
        }
        self.offer_next();
        // Whatever the walk waits for now, it is not Graph: another one may begin. A fetch has taken the slot along.
        (self.slot, self.early) = (None, None);
        let status = self.feed.status(self.shared.clock.now());
        if !status.walking {
            self.unpublished = None;
        }
        self.status.send_if_modified(|shown| {
            let news = shown.status != status;
            shown.status = status;
            news
        });
    }

    fn take(&mut self, done: Done) {
        match done {
            Done::Input(input) => {
                self.log(&input);
                self.handle(input);
            }
            Done::Opened { attempt, result } => {
                let result = result.map(|session| self.receive(attempt, session)).map_err(|error| {
                    self.sessions.remove(&attempt);
                    open_failure(error)
                });
                match &result {
                    Ok(()) => info!(feed = %self.id, session = attempt.0, "the session is open"),
                    Err(failure) => warn!(feed = %self.id, reason = %failure, "the session could not be opened"),
                }
                self.handle(Input::Opened { attempt, result });
            }
            Done::Received { attempt, session, notifications, merged, rooms } => {
                self.receive(attempt, session);
                self.heard(attempt, notifications, merged);
                self.rooms = rooms;
            }
            Done::Ended { attempt, ended, silence } => {
                warn!(feed = %self.id, session = attempt.0, reason = %ended, "the session ended");
                self.sessions.remove(&attempt);
                let by = match ended.by {
                    Who::Server => EndedBy::Server,
                    Who::Network => EndedBy::Network,
                    Who::Us => EndedBy::Us,
                };
                self.handle(Input::Ended { session: attempt, by, silence });
            }
            Done::Page { attempt, result, slot, share } => {
                self.slot = slot;
                self.unpublished = Some(share).filter(|_| result.is_ok());
                if let Ok(Page { end: PageEnd::Next(link), .. }) = &result {
                    self.ask_early(PageFrom::Link(link.clone()));
                }
                let input = Input::Page { attempt, result };
                self.log(&input);
                self.handle(input);
            }
            Done::Offered { batch, lost } => {
                self.offering = false;
                self.handle(Input::Queued { batch, lost });
                self.moved();
            }
            Done::Last { attempt, session, notifications, merged } => {
                // Before the goodbye, which takes its time: the feed remembers one session that it let go.
                self.heard(attempt, notifications, merged);
                self.jobs.push(
                    async move {
                        session.close(Self::GOODBYE).await;
                        Done::Closed { attempt }
                    }
                    .boxed(),
                );
            }
            Done::Closed { attempt } => {
                self.sessions.remove(&attempt);
            }
        }
    }

    /// Sinks have come further, or a live one was told what it lost.
    fn moved(&mut self) {
        // A live sink may lose a batch, and be told so, while a durable one is still waited for with the same batch. The feed hears of
        // the loss first, else it would keep it as one that was never told.
        if !self.offering {
            for (sink, from) in self.progress.take_told() {
                self.handle(Input::LossTold { sink, from });
            }
        }
        self.handle(Input::Acked { through: self.progress.through() });
    }

    fn heard(&mut self, session: Attempt, notifications: Vec<Notification>, merged: u64) {
        let count = u64::try_from(notifications.len()).unwrap_or(u64::MAX).saturating_add(merged);
        if count > 0 {
            debug!(feed = %self.id, session = session.0, count, "notifications arrived");
            metrics::counter!("drivetap_notifications_received_total").increment(count);
            self.unpublished_signals = self.unpublished_signals.saturating_add(count);
            self.handle(Input::Signals { session, notifications, merged });
        }
    }

    fn handle(&mut self, input: Input) {
        self.feed.handle(self.shared.clock.now(), input);
    }

    fn fetch_endpoint(&mut self, attempt: Attempt, resource: Resource, urgency: Urgency) {
        let (account, held_back) = (Arc::clone(&self.account), self.held_back.clone());
        self.jobs.push(
            async move {
                let _turn = held_back.during(account.turn(urgency)).await;
                let result = account.heard(account.graph.endpoint(&resource).await);
                Done::Input(Input::Endpoint { attempt, result })
            }
            .boxed(),
        );
    }

    fn open_session(&mut self, attempt: Attempt, url: NotificationUrl, renewal: bool) {
        let token = CancellationToken::new();
        self.sessions.insert(attempt, token.clone());
        let shared = Arc::clone(&self.shared);
        self.jobs.push(
            async move {
                let limits = Limits { renewal, ..shared.limits.clone() };
                tokio::select! {
                    result = shared.transport.open(&url, &limits) => Done::Opened { attempt, result },
                    () = token.cancelled() => Done::Closed { attempt },
                }
            }
            .boxed(),
        );
    }

    /// Waits for the session's next notifications, or for the wish to close it.
    fn receive(&mut self, attempt: Attempt, mut session: Box<dyn Session>) {
        let Some(token) = self.sessions.get(&attempt).cloned() else {
            return;
        };
        let shared = Arc::clone(&self.shared);
        self.jobs.push(
            async move {
                let mut notifications = Vec::new();
                let received = tokio::select! {
                    biased;
                    () = token.cancelled() => {
                        // What has arrived is handed out; then it is closed, whatever still comes.
                        let rest = async {
                            while notifications.len() < Self::LAST.get() {
                                let more = session.recv(&mut notifications, Self::RECEIVE);
                                if !matches!(tokio::time::timeout(Self::QUIET, more).await, Ok(Ok(()))) {
                                    break;
                                }
                            }
                        };
                        let _ = tokio::time::timeout(Self::LAST_WORDS, rest).await;
                        None
                    }
                    received = session.recv(&mut notifications, Self::RECEIVE) => Some(received),
                };
                match received {
                    Some(Ok(())) => {
                        // Before a signal merges for want of room it waits, but not so long that the server gives up on this side.
                        let patience = session.ping_interval() / 4;
                        let wanted = Signals::of(&notifications);
                        let waits = shared.inlets.iter().map(|inlet| inlet.signal_room(wanted, patience));
                        let rooms = tokio::select! {
                            rooms = futures_util::future::join_all(waits) => rooms.into_iter().flatten().collect(),
                            () = token.cancelled() => Vec::new(),
                        };
                        let merged = session.take_merged();
                        Done::Received { attempt, session, notifications, merged, rooms }
                    }
                    Some(Err(ended)) => Done::Ended { attempt, ended, silence: session.silence() },
                    None => {
                        let merged = session.take_merged();
                        Done::Last { attempt, session, notifications, merged }
                    }
                }
            }
            .boxed(),
        );
    }

    fn publish_signals(&mut self, events: &[Arc<Event>], merged: u64) {
        let published = u64::try_from(events.len()).unwrap_or(u64::MAX).saturating_add(merged);
        self.unpublished_signals = self.unpublished_signals.saturating_sub(published);
        let notifications = |n: usize| if n + 1 == events.len() { 1 + merged } else { 1 };
        for inlet in &self.shared.inlets {
            inlet.put_signals(events.iter().enumerate().map(|(n, event)| (Arc::clone(event), notifications(n))));
        }
    }

    /// One batch at a time goes into the inlets, so that each sink sees the feed's order.
    fn offer_next(&mut self) {
        if self.offering {
            return;
        }
        let Some(Offer { batch, events, share }) = self.offers.pop_front() else {
            return;
        };
        self.offering = true;
        let (shared, progress) = (Arc::clone(&self.shared), Arc::clone(&self.progress));
        self.jobs.push(
            async move {
                let mut holder = 0;
                let puts = shared.inlets.iter().map(|inlet| {
                    let ticket = if inlet.holds_cursor() {
                        holder += 1;
                        progress.ticket(holder - 1, batch)
                    } else {
                        progress.live_ticket(batch)
                    };
                    inlet.put(&events, Some(ticket))
                });
                let lost = futures_util::future::join_all(puts.collect::<Vec<_>>()).await;
                drop(share);
                Done::Offered { batch, lost: lost.into_iter().flatten().collect() }
            }
            .boxed(),
        );
    }
}
