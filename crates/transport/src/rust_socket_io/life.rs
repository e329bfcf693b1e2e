use std::future::{pending, ready};
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use drivetap_core::NotificationUrl;
use rust_socketio::asynchronous::ClientBuilder;
use rust_socketio::{Event, Payload};
use serde_json::Value;
use tokio::runtime::{Builder, Handle, Runtime};
use tokio::sync::oneshot;
use tokio::time::timeout;

use super::payload::{Argument, first_argument, is_lifecycle};
use super::words;
use crate::inbox::Inbox;
use crate::{Ended, Limits, OpenError, Who, Why};

/// One session of `rust_socketio`, from its first byte to its certain end.
///
/// The client's tasks and socket live in a runtime of their own, because nothing else stops them: dropping the client leaves them alive,
/// and `disconnect` waits for the server. [`stop`](Self::stop) shuts that runtime down. It owns two tasks: `drive`, ours, and the
/// client's reader, which has no handle; a panic ends it without a word, and [`parked`](Self::parked) finds it missing.
///
/// The callbacks run under a lock of the client, on the reader: none of them ever waits. They hold the life weakly, for it owns them.
pub(super) struct Life {
    inbox: Inbox,
    url: NotificationUrl,
    frame_bytes: usize,
    /// Until the handshake is decided.
    opening: Mutex<Option<oneshot::Sender<Result<(), OpenError>>>>,
    /// Until the end.
    runtime: Mutex<Option<Runtime>>,
    /// Until it is asked for. What it carries is dropped once goodbye was said.
    goodbye: Mutex<Option<oneshot::Sender<oneshot::Sender<()>>>>,
    /// How the client explained the end that is coming.
    last_word: Mutex<Option<Ended>>,
    /// How many tasks there are while all is well.
    tasks: AtomicUsize,
    /// When the runtime last had something to do: the socket's bytes are the only thing that wakes it.
    stirred: Mutex<Instant>,
}

impl Life {
    /// Starts to connect. The receiver gets how that went, once.
    ///
    /// # Errors
    /// When there is no thread or file descriptor left.
    pub(super) fn start(client: ClientBuilder, url: &NotificationUrl, limits: &Limits) -> io::Result<(Arc<Self>, Opened)> {
        let (opening, opened) = oneshot::channel();
        let (goodbye, goodbye_asked) = oneshot::channel();
        let life = Arc::new(Self {
            inbox: Inbox::default(),
            url: url.clone(),
            frame_bytes: limits.frame_bytes,
            opening: Mutex::new(Some(opening)),
            runtime: Mutex::default(),
            goodbye: Mutex::new(Some(goodbye)),
            last_word: Mutex::default(),
            tasks: AtomicUsize::new(0),
            stirred: Mutex::new(Instant::now()),
        });
        let runtime = one_thread(on(&life, Self::parked))?;
        let handle = runtime.handle().clone();
        *lock(&life.runtime) = Some(runtime);
        handle.spawn(drive(Arc::downgrade(&life), listen(client, &life), goodbye_asked));
        Ok((life, opened))
    }

    pub(super) fn inbox(&self) -> &Inbox {
        &self.inbox
    }

    pub(super) fn last_stirred(&self) -> Instant {
        *lock(&self.stirred)
    }

    /// Ends the session, during the handshake too. A first reason stays.
    pub(super) fn end(&self, ended: Ended) {
        self.decide(Err(crate::words::ended_early(&ended)));
        self.inbox.end(ended);
        self.stop();
    }

    /// Closes the socket and ends the tasks, without waiting for it. Can be called from anywhere, the runtime's own thread included.
    pub(super) fn stop(&self) {
        let runtime = lock(&self.runtime).take();
        if let Some(runtime) = runtime {
            runtime.shutdown_background();
        }
    }

    /// Leaves the namespace and closes the engine, as far as that is possible in time.
    pub(super) async fn say_goodbye(&self, within: Duration) {
        let (said, heard) = oneshot::channel();
        let goodbye = lock(&self.goodbye).take();
        if goodbye.is_some_and(|goodbye| goodbye.send(said).is_ok()) {
            // Either way the socket is closed next.
            drop(timeout(within, heard).await);
        }
    }

    fn decide(&self, result: Result<(), OpenError>) {
        if let Some(opening) = lock(&self.opening).take() {
            // Nobody waits any more when `open` was dropped.
            drop(opening.send(result));
        }
    }

    fn refuse(&self, error: OpenError) {
        self.decide(Err(error));
        self.end(Ended { by: Who::Server, why: Why::Disconnect });
    }

    fn stir(&self) {
        *lock(&self.stirred) = Instant::now();
    }

    /// The runtime has nothing left to do for now.
    fn parked(&self) {
        self.stir();
        let alive = Handle::try_current().map(|runtime| runtime.metrics().num_alive_tasks());
        if alive.is_ok_and(|alive| alive < self.tasks.load(Ordering::Relaxed)) {
            self.end(Ended { by: Who::Us, why: Why::Internal("rust_socketio panicked".into()) });
        }
    }

    /// Anything that the client calls back for: its own three words, whose names a server's events may share, and any other event.
    fn heard(&self, event: &Event, payload: &Payload) {
        self.stir();
        let Some(argument) = first_argument(payload, self.frame_bytes) else {
            return self.end(Ended { by: Who::Us, why: Why::TooLarge });
        };
        match event {
            Event::Connect if is_lifecycle(payload) => self.decide(Ok(())),
            Event::Close if is_lifecycle(payload) => self.end(Ended { by: Who::Server, why: Why::Disconnect }),
            Event::Error => self.failed(payload),
            Event::Custom(name) if name == "notification" => {
                if let Err(ended) = self.notified(argument) {
                    self.end(ended);
                }
            }
            _ => {}
        }
    }

    fn notified(&self, argument: Argument) -> Result<(), Ended> {
        match argument {
            Argument::Json(text) => self.inbox.frame(&text, self.frame_bytes),
            Argument::Binary => Err(Ended { by: Who::Server, why: Why::Malformed("a binary notification".into()) }),
        }
    }

    /// The client has an error, the namespace was refused, or the server sent an event `error`.
    fn failed(&self, payload: &Payload) {
        let Payload::Text(values) = payload else {
            return;
        };
        let Some(text) = values.first().and_then(Value::as_str) else {
            return;
        };
        if let Some(data) = text.strip_prefix("Received an ConnectError frame: ") {
            self.refuse(OpenError::Refetch { reason: crate::words::connect_error(data, &self.url) });
        } else if let Some(ended) = words::last_word(text) {
            *lock(&self.last_word) = Some(ended);
        }
    }

    /// The client's stream is over: it asks where to connect to next.
    fn over(&self) {
        let ended = lock(&self.last_word).take().unwrap_or(Ended { by: Who::Server, why: Why::Closed });
        self.end(ended);
    }
}

impl Drop for Life {
    /// A runtime dropped in the ordinary way waits for its thread, and panics where it must not wait.
    fn drop(&mut self) {
        self.stop();
    }
}

/// A runtime with a single thread, which calls back whenever it has nothing left to do.
fn one_thread(parked: impl Fn() + Send + Sync + 'static) -> io::Result<Runtime> {
    let mut builder = Builder::new_multi_thread();
    builder.worker_threads(1).max_blocking_threads(1).thread_name("drivetap-socket").enable_all().on_thread_park(parked);
    // Without a descriptor left it is an error, without a thread left a panic.
    catch_unwind(AssertUnwindSafe(|| builder.build())).unwrap_or_else(|_| Err(io::ErrorKind::WouldBlock.into()))
}

/// How the handshake went.
pub(super) type Opened = oneshot::Receiver<Result<(), OpenError>>;

/// The task that connects, and later says goodbye. A panic in it is found by [`Life::parked`].
async fn drive(life: Weak<Life>, client: ClientBuilder, goodbye: oneshot::Receiver<oneshot::Sender<()>>) {
    let expect = |tasks| {
        if let Some(life) = life.upgrade() {
            life.tasks.store(tasks, Ordering::Relaxed);
        }
    };
    expect(1);
    match client.connect().await {
        Ok(client) => {
            // The reader runs now, and it is the one whose end counts.
            expect(2);
            if let Ok(said) = goodbye.await {
                expect(0);
                // A goodbye that fails is no goodbye; either way there is nothing more to say.
                drop(client.disconnect().await);
                drop(said);
            }
        }
        Err(error) => {
            expect(0);
            if let Some(life) = life.upgrade() {
                life.decide(Err(words::not_connected(&error)));
            }
        }
    }
}

/// Hangs the callbacks in.
///
/// `Event::Connect` it is: `.on("connect", …)` never fires. Reconnecting is switched on for its hook alone, which is called when the
/// stream is over and never returns.
fn listen(client: ClientBuilder, life: &Arc<Life>) -> ClientBuilder {
    let hear = |event: Event| {
        let life = Arc::downgrade(life);
        move |payload: Payload, _| heard(&life, &event, &payload)
    };
    let (any, over) = (Arc::downgrade(life), Arc::downgrade(life));
    client
        .on(Event::Connect, hear(Event::Connect))
        .on(Event::Close, hear(Event::Close))
        .on(Event::Error, hear(Event::Error))
        .on_any(move |event, payload, _| heard(&any, &event, &payload))
        .reconnect(true)
        .on_reconnect(move || {
            if let Some(life) = over.upgrade() {
                life.over();
            }
            Box::pin(pending())
        })
}

fn heard(life: &Weak<Life>, event: &Event, payload: &Payload) -> Pin<Box<dyn Future<Output = ()> + Send>> {
    if let Some(life) = life.upgrade() {
        life.heard(event, payload);
    }
    Box::pin(ready(()))
}

fn on(life: &Arc<Life>, act: impl Fn(&Life) + Send + Sync + 'static) -> impl Fn() + Send + Sync + 'static {
    let life = Arc::downgrade(life);
    move || {
        if let Some(life) = life.upgrade() {
            act(&life);
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
