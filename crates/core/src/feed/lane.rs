use std::sync::Arc;
use std::time::{Duration, Instant};

use super::Io;
use super::input::{Action, Attempt, EndedBy, OpenFailure, Urgency};
use super::settings::{Emit, SubscriptionSettings, Timing};
use super::status::{LaneState, LaneStatus};
use crate::backoff::Backoff;
use crate::failure::{Failure, Remedy};
use crate::notification_url::NotificationUrl;
use crate::subscription::Endpoint;
use crate::time::Now;

/// One subscription: its endpoint, its session, and the pursuit of the next one.
///
/// A session works until its successor is open; a failed renewal leaves it alone.
#[derive(Debug)]
pub(super) struct Lane {
    settings: SubscriptionSettings,
    resource_text: Arc<str>,
    live: Option<Live>,
    /// The session that is being closed: what it still hands out counts.
    retired: Option<Attempt>,
    pursuit: Pursuit,
    /// An endpoint that was had and could not be opened yet; used again while it is young.
    spare: Option<Held>,
    last_fetch: Option<Instant>,
    /// `Retry-After`: whatever else happens, Graph is not asked before.
    not_before: Option<Instant>,
    /// Whether there ever was a session.
    met: bool,
    problem: Option<String>,
    backoff: Backoff,
    slow: Backoff,
    timing: LaneTiming,
}

#[derive(Debug)]
struct LaneTiming {
    unknown_lifetime: Duration,
    renewal_spacing: Duration,
    /// A session that stayed up this long resets the back-off.
    stable: Duration,
}

#[derive(Debug)]
struct Live {
    session: Attempt,
    since: Instant,
    renew_at: Instant,
    expires: Option<Instant>,
    expired: bool,
}

#[derive(Clone, Debug)]
struct Held {
    url: NotificationUrl,
    /// How many times it was opened.
    opens: u8,
    renew_at: Instant,
    expires: Option<Instant>,
}

#[derive(Debug)]
enum Pursuit {
    /// Nothing is wanted: the session works and its renewal is not due.
    Rest,
    Wait(Instant),
    Fetching(Attempt),
    Opening(Attempt, Held),
    /// The feed stops.
    Stopped,
}

impl Lane {
    /// How many times one endpoint is opened before Graph is asked for another: its host may be gone.
    const OPENS: u8 = 3;
    /// A lifetime below this cannot be kept up with; it is no reason to ask Graph in a loop.
    const SHORTEST_LIFE: Duration = Duration::from_secs(1);

    pub(super) fn new(settings: SubscriptionSettings, timing: &Timing) -> Self {
        Self {
            resource_text: settings.resource.to_string().into(),
            settings,
            live: None,
            retired: None,
            pursuit: Pursuit::Rest,
            spare: None,
            last_fetch: None,
            not_before: None,
            met: false,
            problem: None,
            backoff: timing.backoff.clone(),
            slow: timing.slow.clone(),
            timing: LaneTiming {
                unknown_lifetime: timing.unknown_lifetime,
                renewal_spacing: timing.renewal_spacing,
                stable: timing.renewal_spacing,
            },
        }
    }

    pub(super) fn emit(&self) -> Emit {
        self.settings.emit
    }

    pub(super) fn resource_text(&self) -> &Arc<str> {
        &self.resource_text
    }

    pub(super) fn has_session(&self, session: Attempt) -> bool {
        self.live.as_ref().is_some_and(|live| live.session == session) || self.retired == Some(session)
    }

    /// A session is there and its endpoint has not run out.
    pub(super) fn is_up(&self, now: Now) -> bool {
        self.live.as_ref().is_some_and(|live| live.expires.is_none_or(|at| now.mono < at))
    }

    /// Never had a session, and not for want of trying.
    pub(super) fn is_stranger(&self) -> bool {
        !self.met && self.problem.is_some()
    }

    /// When the endpoint of the session that is still open ran out, if it did.
    pub(super) fn expired(&self, now: Now) -> Option<Instant> {
        self.live.as_ref()?.expires.filter(|at| now.mono >= *at)
    }

    pub(super) fn status(&self, now: Now) -> LaneStatus {
        let state = match self.pursuit {
            _ if self.is_up(now) => LaneState::Up,
            Pursuit::Fetching(_) | Pursuit::Opening(..) => LaneState::Connecting,
            Pursuit::Rest | Pursuit::Wait(_) | Pursuit::Stopped => LaneState::Waiting,
        };
        LaneStatus { resource: self.settings.resource.clone(), state, problem: self.problem.clone() }
    }

    pub(super) fn timeout(&self) -> Option<Instant> {
        let live = self.live.as_ref();
        let step = match self.pursuit {
            Pursuit::Rest => live.map(|live| live.renew_at),
            Pursuit::Wait(until) => Some(until),
            Pursuit::Fetching(_) | Pursuit::Opening(..) | Pursuit::Stopped => None,
        };
        let expiry = live.filter(|live| !live.expired).and_then(|live| live.expires);
        step.into_iter().chain(expiry).min()
    }

    pub(super) fn advance(&mut self, now: Now, io: &mut Io) {
        if let Some(live) = &mut self.live {
            live.expired = live.expires.is_some_and(|at| now.mono >= at);
        }
        let due = match self.pursuit {
            Pursuit::Rest => self.live.as_ref().is_none_or(|live| now.mono >= live.renew_at),
            Pursuit::Wait(until) => now.mono >= until,
            Pursuit::Fetching(_) | Pursuit::Opening(..) | Pursuit::Stopped => false,
        };
        if !due {
            return;
        }
        match self.spare.take().filter(|spare| now.mono < spare.renew_at && spare.opens < Self::OPENS) {
            Some(held) => self.open(held, io),
            None => {
                let attempt = io.attempt();
                self.last_fetch = Some(now.mono);
                self.pursuit = Pursuit::Fetching(attempt);
                let resource = self.settings.resource.clone();
                io.out.push_back(Action::FetchEndpoint { attempt, resource, urgency: Urgency::Endpoint });
            }
        }
    }

    pub(super) fn on_endpoint(&mut self, now: Now, attempt: Attempt, result: &Result<Endpoint, Failure>, io: &mut Io) {
        if !matches!(self.pursuit, Pursuit::Fetching(wanted) if wanted == attempt) {
            return;
        }
        match result {
            Ok(endpoint) => {
                let lifetime = endpoint.lifetime;
                let renew_in = match lifetime {
                    Some(lifetime) => lifetime.mul_f64(0.60 + 0.25 * io.rng.f64()),
                    None => self.timing.unknown_lifetime,
                };
                let held = Held {
                    url: endpoint.subscription.notification_url.clone(),
                    opens: 0,
                    renew_at: now.mono + renew_in.max(Self::SHORTEST_LIFE),
                    expires: lifetime.map(|lifetime| now.mono + lifetime),
                };
                self.open(held, io);
            }
            Err(failure) => {
                if let Remedy::Retry { after: Some(after) }
                | Remedy::RetrySlowly { after: Some(after) }
                | Remedy::RetryThenResync { after: Some(after) } = &failure.remedy
                {
                    self.not_before = Some(now.mono + *after);
                }
                let wait = match &failure.remedy {
                    Remedy::Retry { after } => self.backoff.next(&mut io.rng).max(after.unwrap_or_default()),
                    Remedy::RetrySlowly { after } | Remedy::RetryThenResync { after } => {
                        self.slow.next(&mut io.rng).max(after.unwrap_or_default())
                    }
                    // The token's source is read again every 60 s.
                    Remedy::SignIn => self.timing.renewal_spacing,
                    Remedy::Resync { .. } => self.backoff.next(&mut io.rng),
                };
                self.fail(now, failure.to_string(), wait);
            }
        }
    }

    /// True when the attempt was this lane's.
    pub(super) fn on_opened(&mut self, now: Now, attempt: Attempt, result: &Result<(), OpenFailure>, io: &mut Io) -> bool {
        let held = match std::mem::replace(&mut self.pursuit, Pursuit::Rest) {
            Pursuit::Opening(wanted, held) if wanted == attempt => held,
            other => {
                self.pursuit = other;
                return false;
            }
        };
        match result {
            Ok(()) => {
                self.met = true;
                let Held { renew_at, expires, .. } = held;
                let old = self.live.replace(Live { session: attempt, since: now.mono, renew_at, expires, expired: false });
                if let Some(old) = old {
                    self.retired = Some(old.session);
                    io.out.push_back(Action::Close { session: old.session });
                }
                self.problem = None;
                self.slow.reset();
            }
            Err(failure) => {
                let wait = self.backoff.next(&mut io.rng);
                let (reason, wait) = match failure {
                    OpenFailure::Refetch { reason } => (reason.clone(), wait),
                    OpenFailure::Retry { reason } => {
                        self.spare = Some(held);
                        (reason.clone(), wait)
                    }
                    OpenFailure::Busy { after } => {
                        self.spare = Some(held);
                        ("the transport has no room for another session".to_owned(), wait.max(*after))
                    }
                    OpenFailure::Unusable { reason } => (reason.clone(), self.slow.next(&mut io.rng)),
                };
                self.fail(now, reason, wait);
            }
        }
        true
    }

    /// How long the session stood, when it was this lane's working one.
    pub(super) fn on_ended(&mut self, now: Now, session: Attempt, by: EndedBy, io: &mut Io) -> Option<Duration> {
        let live = self.live.take_if(|live| live.session == session)?;
        let stood = now.mono.saturating_duration_since(live.since);
        self.problem = Some(match by {
            EndedBy::Server => "the server ended the session".to_owned(),
            EndedBy::Network => "the connection was lost".to_owned(),
            EndedBy::Us => "the session broke a limit".to_owned(),
        });
        if stood >= self.timing.stable {
            self.backoff.reset();
        }
        if matches!(self.pursuit, Pursuit::Rest | Pursuit::Wait(_)) {
            self.spare = None;
            let wait = self.backoff.next(&mut io.rng);
            self.pursuit = Pursuit::Wait(self.allowed(now.mono + wait));
        }
        Some(stood)
    }

    /// Drops what there is and starts again at once: the machine slept, so nothing that was open can be trusted.
    pub(super) fn reconnect(&mut self, now: Now, io: &mut Io) {
        self.let_go(io);
        self.backoff.reset();
        self.pursuit = Pursuit::Wait(self.allowed(now.mono));
    }

    fn allowed(&self, at: Instant) -> Instant {
        self.not_before.map_or(at, |not_before| at.max(not_before))
    }

    pub(super) fn stop(&mut self, io: &mut Io) {
        self.let_go(io);
        self.pursuit = Pursuit::Stopped;
    }

    fn let_go(&mut self, io: &mut Io) {
        if let Some(live) = self.live.take() {
            self.retired = Some(live.session);
            io.out.push_back(Action::Close { session: live.session });
        }
        if let Pursuit::Opening(session, _) = self.pursuit {
            io.out.push_back(Action::Close { session });
        }
        self.spare = None;
    }

    fn open(&mut self, mut held: Held, io: &mut Io) {
        held.opens += 1;
        let attempt = io.attempt();
        io.out.push_back(Action::Open { attempt, url: held.url.clone(), renewal: self.live.is_some() });
        self.pursuit = Pursuit::Opening(attempt, held);
    }

    fn fail(&mut self, now: Now, problem: String, wait: Duration) {
        self.problem = Some(problem);
        let mut until = self.allowed(now.mono + wait);
        if let (Some(live), Some(last)) = (&self.live, self.last_fetch) {
            let spaced = last + self.timing.renewal_spacing;
            // Renewals are spaced while the session works, unless it would run out in the meantime.
            if live.expires.is_none_or(|expires| expires > spaced) {
                until = until.max(spaced);
            }
        }
        self.pursuit = Pursuit::Wait(until);
    }
}
