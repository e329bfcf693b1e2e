use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use drivetap_core::feed::{
    Action, Attempt, BatchId, Emit, Feed, FeedSettings, Input, LaneState, Record, Start, SubscriptionSettings, Timing,
};
use drivetap_core::{
    AccountName, Backoff, Drive as CoreDrive, DriveType, Endpoint, Event, FeedId, GraphId, Notification, NotificationHosts,
    NotificationUrl, PageFrom, Resource, Subscription,
};
use drivetap_sink::{Outcome, Stop};
use futures_util::FutureExt;

use super::consumer::Letter;
use super::drive::Drive;
use super::world::World;
use crate::dispatch::{Batch, Fate, Inlet, Next, Progress, Slot};
use crate::settings::{Role, SinkSettings};

/// A running drivetap: one feed, its inlets and dispatchers, and everything under way. A crash takes all of it.
///
/// It plays the driver's and the dispatchers' part, one action at a time; what they decide is decided by the real code.
pub(super) struct Process {
    feed: Feed,
    start: Start,
    inlets: Vec<Arc<Inlet>>,
    hands: Vec<Hand>,
    progress: Arc<Progress>,
    through: BatchId,
    jobs: VecDeque<Job>,
    pub(super) released: bool,
}

/// What one dispatcher has in hand.
#[derive(Default)]
struct Hand {
    batch: Batch,
    /// How many events wait in the inlet.
    waiting: usize,
    /// How many of the batch the sink has, and knows, though it has not acknowledged them.
    underway: usize,
    doing: Doing,
}

#[derive(Default)]
enum Doing {
    #[default]
    Nothing,
    /// The sink takes these, one after the other, and then answers.
    Publishing { rest: VecDeque<Arc<Event>>, outcome: Outcome },
    /// The first event of the batch goes to the dead letters.
    Keeping,
}

/// What the feed asked for.
enum Job {
    Endpoint {
        attempt: Attempt,
    },
    Open {
        attempt: Attempt,
    },
    Close {
        session: Attempt,
    },
    Page {
        attempt: Attempt,
        from: PageFrom,
    },
    Put {
        batch: BatchId,
        events: Vec<Arc<Event>>,
    },
    Signals {
        events: Vec<Arc<Event>>,
        merged: u64,
    },
    Commit {
        attempt: Attempt,
        record: Box<Record>,
    },
    /// It is performed, and the answer is on its way.
    Answer(Input),
}

/// What can be done next; within one kind, the oldest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Work {
    Session,
    Page,
    Put,
    Commit,
    Answer,
    Sink(usize),
}

impl Process {
    const LIFETIME: Duration = Duration::from_secs(3600);

    pub(super) fn start<D: Drive>(world: &mut World<D>, start: Start) -> Self {
        world.starts += 1;
        let sinks = 0..world.sinks.len();
        let feed = Feed::new(settings(start), world.store.saved.clone(), world.now, world.starts);
        let inlet = |n| Arc::new(Inlet::new(SinkSettings::new(format!("sink {n}"), Role::Durable), true));
        let mut process = Self {
            feed,
            start,
            inlets: sinks.clone().map(inlet).collect(),
            hands: sinks.clone().map(|_| Hand::default()).collect(),
            progress: Progress::new(sinks.len()),
            through: BatchId(0),
            jobs: VecDeque::new(),
            released: false,
        };
        process.poll(world);
        process
    }

    /// Everything that could be done now.
    pub(super) fn ready(&self) -> Vec<Work> {
        let mut ready = Vec::with_capacity(8);
        for job in &self.jobs {
            let work = job.work();
            if !ready.contains(&work) {
                ready.push(work);
            }
        }
        let busy = |hand: &Hand| hand.waiting > 0 || !hand.batch.is_empty();
        ready.extend(self.hands.iter().enumerate().filter(|(_, hand)| busy(hand)).map(|(n, _)| Work::Sink(n)));
        ready
    }

    /// Does one thing. `Some` names what was done to the world; `None` means that nobody but this process knows of it.
    pub(super) fn perform<D: Drive>(&mut self, world: &mut World<D>, work: Work) -> Result<Option<String>, String> {
        if let Work::Sink(n) = work {
            return Ok(self.dispatch(world, n));
        }
        let Some(at) = self.jobs.iter().position(|job| job.work() == work) else {
            return Ok(None);
        };
        let Some(job) = self.jobs.remove(at) else { return Ok(None) };
        world.now = world.now.after(Duration::from_millis(1));
        let (done, answer) = match job {
            Job::Answer(input) => {
                self.handle(world, input);
                return Ok(None);
            }
            Job::Endpoint { attempt } => {
                world.since.endpoints += 1;
                let result = match world.graph.endpoint_fails.pop_front() {
                    Some(failure) => Err(failure),
                    None => {
                        let lifetime = world.graph.lifetimes.pop_front().unwrap_or(Self::LIFETIME);
                        world.graph.endpoint_until = Some(world.now.mono + lifetime);
                        Ok(endpoint(lifetime))
                    }
                };
                (format!("asked for an endpoint: {}", result.is_ok()), Some(Input::Endpoint { attempt, result }))
            }
            Job::Open { attempt } => {
                let result = world.graph.open_fails.pop_front().map_or(Ok(()), Err);
                if result.is_ok() {
                    world.since.sessions += 1;
                    world.opened(attempt);
                }
                (format!("opened a session: {}", result.is_ok()), Some(Input::Opened { attempt, result }))
            }
            Job::Close { session } => {
                world.graph.sessions.retain(|open| open.name != session);
                ("closed a session".to_owned(), None)
            }
            Job::Page { attempt, from } => {
                let result = world.graph.page_fails.pop_front().map_or_else(|| world.drive.page(&from), Err);
                world.since.pages += u32::from(result.is_ok());
                (format!("asked for a page from {from:?}: {}", result.is_ok()), Some(Input::Page { attempt, result }))
            }
            Job::Put { batch, events } => {
                self.put(batch, &events);
                (format!("put {} events", events.len()), Some(Input::Queued { batch, lost: Vec::new() }))
            }
            Job::Signals { events, merged } => {
                let notifications = |n: usize| if n + 1 == events.len() { 1 + merged } else { 1 };
                for (inlet, hand) in self.inlets.iter().zip(&mut self.hands) {
                    inlet.put_signals(events.iter().enumerate().map(|(n, event)| (Arc::clone(event), notifications(n))));
                    hand.waiting += events.len();
                }
                ("put signals".to_owned(), None)
            }
            Job::Commit { attempt, record } => {
                let result = world.save(*record, self.start)?;
                (format!("saved: {}", result.is_ok()), Some(Input::Committed { attempt, result }))
            }
        };
        self.jobs.extend(answer.map(Job::Answer));
        Ok(Some(done))
    }

    /// Takes what happened, at once.
    pub(super) fn handle<D: Drive>(&mut self, world: &World<D>, input: Input) {
        self.feed.handle(world.now, input);
        self.poll(world);
    }

    /// Takes what happened, after the answers that are on their way.
    pub(super) fn hears(&mut self, input: Input) {
        self.jobs.push_back(Job::Answer(input));
    }

    /// Signals go to every session that listens. False where there is none.
    pub(super) fn hear_signal<D: Drive>(&mut self, world: &World<D>, merged: u64) -> bool {
        let listening = world.listening();
        for &session in &listening {
            self.hears(Input::Signals { session, notifications: vec![Notification::default()], merged });
        }
        !listening.is_empty()
    }

    /// Lets time pass until the feed wants to be woken.
    pub(super) fn wait<D: Drive>(&mut self, world: &mut World<D>, at_most: Duration) -> Result<(), String> {
        // The last action took its time, too.
        self.poll(world);
        if !self.jobs.is_empty() || self.released {
            return Ok(());
        }
        let until = self.feed.timeout().map_or(at_most, |at| at.saturating_duration_since(world.now.mono).min(at_most));
        if until.is_zero() {
            return Err("the feed wants to be woken at once, and does nothing then".to_owned());
        }
        self.pass(world, until);
        Ok(())
    }

    pub(super) fn pass<D: Drive>(&mut self, world: &mut World<D>, time: Duration) {
        world.now = world.now.after(time);
        self.poll(world);
    }

    /// Nothing is under way, every session is up, no walk is, every gap is told.
    pub(super) fn is_settled<D: Drive>(&self, world: &World<D>) -> bool {
        let status = self.feed.status(world.now);
        let record = self.feed.record();
        !self.released
            && self.jobs.is_empty()
            && self.hands.iter().all(|hand| hand.waiting == 0 && hand.batch.is_empty())
            && !status.walking
            && status.lanes.iter().all(|lane| lane.state == LaneState::Up)
            && record.place.enumeration.is_none()
            && world.store.saved.as_ref().is_some_and(|saved| saved.gaps == record.gaps && saved.place == record.place)
            && record.gaps == drivetap_core::feed::Gaps::default()
    }

    /// What stands in the way of quiet.
    pub(super) fn unsettled<D: Drive>(&self, world: &World<D>) -> String {
        let waiting: Vec<_> = self.hands.iter().map(|hand| (hand.waiting, hand.batch.len())).collect();
        let status = self.feed.status(world.now);
        format!(
            "ready {:?}, waiting {waiting:?}, {status:?}, {:?}, saved {:?}",
            self.ready(),
            self.feed.record(),
            world.store.saved
        )
    }

    fn poll<D: Drive>(&mut self, world: &World<D>) {
        while let Some(action) = self.feed.poll(world.now) {
            self.jobs.extend(match action {
                Action::FetchEndpoint { attempt, .. } => Some(Job::Endpoint { attempt }),
                Action::Open { attempt, .. } => Some(Job::Open { attempt }),
                Action::Close { session } => Some(Job::Close { session }),
                Action::FetchPage { attempt, from, .. } => Some(Job::Page { attempt, from }),
                Action::Publish { batch, events } => Some(Job::Put { batch, events }),
                Action::PublishSignals { events, merged } => Some(Job::Signals { events, merged }),
                Action::Commit { attempt, record } => Some(Job::Commit { attempt, record }),
                // Both sinks are durable.
                Action::TellLoss { .. } => None,
                Action::Released => {
                    self.released = true;
                    None
                }
            });
        }
    }

    fn put(&mut self, batch: BatchId, events: &[Arc<Event>]) {
        for (n, (inlet, hand)) in self.inlets.iter().zip(&mut self.hands).enumerate() {
            inlet.announce(events);
            let room = inlet.put(events, Some(self.progress.ticket(n, batch))).now_or_never();
            assert!(room.is_some(), "the window is wide enough for every scenario");
            hand.waiting += events.len();
        }
    }

    fn dispatch<D: Drive>(&mut self, world: &mut World<D>, n: usize) -> Option<String> {
        let (hand, inlet, sink) = (&mut self.hands[n], &self.inlets[n], &mut world.sinks[n]);
        match &mut hand.doing {
            Doing::Nothing => {
                if hand.batch.is_empty() {
                    let taken = inlet.take(1_024).now_or_never().flatten().unwrap_or_default();
                    hand.waiting -= taken.len();
                    hand.batch.extend(taken);
                }
                let offered = hand.batch.offer();
                let (taken, outcome) = sink.answer(&offered);
                let sent = std::mem::take(&mut hand.underway);
                if outcome.stop == Some(Stop::Underway) {
                    hand.underway = taken.max(sent) - outcome.acked;
                }
                hand.doing = Doing::Publishing { rest: offered.into_iter().take(taken).skip(sent).collect(), outcome };
                None
            }
            Doing::Publishing { rest, outcome } => match rest.pop_front() {
                Some(event) => {
                    sink.append(&event);
                    world.since.delivered += u32::from(n == 0);
                    Some(format!("sink {n} has {}", event.id()))
                }
                None => {
                    let (settled, next) = hand.batch.answered(outcome.clone());
                    hand.doing = if matches!(next, Next::Keep { .. }) { Doing::Keeping } else { Doing::Nothing };
                    if next == Next::GoOn {
                        let taken = inlet.take_behind(hand.batch.bytes(), 1_024);
                        hand.waiting -= taken.len();
                        hand.batch.extend(taken);
                    }
                    self.settle(world, n, settled);
                    None
                }
            },
            Doing::Keeping => {
                sink.dead_letters.extend(hand.batch.first().map(|event| Arc::new(Letter::new(event))));
                hand.doing = Doing::Nothing;
                let settled = hand.batch.kept().into_iter().collect();
                self.settle(world, n, settled);
                Some(format!("sink {n}'s dead letters have one"))
            }
        }
    }

    fn settle<D: Drive>(&mut self, world: &World<D>, n: usize, settled: Vec<(Slot, Fate)>) {
        self.inlets[n].settle(settled);
        let through = self.progress.through();
        if through > self.through {
            self.through = through;
            self.handle(world, Input::Acked { through });
        }
    }
}

impl Job {
    fn work(&self) -> Work {
        match self {
            Self::Endpoint { .. } | Self::Open { .. } | Self::Close { .. } => Work::Session,
            Self::Page { .. } => Work::Page,
            Self::Put { .. } | Self::Signals { .. } => Work::Put,
            Self::Commit { .. } => Work::Commit,
            Self::Answer(_) => Work::Answer,
        }
    }
}

/// Short waits, so that a run is a few dozen actions.
fn settings(start: Start) -> FeedSettings {
    let seconds = Duration::from_secs;
    let drive = CoreDrive::new(&GraphId::new("driveId", "b!proof").unwrap(), DriveType::Business);
    let backoff = Backoff::try_new(seconds(1), seconds(4)).unwrap();
    let slow = Backoff::try_slow(seconds(2), seconds(6)).unwrap();
    FeedSettings {
        id: FeedId { account: AccountName::default(), drive: drive.id },
        base_url: "https://graph.microsoft.com/v1.0".to_owned(),
        subscriptions: vec![SubscriptionSettings { resource: Resource::Me, emit: Emit { signals: true, changes: true }, start }],
        may_begin: false,
        timing: Timing {
            poll: seconds(20),
            lag_retries: vec![seconds(2)],
            renewal_spacing: seconds(5),
            ..Timing::new(backoff, slow)
        },
    }
}

fn endpoint(lifetime: Duration) -> Endpoint {
    let hosts = NotificationHosts::default();
    let notification_url = NotificationUrl::parse("https://x.svc.ms/notifications?token=t", &hosts).unwrap();
    let extra = serde_json::Map::new();
    let subscription = Subscription { id: None, notification_url, expiration: None, client_state: None, extra };
    Endpoint { subscription, lifetime: Some(lifetime) }
}
