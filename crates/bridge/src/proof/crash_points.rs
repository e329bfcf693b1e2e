//! A crash after every action of every scenario, and after every action of the run that follows.
//!
//! An action is anything that somebody other than the process knows of: a request to Graph, an event in a sink's log, a dead letter, a
//! write to the store. Its answer is not waited for, so each crash point is also the one where the answer was lost. What
//! is left is the world; what follows starts from its store, runs until all is quiet, and is checked.

use std::collections::HashSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use drivetap_core::feed::{EndedBy, Input, OpenFailure, Start};
use drivetap_core::{Failure, Remedy};
use jiff::SignedDuration;

use super::drive::{Broken, Location, SmallDrive, trace};
use super::process::{Process, Work};
use super::world::{Answer, StoreFault, World};

/// At least so many distinct (action, crash) pairs: what README.md says.
const PAIRS: usize = 25_000;
/// How many crashes in a row.
const CRASHES: usize = 2;
/// After so long of nothing it is quiet: longer than any wait of the settings but the safety walk, which must not be needed.
const REST: Duration = Duration::from_secs(25);
/// A run that is not over by then does not end.
const STEPS: usize = 4_000;

#[test]
fn every_crash_leaves_what_a_restart_makes_whole() {
    let scenarios = scenarios();
    let jobs: Vec<_> = scenarios.iter().flat_map(|scenario| ORDERS.iter().map(move |order| (scenario, order))).collect();
    let explored = on_every_core(&jobs, |(scenario, order)| {
        let mut explorer = Explorer::new(scenario, order);
        let result = explorer.explore();
        (explorer, result)
    });
    let points = |of: &dyn Fn(&Explorer<'_>) -> bool| {
        let explorers = explored.iter().map(|(explorer, _)| explorer).filter(|explorer| of(explorer));
        explorers.flat_map(|explorer| &explorer.points).collect::<HashSet<_>>().len()
    };
    for scenario in &scenarios {
        println!("{:>6} {}", points(&|explorer| explorer.scenario.name == scenario.name), scenario.name);
    }
    let pairs = points(&|_| true);
    let runs: usize = explored.iter().map(|(explorer, _)| explorer.runs).sum();
    println!("{pairs:>6} distinct (action, crash) pairs; {runs} runs to the end, each checked");
    let failures: Vec<_> = explored.iter().filter_map(|(_, result)| result.as_ref().err()).map(String::as_str).collect();
    assert!(failures.is_empty(), "{}", failures.join("\n"));
    assert!(pairs >= PAIRS, "{pairs} pairs are too few");
}

fn on_every_core<J: Sync, T: Send>(jobs: &[J], work: impl Fn(&J) -> T + Sync) -> Vec<T> {
    let next = AtomicUsize::new(0);
    let one_after_the_other = || {
        let taken = std::iter::from_fn(|| jobs.get(next.fetch_add(1, Ordering::Relaxed)));
        taken.map(&work).collect::<Vec<_>>()
    };
    thread::scope(|scope| {
        let cores = thread::available_parallelism().map_or(1, Into::into);
        let workers: Vec<_> = (0..cores).map(|_| scope.spawn(one_after_the_other)).collect();
        workers.into_iter().flat_map(|worker| worker.join().unwrap()).collect()
    })
}

/// What happens around drivetap, beat by beat.
struct Scenario {
    name: &'static str,
    start: Start,
    items: &'static [&'static str],
    beats: Vec<(When, What)>,
}

/// When a beat comes. Where all is quiet it comes whatever it waits for: a crash may have eaten that.
#[derive(Clone, Copy, Debug)]
enum When {
    Quiet,
    /// So many since the beat before.
    Pages(u32),
    Endpoints(u32),
    Sessions(u32),
    Delivered(u32),
}

#[derive(Clone, Debug)]
enum What {
    Put(&'static str, &'static str),
    Delete(&'static str),
    /// The change is not shown by so many walks.
    Lag(u32),
    Signals {
        merged: u64,
    },
    Forget(Location),
    PageFails(Remedy),
    EndpointFails(Remedy),
    OpenFails(OpenFailure),
    Lifetime(u64),
    Ends(EndedBy),
    Sleeps {
        seconds: i64,
    },
    Passes {
        seconds: u64,
    },
    StoreFails(StoreFault),
    Sink(usize, Vec<Answer>),
    Release,
}

use What::{
    Delete, EndpointFails, Ends, Forget, Lag, Lifetime, OpenFails, PageFails, Passes, Put, Release, Signals, Sink, Sleeps,
    StoreFails,
};
use When::{Delivered, Endpoints, Pages, Quiet, Sessions};

fn scenarios() -> Vec<Scenario> {
    let retry = Remedy::Retry { after: None };
    vec![
        Scenario {
            name: "a walk of several pages, and a drive that changes under it",
            start: Start::Latest,
            items: &["a", "b"],
            beats: vec![
                (Quiet, Put("c", "c")),
                (Quiet, Put("d", "d")),
                (Pages(1), Put("e", "e")),
                (Pages(1), Put("c", "renamed")),
                (Delivered(1), Delete("d")),
                (Quiet, Put("d", "d")),
                (Quiet, Delete("d")),
            ],
        },
        Scenario {
            name: "the first walk from the beginning",
            start: Start::Beginning,
            items: &["a", "b", "c", "d", "toggled"],
            beats: vec![(Pages(1), Put("b", "renamed")), (Pages(1), Delete("c")), (Quiet, Put("f", "f"))],
        },
        Scenario {
            name: "delta that lags, and a deletion that it shows once",
            start: Start::Beginning,
            items: &["a", "b"],
            beats: vec![(Quiet, Lag(2)), (Quiet, Delete("a")), (Quiet, Lag(1)), (Quiet, Put("a", "a")), (Quiet, Delete("b"))],
        },
        Scenario {
            name: "renewals: one that works, one that fails, one that comes too late",
            start: Start::Latest,
            items: &["a"],
            beats: vec![
                (Quiet, Lifetime(20)),
                (Quiet, Ends(EndedBy::Server)),
                (Endpoints(2), Put("b", "b")),
                (Quiet, Lifetime(30)),
                (Quiet, Ends(EndedBy::Network)),
                (Sessions(1), EndpointFails(retry.clone())),
                (Endpoints(1), OpenFails(OpenFailure::Refetch { reason: "401".to_owned() })),
                (Endpoints(2), Put("b", "renamed")),
                (Quiet, Lifetime(8)),
                (Quiet, Ends(EndedBy::Us)),
                (Sessions(1), EndpointFails(Remedy::Retry { after: Some(Duration::from_secs(12)) })),
                (Endpoints(1), Passes { seconds: 9 }),
                (Quiet, Delete("a")),
            ],
        },
        Scenario {
            name: "a 410 with a Location, while the drive was changed",
            start: Start::Beginning,
            items: &["a", "b", "c", "toggled"],
            beats: vec![
                (Quiet, Forget(Location::Works)),
                (Quiet, Delete("a")),
                (Pages(1), Put("d", "d")),
                (Delivered(1), Delete("b")),
                (Quiet, Put("a", "a")),
            ],
        },
        Scenario {
            name: "a 410 without a Location, and another one in the middle of the enumeration",
            start: Start::Beginning,
            items: &["a", "b", "c"],
            beats: vec![
                (Quiet, Forget(Location::Absent)),
                (Quiet, Put("d", "d")),
                (Pages(1), Forget(Location::Absent)),
                (Pages(1), Delete("d")),
                (Quiet, PageFails(Remedy::Resync { location: None })),
                (Quiet, Delete("c")),
            ],
        },
        Scenario {
            name: "a 410 with a Location that does not work",
            start: Start::Beginning,
            items: &["a", "b", "toggled"],
            beats: vec![
                (Quiet, Forget(Location::Broken(Broken::ServerError))),
                (Quiet, Delete("a")),
                (Quiet, Forget(Location::Broken(Broken::NotFound))),
                (Quiet, Delete("b")),
                (Quiet, Forget(Location::Broken(Broken::Gone))),
                (Quiet, Put("c", "c")),
            ],
        },
        Scenario {
            name: "gaps: a session that ends, another gap before the first is told, a machine that sleeps",
            start: Start::Latest,
            items: &["a"],
            beats: vec![
                (Quiet, Ends(EndedBy::Server)),
                (Quiet, Put("b", "b")),
                (Quiet, Sink(1, vec![Answer::Cut { taken: 0, acked: 0 }, Answer::Cut { taken: 1, acked: 0 }])),
                (Quiet, Ends(EndedBy::Network)),
                (Sessions(1), EndpointFails(retry.clone())),
                (Quiet, Ends(EndedBy::Network)),
                (Endpoints(1), Delete("b")),
                (Quiet, Sleeps { seconds: 600 }),
                (Quiet, Signals { merged: 3 }),
            ],
        },
        Scenario {
            name: "two sinks that take and own up to different things",
            start: Start::Beginning,
            items: &["a", "b", "c"],
            beats: vec![
                (Delivered(1), Sink(0, vec![Answer::Cut { taken: 2, acked: 1 }, Answer::Pauses { taken: 0 }])),
                (Quiet, Sink(1, vec![Answer::Holds { taken: 1 }, Answer::Cut { taken: 2, acked: 0 }])),
                (Quiet, Put("d", "d")),
                (Pages(1), Put("e", "e")),
                (Quiet, Sink(0, vec![Answer::Refuses])),
                (Quiet, Sink(1, vec![Answer::Pauses { taken: 1 }, Answer::Refuses, Answer::Cut { taken: 0, acked: 0 }])),
                (Quiet, Put("f", "f")),
                (Pages(1), Delete("a")),
            ],
        },
        Scenario {
            name: "two sinks that leave events under way, and one that fails in the middle of them",
            start: Start::Beginning,
            items: &["a", "b", "c"],
            beats: vec![
                (Delivered(1), Sink(0, vec![Answer::Underway { taken: 1, acked: 0 }, Answer::Underway { taken: 2, acked: 1 }])),
                (Quiet, Sink(1, vec![Answer::Underway { taken: 1, acked: 0 }, Answer::Cut { taken: 2, acked: 0 }])),
                (Quiet, Put("d", "d")),
                (Pages(1), Put("e", "e")),
                (Quiet, Sink(0, vec![Answer::Underway { taken: 1, acked: 1 }, Answer::Refuses])),
                (Quiet, Sink(1, vec![Answer::Underway { taken: 1, acked: 0 }, Answer::Holds { taken: 1 }])),
                (Quiet, Put("f", "f")),
                (Pages(1), Delete("a")),
            ],
        },
        Scenario {
            name: "a store that fails, and one that fails to say that it did not",
            start: Start::Beginning,
            items: &["a", "b", "c"],
            beats: vec![
                (Pages(1), StoreFails(StoreFault::NothingWritten)),
                (Delivered(1), StoreFails(StoreFault::WrittenButNotSaid)),
                (Quiet, StoreFails(StoreFault::NothingWritten)),
                (Quiet, Delete("a")),
                (Quiet, StoreFails(StoreFault::WrittenButNotSaid)),
                (Quiet, Forget(Location::Works)),
                (Quiet, Put("d", "d")),
            ],
        },
        Scenario {
            name: "Graph in a bad mood, and a release in the middle of it",
            start: Start::Latest,
            items: &["a", "b"],
            beats: vec![
                (Quiet, PageFails(retry.clone())),
                (Quiet, PageFails(Remedy::RetrySlowly { after: None })),
                (Quiet, PageFails(Remedy::SignIn)),
                (Quiet, Put("c", "c")),
                (Pages(1), Release),
                (Quiet, EndpointFails(Remedy::RetrySlowly { after: None })),
                (Quiet, Put("d", "d")),
                (Delivered(1), Release),
            ],
        },
    ]
}

/// In which order what is ready gets its turn: what is left out comes last.
struct Order {
    name: &'static str,
    first: &'static [Work],
}

const ORDERS: &[Order] = &[
    Order { name: "everything at once", first: &[Work::Answer, Work::Commit, Work::Put, Work::Sink(0), Work::Sink(1)] },
    Order { name: "sinks late", first: &[Work::Session, Work::Answer, Work::Page, Work::Put, Work::Commit, Work::Sink(1)] },
    Order { name: "store late", first: &[Work::Sink(0), Work::Put, Work::Answer, Work::Page, Work::Session, Work::Sink(1)] },
];

impl Order {
    fn pick(&self, ready: &[Work]) -> Option<Work> {
        let rank = |work: &Work| self.first.iter().position(|first| first == work).unwrap_or(self.first.len());
        ready.iter().copied().min_by_key(rank)
    }
}

/// Runs one scenario in one order, with every crash.
struct Explorer<'a> {
    scenario: &'a Scenario,
    order: &'a Order,
    /// The crash points: what was done last, and what it left, times left out.
    points: HashSet<u64>,
    /// The worlds whose future is known, with the number of crashes that were still to come.
    known: HashSet<(usize, u64)>,
    runs: usize,
    path: Vec<String>,
}

/// The world and how far its script has come: what a crash leaves.
#[derive(Clone)]
struct Left {
    world: World<SmallDrive>,
    beat: usize,
}

impl<'a> Explorer<'a> {
    fn new(scenario: &'a Scenario, order: &'a Order) -> Self {
        Self { scenario, order, points: HashSet::new(), known: HashSet::new(), runs: 0, path: Vec::new() }
    }

    /// What was wrong, and after which crashes.
    fn explore(&mut self) -> Result<(), String> {
        let world = World::new(SmallDrive::new(self.scenario.items), 2);
        self.live(Left { world, beat: 0 }, CRASHES).map_err(|what| {
            let crashes: String = self.path.iter().map(|done| format!("\n    crashed after: {done}")).collect();
            format!("{} ({}): {what}{crashes}", self.scenario.name, self.order.name)
        })
    }

    /// One process, to the quiet end; and, while crashes are left, each world that a crash of it would leave.
    fn live(&mut self, mut left: Left, crashes: usize) -> Result<(), String> {
        let mut process = Process::start(&mut left.world, self.scenario.start);
        let mut quiet = Duration::ZERO;
        for _ in 0..STEPS {
            let done = if let Some(work) = self.order.pick(&process.ready()) {
                // A sign of life is written every 10 s, and is no unrest.
                if !matches!(work, Work::Commit | Work::Answer) {
                    quiet = Duration::ZERO;
                }
                process.perform(&mut left.world, work)?
            } else if process.released {
                process = Process::start(&mut left.world, self.scenario.start);
                None
            } else {
                let settled = process.is_settled(&left.world);
                if settled && quiet >= REST && self.scenario.beats.get(left.beat).is_none() {
                    self.runs += 1;
                    return left.world.check();
                }
                if !(settled && self.beat(&mut left, &mut process, true)) {
                    let before = left.world.now.mono;
                    process.wait(&mut left.world, REST)?;
                    quiet = if settled { quiet + (left.world.now.mono - before) } else { Duration::ZERO };
                }
                None
            };
            if let Some(done) = done {
                self.crash(&left, crashes, done)?;
                self.beat(&mut left, &mut process, false);
            }
        }
        Err(format!("it never comes to rest: {}", process.unsettled(&left.world)))
    }

    fn crash(&mut self, left: &Left, crashes: usize, done: String) -> Result<(), String> {
        if crashes == 0 {
            return Ok(());
        }
        self.points.insert(trace(&(self.scenario.name, &done, left.beat, left.world.trace(false))));
        let mut after = left.clone();
        after.world.crash();
        if self.known.insert((crashes, trace(&(left.beat, after.world.trace(true))))) {
            self.path.push(done);
            self.live(after, crashes - 1)?;
            self.path.pop();
        }
        Ok(())
    }

    /// The next thing that happens around drivetap, if it is its turn.
    fn beat(&self, left: &mut Left, process: &mut Process, quiet: bool) -> bool {
        let Some((when, what)) = self.scenario.beats.get(left.beat) else {
            return false;
        };
        let since = left.world.since;
        let due = match *when {
            Quiet => false,
            Pages(n) => since.pages >= n,
            Endpoints(n) => since.endpoints >= n,
            Sessions(n) => since.sessions >= n,
            Delivered(n) => since.delivered >= n,
        };
        if !(due || quiet) {
            return false;
        }
        left.beat += 1;
        left.world.since = Default::default();
        happen(what, &mut left.world, process);
        true
    }
}

fn happen(what: &What, world: &mut World<SmallDrive>, process: &mut Process) {
    let failure = |remedy: &Remedy| Failure::new(remedy.clone(), "forTheTest");
    match what {
        Put(item, name) => {
            world.drive.put(item, name);
            signal(world, process, 0);
        }
        Delete(item) => {
            world.drive.delete(item);
            signal(world, process, 0);
        }
        Lag(walks) => world.drive.lag = *walks,
        Signals { merged } => signal(world, process, *merged),
        Forget(location) => world.drive.forget(*location),
        PageFails(remedy) => world.graph.page_fails.push_back(failure(remedy)),
        EndpointFails(remedy) => world.graph.endpoint_fails.push_back(failure(remedy)),
        OpenFails(how) => world.graph.open_fails.push_back(how.clone()),
        Lifetime(seconds) => world.graph.lifetimes.push_back(Duration::from_secs(*seconds)),
        Ends(by) => {
            for session in std::mem::take(&mut world.graph.sessions) {
                process.hears(Input::Ended { session: session.name, by: *by, silence: Duration::ZERO });
            }
        }
        Sleeps { seconds } => {
            // The sockets do not survive it, and nobody says so.
            world.graph.sessions.clear();
            world.now.wall += SignedDuration::from_secs(seconds / 2);
            world.drive.put("a", "changed while the machine slept");
            world.note_missed();
            world.now.wall += SignedDuration::from_secs(seconds / 2);
        }
        Passes { seconds } => process.pass(world, Duration::from_secs(*seconds)),
        StoreFails(how) => world.store.fails.push_back(*how),
        Sink(n, answers) => world.sinks[*n].answers.extend(answers.iter().cloned()),
        Release => process.handle(world, Input::Release),
    }
}

fn signal(world: &mut World<SmallDrive>, process: &mut Process, merged: u64) {
    if !process.hear_signal(world, merged) {
        world.note_missed();
    }
}
