//! The program under test.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// `target/debug/drivetap`, beside this test's own executable.
///
/// `cargo test --workspace` builds it before it runs anything. After `cargo test -p drivetap-tests` it may be missing or older than its
/// sources, and then it is built here: a test of yesterday's program proves nothing.
///
/// Either way the keyring is in it, which is no default: in a workspace's tests because those of drivetap-graph have it, here because it is
/// asked for. One that `cargo build` made says to the test of it that it has none.
pub fn drivetap() -> &'static Path {
    static PATH: OnceLock<PathBuf> = OnceLock::new();
    PATH.get_or_init(|| {
        let test = std::env::current_exe().unwrap();
        let dir = test.ancestors().nth(2).unwrap();
        let path = dir.join("drivetap");
        if let Err(why) = fresh(&path) {
            eprintln!("{why}: cargo build --package drivetap");
            build(dir);
        }
        path
    })
}

/// Cargo writes down, beside the program, which of our sources it was made from.
fn fresh(path: &Path) -> Result<(), String> {
    let built = fs::metadata(path).and_then(|it| it.modified()).map_err(|error| format!("{}: {error}", path.display()))?;
    let list = path.with_extension("d");
    let list = fs::read_to_string(&list).map_err(|error| format!("{}: {error}", list.display()))?;
    // A space in a path is written `\ `.
    let list = list.trim().replace("\\ ", "\0");
    let sources = list.split_once(": ").map(|(_, sources)| sources).unwrap_or_default();
    for source in sources.split(' ').map(|source| source.replace('\0', " ")) {
        let newer = fs::metadata(&source).and_then(|it| it.modified()).is_ok_and(|changed| changed > built);
        if newer || !Path::new(&source).exists() {
            return Err(format!("{} is older than {source}", path.display()));
        }
    }
    Ok(())
}

fn build(profile_dir: &Path) {
    let mut cargo = Command::new("cargo");
    cargo
        .args(["build", "--quiet", "--locked", "--package", "drivetap", "--features", "drivetap-bridge/keyring", "--target-dir"])
        .arg(profile_dir.parent().unwrap());
    cargo.current_dir(env!("CARGO_MANIFEST_DIR"));
    let status = cargo.status().unwrap();
    assert!(status.success(), "the program under test cannot be built ({status}): run `cargo xtask test`");
}
