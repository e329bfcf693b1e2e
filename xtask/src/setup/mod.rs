//! `cargo xtask setup`: what the tests and the checks need, installed where we may, named where we may not.
//!
//! Everything comes by package name through the package manager that is configured here (apt, Maven, npm, cargo), so a
//! mirror or a proxy works as it does elsewhere on the machine. A second run finds everything there and is over at once.

mod contenders;
mod tools;

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;
use std::{env, thread};

use anyhow::{Context, Result, bail};

pub(crate) use self::contenders::Contenders;
pub(crate) use self::tools::{JAVA, NODE, Tools};
use crate::repo::Repo;
use crate::run::{output, run, say};

/// The release that `deny.toml` was written for. `cargo install` builds it once; it stays in cargo's `bin`.
const CARGO_DENY: &str = "0.20.2";

/// Of the very version that `tests/bench/instructions` is built with: the library refuses another one.
const GUNGRAUN: &str = "0.20.0";

/// Folders with a `package-lock.json`, where there is one.
const NPM_PROJECTS: [&str; 2] = ["tests/services/socketio", "examples/consumers"];

/// What tests need, and what `ci` needs besides.
pub(crate) fn everything(repo: &Repo) -> Result<()> {
    for_tests(repo)?;
    for_ci(repo)?;
    say("setup: everything is there");
    Ok(())
}

/// What `cargo xtask test` needs.
pub(crate) fn for_tests(repo: &Repo) -> Result<Tools> {
    let _lock = lock()?;
    let tools = system_packages()?;
    kafka_jars(repo)?;
    for project in NPM_PROJECTS {
        npm_packages(repo, &repo.root.join(project))?;
    }
    Ok(tools)
}

/// What some rows of `cargo xtask faults` need besides. One that is missing where we may not install costs its rows, which say so.
pub(crate) fn for_faults() -> Result<()> {
    let _lock = lock()?;
    let missing = tools::preloaded_libraries_that_are_missing();
    if missing.is_empty() {
        return Ok(());
    }
    if may_install() {
        return install(&missing);
    }
    say(format_args!("missing, and some rows with it: sudo apt-get {} {}", INSTALL.join(" "), missing.join(" ")));
    Ok(())
}

/// What `cargo xtask bench` needs besides.
pub(crate) fn for_bench(repo: &Repo) -> Result<Contenders> {
    let _lock = lock()?;
    contenders::contenders(repo)
}

/// What `cargo xtask bench --quick` needs.
pub(crate) fn for_counting() -> Result<()> {
    let _lock = lock()?;
    valgrind()?;
    from_source("gungraun-runner", GUNGRAUN)
}

/// What `cargo xtask ci` needs besides.
pub(crate) fn for_ci(_repo: &Repo) -> Result<()> {
    let _lock = lock()?;
    from_source("cargo-deny", CARGO_DENY)
}

/// Two setups at once would write over each other: the second waits, then finds everything there.
///
/// One lock a user, not a checkout: two checkouts share cargo's `bin` and Maven's repository.
fn lock() -> Result<File> {
    let cache = env::var_os("XDG_CACHE_HOME")
        .map(Into::into)
        .or_else(|| env::home_dir().map(|home| home.join(".cache")))
        .unwrap_or_else(env::temp_dir)
        .join("drivetap");
    fs::create_dir_all(&cache).with_context(|| format!("cannot make {}", cache.display()))?;
    let path = cache.join("setup.lock");
    let file = File::create(&path).with_context(|| format!("cannot make {}", path.display()))?;
    if file.try_lock().is_err() {
        say("another setup is running: waiting for it");
        file.lock().with_context(|| format!("cannot lock {}", path.display()))?;
    }
    Ok(file)
}

/// Programs and Python modules, from Debian's packages where one is missing.
fn system_packages() -> Result<Tools> {
    let missing = match Tools::find() {
        Ok(tools) => return Ok(tools),
        Err(missing) => missing,
    };
    for what in &missing {
        say(format_args!("missing: {what}"));
    }
    let packages = tools::packages(&missing);
    if !may_install() {
        bail!(
            "setup may not install system packages here; on Debian 12 or newer, this does:\n    \
             sudo apt-get update && sudo apt-get {} {}\nelsewhere, install what is missing by its own way. Then run setup again",
            INSTALL.join(" "),
            packages.join(" "),
        );
    }
    install(&packages)?;
    Tools::find().map_err(|missing| {
        let missing: Vec<_> = missing.iter().map(ToString::to_string).collect();
        anyhow::anyhow!("apt-get installed {}, and there is still missing: {}", packages.join(" "), missing.join("; "))
    })
}

const INSTALL: [&str; 3] = ["install", "-y", "--no-install-recommends"];

fn may_install() -> bool {
    rustix::process::geteuid().is_root() && Path::new("/usr/bin/apt-get").exists()
}

fn install(packages: &[&str]) -> Result<()> {
    let apt = || {
        let mut apt = Command::new("apt-get");
        apt.args(["-q", "-o", "DPkg::Lock::Timeout=300"]).env("DEBIAN_FRONTEND", "noninteractive").stdin(Stdio::null());
        // Standard output is not ours.
        apt.stdout(std::io::stderr());
        apt
    };
    run(apt().arg("update"))?;
    run(apt().args(INSTALL).args(packages))
}

/// Where the broker's jars are.
pub(crate) fn kafka_jars_dir(repo: &Repo) -> PathBuf {
    repo.setup_dir().join("kafka/libs")
}

/// The broker, as Maven resolves it.
fn kafka_jars(repo: &Repo) -> Result<()> {
    let pom = repo.service_sources().join("kafka/pom.xml");
    let libs = kafka_jars_dir(repo);
    once(&pom, &repo.setup_dir().join("kafka/made-from-pom.xml"), || {
        if libs.exists() {
            // Another version's jars on the same class path would be loaded, some of them.
            fs::remove_dir_all(&libs)?;
        }
        let maven = || {
            run(Command::new("mvn")
                .args(["--batch-mode", "--quiet", "--file"])
                .arg(&pom)
                .arg("dependency:copy-dependencies")
                .arg(format!("-DoutputDirectory={}", libs.display()))
                .stdin(Stdio::null())
                .stdout(std::io::stderr()))
        };
        twice(maven)
    })
}

/// `npm ci`: exactly what the lock file names.
fn npm_packages(repo: &Repo, project: &Path) -> Result<()> {
    let lock_file = project.join("package-lock.json");
    if !lock_file.exists() {
        return Ok(());
    }
    say_if_new(repo, project);
    once(&lock_file, &project.join("node_modules/.made-from.json"), || {
        twice(|| {
            run(Command::new("npm")
                .args(["ci", "--no-audit", "--no-fund", "--ignore-scripts"])
                .current_dir(project)
                .stdin(Stdio::null())
                .stdout(std::io::stderr()))
        })
    })
}

fn say_if_new(repo: &Repo, project: &Path) {
    if !project.join("node_modules").exists() {
        say(format_args!("npm packages of {}", repo.short(project).display()));
    }
}

/// Callgrind, and the headers that go with it.
fn valgrind() -> Result<()> {
    if output(Command::new("valgrind").arg("--version")).is_ok() {
        return Ok(());
    }
    if may_install() {
        return install(&["valgrind"]);
    }
    bail!("missing: valgrind; on Debian: sudo apt-get {} valgrind", INSTALL.join(" "))
}

/// A program of crates.io's, at exactly this version.
fn from_source(name: &str, wanted: &str) -> Result<()> {
    let version = output(Command::new(name).arg("--version")).unwrap_or_default();
    if version.trim().ends_with(&format!(" {wanted}")) {
        return Ok(());
    }
    say(format_args!("missing: {name} {wanted} ({})", if version.is_empty() { "none" } else { version.trim() }));
    // In a target directory of its own: ours is for what we build.
    run(Command::new("cargo").args(["install", "--locked", name, "--version", wanted]).env_remove("CARGO_TARGET_DIR"))
}

/// Does `work` unless it was done for this very `source`: `receipt` is a copy of it, written after the work.
fn once(source: &Path, receipt: &Path, work: impl FnOnce() -> Result<()>) -> Result<()> {
    let wanted = fs::read(source).with_context(|| format!("cannot read {}", source.display()))?;
    if fs::read(receipt).is_ok_and(|made_from| made_from == wanted) {
        return Ok(());
    }
    work()?;
    if let Some(dir) = receipt.parent() {
        fs::create_dir_all(dir)?;
    }
    fs::write(receipt, wanted).with_context(|| format!("cannot write {}", receipt.display()))
}

/// A download may fail for no reason of ours, once.
fn twice(download: impl Fn() -> Result<()>) -> Result<()> {
    download().or_else(|error| {
        say(format_args!("{error:#}; once more in 5 s"));
        thread::sleep(Duration::from_secs(5));
        download()
    })
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    #[test]
    fn work_is_done_once_for_a_source_and_again_for_another() {
        let dir = tempfile::tempdir().unwrap();
        let (source, receipt) = (dir.path().join("source"), dir.path().join("deep/receipt"));
        let times = Cell::new(0);
        let count = || {
            times.set(times.get() + 1);
            Ok(())
        };
        let work = || once(&source, &receipt, count);

        fs::write(&source, "one").unwrap();
        work().unwrap();
        work().unwrap();
        assert_eq!(times.get(), 1);
        fs::write(&source, "two").unwrap();
        work().unwrap();
        assert_eq!(times.get(), 2);
    }

    #[test]
    fn work_that_failed_is_not_done() {
        let dir = tempfile::tempdir().unwrap();
        let (source, receipt) = (dir.path().join("source"), dir.path().join("receipt"));
        fs::write(&source, "one").unwrap();
        once(&source, &receipt, || bail!("no network")).unwrap_err();
        assert!(!receipt.exists());
    }
}
