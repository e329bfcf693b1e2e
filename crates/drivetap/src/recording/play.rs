use std::collections::VecDeque;
use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use drivetap_bridge::core::{
    Drive, DriveId, DriveType, Endpoint, Failure, GraphId, Item, Link, Notification, NotificationHosts, NotificationUrl, Page,
    PageEnd, PageFrom, Remedy, Resource, Subscription,
};
use drivetap_bridge::graph::{Graph, Share};
use drivetap_bridge::transport::{Ended, Limits, OpenError, Session, Transport, Who, Why};
use tokio::sync::Notify;

use super::{Help, Recording, What};

/// A recording in the place of Graph and its socket: the same pages and the same frames in the same order, as fast as they are taken.
///
/// A frame waits for the pages before it, so that what the feed makes of them is the same each time; but not for ever, because a feed may
/// ask for fewer pages than the one that was recorded.
#[derive(Clone)]
pub(crate) struct Player(Arc<Played>);

struct Played {
    drive: Drive,
    endpoint: Endpoint,
    rest: Mutex<Rest>,
    moved: Notify,
}

#[derive(Default)]
struct Rest {
    pages: VecDeque<Result<Page, Failure>>,
    /// The frames and ends, each with how many pages came before it.
    frames: VecDeque<(usize, Result<Vec<Notification>, Ended>)>,
    pages_taken: usize,
}

/// How long a frame waits for a page that nobody asks for.
const PATIENCE: Duration = Duration::from_secs(3);

impl Player {
    /// Reads what can be played. What is in the file is untrusted: a bad line is an error, never a panic.
    pub(crate) fn new(recording: Recording) -> Result<Self, String> {
        let Recording { head, lines } = recording;
        let id = GraphId::new("driveId", &head.drive).map_err(|error| format!("the drive: {error}"))?;
        let drive = Drive::new(&id, DriveType::from(head.drive_type.as_str()));
        let mut rest = Rest::default();
        for (n, line) in lines.into_iter().enumerate() {
            let at = |error: &dyn std::fmt::Display| format!("line {}: {error}", n + 2);
            let pages = rest.pages.len();
            match line.what {
                What::Page { items, more, .. } => {
                    let items = items.into_iter().map(Item::new).collect::<Result<_, _>>().map_err(|error| at(&error))?;
                    let link = link(pages)?;
                    let end = if more { PageEnd::Next(link) } else { PageEnd::Delta(link) };
                    rest.pages.push_back(Ok(Page { items, left_out: 0, end }));
                }
                What::NoPage { code, remedy, .. } => rest.pages.push_back(Err(Failure::new(helps(remedy), code))),
                What::Frame { notifications } => {
                    let parsed =
                        notifications.iter().map(|one| Notification::parse(&one.to_string())).collect::<Result<Vec<_>, _>>();
                    rest.frames.push_back((pages, Ok(parsed.map_err(|error| at(&error))?.concat())));
                }
                What::Ended { .. } => rest.frames.push_back((pages, Err(Ended { by: Who::Network, why: Why::Closed }))),
                What::Opened {} | What::NotOpened { .. } => {}
            }
        }
        let body = br#"{"notificationUrl":"https://replay.svc.ms/notifications?token=replayed"}"#;
        let subscription = Subscription::parse(body, &NotificationHosts::default()).map_err(|error| error.to_string())?;
        let endpoint = Endpoint { subscription, lifetime: None };
        Ok(Self(Arc::new(Played { drive, endpoint, rest: Mutex::new(rest), moved: Notify::new() })))
    }

    /// Which resource stands for the drive.
    pub(crate) fn resource(&self) -> Result<Resource, String> {
        format!("drive:{}", self.0.drive.id).parse().map_err(|error| format!("the drive: {error}"))
    }

    /// Waits until everything was taken.
    pub(crate) async fn over(&self) {
        loop {
            let moved = self.0.moved.notified();
            let over = {
                let rest = self.rest();
                rest.frames.is_empty() && rest.pages.is_empty()
            };
            if over || (tokio::time::timeout(PATIENCE * 2, moved).await.is_err() && self.rest().frames.is_empty()) {
                return;
            }
        }
    }

    fn rest(&self) -> MutexGuard<'_, Rest> {
        self.0.rest.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn page(&self) -> Result<Page, Failure> {
        let mut rest = self.rest();
        let answer = match rest.pages.pop_front() {
            Some(next) => next,
            // Nothing new, for as long as it is asked.
            None => link(rest.pages_taken)
                .map(|link| Page { items: Vec::new(), left_out: 0, end: PageEnd::Delta(link) })
                .map_err(Failure::retry),
        };
        rest.pages_taken += 1;
        drop(rest);
        self.0.moved.notify_waiters();
        answer
    }

    /// The next frame, once the pages before it were taken.
    async fn frame(&self) -> Result<Vec<Notification>, Ended> {
        loop {
            let moved = self.0.moved.notified();
            let due = self.rest().frames.front().map(|(after, _)| *after);
            let Some(after) = due else {
                std::future::pending::<()>().await;
                continue;
            };
            let waits = self.rest().pages_taken < after;
            if waits && tokio::time::timeout(PATIENCE, moved).await.is_ok() {
                continue;
            }
            let next = self.rest().frames.pop_front();
            self.0.moved.notify_waiters();
            if let Some((_, frame)) = next {
                return frame;
            }
        }
    }
}

fn link(page: usize) -> Result<Link, String> {
    Link::new(format!("/v1.0/replay/delta?token={page}")).map_err(|error| error.to_string())
}

fn helps(help: Help) -> Remedy {
    match help {
        Help::Retry => Remedy::Retry { after: None },
        // A person who replays does not want to wait as long as the one who recorded.
        Help::RetrySlowly | Help::SignIn => Remedy::Retry { after: None },
        Help::Resync => Remedy::Resync { location: None },
    }
}

#[async_trait]
impl Graph for Player {
    async fn endpoint(&self, _: &Resource) -> Result<Endpoint, Failure> {
        Ok(self.0.endpoint.clone())
    }

    async fn drive(&self, _: &Resource) -> Result<Drive, Failure> {
        Ok(self.0.drive.clone())
    }

    async fn page(&self, _: &DriveId, _: &PageFrom, _: &mut Share) -> Result<Page, Failure> {
        self.page()
    }
}

#[async_trait]
impl Transport for Player {
    async fn open(&self, _: &NotificationUrl, _: &Limits) -> Result<Box<dyn Session>, OpenError> {
        Ok(Box::new(self.clone()))
    }
}

#[async_trait]
impl Session for Player {
    async fn recv(&mut self, out: &mut Vec<Notification>, _: NonZeroUsize) -> Result<(), Ended> {
        out.extend(self.frame().await?);
        Ok(())
    }

    fn take_merged(&mut self) -> u64 {
        0
    }

    fn ping_interval(&self) -> Duration {
        Duration::from_secs(25)
    }

    async fn close(self: Box<Self>, _: Duration) {}
}
