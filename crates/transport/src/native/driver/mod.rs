//! The task that owns a socket, and the handle that owns the task.

mod backlog;
mod handle;
mod line;

pub(super) use self::line::Line;
