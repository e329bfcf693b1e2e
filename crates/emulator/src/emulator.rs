//! Starting, stopping and driving an emulator.

use std::{
    io,
    net::{Ipv4Addr, SocketAddr},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use axum::{Router, middleware};
use serde::Deserialize;
use socketioxide::SocketIo;
use tokio::{net::TcpListener, sync::Notify, task::JoinSet, time::Instant};
use tokio_util::sync::CancellationToken;

use crate::{
    accounts::Account,
    control,
    drive::DriveHandle,
    fault::Fault,
    graph,
    journal::{Request, Stats},
    model::{self, ChangeError, Limits, NewDrive},
    socket,
    switches::{Expiry, Switches},
    wire::{Fate, Line, Lines, Wires},
    world::{Parting, World},
};

/// The longest that a shutdown waits for connections to end. What is left then is aborted.
const PARTING: Duration = Duration::from_secs(5);
/// While a shutdown waits for requests that are being answered.
const HANG_UP_AGAIN: Duration = Duration::from_millis(50);

/// How an emulator starts.
#[derive(Debug, Clone)]
pub struct Config {
    /// Where it listens: a loopback address, any free port by default.
    pub listen: SocketAddr,
    /// The server's ping interval: 25 s by default, as clients assume.
    pub ping_interval: Duration,
    /// How long it waits for a pong: 20 s by default.
    pub ping_timeout: Duration,
    /// Who may ask. By default one account that takes any token and owns [`ME_DRIVE`](crate::ME_DRIVE).
    pub accounts: Vec<Account>,
    /// Which drives are there.
    pub seed: Seed,
    /// How the service behaves.
    pub switches: Switches,
    /// How much a drive keeps.
    pub limits: Limits,
    /// What the URLs in its answers begin with: `https://localhost:PORT` of a proxy in front of it. By default the address on
    /// which it listens.
    pub origin: Option<String>,
    /// What a `notificationUrl` begins with, where that leads to another socket.io server. By default it leads here.
    pub notification_origin: Option<String>,
    /// The seed of everything random in drives; ids of endpoints and tokens are random all the same.
    pub random_seed: u64,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            listen: (Ipv4Addr::LOCALHOST, 0).into(),
            ping_interval: Duration::from_secs(25),
            ping_timeout: Duration::from_secs(20),
            accounts: vec![Account::new("default", model::ME_DRIVE)],
            seed: Seed::default(),
            switches: Switches::default(),
            limits: Limits::default(),
            origin: None,
            notification_origin: None,
            random_seed: 1,
        }
    }
}

/// Which drives are there at the start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Seed {
    /// A business drive, a personal one, a group's and a site list's, with a few items each.
    #[default]
    Standard,
    /// None.
    Empty,
}

/// Why an emulator did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// It has no authentication worth the name: it answers on loopback only.
    #[error("the emulator listens on loopback addresses only, not on {0}")]
    NotLoopback(SocketAddr),
    /// The address cannot be had.
    #[error("cannot listen on {address}")]
    Listen {
        /// Which one.
        address: SocketAddr,
        /// Why not.
        source: io::Error,
    },
}

/// A fault of the network or the socket service, now, for sockets that are open.
///
/// As JSON, for the control API: `"reset"`, `{"frame":"42[\"x\"]"}`, `{"bytes":[130,1,0]}`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SocketFault {
    /// socket.io's `41/notifications,`: the server leaves, the websocket stays.
    Disconnect,
    /// engine.io's `1`.
    CloseEngine,
    /// The websocket's close frame.
    CloseWebsocket,
    /// FIN, without a word.
    HangUp,
    /// RST.
    Reset,
    /// Nothing passes any more, in either direction.
    Stall,
    /// What was stalled goes on.
    Resume,
    /// One text frame, whatever it says: `42["notification"]`, `451-["x"]`, `44/notifications,{"message":"…"}`.
    Frame(String),
    /// Bytes between two frames, as they are: a binary frame, half a frame, a header that promises too much.
    Bytes(Vec<u8>),
}

/// A running emulator. Dropping it stops it; [`Emulator::shutdown`] also waits until it has stopped.
#[derive(Debug)]
pub struct Emulator {
    service: Arc<Service>,
    io: SocketIo,
    tasks: JoinSet<()>,
}

/// What the handlers share.
pub(crate) struct Service {
    world: Mutex<World>,
    lines: Lines,
    address: SocketAddr,
    /// `http://127.0.0.1:PORT`, or what stands in front.
    pub(crate) origin: String,
    /// The same for `notificationUrl`.
    pub(crate) notification_origin: String,
    pub(crate) stop: CancellationToken,
    clock: Notify,
}

impl Emulator {
    /// Listens, and serves until it is shut down or dropped. Needs a tokio runtime with time and I/O.
    ///
    /// # Errors
    /// An address that is not loopback, or that cannot be had.
    pub async fn start(config: Config) -> Result<Self, StartError> {
        let address = config.listen;
        if !address.ip().is_loopback() {
            return Err(StartError::NotLoopback(address));
        }
        let failed = |source| StartError::Listen { address, source };
        let tcp = TcpListener::bind(address).await.map_err(failed)?;
        let address = tcp.local_addr().map_err(failed)?;
        let origin = config.origin.clone().unwrap_or_else(|| format!("http://{address}"));
        let notification_origin = config.notification_origin.clone().unwrap_or_else(|| origin.clone());

        let lines = Lines::default();
        let wires = Wires::new(tcp, lines.clone());
        let (layer, io) = socket::layer(&config);
        let service = Arc::new(Service {
            world: Mutex::new(World::new(config)),
            lines,
            address,
            origin,
            notification_origin,
            stop: CancellationToken::new(),
            clock: Notify::new(),
        });
        socket::open_namespaces(&io, &service);
        let router = Router::new()
            .merge(control::routes())
            .fallback(graph::serve)
            .with_state(Arc::clone(&service))
            .layer(layer)
            .layer(middleware::from_fn_with_state(Arc::clone(&service), socket::guard));

        let mut tasks = JoinSet::new();
        let stop = service.stop.clone();
        let serve = axum::serve(wires, router.into_make_service_with_connect_info::<Line>());
        let serve = serve.with_graceful_shutdown(async move { stop.cancelled().await });
        tasks.spawn(async move {
            // `Wires` never fails; the type only allows for listeners that do.
            drop(serve.await);
        });
        tasks.spawn(Arc::clone(&service).keep_time());
        Ok(Self { service, io, tasks })
    }

    /// Graph's root: `http://127.0.0.1:PORT/v1.0`.
    pub fn base_url(&self) -> String {
        format!("{}/v1.0", self.service.origin)
    }

    /// `http://127.0.0.1:PORT`: where `/control/…` and the token endpoint (`/{tenant}/oauth2/v2.0/…`) are.
    pub fn origin(&self) -> &str {
        &self.service.origin
    }

    /// Where it listens, whatever its [origin](Config::origin) says.
    pub fn address(&self) -> SocketAddr {
        self.service.address
    }

    /// A handle to a drive, in any spelling of its id.
    pub fn drive(&self, id: &str) -> Option<DriveHandle> {
        let id = self.service.with(|world| world.drive(id).map(|drive| drive.id.clone()))?;
        Some(DriveHandle::new(Arc::clone(&self.service), id))
    }

    /// The ids of all drives.
    pub fn drives(&self) -> Vec<String> {
        self.service.with(|world| world.drives().map(|drive| drive.id.clone()).collect())
    }

    /// Adds a drive, with nothing in it but its root.
    ///
    /// # Errors
    /// [`ChangeError::NameTaken`] where there is a drive of that id.
    pub fn add_drive(&self, new: NewDrive) -> Result<DriveHandle, ChangeError> {
        let id = self.service.with(|world| world.add_drive(new))?;
        Ok(DriveHandle::new(Arc::clone(&self.service), id))
    }

    /// Makes `/groups/{group}/drive` mean a drive.
    pub fn bind_group(&self, group: &str, drive: &str) {
        self.service.with(|world| world.bind_group(group, drive));
    }

    /// Makes `/sites/{site}/lists/{list}/drive` mean a drive.
    pub fn bind_list(&self, site: &str, list: &str, drive: &str) {
        self.service.with(|world| world.bind_list(site, list, drive));
    }

    /// Replaces the accounts. What the token endpoint gave out is void.
    pub fn set_accounts(&self, accounts: Vec<Account>) {
        self.service.with(|world| {
            world.accounts = crate::accounts::Accounts::new(accounts);
        });
    }

    /// A refresh token for an account, as a sign-in would leave it; `None` without such an account.
    pub fn sign_in(&self, account: &str) -> Option<String> {
        self.service.with(|world| world.accounts.sign_in(account))
    }

    /// What a person does with a device code: types it in, signed in as an account. False for a code nobody asked for.
    pub fn approve_device(&self, user_code: &str, account: &str) -> bool {
        self.service.with(|world| world.accounts.answer(user_code, Some(account)))
    }

    /// The person says no to a device code. False for a code nobody asked for.
    pub fn decline_device(&self, user_code: &str) -> bool {
        self.service.with(|world| world.accounts.answer(user_code, None))
    }

    /// Voids every token that the token endpoint gave out.
    pub fn revoke_tokens(&self) {
        self.service.with(|world| world.accounts.revoke_all(Instant::now()));
    }

    /// Changes how the service behaves from now on.
    pub fn switch(&self, change: impl FnOnce(&mut Switches)) {
        self.service.with(|world| change(&mut world.switches));
        self.service.wake_clock();
    }

    /// How the service behaves now.
    pub fn switches(&self) -> Switches {
        self.service.with(|world| world.switches.clone())
    }

    /// Adds a scripted answer to the queue. False where 1,024 wait already.
    pub fn fault(&self, fault: Fault) -> bool {
        self.service.with(|world| world.faults.push(fault))
    }

    /// Forgets the scripted answers that wait.
    pub fn clear_faults(&self) {
        self.service.with(|world| world.faults.clear());
    }

    /// Does something to every websocket, whatever its drive and whether it entered the namespace. Answers how many.
    pub fn socket_fault(&self, fault: &SocketFault) -> usize {
        self.service.socket_fault(fault, None)
    }

    /// All endpoints expire now, whatever their `expirationDateTime`.
    pub fn expire_endpoints(&self) {
        self.service.with(|world| world.expire_endpoints(Instant::now(), |_| true));
        self.service.wake_clock();
    }

    /// What was asked, oldest first; the last 10,000 requests.
    pub fn requests(&self) -> Vec<Request> {
        self.service.with(|world| world.journal.requests().cloned().collect())
    }

    /// Counts since the start.
    pub fn stats(&self) -> Stats {
        self.service.stats()
    }

    pub(crate) fn service(&self) -> &Arc<Service> {
        &self.service
    }

    /// Closes every connection, gives the port back, and waits until all of them have ended, 5 s at most. Dropping the
    /// future is as dropping the emulator.
    pub async fn shutdown(mut self) {
        self.service.stop.cancel();
        // The engine's own tasks end with their sessions, and those with their connections.
        self.io.close().await;
        let deadline = Instant::now() + PARTING;
        while (!self.tasks.is_empty() || !self.service.lines.is_empty()) && Instant::now() < deadline {
            // Again, because a connection may have come in at the last moment.
            self.service.lines.hang_up_all();
            if self.tasks.is_empty() {
                tokio::time::sleep(Duration::from_millis(1)).await;
            } else {
                drop(tokio::time::timeout(HANG_UP_AGAIN, self.tasks.join_next()).await);
            }
        }
    }
}

impl Drop for Emulator {
    fn drop(&mut self) {
        self.service.stop.cancel();
        self.service.lines.hang_up_all();
        // `JoinSet` aborts what is left.
    }
}

impl Service {
    /// The one way to the state. Nothing waits inside.
    pub(crate) fn with<T>(&self, f: impl FnOnce(&mut World) -> T) -> T {
        f(&mut self.world.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub(crate) fn wake_clock(&self) {
        self.clock.notify_one();
    }

    pub(crate) fn stats(&self) -> Stats {
        let open = self.lines.websockets().len();
        self.with(|world| world.stats(open))
    }

    /// Acts on the websockets of a drive's subscribers, or on all there are.
    pub(crate) fn socket_fault(&self, fault: &SocketFault, drive: Option<&str>) -> usize {
        let sockets = self.with(|world| world.sockets(drive));
        if *fault == SocketFault::Disconnect {
            let count = sockets.len();
            for (socket, _) in sockets {
                // One whose buffer is full is told by its endpoint's expiry, as on a bad day.
                drop(socket.disconnect());
            }
            return count;
        }
        let mut lines = self.lines.websockets();
        if drive.is_some() {
            lines.retain(|line| sockets.iter().any(|(_, id)| *id == line.id()));
        }
        for line in &lines {
            match fault {
                SocketFault::Disconnect => {}
                SocketFault::CloseEngine => drop(line.say("1")),
                SocketFault::CloseWebsocket => drop(line.close_websocket()),
                SocketFault::HangUp => line.meet(Fate::HungUp),
                SocketFault::Reset => line.meet(Fate::Reset),
                SocketFault::Stall => line.meet(Fate::Stalled),
                SocketFault::Resume => line.meet(Fate::Open),
                SocketFault::Frame(text) => drop(line.say(text)),
                SocketFault::Bytes(bytes) => drop(line.inject(bytes.clone())),
            }
        }
        lines.len()
    }

    /// Sends signals when they are due and parts with sockets when their endpoint expires.
    async fn keep_time(self: Arc<Self>) {
        loop {
            let (parting, next) = self.with(|world| (world.tick(Instant::now()), world.next()));
            self.part(parting);
            let due = async {
                match next {
                    Some(next) => tokio::time::sleep_until(next).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = self.stop.cancelled() => return,
                () = self.clock.notified() => {}
                () = due => {}
            }
        }
    }

    fn part(&self, parting: Parting) {
        let Parting { how, sockets } = parting;
        match how {
            Expiry::Silent => {}
            Expiry::Disconnect => {
                for (socket, _) in sockets {
                    drop(socket.disconnect());
                }
            }
            Expiry::CloseWebsocket => {
                for line in self.lines.websockets() {
                    if sockets.iter().any(|(_, id)| *id == line.id()) {
                        line.close_websocket();
                    }
                }
            }
        }
    }
}

impl std::fmt::Debug for Service {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Service").field("origin", &self.origin).finish_non_exhaustive()
    }
}
