//! What this binary is: `drivetap --version --json`, for a bug report and for a script.

use serde_json::{Value, json};

/// `name`, `version`, `commit`, `rustc`, `features`, `librdkafka`; `null` where it is not known, or not in this binary.
pub(crate) fn json() -> Value {
    json!({
        "name": "drivetap",
        "version": env!("CARGO_PKG_VERSION"),
        "commit": option_env!("DRIVETAP_BUILT_COMMIT"),
        "rustc": option_env!("DRIVETAP_BUILT_RUSTC"),
        "features": features(),
        "librdkafka": librdkafka(),
    })
}

fn features() -> Vec<&'static str> {
    let all = [
        ("demo", cfg!(feature = "demo")),
        ("jemalloc", cfg!(feature = "jemalloc")),
        ("kafka", cfg!(feature = "kafka")),
        ("keyring", cfg!(feature = "keyring")),
        ("login", cfg!(feature = "login")),
        ("native", cfg!(feature = "native")),
        ("redb", cfg!(feature = "redb")),
        ("redis", cfg!(feature = "redis")),
        ("reqwest", cfg!(feature = "reqwest")),
        ("rust-socketio", cfg!(feature = "rust-socketio")),
        ("stdout", cfg!(feature = "stdout")),
    ];
    all.into_iter().filter(|(_, there)| *there).map(|(name, _)| name).collect()
}

#[cfg(feature = "kafka")]
fn librdkafka() -> Option<String> {
    Some(drivetap_bridge::sink_kafka::librdkafka_version())
}

#[cfg(not(feature = "kafka"))]
fn librdkafka() -> Option<String> {
    None
}

#[cfg(test)]
mod tests {

    /// A feature that the manifest has and this list has not would be missing from every bug report.
    #[test]
    fn every_feature_of_the_manifest_is_told() {
        let manifest: toml::Table = include_str!("../Cargo.toml").parse().expect("a manifest");
        let declared = manifest["features"].as_table().expect("features");
        let all = include_str!("version.rs");
        for name in declared.keys().filter(|name| *name != "default") {
            assert!(all.contains(&format!("(\"{name}\", cfg!(feature = \"{name}\"))")), "{name}");
        }
    }
}
