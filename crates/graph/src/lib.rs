//! Microsoft Graph, as far as drivetap needs it: the socketIo endpoint, the drive, its delta, and the token that opens them.
//!
//! [`Graph`] is the seam; the client over HTTPS is behind the feature `reqwest`.

use async_trait::async_trait;
use drivetap_core::{Drive, DriveId, Endpoint, Failure, Page, PageFrom, Resource};

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

    /// `GET /drives/{id}/root/delta`: one page.
    ///
    /// # Errors
    /// [`Failure`] says what the caller does next.
    async fn page(&self, drive: &DriveId, from: &PageFrom) -> Result<Page, Failure>;
}
