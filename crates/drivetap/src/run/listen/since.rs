use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use drivetap_bridge::core::{Drive, DriveId, DriveType, Endpoint, Failure, Link, Page, PageEnd, PageFrom, Remedy, Resource};
use drivetap_bridge::graph::{BaseUrl, Graph, Share};
use jiff::Timestamp;

/// Graph, whose first enumeration of each drive holds no more than what changed since a moment.
///
/// Business and SharePoint take a time in place of a delta token and answer with what changed since, deletions too
/// (<https://learn.microsoft.com/en-us/graph/api/driveitem-delta>). A personal drive takes none, and an enumeration knows no deletions:
/// there, what was not modified since is left out. So it is where the time is refused.
pub(super) struct Since {
    graph: Arc<dyn Graph>,
    base_url: BaseUrl,
    from: Timestamp,
    /// The drives whose first enumeration is not over.
    first: Mutex<HashMap<DriveId, How>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum How {
    Time,
    Filter,
}

impl Since {
    pub(super) fn new<'d>(
        graph: Arc<dyn Graph>,
        base_url: &BaseUrl,
        from: Timestamp,
        drives: impl IntoIterator<Item = &'d Drive>,
    ) -> Self {
        let how = |drive: &Drive| if knows_times(&drive.drive_type) { How::Time } else { How::Filter };
        let first = drives.into_iter().map(|drive| (drive.id.clone(), how(drive))).collect();
        Self { graph, base_url: base_url.clone(), from, first: Mutex::new(first) }
    }

    fn how(&self, drive: &DriveId) -> Option<How> {
        self.first.lock().unwrap_or_else(PoisonError::into_inner).get(drive).copied()
    }

    fn turns(&self, drive: &DriveId, how: Option<How>) {
        let mut first = self.first.lock().unwrap_or_else(PoisonError::into_inner);
        match how {
            Some(how) => first.insert(drive.clone(), how),
            None => first.remove(drive),
        };
    }

    /// `…/root/delta?token=2026-05-28T20%3A00%3A00Z`
    fn link(&self, drive: &DriveId) -> Option<Link> {
        let time = self.from.strftime("%FT%TZ").to_string().replace(':', "%3A");
        Link::new(format!("{}{}/delta?token={time}", self.base_url.prefix(), drive.root_path())).ok()
    }

    async fn by_time(&self, drive: &DriveId, from: &PageFrom, share: &mut Share) -> Result<Page, Failure> {
        match (from, self.link(drive)) {
            (PageFrom::Root, Some(link)) => {
                let answer = self.graph.page(drive, &PageFrom::Link(link), share).await;
                match &answer {
                    Err(failure) if !matches!(failure.remedy, Remedy::Retry { .. } | Remedy::SignIn) => {
                        tracing::warn!(%drive, reason = %failure, "Graph takes no time here: deletions since then are unknown");
                        self.turns(drive, Some(How::Filter));
                        self.filtered(drive, from, share).await
                    }
                    _ => answer,
                }
            }
            _ => self.graph.page(drive, from, share).await,
        }
    }

    /// Pages of which nothing is left are not handed out one by one: a feed takes a long row of empty ones for a server gone wrong.
    async fn filtered(&self, drive: &DriveId, from: &PageFrom, share: &mut Share) -> Result<Page, Failure> {
        const AT_ONCE: usize = 8;

        let mut from = from.clone();
        let mut read = 0;
        loop {
            let mut page = self.graph.page(drive, &from, share).await?;
            // The wire has whole seconds.
            page.items.retain(|item| item.last_modified().is_some_and(|at| at.as_second() >= self.from.as_second()));
            read += 1;
            match &page.end {
                PageEnd::Next(link) if page.items.is_empty() && read < AT_ONCE => from = PageFrom::Link(link.clone()),
                _ => return Ok(page),
            }
        }
    }
}

/// Whether delta takes a time in place of a token.
pub(super) fn knows_times(drive_type: &DriveType) -> bool {
    matches!(drive_type, DriveType::Business | DriveType::DocumentLibrary)
}

#[async_trait]
impl Graph for Since {
    async fn endpoint(&self, resource: &Resource) -> Result<Endpoint, Failure> {
        self.graph.endpoint(resource).await
    }

    async fn drive(&self, resource: &Resource) -> Result<Drive, Failure> {
        self.graph.drive(resource).await
    }

    async fn page(&self, drive: &DriveId, from: &PageFrom, share: &mut Share) -> Result<Page, Failure> {
        let page = match self.how(drive) {
            Some(How::Time) => self.by_time(drive, from, share).await?,
            Some(How::Filter) => self.filtered(drive, from, share).await?,
            None => return self.graph.page(drive, from, share).await,
        };
        if matches!(page.end, PageEnd::Delta(_)) {
            self.turns(drive, None);
        }
        Ok(page)
    }
}
