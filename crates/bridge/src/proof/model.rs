//! Random histories of a drive under random faults, on the emulator's drive: its delta and its change log are another's work.
//!
//! A history is a drive that people change, a Graph with moods, sinks and a store that fail, crashes, sleep, releases, in an order
//! that the seed decides. When it is over the world calms down, and a consumer's copy must be the drive.
//!
//! - `DRIVETAP_MODEL_SECONDS=60` goes on with new seeds for so long; without it a fixed number of seeds is run.
//! - `DRIVETAP_MODEL_SEED=123` runs one history and prints what happens in it; a failure prints the seed that makes it.

use std::collections::BTreeMap;
use std::env;
use std::time::{Duration, Instant};

use drivetap_core::feed::{EndedBy, Input, OpenFailure, Start};
use drivetap_core::{Failure, Item, Link, Page, PageEnd, PageFrom, Remedy};
use drivetap_emulator::{Change, DeltaFrom, DriveKind, Limits, LooseDrive, Tombstones};
use fastrand::Rng;
use jiff::SignedDuration;

use super::consumer::Consumer;
use super::drive::{Drive, face};
use super::process::{Process, Work};
use super::world::{Answer, StoreFault, World};

/// Histories of every run. They are the same in each.
const SEEDS: u64 = 300;
/// The one history to run.
const SEED: &str = "DRIVETAP_MODEL_SEED";
/// After so long of nothing it is quiet: longer than any wait of the settings but the safety walk, which must not be needed.
const REST: Duration = Duration::from_secs(10);
/// Actions of one history, before the world calms down.
const ACTIONS: usize = 250;

#[test]
fn a_consumer_that_folds_the_output_has_the_drive() {
    if let Some(seed) = number(SEED) {
        return check(seed);
    }
    (0..SEEDS).for_each(check);
    let more = Duration::from_secs(number("DRIVETAP_MODEL_SECONDS").unwrap_or(0));
    let (began, first) = (Instant::now(), fastrand::u64(SEEDS..u64::MAX / 2));
    let mut seed = first;
    while began.elapsed() < more {
        check(seed);
        seed += 1;
    }
    println!("{} histories: seeds 0 to {}, and {} from {first}", SEEDS + (seed - first), SEEDS - 1, seed - first);
}

fn number(variable: &str) -> Option<u64> {
    env::var(variable).ok().map(|text| text.parse().unwrap_or_else(|_| panic!("{variable} is no number: {text}")))
}

fn check(seed: u64) {
    if let Err(what) = History::new(seed).run() {
        panic!("seed {seed}: {what}\n{SEED}={seed} runs it alone");
    }
}

struct History {
    rng: Rng,
    world: World<People>,
    process: Process,
    start: Start,
    verbose: bool,
}

impl History {
    fn new(seed: u64) -> Self {
        let mut rng = Rng::with_seed(seed);
        let start = if rng.bool() { Start::Beginning } else { Start::Latest };
        let mut world = World::new(People::new(&mut rng), 2);
        let process = Process::start(&mut world, start);
        Self { rng, world, process, start, verbose: env::var_os(SEED).is_some() }
    }

    fn run(&mut self) -> Result<(), String> {
        for _ in 0..ACTIONS {
            match self.rng.u8(..) {
                0..40 => self.happen(),
                40..46 => self.crash(),
                _ => self.step()?,
            }
        }
        self.calm_down()?;
        self.world.check()
    }

    /// Something that could be done, or else time.
    fn step(&mut self) -> Result<(), String> {
        if self.process.released {
            self.process = Process::start(&mut self.world, self.start);
        }
        match self.rng.choice(self.process.ready()) {
            Some(work) => {
                let done = self.process.perform(&mut self.world, work)?;
                self.tell(|| done.unwrap_or_else(|| format!("{work:?}")));
                Ok(())
            }
            None => self.process.wait(&mut self.world, Duration::from_secs(60)),
        }
    }

    fn tell(&self, what: impl FnOnce() -> String) {
        if self.verbose {
            println!("{} {}", self.world.now.wall, what());
        }
    }

    fn crash(&mut self) {
        self.tell(|| "a crash".to_owned());
        self.world.crash();
        self.process = Process::start(&mut self.world, self.start);
    }

    fn happen(&mut self) {
        let kind = self.rng.u8(0..60);
        self.tell(|| format!("happens: {kind}"));
        let (rng, graph) = (&mut self.rng, &mut self.world.graph);
        match kind {
            0..30 => {
                // A burst is one signal, or many, or one that stands for many.
                for _ in 0..rng.u8(1..4) {
                    self.world.drive.change();
                }
                for _ in 0..rng.u8(1..3) {
                    self.signal();
                }
            }
            30..34 => self.signal(),
            34..36 => graph.page_fails.push_back(a_failure(rng)),
            36..38 => graph.endpoint_fails.push_back(a_failure(rng)),
            38..40 => graph.open_fails.push_back(a_refusal(rng)),
            40 => graph.page_fails.push_back(a_410(rng)),
            41..43 => self.world.drive.expire(),
            43..45 => {
                let hold = rng.bool();
                let late = self.world.drive.loose.shown() < self.world.drive.loose.head();
                self.world.drive.loose.hold_back(hold);
                if late && !hold {
                    self.signal();
                }
            }
            45..47 => graph.lifetimes.push_back(Duration::from_secs(rng.u64(1..90))),
            47..50 => {
                let by = rng.choice([EndedBy::Server, EndedBy::Network, EndedBy::Us]).unwrap_or(EndedBy::Us);
                for session in std::mem::take(&mut graph.sessions) {
                    self.process.hears(Input::Ended { session: session.name, by, silence: Duration::ZERO });
                }
            }
            50..52 => {
                let fault = if rng.bool() { StoreFault::NothingWritten } else { StoreFault::WrittenButNotSaid };
                self.world.store.fails.push_back(fault);
            }
            52..57 => {
                let sink = rng.usize(..self.world.sinks.len());
                self.world.sinks[sink].answers.push_back(an_answer(rng));
            }
            57 => {
                graph.sessions.clear();
                self.world.now.wall += SignedDuration::from_secs(rng.i64(31..900));
                self.world.drive.change();
                self.world.note_missed();
                self.world.now.wall += SignedDuration::from_secs(1);
            }
            // The end of a session does not take seconds to get through here.
            58 if self.process.ready().is_empty() => {
                let time = Duration::from_millis(rng.u64(..20_000));
                self.process.pass(&mut self.world, time);
            }
            59 => self.process.handle(&self.world, Input::Release),
            _ => {}
        }
    }

    fn signal(&mut self) {
        let merged = if self.rng.bool() { 0 } else { self.rng.u64(..5) };
        if !self.process.hear_signal(&self.world, merged) {
            self.world.note_missed();
        }
    }

    /// Nothing happens any more, and everything comes to rest without the safety walk.
    fn calm_down(&mut self) -> Result<(), String> {
        if self.world.drive.loose.shown() < self.world.drive.loose.head() {
            // Delta lagged for longer than walks are repeated for: whatever is signalled next brings it.
            self.world.drive.loose.hold_back(false);
            self.signal();
        }
        self.rest()
    }

    fn rest(&mut self) -> Result<(), String> {
        let mut quiet_since = None;
        for _ in 0..5_000 {
            let ready = self.process.ready();
            // A sign of life is written every 10 s, and is no unrest.
            if ready.iter().any(|work| !matches!(work, Work::Commit | Work::Answer)) {
                quiet_since = None;
            } else if ready.is_empty() {
                let now = self.world.now.mono;
                let settled = self.process.is_settled(&self.world);
                quiet_since = if settled { quiet_since.or(Some(now)) } else { None };
                if quiet_since.is_some_and(|since| now - since >= REST) {
                    return Ok(());
                }
            }
            self.step()?;
        }
        Err(format!("it never comes to rest: {}", self.process.unsettled(&self.world)))
    }
}

fn a_failure(rng: &mut Rng) -> Failure {
    let after = rng.bool().then(|| Duration::from_secs(rng.u64(..30)));
    let remedy = match rng.u8(..4) {
        0 => Remedy::SignIn,
        1 => Remedy::RetrySlowly { after },
        _ => Remedy::Retry { after },
    };
    Failure::new(remedy, "forTheTest")
}

fn a_refusal(rng: &mut Rng) -> OpenFailure {
    let reason = "for the test".to_owned();
    match rng.u8(..4) {
        0 => OpenFailure::Refetch { reason },
        1 => OpenFailure::Retry { reason },
        2 => OpenFailure::Busy { after: Duration::from_secs(rng.u64(..10)) },
        _ => OpenFailure::Unusable { reason },
    }
}

fn an_answer(rng: &mut Rng) -> Answer {
    let taken = rng.usize(..4);
    match rng.u8(..7) {
        0 => Answer::Refuses,
        1 => Answer::Holds { taken },
        2 => Answer::Pauses { taken },
        3..5 => Answer::Underway { taken, acked: rng.usize(..=taken) },
        _ => Answer::Cut { taken, acked: rng.usize(..=taken) },
    }
}

/// In each spelling; with a `Location` that works, one that does not, or none.
fn a_410(rng: &mut Rng) -> Failure {
    let codes = ["resyncRequired", "resyncChangesApplyDifferences", "resyncChangesUploadDifferences", "resyncApplyDifferences"];
    let locations = [None, Some(People::FRESH), Some("/v1.0/broken/5xx"), Some("/v1.0/broken/404"), Some("/v1.0/broken/410")];
    let location = rng.choice(locations).flatten().map(|path| Link::new(path).unwrap());
    Failure::new(Remedy::Resync { location }, rng.choice(codes).unwrap_or_default())
}

/// The emulator's drive, and the people who change it.
struct People {
    loose: LooseDrive,
    rng: Rng,
    /// Which change the tokens that were handed out know: asked for where `start` is `latest`.
    known: BTreeMap<String, u64>,
    names: u64,
}

impl People {
    const FRESH: &str = "/v1.0/fresh";

    fn new(rng: &mut Rng) -> Self {
        let kind = rng.choice([DriveKind::Business, DriveKind::Personal]).unwrap_or_default();
        // A bin that is small enough to forget: then delta answers 410 by itself.
        let limits = Limits { items: 30, tombstones: rng.choice([4, 1_000]).unwrap_or(4) };
        let mut loose = LooseDrive::new(kind, limits, rng.u64(..));
        loose.switches.page_size = rng.u16(1..6);
        loose.switches.tombstones = rng.choice([Tombstones::Kept, Tombstones::LostByEmptyAnswer]).unwrap_or_default();
        let mut people = Self { loose, rng: rng.fork(), known: BTreeMap::new(), names: 0 };
        (0..people.rng.u8(..8)).for_each(|_| people.change());
        people
    }

    fn name(&mut self) -> String {
        self.names += 1;
        format!("item {}", self.names)
    }

    fn any(&mut self) -> String {
        let living: Vec<_> = self.loose.living().filter_map(|(_, item)| item["id"].as_str().map(str::to_owned)).collect();
        self.rng.choice(living).unwrap_or_default()
    }

    fn any_deleted(&mut self) -> String {
        let bin: Vec<_> = self.loose.bin().take(3).map(str::to_owned).collect();
        self.rng.choice(bin).unwrap_or_default()
    }

    /// One that is possible. What was deleted of late comes back and goes again more often than in life.
    fn change(&mut self) {
        for _ in 0..20 {
            let change = match self.rng.u8(..10) {
                0..2 => Change::Create { name: self.name(), parent: Some(self.any()), size: None },
                2 => Change::CreateFolder { name: self.name(), parent: Some(self.any()) },
                3 => Change::Rename { item: self.any(), name: self.name() },
                4 => Change::Move { item: self.any(), parent: Some(self.any()) },
                5 => Change::Update { item: self.any(), size: None },
                6..8 => Change::Delete { item: self.any() },
                _ => Change::Restore { item: self.any_deleted() },
            };
            // A file is no folder, the root stays, a drive fills up: then something else.
            if self.loose.change(&change).is_ok() {
                return;
            }
        }
    }

    /// Every link is forgotten; what the answers name instead is chance.
    fn expire(&mut self) {
        self.loose.expire_tokens();
    }
}

impl Drive for People {
    fn page(&mut self, from: &PageFrom) -> Result<Page, Failure> {
        let link = match from {
            PageFrom::Link(link) => Some(link.as_str()),
            PageFrom::Latest | PageFrom::Root => None,
        };
        let start = match (from, link.and_then(|link| link.split_once("token=")), link) {
            (PageFrom::Latest, ..) => DeltaFrom::Latest,
            (PageFrom::Root, ..) | (_, _, Some(Self::FRESH)) => DeltaFrom::Beginning,
            (_, Some((_, token)), _) => DeltaFrom::Token(token),
            (.., Some("/v1.0/broken/5xx")) => return Err(Failure::retry("generalException")),
            (.., Some("/v1.0/broken/404")) => {
                return Err(Failure::new(Remedy::RetrySlowly { after: None }, "itemNotFound"));
            }
            _ => return Err(a_410(&mut self.rng)),
        };
        let Ok(page) = self.loose.delta(start) else {
            return Err(a_410(&mut self.rng));
        };
        let link = Link::new(format!("/v1.0/delta?token={}", page.token)).unwrap();
        if start == DeltaFrom::Latest {
            self.known.insert(link.to_string(), self.loose.shown());
        }
        let items = page.items.into_iter().map(|item| Item::new(item).unwrap()).collect();
        Ok(Page { items, left_out: 0, end: if page.more { PageEnd::Next(link) } else { PageEnd::Delta(link) } })
    }

    fn living(&self) -> BTreeMap<String, (u64, String)> {
        let living = self.loose.living();
        living.map(|(at, item)| (item["id"].as_str().unwrap_or_default().to_owned(), (at, face(&item)))).collect()
    }

    fn known_by(&self, link: &Link) -> u64 {
        self.known.get(link.as_str()).copied().unwrap_or(0)
    }

    fn toggle(&mut self) {
        for _ in 0..self.rng.u8(..3) {
            self.change();
        }
    }
}

#[test]
fn delete_restore_delete_with_a_walk_between_each_arrive_as_three() {
    let mut history = History::new(1);
    history.rest().unwrap();
    let create = Change::Create { name: "now and then".to_owned(), parent: None, size: None };
    let item = history.world.drive.loose.change(&create).unwrap();
    let (delete, restore) = (Change::Delete { item: item.clone() }, Change::Restore { item: item.clone() });
    for change in [None, Some(&delete), Some(&restore), Some(&delete)] {
        if let Some(change) = change {
            history.world.drive.loose.change(change).unwrap();
        }
        history.signal();
        history.rest().unwrap();
    }
    history.world.check().unwrap();
    for sink in &history.world.sinks {
        let consumer = Consumer::read(&sink.log, &sink.dead_letters).unwrap();
        let there: Vec<bool> = consumer.applied[&item].iter().map(Option::is_some).collect();
        assert_eq!(there, [true, false, true, false]);
    }
}
