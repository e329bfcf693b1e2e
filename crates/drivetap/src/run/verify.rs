//! `verify`: reads a sink's events back, enumerates the drives, and says where the two differ.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use drivetap_bridge::core::escape::for_json;
use drivetap_bridge::core::feed::Start;
use drivetap_bridge::core::{Backoff, DriveId, FeedId, PageEnd, PageFrom, Remedy};
use drivetap_bridge::graph::{Graph, Share};

use super::events_source::EventsSource;
use super::look_up::look_up;
use super::{print, sign_in};
use crate::cli::Verify;
use crate::config::{Account, Config, Purpose};
use crate::env::Env;
use crate::exit::Failure;
use crate::logs::say;
use crate::progress::Progress;
use crate::run::Streams;
use crate::verify::{Coverage, Differences, FeedReport, Folds, Look, Report};
use crate::wiring::Parts;

/// What was asked for, with the configuration read.
pub(super) struct Verification {
    config: Config,
    env: Env,
    streams: Streams,
    source: EventsSource,
    recheck_after: Duration,
    json: bool,
}

/// A feed of the configuration that publishes changes.
struct Watched {
    id: FeedId,
    /// As events name it.
    source: String,
    from_beginning: bool,
    graph: Arc<dyn Graph>,
    account: Account,
}

/// How often an item that is on its way each time is looked at.
const LOOKS: u64 = 5;

impl Verification {
    pub(super) fn new(args: Verify, env: &Env, streams: Streams) -> Result<Self, Failure> {
        let Verify { config: path, sink, events, recheck_after, json } = args;
        let config = Config::load(&path, env, Purpose::Service)?;
        let source = EventsSource::new(&config, sink.as_deref(), events.as_deref(), streams.stderr_moves)?;
        Ok(Self { config, env: env.clone(), streams, source, recheck_after, json })
    }

    pub(super) async fn run(self) -> Result<(), Failure> {
        let Self { config, env, streams, mut source, recheck_after, json } = self;
        let parts = Parts::new(&config, Vec::new(), &env, streams)?;
        let watched = watched(&config, &parts).await?;
        let mut folds = Folds::new(watched.iter().map(|feed| (feed.source.clone(), feed.id.account.to_string())));

        let mut looks: Vec<Differences> = Vec::new();
        let mut number = 0;
        loop {
            number += 1;
            (source, folds) = source.read_into(folds).await?;
            let mut now = Vec::new();
            for feed in &watched {
                now.push(look(feed, &mut folds, number, &config, streams.stderr_moves).await?);
            }
            let before = std::mem::replace(&mut looks, now);
            let open: usize = looks.iter().map(Differences::len).sum();
            let settled = before.len() == looks.len() && looks.iter().zip(&before).all(|(now, then)| now.stand_since(then));
            if open == 0 || settled {
                break;
            }
            if number == LOOKS {
                let moving: usize = looks.iter_mut().zip(&before).map(|(now, then)| now.keep_standing(then)).sum();
                say(&format!("{moving} items changed between all {LOOKS} looks; they are not counted"));
                break;
            }
            say(&format!("{open} differences; they count if they are still there in {recheck_after:?}"));
            tokio::time::sleep(recheck_after).await;
        }
        conclude(&watched, &mut folds, looks, &source, json)
    }
}

/// The feeds of the configuration, once each.
async fn watched(config: &Config, parts: &Parts) -> Result<Vec<Watched>, Failure> {
    let mut watched: Vec<Watched> = Vec::new();
    for subscription in config.subscriptions.iter().filter(|subscription| subscription.settings.emit.changes) {
        let account = config.accounts.iter().find(|account| account.name == subscription.account);
        let graph = parts.graphs.iter().find(|(name, ..)| *name == subscription.account);
        let (Some(account), Some((_, graph, _))) = (account, graph) else {
            continue;
        };
        let drive = look_up(&subscription.settings.resource, graph.as_ref(), config, account).await?;
        let id = FeedId { account: account.name.clone(), drive: drive.id };
        let from_beginning = subscription.settings.start == Start::Beginning;
        match watched.iter_mut().find(|feed| feed.id == id) {
            Some(feed) => feed.from_beginning |= from_beginning,
            None => watched.push(Watched {
                source: id.source(&config.graph.base_url.to_string()),
                id,
                from_beginning,
                graph: Arc::clone(graph),
                account: account.clone(),
            }),
        }
    }
    if watched.is_empty() {
        return Err(Failure::config("no subscription emits changes, so there is nothing to hold against a drive"));
    }
    Ok(watched)
}

/// One enumeration of one feed's drive: what differs.
async fn look(feed: &Watched, folds: &mut Folds, number: u64, config: &Config, moves: bool) -> Result<Differences, Failure> {
    let Some(fold) = folds.get_mut(&feed.source, feed.id.account.as_str()) else {
        return Ok(Differences::default());
    };
    let coverage = Coverage::of(fold, feed.from_beginning);
    let mut look = Look::new(fold, coverage, number);
    enumerate(feed, &mut look, config, moves).await?;
    Ok(look.finish())
}

/// Walks a drive from its root. Waits as Graph asks for it, a few times; an enumeration that is cut off by a 410 begins again.
async fn enumerate(feed: &Watched, look: &mut Look<'_>, config: &Config, moves: bool) -> Result<(), Failure> {
    /// In a row. With the default back-off these are some two minutes.
    const ATTEMPTS: u32 = 8;
    const EMPTY_PAGES: u32 = 1_000;

    let drive: &DriveId = &feed.id.drive;
    let mut backoff: Backoff = config.network.timing.backoff.clone();
    let mut rng = fastrand::Rng::new();
    let (mut from, mut failed, mut empty) = (PageFrom::Root, 0, 0);
    let mut progress = Progress::new(moves);
    loop {
        let failure = match feed.graph.page(drive, &from, &mut Share::alone()).await {
            Ok(page) => {
                page.items.iter().for_each(|item| look.see(item));
                progress.tell(look.seen(), || format!("enumerating {drive}"));
                empty = if page.items.is_empty() { empty + 1 } else { 0 };
                failed = 0;
                backoff.reset();
                match page.end {
                    PageEnd::Delta(_) => return Ok(()),
                    PageEnd::Next(_) if empty == EMPTY_PAGES => {
                        return Err(Failure::unavailable(format_args!("Graph: {EMPTY_PAGES} empty pages of {drive} in a row")));
                    }
                    PageEnd::Next(link) => from = PageFrom::Link(link),
                }
                continue;
            }
            Err(failure) => failure,
        };
        failed += 1;
        let after = match &failure.remedy {
            Remedy::SignIn => {
                let helps = sign_in::hints(std::slice::from_ref(&feed.account));
                return Err(Failure::sign_in(format_args!("sign-in is needed for {drive}: {failure}\n{helps}")));
            }
            Remedy::Retry { after } if failed < ATTEMPTS => *after,
            Remedy::Resync { .. } if failed < ATTEMPTS => {
                look.begin_again();
                from = PageFrom::Root;
                None
            }
            _ => {
                let base_url = &config.graph.base_url;
                return Err(Failure::unavailable(format_args!(
                    "Graph at {base_url} does not enumerate the drive {drive}: {failure}"
                )));
            }
        };
        let wait = backoff.next(&mut rng).max(after.unwrap_or_default());
        say(&format!("{drive}: {failure}; once more in {wait:?}"));
        tokio::time::sleep(wait).await;
    }
}

fn conclude(
    watched: &[Watched],
    folds: &mut Folds,
    looks: Vec<Differences>,
    source: &EventsSource,
    json: bool,
) -> Result<(), Failure> {
    let mut report = Report::default();
    for (feed, differences) in watched.iter().zip(looks) {
        if let Some(fold) = folds.get_mut(&feed.source, feed.id.account.as_str()) {
            let feed = FeedReport::new(feed.id.to_string(), fold, differences);
            feed.remarks().iter().for_each(|remark| say(remark));
            report.feeds.push(feed);
        }
    }
    source.remarks(folds.others).iter().for_each(|remark| say(remark));
    print(&if json { for_json(&report.to_json().to_string()).into_owned() } else { report.to_text() })?;
    if report.is_clean() { Ok(()) } else { Err(Failure::difference("the events and the drive differ")) }
}

/// `-` is standard input.
pub(super) fn is_stdin(path: &Path) -> bool {
    path.as_os_str() == "-"
}
