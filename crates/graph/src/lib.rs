//! Microsoft Graph, as far as drivetap needs it: the socketIo endpoint, the drive, its delta, and the token that opens them.
//!
//! - [`Graph`] is the seam: one account's view, one attempt a call.
//! - `GraphClient` (feature `reqwest`) is Graph over HTTPS; [`MemoryGraph`] is its twin in memory, for tests of what is built on top.
//! - [`pages`] walks a drive's delta as a stream, for those who bring their own pipeline.
//! - [`Gate`] lets an account's requests through in order and in measure; [`Walks`] bounds how many drives are walked at once, and what
//!   their pages take. Both delay and nothing else.
//! - [`TokenSource`] is where tokens come from: [`EnvToken`], [`FileToken`], [`CommandToken`], or a source of your own.
//! - [`login`] signs a person in, keeps what that leaves, and renews it.
//! - [`BaseUrl`] is the one place that a token is sent to.
//!
//! *Invariant:* nothing here retries, and [`Graph`] waits for nothing but the answer. A [`Failure`] says what helps; [`drivetap_core::Feed`] does it.

mod base_url;
mod gate;
#[cfg(feature = "reqwest")]
mod http;
pub mod login;
mod memory;
mod pages;
mod token;

use async_trait::async_trait;
use drivetap_core::{Drive, DriveId, Endpoint, Failure, Page, PageFrom, Resource};

pub use base_url::{BaseUrl, BaseUrlError, Cloud, ForeignLink, UnknownCloud};
pub use gate::{Bucket, Empty, Gate, GateStatus, Quota, Share, Slot, TokenStore, Walks};
#[cfg(feature = "reqwest")]
pub use http::{ConfigError, GraphClient, GraphConfig, Look, ProxySettings, ProxyUrlError};
pub use memory::{Call, MemoryGraph};
pub use pages::pages;
pub use token::{AccessToken, CommandToken, EnvToken, FileToken, TokenError, TokenSource};

/// One account's view of Graph. One attempt a call: waiting and retrying are [`drivetap_core::Feed`]'s.
#[async_trait]
pub trait Graph: Send + Sync {
    /// `GET …/subscriptions/socketIo`: a new endpoint for the resource.
    ///
    /// # Errors
    /// [`Failure`] says what the caller does next.
    async fn endpoint(&self, resource: &Resource) -> Result<Endpoint, Failure>;

    /// `GET …/drive?$select=id,driveType`: the canonical drive behind the resource.
    ///
    /// # Errors
    /// [`Failure`] says what the caller does next.
    async fn drive(&self, resource: &Resource) -> Result<Drive, Failure>;

    /// `GET /drives/{id}/root/delta`: one page. Its body is read as far as `share` allows, and held against it: who asked keeps the share
    /// for as long as it keeps the page.
    ///
    /// # Errors
    /// [`Failure`] says what the caller does next.
    async fn page(&self, drive: &DriveId, from: &PageFrom, share: &mut Share) -> Result<Page, Failure>;
}
