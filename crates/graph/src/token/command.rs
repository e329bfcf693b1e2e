use std::ffi::OsString;
use std::fmt;
use std::process::Stdio;
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use secrecy::SecretString;
use secrecy::zeroize::Zeroizing;
use serde_json::Value;
use tokio::io::AsyncReadExt;
use tokio::process::Command;
use tokio::sync::Mutex;

use super::{AccessToken, TokenError, TokenSource, wall};

/// A token that a program prints: `token = { command = ["az", "account", "get-access-token", …] }`.
///
/// The program is started without a shell, gets no standard input, has 30 s and 64 KiB, and is killed when the request that asked is
/// dropped. It prints the bare token, or JSON with `accessToken` and, where it knows, `expires_on` (seconds since 1970) or `expiresOn`
/// (RFC 3339; the Azure CLI's form without an offset says nothing certain and is passed over).
///
/// What it printed is kept until two minutes before the expiry, which is the JSON's or else the token's own; without one, five minutes. A
/// refused token is never given twice from memory. Callers that ask at the same time wait for one run.
pub struct CommandToken {
    program: OsString,
    args: Vec<OsString>,
    kept: Mutex<Option<Kept>>,
}

struct Kept {
    token: AccessToken,
    until: Timestamp,
}

impl CommandToken {
    /// How long the program may take.
    pub const TIME: Duration = Duration::from_secs(30);

    const EARLY: Duration = Duration::from_secs(120);
    const UNKNOWN: Duration = Duration::from_secs(300);

    /// `program` is looked up in `PATH`.
    pub fn new<A: Into<OsString>>(program: impl Into<OsString>, args: impl IntoIterator<Item = A>) -> Self {
        Self { program: program.into(), args: args.into_iter().map(Into::into).collect(), kept: Mutex::new(None) }
    }

    /// Runs the program and gives what it prints, whatever that is: another secret than a token. Nothing is kept.
    ///
    /// # Errors
    /// As for a token, but for what is said of a token's own form.
    pub async fn printed(&self) -> Result<SecretString, TokenError> {
        Ok(self.in_time().await?.as_str().into())
    }

    fn name(&self) -> String {
        self.program.to_string_lossy().into_owned()
    }

    async fn run(&self) -> Result<Kept, TokenError> {
        let output = self.in_time().await?;
        let (token, expires) = read(&output, &self.name())?;
        let until = match expires.or(token.expires()) {
            Some(expires) => expires.checked_sub(Self::EARLY),
            None => wall().checked_add(Self::UNKNOWN),
        };
        Ok(Kept { token, until: until.unwrap_or(Timestamp::MIN) })
    }

    async fn in_time(&self) -> Result<Zeroizing<String>, TokenError> {
        let output = tokio::time::timeout(Self::TIME, self.output()).await;
        output.map_err(|_| TokenError::TimedOut { program: self.name(), within: Self::TIME })?
    }

    async fn output(&self) -> Result<Zeroizing<String>, TokenError> {
        let spawn = |source| TokenError::Spawn { program: self.name(), source };
        let mut child = Command::new(&self.program)
            .args(&self.args)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            // What goes wrong in there is for the person who runs it, not for our log: it could print a token.
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .map_err(spawn)?;
        let limit = u64::try_from(AccessToken::MAX).unwrap_or(u64::MAX).saturating_add(1);
        let mut bytes = Zeroizing::new(Vec::new());
        if let Some(stdout) = child.stdout.take() {
            stdout.take(limit).read_to_end(&mut bytes).await.map_err(spawn)?;
        }
        if bytes.len() > AccessToken::MAX {
            return Err(TokenError::TooLong);
        }
        let status = child.wait().await.map_err(spawn)?;
        if !status.success() {
            return Err(TokenError::Exit { program: self.name(), status: status.to_string() });
        }
        let text = std::str::from_utf8(&bytes).map_err(|_| TokenError::Characters)?;
        Ok(Zeroizing::new(text.to_owned()))
    }
}

#[async_trait]
impl TokenSource for CommandToken {
    async fn token(&self, refused: Option<&AccessToken>) -> Result<AccessToken, TokenError> {
        let mut kept = self.kept.lock().await;
        if let Some(known) = kept.as_ref()
            && wall() < known.until
            && Some(&known.token) != refused
        {
            return Ok(known.token.clone());
        }
        let new = self.run().await?;
        Ok(kept.insert(new).token.clone())
    }
}

impl fmt::Debug for CommandToken {
    // The arguments stay out: one of them could be a client's secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CommandToken").field("program", &self.program).finish_non_exhaustive()
    }
}

fn read(output: &str, program: &str) -> Result<(AccessToken, Option<Timestamp>), TokenError> {
    let Ok(Value::Object(fields)) = serde_json::from_str(output) else {
        return Ok((AccessToken::new(output)?, None));
    };
    let Some(token) = fields.get("accessToken").and_then(Value::as_str) else {
        return Err(TokenError::NoAccessToken { program: program.to_owned() });
    };
    let seconds = |value: &Value| value.as_i64().or_else(|| value.as_str()?.parse().ok());
    let expires = fields
        .get("expires_on")
        .and_then(seconds)
        .and_then(|at| Timestamp::from_second(at).ok())
        .or_else(|| fields.get("expiresOn")?.as_str()?.parse().ok());
    Ok((AccessToken::new(token)?, expires))
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    fn sh(script: &str) -> CommandToken {
        CommandToken::new("sh", ["-c", script])
    }

    #[test]
    fn both_outputs_are_read() {
        let check = |output: &str, token: &str, expires: Option<&str>| {
            let got = read(output, "az").expect("readable");
            assert_eq!((got.0.expose(), got.1), (token, expires.map(|at| at.parse().expect("a time"))), "{output}");
        };
        check("bare\n", "bare", None);
        check(
            r#"{"accessToken":"j","expiresOn":"2025-12-24 03:26:10.000000","expires_on":1766546770}"#,
            "j",
            Some("2025-12-24T03:26:10Z"),
        );
        check(r#"{"accessToken":"j","expires_on":"1766546770"}"#, "j", Some("2025-12-24T03:26:10Z"));
        check(r#"{"accessToken":"j","expiresOn":"2025-12-24T05:26:10+02:00"}"#, "j", Some("2025-12-24T03:26:10Z"));
        check(r#"{"accessToken":"j","expiresOn":"2025-12-24 03:26:10.000000"}"#, "j", None);
        check(r#"{"accessToken":"j","expires_on":1e99}"#, "j", None);
        assert!(matches!(read("{}", "az"), Err(TokenError::NoAccessToken { .. })));
        assert!(matches!(read(r#"{"accessToken":7}"#, "az"), Err(TokenError::NoAccessToken { .. })));
        assert!(matches!(read(r#"{"accessToken":""}"#, "az"), Err(TokenError::Empty)));
        assert!(matches!(read("", "az"), Err(TokenError::Empty)));
    }

    #[tokio::test]
    async fn a_command_runs_once_until_its_token_is_refused_or_old() {
        let dir = tempfile::tempdir().expect("a folder");
        let runs = dir.path().join("runs");
        let count = || std::fs::read_to_string(&runs).expect("runs").lines().count();
        let script = format!("echo x >> '{0}'; echo token-$(wc -l < '{0}' | tr -d ' ')", runs.display());
        let source = sh(&script);
        let first = source.token(None).await.expect("a token");
        assert_eq!(source.token(None).await.expect("kept"), first);
        assert_eq!(count(), 1);
        let second = source.token(Some(&first)).await.expect("another");
        assert_ne!(second, first);
        assert_eq!(source.token(Some(&first)).await.expect("the one that is already newer"), second);
        assert_eq!(count(), 2);

        let old = sh(&format!(r#"{script} > /dev/null; echo '{{"accessToken":"old","expires_on":1766546770}}'"#));
        old.token(None).await.expect("a token");
        old.token(None).await.expect("a token");
        assert_eq!(count(), 4, "a token that expires soon is not kept");
    }

    #[tokio::test]
    async fn a_command_that_fails_is_named_and_its_output_is_not_repeated() {
        let error = sh("echo top-secret; echo top-secret >&2; exit 3").token(None).await.expect_err("exit 3");
        assert!(matches!(error, TokenError::Exit { .. }), "{error:?}");
        assert!(!format!("{error} {error:?}").contains("top-secret"));
        let missing = CommandToken::new("drivetap-no-such-program", ["--secret=x"]);
        let error = missing.token(None).await.expect_err("no program");
        assert!(matches!(error, TokenError::Spawn { .. }), "{error:?}");
        assert!(!format!("{missing:?} {error:?}").contains("--secret"));
        assert!(matches!(sh("head -c 100000 /dev/zero").token(None).await, Err(TokenError::TooLong)));
    }

    #[tokio::test]
    async fn a_command_that_hangs_is_killed_after_thirty_seconds() {
        let dir = tempfile::tempdir().expect("a folder");
        let pid = dir.path().join("pid");
        let source = sh(&format!("echo $$ > '{}'; exec sleep 600", pid.display()));
        let asked = tokio::spawn(async move { source.token(None).await.expect_err("too slow") });
        let read = || std::fs::read_to_string(&pid).ok().filter(|text| text.ends_with('\n'));
        while read().is_none() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        tokio::time::pause();
        assert!(matches!(asked.await.expect("no panic"), TokenError::TimedOut { .. }));
        tokio::time::resume();

        let pid = read().expect("a pid");
        let stat = format!("/proc/{}/stat", pid.trim());
        for _ in 0..400 {
            // Gone, or a zombie that the runtime has yet to reap.
            match std::fs::read_to_string(&stat) {
                Ok(text) if !text.contains(") Z ") => tokio::time::sleep(Duration::from_millis(5)).await,
                _ => return,
            }
        }
        panic!("the command outlived its time limit");
    }
}
