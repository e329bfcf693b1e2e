use drivetap_bridge::core::{Drive, Remedy, Resource};
use drivetap_bridge::graph::Graph;

use super::sign_in;
use crate::config::{Account, Config};
use crate::exit::Failure;

/// The drive behind a resource, asked for once.
///
/// # Errors
/// 77 where the account has to sign in, 69 where Graph does not answer or shows no such drive.
pub(super) async fn look_up(
    resource: &Resource,
    graph: &dyn Graph,
    config: &Config,
    account: &Account,
) -> Result<Drive, Failure> {
    let base_url = &config.graph.base_url;
    graph.drive(resource).await.map_err(|failure| match failure.remedy {
        Remedy::SignIn => {
            let helps = sign_in::hints(std::slice::from_ref(account));
            Failure::sign_in(format_args!("sign-in is needed for {resource}: {failure}\n{helps}"))
        }
        // 403, 404 and their like: Graph is there, the drive is not.
        Remedy::RetrySlowly { .. } | Remedy::RetryThenResync { .. } => Failure::unavailable(format_args!(
            "Graph at {base_url} shows no drive for {resource}: {failure}; the id is wrong, or this account may not see it"
        )),
        Remedy::Retry { .. } | Remedy::Resync { .. } => {
            Failure::unavailable(format_args!("Graph at {base_url} does not give the drive of {resource}: {failure}"))
        }
    })
}
