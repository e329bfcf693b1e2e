use std::fmt;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::{self, JoinHandle};

use redb::{Database, Durability};
use tokio::sync::{mpsc, oneshot};

use super::lock::LockFile;
use super::rows::{Fault, Rows};
use crate::store::StoreError;

/// How many requests may wait, and how many go into one transaction. When it is full, callers wait for room.
const QUEUE: usize = 256;

/// The thread that owns the database, and the queue to it. Dropping it closes the queue and waits for the thread.
pub(super) struct Writer {
    /// `None` only while it is dropped.
    queue: Option<mpsc::Sender<Box<dyn Job>>>,
    thread: Option<JoinHandle<()>>,
    commits: Arc<AtomicU64>,
}

impl Writer {
    /// `reopen` is called after a failure, before the next transaction.
    pub(super) fn start(
        database: Database,
        reopen: impl Fn() -> Result<Database, String> + Send + 'static,
        lock: Option<LockFile>,
    ) -> io::Result<Self> {
        let (queue, requests) = mpsc::channel(QUEUE);
        let commits = Arc::new(AtomicU64::new(0));
        let keeper = Keeper { database: Some(database), reopen: Box::new(reopen), commits: Arc::clone(&commits), _lock: lock };
        let thread = thread::Builder::new().name("drivetap-store".to_owned()).spawn(move || keeper.run(requests))?;
        Ok(Self { queue: Some(queue), thread: Some(thread), commits })
    }

    /// Has `act` done in the next transaction. On `Ok` that transaction is on the disk.
    pub(super) async fn ask<T: Send + 'static>(
        &self,
        act: impl FnOnce(&mut Rows<'_>) -> Result<T, Fault> + Send + 'static,
    ) -> Result<T, StoreError> {
        let ended = || StoreError::Unavailable("the thread that writes it has ended".to_owned());
        let (reply, answer) = oneshot::channel();
        let queue = self.queue.as_ref().ok_or_else(ended)?;
        queue.send(Box::new(Request { act: Some(act), outcome: None, reply })).await.map_err(|_| ended())?;
        answer.await.unwrap_or_else(|_| Err(ended()))
    }

    pub(super) fn commits(&self) -> u64 {
        self.commits.load(Ordering::Relaxed)
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.queue = None;
        if let Some(thread) = self.thread.take() {
            // It contains every panic; one that got out was printed by its hook, and there is nothing left to end.
            let _ = thread.join();
        }
    }
}

impl fmt::Debug for Writer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Writer").field("commits", &self.commits()).finish_non_exhaustive()
    }
}

struct Keeper {
    /// `None` after a failure: redb refuses every transaction after a failed write, until it is opened again.
    database: Option<Database>,
    reopen: Box<dyn Fn() -> Result<Database, String> + Send>,
    commits: Arc<AtomicU64>,
    /// Dropped last, after the database is closed.
    _lock: Option<LockFile>,
}

impl Keeper {
    fn run(mut self, mut requests: mpsc::Receiver<Box<dyn Job>>) {
        let mut batch = Vec::new();
        // While one transaction is written, the next ones' requests gather: that is the whole grouping, and it costs no waiting.
        while requests.blocking_recv_many(&mut batch, QUEUE) > 0 {
            let written = self.write(&mut batch);
            for job in batch.drain(..) {
                job.answer(&written);
            }
        }
    }

    fn write(&mut self, batch: &mut [Box<dyn Job>]) -> Result<(), StoreError> {
        let database = match self.database.take() {
            Some(database) => database,
            None => contained(&self.reopen).flatten().map_err(StoreError::Unavailable)?,
        };
        let outcome = contained(|| transact(&database, batch).map_err(|error| error.to_string())).flatten();
        match outcome {
            Ok(committed) => {
                self.database = Some(database);
                self.commits.fetch_add(u64::from(committed), Ordering::Relaxed);
                Ok(())
            }
            Err(reason) => {
                // Apart from the transaction: after a panic it can panic again, and a panic within a panic ends the process.
                let _ = contained(|| drop(database));
                Err(StoreError::Unavailable(reason))
            }
        }
    }
}

/// A panic in redb must not end the thread: feeds would hold until a restart.
fn contained<T>(act: impl FnOnce() -> T) -> Result<T, String> {
    catch_unwind(AssertUnwindSafe(act)).map_err(|_| "redb panicked".to_owned())
}

/// Whether there was anything to commit.
fn transact(database: &Database, batch: &mut [Box<dyn Job>]) -> Result<bool, redb::Error> {
    let mut transaction = database.begin_write()?;
    transaction.set_durability(Durability::Immediate)?;
    let mut rows = Rows::open(&transaction)?;
    for job in batch {
        job.perform(&mut rows)?;
    }
    let changed = rows.changed();
    drop(rows);
    if changed {
        transaction.commit()?;
    } else {
        transaction.abort()?;
    }
    Ok(changed)
}

/// One request, of any type of answer.
trait Job: Send {
    fn perform(&mut self, rows: &mut Rows<'_>) -> Result<(), redb::Error>;
    /// `written` is what became of the transaction.
    fn answer(self: Box<Self>, written: &Result<(), StoreError>);
}

struct Request<F, T> {
    act: Option<F>,
    outcome: Option<Result<T, StoreError>>,
    reply: oneshot::Sender<Result<T, StoreError>>,
}

impl<T: Send, F: FnOnce(&mut Rows<'_>) -> Result<T, Fault> + Send> Job for Request<F, T> {
    fn perform(&mut self, rows: &mut Rows<'_>) -> Result<(), redb::Error> {
        let Some(act) = self.act.take() else {
            return Ok(());
        };
        self.outcome = Some(match act(rows) {
            Ok(value) => Ok(value),
            Err(Fault::Refused(reason)) => Err(reason),
            Err(Fault::Database(error)) => return Err(error),
        });
        Ok(())
    }

    fn answer(self: Box<Self>, written: &Result<(), StoreError>) {
        let outcome = match (written, self.outcome) {
            (Ok(()), Some(outcome)) => outcome,
            (Ok(()), None) => Err(StoreError::Unavailable("the request was not done".to_owned())),
            (Err(error), _) => Err(error.clone()),
        };
        // Who asked may have gone.
        let _ = self.reply.send(outcome);
    }
}
