//! A drive in words: `OneDrive of Adele Vance`, `library Specifications`.

use drivetap_bridge::core::{Drive, DriveType, Resource};
use serde_json::Value;

use crate::config::{Account, Config};
use crate::env::Env;

/// Asks Graph for the names. What it does not tell is left out; this is for a person to read, and no reason to fail.
#[cfg(feature = "reqwest")]
pub(super) async fn whose(resource: &Resource, drive: &Drive, config: &Config, account: &Account, env: &Env) -> String {
    let Ok(client) = crate::wiring::graph_client(config, account, env) else {
        return words(&drive.drive_type, &Value::Null);
    };
    let shown = client.look(&format!("{}?$select=id,driveType,name,owner", resource.drive_path())).await;
    words(&drive.drive_type, &shown.map_or(Value::Null, |shown| shown.body))
}

#[cfg(not(feature = "reqwest"))]
pub(super) async fn whose(_: &Resource, drive: &Drive, _: &Config, _: &Account, _: &Env) -> String {
    words(&drive.drive_type, &Value::Null)
}

/// Of a drive as Graph shows it.
pub(super) fn words(drive_type: &DriveType, shown: &Value) -> String {
    let text = |value: &Value| value.as_str().filter(|text| !text.is_empty()).map(str::to_owned);
    let owner = owner(shown);
    match (drive_type, text(&shown["name"]), owner) {
        (DriveType::Personal | DriveType::Business, _, Some(owner)) => format!("OneDrive of {owner}"),
        (DriveType::Personal | DriveType::Business, _, None) => "OneDrive".to_owned(),
        (_, Some(name), _) => format!("library {name}"),
        (_, None, Some(owner)) => format!("library of {owner}"),
        (..) => "library".to_owned(),
    }
}

/// A person, else a group, else whatever owns it.
pub(super) fn owner(shown: &Value) -> Option<String> {
    let owner = &shown["owner"];
    let name = |kind: &str| {
        let named = owner[kind]["displayName"].as_str().filter(|name| !name.is_empty());
        named.or(owner[kind]["email"].as_str()).map(str::to_owned)
    };
    ["user", "group", "application"].into_iter().find_map(name)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_drive_is_named_by_what_graph_tells_and_nothing_is_made_up() {
        let check = |drive_type: &str, shown: &Value, want: &str| assert_eq!(words(&drive_type.into(), shown), want, "{shown}");
        let adele = json!({"user": {"displayName": "Adele Vance", "email": "a@contoso.example"}});
        check("business", &json!({"owner": adele, "name": "Documents"}), "OneDrive of Adele Vance");
        check("personal", &json!({"owner": {"user": {"email": "a@contoso.example"}}}), "OneDrive of a@contoso.example");
        check("personal", &Value::Null, "OneDrive");
        check("documentLibrary", &json!({"owner": adele, "name": "Specifications"}), "library Specifications");
        check("documentLibrary", &json!({"owner": {"group": {"displayName": "Launch team"}}}), "library of Launch team");
        check("documentLibrary", &json!({"name": 7}), "library");
    }
}
