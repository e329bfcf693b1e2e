//! What `cargo xtask bench` measures drivetap against, and is not written in Rust.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use anyhow::Result;

use super::{install, may_install, npm_packages, once, tools, twice};
use crate::repo::Repo;
use crate::run::{run, say};

/// Where they are.
pub(crate) struct Contenders {
    /// `tests/bench/contenders`.
    pub(crate) sources: PathBuf,
    /// The Python of an environment of their own.
    pub(crate) python: PathBuf,
}

/// Everything that a lock file names. What cannot be built is said, and costs its contender's place in a table, not the table.
pub(super) fn contenders(repo: &Repo) -> Result<Contenders> {
    let sources = repo.root.join("tests/bench/contenders");
    let node = sources.join("node");
    npm_packages(repo, &node)?;
    let addon = node.join("node_modules/@confluentinc/kafka-javascript");
    if !addon.join("build/Release/confluent-kafka-javascript.node").exists()
        && let Err(error) = kafka_javascript(&node)
    {
        say(format_args!("LEFT OUT of the benchmark: kafka-javascript, for it could not be built: {error:#}"));
        // Half of it would look like all of it.
        let _ = fs::remove_dir_all(addon.join("build"));
    }

    let environment = repo.setup_dir().join("contenders-python");
    let python = environment.join("bin/python");
    let requirements = sources.join("python/requirements.txt");
    once(&requirements, &environment.join("made-from-requirements.txt"), || {
        let quiet = |command: &mut Command| run(command.stdin(Stdio::null()).stdout(std::io::stderr()));
        quiet(Command::new("python3").args(["-m", "venv", "--clear"]).arg(&environment))?;
        twice(|| quiet(Command::new(&python).args(["-m", "pip", "install", "--quiet", "--no-deps", "-r"]).arg(&requirements)))
    })?;
    Ok(Contenders { sources, python })
}

/// Its npm package has no binary for Linux on every machine: librdkafka is built from source, against the system's OpenSSL.
fn kafka_javascript(node: &std::path::Path) -> Result<()> {
    let missing = tools::headers_that_are_missing();
    if !missing.is_empty() && may_install() {
        install(&missing)?;
    }
    say("kafka-javascript is built from source, which takes 4 to 10 minutes, once");
    run(Command::new("npm")
        .args(["rebuild", "@confluentinc/kafka-javascript", "--build-from-source"])
        .env("CKJS_LINKING", "dynamic")
        .current_dir(node)
        .stdin(Stdio::null())
        .stdout(std::io::stderr()))
}
