//! A heavy dependency is in the tree when its feature is on, and only then; and no test waits for a feature that is off.

use std::collections::BTreeSet;
use std::process::Command;

use anyhow::{Context, Result};
use cargo_metadata::Metadata;

use super::Finding;
use crate::repo::Repo;
use crate::run::output;

/// What must be absent unless a feature brings it.
const HEAVY: [&str; 7] = ["reqwest", "oauth2", "linux-keyutils", "redb", "redis", "rdkafka", "rust_socketio"];

/// A feature, what it is for, and what else may come with it.
struct Feature {
    name: &'static str,
    brings: &'static [&'static str],
    tolerates: &'static [&'static str],
}

const FEATURES: &[Feature] = &[
    Feature { name: "reqwest", brings: &["reqwest"], tolerates: &[] },
    Feature { name: "login", brings: &["reqwest", "oauth2"], tolerates: &[] },
    Feature { name: "keyring", brings: &["linux-keyutils"], tolerates: &[] },
    Feature { name: "redb", brings: &["redb"], tolerates: &[] },
    Feature { name: "redis", brings: &["redis"], tolerates: &[] },
    Feature { name: "kafka", brings: &["rdkafka"], tolerates: &[] },
    Feature { name: "stdout", brings: &[], tolerates: &[] },
    Feature { name: "native", brings: &["tungstenite"], tolerates: &[] },
    // It can poll over HTTP, which we never ask for.
    Feature { name: "rust-socketio", brings: &["rust_socketio"], tolerates: &["reqwest"] },
];

/// The binary has one more: what a demo needs is everything but the brokers.
const DEMO: Feature = Feature { name: "demo", brings: &["reqwest", "tungstenite"], tolerates: &["redb"] };

pub(super) fn check(repo: &Repo, metadata: &Metadata) -> Result<Vec<Finding>> {
    let mut findings = Vec::new();
    for (package, extra) in [("drivetap", Some(&DEMO)), ("drivetap-bridge", None)] {
        let declared = metadata.workspace_packages().into_iter().find(|declared| declared.name.as_str() == package);
        findings.extend(judge(package, None, &tree(repo, package, None)?));
        for feature in FEATURES.iter().chain(extra) {
            if declared.is_none_or(|declared| !declared.features.contains_key(feature.name)) {
                findings.push(Finding::new(package, format!("has no feature `{}`", feature.name), "declare it"));
                continue;
            }
            findings.extend(judge(package, Some(feature), &tree(repo, package, Some(feature.name))?));
        }
    }
    findings.extend(targets_left_out(metadata)?);
    Ok(findings)
}

/// Cargo skips a target whose `required-features` are off, in silence. `cargo test --workspace` has to turn all of them on.
fn targets_left_out(metadata: &Metadata) -> Result<Vec<Finding>> {
    let resolve = metadata.resolve.as_ref().context("cargo metadata resolved nothing")?;
    let mut findings = Vec::new();
    for package in metadata.workspace_packages() {
        let node = resolve.nodes.iter().find(|node| node.id == package.id);
        let on = node.with_context(|| format!("cargo metadata does not resolve {}", package.name))?;
        let on: BTreeSet<&str> = on.features.iter().map(|feature| feature.as_str()).collect();
        for target in &package.targets {
            findings.extend(left_out(package.name.as_str(), &target.name, &target.required_features, &on));
        }
    }
    Ok(findings)
}

fn left_out(package: &str, target: &str, required: &[String], on: &BTreeSet<&str>) -> Option<Finding> {
    let off: Vec<_> = required.iter().map(String::as_str).filter(|feature| !on.contains(feature)).collect();
    let what = format!("`{target}` is left out of `cargo test --workspace`: {} is off", off.join(", "));
    let remedy = "turn the feature on where the crate depends on itself in [dev-dependencies], or in the binary's defaults";
    (!off.is_empty()).then(|| Finding::new(package, what, remedy))
}

/// Holds what is in the tree against what may be, and must be.
fn judge(package: &str, feature: Option<&Feature>, tree: &BTreeSet<String>) -> Vec<Finding> {
    let with = feature.map_or_else(|| "no feature".to_owned(), |feature| format!("only the feature `{}`", feature.name));
    let (brings, tolerates) = feature.map_or((&[][..], &[][..]), |feature| (feature.brings, feature.tolerates));
    let missing = brings.iter().filter(|name| !tree.contains(**name)).map(|name| {
        Finding::new(
            package,
            format!("{name} is absent with {with}"),
            "the feature has to turn it on: `dep:…` or another crate's feature",
        )
    });
    let unwanted = HEAVY.iter().filter(|name| tree.contains(**name) && !brings.contains(name) && !tolerates.contains(name));
    let unwanted = unwanted.map(|name| {
        let show = feature.map(|feature| format!(" --features {}", feature.name)).unwrap_or_default();
        Finding::new(
            package,
            format!("{name} is in the tree with {with}"),
            format!("make it optional; `cargo tree -p {package} --no-default-features{show} -i {name}` shows who brings it"),
        )
    });
    missing.chain(unwanted).collect()
}

/// The names in `cargo tree`: what a build with exactly these features is made of.
fn tree(repo: &Repo, package: &str, feature: Option<&str>) -> Result<BTreeSet<String>> {
    let mut cargo = Command::new("cargo");
    cargo.args([
        "tree",
        "--locked",
        "--edges",
        "normal,build",
        "--prefix",
        "none",
        "--package",
        package,
        "--no-default-features",
    ]);
    cargo.args(feature.map(|feature| format!("--features={feature}"))).current_dir(&repo.root);
    Ok(output(&mut cargo)?.lines().filter_map(|line| line.split(' ').next()).map(ToOwned::to_owned).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    const KAFKA: Feature = Feature { name: "kafka", brings: &["rdkafka"], tolerates: &["redb"] };

    #[test]
    fn a_heavy_dependency_comes_with_its_feature_and_only_then() {
        for (feature, tree, expected) in [
            (None, &["serde"][..], &[][..]),
            (None, &["serde", "rdkafka"], &["rdkafka is in the tree with no feature"]),
            (Some(&KAFKA), &["rdkafka"], &[]),
            (Some(&KAFKA), &["rdkafka", "redb"], &[]),
            (Some(&KAFKA), &["serde"], &["rdkafka is absent with only the feature `kafka`"]),
            (Some(&KAFKA), &["rdkafka", "redis"], &["redis is in the tree with only the feature `kafka`"]),
        ] {
            let tree = tree.iter().map(ToString::to_string).collect();
            let found: Vec<_> = judge("drivetap", feature, &tree).into_iter().map(|finding| finding.what).collect();
            assert_eq!(found, expected);
        }
    }

    #[test]
    fn a_test_whose_feature_is_off_is_found() {
        let required = ["reqwest".to_owned()];
        assert_eq!(left_out("x", "client", &[], &BTreeSet::new()), None);
        assert_eq!(left_out("x", "client", &required, &BTreeSet::from(["default", "reqwest"])), None);
        let found = left_out("x", "client", &required, &BTreeSet::from(["default"])).unwrap();
        assert_eq!(found.what, "`client` is left out of `cargo test --workspace`: reqwest is off");
    }

    #[test]
    fn a_tree_is_read_by_name() {
        let tree = tree(&Repo::find().unwrap(), "xtask", None).unwrap();
        assert!(tree.contains("xtask") && tree.contains("clap_builder") && !tree.contains("tempfile"), "{tree:?}");
    }
}
