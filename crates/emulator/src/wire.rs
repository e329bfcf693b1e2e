//! The wire under the emulator: every accepted connection can be stalled, hung up, reset, or spoken into.
//!
//! Faults of a network cannot be asked of a web framework, so they live below it: a [`Wire`] wraps the TCP stream that
//! HTTP and the websocket run on, and its [`Line`] is the handle by which a test (or the control API) takes hold of it.

use std::{
    collections::VecDeque,
    io,
    net::SocketAddr,
    pin::Pin,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll, Waker, ready},
};

use axum::{
    extract::connect_info::Connected,
    serve::{IncomingStream, Listener},
};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::{TcpListener, TcpStream},
};

/// Connections at once. One more is accepted and closed: a client sees a hang-up, never a queue.
const MAX_LINES: usize = 32_768;
/// Bytes that a stalled connection takes without sending them, as a kernel's buffer would.
const MAX_BACKLOG: usize = 256 * 1024;
/// Frames that wait to be spoken into one connection.
const MAX_INJECTED: usize = 64;

/// What becomes of a connection from now on.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    /// It carries what is written.
    #[default]
    Open,
    /// Nothing passes in either direction, and nothing says so: a network that went away.
    Stalled,
    /// FIN without a word of HTTP or websocket.
    HungUp,
    /// RST.
    Reset,
}

/// A listener that hands out [`Wire`]s and keeps their [`Line`]s.
pub(crate) struct Wires {
    tcp: TcpListener,
    lines: Lines,
}

/// All connections that are open now.
#[derive(Clone, Default)]
pub(crate) struct Lines(Arc<LinesInner>);

#[derive(Default)]
struct LinesInner {
    list: Mutex<Vec<Line>>,
    next: AtomicU64,
}

/// The handle of one connection.
#[derive(Clone)]
pub(crate) struct Line(Arc<LineInner>);

struct LineInner {
    id: u64,
    lines: Lines,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    fate: Fate,
    upgraded: bool,
    mute_at_upgrade: bool,
    injected: VecDeque<Vec<u8>>,
    reader: Option<Waker>,
    writer: Option<Waker>,
    /// The socket of a stalled connection whose owner gave it up. A network that went away sends no FIN either.
    corpse: Option<TcpStream>,
}

/// One connection, as HTTP sees it.
pub(crate) struct Wire {
    stream: Option<TcpStream>,
    line: Line,
    /// What is to be sent before anything else: injected frames, and what was written while the line was stalled.
    backlog: VecDeque<u8>,
    /// The last thing written was flushed: between two websocket frames there is room for one of ours.
    between_frames: bool,
}

impl Wires {
    pub(crate) fn new(tcp: TcpListener, lines: Lines) -> Self {
        Self { tcp, lines }
    }
}

impl Listener for Wires {
    type Io = Wire;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Wire, SocketAddr) {
        loop {
            // Axum's own listener knows which accept errors pass.
            let (stream, peer) = Listener::accept(&mut self.tcp).await;
            let Some(line) = self.lines.add() else {
                continue;
            };
            // Signals are small and wanted now. A socket that refuses the option still works.
            drop(stream.set_nodelay(true));
            let wire = Wire { stream: Some(stream), line, backlog: VecDeque::new(), between_frames: true };
            return (wire, peer);
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.tcp.local_addr()
    }
}

impl Connected<IncomingStream<'_, Wires>> for Line {
    fn connect_info(stream: IncomingStream<'_, Wires>) -> Self {
        stream.io().line.clone()
    }
}

impl Lines {
    fn add(&self) -> Option<Line> {
        let mut list = lock(&self.0.list);
        if list.len() >= MAX_LINES {
            return None;
        }
        let line = Line(Arc::new(LineInner {
            id: self.0.next.fetch_add(1, Ordering::Relaxed),
            lines: self.clone(),
            state: Mutex::default(),
        }));
        list.push(line.clone());
        Some(line)
    }

    fn remove(&self, id: u64) {
        lock(&self.0.list).retain(|line| line.0.id != id);
    }

    /// The connections that became websockets.
    pub(crate) fn websockets(&self) -> Vec<Line> {
        let mut list = lock(&self.0.list).clone();
        list.retain(Line::is_websocket);
        list
    }

    pub(crate) fn is_empty(&self) -> bool {
        lock(&self.0.list).is_empty()
    }

    /// Ends every connection, the stalled ones too.
    pub(crate) fn hang_up_all(&self) {
        let list = lock(&self.0.list).clone();
        for line in &list {
            line.meet(Fate::HungUp);
        }
    }
}

impl Line {
    /// Sets what becomes of the connection. Waking from [`Fate::Stalled`] to [`Fate::Open`] delivers what waited.
    pub(crate) fn meet(&self, fate: Fate) {
        let corpse = {
            let mut state = lock(&self.0.state);
            state.fate = fate;
            state.wake();
            if fate == Fate::Stalled { None } else { state.corpse.take() }
        };
        if let Some(stream) = corpse {
            if fate == Fate::Reset {
                drop(stream.set_zero_linger());
            }
            self.0.lines.remove(self.0.id);
        }
    }

    /// Stalls the connection behind the `101` of the websocket upgrade: connected, and never a word.
    pub(crate) fn mute_at_upgrade(&self) {
        lock(&self.0.state).mute_at_upgrade = true;
    }

    /// Speaks one text frame into the websocket, whatever it says. False where too many wait already.
    pub(crate) fn say(&self, text: &str) -> bool {
        self.inject(frame(0x1, text.as_bytes()))
    }

    /// Sends the websocket's own close frame (code 1000).
    pub(crate) fn close_websocket(&self) -> bool {
        self.inject(frame(0x8, &1000_u16.to_be_bytes()))
    }

    pub(crate) fn id(&self) -> u64 {
        self.0.id
    }

    fn is_websocket(&self) -> bool {
        lock(&self.0.state).upgraded
    }

    /// Sends bytes between two frames, as they are. False where too many wait already.
    pub(crate) fn inject(&self, bytes: Vec<u8>) -> bool {
        let mut state = lock(&self.0.state);
        if state.injected.len() >= MAX_INJECTED {
            return false;
        }
        state.injected.push_back(bytes);
        state.wake();
        true
    }
}

impl State {
    fn wake(&mut self) {
        for waker in [self.reader.take(), self.writer.take()].into_iter().flatten() {
            waker.wake();
        }
    }
}

impl Wire {
    fn stream(&mut self) -> io::Result<Pin<&mut TcpStream>> {
        self.stream.as_mut().map(Pin::new).ok_or_else(|| io::ErrorKind::NotConnected.into())
    }

    /// Sends the backlog and, between two frames, what was injected.
    fn poll_catch_up(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            while !self.backlog.is_empty() {
                let Some(stream) = self.stream.as_mut() else {
                    return Poll::Ready(Err(io::ErrorKind::NotConnected.into()));
                };
                let sent = ready!(Pin::new(stream).poll_write(cx, self.backlog.as_slices().0))?;
                self.backlog.drain(..sent);
            }
            let mut state = lock(&self.line.0.state);
            if !self.between_frames || !state.upgraded {
                return Poll::Ready(Ok(()));
            }
            match state.injected.pop_front() {
                Some(frame) => self.backlog.extend(frame),
                None => return Poll::Ready(Ok(())),
            }
        }
    }
}

impl AsyncRead for Wire {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        {
            let mut state = lock(&self.line.0.state);
            state.reader = Some(cx.waker().clone());
            match state.fate {
                Fate::Open => {}
                Fate::Stalled => return Poll::Pending,
                Fate::HungUp => return Poll::Ready(Ok(())),
                Fate::Reset => return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into())),
            }
        }
        // Reading goes on while the backlog waits for room.
        if let Poll::Ready(Err(error)) = self.poll_catch_up(cx) {
            return Poll::Ready(Err(error));
        }
        self.stream()?.poll_read(cx, buf)
    }
}

impl AsyncWrite for Wire {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        {
            let mut state = lock(&self.line.0.state);
            state.writer = Some(cx.waker().clone());
            match state.fate {
                Fate::Open => {}
                Fate::Stalled => {
                    drop(state);
                    if self.backlog.len().saturating_add(buf.len()) > MAX_BACKLOG {
                        return Poll::Pending;
                    }
                    self.backlog.extend(buf);
                    self.between_frames = false;
                    return Poll::Ready(Ok(buf.len()));
                }
                Fate::HungUp => return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into())),
                Fate::Reset => return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into())),
            }
        }
        ready!(self.poll_catch_up(cx))?;
        let written = ready!(self.stream()?.poll_write(cx, buf))?;
        self.between_frames = false;
        let mut state = lock(&self.line.0.state);
        if !state.upgraded && buf.starts_with(b"HTTP/1.1 101") {
            state.upgraded = true;
            if state.mute_at_upgrade {
                state.fate = Fate::Stalled;
            }
        }
        drop(state);
        Poll::Ready(Ok(written))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if lock(&self.line.0.state).fate != Fate::Stalled {
            ready!(self.stream()?.poll_flush(cx))?;
        }
        self.between_frames = true;
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if lock(&self.line.0.state).fate == Fate::Stalled {
            // The FIN of a lost network never arrives; `drop` keeps the socket.
            return Poll::Ready(Ok(()));
        }
        self.stream()?.poll_shutdown(cx)
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        let mut state = lock(&self.line.0.state);
        match state.fate {
            Fate::Stalled => {
                state.corpse = self.stream.take();
                return;
            }
            Fate::Reset => {
                if let Some(stream) = &self.stream {
                    drop(stream.set_zero_linger());
                }
            }
            Fate::Open | Fate::HungUp => {}
        }
        drop(state);
        self.line.0.lines.remove(self.line.0.id);
    }
}

/// A server's websocket frame (RFC 6455 §5.2): final, unmasked.
fn frame(opcode: u8, payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0x80 | opcode];
    if let Ok(short) = u8::try_from(payload.len())
        && short < 126
    {
        bytes.push(short);
    } else if let Ok(medium) = u16::try_from(payload.len()) {
        bytes.push(126);
        bytes.extend(medium.to_be_bytes());
    } else {
        bytes.push(127);
        bytes.extend(u64::try_from(payload.len()).unwrap_or(u64::MAX).to_be_bytes());
    }
    bytes.extend(payload);
    bytes
}

/// A panic elsewhere must not turn into a second one here: the data is a few flags.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::frame;

    #[test]
    fn a_frame_uses_the_shortest_of_the_three_length_forms() {
        for (length, head) in [
            (5, vec![0x81, 5]),
            (125, vec![0x81, 125]),
            (126, vec![0x81, 126, 0, 126]),
            (65_536, vec![0x81, 127, 0, 0, 0, 0, 0, 1, 0, 0]),
        ] {
            let bytes = frame(0x1, &vec![b'x'; length]);
            assert_eq!(bytes[..head.len()], head, "{length} bytes");
            assert_eq!(bytes.len(), head.len() + length);
        }
    }
}
