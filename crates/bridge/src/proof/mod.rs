//! The proofs: a simulated world around the code that can lose data, and consumers that fold what arrived.
//!
//! ```text
//!  World    what a crash leaves: drive, Graph's moods, store, the sinks' logs, both clocks      world.rs, drive.rs
//!  Process  what a crash takes: Feed, inlets, batches, everything under way                     process.rs
//!  Consumer what somebody else makes of a sink's log; its state must equal the drive's          consumer.rs
//! ```
//! The real `Feed`, `Inlet`, `Progress` and `Batch` are driven; only the waiting around them is simulated. [`crash_points`] crashes after
//! every action of its scenarios, and after every action of the run that follows; [`model`] does what chance suggests.

mod consumer;
mod crash_points;
mod drive;
mod model;
mod process;
mod world;
