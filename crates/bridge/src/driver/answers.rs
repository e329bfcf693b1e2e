//! What a driver logs of an answer, and what a failure is to its feed.

use drivetap_core::feed::{Input, OpenFailure, StoreFailure};
use drivetap_transport::OpenError;
use tracing::{debug, info, warn};

use super::Driver;
use crate::store::StoreError;

impl Driver {
    pub(super) fn log(&self, input: &Input) {
        match input {
            Input::Endpoint { result: Ok(endpoint), .. } => {
                let host = endpoint.subscription.notification_url.host();
                info!(feed = %self.id, host, lifetime = ?endpoint.lifetime, "Graph gave an endpoint");
            }
            Input::Endpoint { result: Err(failure), .. } => {
                warn!(feed = %self.id, reason = %failure, "Graph gave no endpoint");
            }
            Input::Page { result: Ok(page), .. } => {
                debug!(feed = %self.id, items = page.items.len(), "a page of delta");
                if page.left_out > 0 {
                    let entries = u64::try_from(page.left_out).unwrap_or(u64::MAX);
                    metrics::counter!("drivetap_delta_entries_left_out_total").increment(entries);
                    warn!(feed = %self.id, entries, reason = "no event could name it", "delta listed what has no usable id: it is left out");
                }
            }
            Input::Page { result: Err(failure), .. } => {
                warn!(feed = %self.id, reason = %failure, "Graph gave no page");
            }
            Input::Committed { result: Err(failure), .. } => {
                warn!(feed = %self.id, reason = %failure, "the cursor could not be saved; the feed is held");
            }
            _ => {}
        }
    }
}

pub(super) fn open_failure(error: OpenError) -> OpenFailure {
    match error {
        OpenError::Refetch { reason } => OpenFailure::Refetch { reason },
        OpenError::Retry { reason } => OpenFailure::Retry { reason },
        OpenError::Busy { after } => OpenFailure::Busy { after },
        OpenError::Unusable(reason) => OpenFailure::Unusable { reason },
    }
}

pub(super) fn store_failure(error: &StoreError) -> StoreFailure {
    let reason = error.to_string();
    match error {
        StoreError::Lost { .. } => StoreFailure::Lost { reason },
        StoreError::Unavailable(_) => StoreFailure::Retry { reason },
    }
}
