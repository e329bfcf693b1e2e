//! `init`: a commented starter configuration that `validate` accepts.

mod ask;
mod starter;
#[cfg(test)]
mod tests;

use std::fs::{self, OpenOptions};
use std::io::{self, IsTerminal as _, Write as _};
use std::path::{Path, PathBuf};

use clap::Args;
use drivetap_bridge::core::{AccountName, Resource};
use drivetap_bridge::graph::{BaseUrl, Cloud};

pub use self::starter::SinkChoice;
use self::starter::{SCHEMA_FILE, Starter, TokenChoice};
use crate::config::{Config, Purpose, SCHEMA};
use crate::env::Env;
use crate::exit::Failure;
use crate::logs::say;

pub(crate) const EXAMPLES: &str = "\
Examples:
  drivetap init                                   asks, on a terminal
  drivetap init --resource me --sink kafka        asks nothing that was said
  drivetap init other.toml --yes --resource group:02bd9fd6 --sink kafka://broker:9092/t
  drivetap init - --yes | less                    to standard output";

/// `init`.
#[derive(Debug, Args)]
pub struct Init {
    /// The file to write; - is standard output
    #[arg(value_name = "FILE", default_value = "drivetap.toml")]
    pub file: PathBuf,
    /// me, drive:ID, drive-list:ID, group:ID, site:ID/list:ID, or a Graph path; may be repeated (default: me)
    #[arg(long, value_name = "RESOURCE")]
    pub resource: Vec<Resource>,
    /// stdout, kafka, redis, or a URL as for `listen`; may be repeated (default: stdout)
    #[arg(long, value_name = "SINK")]
    pub sink: Vec<SinkChoice>,
    /// The account's name in events (default: default)
    #[arg(long, value_name = "NAME")]
    pub account: Option<AccountName>,
    /// One of Graph's deployments: global, us-gov-l4, us-gov-l5, china
    #[arg(long, conflicts_with = "base_url")]
    pub cloud: Option<Cloud>,
    /// Graph's address with its version, https or loopback
    #[arg(long, value_name = "URL")]
    pub base_url: Option<BaseUrl>,
    /// The environment variable that holds the access token (default: DRIVETAP_TOKEN)
    #[arg(long, value_name = "NAME", conflicts_with = "token_file", value_parser = clap::builder::NonEmptyStringValueParser::new())]
    pub token_env: Option<String>,
    /// A file that holds the access token and nothing else
    #[arg(long, value_name = "FILE")]
    pub token_file: Option<PathBuf>,
    /// Ask nothing: what no flag says is the default
    #[arg(short, long)]
    pub yes: bool,
    /// Overwrite the file if it is there
    #[arg(long)]
    pub force: bool,
}

/// Asks what is missing, and writes.
///
/// # Errors
/// 64 where the file is there already, or the answers make no configuration; 69 where it cannot be written.
pub(crate) fn run(args: Init) -> Result<(), Failure> {
    let to_stdout = args.file.as_os_str() == "-";
    if !to_stdout {
        refuse_to_overwrite(&args)?;
    }
    let asks = !args.yes && io::stdin().is_terminal() && io::stderr().is_terminal();
    let (file, force) = (args.file.clone(), args.force);
    let starter = if asks { ask::starter(args, &mut io::stdin().lock(), &mut io::stderr())? } else { answered(args)? };
    let text = checked(&starter, &file)?;
    if to_stdout {
        return io::stdout().write_all(text.as_bytes()).or_else(|error| match error.kind() {
            io::ErrorKind::BrokenPipe => Ok(()),
            _ => Err(Failure::unavailable(format_args!("standard output cannot be written: {error}"))),
        });
    }
    write(&file, &text, force)?;
    write(&schema_beside(&file), SCHEMA, true)?;
    say(&starter.next_steps(&file.display().to_string()));
    Ok(())
}

/// What no flag says is the default.
fn answered(args: Init) -> Result<Starter, Failure> {
    let Init { resource, sink, account, cloud, base_url, token_env, token_file, .. } = args;
    let token = match (token_env, token_file) {
        (_, Some(path)) => TokenChoice::File(path),
        (Some(name), None) => TokenChoice::Env(name),
        (None, None) => TokenChoice::default(),
    };
    Starter {
        resources: if resource.is_empty() { vec![Resource::Me] } else { resource },
        sinks: if sink.is_empty() { vec![SinkChoice::Stdout] } else { sink },
        account: account.unwrap_or_default(),
        cloud,
        base_url,
        token,
    }
    .without_repeats()
    .map_err(Failure::usage)
}

/// The text, read as `validate` reads it: what it would refuse is never written.
fn checked(starter: &Starter, file: &Path) -> Result<String, Failure> {
    let text = starter.to_string();
    // Whatever variable it names will be set by then.
    let env = Env::new(|name| (!name.to_ascii_uppercase().ends_with("_PROXY")).then(|| "set".to_owned()));
    let dir = file.parent().unwrap_or(Path::new(""));
    Config::parse(&text, &file.display().to_string(), dir, &env, Purpose::Validation)?;
    Ok(text)
}

fn schema_beside(file: &Path) -> PathBuf {
    file.with_file_name(SCHEMA_FILE)
}

fn refuse_to_overwrite(args: &Init) -> Result<(), Failure> {
    let there = |path: &Path| Failure::usage(format_args!("{} is there already: --force overwrites it", path.display()));
    if args.force {
        return Ok(());
    }
    if args.file.symlink_metadata().is_ok() {
        return Err(there(&args.file));
    }
    let schema = schema_beside(&args.file);
    match fs::read(&schema) {
        Ok(bytes) if bytes != SCHEMA.as_bytes() => Err(there(&schema)),
        _ => Ok(()),
    }
}

fn write(path: &Path, text: &str, over: bool) -> Result<(), Failure> {
    let mut options = OpenOptions::new();
    options.write(true);
    if over {
        options.create(true).truncate(true)
    } else {
        options.create_new(true)
    };
    let written = options.open(path).and_then(|mut file| file.write_all(text.as_bytes()));
    written.map_err(|error| Failure::unavailable(format_args!("{} cannot be written: {error}", path.display())))
}
