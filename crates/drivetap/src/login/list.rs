use drivetap_bridge::core::AccountName;
use drivetap_bridge::core::escape::for_text;
use drivetap_bridge::graph::login::{Login, LoginStore, StoreError};
use jiff::Timestamp;
use serde::Serialize;

use super::{Accounts, command, store};
use crate::env::Env;
use crate::escape;
use crate::exit::Failure;

/// One login, as `accounts` shows it. What is wrong with it is no reason not to show the others.
#[derive(Serialize)]
struct Row {
    account: AccountName,
    #[serde(skip_serializing_if = "Option::is_none")]
    problem: Option<String>,
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    login: Option<Shown>,
}

/// What is shown of a login: nothing that is secret.
#[derive(Serialize)]
struct Shown {
    /// `null` where Graph did not say.
    user: Option<String>,
    scopes: Vec<String>,
    tenant: String,
    client_id: String,
    login_url: String,
    graph: String,
    /// RFC 3339.
    signed_in: String,
    /// When the access token expires. RFC 3339.
    expires: String,
    /// Whether that is renewed without a person.
    renews: bool,
}

/// The text of `accounts`; `None` where there is nobody to show in lines.
pub(crate) async fn list(args: &Accounts, env: &Env) -> Result<Option<String>, Failure> {
    let store = store(env)?;
    let mut rows = Vec::new();
    for account in store.accounts().await.map_err(Failure::config)? {
        let loaded = store.load(&account).await;
        rows.extend(Row::of(account, loaded));
    }
    if args.json {
        return serde_json::to_string_pretty(&rows).map(|json| Some(escape::json_lines(&json))).map_err(Failure::internal);
    }
    let width = rows.iter().map(|row| row.account.as_str().len()).max().unwrap_or_default();
    let lines: Vec<_> = rows.iter().map(|row| row.line(width)).collect();
    Ok((!lines.is_empty()).then(|| lines.join("\n")))
}

impl Row {
    fn of(account: AccountName, loaded: Result<Option<Login>, StoreError>) -> Option<Self> {
        match loaded {
            Ok(login) => Some(Self { account, problem: None, login: Some(Shown::of(&login?)) }),
            Err(error) => Some(Self { account, problem: Some(error.to_string()), login: None }),
        }
    }

    fn line(&self, width: usize) -> String {
        let says = match (&self.login, &self.problem) {
            (Some(login), _) => {
                let user = login.user.as_deref().unwrap_or("(Graph did not say who)");
                let end = if login.renews {
                    format!("token until {}, renewed by itself", login.expires)
                } else {
                    format!("ends {}: then `{}`", login.expires, command(&self.account))
                };
                format!("{user}  {}  {end}", login.scopes.join(" "))
            }
            (None, problem) => problem.clone().unwrap_or_default(),
        };
        format!("{:width$}  {}", self.account, for_text(&says))
    }
}

impl Shown {
    fn of(login: &Login) -> Self {
        Self {
            user: login.user.clone(),
            scopes: login.scopes.clone(),
            tenant: login.application.tenant.to_string(),
            client_id: login.application.client_id.to_string(),
            login_url: login.application.login_url.to_string(),
            graph: login.graph.to_string(),
            signed_in: to_the_second(login.signed_in),
            expires: to_the_second(login.expires),
            renews: login.renews(),
        }
    }
}

/// As a person reads it. Cut off, not rounded: a token is never said to be good for longer than it is.
fn to_the_second(time: Timestamp) -> String {
    format!("{time:.0}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_told_in_whole_seconds_and_never_later_than_it_is() {
        let check = |time: &str, told: &str| assert_eq!(to_the_second(time.parse().expect("a time")), told);
        check("2026-11-28T07:00:00.999999999Z", "2026-11-28T07:00:00Z");
        check("2026-11-28T07:00:00Z", "2026-11-28T07:00:00Z");
    }
}
