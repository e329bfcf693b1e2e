//! What holds for every argument: a variable of the environment for each flag, colours, completions, manual pages.

use std::ffi::{OsStr, OsString};
use std::io;
use std::path::Path;

use clap::builder::FalseyValueParser;
use clap::error::{ContextKind, ContextValue};
use clap::parser::ValueSource;
use clap::{Arg, ArgAction, Args, ColorChoice, Command, CommandFactory as _, ValueEnum};
use clap_complete::Shell;
use clap_mangen::Man;

use crate::cli::Cli;
use crate::config::{Log, LogFormat};
use crate::exit::Failure;

/// PowerShell's begins with `using`, which may follow nothing else: at the end of a profile it would break the profile.
pub(crate) const COMPLETIONS_EXAMPLES: &str = "\
Examples:
  drivetap completions bash > ~/.local/share/bash-completion/completions/drivetap
  drivetap completions zsh > ~/.zfunc/_drivetap
  drivetap completions fish > ~/.config/fish/completions/drivetap.fish
  drivetap completions powershell | Out-String | Invoke-Expression      in $PROFILE";

pub(crate) const MAN_EXAMPLES: &str = "\
Examples:
  drivetap man | man -l -
  drivetap man listen | man -l -
  drivetap man --dir /usr/local/share/man/man1";

/// Flags of the program, for every command.
#[derive(Clone, Copy, Debug, Args)]
pub struct Output {
    /// How a log line on standard error looks; wins over `[log] format`
    #[arg(long, value_name = "FORMAT", global = true)]
    pub log: Option<LogFormat>,
    /// Whether there are colours; auto: on a terminal, unless NO_COLOR is set
    #[arg(long, value_name = "WHEN", global = true, default_value = "auto")]
    pub color: Colour,
}

impl Output {
    /// What a command or its configuration wants, with what was asked for instead.
    #[must_use]
    pub fn over(self, log: Log) -> Log {
        Log { format: self.log.unwrap_or(log.format), ..log }
    }
}

/// `--color`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Colour {
    /// On a terminal, unless `NO_COLOR` is set or `TERM` is `dumb`.
    #[default]
    Auto,
    /// Everywhere.
    Always,
    /// Nowhere.
    Never,
}

/// The commands, each flag with its variable of the environment.
pub(crate) fn command() -> Command {
    with_variables(Cli::command(), |_, _| true)
}

/// The same, for these arguments: coloured as they ask for it, and a variable whose flag cannot stand beside one that was typed is not
/// read. What is typed wins.
pub(crate) fn command_for(args: &[OsString]) -> Command {
    let bare = Cli::command();
    let typed = bare.clone().ignore_errors(true).try_get_matches_from(args).ok();
    let typed = typed.as_ref().and_then(clap::ArgMatches::subcommand);
    let is_typed = |id: &str| {
        typed.is_some_and(|(_, matches)| {
            matches.try_contains_id(id).is_ok() && matches.value_source(id) == Some(ValueSource::CommandLine)
        })
    };
    let command = with_variables(bare.clone(), |of, arg| {
        let sub = bare.find_subcommand(of);
        let others = sub.into_iter().flat_map(Command::get_arguments).filter(|other| is_typed(other.get_id().as_str()));
        let excluded = |other: &Arg, sub: &Command| {
            let against = |one: &Arg, two: &Arg| sub.get_arg_conflicts_with(one).iter().any(|it| it.get_id() == two.get_id());
            against(other, arg) || against(arg, other)
        };
        !others.into_iter().any(|other| sub.is_some_and(|sub| excluded(other, sub)))
    });
    command.color(colour(args))
}

/// Before the arguments are read: help and errors have colours, too.
fn colour(args: &[OsString]) -> ColorChoice {
    let typed = args.iter().zip(args.iter().skip(1)).find(|(flag, _)| *flag == "--color").map(|(_, when)| when.clone());
    let joined = args.iter().find_map(|arg| Some(OsString::from(arg.to_str()?.strip_prefix("--color=")?)));
    let asked = typed.or(joined).or_else(|| std::env::var_os("DRIVETAP_COLOR"));
    match asked.as_deref().and_then(OsStr::to_str) {
        Some("always") => ColorChoice::Always,
        Some("never") => ColorChoice::Never,
        _ => ColorChoice::Auto,
    }
}

/// Flags that mean the same wherever they are: `DRIVETAP_CONFIG`. Any other has its command in its name: `DRIVETAP_DEMO_RATE`.
const SHARED: [&str; 9] = ["config", "base-url", "cloud", "token-env", "token-file", "account", "log", "color", "format"];

fn with_variables(command: Command, read: impl Fn(&str, &Arg) -> bool) -> Command {
    let one = |of: &str, arg: Arg| {
        let Some(long) = arg.get_long().filter(|long| *long != "help" && *long != "version") else {
            return arg;
        };
        // `--json` beside `--version` is over before the environment counts.
        if (of.is_empty() && long == "json") || arg.get_env().is_some() || !read(of, &arg) {
            return arg;
        }
        let name = if SHARED.contains(&long) { format!("drivetap_{long}") } else { format!("drivetap_{of}_{long}") };
        let name = name.replace('-', "_").to_ascii_uppercase();
        let arg = if matches!(arg.get_action(), ArgAction::SetTrue) { arg.value_parser(FalseyValueParser::new()) } else { arg };
        // A value may be a URL with a password.
        arg.env(name).hide_env_values(true)
    };
    command.mut_args(|arg| one("", arg)).mut_subcommands(|sub| {
        let of = sub.get_name().to_owned();
        sub.mut_args(|arg| one(&of, arg))
    })
}

/// The variable whose value an error is about, where it was not typed.
pub(crate) fn variable_of(error: &clap::Error, args: &[OsString]) -> Option<String> {
    let Some(ContextValue::String(named)) = error.get(ContextKind::InvalidArg) else {
        return None;
    };
    let flag = named.split_whitespace().next()?;
    let is_typed = |arg: &OsString| arg.to_str().is_some_and(|arg| arg.split('=').next() == Some(flag));
    let program = command();
    let subs = program.get_subcommands().filter(|sub| args.iter().any(|arg| arg == sub.get_name()));
    let mut flags = subs.chain([&program]).flat_map(Command::get_arguments);
    let found = flags.find(|arg| arg.get_long().is_some_and(|long| flag.strip_prefix("--") == Some(long)))?;
    let short = found.get_short().map(|short| format!("-{short}"));
    let is_short = |arg: &OsString| short.as_ref().is_some_and(|short| arg.to_str().is_some_and(|arg| arg.starts_with(short)));
    let variable = found.get_env()?.to_str()?;
    (!args.iter().any(|arg| is_typed(arg) || is_short(arg))).then(|| variable.to_owned())
}

/// A shell's completions.
pub(crate) fn completions(shell: Shell) -> String {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut command(), "drivetap", &mut script);
    String::from_utf8_lossy(&script).trim_end().to_owned()
}

/// The manual page of a command, or of the program.
///
/// # Errors
/// 64 where there is no such command.
pub(crate) fn man(page: Option<&str>) -> Result<String, Failure> {
    let pages = pages();
    let name = page.map_or_else(|| "drivetap".to_owned(), |page| format!("drivetap-{page}"));
    match pages.iter().find(|page| page.get_name() == name) {
        Some(page) => roff(page.clone()).map_err(Failure::internal),
        None => {
            let all: Vec<_> = pages.iter().filter_map(|page| page.get_name().strip_prefix("drivetap-")).collect();
            Err(Failure::usage(format_args!(
                "there is no command {:?}: write one of {}",
                page.unwrap_or_default(),
                all.join(", ")
            )))
        }
    }
}

/// Every page into a folder, which is made where it is missing. How many there are.
pub(crate) fn write_man(dir: &Path) -> io::Result<usize> {
    std::fs::create_dir_all(dir)?;
    let pages = pages();
    for page in &pages {
        let name = format!("{}.1", page.get_name());
        std::fs::write(dir.join(name), roff(page.clone())?)?;
    }
    Ok(pages.len())
}

/// The program, its commands and the commands of those, each named as its page is: `drivetap-run`.
fn pages() -> Vec<Command> {
    let mut program = command().disable_help_subcommand(true);
    program.build();
    let (mut pages, mut open) = (Vec::new(), vec![program]);
    while let Some(page) = open.pop() {
        let name = |sub: &Command| {
            let name = format!("{}-{}", page.get_name(), sub.get_name());
            sub.clone().disable_help_subcommand(true).name(name).version(env!("CARGO_PKG_VERSION"))
        };
        let subs: Vec<_> = page.get_subcommands().filter(|sub| sub.get_name() != "help").map(name).collect();
        open.extend(subs.into_iter().rev());
        pages.push(page);
    }
    pages
}

/// Without a date: the pages are made from the program, and the version says which. One kept by hand is wrong after the next change.
fn roff(page: Command) -> io::Result<String> {
    let title = page.get_name().to_ascii_uppercase();
    let mut roff = Vec::new();
    Man::new(page).title(title).manual("drivetap").render(&mut roff)?;
    String::from_utf8(roff).map(|roff| without_faults(&roff)).map_err(io::Error::other)
}

/// `mandoc -T lint` warns of two line breaks around an empty line, examples are no text to be filled, and in the place of a date that is
/// empty the version would be one.
fn without_faults(roff: &str) -> String {
    let roff = roff.replace("\n.br\n\n.br\n", "\n.sp\n").replacen(" 1  \"", " 1 \"\" \"", 1);
    match roff.split_once("\n.SH EXTRA\n") {
        Some((before, extra)) => {
            let (examples, after) = extra.split_once("\n.SH ").unwrap_or((extra.trim_end(), "VERSION\n"));
            format!("{before}\n.SH EXAMPLES\n.nf\n{}\n.fi\n.SH {after}", examples.trim_start_matches("Examples:\n"))
        }
        None => roff,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    /// Every flag of every command, with the command's name.
    fn flags() -> Vec<(String, Arg)> {
        let all = every_command();
        let flags = all.iter().flat_map(|sub| sub.get_arguments().map(|arg| (sub.get_name().to_owned(), arg.clone())));
        let needs_none = ["help", "version"];
        flags.filter(|(_, arg)| arg.get_long().is_some_and(|long| !needs_none.contains(&long))).collect()
    }

    /// The program, its commands, and the commands of those.
    fn every_command() -> Vec<Command> {
        let mut program = command();
        program.build();
        let (mut all, mut open) = (Vec::new(), vec![program]);
        while let Some(command) = open.pop() {
            open.extend(command.get_subcommands().filter(|sub| sub.get_name() != "help").cloned());
            all.push(command);
        }
        all
    }

    /// `drivetap …` as a shell takes it apart, without what a pipe, a redirection or words of ours do with it.
    fn typed(line: &str) -> Vec<String> {
        let command = line.trim().split_once("   ").map_or(line, |(command, _)| command).trim();
        let command = [" | ", " > ", " >> "].iter().fold(command, |rest, end| rest.split(end).next().unwrap_or(rest));
        let apart = command.split('\'').enumerate();
        let words = apart.flat_map(|(n, part)| if n % 2 == 0 { part.split(' ').collect() } else { vec![part] });
        words.filter(|word| !word.is_empty()).map(|word| word.replace('…', "0000-4000-8000-000000000000")).collect()
    }

    #[test]
    fn every_command_has_examples_and_each_of_them_is_understood() {
        let mut understood = 0;
        for command in every_command() {
            let name = command.get_name();
            let after = command.get_after_help().map(ToString::to_string).unwrap_or_default();
            let lines = after.lines().filter_map(|line| line.split("drivetap ").nth(1).map(|rest| format!("drivetap {rest}")));
            let lines: Vec<_> = lines.collect();
            assert!(
                after.starts_with("Example") && lines.iter().any(|line| name == "drivetap" || line.contains(name)),
                "{name}: {after:?}"
            );
            for line in lines {
                let args = typed(&line);
                if let Err(error) = Cli::command().try_get_matches_from(&args) {
                    panic!("{name}: {args:?}: {error}");
                }
                understood += 1;
            }
        }
        assert!(understood > 40, "{understood}");
    }

    #[test]
    fn every_flag_has_a_variable_of_the_environment_that_help_shows() {
        for (of, flag) in flags() {
            let long = flag.get_long().expect("a flag");
            if (of.as_str(), long) == ("drivetap", "json") {
                continue;
            }
            let variable = flag.get_env().unwrap_or_else(|| panic!("{of} --{long}")).to_str().expect("UTF-8");
            assert!(
                variable.starts_with("DRIVETAP_") && variable.ends_with(&long.replace('-', "_").to_ascii_uppercase()),
                "{variable}"
            );
            assert!(!flag.is_hide_env_set() && flag.is_hide_env_values_set(), "{of} --{long}");
        }
        assert!(flags().len() > 20);
    }

    #[test]
    fn a_variable_means_one_thing() {
        let mut meanings: BTreeMap<String, Vec<_>> = BTreeMap::new();
        for (_, flag) in flags() {
            if let Some(variable) = flag.get_env().and_then(OsStr::to_str) {
                let meaning = (
                    flag.get_long().map(str::to_owned),
                    format!("{:?}", flag.get_action()),
                    format!("{:?}", flag.get_value_names()),
                );
                meanings.entry(variable.to_owned()).or_default().push(meaning);
            }
        }
        for (variable, meanings) in meanings {
            assert!(meanings.windows(2).all(|two| two[0] == two[1]), "{variable}: {meanings:?}");
        }
    }

    #[test]
    fn what_is_typed_wins_over_a_variable_that_cannot_stand_beside_it() {
        let reads = |args: &[&str], id: &str| {
            let args: Vec<_> = args.iter().map(OsString::from).collect();
            let command = command_for(&args);
            let listen = command.find_subcommand("listen").expect("listen");
            listen.get_arguments().any(|arg| arg.get_id() == id && arg.get_env().is_some())
        };
        assert!(reads(&["drivetap", "listen", "me"], "config"));
        assert!(!reads(&["drivetap", "listen", "me", "--base-url", "http://127.0.0.1:1/v1.0"], "config"));
        assert!(!reads(&["drivetap", "listen", "me", "-c", "a.toml"], "base_url"));
        assert!(reads(&["drivetap", "listen", "me", "-c", "a.toml"], "account"));
        assert!(!reads(&["drivetap", "listen", "me", "--token-file", "t"], "token_env"));
    }

    #[test]
    fn there_are_completions_for_each_shell_and_a_page_for_each_command() {
        for shell in Shell::value_variants() {
            let script = completions(*shell);
            assert!(script.contains("drivetap") && script.contains("listen") && script.contains("base-url"), "{shell}");
        }
        for sub in Cli::command().get_subcommands() {
            let page = man(Some(sub.get_name())).expect("a page");
            assert!(page.contains(".TH DRIVETAP"), "{page:.200}");
        }
        assert!(man(None).expect("a page").contains("drivetap"));
        assert_eq!(man(Some("nonsense")).expect_err("none").kind, crate::Kind::Usage);
    }
}
