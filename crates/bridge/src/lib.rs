//! The pipeline: performs what [`drivetap_core::Feed`] decides, and delivers its events to sinks.
//!
//! This crate is also the facade for library users: a [`Pipeline`] is built from the parts that the features select.
//!
//! | feature | brings |
//! |---|---|
//! | `reqwest` | Graph over HTTPS |
//! | `native` | drivetap's own transport |
//! | `rust-socketio` | the transport over the crate of that name |
//! | `stdout`, `kafka`, `redis` | a sink each |
//! | `redb` | cursors in a file |

mod account;
mod builder;
mod clock;
mod dispatch;
mod driver;
mod feeds;
mod lookup;
mod pipeline;
#[cfg(test)]
mod proof;
mod report;
mod settings;
mod shared;
mod status;
mod store;

#[cfg(test)]
mod tests;

pub use builder::{BuildError, PipelineBuilder};
pub use pipeline::{Handle, Pipeline, RunError};
pub use report::{Counts, Report, SinkReport};
pub use settings::{DeadLetters, Role, SinkSettings};
pub use status::{AccountStatus, FeedStatus, PipelineStatus, SinkState, SinkStatus, Unresolved};
pub use store::{Epoch, MemoryStore, Store, StoreError};
#[cfg(feature = "redb")]
pub use store::{OpenStoreError, RedbStore};

#[cfg(feature = "kafka")]
pub use drivetap_sink_kafka as sink_kafka;
#[cfg(feature = "redis")]
pub use drivetap_sink_redis as sink_redis;
#[cfg(feature = "stdout")]
pub use drivetap_sink_stdout as sink_stdout;
pub use {drivetap_core as core, drivetap_graph as graph, drivetap_sink as sink, drivetap_transport as transport};
