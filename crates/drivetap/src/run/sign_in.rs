//! What a person does where a token is missing or refused.

use crate::config::{Account, TokenFrom};
use crate::login;

/// A line an account; its name where there are several.
pub(super) fn hints(accounts: &[Account]) -> String {
    let line = |account: &Account| match accounts.len() {
        0 | 1 => hint(&account.token),
        _ => format!("account {}: {}", account.name, hint(&account.token)),
    };
    accounts.iter().map(line).collect::<Vec<_>>().join("\n")
}

fn hint(token: &TokenFrom) -> String {
    match token {
        TokenFrom::Env(name) => {
            format!(
                "put a delegated access token with Files.Read into {name}, or into a file that is read at each use; or sign in: `drivetap login`"
            )
        }
        TokenFrom::File(path) => format!("put a delegated access token with Files.Read into {}", path.display()),
        TokenFrom::Login(name) => format!("sign in: `{}`", login::command(name)),
        TokenFrom::Command(words) => {
            format!(
                "look at what {} prints: it has to be a delegated access token with Files.Read",
                words.first().map_or("", String::as_str)
            )
        }
    }
}
