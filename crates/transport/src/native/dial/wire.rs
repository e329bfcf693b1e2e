use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use rustls::crypto::SecureRandom;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadBuf};

use crate::native::frames::{Broken, Message, Reader, Writer};

/// A websocket, from the upgrade on: bytes of a socket on one side, messages on the other.
pub(in crate::native) struct Wire {
    stream: Box<dyn Stream>,
    reader: Reader,
    writer: Writer,
    /// Everything was written, and TLS may still hold some of it.
    unflushed: bool,
    /// Nothing can be written any more. What the server had said before is still to be read.
    mute: bool,
    random: &'static dyn SecureRandom,
}

/// TCP, or TLS over it, or that through a proxy.
pub(in crate::native) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

/// The socket is of no use any more.
#[derive(Debug)]
pub(in crate::native) enum Lost {
    /// It was closed without goodbye, or broke.
    Socket,
    /// What came is no websocket.
    Broken(Broken),
    /// The system has no random numbers to mask with.
    Random,
}

impl From<io::Error> for Lost {
    fn from(_: io::Error) -> Self {
        Self::Socket
    }
}

impl From<Broken> for Lost {
    fn from(broken: Broken) -> Self {
        Self::Broken(broken)
    }
}

impl Wire {
    /// A server that does not read what it is sent gets no more than that, and what fits into the system's buffers.
    const MOST_UNSENT: usize = 4 * 1024;

    /// # Errors
    /// When the server has said more than a frame may hold.
    pub(super) fn new(
        stream: Box<dyn Stream>,
        already: &[u8],
        limit: usize,
        random: &'static dyn SecureRandom,
    ) -> Result<Self, Broken> {
        Ok(Self {
            stream,
            reader: Reader::new(limit, already)?,
            writer: Writer::default(),
            unflushed: false,
            mute: false,
            random,
        })
    }

    /// Writes what is to be sent, and waits for bytes. Cancel safe.
    pub(in crate::native) async fn read(&mut self) -> Result<(), Lost> {
        poll_fn(|cx| {
            if let Poll::Ready(Err(_)) = self.poll_write(cx) {
                (self.writer, self.unflushed, self.mute) = (Writer::default(), false, true);
            }
            let mut space = ReadBuf::new(self.reader.space());
            let Poll::Ready(read) = Pin::new(&mut self.stream).poll_read(cx, &mut space) else {
                // Whoever waits has the small buffer, however many of them there are.
                self.reader.narrow();
                return Poll::Pending;
            };
            let (count, full) = (space.filled().len(), space.remaining() == 0);
            read?;
            if count == 0 {
                return Poll::Ready(Err(Lost::Socket));
            }
            self.reader.filled(count);
            if full {
                self.reader.widen();
            }
            Poll::Ready(Ok(()))
        })
        .await
    }

    /// Goes to the next message of what was read: [`Reader::advance`].
    pub(in crate::native) fn advance(&mut self) -> Result<bool, Lost> {
        Ok(self.reader.advance()?)
    }

    /// The message that [`advance`](Self::advance) went to.
    pub(in crate::native) fn message(&self) -> Result<Message<'_>, Lost> {
        Ok(self.reader.message()?)
    }

    /// Whether there is room for something more to send.
    pub(in crate::native) fn has_room(&self) -> bool {
        !self.mute && self.writer.bytes().len() < Self::MOST_UNSENT
    }

    /// Puts a text on its way.
    pub(in crate::native) fn send(&mut self, text: &str) -> Result<(), Lost> {
        self.writer.text(text, mask(self.random)?);
        self.unflushed = true;
        Ok(())
    }

    /// Answers the websocket's own ping, the one that [`message`](Self::message) shows; not a server that does not read answers.
    pub(in crate::native) fn pong(&mut self) -> Result<(), Lost> {
        if let (true, Message::Ping(bytes)) = (self.has_room(), self.reader.message()?) {
            self.writer.pong(bytes, mask(self.random)?);
            self.unflushed = true;
        }
        Ok(())
    }

    /// Sends what waits and the websocket's goodbye, and closes the socket behind it.
    pub(in crate::native) async fn close(mut self) -> Result<(), Lost> {
        self.writer.close(mask(self.random)?);
        self.unflushed = true;
        poll_fn(|cx| self.poll_write(cx)).await?;
        Ok(self.stream.shutdown().await?)
    }

    fn poll_write(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.writer.bytes().is_empty() {
            match ready!(Pin::new(&mut self.stream).poll_write(cx, self.writer.bytes()))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                count => self.writer.wrote(count),
            }
        }
        if self.unflushed {
            ready!(Pin::new(&mut self.stream).poll_flush(cx))?;
            self.unflushed = false;
        }
        Poll::Ready(Ok(()))
    }
}

fn mask(random: &dyn SecureRandom) -> Result<[u8; 4], Lost> {
    let mut mask = [0; 4];
    random.fill(&mut mask).map_err(|_| Lost::Random)?;
    Ok(mask)
}
