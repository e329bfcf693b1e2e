//! Microsoft Graph and its socket.io service on loopback, for tests, demos and desks without a tenant.
//!
//! It answers what a client of the socketIo endpoint meets: the five endpoint paths, the drive behind each, the collections in which
//! drives are found (`/me/drives`, `/me/memberOf`, `/sites?search=`, `/sites/{id}/lists`), delta with pages, deletions and times as tokens, the identity platform's sign-in (device code, authorisation code with PKCE, refresh), and the socket.io service at the `notificationUrl`
//! (websocket only, Engine.IO 4, namespace `/notifications`). Bodies and frames are the captured ones, filled in; what
//! nobody outside Microsoft knows is a [switch](Switches), what goes wrong is a [fault](Fault).
//!
//! ```
//! use drivetap_emulator::{Config, Emulator, ME_DRIVE};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let emulator = Emulator::start(Config::default()).await?;
//! println!("point a client at {}", emulator.base_url());
//!
//! let drive = emulator.drive(ME_DRIVE).ok_or("it is in the standard seed")?;
//! drive.create("/Plans", "Roadmap.pptx")?; // logged for delta, and signalled to who listens
//! emulator.shutdown().await;
//! # Ok(())
//! # }
//! ```
//!
//! # Control API
//!
//! The same by hand, on the emulator's own port. Bodies are JSON and need `Content-Type: application/json`, an empty one
//! is `{}`. An error is `{"error": "…"}` with a status that fits.
//!
//! | request | does |
//! |---|---|
//! | `GET /control/drives` | lists the drives: id, kind, name, items, subscribers |
//! | `POST /control/drives` | adds a [drive](NewDrive): `{"kind":"personal"}`; answers its id |
//! | `POST /control/bind` | `{"group":…,"drive":…}` or `{"site":…,"list":…,"drive":…}` makes a path mean a drive |
//! | `GET /control/drives/{id}` | lists the items: id, name |
//! | `POST /control/drives/{id}` | makes a [change](Change): `{"op":"rename","item":"/Notes.md","name":"Old notes.md"}`; answers the item's id |
//! | `POST /control/drives/{id}/burst` | `{"files":300}` creates files at once |
//! | `POST /control/drives/{id}/signal` | `{"count":2}` signals without a change |
//! | `POST /control/drives/{id}/expire-tokens` | delta tokens handed out so far answer 410 |
//! | `GET`, `POST /control/switches` | shows the [switches](Switches); changes those that are given |
//! | `POST /control/faults` | adds a [fault](Fault) to the queue |
//! | `DELETE /control/faults` | forgets the faults that wait |
//! | `POST /control/sockets` | `{"fault":"reset","drive":"…"}` does something to open [sockets](SocketFault); without a drive, to all |
//! | `POST /control/sign-in` | `{"user_code":"…","account":"default"}` types a device code in; without an account, declines |
//! | `POST /control/tokens/revoke` | voids every token that the token endpoint gave out |
//! | `POST /control/endpoints/expire` | every `notificationUrl` expires now |
//! | `GET /control/stats` | [counts](Stats) |
//! | `GET /control/requests?after=N` | the [requests](Request) since number N |
//!
//! # Bounds
//!
//! Everything is in memory and bounded: [items and tombstones](Limits) a drive, 10,000 requests in the log, 1,024 faults,
//! 100,000 signals that wait for their delay, 1,024 frames that wait for a slow socket, 50,000 endpoints, 32,768
//! connections. What is said about the full one stands where it is declared. A drive's change log holds each item once,
//! at its latest change, so it grows with the items and never with the changes.
//!
//! # Not a test of drivetap by itself
//!
//! This crate depends on no other crate of drivetap: it parses paths, spells URLs and writes frames by its own code, from
//! the same facts, so that a mistake in one is not repeated by the other.

mod accounts;
mod animate;
mod browse;
mod control;
mod delta;
mod drive;
mod emulator;
mod endpoint;
mod fault;
mod graph;
mod journal;
mod login;
mod loose;
mod model;
mod refused;
mod resource;
mod socket;
mod switches;
mod text;
mod wire;
mod world;

pub use accounts::Account;
pub use animate::Animation;
pub use drive::DriveHandle;
pub use emulator::{Config, Emulator, Seed, SocketFault, StartError};
pub use fault::{Answer, Fault, Route};
pub use journal::{Request, Secret, Stats};
pub use loose::{DeltaFrom, DeltaPage, LooseDrive, TokenGone};
pub use model::{
    Change, ChangeError, DriveKind, GROUP, GROUP_DRIVE, LIST, LIST_DRIVE, Limits, ME_DRIVE, NewDrive, PERSONAL_DRIVE, SITE,
};
pub use refused::LoginError;
pub use switches::{
    Ancestors, DriveIdSpelling, Expiry, Gone, Handshake, Links, Location, Payload, RefreshTokens, StaleUrl, Switches, Tombstones,
};
