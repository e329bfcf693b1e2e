//! A drive without a server.

use serde_json::Value;

use crate::{
    delta::{self, Link, Query, Start, Token},
    model::{Change, ChangeError, Drive, DriveKind, Limits, NewDrive},
    switches::Switches,
};

/// A drive by itself: changes and pages of delta, without HTTP, a socket, a runtime or a clock to wait for. For tests that want
/// thousands of histories.
///
/// Delta is the one that the emulator serves, with the same [`Switches`]; `delta_lag` is not among those that count here, because
/// nothing waits: what delta does not show yet is said by [`hold_back`](Self::hold_back).
///
/// ```
/// use drivetap_emulator::{Change, DeltaFrom, DriveKind, Limits, LooseDrive};
///
/// let mut drive = LooseDrive::new(DriveKind::Business, Limits::default(), 7);
/// drive.change(&Change::Create { name: "a.txt".to_owned(), parent: None, size: None })?;
/// let page = drive.delta(DeltaFrom::Beginning)?;
/// assert_eq!(page.items.len(), 2, "the root is reported, too");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct LooseDrive {
    drive: Drive,
    held_back_at: Option<u64>,
    /// How delta behaves: `page_size`, `ancestors`, `tombstones`, `repeated_items`.
    pub switches: Switches,
}

/// Where a request for delta starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeltaFrom<'a> {
    /// No token: everything there is.
    Beginning,
    /// `token=latest`: nothing, and a token to go on from.
    Latest,
    /// A token of an earlier page.
    Token(&'a str),
}

/// One page.
#[derive(Debug, Clone, PartialEq)]
pub struct DeltaPage {
    /// The items, as Graph spells them.
    pub items: Vec<Value>,
    /// The token of the link below them.
    pub token: String,
    /// Whether that link is a `nextLink`; else it is a `deltaLink`.
    pub more: bool,
}

/// The token does not reach back, or is none of this drive's: 410.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the token is no longer known")]
pub struct TokenGone;

impl LooseDrive {
    /// An empty drive but for its root. `seed` decides every id.
    #[must_use]
    pub fn new(kind: DriveKind, limits: Limits, seed: u64) -> Self {
        let new = NewDrive { kind, ..NewDrive::default() };
        let drive = Drive::new(new, limits, fastrand::Rng::with_seed(seed));
        Self { drive, held_back_at: None, switches: Switches::default() }
    }

    /// Makes a change and answers the item's id.
    ///
    /// # Errors
    /// See [`ChangeError`]; the drive is as it was.
    pub fn change(&mut self, change: &Change) -> Result<String, ChangeError> {
        self.drive.apply(change)
    }

    /// One page of delta.
    ///
    /// # Errors
    /// [`TokenGone`] where Graph would answer 410.
    pub fn delta(&self, from: DeltaFrom<'_>) -> Result<DeltaPage, TokenGone> {
        let start = match from {
            DeltaFrom::Beginning => Start::Beginning,
            DeltaFrom::Latest => Start::Latest,
            DeltaFrom::Token(token) => Start::From(Token::parse(token).ok_or(TokenGone)?),
        };
        let query = Query { start, top: None, exclude_parent: true };
        let page = delta::page(&self.drive, query, &self.switches, self.shown()).map_err(|_| TokenGone)?;
        let (token, more) = match page.link {
            Link::Next(token) => (token, true),
            Link::Delta(token) => (token, false),
        };
        Ok(DeltaPage { items: page.items, token: token.text(), more })
    }

    /// From now on delta does not show what changes, until it is called with `false`.
    pub fn hold_back(&mut self, hold: bool) {
        self.held_back_at = hold.then(|| self.shown());
    }

    /// The number of the newest change that delta shows.
    #[must_use]
    pub fn shown(&self) -> u64 {
        self.held_back_at.unwrap_or_else(|| self.drive.head())
    }

    /// The number of the newest change.
    #[must_use]
    pub fn head(&self) -> u64 {
        self.drive.head()
    }

    /// Every token so far answers [`TokenGone`] from now on.
    pub fn expire_tokens(&mut self) {
        self.drive.epoch = self.drive.epoch.wrapping_add(1);
    }

    /// Everything that is there, the root included: the number of its latest change, and what delta says of it.
    pub fn living(&self) -> impl Iterator<Item = (u64, Value)> + '_ {
        let living = self.drive.changes(0, self.drive.head()).filter(|item| !item.deleted);
        living.map(|item| (item.sequence, item.in_delta(&self.drive, item.version)))
    }

    /// The ids of what was deleted of late, the latest first.
    pub fn bin(&self) -> impl Iterator<Item = &str> {
        self.drive.bin().map(|item| item.id.as_str())
    }
}
