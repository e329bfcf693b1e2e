//! What a person does where a token is missing or refused.

use crate::config::{Account, TokenFrom};
use crate::login;

/// A line an account; its name where there are several.
pub(super) fn hints(accounts: &[Account]) -> String {
    let line = |account: &Account| match accounts.len() {
        0 | 1 => hint(account),
        _ => format!("account {}: {}", account.name, hint(account)),
    };
    accounts.iter().map(line).collect::<Vec<_>>().join("\n")
}

fn hint(account: &Account) -> String {
    match &account.token {
        TokenFrom::Env(name) => {
            format!(
                "put a delegated access token with Files.Read into {name}, or into a file that is read at each use; or sign in: `{}`",
                login::command(&account.name)
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

#[cfg(test)]
mod tests {
    use drivetap_bridge::graph::Quota;

    use super::*;

    #[test]
    fn who_has_no_token_is_told_to_sign_in_under_the_name_that_was_asked_for() {
        let told = |name: &str| {
            let token = TokenFrom::Env("DRIVETAP_TOKEN".to_owned());
            hints(&[Account { name: name.parse().expect("a name"), token, quota: Quota::default() }])
        };
        assert!(told("default").ends_with("or sign in: `drivetap login`"), "{}", told("default"));
        assert!(told("work").ends_with("or sign in: `drivetap login --account work`"), "{}", told("work"));
    }
}
