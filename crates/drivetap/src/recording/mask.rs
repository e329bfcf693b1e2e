use std::hash::{BuildHasher as _, RandomState};

use jiff::Timestamp;
use percent_encoding::percent_decode_str;
use serde_json::{Map, Value};

/// Replaces what says something about anybody: the same text by the same one within a recording, and by another one in the next.
///
/// It keeps what is known to say nothing (times of changes, kinds, states, sizes), and replaces all else, so that a property which nobody
/// thought of gives nothing away. A replacement tells neither the letters nor the length of a text, only whether it is an id of some kind,
/// and whether it was ASCII: an id is still an id, a path still leads to its folders, and nobody reads a name.
pub(super) struct Mask(RandomState);

/// When a change was made, and until when a subscription lasts. Not when a picture was taken.
const TIMES: [&str; 4] = ["createdDateTime", "lastModifiedDateTime", "expirationDateTime", "subscriptionExpirationDateTime"];
/// Numbers that tell how much there is; any other can be a place on Earth.
const AMOUNTS: [&str; 3] = ["size", "childCount", "merged"];
/// The same for everybody (issues abraunegg/onedrive#3583 and #3718).
const CLIENT_STATE: &str = "system-managed:8082D436-D8DA-458D-96AD-34C902B73F37";

impl Mask {
    pub(super) fn new() -> Self {
        Self(RandomState::new())
    }

    /// Everything in it, at every depth.
    pub(super) fn value(&self, value: &mut Value) {
        self.member("", value);
    }

    fn member(&self, name: &str, value: &mut Value) {
        match value {
            Value::String(text) => *text = self.named(name, text),
            Value::Number(_) if !AMOUNTS.contains(&name) => *value = 0.into(),
            Value::Array(values) => values.iter_mut().for_each(|value| self.member(name, value)),
            Value::Object(fields) => {
                let masked = std::mem::take(fields).into_iter().map(|(name, mut value)| {
                    self.member(&name, &mut value);
                    (if is_a_property(&name) { name } else { self.text(&name) }, value)
                });
                *fields = masked.collect::<Map<_, _>>();
            }
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
    }

    fn named(&self, name: &str, text: &str) -> String {
        let stays = match name {
            "driveType" => ["personal", "business", "documentLibrary"].contains(&text),
            "state" => text == "deleted",
            "clientState" => text == CLIENT_STATE,
            "mimeType" => is_a_common_type(text),
            _ => TIMES.contains(&name) && text.parse::<Timestamp>().is_ok(),
        };
        match name {
            _ if stays => text.to_owned(),
            _ if name.ends_with("DateTime") => "1970-01-01T00:00:00Z".to_owned(),
            "path" => self.path(text),
            _ => self.text(text),
        }
    }

    /// `/drive/root:/Plans` and `/drives/b!x/root:/Plans`: the folders' names one by one, as they stand in their own `name`.
    fn path(&self, path: &str) -> String {
        let Some((drive, folders)) = path.split_once("root:") else {
            return self.text(path);
        };
        let drive =
            drive.split('/').map(|word| if ["", "drive", "drives"].contains(&word) { word.to_owned() } else { self.text(word) });
        let folders = folders.split('/').map(|folder| self.text(&percent_decode_str(folder).decode_utf8_lossy()));
        format!("{}root:{}", drive.collect::<Vec<_>>().join("/"), folders.collect::<Vec<_>>().join("/"))
    }

    /// Another text in its place.
    pub(super) fn text(&self, text: &str) -> String {
        const GUID: [usize; 5] = [8, 4, 4, 4, 12];

        let (raw, shape) = Shape::of(text);
        let mut rng = fastrand::Rng::with_seed(self.0.hash_one(&raw));
        let mut digits = |n: usize| (0..n).filter_map(|_| char::from_digit(rng.u32(..16), 16)).collect::<String>();
        match shape {
            Shape::Nothing => String::new(),
            Shape::PersonalDrive => digits(16),
            Shape::BusinessDrive => format!("b!{}", digits(64)),
            Shape::Guid => GUID.map(digits).join("-"),
            Shape::Words { ascii, length } => format!("{}{}", if ascii { "" } else { "ü" }, digits(length)),
        }
    }

    /// A code of Graph's is made of letters and digits, and of a status where there is none. Any other words may name a host or a file.
    pub(super) fn code(code: &str) -> String {
        let letters = |word: &str| !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_alphanumeric());
        let status = code.strip_prefix("HTTP ").and_then(|rest| rest.get(..3)).filter(|status| letters(status));
        match status {
            Some(status) => format!("HTTP {status}"),
            None if letters(code.strip_suffix("_claims").unwrap_or(code)) => code.to_owned(),
            None => "network".to_owned(),
        }
    }
}

/// What may be told of a text.
enum Shape {
    Nothing,
    /// 15 or 16 hexadecimal digits.
    PersonalDrive,
    /// `b!…`
    BusinessDrive,
    Guid,
    /// `length` is rounded up.
    Words {
        ascii: bool,
        length: usize,
    },
}

impl Shape {
    /// Two spellings of a personal drive's id are one: Graph changes case, and drops a zero in front.
    fn of(text: &str) -> (String, Self) {
        const STEP: usize = 16;

        let hex = |text: &str| text.bytes().all(|byte| byte.is_ascii_hexdigit());
        let groups: Vec<_> = text.split('-').collect();
        if text.is_empty() {
            (String::new(), Self::Nothing)
        } else if (15..=16).contains(&text.len()) && hex(text) {
            (format!("{:0>16}", text.to_ascii_lowercase()), Self::PersonalDrive)
        } else if text.starts_with("b!") {
            (text.to_owned(), Self::BusinessDrive)
        } else if groups.iter().map(|group| group.len()).eq([8, 4, 4, 4, 12]) && groups.iter().all(|group| hex(group)) {
            (text.to_ascii_lowercase(), Self::Guid)
        } else {
            (text.to_owned(), Self::Words { ascii: text.is_ascii(), length: text.len().div_ceil(STEP) * STEP })
        }
    }
}

/// As Graph names its properties. What a site's own columns are called does not look like it.
fn is_a_property(name: &str) -> bool {
    let first = name.strip_prefix('@').unwrap_or(name);
    first.starts_with(|c: char| c.is_ascii_lowercase())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"@._".contains(&byte))
}

/// A type that says no more than an extension does.
fn is_a_common_type(mime: &str) -> bool {
    let plain = |kind: &str| !kind.is_empty() && kind.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+-".contains(&byte));
    match mime.split_once('/') {
        Some(("text" | "image" | "audio" | "video", kind)) => plain(kind),
        Some(("application", kind)) => {
            ["pdf", "json", "zip", "octet-stream", "msword"].contains(&kind)
                || kind.starts_with("vnd.openxmlformats-officedocument.")
                || kind.starts_with("vnd.ms-")
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use serde_json::json;

    use super::*;

    /// Every property of a driveItem that Graph documents with a person, a place or a host in it, the notification frame of
    /// abraunegg/onedrive#3718, and the older flat one.
    fn bodies() -> Vec<Value> {
        let adele = json!({"user": {"displayName": "Adele Vance", "email": "adele@contoso.example", "id": "87d349ed-44d7-43e1-9a83-5f2406dee5bd"},
            "application": {"displayName": "Contoso Sync", "id": "4765445b-32c6-49b0-83e6-1d93765276ca"},
            "device": {"displayName": "ADELES-LAPTOP", "id": "18400001"}, "group": {"displayName": "Launch", "email": "launch@contoso.example"}});
        let shared_ids = json!({"listId": "1234112e-b9f7-4c0e-8e5d-2f1b2c3d4e5f", "listItemId": "17", "listItemUniqueId": "4fe1a5b2-0000-4000-8000-000000000001",
            "siteId": "2c712604-1370-44e7-a1f5-426573fda80a", "siteUrl": "https://contoso-my.sharepoint.com/personal/adele_contoso_example",
            "tenantId": "84df9e7f-e9f6-40af-b435-aaaaaaaaaaaa", "webId": "2d2244c3-251a-49ea-93a8-39e1c3a060fe"});
        vec![
            json!({
                "@odata.type": "#microsoft.graph.driveItem", "id": "01BYE5RZ6QN3ZWBTUFOFD3GSPGOHDJD36K", "name": "Adele's Gehälter.xlsx",
                "eTag": "\"{F3A2C1D4-0000-4000-8000-000000000001},3\"", "cTag": "\"c:{F3A2C1D4-0000-4000-8000-000000000001},5\"",
                "size": 20417, "webUrl": "https://contoso-my.sharepoint.com/personal/adele_contoso_example/Documents/Gehalt.xlsx",
                "webDavUrl": "https://contoso-my.sharepoint.com/personal/adele", "description": "For Nestor only",
                "createdDateTime": "2026-05-28T20:00:00Z", "lastModifiedDateTime": "2026-05-28T20:00:01Z",
                "createdBy": adele, "lastModifiedBy": adele, "createdByUser": {"displayName": "Adele V", "mail": "av@contoso.example", "mobilePhone": "+1 425 555 0109"},
                "fileSystemInfo": {"createdDateTime": "2026-05-28T20:00:00Z", "lastAccessedDateTime": "2026-05-29T07:07:07Z"},
                "file": {"mimeType": "application/vnd.contoso.payroll", "hashes": {"quickXorHash": "dF5GC7hQ1uBt7WHxU8d+sVn3V+s=", "sha256Hash": "ABCDEF99"}},
                "parentReference": {"driveId": "b!t18F8ybsHUq1z3LTz8xvZqP8zaSWjkFNhsME-Fepo75dTf9vQKfeRblBZjoSQrd7", "driveType": "business",
                    "id": "01NKDM7HMOJTVYMDOSXFDK2QJDXCDI3WUK", "name": "Secret", "path": "/drives/b!t18F8ybsHUq1z3LTz8xvZqP8zaSWjkFNhsME-Fepo75dTf9vQKfeRblBZjoSQrd7/root:/Secret/B%C3%BCro", "siteId": "b57886ef-vvvv-4d56-ad29-27266638ac3b", "sharepointIds": shared_ids},
                "location": {"altitude": 23.5, "latitude": 47.610_6, "longitude": -122.334_5},
                "photo": {"cameraMake": "Fujifilm", "cameraModel": "X100V", "fNumber": 2.8, "iso": 1250, "takenDateTime": "2019-08-01T10:11:12Z"},
                "audio": {"artist": "The Vances", "title": "Home song", "year": 1987}, "image": {"width": 3840, "height": 2160},
                "remoteItem": {"id": "R1", "name": "Al", "webUrl": "https://fabrikam.sharepoint.com/x", "createdBy": adele, "sharepointIds": shared_ids,
                    "shared": {"owner": adele, "sharedBy": adele, "scope": "users", "sharedDateTime": "2024-02-03T04:05:06Z"},
                    "parentReference": {"path": "/drive/root:/Kin"}},
                "sharepointIds": shared_ids, "publication": {"level": "published", "versionId": "1.0", "checkedOutBy": adele},
                "listItem": {"fields": {"Employee Name": "Nestor Wilke", "Salary": 123_456, "people": ["Megan Bowen", "Bo"]}},
            }),
            json!({"id": "01F", "name": "Secret", "folder": {"childCount": 3}, "parentReference": {"path": "/drive/root:"}}),
            json!({"id": "01G", "name": "Büro", "deleted": {"state": "deleted"}, "file": {"mimeType": "image/jpeg"}}),
            json!({"subscriptionId": "5554a2f6-1959-4b95-96f4-369b49212df9", "clientState": CLIENT_STATE, "expirationDateTime": "2026-05-11T21:52:27.5200000Z",
                "resource": "b8a61df7-e8b3-4e48-9cc2-73425b82160e", "tenantId": "9188040d-6c67-4c5b-b112-36a304b66dad", "siteUrl": "/personal/5a0b9e159b3310ad",
                "webId": "be8f18aa-284c-4452-8e7d-3db9e0e4babd"}),
            json!({"clientState": "mine", "subscriptionId": "s", "subscriptionExpirationDateTime": "soon", "userId": "5A0B9E159B3310AD", "resource": "5a0b9e159b3310ad"}),
        ]
    }

    /// Every text, number and name of a property in it.
    fn leaves(value: &Value, all: &mut BTreeSet<String>) {
        match value {
            Value::String(text) => drop(all.insert(text.clone())),
            Value::Number(number) => drop(all.insert(number.to_string())),
            Value::Array(values) => values.iter().for_each(|value| leaves(value, all)),
            Value::Object(fields) => fields.iter().for_each(|(name, value)| {
                all.insert(name.clone());
                leaves(value, all);
            }),
            Value::Null | Value::Bool(_) => {}
        }
    }

    #[test]
    fn of_every_body_that_graph_sends_only_what_says_nothing_is_left() {
        const LEFT: [&str; 13] = [
            "/drive/root:",
            "",
            "0",
            "3",
            "20417",
            "business",
            "deleted",
            "image/jpeg",
            "2026-05-28T20:00:00Z",
            "2026-05-28T20:00:01Z",
            "2026-05-11T21:52:27.5200000Z",
            "1970-01-01T00:00:00Z",
            CLIENT_STATE,
        ];
        let mask = Mask::new();
        for raw in bodies() {
            let mut masked = raw.clone();
            mask.value(&mut masked);
            let (mut before, mut after) = (BTreeSet::new(), BTreeSet::new());
            leaves(&raw, &mut before);
            leaves(&masked, &mut after);
            let kept = before.intersection(&after).filter(|leaf| !LEFT.contains(&leaf.as_str()));
            let kept: Vec<_> = kept.filter(|leaf| !is_a_property(leaf)).collect();
            assert!(kept.is_empty(), "{kept:?} of {raw:#}");
            let text = masked.to_string().to_lowercase();
            for private in [
                "adele",
                "vance",
                "contoso",
                "fabrikam",
                "sharepoint.com",
                "nestor",
                "wilke",
                "megan",
                "secret",
                "geh",
                "büro",
                "payroll",
                "employee",
                "salary\":123",
                "laptop",
                "launch",
                "47.6",
                "122.3",
                "23.5",
                "fuji",
                "song",
                "1987",
                "2019",
                "2024",
                "http",
                "\"al\"",
                "\"bo\"",
                "kin\"",
                "9188040d",
                "5a0b9e15",
                "t18f8",
                "01bye5",
                "df5gc7",
            ] {
                assert!(!text.contains(private), "{private} in {text}");
            }
        }
    }

    #[test]
    fn the_same_text_stays_the_same_and_an_id_an_id() {
        let mask = Mask::new();
        let mut items = Value::Array(bodies());
        mask.value(&mut items);
        // A folder's own name is the one in the paths of what is in it, however a path spells it.
        let path = items[0]["parentReference"]["path"].as_str().expect("a path");
        let (secret, office) = (items[1]["name"].as_str().expect("a name"), items[2]["name"].as_str().expect("a name"));
        assert!(path.ends_with(&format!("/root:/{secret}/{office}")), "{path}: {secret}, {office}");
        assert!(path.starts_with("/drives/b!") && items[1]["parentReference"]["path"] == "/drive/root:", "{path}");
        assert!(office.starts_with('ü') && secret.len() == 16);
        assert_eq!(items[0]["createdBy"]["user"], items[0]["remoteItem"]["shared"]["owner"]["user"]);
        assert_eq!(items[4]["userId"], items[4]["resource"]);
        assert_eq!(mask.text("A0B9E159B3310AD"), mask.text("0a0b9e159b3310ad"));
        assert_ne!(mask.text("Adele"), Mask::new().text("Adele"));
        let id = mask.text("be8f18aa-284c-4452-8e7d-3db9e0e4babd");
        assert_eq!((id.len(), id.matches('-').count()), (36, 4));
        assert_eq!(items[0]["location"], json!({"altitude": 0, "latitude": 0, "longitude": 0}));
    }

    #[test]
    fn a_name_of_one_letter_or_of_signs_is_replaced_too() {
        let mask = Mask::new();
        for name in ["A", "Z", "Al", "_.-", "😀", "z".repeat(300).as_str()] {
            let masked = mask.text(name);
            assert!(masked != name && masked.len() >= 16 && !masked.contains(name), "{name}: {masked}");
        }
        assert_eq!(mask.text("Al").len(), mask.text("A name of 16 b..").len());
    }

    #[test]
    fn a_code_of_graphs_stays_and_words_about_a_host_go() {
        for (code, kept) in [
            ("resyncChangesApplyDifferences", "resyncChangesApplyDifferences"),
            ("insufficient_claims", "insufficient_claims"),
            ("HTTP 503", "HTTP 503"),
            ("HTTP 302 (redirects are not followed)", "HTTP 302"),
            ("cannot connect to proxy.contoso.example:3128", "network"),
            ("/home/adele/token: no such file", "network"),
            ("adele-laptop", "network"),
            ("", "network"),
        ] {
            assert_eq!(Mask::code(code), kept);
        }
    }
}
