use std::fmt;
use std::str::FromStr;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use serde::{Deserialize, Serialize};

/// What is watched: one of the five resources that Graph gives a socket.io endpoint for, and nothing else.
///
/// Written as `me`, `drive:{driveId}`, `drive-list:{driveId}`, `group:{groupId}`, `site:{siteId}/list:{listId}`, or as Graph's
/// path in full, from its first `/` to `socketIo`; printed in the short form. Ids are taken literally in the short form
/// (`%2F` is three characters) and percent-decoded in a path.
///
/// ```
/// use drivetap_core::Resource;
///
/// let list: Resource = "site:contoso.sharepoint.com,11,22/list:Shared Documents".parse()?;
/// assert_eq!(
///     list.endpoint_path(),
///     "/sites/contoso.sharepoint.com,11,22/lists/Shared%20Documents/drive/root/subscriptions/socketIo"
/// );
/// assert_eq!(list.endpoint_path().parse::<Resource>()?, list);
/// # Ok::<(), drivetap_core::ResourceError>(())
/// ```
///
/// Source of the five: <https://learn.microsoft.com/en-us/graph/api/subscriptions-socketio?view=graph-rest-1.0>
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Resource {
    /// The signed-in person's OneDrive.
    Me,
    /// A drive by its id.
    Drive(GraphId),
    /// The list behind a drive, by the drive's id.
    DriveList(GraphId),
    /// The default document library of a Microsoft 365 group.
    Group(GraphId),
    /// The library behind a list of a SharePoint site.
    SiteList {
        /// `{hostname},{siteCollectionId},{webId}` or another form that Graph takes as one segment.
        site: GraphId,
        /// The list's id or name.
        list: GraphId,
    },
}

impl Resource {
    /// The path of the socket.io endpoint below the version prefix: `/me/drive/root/subscriptions/socketIo`.
    #[must_use]
    pub fn endpoint_path(&self) -> String {
        match self {
            Self::DriveList(_) => format!("{}/list/subscriptions/socketIo", self.drive_path()),
            _ => format!("{}/root/subscriptions/socketIo", self.drive_path()),
        }
    }

    /// The path of the drive itself below the version prefix: `/me/drive`.
    #[must_use]
    pub fn drive_path(&self) -> String {
        match self {
            Self::Me => "/me/drive".to_owned(),
            Self::Drive(id) | Self::DriveList(id) => format!("/drives/{}", id.segment()),
            Self::Group(id) => format!("/groups/{}/drive", id.segment()),
            Self::SiteList { site, list } => format!("/sites/{}/lists/{}/drive", site.segment(), list.segment()),
        }
    }

    fn from_path(written: &str) -> Result<Self, ResourceError> {
        let shape = || ResourceError::Shape(excerpt(written));
        if written.contains(['?', '#']) {
            return Err(shape());
        }
        let segments: Vec<&str> = written.strip_prefix('/').ok_or_else(shape)?.split('/').collect();
        let id = GraphId::from_segment;
        match segments.as_slice() {
            ["me", "drive", "root", "subscriptions", "socketIo"] => Ok(Self::Me),
            ["drives", drive, "root", "subscriptions", "socketIo"] => Ok(Self::Drive(id("driveId", drive)?)),
            ["drives", drive, "list", "subscriptions", "socketIo"] => Ok(Self::DriveList(id("driveId", drive)?)),
            ["groups", group, "drive", "root", "subscriptions", "socketIo"] => Ok(Self::Group(id("groupId", group)?)),
            ["sites", site, "lists", list, "drive", "root", "subscriptions", "socketIo"] => {
                Ok(Self::SiteList { site: id("siteId", site)?, list: id("listId", list)? })
            }
            _ => Err(shape()),
        }
    }
}

impl fmt::Display for Resource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Me => f.write_str("me"),
            Self::Drive(id) => write!(f, "drive:{id}"),
            Self::DriveList(id) => write!(f, "drive-list:{id}"),
            Self::Group(id) => write!(f, "group:{id}"),
            Self::SiteList { site, list } => write!(f, "site:{site}/list:{list}"),
        }
    }
}

impl FromStr for Resource {
    type Err = ResourceError;

    fn from_str(written: &str) -> Result<Self, Self::Err> {
        if written == "me" {
            return Ok(Self::Me);
        }
        if let Some(id) = written.strip_prefix("drive:") {
            return Ok(Self::Drive(GraphId::new("driveId", id)?));
        }
        if let Some(id) = written.strip_prefix("drive-list:") {
            return Ok(Self::DriveList(GraphId::new("driveId", id)?));
        }
        if let Some(id) = written.strip_prefix("group:") {
            return Ok(Self::Group(GraphId::new("groupId", id)?));
        }
        if let Some(rest) = written.strip_prefix("site:") {
            let Some((site, list)) = rest.split_once("/list:") else {
                return Err(ResourceError::Shape(excerpt(written)));
            };
            return Ok(Self::SiteList { site: GraphId::new("siteId", site)?, list: GraphId::new("listId", list)? });
        }
        Self::from_path(written)
    }
}

impl TryFrom<String> for Resource {
    type Error = ResourceError;

    fn try_from(written: String) -> Result<Self, Self::Error> {
        written.parse()
    }
}

impl From<Resource> for String {
    fn from(resource: Resource) -> Self {
        resource.to_string()
    }
}

/// An id of Graph's, opaque, that fits into exactly one path segment.
///
/// Never empty, never `.` or `..`, and without `/` and control characters: no id can make a path of another shape.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct GraphId(String);

impl GraphId {
    /// The longest id taken, in bytes. Graph's are below 200.
    pub const MAX: usize = 1024;

    /// `id` as it is written; `part` is the name that an error gives it (`driveId`).
    ///
    /// # Errors
    /// When it would not be one path segment.
    pub fn new(part: &'static str, id: &str) -> Result<Self, ResourceError> {
        let fault = match id {
            "" => Some(IdFault::Empty),
            "." | ".." => Some(IdFault::DotSegment),
            _ if id.contains('/') => Some(IdFault::Slash),
            _ if id.chars().any(char::is_control) => Some(IdFault::Control),
            _ if id.len() > Self::MAX => Some(IdFault::TooLong),
            _ => None,
        };
        match fault {
            None => Ok(Self(id.to_owned())),
            Some(fault) => Err(ResourceError::Id { part, id: excerpt(id), fault }),
        }
    }

    fn from_segment(part: &'static str, segment: &str) -> Result<Self, ResourceError> {
        let error = |fault| ResourceError::Id { part, id: excerpt(segment), fault };
        let escape = |after: &str| after.len() >= 2 && after.bytes().take(2).all(|b| b.is_ascii_hexdigit());
        if !segment.split('%').skip(1).all(escape) {
            return Err(error(IdFault::Escape));
        }
        let decoded = percent_decode_str(segment).decode_utf8().map_err(|_| error(IdFault::NotUtf8))?;
        Self::new(part, &decoded)
    }

    /// The id, not encoded.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    fn segment(&self) -> String {
        encode_segment(&self.0)
    }
}

impl fmt::Display for GraphId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Why a text is no [`Resource`].
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum ResourceError {
    /// None of the five forms. Holds what was written, cut at 80 characters.
    #[error(
        "{0:?} is none of: me, drive:{{driveId}}, drive-list:{{driveId}}, group:{{groupId}}, site:{{siteId}}/list:{{listId}}, \
         or Graph's path to their subscriptions/socketIo"
    )]
    Shape(String),
    /// The form is right, an id in it is not.
    #[error("{part} {id:?} {fault}")]
    Id {
        /// Which id: `driveId`, `groupId`, `siteId`, `listId`.
        part: &'static str,
        /// The id as it was written, cut at 80 characters.
        id: String,
        /// What is wrong with it.
        fault: IdFault,
    },
}

/// What is wrong with an id.
#[derive(Clone, Copy, Debug, thiserror::Error, PartialEq, Eq)]
pub enum IdFault {
    /// Nothing there.
    #[error("is empty")]
    Empty,
    /// A path separator.
    #[error("contains '/': an id is one path segment")]
    Slash,
    /// C0, DEL or C1.
    #[error("contains a control character")]
    Control,
    /// `.` or `..`.
    #[error("is a dot segment, which a URL removes")]
    DotSegment,
    /// Longer than [`GraphId::MAX`].
    #[error("is longer than 1024 bytes")]
    TooLong,
    /// In a path, a `%` without two hexadecimal digits after it.
    #[error("contains a '%' that begins no percent-encoding")]
    Escape,
    /// Percent-encoded bytes that are no UTF-8.
    #[error("is not UTF-8 after percent-decoding")]
    NotUtf8,
}

// An error is for a person: it shows enough to find the fault, whatever was pasted. A sink's URL is no resource, and may hold a password.
fn excerpt(written: &str) -> String {
    let (shown, hidden) = match written.split_once("://") {
        Some((scheme, rest)) if rest.contains(['@', '?']) => (scheme, "://…"),
        _ => (written, ""),
    };
    shown.chars().take(80).chain(hidden.chars()).collect()
}

/// RFC 3986: unreserved characters and sub-delimiters stay as they are, everything else is percent-encoded UTF-8.
///
/// `b!…` and `host,guid,guid` are legible that way, and what Graph itself prints in its links.
pub(crate) fn encode_segment(id: &str) -> String {
    const KEEP: &AsciiSet = &NON_ALPHANUMERIC
        .remove(b'-')
        .remove(b'.')
        .remove(b'_')
        .remove(b'~')
        .remove(b'!')
        .remove(b'$')
        .remove(b'&')
        .remove(b'\'')
        .remove(b'(')
        .remove(b')')
        .remove(b'*')
        .remove(b'+')
        .remove(b',')
        .remove(b';')
        .remove(b'=');
    utf8_percent_encode(id, KEEP).to_string()
}
