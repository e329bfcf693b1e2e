use std::sync::Arc;

use drivetap_core::feed::Urgency;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};

use super::line::Line;

/// How many walks there are at once in the process, and how many bytes their pages may take.
///
/// A walk takes a [`Slot`] before its first page and gives it up whenever it pauses: for its account's gate, for room in a sink's window,
/// for a back-off. Slots go to the most urgent walk first, and one that goes on without a pause keeps its own to its end. Each page has a [`Share`] of one budget, from before it is asked for until its
/// events stand in every sink's window, or nobody wants it any more: a sink that stalls holds 48 MiB of bodies, whatever the number of
/// drives.
///
/// # No deadlock
/// A body whose length nobody announced has to reserve as it grows, and several that each hold a part of the budget and wait for more
/// would wait for ever. So a share is one of two sizes. Every page has [`SMALL`](Self::SMALL) before it is asked for. One that outgrows
/// it waits for its turn to be *the* large one, and then takes all that a page may have at once; what it does not need goes back when its
/// last byte is read. 16 small shares and what one large body takes beyond its own are 47 MiB of the 48. Hence the large one never
/// waits for another body that waits, but for pages that are read already: those wait for sinks and for nothing else.
#[derive(Debug)]
pub struct Walks {
    line: Arc<Line>,
    slots: Arc<Semaphore>,
    bytes: Arc<Semaphore>,
    large: Arc<Semaphore>,
    places: Arc<Semaphore>,
}

/// One of the walks at once. Dropping it lets another one begin.
#[derive(Debug)]
pub struct Slot {
    held: Option<OwnedSemaphorePermit>,
    line: Arc<Line>,
}

/// What the body of one page may take. Dropping it gives it back.
#[derive(Debug)]
pub struct Share {
    most: usize,
    held: usize,
    // None: nobody else shares. A share is then as large as it may ever be from the start.
    bytes: Option<OwnedSemaphorePermit>,
    large: Option<OwnedSemaphorePermit>,
    budget: Option<(Arc<Semaphore>, Arc<Semaphore>)>,
    grows: Arc<Notify>,
}

impl Walks {
    /// Walks at once.
    pub const AT_ONCE: usize = 16;
    /// All pages in hand, in bytes.
    pub const BUDGET: usize = 48 * 1024 * 1024;
    /// The largest page, in bytes.
    pub const PAGE: usize = 32 * 1024 * 1024;
    /// What every page has from the start, in bytes. Graph's have 200 items of about 1 KiB.
    pub const SMALL: usize = 1024 * 1024;
    /// The largest answer to `token=latest`, in bytes: a link and no items.
    pub const PLACE: usize = 256 * 1024;

    /// Nobody walks yet.
    #[must_use]
    pub fn new() -> Self {
        let semaphore = |permits| Arc::new(Semaphore::new(permits));
        Self {
            line: Arc::default(),
            slots: semaphore(Self::AT_ONCE),
            bytes: semaphore(Self::BUDGET),
            large: semaphore(1),
            places: semaphore(Self::AT_ONCE),
        }
    }

    /// Waits until a walk may begin, or go on after a pause. **Cancel safe.**
    pub async fn slot(&self, urgency: Urgency) -> Slot {
        let place = self.line.enter(urgency);
        loop {
            place.first().await;
            if let Ok(slot) = Arc::clone(&self.slots).try_acquire_owned() {
                return Slot { held: Some(slot), line: Arc::clone(&self.line) };
            }
            place.told().await;
        }
    }

    /// Waits for a page's share of the budget. **Cancel safe.**
    pub async fn share(&self) -> Share {
        let bytes = permits(&self.bytes, Self::SMALL).await;
        let budget = Some((Arc::clone(&self.bytes), Arc::clone(&self.large)));
        Share { most: Self::PAGE, held: Self::SMALL, bytes, large: None, budget, grows: Arc::default() }
    }

    /// Waits for the share of an answer to `token=latest`, [`PLACE`](Self::PLACE) bytes beside the budget, 16 at once: a feed that is new
    /// gets its place in the log though a sink stalls and walks hold the whole budget. **Cancel safe.**
    pub async fn place(&self) -> Share {
        let bytes = permits(&self.places, 1).await;
        Share { most: Self::PLACE, held: Self::PLACE, bytes, large: None, budget: None, grows: Arc::default() }
    }

    /// How many walks are under way.
    #[must_use]
    pub fn under_way(&self) -> usize {
        Self::AT_ONCE - self.slots.available_permits()
    }

    /// How many bytes pages hold.
    #[must_use]
    pub fn bytes(&self) -> usize {
        Self::BUDGET - self.bytes.available_permits()
    }
}

impl Default for Walks {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        drop(self.held.take());
        self.line.tell_first();
    }
}

impl Share {
    /// As large as a page may be, from the start: for a reader that holds one page at a time and shares with nobody.
    #[must_use]
    pub fn alone() -> Self {
        Self::own(Walks::PAGE)
    }

    /// For an answer that is no page: so large, and beside the budget.
    pub(crate) fn own(most: usize) -> Self {
        Self { most, held: most, bytes: None, large: None, budget: None, grows: Arc::default() }
    }

    /// How large the body may be, in bytes.
    #[must_use]
    pub fn most(&self) -> usize {
        self.most
    }

    /// Completes when more is asked for than it has. Only the body of a page asks for that, so Graph has given something by then, though
    /// the page may wait for its bytes for as long as sinks stall. **Cancel safe.**
    pub fn growing(&self) -> impl Future<Output = ()> + Send + use<> {
        let grows = Arc::clone(&self.grows);
        async move { grows.notified().await }
    }

    /// Waits until `bytes` of the body may be held. More than [`most`](Self::most) is never granted: the caller refuses such a body.
    ///
    /// **Cancel safe:** a dropped future keeps what the share had.
    pub async fn grow(&mut self, bytes: usize) {
        if bytes <= self.held {
            return;
        }
        let Some((budget, large)) = &self.budget else {
            return;
        };
        self.grows.notify_one();
        let turn = permits(large, 1).await;
        let rest = permits(budget, self.most - self.held).await;
        self.large = turn;
        self.held = self.most;
        match (&mut self.bytes, rest) {
            (Some(bytes), Some(rest)) => bytes.merge(rest),
            (bytes, rest) => *bytes = rest,
        }
    }

    /// All is read, and what is kept of it takes `bytes`: what it does not need is given back, and another one may be large.
    pub fn settle(&mut self, bytes: usize) {
        self.large = None;
        if self.budget.is_some() && bytes < self.held {
            if let Some(held) = &mut self.bytes {
                drop(held.split(self.held - bytes));
            }
            self.held = bytes;
        }
    }
}

async fn permits(of: &Arc<Semaphore>, count: usize) -> Option<OwnedSemaphorePermit> {
    // None of them is ever closed, and no count comes near u32's end.
    Arc::clone(of).acquire_many_owned(u32::try_from(count).unwrap_or(u32::MAX)).await.ok()
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    const MIB: usize = 1024 * 1024;

    #[tokio::test]
    async fn sixteen_walks_at_once_and_the_most_urgent_next() {
        let walks = Walks::new();
        let mut slots = Vec::new();
        for _ in 0..Walks::AT_ONCE {
            slots.push(walks.slot(Urgency::Safety).await);
        }
        let mut safety = Box::pin(walks.slot(Urgency::Safety));
        assert!((&mut safety).now_or_never().is_none());
        let mut more = [Urgency::First, Urgency::First, Urgency::Signalled].map(|urgency| Box::pin(walks.slot(urgency)));
        for slot in &mut more {
            assert!(slot.now_or_never().is_none());
        }
        let [one, two, signalled] = &mut more;
        slots.pop();
        for slot in [&mut safety, &mut *two, &mut *one] {
            assert!(slot.now_or_never().is_none());
        }
        let signalled = signalled.now_or_never().expect("the slot");
        assert!(one.now_or_never().is_none());
        drop(signalled);
        let one = one.now_or_never().expect("the slot");
        assert!(two.now_or_never().is_none() && (&mut safety).now_or_never().is_none());
        assert_eq!(walks.under_way(), Walks::AT_ONCE);
        drop(one);
        let _two = two.now_or_never().expect("the slot");
        slots.pop();
        let _safety = safety.now_or_never().expect("the slot");
        assert_eq!(walks.under_way(), Walks::AT_ONCE);
    }

    #[tokio::test]
    async fn a_page_has_a_mebibyte_at_once_and_one_page_at_a_time_has_more() {
        let walks = Walks::new();
        let mut shares = Vec::new();
        for _ in 0..Walks::AT_ONCE {
            shares.push(walks.share().await);
        }
        assert_eq!(walks.bytes(), 16 * MIB);
        let [one, two, ..] = &mut *shares else { panic!("sixteen") };
        one.grow(MIB).await;
        assert_eq!(walks.bytes(), 16 * MIB, "it had that");
        assert!(
            one.grow(MIB + 1).now_or_never().is_some(),
            "fifteen others hold what every page has, and it need not wait for them"
        );
        assert_eq!(walks.bytes(), 47 * MIB);
        assert!(two.grow(2 * MIB).now_or_never().is_none(), "one at a time");
        one.settle(5 * MIB);
        assert_eq!(walks.bytes(), 20 * MIB);
        assert!(two.grow(2 * MIB).now_or_never().is_none(), "28 MiB are left, 31 are needed: it waits for a page to leave");
        shares.truncate(2);
        assert_eq!(walks.bytes(), 6 * MIB);
        let [_, two] = &mut *shares else { panic!("two") };
        assert!(two.grow(2 * MIB).now_or_never().is_some());
        shares.clear();
        assert_eq!(walks.bytes(), 0);
    }

    #[tokio::test]
    async fn small_pages_give_back_what_they_do_not_need() {
        let walks = Walks::new();
        let mut read = Vec::new();
        for _ in 0..180 {
            let mut share = walks.share().await;
            share.settle(256 * 1024);
            read.push(share);
        }
        assert_eq!(walks.bytes(), 45 * MIB);
    }

    #[tokio::test]
    async fn what_gives_up_waiting_takes_nothing() {
        let walks = Walks::new();
        let (mut one, mut two) = (walks.share().await, walks.share().await);
        one.grow(2 * MIB).await;
        assert!(two.grow(2 * MIB).now_or_never().is_none());
        drop(one);
        assert_eq!(walks.bytes(), MIB);
        two.grow(2 * MIB).await;
        assert_eq!(walks.bytes(), 32 * MIB);
    }

    #[tokio::test]
    async fn a_new_feed_gets_its_place_while_everything_is_held() {
        let walks = Walks::new();
        let mut shares = Vec::new();
        while let Some(share) = walks.share().now_or_never() {
            shares.push(share);
        }
        assert_eq!(shares.len(), 48);
        let place = walks.place().now_or_never().unwrap();
        assert_eq!(place.most(), Walks::PLACE);
        assert_eq!(Share::alone().most(), Walks::PAGE);
    }
}
