mod cursor;
mod gaps;
mod hostile;
mod losses;
mod resync;
mod sessions;
mod walks;

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::*;
use crate::delta::{Link, Page, PageEnd, PageFrom};
use crate::failure::{Failure, Remedy};
use crate::notification_url::{NotificationHosts, NotificationUrl};
use crate::subscription::{Endpoint, Subscription};
use crate::{AccountName, Drive, DriveType, FeedId, GraphId, Item, Notification, RequestId, Resource};

/// A feed with a driver of a few lines: it collects actions, and saves records at once unless told otherwise.
struct Rig {
    feed: Feed,
    now: Now,
    actions: Vec<Action>,
    saved: Option<Record>,
    store: Result<(), StoreFailure>,
}

const BOTH: Emit = Emit { signals: true, changes: true };

impl Rig {
    fn new() -> Self {
        Self::with(vec![subscription(BOTH, Start::Latest)], None)
    }

    fn with(subscriptions: Vec<SubscriptionSettings>, record: Option<Record>) -> Self {
        let now = Now { mono: Instant::now(), wall: "2026-11-23T10:00:00Z".parse().unwrap() };
        Self::at(now, subscriptions, record)
    }

    fn at(now: Now, subscriptions: Vec<SubscriptionSettings>, record: Option<Record>) -> Self {
        let feed = Feed::new(settings(subscriptions), record.clone(), now, 7);
        let mut rig = Self { feed, now, actions: Vec::new(), saved: record, store: Ok(()) };
        rig.run();
        rig
    }

    /// Performs saves, collects the rest, and checks that the feed does not ask to be woken at once.
    fn run(&mut self) {
        while let Some(action) = self.feed.poll(self.now) {
            match action {
                Action::Commit { attempt, record } => {
                    if self.store.is_ok() {
                        self.saved = Some(*record);
                    }
                    self.feed.handle(self.now, Input::Committed { attempt, result: self.store.clone() });
                }
                other => self.actions.push(other),
            }
        }
        assert!(self.feed.timeout().is_none_or(|at| at > self.now.mono), "the driver would spin: {:?}", self.feed);
    }

    fn handle(&mut self, input: Input) {
        self.feed.handle(self.now, input);
        self.run();
    }

    /// Lets time pass, waking the feed whenever it asks for it.
    fn pass(&mut self, time: Duration) {
        let end = self.now.after(time);
        while let Some(at) = self.feed.timeout().filter(|at| *at <= end.mono) {
            self.now = self.now.after(at - self.now.mono);
            self.run();
        }
        self.now = end;
        self.run();
    }

    fn take<T>(&mut self, mut pick: impl FnMut(&Action) -> Option<T>) -> Option<T> {
        let at = self.actions.iter().position(|action| pick(action).is_some())?;
        pick(&self.actions.remove(at))
    }

    fn wants_endpoint(&self) -> bool {
        self.actions.iter().any(|a| matches!(a, Action::FetchEndpoint { .. }))
    }

    fn wants_page(&self) -> bool {
        self.actions.iter().any(|a| matches!(a, Action::FetchPage { .. }))
    }

    fn fetch_endpoint(&mut self) -> Option<Attempt> {
        self.take(|a| if let Action::FetchEndpoint { attempt, .. } = a { Some(*attempt) } else { None })
    }

    fn open(&mut self) -> Option<Attempt> {
        self.take(|a| if let Action::Open { attempt, .. } = a { Some(*attempt) } else { None })
    }

    fn closed(&mut self) -> Option<Attempt> {
        self.take(|a| if let Action::Close { session } = a { Some(*session) } else { None })
    }

    fn fetch_page(&mut self) -> Option<(Attempt, PageFrom)> {
        self.take(|a| if let Action::FetchPage { attempt, from, .. } = a { Some((*attempt, from.clone())) } else { None })
    }

    fn published(&mut self) -> Option<(BatchId, Vec<Arc<Event>>)> {
        self.take(|a| if let Action::Publish { batch, events } = a { Some((*batch, events.clone())) } else { None })
    }

    fn released(&mut self) -> bool {
        self.take(|a| matches!(a, Action::Released).then_some(())).is_some()
    }

    /// Answers the page that is asked for; says where it was asked from.
    fn page(&mut self, items: &[&str], end: PageEnd) -> PageFrom {
        let (attempt, from) = self.fetch_page().expect("a page is asked for");
        let items = items.iter().map(|id| item(id)).collect();
        self.handle(Input::Page { attempt, result: Ok(Page { items, left_out: 0, end }) });
        from
    }

    fn page_fails(&mut self, remedy: Remedy, code: &str) {
        let (attempt, _) = self.fetch_page().expect("a page is asked for");
        self.handle(Input::Page { attempt, result: Err(Failure::new(remedy, code)) });
    }

    fn endpoint_fails(&mut self, remedy: Remedy) {
        let attempt = self.fetch_endpoint().expect("an endpoint is asked for");
        self.handle(Input::Endpoint { attempt, result: Err(Failure::new(remedy, "notSupported")) });
    }

    /// Answers endpoint and open; the session's name comes back.
    fn connect(&mut self, lifetime: Option<Duration>) -> Attempt {
        let attempt = self.fetch_endpoint().expect("an endpoint is asked for");
        self.handle(Input::Endpoint { attempt, result: Ok(endpoint(lifetime)) });
        let attempt = self.open().expect("a session is opened");
        self.handle(Input::Opened { attempt, result: Ok(()) });
        attempt
    }

    /// A feed that runs: cursor at `/d?0`, a session, nothing due but the safety walk.
    fn running() -> (Self, Attempt) {
        let mut rig = Self::new();
        rig.page(&[], delta(0));
        let session = rig.connect(Some(Duration::from_secs(3600)));
        rig.pass(Duration::from_secs(1));
        rig.page(&[], delta(0));
        rig.pass(Duration::from_secs(60));
        rig.page(&[], delta(0));
        rig.pass(Duration::from_secs(1));
        assert!(rig.actions.is_empty(), "{:?}", rig.actions);
        (rig, session)
    }

    fn signal(&mut self, session: Attempt) {
        self.handle(Input::Signals { session, notifications: vec![Notification::default()], merged: 0 });
        self.take(|a| matches!(a, Action::PublishSignals { .. }).then_some(()));
    }

    fn ack(&mut self, batch: BatchId) {
        self.handle(Input::Queued { batch, lost: Vec::new() });
        self.handle(Input::Acked { through: batch });
    }

    fn restart(self, after: Duration) -> Self {
        Self::at(self.now.after(after), vec![subscription(BOTH, Start::Latest)], self.saved)
    }

    fn saved_place(&self) -> Place {
        self.saved.clone().unwrap().place
    }
}

fn subscription(emit: Emit, start: Start) -> SubscriptionSettings {
    SubscriptionSettings { resource: Resource::Me, emit, start }
}

fn settings(subscriptions: Vec<SubscriptionSettings>) -> FeedSettings {
    let drive = Drive::new(&GraphId::new("driveId", "b!x").unwrap(), DriveType::Business);
    let backoff = Backoff::try_new(Duration::from_secs(1), Duration::from_secs(60)).unwrap();
    let slow = Backoff::try_slow(Duration::from_secs(60), Duration::from_secs(900)).unwrap();
    FeedSettings {
        id: FeedId { account: AccountName::default(), drive: drive.id },
        base_url: "https://graph.microsoft.com/v1.0".to_owned(),
        subscriptions,
        may_begin: false,
        timing: Timing::new(backoff, slow),
    }
}

fn endpoint(lifetime: Option<Duration>) -> Endpoint {
    let hosts = NotificationHosts::default();
    let notification_url = NotificationUrl::parse("https://x.svc.ms/notifications?token=t", &hosts).unwrap();
    let subscription =
        Subscription { id: None, notification_url, expiration: None, client_state: None, extra: serde_json::Map::new() };
    Endpoint { subscription, lifetime }
}

fn item(id: &str) -> Item {
    Item::new(json!({ "id": id, "name": id })).unwrap()
}

fn link(n: u32) -> Link {
    Link::new(format!("/d?{n}")).unwrap()
}

fn delta(n: u32) -> PageEnd {
    PageEnd::Delta(link(n))
}

fn next(n: u32) -> PageEnd {
    PageEnd::Next(link(n))
}

fn ids(events: &[Arc<Event>]) -> Vec<String> {
    events.iter().map(|e| e.id().to_owned()).collect()
}

fn data(event: &Event) -> Value {
    event.data_value()
}
