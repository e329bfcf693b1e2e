use drivetap_core::{DriveId, Failure, Page, PageEnd, PageFrom};
use futures_util::stream::{self, Stream};

use crate::{Graph, Share};

/// A walk: the pages of a drive's delta from `from` on. It ends after the page that carries the `deltaLink`, which is where the next
/// walk starts, or after the first failure.
///
/// One page is asked for at a time, when the stream is polled: whoever reads slowly holds one page, and Graph is asked no faster.
/// Dropping the stream drops the request. After a failure, a new walk can start from the last page's [`PageEnd::link`]; nothing is retried here.
///
/// ```
/// use drivetap_core::{DriveType, PageEnd, PageFrom, Resource};
/// use drivetap_graph::{MemoryGraph, pages};
/// use futures_util::TryStreamExt;
///
/// # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
/// let graph = MemoryGraph::new();
/// let drive = graph.mount(&Resource::Me, "b!one", DriveType::Business);
/// graph.upsert(&drive, "01A", serde_json::json!({"name": "plan.docx"}));
///
/// let walk: Vec<_> = pages(&graph, &drive, PageFrom::Root).try_collect().await?;
/// assert_eq!(walk[0].items[0].id(), "01A");
/// assert!(matches!(walk[0].end, PageEnd::Delta(_)));
/// # Ok::<(), drivetap_core::Failure>(()) }).map_err(|failure| failure.code)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn pages<'a, G: Graph + ?Sized>(
    graph: &'a G,
    drive: &'a DriveId,
    from: PageFrom,
) -> impl Stream<Item = Result<Page, Failure>> + Send + 'a {
    stream::try_unfold(Some(from), move |from| async move {
        let Some(from) = from else {
            return Ok(None);
        };
        // Whoever reads the stream holds one page.
        let page = graph.page(drive, &from, &mut Share::alone()).await?;
        let next = match &page.end {
            PageEnd::Next(link) => Some(PageFrom::Link(link.clone())),
            PageEnd::Delta(_) => None,
        };
        Ok(Some((page, next)))
    })
}
