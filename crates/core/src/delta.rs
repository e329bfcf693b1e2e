use std::fmt;

use serde::{Deserialize, Serialize};

use crate::item::Item;

/// Where a page of delta is fetched from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PageFrom {
    /// `…/root/delta?token=latest`: nothing but a cursor that says "now".
    Latest,
    /// `…/root/delta`: everything there is.
    Root,
    /// A link that Graph gave.
    Link(Link),
}

/// One page of delta.
#[derive(Clone, Debug, PartialEq)]
pub struct Page {
    /// The items in Graph's order; of an item that appears more than once, only the last occurrence.
    pub items: Vec<Item>,
    /// How many entries Graph listed that are [no item](crate::ItemError): they have no subject, so nothing can be published of them.
    pub left_out: usize,
    /// What comes after this page.
    pub end: PageEnd,
}

/// What a page ends with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PageEnd {
    /// `@odata.nextLink`: the walk goes on here.
    Next(Link),
    /// `@odata.deltaLink`: the walk is over, the next one starts here.
    Delta(Link),
}

impl PageEnd {
    /// The link, whichever it is.
    #[must_use]
    pub fn link(&self) -> &Link {
        match self {
            Self::Next(link) | Self::Delta(link) => link,
        }
    }
}

/// A `nextLink`, `deltaLink` or `Location` without its origin: path and query, opaque.
///
/// The origin is left out on purpose: whoever can write the store or answer a request cannot send a token elsewhere, because the
/// client puts its own configured origin in front and checks the path's version prefix at use. Dot segments are refused in every
/// spelling, because they would leave that prefix again.
///
/// ```
/// use drivetap_core::Link;
///
/// assert!(Link::new("/v1.0/drives/b!a/root/delta?token=abc").is_ok());
/// assert!(Link::new("//evil.example/v1.0").is_err());
/// assert!(Link::new("/v1.0/%2e%2e/beta").is_err());
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Link(String);

impl Link {
    /// The longest link taken, in bytes. Graph's tokens are some hundred bytes; this leaves room and bounds the store.
    pub const MAX: usize = 16 * 1024;

    /// Path and query, starting with `/`.
    ///
    /// # Errors
    /// When it does not start with exactly one `/`, is too long, or has a character that no URL has.
    pub fn new(path_and_query: impl Into<String>) -> Result<Self, LinkError> {
        let link = path_and_query.into();
        let printable = link.bytes().all(|b| (0x21..0x7f).contains(&b) && b != b'\\' && b != b'#');
        let rooted = link.starts_with('/') && !link.starts_with("//");
        if link.len() > Self::MAX || !printable || !rooted || has_dot_segment(link.split('?').next().unwrap_or_default()) {
            return Err(LinkError);
        }
        Ok(Self(link))
    }

    /// Path and query.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl TryFrom<String> for Link {
    type Error = LinkError;

    fn try_from(s: String) -> Result<Self, Self::Error> {
        Self::new(s)
    }
}

impl From<Link> for String {
    fn from(link: Link) -> Self {
        link.0
    }
}

/// A text that is not the path and query of a URL.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error(
    "not a path and query: it must start with one '/', hold only URL characters and no dot segment, in at most {} bytes",
    Link::MAX
)]
pub struct LinkError;

// An encoded slash is legal (`delta(token='…%2F…')`); a server that decodes it must not find a dot segment behind it.
fn has_dot_segment(path: &str) -> bool {
    let decoded = path.to_ascii_lowercase().replace("%2e", ".").replace("%2f", "/").replace("%5c", "/");
    decoded.split('/').any(|segment| matches!(segment, "." | ".."))
}
