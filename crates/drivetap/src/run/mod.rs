//! The commands.

#[cfg(feature = "reqwest")]
mod check;
mod connect;
#[cfg(feature = "demo")]
mod demo;
#[cfg(feature = "reqwest")]
mod discover;
mod events_source;
mod listen;
mod look_up;
mod ready;
mod record;
mod replay;
mod service;
mod sign_in;
#[cfg(feature = "demo")]
mod trigger;
mod verify;
mod walks;
mod whose;

use std::io::{self, IsTerminal as _, Write as _};
use std::time::Duration;

use drivetap_bridge::core::schema;
use drivetap_bridge::{Pipeline, Report, RunError};
use tokio_util::sync::CancellationToken;

use crate::arguments::{self, Colour};
use crate::cli::{Command, Man, SchemaOf};
use crate::config::{Account, Config, Log, OutputFormat, Purpose, SCHEMA};
use crate::env::Env;
use crate::exit::Failure;
use crate::init::{self, Init};
use crate::login;
use crate::logs::{self, say};
use crate::wiring::StdoutClosed;

/// What the standard streams are connected to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Streams {
    /// Whether a person reads standard output.
    pub stdout_is_terminal: bool,
    /// Whether they want colours there (<https://no-color.org>).
    pub coloured: bool,
    /// Whether a line on standard error may move: a person looks at it.
    pub stderr_moves: bool,
}

impl Streams {
    /// Looks at the process's own. `colour` is what was asked for, and wins over `NO_COLOR` and `TERM`.
    #[must_use]
    pub fn of_the_process(env: &Env, colour: Colour) -> Self {
        let stdout_is_terminal = io::stdout().is_terminal();
        let plain = env.filled("NO_COLOR").is_some() || env.get("TERM").is_some_and(|term| term == "dumb");
        let coloured = match colour {
            Colour::Auto => stdout_is_terminal && !plain,
            Colour::Always => true,
            Colour::Never => false,
        };
        let dumb = env.get("TERM").is_none_or(|term| term == "dumb");
        Self { stdout_is_terminal, coloured, stderr_moves: io::stderr().is_terminal() && !dumb }
    }

    /// What is asked for, else text for a person and JSON for a program.
    fn format(self, asked: Option<OutputFormat>) -> OutputFormat {
        asked.unwrap_or(if self.stdout_is_terminal { OutputFormat::Text } else { OutputFormat::Json })
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
    Init(Init, Env),
    Service(Box<service::Service>),
    Listen(Box<listen::Listening>),
    Record(Box<record::RecordingRun>),
    Replay(crate::everyday::Replay, Env, Streams),
    Verify(Box<verify::Verification>),
    Login(Box<login::Login>, Env),
    Logout(login::Logout, Env),
    Accounts(login::Accounts, Env),
    #[cfg(feature = "demo")]
    Demo(Box<demo::Demonstration>),
    #[cfg(feature = "demo")]
    Emulator(crate::cli::EmulatorArgs),
    #[cfg(feature = "demo")]
    Trigger(crate::everyday::Trigger),
    #[cfg(feature = "reqwest")]
    Discover(Box<discover::Discovery>),
    #[cfg(feature = "reqwest")]
    Check(Box<check::Checking>),
}

/// Reads what the command names, so that a mistake is said before anything starts.
///
/// # Errors
/// 78 for a bad configuration and for what is not compiled in, 64 for arguments that do not fit together.
pub fn prepare(command: Command, env: &Env, streams: Streams) -> Result<Prepared, Failure> {
    // Beside readable events, what goes well is noise.
    let quiet = Log { level: tracing::Level::WARN, ..Log::default() };
    let (work, log) = match command {
        Command::Path { resource } => (Work::Print(resource.endpoint_path()), quiet),
        Command::Schema { what: SchemaOf::Event } => (Work::Print(schema::event().trim_end().to_owned()), quiet),
        Command::Schema { what: SchemaOf::Config } => (Work::Print(SCHEMA.trim_end().to_owned()), quiet),
        Command::Completions { shell } => (Work::Print(arguments::completions(shell)), quiet),
        Command::Man(args) => (manual(args)?, quiet),
        Command::Init(args) => (Work::Init(args, env.clone()), quiet),
        Command::Validate(from) => {
            Config::load(&from.config, env, Purpose::Validation)?;
            (Work::Say(format!("{}: valid", from.config.display())), quiet)
        }
        Command::Run(from) => {
            let config = Config::load(&from.config, env, Purpose::Service)?;
            let log = config.log;
            (Work::Service(Box::new(service::Service::new(config, env.clone(), streams))), log)
        }
        Command::Verify(args) => (Work::Verify(Box::new(verify::Verification::new(args, env, streams)?)), quiet),
        Command::Listen(args) => (Work::Listen(Box::new(listen::Listening::new(*args, env, streams)?)), quiet),
        Command::Record(args) => (Work::Record(Box::new(record::RecordingRun::new(*args, env, streams)?)), quiet),
        Command::Replay(args) => (Work::Replay(args, env.clone(), streams), quiet),
        Command::Login(args) => (Work::Login(args, env.clone()), quiet),
        Command::Logout(args) => (Work::Logout(args, env.clone()), quiet),
        Command::Accounts(args) => (Work::Accounts(args, env.clone()), quiet),
        #[cfg(feature = "demo")]
        Command::Demo(args) => (Work::Demo(Box::new(demo::Demonstration::new(args, streams))), quiet),
        #[cfg(feature = "demo")]
        Command::Emulator(args) => (Work::Emulator(args), quiet),
        #[cfg(feature = "demo")]
        Command::Trigger(args) => (Work::Trigger(args), quiet),
        #[cfg(feature = "reqwest")]
        Command::Discover(args) => (Work::Discover(Box::new(discover::Discovery::new(*args, env)?)), quiet),
        #[cfg(feature = "reqwest")]
        Command::Check(args) => (Work::Check(Box::new(check::Checking::new(*args, env, streams)?)), quiet),
        #[cfg(not(feature = "reqwest"))]
        Command::Discover(_) | Command::Check(_) => return Err(Failure::not_compiled_in("Graph over HTTPS", "reqwest")),
        #[cfg(not(feature = "demo"))]
        Command::Demo(_) | Command::Emulator(_) | Command::Trigger(_) => {
            return Err(Failure::not_compiled_in("the emulator", "demo"));
        }
    };
    Ok(Prepared { work, log })
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
            Work::Print(text) => print(&text)?,
            Work::Say(text) => say(&text),
            Work::Init(args, env) => init::run(args, &env).await?,
            Work::Service(service) => service.run().await?,
            Work::Verify(verification) => verification.run().await?,
            Work::Listen(listening) => listening.run().await?,
            Work::Record(recording) => recording.run().await?,
            Work::Replay(args, env, streams) => replay::replay(args, &env, streams).await?,
            Work::Login(args, env) => login::sign_in(*args, &env, true).await?,
            Work::Logout(args, env) => login::sign_out(args, &env).await?,
            Work::Accounts(args, env) => match login::list(&args, &env).await? {
                Some(text) => print(&text)?,
                None => say("nobody is signed in: `drivetap login` does it"),
            },
            #[cfg(feature = "demo")]
            Work::Demo(demonstration) => demonstration.run().await?,
            #[cfg(feature = "demo")]
            Work::Emulator(args) => demo::emulator(args).await?,
            #[cfg(feature = "demo")]
            Work::Trigger(args) => trigger::trigger(args).await?,
            #[cfg(feature = "reqwest")]
            Work::Discover(discovery) => discovery.run().await?,
            #[cfg(feature = "reqwest")]
            Work::Check(checking) => checking.run().await?,
        }
        Ok(())
    }
}

fn manual(args: Man) -> Result<Work, Failure> {
    match args.dir {
        None => arguments::man(args.page.as_deref()).map(Work::Print),
        Some(dir) => {
            let written = arguments::write_man(&dir);
            let pages = written.map_err(|error| Failure::unavailable(format_args!("{}: {error}", dir.display())))?;
            Ok(Work::Say(format!("{}: {pages} pages", dir.display())))
        }
    }
}

/// To standard output. A closed pipe is no failure: then nobody wanted it.
pub(crate) fn print(text: &str) -> Result<(), Failure> {
    match writeln!(io::stdout(), "{text}").and_then(|()| io::stdout().flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(Failure::unavailable(format_args!("standard output cannot be written: {error}")))
        }
        _ => Ok(()),
    }
}

/// Runs a pipeline that ends with its reader: `None` when standard output was closed, and there is nothing to say.
async fn until_closed(
    pipeline: Pipeline,
    shutdown: impl Future<Output = ()>,
    deadline: Duration,
    stdout: Option<StdoutClosed>,
    accounts: &[Account],
) -> Result<Option<Report>, Failure> {
    /// For a goodbye on the sockets. What is not printed by then has no reader.
    const GOODBYE: Duration = Duration::from_secs(1);

    #[cfg(feature = "stdout")]
    if let Some(stdout) = stdout.clone() {
        logs::hush_once(move || stdout.is_closed());
    }
    let gone = CancellationToken::new();
    let shutdown = async {
        tokio::select! {
            () = shutdown => {}
            () = gone.cancelled() => {}
        }
    };
    let handle = pipeline.handle();
    let run = pipeline.run(shutdown, deadline);
    tokio::pin!(run);
    tokio::select! {
        ended = &mut run => ended.map(Some).map_err(|error| failure(&error, accounts, &handle.report())),
        () = closed(stdout) => {
            gone.cancel();
            let _ = tokio::time::timeout(GOODBYE, run).await;
            Ok(None)
        }
    }
}

async fn closed(stdout: Option<StdoutClosed>) {
    #[cfg(feature = "stdout")]
    if let Some(mut stdout) = stdout {
        return stdout.wait().await;
    }
    #[cfg(not(feature = "stdout"))]
    let _ = stdout;
    std::future::pending::<()>().await;
}

/// So long; for ever without a time.
async fn after(lasts: Option<Duration>) {
    match lasts {
        Some(lasts) => tokio::time::sleep(lasts).await,
        None => std::future::pending().await,
    }
}

/// A pipeline that ended by itself: why, what helps, and what became of every event.
fn failure(error: &RunError, accounts: &[Account], report: &Report) -> Failure {
    match error {
        RunError::SignIn(_) => {
            let helps = sign_in::hints(accounts);
            Failure::sign_in(format_args!("{error}\n{helps}\n{}", drained(report, "")))
        }
        RunError::Internal(_) => Failure::internal(format_args!("{error}\n{}", drained(report, ""))),
    }
}

fn say_drained(report: &Report, before_the_last: &str) {
    say(&drained(report, before_the_last));
}

/// What became of every event: a line a sink, what else there is to say, and the sums last.
fn drained(report: &Report, before_the_last: &str) -> String {
    let mut lines: Vec<_> = report.sinks.iter().map(ToString::to_string).collect();
    let suppressed = logs::suppressed();
    if suppressed > 0 {
        lines.push(format!("{suppressed} log lines were suppressed: their like was shown too often"));
    }
    if !before_the_last.is_empty() {
        lines.push(before_the_last.to_owned());
    }
    lines.push(format!("drained: {}", report.total()));
    lines.join("\n")
}
