//! One item of a drive, and how Graph spells it.

use jiff::Timestamp;
use serde::Serialize;
use serde_json::{Value, json};
use tokio::time::Instant;
use uuid::Uuid;

use super::{Drive, DriveKind, Person};
use crate::text;

/// A file or a folder, alive or deleted.
#[derive(Debug, Clone)]
pub(crate) struct Item {
    pub(crate) id: String,
    pub(crate) guid: Uuid,
    pub(crate) name: String,
    /// `None` for the root only.
    pub(crate) parent: Option<String>,
    pub(crate) content: Content,
    pub(crate) created: Timestamp,
    pub(crate) modified: Timestamp,
    pub(crate) by: Person,
    /// Counts changes of this item; eTag and cTag end in it.
    pub(crate) version: u64,
    pub(crate) deleted: bool,
    /// Its place in the drive's change log.
    pub(crate) sequence: u64,
    /// When the change happened: delta shows it `delta_lag` later.
    pub(crate) at: Instant,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Content {
    Folder,
    File { size: u64, hash: String },
}

impl Item {
    pub(crate) fn is_folder(&self) -> bool {
        self.content == Content::Folder
    }

    /// The item as delta reports it. The properties that Graph leaves out are left out (driveItem: delta, "Remarks"):
    /// on business drives the `cTag`, of deleted ones also the `name`; on personal drives a deleted item's `cTag` and
    /// `size`. `parentReference` has no `path`.
    pub(crate) fn in_delta(&self, drive: &Drive, version: u64) -> Value {
        let personal = drive.kind == DriveKind::Personal;
        let shown = DriveItem {
            download_url: (!self.deleted && !self.is_folder()).then(|| drive.download_url(self)),
            created_date_time: text::seconds(self.created),
            c_tag: (personal && !self.deleted).then(|| format!("\"c:{{{}}},{version}\"", self.tag())),
            e_tag: format!("\"{{{}}},{version}\"", self.tag()),
            id: &self.id,
            last_modified_date_time: text::seconds(self.modified),
            name: (personal || !self.deleted).then_some(self.name.as_str()),
            size: (!personal || !self.deleted).then(|| drive.size_of(self)),
            web_url: (!self.deleted).then(|| drive.web_url(self)),
            created_by: identity(drive.owner),
            last_modified_by: identity(self.by),
            parent_reference: parent_reference(drive, self),
            file: match &self.content {
                Content::File { hash, .. } => Some(json!({
                    "mimeType": text::mime_type(&self.name),
                    "hashes": { "quickXorHash": hash },
                })),
                Content::Folder => None,
            },
            folder: self.is_folder().then(|| json!({ "childCount": drive.children(&self.id).count() })),
            file_system_info: json!({
                "createdDateTime": text::seconds(self.created),
                "lastModifiedDateTime": text::seconds(self.modified),
            }),
            root: self.parent.is_none().then(|| json!({})),
            deleted: self.deleted.then(|| json!({ "state": "deleted" })),
        };
        // Strings, numbers and maps with string keys only: this cannot fail, and an empty item would fail every test.
        serde_json::to_value(shown).unwrap_or_default()
    }

    fn tag(&self) -> String {
        self.guid.to_string().to_uppercase()
    }
}

fn identity(person: Person) -> Value {
    json!({ "user": { "email": person.email, "id": person.id, "displayName": person.name } })
}

fn parent_reference(drive: &Drive, item: &Item) -> Value {
    let mut parent = json!({ "driveType": drive.kind.as_str(), "driveId": drive.id });
    if let Some(id) = &item.parent {
        parent["id"] = json!(id);
    }
    if drive.kind != DriveKind::Personal {
        parent["siteId"] = json!(drive.web_id);
    }
    parent
}

/// Graph's driveItem, in the order in which Graph prints it.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct DriveItem<'a> {
    #[serde(rename = "@microsoft.graph.downloadUrl", skip_serializing_if = "Option::is_none")]
    download_url: Option<String>,
    created_date_time: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    c_tag: Option<String>,
    e_tag: String,
    id: &'a str,
    last_modified_date_time: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    size: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    web_url: Option<String>,
    created_by: Value,
    last_modified_by: Value,
    parent_reference: Value,
    #[serde(skip_serializing_if = "Option::is_none")]
    file: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    folder: Option<Value>,
    file_system_info: Value,
    #[serde(skip_serializing_if = "Option::is_none")]
    root: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    deleted: Option<Value>,
}
