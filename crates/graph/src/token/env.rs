use std::fmt;

use async_trait::async_trait;

use super::{AccessToken, TokenError, TokenSource};

/// A token in an environment variable: `token = { env = "DRIVETAP_TOKEN" }`.
///
/// The environment comes in through a reader, asked at each request; nothing here reads the process's own.
pub struct EnvToken {
    name: String,
    read: Box<Reader>,
}

type Reader = dyn Fn(&str) -> Option<String> + Send + Sync;

impl EnvToken {
    /// `read` answers a variable's value by its name: `|name| std::env::var(name).ok()`.
    pub fn new(name: impl Into<String>, read: impl Fn(&str) -> Option<String> + Send + Sync + 'static) -> Self {
        Self { name: name.into(), read: Box::new(read) }
    }
}

#[async_trait]
impl TokenSource for EnvToken {
    async fn token(&self, _refused: Option<&AccessToken>) -> Result<AccessToken, TokenError> {
        match (self.read)(&self.name) {
            Some(value) => AccessToken::new(&value),
            None => Err(TokenError::NotSet(self.name.clone())),
        }
    }
}

impl fmt::Debug for EnvToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EnvToken").field("name", &self.name).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_variable_is_read_or_named_in_the_error() {
        let source = EnvToken::new("TOKEN", |name| (name == "TOKEN").then(|| " secret-1 ".to_owned()));
        assert_eq!(source.token(None).await.expect("set").expose(), "secret-1");
        assert!(!format!("{source:?}").contains("secret-1"));

        let unset = EnvToken::new("TOKEN", |_| None);
        let error = unset.token(None).await.expect_err("unset");
        assert_eq!(error.to_string(), "the environment variable TOKEN is not set");

        let empty = EnvToken::new("TOKEN", |_| Some(String::new()));
        assert!(matches!(empty.token(None).await, Err(TokenError::Empty)));
    }
}
