use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use drivetap_core::feed::Urgency;
use drivetap_core::{AccountName, Failure, PageFrom, Remedy};
use drivetap_graph::{Gate, Graph, Share, Slot, Walks};
use futures_util::FutureExt;
use tokio::sync::{Notify, Semaphore, SemaphorePermit};
use tracing::warn;

/// An account of the pipeline: its view of Graph, the gate in front of it, and whether Graph ever let it in.
pub(crate) struct Account {
    pub(crate) name: AccountName,
    pub(crate) graph: Arc<dyn Graph>,
    pub(crate) gate: Gate,
    first: Mutex<Option<First>>,
    heard: Arc<Notify>,
    /// How long the account pauses when its token is refused, as long as its feeds do: then the token's source is read again.
    sign_in: Duration,
    /// Whether the token was refused and nothing was given since.
    refused: AtomicBool,
    /// While it is refused, one request at a time tries whether it still is.
    trial: Semaphore,
}

/// The permission to ask Graph once, kept until its answer was heard. Of a refused account there is one at a time.
#[must_use = "the next one may ask when it is dropped"]
pub(crate) struct Turn<'a> {
    _trial: Option<SemaphorePermit<'a>>,
}

/// What Graph makes of the account's token. Once let in it counts as that for good: a token that runs out later is refused for a while.
enum First {
    Welcome,
    Refused(Failure),
}

impl Account {
    /// `heard` is told when the first answer that shows whether the token is good refused it.
    pub(crate) fn new(name: AccountName, graph: Arc<dyn Graph>, gate: Gate, heard: Arc<Notify>, sign_in: Duration) -> Self {
        let (refused, trial) = (AtomicBool::new(false), Semaphore::new(1));
        Self { name, graph, gate, first: Mutex::new(None), heard, sign_in, refused, trial }
    }

    /// Waits until something other than a page may be asked for.
    pub(crate) async fn turn(&self, urgency: Urgency) -> Turn<'_> {
        loop {
            self.gate.pass(urgency).await;
            match self.try_turn() {
                Some(turn) => return turn,
                None => self.tried().await,
            }
        }
    }

    /// `None` while another request tries a refused token, and where Graph's answer has shut the gate meanwhile.
    fn try_turn(&self) -> Option<Turn<'_>> {
        if self.gate.is_shut() {
            return None;
        }
        if !self.refused.load(Ordering::Acquire) {
            return Some(Turn { _trial: None });
        }
        self.trial.try_acquire().ok().map(|permit| Turn { _trial: Some(permit) })
    }

    /// Waits until nobody tries the token.
    async fn tried(&self) {
        let _ = self.trial.acquire().await;
    }

    /// Waits until a page may be asked for: for the gate, for one of the walks at once, for the page's share of the budget. `held` is the
    /// walk's slot from its page before, where it has not paused since.
    ///
    /// The gate comes first: an account that Graph asked to wait holds nothing that another one could use.
    pub(crate) async fn page_turn(
        &self,
        walks: &Walks,
        from: &PageFrom,
        urgency: Urgency,
        mut held: Option<Slot>,
    ) -> (Option<Slot>, Share, Turn<'_>) {
        loop {
            // A walk whose gate is open goes on with the slot that it has; one that has to wait gives it up.
            let pass = self.gate.pass(urgency);
            tokio::pin!(pass);
            if (&mut pass).now_or_never().is_none() {
                held = None;
                pass.await;
            }
            let (slot, share) = match from {
                // A place in the log is no walk: it must be had though sinks stall and hold every walk up.
                PageFrom::Latest => (None, walks.place().await),
                PageFrom::Root | PageFrom::Link(_) => {
                    let slot = match held.take() {
                        Some(slot) => slot,
                        None => walks.slot(urgency).await,
                    };
                    (Some(slot), walks.share().await)
                }
            };
            // Graph may have asked for a pause while this one waited for the rest, or another request may try a refused token: whoever
            // waits for that holds nothing either.
            if let Some(turn) = self.try_turn() {
                return (slot, share, turn);
            }
            drop((slot, share));
            self.tried().await;
        }
    }

    /// Passes an answer of Graph's on, shuts the gate for everybody where Graph asked for a pause or refused the token, and remembers
    /// whether it was ever taken.
    pub(crate) fn heard<T>(&self, answer: Result<T, Failure>) -> Result<T, Failure> {
        let said = match &answer {
            Err(failure @ Failure { remedy: Remedy::SignIn, .. }) => Some(First::Refused(failure.clone())),
            // A network that is not up yet, or a Graph that is overloaded, has not looked at the token.
            Err(Failure { remedy: Remedy::Retry { .. }, .. }) => None,
            _ => Some(First::Welcome),
        };
        if let Some(said) = said {
            self.remember(said);
        }
        // Each pause is said once, however many of its feeds are told. Graph's id of the request stands in the line of whoever asked.
        match &answer {
            Err(Failure { remedy: Remedy::Retry { after }, code, .. }) => {
                if let Some(wait) = *after
                    && self.gate.shut(wait)
                {
                    warn!(account = %self.name, reason = code, ?wait, "Graph asks the account to wait; its requests are held back");
                }
            }
            Err(Failure { remedy: Remedy::SignIn, code, .. }) => {
                self.refused.store(true, Ordering::Release);
                let wait = self.sign_in;
                if self.gate.shut(wait) {
                    warn!(account = %self.name, reason = code, ?wait, "the token is refused: the account pauses, then its source is read again");
                }
            }
            // What Graph says of one resource (403, 404, a cursor) is that feed's own affair: it took the token.
            Ok(_)
            | Err(Failure {
                remedy: Remedy::RetrySlowly { .. } | Remedy::RetryThenResync { .. } | Remedy::Resync { .. }, ..
            }) => {
                self.refused.store(false, Ordering::Release);
            }
        }
        answer
    }

    /// Graph took the token.
    pub(crate) fn let_in(&self) {
        self.remember(First::Welcome);
        self.refused.store(false, Ordering::Release);
    }

    fn remember(&self, said: First) {
        let mut first = self.first.lock().unwrap_or_else(PoisonError::into_inner);
        match (&*first, said) {
            (_, First::Welcome) => *first = Some(First::Welcome),
            (None, refused) => {
                *first = Some(refused);
                drop(first);
                // Told after it is set: whoever wakes up, looks.
                self.heard.notify_one();
            }
            (Some(_), First::Refused(_)) => {}
        }
    }

    /// Why the token was refused at the start, as long as Graph has not let the account in.
    pub(crate) fn refusal(&self) -> Option<Failure> {
        match &*self.first.lock().unwrap_or_else(PoisonError::into_inner) {
            Some(First::Refused(reason)) => Some(reason.clone()),
            None | Some(First::Welcome) => None,
        }
    }
}

/// How many of a feed's requests wait for their turn.
#[derive(Clone, Debug, Default)]
pub(crate) struct HeldBack(Arc<AtomicUsize>);

impl HeldBack {
    pub(crate) fn count(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }

    /// Counts one for as long as `turn` waits; one that is given up counts no more.
    pub(crate) async fn during<T>(&self, turn: impl Future<Output = T>) -> T {
        struct Waits<'a>(&'a AtomicUsize);
        impl Drop for Waits<'_> {
            fn drop(&mut self) {
                self.0.fetch_sub(1, Ordering::Relaxed);
            }
        }
        self.0.fetch_add(1, Ordering::Relaxed);
        let _waits = Waits(&self.0);
        turn.await
    }
}
