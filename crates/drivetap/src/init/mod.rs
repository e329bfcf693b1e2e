//! `init`: a commented starter configuration that `validate` accepts.

mod ask;
mod starter;
#[cfg(test)]
mod tests;

use std::fs;
use std::io::{self, IsTerminal as _, Write as _};
#[cfg(unix)]
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use clap::Args;
use drivetap_bridge::core::{AccountName, Resource};
use drivetap_bridge::graph::{BaseUrl, Cloud};
use tempfile::NamedTempFile;

pub use self::starter::SinkChoice;
use self::starter::{SCHEMA_FILE, Starter, TokenChoice};
use crate::config::{Config, Purpose, SCHEMA};
use crate::env::Env;
use crate::exit::Failure;
use crate::login;
use crate::logs::say;

pub(crate) const EXAMPLES: &str = "\
Examples:
  drivetap init                                   asks, on a terminal; signs in at the end
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
    /// Graph's address with its version, https or loopback (default: what the login is for)
    #[arg(long, value_name = "URL")]
    pub base_url: Option<BaseUrl>,
    /// The login that the access token comes from (default: the account's, where DRIVETAP_TOKEN is not set)
    #[arg(long, value_name = "NAME", conflicts_with_all = ["token_env", "token_file"])]
    pub login: Option<AccountName>,
    /// The environment variable that holds the access token (default: DRIVETAP_TOKEN, where it is set)
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

/// Asks what is missing, writes, and signs in where that was said.
///
/// # Errors
/// 64 where the file is there already, or the answers make no configuration; 69 where it cannot be written; what a sign-in ends with.
pub(crate) async fn run(args: Init, env: &Env) -> Result<(), Failure> {
    let to_stdout = args.file.as_os_str() == "-";
    if !to_stdout {
        refuse_to_overwrite(&args)?;
    }
    let asks = !args.yes && io::stdin().is_terminal() && io::stderr().is_terminal();
    let (file, force) = (args.file.clone(), args.force);
    let starter = match asks {
        true => ask::starter(args, env, &mut io::stdin().lock(), &mut io::stderr())?,
        false => answered(args, env)?,
    };
    let text = checked(&starter, &file)?;
    if to_stdout {
        return io::stdout().write_all(text.as_bytes()).or_else(|error| match error.kind() {
            io::ErrorKind::BrokenPipe => Ok(()),
            _ => Err(Failure::unavailable(format_args!("standard output cannot be written: {error}"))),
        });
    }
    write(&schema_beside(&file), SCHEMA, true)?;
    write(&file, &text, force)?;
    let name = file.display().to_string();
    say(&format!("{name} is written."));
    let wanted = if asks { ask::sign_in(&starter, env, &mut io::stdin().lock(), &mut io::stderr()) } else { Ok(None) };
    let signed_in = match wanted {
        Ok(Some(wanted)) => login::sign_in(wanted, env, false).await,
        Ok(None) => Ok(()),
        Err(failure) => Err(failure),
    };
    say(&starter.next_steps(&name, env));
    signed_in
}

/// What no flag says is the default.
fn answered(args: Init, env: &Env) -> Result<Starter, Failure> {
    let Init { resource, sink, account, cloud, base_url, login, token_env, token_file, .. } = args;
    let account = account.unwrap_or_default();
    let token = match (login, token_env, token_file) {
        (_, _, Some(path)) => TokenChoice::File(path),
        (_, Some(name), None) => TokenChoice::Env(name),
        (Some(name), None, None) => TokenChoice::Login(name),
        (None, None, None) => default_token(&account, env),
    };
    let (cloud, base_url) = match (cloud, base_url) {
        (None, None) => of_the_login(&token, env),
        said => said,
    };
    Starter {
        resources: if resource.is_empty() { vec![Resource::Me] } else { resource },
        sinks: if sink.is_empty() { vec![SinkChoice::Stdout] } else { sink },
        account,
        cloud,
        base_url,
        token,
    }
    .without_repeats()
    .map_err(Failure::usage)
}

/// The variable for who has it, as for `listen`; else the account's login.
fn default_token(account: &AccountName, env: &Env) -> TokenChoice {
    const TOKEN: &str = "DRIVETAP_TOKEN";

    if env.filled(TOKEN).is_some() { TokenChoice::Env(TOKEN.to_owned()) } else { TokenChoice::Login(account.clone()) }
}

/// The Graph that somebody signed in to: its token is for no other.
fn of_the_login(token: &TokenChoice, env: &Env) -> (Option<Cloud>, Option<BaseUrl>) {
    let TokenChoice::Login(name) = token else { return (None, None) };
    let Some(graph) = login::graph_of(env, name).filter(|graph| *graph != BaseUrl::default()) else { return (None, None) };
    match Cloud::ALL.into_iter().find(|cloud| BaseUrl::from(*cloud) == graph) {
        Some(cloud) => (Some(cloud), None),
        None => (None, Some(graph)),
    }
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

/// The whole file or none of it: what is stopped half way leaves what was there.
fn write(path: &Path, text: &str, over: bool) -> Result<(), Failure> {
    let dir = path.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let written = beside(dir, text).and_then(|file| {
        let placed = if over { file.persist(path) } else { file.persist_noclobber(path) };
        placed.map(|_| ()).map_err(|error| error.error)
    });
    written.map_err(|error| Failure::unavailable(format_args!("{} cannot be written: {error}", path.display())))
}

fn beside(dir: &Path, text: &str) -> io::Result<NamedTempFile> {
    let mut options = tempfile::Builder::new();
    options.prefix(".drivetap-");
    // As the shell's umask has it: there is no secret in it.
    #[cfg(unix)]
    options.permissions(fs::Permissions::from_mode(0o666));
    let mut file = options.tempfile_in(dir)?;
    file.write_all(text.as_bytes())?;
    Ok(file)
}
