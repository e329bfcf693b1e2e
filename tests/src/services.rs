//! Where the services are: tests/services/README.md.

use serde_json::Value;

/// The text at `pointer` in `state.json`.
pub fn service(pointer: &str) -> String {
    let Ok(path) = std::env::var("DRIVETAP_SERVICES") else {
        panic!("this test needs real services, and DRIVETAP_SERVICES is not set: run `cargo xtask test`");
    };
    let state = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}: run `cargo xtask test`"));
    let state: Value = serde_json::from_str(&state).unwrap();
    state.pointer(pointer).and_then(Value::as_str).unwrap_or_else(|| panic!("{path} has no {pointer}")).to_owned()
}
