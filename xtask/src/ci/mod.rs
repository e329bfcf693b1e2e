//! `cargo xtask ci`: everything that has to pass before a change goes in, the quick and the likely first.
//!
//! One profile and one feature set for clippy, rustdoc and the tests, and the same `RUSTFLAGS` (none of ours) everywhere:
//! librdkafka and OpenSSL are then built once. The demo is another build: release, and with what a demo needs.

mod demo;

use std::fs;
use std::process::{Command, ExitCode};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use cargo_metadata::{Metadata, MetadataCommand, Package};

use crate::mark::{CI, Mark};
use crate::repo::Repo;
use crate::run::{output, run as run_command, say};
use crate::signals::Interrupted;
use crate::{faults, services, setup, tidy};

/// The README's two commands: the first thing that a stranger types.
pub(crate) const COMMANDS: [&str; 2] = [DEMO, TEST];
const DEMO: &str = "cargo demo";
const TEST: &str = "cargo xtask test";
/// How long random histories are tried beyond the fixed ones (`crates/bridge/src/proof/model.rs`).
const MODEL_SECONDS: &str = "30";

/// Stops at the first step that fails, and says how long each took.
pub(crate) fn run(repo: &Repo) -> Result<ExitCode> {
    let mark = Mark::of_run(CI, &repo.target, &services::new_run());
    let interrupted = Interrupted::by_signals_that_kill(mark.clone())?;
    let mut ci = Ci { repo, mark, interrupted: interrupted.clone(), times: Vec::new() };
    let result = ci.steps();
    ci.print_times();
    match interrupted.exit_code() {
        Some(code) => Ok(code),
        None => result.map(|()| ExitCode::SUCCESS),
    }
}

struct Ci<'a> {
    repo: &'a Repo,
    /// On every process that a step starts: a signal to us reaches them.
    mark: Mark,
    interrupted: Interrupted,
    times: Vec<(&'static str, Duration)>,
}

impl Ci<'_> {
    fn steps(&mut self) -> Result<()> {
        self.step("setup", |ci| setup::everything(ci.repo))?;

        self.step("fmt", |ci| ci.cargo("fmt --all --check"))?;
        self.step("clippy", |ci| ci.cargo("clippy --workspace --all-targets --locked -- -D warnings"))?;
        self.step("tidy", |ci| tidy::run(ci.repo, false))?;
        self.step("core", |ci| ci.cargo("test --package drivetap-core --locked"))?;

        self.step("features", Self::each_feature_alone)?;
        self.step("rustdoc", |ci| {
            let mut cargo = ci.command("cargo");
            cargo.args(["doc", "--workspace", "--all-features", "--no-deps", "--locked"]).env("RUSTDOCFLAGS", "-D warnings");
            run_command(&mut cargo)
        })?;
        self.step("deny", |ci| ci.cargo("deny --locked check bans licenses sources"))?;
        self.step("advisories", Self::advisories)?;

        self.step("instructions", |ci| ci.cargo("xtask bench --quick"))?;
        self.step("demo", |ci| demo::check(&mut ci.readme(DEMO)?))?;
        self.step("test", |ci| run_command(ci.readme(TEST)?.env("DRIVETAP_MODEL_SECONDS", MODEL_SECONDS)))?;
        self.step("faults", |ci| ci.cargo(&format!("xtask faults --only {}", faults::IN_CI.join(","))))
    }

    fn step(&mut self, name: &'static str, work: impl FnOnce(&Self) -> Result<()>) -> Result<()> {
        self.interrupted.check()?;
        say(format_args!("──── {name}"));
        let begin = Instant::now();
        let result = work(self);
        self.times.push((name, begin.elapsed()));
        result.with_context(|| format!("step `{name}`"))
    }

    fn print_times(&self) {
        for (name, time) in &self.times {
            say(format_args!("{name:>12} {:>6.1} s", time.as_secs_f32()));
        }
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        self.mark.put_on(command.current_dir(&self.repo.root));
        command
    }

    fn cargo(&self, arguments: &str) -> Result<()> {
        run_command(self.command("cargo").args(arguments.split(' ')))
    }

    /// A library is usable with any one of its features, and with none. Clippy checks and, unlike `cargo check`, can be
    /// told to deny warnings without another set of flags, and so another build, for the dependencies.
    fn each_feature_alone(&self) -> Result<()> {
        let metadata = MetadataCommand::new().manifest_path(self.repo.root.join("Cargo.toml")).no_deps().exec()?;
        for (package, features) in feature_sets(&metadata) {
            let features = features.map(|feature| format!(" --features {feature}")).unwrap_or_default();
            self.cargo(&format!(
                "clippy --quiet --package {} --no-default-features{features} --locked -- -D warnings",
                package.name
            ))?;
        }
        Ok(())
    }

    /// Advisories need a database that is fetched, and a network may not have it: that is said, and not a failure.
    fn advisories(&self) -> Result<()> {
        if let Err(error) = output(self.command("cargo").args(["deny", "--locked", "fetch", "db"])) {
            let reason = error.to_string();
            say(format_args!(
                "advisories: not run: no database ({})",
                reason.lines().rfind(|line| !line.trim().is_empty()).unwrap_or_default().trim()
            ));
            return Ok(());
        }
        self.cargo("deny --locked check --disable-fetch advisories")
    }

    /// The command as it stands in README.md, for a shell.
    fn readme(&self, command: &str) -> Result<Command> {
        let readme = fs::read_to_string(self.repo.root.join("README.md")).context("README.md")?;
        let lines = tidy::readme::shell_lines(&readme);
        let Some((_, line)) = lines.into_iter().find(|(_, line)| *line == command) else {
            bail!("README.md has no line `{command}` in a ```sh block");
        };
        let mut shell = self.command("bash");
        shell.args(["-c", line]);
        Ok(shell)
    }
}

/// Each of our libraries and the binary, with no feature and with each one.
fn feature_sets(metadata: &Metadata) -> impl Iterator<Item = (&Package, Option<&str>)> {
    let crates = metadata.workspace_packages().into_iter();
    let crates = crates.filter(|package| package.manifest_path.as_str().contains("/crates/"));
    crates.flat_map(|package| {
        let features = package.features.keys().map(String::as_str).filter(|feature| *feature != "default");
        std::iter::once(None).chain(features.map(Some)).map(move |feature| (package, feature))
    })
}
