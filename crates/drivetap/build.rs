//! Tells the program what it was built with: `drivetap --version --json`.

use std::path::Path;
use std::process::Command;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    let rustc = std::env::var_os("RUSTC").and_then(|rustc| output(Command::new(rustc).arg("--version")));
    tell("DRIVETAP_BUILT_RUSTC", rustc);
    // A build for development would be made anew after each commit, for this line alone.
    if std::env::var("PROFILE").is_ok_and(|profile| profile == "release") {
        tell("DRIVETAP_BUILT_COMMIT", commit());
    }
}

/// The commit of the sources, with `-dirty` behind it where they differ. `None` where git has none: an archive of the sources.
fn commit() -> Option<String> {
    let git = |args: &[&str]| output(Command::new("git").args(args));
    let folder = git(&["rev-parse", "--absolute-git-dir"])?;
    for file in ["HEAD", "logs/HEAD", "index"] {
        let path = Path::new(&folder).join(file);
        if path.exists() {
            println!("cargo::rerun-if-changed={}", path.display());
        }
    }
    git(&["describe", "--always", "--abbrev=40", "--dirty", "--exclude=*"])
}

fn output(command: &mut Command) -> Option<String> {
    let output = command.output().ok().filter(|output| output.status.success())?;
    let text = String::from_utf8(output.stdout).ok()?;
    Some(text.trim().to_owned()).filter(|text| !text.is_empty())
}

fn tell(name: &str, value: Option<String>) {
    if let Some(value) = value {
        println!("cargo::rustc-env={name}={value}");
    }
}
