//! The commands.

use std::io::{self, IsTerminal as _, Write as _};

use drivetap_bridge::core::schema;

use crate::cli::{Command, SchemaOf};
use crate::config::{Config, Log, Purpose, SCHEMA};
use crate::env::Env;
use crate::exit::Failure;

/// What the standard streams are connected to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Streams {
    /// Whether a person reads standard output.
    pub stdout_is_terminal: bool,
    /// Whether they want colours there (<https://no-color.org>).
    pub coloured: bool,
}

impl Streams {
    /// Looks at the process's own.
    #[must_use]
    pub fn of_the_process(env: &Env) -> Self {
        let stdout_is_terminal = io::stdout().is_terminal();
        let coloured =
            stdout_is_terminal && env.filled("NO_COLOR").is_none() && env.get("TERM").is_none_or(|term| term != "dumb");
        Self { stdout_is_terminal, coloured }
    }
}

/// A command that has everything it needs.
pub struct Prepared {
    work: Work,
    log: Log,
}

enum Work {
    Print(String),
    Say(String),
}

/// Reads what the command names, so that a mistake is said before anything starts.
///
/// # Errors
/// 78 for a bad configuration.
pub fn prepare(command: Command, env: &Env, _streams: Streams) -> Result<Prepared, Failure> {
    let work = match command {
        Command::Path { resource } => Work::Print(resource.endpoint_path()),
        Command::Schema { what: SchemaOf::Event } => Work::Print(schema::event().trim_end().to_owned()),
        Command::Schema { what: SchemaOf::Config } => Work::Print(SCHEMA.trim_end().to_owned()),
        Command::Validate(from) => {
            Config::load(&from.config, env, Purpose::Service).map_err(Failure::config)?;
            Work::Say(format!("{}: valid", from.config.display()))
        }
        other => return Err(Failure::internal(format_args!("not yet: {other:?}"))),
    };
    Ok(Prepared { work, log: Log::default() })
}

impl Prepared {
    /// How it wants its logs.
    #[must_use]
    pub fn log(&self) -> Log {
        self.log
    }

    /// Does it.
    ///
    /// # Errors
    /// What ended it.
    pub async fn run(self) -> Result<(), Failure> {
        match self.work {
            Work::Print(text) => print(&text),
            Work::Say(text) => crate::logs::say(&text),
        }
        Ok(())
    }
}

/// To standard output, which may be a closed pipe: then nobody wanted it.
fn print(text: &str) {
    let _ = writeln!(io::stdout(), "{text}");
}
