use std::sync::Arc;

use drivetap_core::feed::{SubscriptionSettings, Timing, Urgency};
use drivetap_core::{Drive, FeedId, Remedy, Resource};
use tokio::sync::mpsc;
use tracing::warn;

use crate::account::Account;
use crate::store::Store;

/// What a subscription turned out to be, or why it is not known yet.
pub(crate) enum Found {
    Feed(FeedId),
    NotYet(String),
}

/// Finds the drive behind a subscription: from the store, else from Graph, for as long as it takes. The answer does not change, so it is
/// kept. But for `me`, which is whoever has signed in: Graph is asked at each start, and what is kept stands in where it does not answer.
///
/// Tells `news` after each attempt; its last word is [`Found::Feed`]. How long it waits is the feed's own back-off.
pub(crate) async fn find(
    number: usize,
    subscription: SubscriptionSettings,
    account: Arc<Account>,
    store: Arc<dyn Store>,
    mut timing: Timing,
    news: mpsc::Sender<(usize, Found)>,
) {
    let mut rng = fastrand::Rng::new();
    let resource = &subscription.resource;
    loop {
        let (problem, wait) = match attempt(&subscription, &account, store.as_ref()).await {
            Ok(drive) => {
                let feed = FeedId { account: account.name.clone(), drive: drive.id };
                // The receiver is gone only when the pipeline ends.
                let _ = news.send((number, Found::Feed(feed))).await;
                return;
            }
            Err((problem, remedy)) => {
                let wait = match remedy {
                    Remedy::Retry { after } => timing.backoff.next(&mut rng).max(after.unwrap_or_default()),
                    Remedy::RetrySlowly { after } | Remedy::RetryThenResync { after } => {
                        timing.slow.next(&mut rng).max(after.unwrap_or_default())
                    }
                    Remedy::Resync { .. } => timing.slow.next(&mut rng),
                    Remedy::SignIn => timing.renewal_spacing,
                };
                (problem, wait)
            }
        };
        warn!(%resource, account = %account.name, reason = %problem, retry_in = ?wait, "the drive is not known yet");
        if news.send((number, Found::NotYet(problem))).await.is_err() {
            return;
        }
        tokio::time::sleep(wait).await;
    }
}

async fn attempt(subscription: &SubscriptionSettings, account: &Account, store: &dyn Store) -> Result<Drive, (String, Remedy)> {
    let resource = &subscription.resource;
    let unavailable = |error: crate::store::StoreError| (error.to_string(), Remedy::Retry { after: None });
    let kept = store.drive(&account.name, resource).await.map_err(unavailable)?;
    if let Some(drive) = kept.as_ref().filter(|_| *resource != Resource::Me) {
        return Ok(drive.clone());
    }
    // Without it there is no endpoint, and no signal is heard.
    let turn = account.turn(Urgency::Endpoint).await;
    let answer = account.heard(account.graph.drive(resource).await);
    drop(turn);
    let drive = match (answer, kept) {
        (Ok(drive), Some(kept)) if drive.id == kept.id => return Ok(kept),
        (Ok(drive), None) => drive,
        (Ok(drive), Some(kept)) => {
            let (name, was, is) = (&account.name, &kept.id, &drive.id);
            warn!(account = %name, %was, %is, reason = "somebody else has signed in", "the account's drive is another one");
            drive
        }
        (Err(failure), Some(kept)) => {
            warn!(account = %account.name, reason = %failure, "Graph does not say which drive is the account's: it is taken for the same");
            return Ok(kept);
        }
        (Err(failure), None) => return Err((failure.to_string(), failure.remedy)),
    };
    store.keep_drive(&account.name, resource, &drive).await.map_err(unavailable)?;
    Ok(drive)
}
