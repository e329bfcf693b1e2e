use std::sync::Arc;

use drivetap_core::feed::{Attempt, Urgency};
use drivetap_core::{Failure, Page, PageFrom};
use drivetap_graph::{Share, Slot};
use futures_util::future::FutureExt;
use tokio::task::JoinError;
use tokio_util::task::AbortOnDropHandle;

use super::{Done, Driver};

/// A page that is asked for, in a task of its own, so that it comes while this one works. Dropped, it is not asked for any more.
pub(super) struct Early {
    from: PageFrom,
    asked: AbortOnDropHandle<Asked>,
}

/// What became of asking for a page.
type Asked = (Result<Page, Failure>, Option<Slot>, Share);

impl Driver {
    pub(super) fn fetch_page(&mut self, attempt: Attempt, from: PageFrom, urgency: Urgency) {
        self.urgency = urgency;
        let early = self.early.take_if(|early| early.from == from);
        // The page before is published, or had nothing to publish.
        self.unpublished = None;
        let asked = match early {
            Some(Early { asked, .. }) => finished(asked).boxed(),
            None => self.ask(from).boxed(),
        };
        self.jobs.push(asked.map(move |(result, slot, share)| Done::Page { attempt, result, slot, share }).boxed());
    }

    /// Asks for the page that the feed will want next, where nothing of the walk waits for a sink: this one's events are made while that
    /// one is on its way. What the feed then does not ask for at once is dropped.
    pub(super) fn ask_early(&mut self, from: PageFrom) {
        if !self.offering && self.offers.is_empty() {
            let asked = AbortOnDropHandle::new(tokio::spawn(self.ask(from.clone())));
            self.early = Some(Early { from, asked });
        }
    }

    fn ask(&mut self, from: PageFrom) -> impl Future<Output = Asked> + Send + use<> {
        let (account, shared, drive) = (Arc::clone(&self.account), Arc::clone(&self.shared), self.id.drive.clone());
        let (held_back, slot, urgency) = (self.held_back.clone(), self.slot.take(), self.urgency);
        async move {
            let (slot, mut share, turn) = held_back.during(account.page_turn(&shared.walks, &from, urgency, slot)).await;
            let growing = share.growing();
            let answer = {
                let page = account.graph.page(&drive, &from, &mut share);
                tokio::pin!(page);
                tokio::select! {
                    biased;
                    answer = &mut page => answer,
                    // The token was taken, and the page may wait for its bytes as long as sinks stall: nobody else waits for that.
                    () = growing => {
                        account.let_in();
                        drop(turn);
                        page.await
                    }
                }
            };
            (account.heard(answer), slot, share)
        }
    }
}

/// What a task of this one's came to; a panic in it is one here.
async fn finished<T>(task: AbortOnDropHandle<T>) -> T {
    match task.await.map_err(JoinError::try_into_panic) {
        Ok(result) => result,
        Err(Ok(panic)) => std::panic::resume_unwind(panic),
        // Its runtime is going down, and this task with it.
        Err(Err(_)) => std::future::pending().await,
    }
}
