use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use drivetap_core::feed::Loss;
use drivetap_core::{Event, FeedId, Notification};
use jiff::Timestamp;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, watch};
use tokio::time::Instant;

use super::overflow::{Overflow, Told};
use super::ticket::{Progress, Ticket};
use crate::report::Counts;
use crate::settings::{Role, SinkSettings};
use crate::status::{SinkState, SinkStatus};

/// The way into a sink: what feeds put events into, and its dispatcher takes them out of.
///
/// Two lines, both bounded. Changes, resyncs and gaps stand in order and are bounded in bytes: a feed waits for room. Signals are
/// bounded in number and bytes: where there is no room, one merges into the newest of its feed that waits.
#[derive(Debug)]
pub(crate) struct Inlet {
    settings: SinkSettings,
    holds_cursor: bool,
    window: Arc<Semaphore>,
    lines: Mutex<Lines>,
    /// Something was put in, or the inlet was closed.
    filled: Notify,
    /// A signal was taken out, or room that was kept for some was given back.
    signal_taken: Notify,
    /// Who waits for room for signals waits in line.
    turn: tokio::sync::Mutex<()>,
    offered: AtomicU64,
    counters: Counters,
    standing: watch::Sender<Standing>,
}

/// Whether a sink is there, and whether all of this comes to its end.
#[derive(Debug)]
struct Standing {
    state: SinkState,
    draining: bool,
}

#[derive(Debug, Default)]
struct Lines {
    ordered: VecDeque<Slot>,
    signals: VecDeque<Slot>,
    signal_bytes: usize,
    /// Room that somebody keeps and has not filled yet.
    kept: Signals,
    full_since: Option<Instant>,
    /// What this sink lost, feed by feed, until it is told.
    overflows: BTreeMap<FeedId, Overflow>,
    closed: bool,
}

#[derive(Debug, Default)]
struct Counters {
    delivered: AtomicU64,
    dead_lettered: AtomicU64,
    abandoned: AtomicU64,
    merged: AtomicU64,
}

/// One event on its way.
#[derive(Debug)]
pub(crate) struct Slot {
    pub(crate) event: Arc<Event>,
    /// How many notifications it stands for; 1 for everything that is no signal.
    pub(crate) notifications: u64,
    /// It was refused for good; what is offered in its place is a stub.
    pub(crate) rejected: bool,
    /// What becomes true once it is settled.
    pub(crate) ticket: Option<Ticket>,
    /// The loss that it tells of, whose feed wants to hear that it was told.
    told: Option<Told>,
    /// Its share of the window; given back with the last slot that holds it.
    room: Option<Arc<OwnedSemaphorePermit>>,
}

/// How much of the line of signals some of them take.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Signals {
    pub(crate) count: usize,
    /// As events, about.
    pub(crate) bytes: usize,
}

impl Signals {
    /// What these become.
    pub(crate) fn of(notifications: &[Notification]) -> Self {
        let bytes = |notification: &Notification| notification.json().len() + size_of::<Event>() + 64;
        Self { count: notifications.len(), bytes: notifications.iter().map(bytes).sum() }
    }
}

/// Room for signals, kept until this is dropped: by then they are in.
#[derive(Debug)]
pub(crate) struct SignalRoom {
    inlet: Arc<Inlet>,
    kept: Signals,
}

impl Drop for SignalRoom {
    fn drop(&mut self) {
        self.inlet.with(|lines| {
            lines.kept.count -= self.kept.count;
            lines.kept.bytes -= self.kept.bytes;
        });
        self.inlet.signal_taken.notify_waiters();
    }
}

/// How an event ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    Delivered,
    DeadLettered,
    /// By a sink that is gone.
    Abandoned,
}

impl Inlet {
    /// How many bytes of events are put in at a time.
    const CHUNK: usize = 256 * 1024;

    pub(crate) fn new(mut settings: SinkSettings, holds_cursor: bool) -> Self {
        settings.window = settings.window.clamp(1, Semaphore::MAX_PERMITS);
        Self {
            window: Arc::new(Semaphore::new(settings.window)),
            settings,
            holds_cursor,
            lines: Mutex::default(),
            filled: Notify::new(),
            signal_taken: Notify::new(),
            turn: tokio::sync::Mutex::default(),
            offered: AtomicU64::new(0),
            counters: Counters::default(),
            standing: watch::Sender::new(Standing { state: SinkState::Connecting { problem: None }, draining: false }),
        }
    }

    pub(crate) fn settings(&self) -> &SinkSettings {
        &self.settings
    }

    /// Whether feeds wait for this sink's acknowledgement.
    pub(crate) fn holds_cursor(&self) -> bool {
        self.holds_cursor
    }

    /// Counts events in, as soon as a feed has published them: from here on each of them ends in one count, though it never finds room.
    pub(crate) fn announce(&self, events: &[Arc<Event>]) {
        self.offered.fetch_add(count(events.len()), Ordering::Relaxed);
    }

    /// Puts announced events into the ordered line, waiting for room. The ticket is punched when the last of them is settled.
    ///
    /// A sink that does not hold the cursor is waited for only while its window was full for less than `overflow_after`; then it loses
    /// the rest, and the answer is what it has lost of the feed and was not told by now. In the [drain](Self::drain) it is not waited for
    /// while it is away. A dropped future has put in a prefix, or nothing.
    pub(crate) async fn put(&self, events: &[Arc<Event>], ticket: Option<Ticket>) -> Option<Loss> {
        // A small window is filled in small steps, so that what is in it never exceeds it by much.
        // A sink that is not waited for gets a whole page or nothing of it.
        let step = if self.holds_cursor { Self::CHUNK.min(self.settings.window / 4) } else { usize::MAX };
        let mut rest = events;
        while !rest.is_empty() {
            let mut bytes = 0;
            let fits = rest.iter().take_while(|event| {
                let first = bytes == 0;
                bytes += event.size();
                first || bytes <= step
            });
            let (chunk, after) = rest.split_at(fits.count());
            let Some(room) = self.room(chunk.iter().map(|event| event.size()).sum()).await else {
                return self.lose(rest, ticket.as_ref());
            };
            rest = after;
            let room = Arc::new(room);
            self.with(|lines| {
                for event in chunk {
                    lines.ordered.push_back(Slot {
                        event: Arc::clone(event),
                        notifications: 1,
                        rejected: false,
                        ticket: None,
                        told: None,
                        room: Some(Arc::clone(&room)),
                    });
                }
                if rest.is_empty()
                    && let Some(last) = lines.ordered.back_mut()
                {
                    last.ticket.clone_from(&ticket);
                }
            });
            self.filled.notify_one();
        }
        None
    }

    async fn room(&self, bytes: usize) -> Option<OwnedSemaphorePermit> {
        let permits = u32::try_from(bytes.clamp(1, self.settings.window)).unwrap_or(u32::MAX);
        let window = Arc::clone(&self.window);
        let acquire = window.acquire_many_owned(permits);
        if self.holds_cursor {
            return acquire.await.ok();
        }
        let since = self.with(|lines| *lines.full_since.get_or_insert_with(Instant::now));
        let mut standing = self.standing.subscribe();
        let away_for_good = async {
            let _ = standing.wait_for(|now| now.draining && now.state != SinkState::Ready).await;
        };
        let room = tokio::select! {
            biased;
            room = tokio::time::timeout_at(since + self.settings.overflow_after, acquire) => room.ok()?.ok(),
            () = away_for_good => return None,
        };
        self.with(|lines| lines.full_since = None);
        room
    }

    /// The events of one feed are lost to this sink. What is left of them is the [`Overflow`] that it is told of.
    pub(super) fn lose(&self, events: &[Arc<Event>], ticket: Option<&Ticket>) -> Option<Loss> {
        let feed = events.first()?.feed().clone();
        let (put_off, loss) = self.with(|lines| {
            let overflow = lines.overflows.entry(feed).or_default();
            overflow.progress = ticket.map(|ticket| Arc::clone(ticket.progress()));
            let put_off = events.iter().filter(|event| overflow.add(event)).count();
            (put_off, overflow.loss(&self.settings.name))
        });
        let abandoned = count(events.len() - put_off);
        self.counters.abandoned.fetch_add(abandoned, Ordering::Relaxed);
        self.count_metric("abandoned", abandoned);
        // A dispatcher that waits for events has nothing else to wake it.
        self.filled.notify_one();
        loss
    }

    /// Puts in the gap event of a loss that the process before this one did not get told. It takes no room: a sink has few of them.
    pub(crate) fn tell(&self, event: Arc<Event>, from: Timestamp, progress: &Arc<Progress>) {
        let told = Told { from, progress: Arc::clone(progress) };
        let known = self.with(|lines| {
            // A feed that let go and came back in this process: what it lost is still here, and maybe more of it.
            if let Some(overflow) = lines.overflows.get_mut(event.feed()).filter(|overflow| overflow.begins_at(from)) {
                overflow.progress = Some(told.progress);
                return true;
            }
            if let Some(slot) = lines.ordered.iter_mut().find(|slot| slot.event.id() == event.id()) {
                slot.told = Some(told);
                return true;
            }
            lines.ordered.push_back(Slot {
                event,
                notifications: 1,
                rejected: false,
                ticket: None,
                told: Some(told),
                room: None,
            });
            false
        });
        if !known {
            self.offered.fetch_add(1, Ordering::Relaxed);
            self.filled.notify_one();
        }
    }

    /// Waits until there is room for so many signals, at most for `patience`, and keeps it: many feeds that each saw the same room would
    /// fill it many times over, and merge. `None` when patience is over. Sinks that do not hold the cursor are not waited for.
    ///
    /// More than the whole line has room for are let in where it is empty.
    pub(crate) async fn signal_room(self: &Arc<Self>, wanted: Signals, patience: Duration) -> Option<SignalRoom> {
        if !self.holds_cursor {
            return None;
        }
        let wait = async {
            let _turn = self.turn.lock().await;
            loop {
                let taken = self.signal_taken.notified();
                if self.with(|lines| self.keep(lines, wanted)) {
                    return SignalRoom { inlet: Arc::clone(self), kept: wanted };
                }
                taken.await;
            }
        };
        // Out of patience: the signals merge.
        tokio::time::timeout(patience, wait).await.ok()
    }

    fn keep(&self, lines: &mut Lines, wanted: Signals) -> bool {
        let count = lines.signals.len() + lines.kept.count;
        let bytes = lines.signal_bytes + lines.kept.bytes;
        let fits = count + wanted.count <= self.settings.signals && bytes + wanted.bytes <= self.settings.window / 4;
        if fits || count == 0 {
            lines.kept.count += wanted.count;
            lines.kept.bytes += wanted.bytes;
        }
        fits || count == 0
    }

    /// Puts signals in, each with the number of notifications that it stands for, itself included; where there is no room, one takes the
    /// place of the newest of its feed that waits, and stands for both.
    pub(crate) fn put_signals(&self, signals: impl IntoIterator<Item = (Arc<Event>, u64)>) {
        let (mut offered, mut places) = (0, 0);
        self.with(|lines| {
            for (event, notifications) in signals {
                offered += notifications;
                places += u64::from(self.put_signal(lines, event, notifications));
            }
            // Before anybody can settle one of them.
            self.offered.fetch_add(offered, Ordering::Relaxed);
        });
        let merged = offered - places;
        if merged > 0 {
            self.counters.merged.fetch_add(merged, Ordering::Relaxed);
            self.count_metric("merged", merged);
        }
        self.filled.notify_one();
    }

    /// False where it took another one's place.
    fn put_signal(&self, lines: &mut Lines, event: Arc<Event>, notifications: u64) -> bool {
        if self.signals_full(lines)
            && let Some(waiting) = lines.signals.iter_mut().rev().find(|slot| slot.event.feed() == event.feed())
        {
            lines.signal_bytes = lines.signal_bytes + event.size() - waiting.event.size();
            waiting.event = event;
            waiting.notifications += notifications;
            return false;
        }
        // A feed of which none waits gets one place beyond the bound: the excess is at most one signal a feed.
        lines.signal_bytes += event.size();
        lines.signals.push_back(Slot { event, notifications, rejected: false, ticket: None, told: None, room: None });
        true
    }

    fn signals_full(&self, lines: &Lines) -> bool {
        lines.signals.len() >= self.settings.signals || lines.signal_bytes >= self.settings.window / 4
    }

    /// Waits for events and takes up to `max` of them; `None` once the inlet is closed and empty. None of them, but `Some`, where there
    /// is nothing but a loss to [tell](Self::tell_overflows).
    ///
    /// **Cancel safe:** a dropped future has taken nothing.
    pub(crate) async fn take(&self, max: usize) -> Option<Vec<Slot>> {
        loop {
            let filled = self.filled.notified();
            let (batch, untold, closed) =
                self.with(|lines| (self.take_ready(lines, max, 0), !lines.overflows.is_empty(), lines.closed));
            if !batch.is_empty() || untold {
                self.signal_taken.notify_waiters();
                return Some(batch);
            }
            if closed {
                return None;
            }
            filled.await;
        }
    }

    /// Takes up to `max` of the events that wait now, to go behind `in_hand` bytes of others.
    pub(crate) fn take_behind(&self, in_hand: usize, max: usize) -> Vec<Slot> {
        let taken = self.with(|lines| self.take_ready(lines, max, in_hand));
        if !taken.is_empty() {
            self.signal_taken.notify_waiters();
        }
        taken
    }

    fn take_ready(&self, lines: &mut Lines, max: usize, in_hand: usize) -> Vec<Slot> {
        // While a sink waits for the acknowledgement of one half of the window, feeds fill the other.
        let room = (self.settings.window / 2).max(Self::CHUNK).saturating_sub(in_hand);
        // Half of a batch at most is signals, in number and in bytes, so that neither line starves the other.
        let signals = lines.signals.len().min((max / 2).max(max.saturating_sub(lines.ordered.len())));
        let room_for_signals = if lines.ordered.is_empty() { room } else { room / 2 };
        let (mut batch, bytes) = take_front(&mut lines.signals, signals, room_for_signals);
        lines.signal_bytes -= bytes;
        for slot in &mut batch {
            if slot.notifications > 1 {
                slot.event = Arc::new(Event::clone(&slot.event).with_merged(slot.notifications));
            }
        }
        // The last signal may be large: that is no reason to take none of the others.
        let room = room - bytes.min(room_for_signals);
        let ordered = max - batch.len();
        batch.extend(take_front(&mut lines.ordered, ordered, room).0);
        batch
    }

    /// The gap events of what this sink lost, now that it takes events again.
    pub(crate) fn tell_overflows(&self, now: Timestamp) {
        let told = self.with(|lines| {
            let mut told = 0;
            for Overflow { numbered, gap, progress } in std::mem::take(&mut lines.overflows).into_values() {
                let changes = numbered.map(|(first, last)| {
                    let from = first.recorded_time();
                    (Arc::new(Event::sink_overflow(&first, &last, now)), progress.map(|progress| Told { from, progress }))
                });
                told += count(changes.iter().len());
                let gap = gap.map(|gap| (gap, None));
                lines.ordered.extend(changes.into_iter().chain(gap).map(|(event, told)| Slot {
                    event,
                    notifications: 1,
                    rejected: false,
                    ticket: None,
                    told,
                    room: None,
                }));
            }
            told
        });
        // A gap that was put off was counted in when its feed published it.
        self.offered.fetch_add(told, Ordering::Relaxed);
    }

    /// Events came to their end: they are counted, their room is given back, their tickets are punched.
    pub(crate) fn settle(&self, settled: Vec<(Slot, Fate)>) {
        for (fate, counter, name) in [
            (Fate::Delivered, &self.counters.delivered, "delivered"),
            (Fate::DeadLettered, &self.counters.dead_lettered, "dead_lettered"),
            (Fate::Abandoned, &self.counters.abandoned, "abandoned"),
        ] {
            let ended = count(settled.iter().filter(|(_, other)| *other == fate).count());
            if ended > 0 {
                counter.fetch_add(ended, Ordering::Relaxed);
                self.count_metric(name, ended);
            }
        }
        for (Slot { room, ticket, told, .. }, fate) in settled {
            drop(room);
            if let Some(ticket) = ticket {
                ticket.punch();
            }
            if let Some(Told { from, progress }) = told.filter(|_| fate != Fate::Abandoned) {
                progress.tell(self.settings.name.clone(), from);
            }
        }
    }

    /// Waits until the inlet is closed and nothing is left in it. **Cancel safe.**
    pub(crate) async fn finished(&self) {
        loop {
            let filled = self.filled.notified();
            if self.with(|lines| lines.closed && lines.ordered.is_empty() && lines.signals.is_empty()) {
                return;
            }
            filled.await;
        }
    }

    /// Feeds let go, and wait for what they have published. A live sink that is away is not worth that wait: its loss is told later.
    pub(crate) fn drain(&self) {
        self.standing.send_modify(|standing| standing.draining = true);
    }

    /// Nothing more will be put in.
    pub(crate) fn close(&self) {
        self.with(|lines| lines.closed = true);
        self.filled.notify_one();
    }

    pub(crate) fn set_state(&self, state: SinkState) {
        self.standing.send_modify(|standing| standing.state = state);
    }

    /// The counts as they are; what has no count yet is on its way.
    pub(crate) fn counts(&self) -> Counts {
        Counts {
            delivered: self.counters.delivered.load(Ordering::Relaxed),
            dead_lettered: self.counters.dead_lettered.load(Ordering::Relaxed),
            abandoned: self.counters.abandoned.load(Ordering::Relaxed),
            merged: self.counters.merged.load(Ordering::Relaxed),
        }
    }

    /// The counts at the end: what was offered and has no count is abandoned.
    pub(crate) fn final_counts(&self) -> Counts {
        let Counts { delivered, dead_lettered, abandoned, merged } = self.counts();
        let ended = delivered + dead_lettered + abandoned + merged;
        let open = self.offered.load(Ordering::Relaxed).saturating_sub(ended);
        Counts { delivered, dead_lettered, abandoned: abandoned + open, merged }
    }

    pub(crate) fn status(&self) -> SinkStatus {
        let state = self.standing.borrow().state.clone();
        let waiting_signals = self.with(|lines| lines.signals.len());
        SinkStatus {
            name: self.settings.name.clone(),
            state,
            queued_bytes: self.settings.window.saturating_sub(self.window.available_permits()),
            waiting_signals,
            counts: self.counts(),
        }
    }

    fn count_metric(&self, outcome: &'static str, by: u64) {
        metrics::counter!("drivetap_events_total", "sink" => self.settings.name.clone(), "outcome" => outcome).increment(by);
    }

    fn with<T>(&self, act: impl FnOnce(&mut Lines) -> T) -> T {
        act(&mut self.lines.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Takes up to `max` slots until there is no `room`, which the last of them may exceed; and says how many bytes they are.
fn take_front(line: &mut VecDeque<Slot>, max: usize, room: usize) -> (Vec<Slot>, usize) {
    let mut bytes = 0;
    let fits = line.iter().take(max).take_while(|slot| {
        let fits = bytes < room;
        if fits {
            bytes += slot.event.size();
        }
        fits
    });
    let fits = fits.count();
    (line.drain(..fits).collect(), bytes)
}

fn count(n: usize) -> u64 {
    u64::try_from(n).unwrap_or(u64::MAX)
}

/// Which of the sinks hold the cursor: the durable ones, and where there is none, all of them.
pub(crate) fn holders(roles: &[Role]) -> Vec<bool> {
    let any_durable = roles.contains(&Role::Durable);
    roles.iter().map(|role| !any_durable || *role == Role::Durable).collect()
}
