//! The matrix: each row is a fault, told as a few sentences of a [`Stage`].

mod accounts;
mod graph;
mod live;
mod official;
mod own;
mod program;
mod sink;
mod socket;

use std::time::Duration;

use drivetap_tests::Proxy;
use futures_util::future::BoxFuture;
use tokio::time::sleep;

use crate::sinks::Kind;
use crate::stage::{Side, Stage};

/// One fault.
pub(crate) struct Row {
    /// How `--only` knows it.
    pub(crate) name: &'static str,
    /// What happens, in a line.
    pub(crate) about: &'static str,
    pub(crate) sinks: Sinks,
    /// How long the recovery may take.
    pub(crate) limit: Duration,
    pub(crate) play: Play,
    /// What this machine lacks, if it does.
    pub(crate) needs: fn() -> Option<String>,
}

pub(crate) type Play = for<'a> fn(&'a mut Stage) -> BoxFuture<'a, ()>;

/// Where a row is played.
pub(crate) enum Sinks {
    /// At each sink by itself, but where the fault means nothing; then in words.
    Each(fn(Kind) -> Option<&'static str>),
    /// Once, with all three: the fault is on Graph's side, or the program's own.
    Together,
}

pub(crate) fn all() -> Vec<Row> {
    let groups = [
        sink::rows(),
        own::rows(),
        program::rows(),
        graph::rows(),
        socket::rows(),
        official::rows(),
        accounts::rows(),
        live::rows(),
    ];
    groups.into_iter().flatten().collect()
}

/// A row as a table has it.
pub(crate) fn row(name: &'static str, about: &'static str, sinks: Sinks, limit_s: u64, play: Play) -> Row {
    Row { name, about, sinks, limit: Duration::from_secs(limit_s), play, needs: || None }
}

/// A row that is played once, with all sinks.
pub(crate) fn together(name: &'static str, about: &'static str, limit_s: u64, play: Play) -> Row {
    row(name, about, Sinks::Together, limit_s, play)
}

/// Every connection on one side of the program is struck, six times in six seconds.
async fn strikes(stage: &mut Stage, side: Side, strike: fn(&Proxy)) {
    stage.start().await;
    for _ in 0..2 {
        for _ in 0..3 {
            stage.me().burst(5).unwrap();
            stage.proxies(side).await.into_iter().for_each(strike);
            sleep(Duration::from_secs(1)).await;
        }
        stage.chapter().await;
    }
    stage.fault_ends();
}
