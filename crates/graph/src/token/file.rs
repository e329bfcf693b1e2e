use std::io;
use std::path::PathBuf;

use async_trait::async_trait;
use tokio::io::AsyncReadExt;

use super::{AccessToken, TokenError, TokenSource};

/// A token in a file: `token = { file = "…" }`.
///
/// Read at each request and never kept: whoever writes the file decides what the next request is sent with, and no clock's resolution or
/// file system's event is relied on. A token is some kilobytes, a request is a round trip: the reading does not show. At most 64 KiB.
#[derive(Debug)]
pub struct FileToken {
    path: PathBuf,
}

impl FileToken {
    /// The file that holds nothing but the token; white space around it is dropped.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into() }
    }

    async fn read(&self) -> io::Result<String> {
        // One byte more than a token has shows that there is more, and bounds what a wrong path (`/dev/zero`) costs.
        let limit = u64::try_from(AccessToken::MAX).unwrap_or(u64::MAX).saturating_add(1);
        let mut text = String::new();
        tokio::fs::File::open(&self.path).await?.take(limit).read_to_string(&mut text).await?;
        Ok(text)
    }
}

#[async_trait]
impl TokenSource for FileToken {
    async fn token(&self, _refused: Option<&AccessToken>) -> Result<AccessToken, TokenError> {
        let text = self.read().await.map_err(|source| TokenError::File { path: self.path.display().to_string(), source })?;
        if text.len() > AccessToken::MAX {
            return Err(TokenError::TooLong);
        }
        AccessToken::new(&text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_file_is_read_again_when_it_changes() {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("token");
        let source = FileToken::new(&path);

        let error = source.token(None).await.expect_err("there is no file yet");
        assert_eq!(error.to_string(), format!("the token file {} cannot be read", path.display()));

        std::fs::write(&path, "one\n").expect("written");
        assert_eq!(source.token(None).await.expect("read").expose(), "one");
        std::fs::write(&path, "two\n").expect("written");
        assert_eq!(source.token(None).await.expect("read").expose(), "two");

        std::fs::write(&path, "").expect("written");
        assert!(matches!(source.token(None).await, Err(TokenError::Empty)));
        std::fs::write(&path, vec![b'a'; AccessToken::MAX + 9]).expect("written");
        assert!(matches!(source.token(None).await, Err(TokenError::TooLong)));
        std::fs::write(&path, [0xff, 0xfe]).expect("written");
        assert!(matches!(source.token(None).await, Err(TokenError::File { .. })));
    }
}
