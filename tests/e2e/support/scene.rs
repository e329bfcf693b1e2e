//! An emulated Graph, a folder, and a configuration for the program.

use std::fs;
use std::path::{Path, PathBuf};

use drivetap_emulator::{Config, DriveHandle, Emulator, ME_DRIVE};
use tempfile::TempDir;

use super::{Program, until};

/// The access token in `DRIVETAP_TOKEN`: opaque, as a personal account's.
pub(crate) const TOKEN: &str = "EwB4A8l6BAAUopaque.access.token";

/// One emulator and what a test of the program needs beside it.
pub(crate) struct Scene {
    pub(crate) graph: Emulator,
    dir: TempDir,
}

impl Scene {
    pub(crate) async fn new() -> Self {
        Self::with(Config::default()).await
    }

    pub(crate) async fn with(config: Config) -> Self {
        Self { graph: Emulator::start(config).await.unwrap(), dir: tempfile::tempdir().unwrap() }
    }

    /// The drive behind `me`.
    pub(crate) fn me(&self) -> DriveHandle {
        self.graph.drive(ME_DRIVE).unwrap()
    }

    /// A path in the test's own folder, where the configuration is.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// `drivetap run` with this in its file, beside Graph, one account and short waits.
    pub(crate) fn run(&self, toml: &str) -> Program {
        self.run_with(toml, &[])
    }

    /// [`run`](Self::run) with more in the environment.
    pub(crate) fn run_with(&self, toml: &str, env: &[(&str, &str)]) -> Program {
        let file = write_config(self.dir.path(), &config(&self.graph.base_url(), toml));
        let env = [&[("DRIVETAP_TOKEN", TOKEN)], env].concat();
        Program::drivetap(["run".as_ref(), "-c".as_ref(), file.as_os_str()], &env)
    }

    /// `drivetap ARGS…` with a token.
    pub(crate) fn drivetap(&self, args: &[&str]) -> Program {
        Program::drivetap(args, &[("DRIVETAP_TOKEN", TOKEN)])
    }

    /// Waits until so many sockets are in the namespace: what changes from now on is signalled.
    pub(crate) async fn subscribed(&self, sockets: usize) {
        until(&format!("{sockets} sockets in the namespace"), || self.graph.stats().subscribers >= sockets).await;
    }
}

/// A file's text: Graph at `base_url`, the account `default`, waits that suit a test, and `rest`.
pub(crate) fn config(base_url: &str, rest: &str) -> String {
    format!(
        r#"
[graph]
base_url = "{base_url}"
[account.default]
token = {{ env = "DRIVETAP_TOKEN" }}
[network]
backoff_min = "100ms"
backoff_max = "500ms"
[delta]
lag_retries = ["200ms", "500ms", "2s"]
{rest}"#
    )
}

fn write_config(dir: &Path, text: &str) -> PathBuf {
    let file = dir.join("drivetap.toml");
    fs::write(&file, text).unwrap();
    file
}
