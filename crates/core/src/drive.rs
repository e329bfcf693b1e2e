use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::resource::{GraphId, encode_segment};

/// A drive as Graph names it, after its id was resolved once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Drive {
    /// The canonical id.
    pub id: DriveId,
    /// Which service keeps it.
    pub drive_type: DriveType,
}

impl Drive {
    /// From `GET …/drive?$select=id,driveType`; `drive_type` is Graph's word, `id` is normalised by it.
    #[must_use]
    pub fn new(id: &GraphId, drive_type: DriveType) -> Self {
        Self { id: DriveId::canonical(id, &drive_type), drive_type }
    }
}

/// Graph's `driveType`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum DriveType {
    /// OneDrive of a Microsoft account.
    Personal,
    /// OneDrive for Business.
    Business,
    /// A SharePoint document library.
    DocumentLibrary,
    /// A word that Graph did not have when this was written, kept as sent.
    Other(String),
}

impl From<&str> for DriveType {
    fn from(word: &str) -> Self {
        match word {
            "personal" => Self::Personal,
            "business" => Self::Business,
            "documentLibrary" => Self::DocumentLibrary,
            other => Self::Other(other.to_owned()),
        }
    }
}

impl fmt::Display for DriveType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Personal => "personal",
            Self::Business => "business",
            Self::DocumentLibrary => "documentLibrary",
            Self::Other(word) => word,
        })
    }
}

/// A drive's canonical id: equal for every spelling that Graph uses of one drive.
///
/// Ids of personal drives arrive in either case and with a leading zero dropped (OneDrive/onedrive-api-docs#1890): they are
/// lower-cased and padded to 16 digits. All other ids are opaque and stay as they are.
///
/// ```
/// use drivetap_core::{Drive, DriveType, GraphId};
///
/// let drive = Drive::new(&GraphId::new("driveId", "A0B9E159B3310AD")?, DriveType::from("personal"));
/// assert_eq!(drive.id.as_str(), "0a0b9e159b3310ad");
/// assert_eq!(drive.id.root_path(), "/drives/0a0b9e159b3310ad/root");
/// # Ok::<(), drivetap_core::ResourceError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct DriveId(String);

impl DriveId {
    fn canonical(id: &GraphId, drive_type: &DriveType) -> Self {
        let hex = |s: &str| s.len() <= 16 && s.bytes().all(|b| b.is_ascii_hexdigit());
        match drive_type {
            DriveType::Personal if hex(id.as_str()) => Self(format!("{:0>16}", id.as_str().to_ascii_lowercase())),
            _ => Self(id.as_str().to_owned()),
        }
    }

    /// The id, not encoded.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The path of the drive's root: `/drives/{id}/root`. The delta walk and an event's `source` start with it.
    #[must_use]
    pub fn root_path(&self) -> String {
        format!("/drives/{}/root", encode_segment(&self.0))
    }
}

impl fmt::Display for DriveId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The name of an account in the configuration: 1 to 64 of `a-z A-Z 0-9 - _ .`, the first no dot (it becomes a file's name).
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct AccountName(String);

impl AccountName {
    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Default for AccountName {
    fn default() -> Self {
        Self("default".to_owned())
    }
}

impl fmt::Display for AccountName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for AccountName {
    type Err = AccountNameError;

    fn from_str(s: &str) -> Result<Self, Self::Err> {
        let legal = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.');
        if (1..=64).contains(&s.len()) && s.bytes().all(legal) && !s.starts_with('.') {
            Ok(Self(s.to_owned()))
        } else {
            Err(AccountNameError(s.to_owned()))
        }
    }
}

impl TryFrom<String> for AccountName {
    type Error = AccountNameError;

    fn try_from(s: String) -> Result<Self, Self::Error> {
        s.parse()
    }
}

impl From<AccountName> for String {
    fn from(name: AccountName) -> Self {
        name.0
    }
}

/// A name that cannot be an account's.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("account name {0:?}: use 1 to 64 of letters, digits, '-', '_' and '.', and no dot in front")]
pub struct AccountNameError(String);

/// What one walk and one cursor belong to: an account and the drive that it sees.
///
/// Two accounts on one drive are two feeds, because delta shows each of them what it may see.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FeedId {
    /// Who looks.
    pub account: AccountName,
    /// At what.
    pub drive: DriveId,
}

impl FeedId {
    /// One string for the two, the same in every process: a store's key and what ids are hashed over.
    ///
    /// An account's name has no `/`, so two feeds never share a key.
    #[must_use]
    pub fn key(&self) -> String {
        format!("{}/{}", self.account, self.drive)
    }

    /// The `source` of the feed's events: the drive's absolute URL. `base_url` is Graph's with its version.
    #[must_use]
    pub fn source(&self, base_url: &str) -> String {
        format!("{}{}", base_url.trim_end_matches('/'), self.drive.root_path())
    }
}

impl fmt::Display for FeedId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.account, self.drive)
    }
}
