use std::collections::VecDeque;
use std::num::NonZeroUsize;
use std::time::Duration;

use async_trait::async_trait;
use drivetap_core::Notification;
use tokio::sync::{mpsc, oneshot};
use tokio::task::{JoinError, JoinHandle};
use tokio::time::{Instant, timeout};

use super::backlog::{Batch, notifications};
use super::line::Fallen;
use crate::{Ended, Session, Who, Why};

/// The reader's end of a session. It owns the task, which does not outlive it.
pub(in crate::native) struct Handle {
    task: JoinHandle<Fallen>,
    inlet: mpsc::Receiver<Batch>,
    /// Until it is said.
    goodbye: Option<oneshot::Sender<()>>,
    ping_interval: Duration,
    /// Handed over, and not read yet.
    arguments: VecDeque<Box<str>>,
    /// Read, and not handed out yet.
    ready: VecDeque<Notification>,
    merged: u64,
    ended: Option<Ended>,
    /// When the server was last heard, after the end.
    heard: Option<Instant>,
}

impl Handle {
    pub(super) fn new(
        task: JoinHandle<Fallen>,
        inlet: mpsc::Receiver<Batch>,
        goodbye: oneshot::Sender<()>,
        ping_interval: Duration,
    ) -> Self {
        let (arguments, ready) = (VecDeque::new(), VecDeque::new());
        Self { task, inlet, goodbye: Some(goodbye), ping_interval, arguments, ready, merged: 0, ended: None, heard: None }
    }

    /// What is there without waiting.
    fn next(&mut self) -> Option<Notification> {
        loop {
            if let Some(notification) = self.ready.pop_front() {
                return Some(notification);
            }
            if self.ended.is_some() {
                return None;
            }
            match self.arguments.pop_front() {
                Some(argument) => match notifications(&argument) {
                    Ok(several) => self.ready = several.into(),
                    Err(ended) => self.end(ended),
                },
                None => {
                    let batch = self.inlet.try_recv().ok()?;
                    self.take(batch);
                }
            }
        }
    }

    fn take(&mut self, batch: Batch) {
        self.arguments = batch.arguments;
        self.merged = self.merged.saturating_add(batch.merged);
    }

    /// Ends the session from this side: the socket is closed with its task.
    fn end(&mut self, ended: Ended) {
        self.task.abort();
        self.ended = Some(ended);
        self.arguments.clear();
    }
}

#[async_trait]
impl Session for Handle {
    async fn recv(&mut self, out: &mut Vec<Notification>, max: NonZeroUsize) -> Result<(), Ended> {
        let (before, full) = (out.len(), out.len().saturating_add(max.get()));
        loop {
            while out.len() < full {
                let Some(notification) = self.next() else {
                    break;
                };
                out.push(notification);
            }
            if out.len() > before {
                return Ok(());
            }
            if let Some(ended) = &self.ended {
                return Err(ended.clone());
            }
            match self.inlet.recv().await {
                Some(batch) => self.take(batch),
                None => match (&mut self.task).await {
                    Ok(Fallen { ended, heard }) => (self.ended, self.heard) = (Some(ended), Some(heard)),
                    Err(error) => self.ended = Some(fault(&error)),
                },
            }
        }
    }

    fn take_merged(&mut self) -> u64 {
        std::mem::take(&mut self.merged)
    }

    fn ping_interval(&self) -> Duration {
        self.ping_interval
    }

    fn silence(&self) -> Duration {
        self.heard.map_or(Duration::ZERO, |heard| heard.elapsed())
    }

    async fn close(mut self: Box<Self>, within: Duration) {
        if let Some(goodbye) = self.goodbye.take() {
            // An error means that the task has ended, or is about to.
            let _ = goodbye.send(());
        }
        if self.ended.is_none() && timeout(within, &mut self.task).await.is_err() {
            self.task.abort();
            drop((&mut self.task).await);
        }
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn fault(error: &JoinError) -> Ended {
    let what = if error.is_panic() { "the session's task panicked" } else { "the session's task was cancelled" };
    Ended { by: Who::Us, why: Why::Internal(what.to_owned()) }
}
