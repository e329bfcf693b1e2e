//! `cargo xtask faults`: the fault matrix on real processes. The rows are in `tests/faults`.

use std::process::{Command, ExitCode};

use anyhow::Result;

use crate::repo::Repo;
use crate::run::run as run_command;
use crate::services::{self, State};
use crate::{setup, test};

/// The rows that every change has to pass. Together they take three minutes, most of it waiting.
pub(crate) const IN_CI: [&str; 6] = [
    "broker-kill-9:kafka",
    "drivetap-kill-9",
    "half-open:kafka",
    "expiry-without-close",
    "delta-410-apply-broken-location",
    "token-expired-then-refused",
];

/// Starts the services for the sake of their tools and their keeper; each row has servers of its own. `words` are the harness's.
///
/// The packages and features are those of `cargo xtask test`, so that nothing is built twice.
pub(crate) fn run(repo: &Repo, words: &[String]) -> Result<ExitCode> {
    test::on_services(repo, setup::for_faults, |state, mark| {
        let results = repo.target.join("faults");
        std::fs::create_dir_all(&results)?;
        std::fs::create_dir_all(repo.root.join("docs"))?;
        let mut build = Command::new("cargo");
        build.args(["build", "--locked", "--workspace", "--example", "faults"]).current_dir(&repo.root);
        run_command(&mut build)?;
        let mut harness = Command::new(repo.target.join("debug/examples/faults"));
        harness
            .arg("--results")
            .arg(results.join("results.json"))
            .arg("--docs")
            .arg(repo.root.join("docs/faults.md"))
            .args(words);
        harness.current_dir(&repo.root).env(services::VARIABLE, State::path(&state.dir));
        test::timed(mark.put_on(&mut harness))
    })
}
