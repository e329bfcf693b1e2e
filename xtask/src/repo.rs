//! Where things are.

use std::env;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use cargo_metadata::MetadataCommand;

/// This checkout, and the target directory that cargo uses for it.
pub(crate) struct Repo {
    pub(crate) root: PathBuf,
    pub(crate) target: PathBuf,
}

impl Repo {
    /// Asks cargo, so that `CARGO_TARGET_DIR` and cargo's own configuration count.
    pub(crate) fn find() -> Result<Self> {
        // Cargo sets the variable for `cargo run`; two checkouts that share a target directory share the binary,
        // so what was true when it was compiled comes second.
        let manifest_dir = env::var_os("CARGO_MANIFEST_DIR").map_or_else(|| env!("CARGO_MANIFEST_DIR").into(), PathBuf::from);
        let metadata =
            MetadataCommand::new().manifest_path(manifest_dir.join("Cargo.toml")).no_deps().exec().context("cargo metadata")?;
        Ok(Self { root: metadata.workspace_root.into(), target: metadata.target_directory.into() })
    }

    /// What `setup` makes.
    pub(crate) fn setup_dir(&self) -> PathBuf {
        self.target.join("setup")
    }

    /// Data, logs and addresses of what `services up` starts.
    pub(crate) fn services_dir(&self) -> PathBuf {
        self.target.join("services")
    }

    /// What the services are made from: pom file, configuration templates, the Node server.
    pub(crate) fn service_sources(&self) -> PathBuf {
        self.root.join("tests/services")
    }

    /// `path` as a reader of this repository would write it.
    pub(crate) fn short<'a>(&self, path: &'a Path) -> &'a Path {
        path.strip_prefix(&self.root).unwrap_or(path)
    }
}
