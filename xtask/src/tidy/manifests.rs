//! Rules for `Cargo.toml`: one version table, one set of lints, libraries with nothing on by default.

use std::path::Path;

use toml::{Table, Value};

use super::Finding;

/// The root manifest: nothing may turn a panic into the end of the process.
pub(super) fn check_root(manifest: &Table) -> Vec<Finding> {
    let profiles = manifest.get("profile").and_then(Value::as_table);
    let aborts =
        profiles.into_iter().flatten().filter(|(_, profile)| profile.get("panic").and_then(Value::as_str) == Some("abort"));
    aborts
        .map(|(name, _)| {
            Finding::new(
                "Cargo.toml",
                format!("[profile.{name}] has panic = \"abort\""),
                "remove it: the rust_socketio transport contains panics of what it wraps",
            )
        })
        .collect()
}

/// A member's manifest.
pub(super) fn check_member(path: &Path, manifest: &Table) -> Vec<Finding> {
    let mut findings = inherits_lints(path, manifest);
    findings.extend(versions_stand_in_one_table(path, manifest));
    findings.extend(library_defaults_are_empty(path, manifest));
    findings
}

fn inherits_lints(path: &Path, manifest: &Table) -> Vec<Finding> {
    let inherited = manifest.get("lints").and_then(|lints| lints.get("workspace")).and_then(Value::as_bool);
    if inherited == Some(true) {
        return Vec::new();
    }
    vec![Finding::new(path.display(), "the workspace's lints are not inherited", "add [lints] workspace = true")]
}

fn versions_stand_in_one_table(path: &Path, manifest: &Table) -> Vec<Finding> {
    let kinds = ["dependencies", "dev-dependencies", "build-dependencies"];
    let targets = manifest.get("target").and_then(Value::as_table).into_iter().flatten();
    let tables = std::iter::once(manifest).chain(targets.filter_map(|(_, target)| target.as_table()));
    let dependencies = tables.flat_map(|table| kinds.iter().filter_map(|kind| table.get(*kind)?.as_table())).flatten();
    dependencies
        .filter(|(_, dependency)| dependency.get("workspace").and_then(Value::as_bool) != Some(true))
        .map(|(name, _)| {
            Finding::new(
                path.display(),
                format!("`{name}` has a version of its own"),
                format!("write `{name}.workspace = true`, and the version in the root's [workspace.dependencies]"),
            )
        })
        .collect()
}

fn library_defaults_are_empty(path: &Path, manifest: &Table) -> Vec<Finding> {
    let name = manifest.get("package").and_then(|package| package.get("name")).and_then(Value::as_str);
    let defaults = manifest.get("features").and_then(|features| features.get("default")).and_then(Value::as_array);
    match (name, defaults) {
        // The binary is for people: it has everything on.
        (Some(name), Some(defaults)) if name != "drivetap" && !defaults.is_empty() => vec![Finding::new(
            path.display(),
            "a library has default features",
            "write `default = []`: who builds a pipeline chooses",
        )],
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn member(text: &str) -> Vec<String> {
        let found = check_member(Path::new("crates/x/Cargo.toml"), &text.parse().unwrap());
        found.into_iter().map(|finding| finding.what).collect()
    }

    #[test]
    fn a_member_escapes_no_rule() {
        let good = "package.name = 'x'\nlints.workspace = true\nfeatures.default = []\n[dependencies]\nserde.workspace = true\n";
        assert_eq!(member(good), [""; 0]);
        for (text, expected) in [
            (good.replace("lints.workspace = true", ""), "the workspace's lints are not inherited"),
            (
                good.replace("workspace = true\nfeatures", "workspace = false\nfeatures"),
                "the workspace's lints are not inherited",
            ),
            (good.replace("serde.workspace = true", "serde = '1'"), "`serde` has a version of its own"),
            (good.replace("serde.workspace = true", "serde = { path = '../serde' }"), "`serde` has a version of its own"),
            (format!("{good}[dev-dependencies]\nrand = '1'"), "`rand` has a version of its own"),
            (format!("{good}[target.'cfg(unix)'.dependencies]\nnix = '1'"), "`nix` has a version of its own"),
            (good.replace("default = []", "default = ['all']"), "a library has default features"),
        ] {
            assert_eq!(member(&text), [expected], "{text}");
        }
    }

    #[test]
    fn no_profile_aborts() {
        assert!(check_root(&"[profile.dist]\nlto = 'thin'".parse().unwrap()).is_empty());
        assert_eq!(check_root(&"[profile.dist]\npanic = 'abort'".parse().unwrap()).len(), 1);
    }
}
