use std::ffi::OsString;
use std::io::{self, Write as _};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Args, FromArgMatches as _, Parser, Subcommand, ValueEnum};
use drivetap_bridge::core::{AccountName, Resource};
use drivetap_bridge::graph::{BaseUrl, Cloud};
use jiff::Timestamp;

use crate::arguments::{self, Output};
use crate::config::{self, OutputFormat};
use crate::escape;
use crate::everyday::{self, Check, Discover, Record, Replay, Trigger};
use crate::exit::Kind;
use crate::init::{self, Init};
use crate::login::{self, Accounts, Login, Logout};
use crate::run;
use crate::sink_url::SinkUrl;
use crate::version;

/// Bridge OneDrive and SharePoint changes from Microsoft Graph to Kafka, Redis and standard output.
///
/// Standard output carries events and nothing else; logs go to standard error.
#[derive(Debug, Parser)]
#[command(name = "drivetap", version, subcommand_required = true, arg_required_else_help = true, after_help = EXAMPLES)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
    /// With --version: as one JSON object
    #[arg(long, requires = "version")]
    pub json: bool,
    /// How standard error and colours look.
    #[command(flatten)]
    pub output: Output,
}

const EXAMPLES: &str = "\
Examples:
  drivetap demo                                   the whole path, without a tenant
  drivetap login                                  sign in, once; it says how to register an application
  drivetap discover                               what I can see, as resources to paste
  drivetap listen me                              my drive's events, a line each
  drivetap listen drive:b!abc --sink kafka://localhost:9092/drive-events
  drivetap init                                   write a configuration, from answers
  drivetap validate -c drivetap.toml              what is wrong with a configuration
  drivetap check -c drivetap.toml                 what is wrong between here and the sinks
  drivetap run -c drivetap.toml                   the service
  drivetap verify -c drivetap.toml --sink bus     whether the sink has what the drive has

Exit codes:
  0 done, 1 verify found a difference, 64 bad arguments, 69 Graph or a sink unreachable where
  needed, 70 internal error, 77 sign-in needed, 78 bad configuration, 130 and 143 stopped by a
  second signal";

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run the service: every subscription and sink of a configuration, until SIGTERM or SIGINT
    #[command(after_help = "Example:\n  drivetap run -c /etc/drivetap/drivetap.toml")]
    Run(FromFile),
    /// Print what happens in drives, or send it to a sink, without a configuration
    #[command(after_help = LISTEN_EXAMPLES)]
    Listen(Box<Listen>),
    /// Show the whole path on a Graph emulator inside this process; ends by itself
    #[command(after_help = "Examples:\n  drivetap demo\n  drivetap demo --for 5s --rate 10 | jq .type")]
    Demo(Demo),
    /// Play Microsoft Graph and its socket.io service on a loopback address, until SIGTERM or SIGINT
    #[command(after_help = EMULATOR_EXAMPLES)]
    Emulator(EmulatorArgs),
    /// Make changes in the drives of a running emulator
    #[command(after_help = everyday::TRIGGER_EXAMPLES)]
    Trigger(Trigger),
    /// Check everything between here and the sinks, a line each: DNS, TLS, clock, token, endpoint, socket, delta; publishes nothing
    #[command(after_help = everyday::CHECK_EXAMPLES)]
    Check(Box<Check>),
    /// List what the account can see as resources ready to paste: drives, groups, libraries of sites
    #[command(after_help = everyday::DISCOVER_EXAMPLES)]
    Discover(Box<Discover>),
    /// Write down what Graph and its socket say of a drive, to be handed over: no token, and no name unless asked for
    #[command(after_help = everyday::RECORD_EXAMPLES)]
    Record(Box<Record>),
    /// Run what `record` wrote through the pipeline again, to standard output
    #[command(after_help = "Example:\n  drivetap replay report.jsonl | jq .type")]
    Replay(Replay),
    /// Sign in, and stay signed in: token = { login = "NAME" } in a configuration
    #[command(after_help = login::LOGIN_EXAMPLES)]
    Login(Box<Login>),
    /// Delete a login's tokens from this machine
    #[command(after_help = "Example:\n  drivetap logout --account work")]
    Logout(Logout),
    /// Show who is signed in, with which scopes, and until when
    #[command(after_help = "Examples:\n  drivetap accounts\n  drivetap accounts --json | jq '.[].user'")]
    Accounts(Accounts),
    /// Print the path of Graph's socketIo endpoint for a resource, and nothing else
    #[command(after_help = "Example:\n  drivetap path site:contoso.sharepoint.com,1f2e,3d4c/list:Documents")]
    Path {
        /// me, drive:ID, drive-list:ID, group:ID, site:ID/list:ID, or a Graph path
        resource: Resource,
    },
    /// Say everything that is wrong with a configuration; touches no network
    #[command(after_help = "Example:\n  drivetap validate -c drivetap.toml")]
    Validate(FromFile),
    /// Read a sink's events back, enumerate the drives afresh, and say where the two differ
    ///
    /// The events are folded as a consumer does that drops repeats. The last line is the numbers: missing (the drive has it, the events do
    /// not), extra (the events have it, the drive does not), stale (both have it, and it differs), repeats (events told again), not covered
    /// (never told, and last modified before the feed's first event). Before it come a line for each difference and one for each skip in a
    /// feed's sequence. An item whose event was cut to a stub is compared by its being there. Nothing is written anywhere, and no consumer
    /// group is made.
    ///
    /// Ends with 0 when nothing is missing, extra or stale, else with 1.
    #[command(after_help = VERIFY_EXAMPLES)]
    Verify(Verify),
    /// Print a JSON Schema
    #[command(after_help = "Example:\n  drivetap schema event > event.schema.json")]
    Schema {
        /// Of what
        what: SchemaOf,
    },
    /// Write a commented starter configuration, from answers on a terminal or from flags
    #[command(after_help = init::EXAMPLES)]
    Init(Init),
    /// Print a shell's completions
    #[command(after_help = arguments::COMPLETIONS_EXAMPLES)]
    Completions {
        /// Which shell's
        shell: clap_complete::Shell,
    },
    /// Print a manual page, as roff
    #[command(after_help = arguments::MAN_EXAMPLES)]
    Man(Man),
}

/// `-c FILE`.
#[derive(Debug, Args)]
pub struct FromFile {
    /// The configuration, in TOML
    #[arg(short, long, value_name = "FILE")]
    pub config: PathBuf,
}

const EMULATOR_EXAMPLES: &str = "\
Examples:
  drivetap emulator --rate 2
  drivetap login --base-url http://127.0.0.1:4010/v1.0    in another terminal; then discover, listen me
  drivetap trigger create /Hello.docx                     a change by hand";

const LISTEN_EXAMPLES: &str = "\
Examples:
  drivetap listen me
  drivetap listen me group:02bd9fd6 --format json | jq .data
  drivetap listen drive:b!abc --token-file token.txt --sink 'redis://127.0.0.1?channel=drive-events'
  drivetap listen me --type change --since 2h --for 60s
  drivetap listen me -c drivetap.toml --account work";

/// `listen`.
#[derive(Debug, Args)]
pub struct Listen {
    /// me, drive:ID, drive-list:ID, group:ID, site:ID/list:ID, or a Graph path; several may be given
    #[arg(required = true, value_name = "RESOURCE")]
    pub resources: Vec<Resource>,
    /// Where events go.
    #[arg(
        long,
        value_name = "URL",
        default_value = "stdout:",
        hide_default_value = true,
        help = "Where events go: kafka://HOST:PORT[,…]/TOPIC, redis[s]://[USER:PASS@]HOST:PORT[/DB]?channel=NAME, stdout:"
    )]
    pub sink: SinkUrl,
    /// How a line on standard output looks; text on a terminal, JSON elsewhere
    #[arg(long)]
    pub format: Option<OutputFormat>,
    /// What is shown, both unless told otherwise; gaps come with signals, resyncs with changes
    #[arg(long = "type", value_name = "TYPE", value_delimiter = ',', default_values = ["change", "signal"], hide_default_value = true)]
    pub types: Vec<EventKind>,
    /// Begin with what changed since then: 2h, or 2026-05-28T20:00:00Z
    #[arg(long, value_name = "DURATION|TIME")]
    pub since: Option<Since>,
    /// End by itself after this long
    #[arg(long = "for", value_name = "DURATION", value_parser = duration)]
    pub lasts: Option<Duration>,
    /// How Graph is reached.
    #[command(flatten)]
    pub connection: Connection,
}

/// `--type`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum EventKind {
    /// What delta reports, item by item
    Change,
    /// The notifications themselves
    Signal,
}

/// `--since`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Since {
    /// So long ago.
    Ago(Duration),
    /// At this time.
    At(Timestamp),
}

impl Since {
    /// The moment itself; the beginning of time where it would lie before.
    #[must_use]
    pub fn before(self, now: Timestamp) -> Timestamp {
        match self {
            Self::At(time) => time,
            Self::Ago(duration) => now.checked_sub(duration).unwrap_or(Timestamp::UNIX_EPOCH),
        }
    }
}

impl FromStr for Since {
    type Err = String;

    fn from_str(written: &str) -> Result<Self, Self::Err> {
        let time = || written.parse().map(Self::At).map_err(|_| "write 2h, 30m, or a time like 2026-05-28T20:00:00Z".to_owned());
        duration(written).map(Self::Ago).or_else(|_| time())
    }
}

/// How Graph is reached: by flags, or as a configuration says.
#[derive(Debug, Args)]
pub struct Connection {
    /// Take Graph, accounts and network from this configuration
    #[arg(short, long, value_name = "FILE", conflicts_with_all = ["base_url", "cloud", "token_env", "token_file"])]
    pub config: Option<PathBuf>,
    /// Graph's address with its version, https or loopback (default: what the login is for)
    #[arg(long, value_name = "URL", conflicts_with = "cloud")]
    pub base_url: Option<BaseUrl>,
    /// One of Graph's deployments: global, us-gov-l4, us-gov-l5, china
    #[arg(long)]
    pub cloud: Option<Cloud>,
    /// The environment variable that holds the access token (default: DRIVETAP_TOKEN; without it, the login)
    #[arg(long, value_name = "NAME", conflicts_with = "token_file", value_parser = clap::builder::NonEmptyStringValueParser::new())]
    pub token_env: Option<String>,
    /// A file that holds the access token and nothing else; read at each request
    #[arg(long, value_name = "FILE")]
    pub token_file: Option<PathBuf>,
    /// The account's name in events, and of its login; with -c, which account of the configuration
    #[arg(long, value_name = "NAME")]
    pub account: Option<AccountName>,
}

const VERIFY_EXAMPLES: &str = "\
Examples:
  drivetap verify -c drivetap.toml --sink bus
  drivetap verify -c drivetap.toml --sink bus --json | jq .missing
  drivetap verify -c drivetap.toml --events events.jsonl     what standard output was redirected to
  xzcat events.jsonl.xz | drivetap verify -c drivetap.toml --events -";

/// `verify`.
#[derive(Debug, Args)]
pub struct Verify {
    /// The configuration, in TOML: Graph, accounts and subscriptions are as in `run`
    #[arg(short, long, value_name = "FILE")]
    pub config: PathBuf,
    /// The sink whose events are read back, by its name; it has to be Kafka
    #[arg(long, value_name = "NAME", required_unless_present = "events")]
    pub sink: Option<String>,
    /// Take the events from a file of structured events, one a line, instead; `-` is standard input
    #[arg(long, value_name = "FILE")]
    pub events: Option<PathBuf>,
    /// How long after a look a difference is looked at again before it counts
    #[arg(long, value_name = "DURATION", default_value = "60s", value_parser = duration)]
    pub recheck_after: Duration,
    /// Print one JSON object instead of lines
    #[arg(long)]
    pub json: bool,
}

/// `demo`.
#[derive(Debug, Args)]
pub struct Demo {
    /// How long it lasts
    #[arg(long = "for", value_name = "DURATION", default_value = "30s", value_parser = duration)]
    pub lasts: Duration,
    /// How a line looks; text on a terminal, JSON elsewhere
    #[arg(long)]
    pub format: Option<OutputFormat>,
    /// How many changes a second are made, on average
    #[arg(long, value_name = "N", default_value = "2", value_parser = rate)]
    pub rate: f64,
}

/// `emulator`.
#[derive(Debug, Args)]
pub struct EmulatorArgs {
    /// A loopback address
    #[arg(long, value_name = "IP:PORT", default_value = "127.0.0.1:4010")]
    pub listen: SocketAddr,
    /// How many changes a second are made, on average; 0: only those that are asked for
    #[arg(long, value_name = "N", default_value = "0", value_parser = rate)]
    pub rate: f64,
}

/// `man`.
#[derive(Debug, Args)]
pub struct Man {
    /// Which command's; the program's own without one
    #[arg(value_name = "COMMAND")]
    pub page: Option<String>,
    /// Write every page into this folder instead, as drivetap.1, drivetap-run.1, …
    #[arg(long, value_name = "DIR", conflicts_with = "page")]
    pub dir: Option<PathBuf>,
}

/// `schema`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum SchemaOf {
    /// The events, in their structured form
    Event,
    /// The configuration
    Config,
}

impl Cli {
    /// Reads arguments, the program's name first. A flag that is absent may stand in the environment.
    ///
    /// # Errors
    /// The exit code, once help, the version or what is wrong was printed.
    pub fn read(args: impl IntoIterator<Item = OsString>) -> Result<Self, Option<Kind>> {
        let args: Vec<_> = args.into_iter().collect();
        let matches = arguments::command_for(&args).try_get_matches_from(&args);
        matches.and_then(|matches| Self::from_arg_matches(&matches)).map_err(|mut error| match error.kind() {
            ErrorKind::DisplayVersion if args.iter().any(|arg| arg == "--json") => {
                let failure = run::print(&version::json().to_string()).err()?;
                escape::to_stderr(&failure.message);
                Some(failure.kind)
            }
            ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => {
                let _ = error.print();
                None
            }
            // What was typed is repeated in it, so it is escaped.
            _ => {
                let variable = arguments::variable_of(&error, &args);
                let value = error.get(ContextKind::InvalidValue);
                if matches!(value, Some(ContextValue::String(url)) if url.contains("://")) {
                    // There may be a password in it.
                    error.insert(ContextKind::InvalidValue, ContextValue::String("…".to_owned()));
                }
                let typed = args.iter().map(|arg| arg.to_string_lossy().into_owned());
                let words = without_passwords(&error.render().to_string(), typed);
                let _ = io::stderr().write_all(escape::lines(&words).as_bytes());
                if let Some(variable) = variable {
                    escape::to_stderr(&format!("The value is that of {variable} in the environment."));
                }
                Some(Kind::Usage)
            }
        })
    }
}

/// A URL may stand where none belongs (`--sink` was forgotten), and what is not understood is repeated: without what may be a password.
fn without_passwords(words: &str, typed: impl Iterator<Item = String>) -> String {
    typed.fold(words.to_owned(), |words, arg| match arg.split_once("://") {
        Some((_, rest)) if rest.contains(['@', '?']) => words.replace(rest, "…"),
        _ => words,
    })
}

pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    match config::duration(text) {
        Some(duration) if duration.is_zero() => Err("it must be above zero".to_owned()),
        Some(duration) => Ok(duration),
        None => Err("write a number and a unit, like 30s or 5m".to_owned()),
    }
}

fn rate(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(rate) if (0.0..=1_000.0).contains(&rate) => Ok(rate),
        _ => Err("write a number of changes a second, from 0 to 1000".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_commands_fit_together() {
        Cli::command().debug_assert();
    }

    #[test]
    fn arguments_are_read_or_refused() {
        let check = |args: &str, accepted: bool| {
            let result = Cli::try_parse_from(std::iter::once("drivetap").chain(args.split_whitespace()));
            assert_eq!(result.is_ok(), accepted, "{args}: {result:?}");
        };
        check("run -c a.toml", true);
        check("run", false);
        check("listen me", true);
        check("listen", false);
        check("listen me drive:b!1 --sink stdout: --format json --token-env T --account a --cloud china", true);
        check("listen me --cloud moon", false);
        check("listen me --base-url http://127.0.0.1:4010/v1.0", true);
        check("listen me --base-url http://graph.example/v1.0", false);
        check("listen me --base-url https://g.example/v1.0 --cloud china", false);
        check("listen me -c a.toml --account work", true);
        check("listen me -c a.toml --token-env T", false);
        check("listen me --token-env T --token-file t", false);
        check("listen me --sink ftp://x", false);
        check("listen me --type change --since 2h --for 60s", true);
        check("listen me --type signal,change --since 2026-05-28T20:00:00Z", true);
        check("listen me --type gap", false);
        check("listen me --since yesterday", false);
        check("listen notes", false);
        check("verify -c a.toml --sink bus", true);
        check("verify -c a.toml --events - --json --recheck-after 5s", true);
        check("verify -c a.toml", false);
        check("verify --sink bus", false);
        check("demo --for 5s --rate 0.5 --format text", true);
        check("demo --for 5", false);
        check("demo --for 0s", false);
        check("demo --rate -1", false);
        check("emulator --listen 127.0.0.1:0", true);
        check("path drive:a/b", false);
        check("schema events", false);
        check("login", true);
        check("login --account work --tenant contoso.onmicrosoft.com --client-id x --browser --cloud china", true);
        check("login --scopes Files.Read,offline_access", true);
        check("login --scopes \"", false);
        check("login --tenant a/b", false);
        check("login --client-id a&b", false);
        check("login --login-url http://login.example", false);
        check("login -c a.toml --cloud china", false);
        check("login --account ../x", false);
        check("logout --account work", true);
        check("accounts --json", true);
    }
}
