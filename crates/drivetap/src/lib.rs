//! Bridge OneDrive and SharePoint changes from Microsoft Graph to Kafka, Redis and standard output.
//!
//! The program `drivetap` is this library with a short `main`. Whoever builds a pipeline of their own uses `drivetap-bridge`.
//!
//! - [`Cli`]: arguments. [`Config`](config::Config): the file.
//! - [`run`]: the commands. [`Failure`]: how they end when they end badly.
//! - [`logs`]: standard error. [`Env`]: the environment, through one reader.

#![cfg_attr(
    not(all(feature = "reqwest", feature = "stdout", feature = "kafka", feature = "redis")),
    allow(
        clippy::allow_attributes,
        clippy::needless_pass_by_value,
        clippy::unneeded_struct_pattern,
        dead_code,
        unused_imports,
        unused_variables,
        reason = "a build without some of the parts has helpers that nothing uses; the full build is held to every lint"
    )
)]

mod admin;
mod arguments;
mod bounded;
mod cli;
pub mod config;
mod env;
mod escape;
mod everyday;
mod exit;
mod init;
mod login;
pub mod logs;
mod metrics;
mod progress;
mod recording;
pub mod run;
mod signals;
mod sink_url;
mod verify;
mod version;
mod wiring;

pub use arguments::{Colour, Output};
pub use cli::{Cli, Command, Connection, Demo, EmulatorArgs, FromFile, Listen, Man, SchemaOf, Verify};
pub use env::Env;
pub use exit::{Failure, Kind};
pub use init::{Init, SinkChoice};
pub use login::{Accounts, Login, Logout, Scopes};
pub use run::Streams;
pub use sink_url::{SinkUrl, SinkUrlError};
