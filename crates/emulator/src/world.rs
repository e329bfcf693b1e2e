//! Everything the emulator knows, and what happens to it as time passes.

use std::{
    collections::{BTreeMap, HashMap},
    time::Duration,
};

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;
use socketioxide::{extract::SocketRef, socket::Sid};
use tokio::time::Instant;
use uuid::Uuid;

use crate::{
    accounts::{Account, Accounts},
    emulator::{Config, Seed},
    endpoint::{self, Endpoint, Endpoints},
    fault::Faults,
    journal::{Journal, Stats},
    model::{self, Change, ChangeError, Drive, NewDrive, comparable},
    resource::Resource,
    switches::{Expiry, Switches, within_a_century},
};

/// Signals that wait for their delay; beyond, they are dropped and counted.
const MAX_SCHEDULED: usize = 100_000;
/// How long an expired endpoint is remembered, so that its socket can be told why.
const REMEMBERED: Duration = Duration::from_secs(600);

/// The state behind the one lock. No method waits.
#[derive(Debug)]
pub(crate) struct World {
    pub(crate) switches: Switches,
    pub(crate) accounts: Accounts,
    pub(crate) endpoints: Endpoints,
    pub(crate) faults: Faults,
    pub(crate) journal: Journal,
    drives: BTreeMap<String, Drive>,
    groups: HashMap<String, String>,
    lists: HashMap<(String, String), String>,
    subscribers: HashMap<String, Vec<Subscriber>>,
    schedule: BTreeMap<(Instant, u64), String>,
    scheduled: u64,
    next_expiry: Option<Instant>,
    counts: Counts,
    limits: model::Limits,
    rng: fastrand::Rng,
}

/// A socket in the namespace.
#[derive(Debug)]
struct Subscriber {
    socket: SocketRef,
    token: String,
    line: u64,
    expired: bool,
}

#[derive(Debug, Default)]
struct Counts {
    changes: u64,
    notifications: u64,
    dropped: u64,
    joined: u64,
}

/// Sockets whose endpoint has expired, and how to part.
pub(crate) struct Parting {
    pub(crate) how: Expiry,
    pub(crate) sockets: Vec<(SocketRef, u64)>,
}

impl World {
    pub(crate) fn new(config: Config) -> Self {
        let mut rng = fastrand::Rng::with_seed(config.random_seed);
        let drives = match config.seed {
            Seed::Standard => model::standard(config.limits, &mut rng),
            Seed::Empty => Vec::new(),
        };
        let mut world = Self {
            switches: config.switches,
            accounts: Accounts::new(config.accounts),
            endpoints: Endpoints::default(),
            faults: Faults::default(),
            journal: Journal::default(),
            drives: BTreeMap::new(),
            groups: HashMap::new(),
            lists: HashMap::new(),
            subscribers: HashMap::new(),
            schedule: BTreeMap::new(),
            scheduled: 0,
            next_expiry: None,
            counts: Counts::default(),
            limits: config.limits,
            rng,
        };
        for drive in drives {
            world.drives.insert(comparable(&drive.id), drive);
        }
        if config.seed == Seed::Standard {
            world.bind_group(model::GROUP, model::GROUP_DRIVE);
            world.bind_list(model::SITE, model::LIST, model::LIST_DRIVE);
        }
        world
    }

    pub(crate) fn add_drive(&mut self, new: NewDrive) -> Result<String, ChangeError> {
        let drive = Drive::new(new, self.limits, self.rng.fork());
        let (key, id) = (comparable(&drive.id), drive.id.clone());
        if self.drives.contains_key(&key) {
            return Err(ChangeError::NameTaken(id));
        }
        self.drives.insert(key, drive);
        Ok(id)
    }

    pub(crate) fn bind_group(&mut self, group: &str, drive: &str) {
        self.groups.insert(group.to_owned(), comparable(drive));
    }

    pub(crate) fn bind_list(&mut self, site: &str, list: &str, drive: &str) {
        self.lists.insert((site.to_owned(), list.to_owned()), comparable(drive));
    }

    pub(crate) fn drives(&self) -> impl Iterator<Item = &Drive> {
        self.drives.values()
    }

    /// The groups and their drives, in the order of their ids.
    pub(crate) fn groups(&self) -> impl Iterator<Item = (&str, &Drive)> {
        let bound: BTreeMap<_, _> = self.groups.iter().collect();
        bound.into_iter().filter_map(|(group, drive)| Some((group.as_str(), self.drives.get(drive)?)))
    }

    /// The lists with their site and drive, in the order of their ids.
    pub(crate) fn lists(&self) -> impl Iterator<Item = (&str, &str, &Drive)> {
        let bound: BTreeMap<_, _> = self.lists.iter().collect();
        bound.into_iter().filter_map(|((site, list), drive)| Some((site.as_str(), list.as_str(), self.drives.get(drive)?)))
    }

    /// Whether the drive is a group's or a list's.
    pub(crate) fn is_bound(&self, drive: &str) -> bool {
        let drive = comparable(drive);
        self.groups.values().chain(self.lists.values()).any(|bound| *bound == drive)
    }

    pub(crate) fn drive(&self, id: &str) -> Option<&Drive> {
        self.drives.get(&comparable(id))
    }

    pub(crate) fn drive_mut(&mut self, id: &str) -> Option<&mut Drive> {
        self.drives.get_mut(&comparable(id))
    }

    /// The drive that a request means, for this account.
    pub(crate) fn resolve(&self, resource: &Resource, account: &Account) -> Option<&Drive> {
        match resource {
            Resource::Me => self.drive(&account.drive),
            Resource::Drive(id) => self.drive(id),
            Resource::Group(group) => self.groups.get(group).and_then(|id| self.drives.get(id)),
            Resource::List(site, list) => {
                let key = (site.clone(), list.clone());
                self.lists.get(&key).and_then(|id| self.drives.get(id))
            }
        }
    }

    /// Makes a change and schedules its signals.
    pub(crate) fn change(&mut self, drive: &str, change: &Change, now: Instant) -> Result<String, ChangeError> {
        let found = self.drive_mut(drive).ok_or_else(|| ChangeError::NotFound(drive.to_owned()))?;
        let item = found.apply(change)?;
        self.counts.changes += 1;
        self.signal(drive, u32::from(self.switches.signals_per_change), now);
        Ok(item)
    }

    /// Schedules signals for a drive, changed or not.
    pub(crate) fn signal(&mut self, drive: &str, count: u32, now: Instant) {
        let due = now + within_a_century(self.switches.signal_delay);
        for _ in 0..count {
            if self.schedule.len() >= MAX_SCHEDULED {
                self.counts.dropped += 1;
                continue;
            }
            self.scheduled += 1;
            self.schedule.insert((due, self.scheduled), comparable(drive));
        }
    }

    /// A new endpoint for a drive, as its URL's token.
    pub(crate) fn open_endpoint(&mut self, drive: &str, account: &str, now: Instant, wall: Timestamp) -> (String, Endpoint) {
        let drive = comparable(drive);
        self.endpoints.forget(now.checked_sub(REMEMBERED).unwrap_or(now));
        if self.switches.second_get_invalidates {
            self.expire_endpoints(now, |old| old.drive == drive && old.account == account);
        }
        let lifetime = within_a_century(self.switches.endpoint_lifetime);
        let endpoint = Endpoint {
            id: Uuid::new_v4(),
            drive,
            account: account.to_owned(),
            expiration: later(self.wall(wall), lifetime),
            expires: now + lifetime,
        };
        (self.endpoints.add(endpoint.clone()), endpoint)
    }

    pub(crate) fn expire_endpoints(&mut self, now: Instant, which: impl Fn(&Endpoint) -> bool) {
        self.endpoints.expire(now, which);
        self.next_expiry = Some(now);
    }

    /// The service's own wall clock.
    pub(crate) fn wall(&self, wall: Timestamp) -> Timestamp {
        let ahead = SignedDuration::from_secs(i64::from(self.switches.clock_ahead_s));
        wall.checked_add(ahead).unwrap_or(wall)
    }

    /// A socket entered the namespace with a URL's token. False where that is no longer good.
    pub(crate) fn join(&mut self, socket: SocketRef, token: &str, line: u64, now: Instant) -> bool {
        let Some(endpoint) = self.endpoints.valid(token, now) else {
            return false;
        };
        self.next_expiry = Some(self.next_expiry.map_or(endpoint.expires, |next| next.min(endpoint.expires)));
        self.counts.joined += 1;
        let subscribers = self.subscribers.entry(endpoint.drive.clone()).or_default();
        subscribers.push(Subscriber { socket, token: token.to_owned(), line, expired: false });
        true
    }

    pub(crate) fn leave(&mut self, sid: Sid) {
        self.subscribers.retain(|_, subscribers| {
            subscribers.retain(|subscriber| subscriber.socket.id != sid);
            !subscribers.is_empty()
        });
    }

    /// The sockets in the namespace, of one drive or of all, each with its connection.
    pub(crate) fn sockets(&self, drive: Option<&str>) -> Vec<(SocketRef, u64)> {
        let wanted = drive.map(comparable);
        self.subscribers
            .iter()
            .filter(|(drive, _)| wanted.as_ref().is_none_or(|wanted| wanted == *drive))
            .flat_map(|(_, subscribers)| subscribers)
            .map(|subscriber| (subscriber.socket.clone(), subscriber.line))
            .collect()
    }

    /// Sends the signals that are due, and names the sockets to part with.
    pub(crate) fn tick(&mut self, now: Instant) -> Parting {
        while let Some(entry) = self.schedule.first_entry() {
            if entry.key().0 > now {
                break;
            }
            let drive = entry.remove();
            self.send(&drive);
        }
        let mut sockets = Vec::new();
        if self.next_expiry.is_some_and(|next| next <= now) {
            self.next_expiry = None;
            for subscriber in self.subscribers.values_mut().flatten().filter(|subscriber| !subscriber.expired) {
                match self.endpoints.get(&subscriber.token) {
                    Some(endpoint) if endpoint.expires > now => {
                        let next = self.next_expiry.map_or(endpoint.expires, |next| next.min(endpoint.expires));
                        self.next_expiry = Some(next);
                    }
                    _ => {
                        subscriber.expired = true;
                        sockets.push((subscriber.socket.clone(), subscriber.line));
                    }
                }
            }
        }
        Parting { how: self.switches.expiry, sockets }
    }

    /// When there is something to do again.
    pub(crate) fn next(&self) -> Option<Instant> {
        let signal = self.schedule.first_key_value().map(|((due, _), _)| *due);
        [signal, self.next_expiry].into_iter().flatten().min()
    }

    fn send(&mut self, drive_id: &str) {
        let (Some(drive), Some(subscribers)) = (self.drives.get(drive_id), self.subscribers.get(drive_id)) else {
            return;
        };
        for subscriber in subscribers.iter().filter(|subscriber| !subscriber.expired) {
            let Some(endpoint) = self.endpoints.get(&subscriber.token) else {
                continue;
            };
            let Switches { payload, notifications_per_frame, .. } = self.switches;
            let argument: Value = endpoint::payload(drive, endpoint, payload, notifications_per_frame);
            let notifications = u64::from(notifications_per_frame.max(1));
            match subscriber.socket.emit("notification", &argument) {
                Ok(()) => self.counts.notifications += notifications,
                Err(_) => self.counts.dropped += notifications,
            }
        }
    }

    pub(crate) fn stats(&self, open_sockets: usize) -> Stats {
        Stats {
            requests: self.journal.total(),
            changes: self.counts.changes,
            notifications: self.counts.notifications,
            dropped_notifications: self.counts.dropped,
            joined: self.counts.joined,
            subscribers: self.subscribers.values().map(Vec::len).sum(),
            open_sockets,
            faults: self.faults.waiting(),
        }
    }
}

fn later(at: Timestamp, by: Duration) -> Timestamp {
    SignedDuration::try_from(by).ok().and_then(|by| at.checked_add(by).ok()).unwrap_or(Timestamp::MAX)
}
