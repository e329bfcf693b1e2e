use std::collections::VecDeque;
use std::fmt;
use std::num::NonZeroUsize;
use std::pin::Pin;
use std::task::{Context, Poll};

use drivetap_core::Notification;
use futures_util::Stream;
use futures_util::stream::{BoxStream, StreamExt, unfold};

use crate::{Ended, Session};

/// A session's notifications as a stream: one by one, then the [`Ended`], then nothing.
///
/// Made by `session.into_stream()`. Nothing is read ahead of the queue that the session has anyway. Dropping it closes the socket, without
/// goodbye; what it had taken and not handed out is dropped with it.
pub struct Notifications(BoxStream<'static, Result<Notification, Ended>>);

impl dyn Session {
    /// The session as a stream.
    ///
    /// ```
    /// # async fn print(session: Box<dyn drivetap_transport::Session>) {
    /// use futures_util::StreamExt;
    ///
    /// let mut notifications = session.into_stream();
    /// while let Some(Ok(notification)) = notifications.next().await {
    ///     println!("{:?}", notification.subscription_id());
    /// }
    /// # }
    /// ```
    #[must_use]
    pub fn into_stream(self: Box<Self>) -> Notifications {
        let reader = Reader { session: Some(self), ready: VecDeque::new() };
        Notifications(unfold(reader, Reader::next).boxed())
    }
}

impl Stream for Notifications {
    type Item = Result<Notification, Ended>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.0.poll_next_unpin(cx)
    }
}

impl fmt::Debug for Notifications {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Notifications")
    }
}

struct Reader {
    /// `None` after the end.
    session: Option<Box<dyn Session>>,
    ready: VecDeque<Notification>,
}

/// Taken from a session at a time: fewer locks when it is busy, little lost when the stream is dropped.
const BATCH: NonZeroUsize = NonZeroUsize::new(64).unwrap();

impl Reader {
    async fn next(mut self) -> Option<(Result<Notification, Ended>, Self)> {
        if let Some(notification) = self.ready.pop_front() {
            return Some((Ok(notification), self));
        }
        let mut batch = Vec::new();
        match self.session.as_mut()?.recv(&mut batch, BATCH).await {
            Ok(()) => {
                self.ready = batch.into();
                let first = self.ready.pop_front()?;
                Some((Ok(first), self))
            }
            Err(ended) => {
                self.session = None;
                Some((Err(ended), self))
            }
        }
    }
}
