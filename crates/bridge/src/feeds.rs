use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use drivetap_core::feed::{FeedSettings, Start, SubscriptionSettings, Timing};
use drivetap_core::{AccountName, Failure, FeedId};
use tokio::sync::{Notify, mpsc, watch};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::account::Account;
use crate::driver::Driver;
use crate::lookup::{self, Found};
use crate::pipeline::{RunError, View};
use crate::shared::Shared;
use crate::status::{FeedStatus, Unresolved};

/// The feeds of a running pipeline.
pub(crate) struct Feeds {
    pub(crate) shared: Arc<Shared>,
    pub(crate) base_url: String,
    pub(crate) timing: Timing,
    pub(crate) accounts: HashMap<AccountName, Arc<Account>>,
    pub(crate) subscriptions: Vec<(AccountName, SubscriptionSettings)>,
    pub(crate) view: Arc<View>,
    pub(crate) tasks: JoinSet<FeedId>,
    pub(crate) running: HashMap<FeedId, Running>,
    /// The numbers of the subscriptions whose drive is known.
    pub(crate) resolved: BTreeSet<usize>,
}

pub(crate) struct Running {
    release: CancellationToken,
    /// The numbers of the subscriptions that it serves.
    serves: BTreeSet<usize>,
    /// The numbers of those that became known since: the feed lets go and starts again with them.
    joining: BTreeSet<usize>,
    /// Asks it to let go for them, once its sinks are there.
    join: Arc<Notify>,
}

impl Feeds {
    /// How long the first look-ups may take before the feeds that are known start without the others.
    const PATIENCE: Duration = Duration::from_secs(3);

    /// Starts feeds as their drives become known, until `shutdown`, or until one of its tasks or of the `dispatchers` breaks down: what
    /// nobody does any more is no state to go on in.
    pub(crate) async fn run(
        &mut self,
        shutdown: impl Future<Output = ()>,
        heard: &Notify,
        dispatchers: &mut JoinSet<()>,
    ) -> Result<(), RunError> {
        let (news, mut found) = mpsc::channel(self.subscriptions.len().max(1));
        let mut lookups = JoinSet::new();
        for (number, (account, subscription)) in self.subscriptions.iter().enumerate() {
            if let Some(account) = self.accounts.get(account) {
                let store = Arc::clone(&self.shared.store);
                lookups.spawn(lookup::find(
                    number,
                    subscription.clone(),
                    Arc::clone(account),
                    store,
                    self.timing.clone(),
                    news.clone(),
                ));
            }
        }
        drop(news);

        // Subscriptions of one drive share a feed, so the feeds start when every look-up had its first answer, or patience ends.
        let mut known: BTreeMap<FeedId, BTreeSet<usize>> = BTreeMap::new();
        let mut silent: BTreeSet<usize> = (0..self.subscriptions.len()).collect();
        let patience = tokio::time::sleep(Self::PATIENCE);
        tokio::pin!(shutdown, patience);
        let mut gathering = true;
        loop {
            if gathering && silent.is_empty() {
                gathering = false;
                for (feed, serves) in std::mem::take(&mut known) {
                    self.start(feed, serves);
                }
            }
            tokio::select! {
                () = &mut shutdown => return Ok(()),
                () = &mut patience, if gathering => silent.clear(),
                () = heard.notified() => {
                    let refusals: Option<Vec<Failure>> = self.accounts.values().map(|account| account.refusal()).collect();
                    if let Some(refusals) = refusals {
                        return Err(RunError::SignIn(each_once(refusals)));
                    }
                }
                Some((number, found)) = found.recv() => {
                    silent.remove(&number);
                    self.tell_unresolved(number, &found);
                    match found {
                        Found::NotYet(_) => {}
                        Found::Feed(feed) if gathering => {
                            self.resolved.insert(number);
                            known.entry(feed).or_default().insert(number);
                        }
                        Found::Feed(feed) => {
                            self.resolved.insert(number);
                            self.join(feed, number);
                        }
                    }
                }
                Some(ended) = self.tasks.join_next() => match ended {
                    Ok(feed) => {
                        self.view.remove(&feed);
                        if let Some(Running { mut serves, joining, .. }) = self.running.remove(&feed)
                            && !joining.is_empty()
                        {
                            serves.extend(joining);
                            self.start(feed, serves);
                        }
                    }
                    Err(fault) => return Err(RunError::broken(&fault)),
                },
                // Whatever it came to is taken here: of a pattern that one which ended well does not match, `select!` listens to no other
                // end until something else happens.
                Some(ended) = lookups.join_next() => ended.map_err(|fault| RunError::broken(&fault))?,
                Some(ended) = dispatchers.join_next() => ended.map_err(|fault| RunError::broken(&fault))?,
            }
        }
    }

    fn tell_unresolved(&self, number: usize, found: &Found) {
        let Some((account, SubscriptionSettings { resource, .. })) = self.subscriptions.get(number) else {
            return;
        };
        self.view.with(|status| {
            status.unresolved.retain(|known| (&known.account, &known.resource) != (account, resource));
            if let Found::NotYet(reason) = found {
                let (account, resource, reason) = (account.clone(), resource.clone(), reason.clone());
                status.unresolved.push(Unresolved { account, resource, reason });
            }
        });
    }

    /// A subscription whose drive became known later.
    fn join(&mut self, feed: FeedId, number: usize) {
        match self.running.get_mut(&feed) {
            Some(running) => {
                running.joining.insert(number);
                running.join.notify_one();
            }
            None => self.start(feed, BTreeSet::from([number])),
        }
    }

    fn start(&mut self, id: FeedId, serves: BTreeSet<usize>) {
        let Some(account) = self.accounts.get(&id.account).map(Arc::clone) else {
            return;
        };
        let subscriptions = serves.iter().filter_map(|n| Some(self.subscriptions.get(*n)?.1.clone())).collect();
        let settings = FeedSettings {
            id: id.clone(),
            base_url: self.base_url.clone(),
            subscriptions,
            may_begin: self.may_begin(&id.account),
            timing: self.timing.clone(),
        };
        let release = CancellationToken::new();
        let join = Arc::new(Notify::new());
        let running = Running { release: release.clone(), serves, joining: BTreeSet::new(), join: Arc::clone(&join) };
        self.running.insert(id.clone(), running);
        let (shared, view) = (Arc::clone(&self.shared), Arc::clone(&self.view));
        self.tasks.spawn(async move {
            let opened = tokio::select! {
                driver = open(settings, account, shared) => Some(driver),
                () = release.cancelled() => None,
            };
            if let Some(driver) = opened {
                info!(feed = %id, "the feed starts");
                let seen = driver.status();
                let mut status = seen.status.clone();
                view.insert(id.clone(), seen);
                let asked = async {
                    join.notified().await;
                    moved(&mut status).await;
                };
                let run = driver.run(release.clone());
                tokio::pin!(run);
                tokio::select! {
                    () = &mut run => {}
                    () = asked => {
                        release.cancel();
                        run.await;
                    }
                }
            }
            id
        });
    }

    /// Whether a subscription of the account that says `beginning` may be any drive's yet.
    fn may_begin(&self, account: &AccountName) -> bool {
        let mut unknown = self.subscriptions.iter().enumerate().filter(|(number, _)| !self.resolved.contains(number));
        unknown.any(|(_, (whose, subscription))| whose == account && subscription.start == Start::Beginning)
    }

    /// Waits until all have let go; `outcome` becomes what broke down on the way.
    pub(crate) async fn release_all(&mut self, outcome: &mut Result<(), RunError>) {
        for running in self.running.values() {
            running.release.cancel();
        }
        join_all(&mut self.tasks, outcome).await;
    }
}

/// Waits for all of them; `outcome` becomes what broke down, where nothing did before.
pub(crate) async fn join_all<T: 'static>(tasks: &mut JoinSet<T>, outcome: &mut Result<(), RunError>) {
    while let Some(ended) = tasks.join_next().await {
        if let (Err(fault), Ok(())) = (ended, &outcome) {
            *outcome = Err(RunError::broken(&fault));
        }
    }
}

/// Waits until nothing that a feed published waits for a sink, or until a sink acknowledges some of it.
///
/// A feed that lets go closes its sessions at once and waits for what it has published. While a durable sink is away that is as long as the
/// outage, and nobody would listen meanwhile.
async fn moved(status: &mut watch::Receiver<FeedStatus>) {
    let place = |seen: &FeedStatus| (seen.status.generation, seen.status.sequence, seen.status.cursor_moved_at);
    let asked = place(&status.borrow());
    // An error: the feed is gone.
    let _ = status.wait_for(|seen| seen.status.settled || place(seen) != asked).await;
}

/// A feed whose record cannot be read yet is held, like one whose record cannot be saved.
async fn open(settings: FeedSettings, account: Arc<Account>, shared: Arc<Shared>) -> Driver {
    let mut backoff = settings.timing.backoff.clone();
    let mut rng = fastrand::Rng::new();
    loop {
        match Driver::open(settings.clone(), Arc::clone(&account), Arc::clone(&shared)).await {
            Ok(driver) => return driver,
            Err(reason) => {
                let wait = backoff.next(&mut rng);
                warn!(feed = %settings.id, %reason, retry_in = ?wait, "the cursor could not be read; the feed is held");
                tokio::time::sleep(wait).await;
            }
        }
    }
}

/// What Graph said to the accounts. What it said to several of them stands there once, with the id of one of the requests.
fn each_once(mut refusals: Vec<Failure>) -> String {
    refusals.sort_by_cached_key(|refusal| (refusal.code.clone(), refusal.to_string()));
    refusals.dedup_by(|one, before| one.code == before.code);
    refusals.iter().map(Failure::to_string).collect::<Vec<_>>().join("; ")
}

#[cfg(test)]
mod tests {
    use drivetap_core::{Remedy, RequestId};

    use super::*;

    #[test]
    fn what_several_accounts_are_told_is_said_once() {
        let refused = |code: &str, id: &str| Failure::new(Remedy::SignIn, code).of_request(RequestId::new(id));
        let said = each_once(vec![refused("b", "2"), refused("a", ""), refused("b", "1"), refused("b", "3")]);
        assert_eq!(said, "a; b (request-id 1)");
    }
}
