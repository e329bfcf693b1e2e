//! The task that owns a socket, and the handle that owns the task.

mod backlog;
mod handle;
mod line;

#[cfg(feature = "fuzzing")]
pub(super) use self::backlog::{Backlog, notifications};
pub(super) use self::line::Line;
