//! Arrows point down only, and the core reaches no runtime and no socket. Both are read from `cargo metadata`.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use anyhow::{Context, Result};
use cargo_metadata::{DependencyKind, Metadata, PackageId};

use super::Finding;

/// Each crate of ours, and which others of ours it may be built on. A crate that is not here has no place yet.
const LAYERS: &[(&str, &[&str])] = &[
    ("drivetap-core", &[]),
    ("drivetap-graph", &["drivetap-core"]),
    ("drivetap-transport", &["drivetap-core"]),
    ("drivetap-sink", &["drivetap-core"]),
    ("drivetap-sink-stdout", &["drivetap-core", "drivetap-sink"]),
    ("drivetap-sink-kafka", &["drivetap-core", "drivetap-sink"]),
    ("drivetap-sink-redis", &["drivetap-core", "drivetap-sink"]),
    (
        "drivetap-bridge",
        &[
            "drivetap-core",
            "drivetap-graph",
            "drivetap-transport",
            "drivetap-sink",
            "drivetap-sink-stdout",
            "drivetap-sink-kafka",
            "drivetap-sink-redis",
        ],
    ),
    // A shared mistake must show: the emulator writes the wire by itself.
    ("drivetap-emulator", &[]),
    (
        "drivetap",
        &[
            "drivetap-core",
            "drivetap-graph",
            "drivetap-transport",
            "drivetap-sink",
            "drivetap-sink-stdout",
            "drivetap-sink-kafka",
            "drivetap-sink-redis",
            "drivetap-bridge",
            "drivetap-emulator",
        ],
    ),
    ("xtask", &[]),
];

/// Sits above everything: it may know every crate.
const END_TO_END: &str = "drivetap-tests";

/// The top of the house. No sink's test needs them either.
const NEVER_IN_A_SINK: [&str; 2] = ["drivetap-bridge", "drivetap"];

/// Runtimes, sockets, TLS and what stands on them.
const NOT_IN_CORE: &[&str] = &[
    "async-io",
    "async-std",
    "curl",
    "hyper",
    "isahc",
    "mio",
    "native-tls",
    "openssl",
    "openssl-sys",
    "polling",
    "quinn",
    "rdkafka",
    "redb",
    "redis",
    "reqwest",
    "rust_engineio",
    "rust_socketio",
    "rustls",
    "smol",
    "socket2",
    "tokio",
    "tungstenite",
    "ureq",
];

pub(super) fn check(metadata: &Metadata) -> Result<Vec<Finding>> {
    let mut findings = Vec::new();
    for package in metadata.workspace_packages() {
        let edges = package.dependencies.iter().filter(|dependency| dependency.path.is_some());
        let edges = edges.map(|dependency| (dependency.name.as_str(), dependency.kind));
        findings.extend(points_down(package.name.as_str(), edges));
    }
    findings.extend(core_is_pure(&reached(metadata, "drivetap-core")?));
    Ok(findings)
}

fn points_down<'a>(name: &str, edges: impl Iterator<Item = (&'a str, DependencyKind)>) -> Vec<Finding> {
    if name == END_TO_END {
        return Vec::new();
    }
    let Some((_, allowed)) = LAYERS.iter().find(|(layer, _)| *layer == name) else {
        return vec![Finding::new(name, "the crate has no place in the layers", "add it to LAYERS in xtask/src/tidy/layers.rs")];
    };
    edges
        .filter(|(on, kind)| match kind {
            // Cargo takes a cycle through a test; the house does not.
            DependencyKind::Development => {
                let other_sink = on.starts_with("drivetap-sink-") && *on != name;
                name.starts_with("drivetap-sink-") && (other_sink || NEVER_IN_A_SINK.contains(on))
            }
            _ => !allowed.contains(on),
        })
        .map(|(on, kind)| {
            Finding::new(
                name,
                format!("{kind} dependency on {on}, which is not below it"),
                "move what both need down, or hand it over as a trait",
            )
        })
        .collect()
}

fn core_is_pure(reached: &BTreeSet<&str>) -> Vec<Finding> {
    let impure = NOT_IN_CORE.iter().filter(|name| reached.contains(**name));
    impure
        .map(|name| {
            Finding::new(
                "drivetap-core",
                format!("reaches {name}"),
                format!("remove the dependency that brings it (`cargo tree -p drivetap-core -i {name}`)"),
            )
        })
        .collect()
}

/// The names of everything that is in a build of `root`: normal and build dependencies, and theirs.
fn reached<'a>(metadata: &'a Metadata, root: &str) -> Result<BTreeSet<&'a str>> {
    let names: BTreeMap<&PackageId, &str> =
        metadata.packages.iter().map(|package| (&package.id, package.name.as_str())).collect();
    let resolve = metadata.resolve.as_ref().context("cargo metadata resolved nothing")?;
    let nodes: BTreeMap<&PackageId, _> = resolve.nodes.iter().map(|node| (&node.id, node)).collect();
    let start = metadata.workspace_packages().into_iter().find(|package| package.name.as_str() == root);
    let start = &start.with_context(|| format!("there is no {root}"))?.id;

    let mut seen = BTreeSet::from([start]);
    let mut queue = VecDeque::from([start]);
    while let Some(id) = queue.pop_front() {
        let node = nodes.get(id).with_context(|| format!("cargo metadata does not resolve {id}"))?;
        for dependency in &node.deps {
            let built = dependency.dep_kinds.iter().any(|kind| kind.kind != DependencyKind::Development);
            if built && seen.insert(&dependency.pkg) {
                queue.push_back(&dependency.pkg);
            }
        }
    }
    Ok(seen.into_iter().filter_map(|id| names.get(id).copied()).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use DependencyKind::{Build, Development, Normal};

    #[test]
    fn arrows_point_down_only() {
        for (name, on, kind, allowed) in [
            ("drivetap-graph", "drivetap-core", Normal, true),
            ("drivetap-core", "drivetap-graph", Normal, false),
            ("drivetap-graph", "drivetap-transport", Normal, false),
            ("drivetap-sink-kafka", "drivetap-sink", Normal, true),
            ("drivetap-sink-kafka", "drivetap-sink-redis", Normal, false),
            ("drivetap-sink-kafka", "drivetap-sink-redis", Development, false),
            ("drivetap-sink-kafka", "drivetap-sink-kafka", Development, true),
            ("drivetap-sink-kafka", "drivetap-bridge", Normal, false),
            ("drivetap-sink-kafka", "drivetap-bridge", Build, false),
            ("drivetap-sink-kafka", "drivetap-bridge", Development, false),
            ("drivetap-bridge", "drivetap-sink-kafka", Normal, true),
            ("drivetap-bridge", "drivetap", Normal, false),
            ("drivetap-emulator", "drivetap-core", Normal, false),
            ("drivetap-graph", "drivetap-emulator", Development, true),
            ("drivetap-graph", "drivetap-emulator", Normal, false),
            ("drivetap", "drivetap-emulator", Normal, true),
            ("drivetap-tests", "drivetap-emulator", Normal, true),
            ("drivetap-unheard-of", "drivetap-core", Normal, false),
        ] {
            let found = points_down(name, std::iter::once((on, kind)));
            assert_eq!(found.is_empty(), allowed, "{name} on {on}: {found:?}");
        }
    }

    #[test]
    fn the_core_reaches_no_socket() {
        assert!(core_is_pure(&BTreeSet::from(["serde", "url"])).is_empty());
        assert_eq!(core_is_pure(&BTreeSet::from(["serde", "tokio", "mio"])).len(), 2);
    }

    /// What `reached` reads is real: the same walk finds what is known to be there.
    #[test]
    fn what_is_reached_is_found_through_others() {
        let metadata = cargo_metadata::MetadataCommand::new().exec().unwrap();
        let reached = reached(&metadata, "xtask").unwrap();
        for (name, expected) in [("clap", true), ("clap_builder", true), ("tempfile", false), ("rdkafka", false)] {
            assert_eq!(reached.contains(name), expected, "{name}");
        }
    }
}
