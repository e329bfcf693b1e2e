use drivetap_bridge::graph::{CommandToken, TokenError};
use secrecy::{ExposeSecret as _, SecretString};

use super::section::Section;
use crate::exit::chain;

/// What a secret may be written as, for an error.
pub(super) const FORMS: &str = "a string, { env = \"NAME\" }, { file = \"…\" } or { command = [\"…\"] }";

/// A password and its like. Prints as nothing.
#[derive(Clone, Debug)]
pub(super) enum Secret {
    /// It was read.
    Known(SecretString),
    /// A command would print it, and is not run for what the configuration is read for.
    Unread,
}

impl Secret {
    #[cfg(feature = "redis")]
    pub(super) fn known(self) -> Option<SecretString> {
        match self {
            Self::Known(secret) => Some(secret),
            Self::Unread => None,
        }
    }

    pub(super) fn expose(&self) -> Option<&str> {
        match self {
            Self::Known(secret) => Some(secret.expose_secret()),
            Self::Unread => None,
        }
    }
}

/// `{ env = "NAME" }`, `{ file = "…" }` or `{ command = ["…"] }`, read once, at the start. Line ends behind it are dropped. No error holds
/// any part of it.
pub(super) fn read(key: &str, from: Section<'_>) -> Option<Secret> {
    let (env, file, command) = (from.text("env"), from.path("file"), from.texts("command"));
    let secret = match (env, file, command) {
        (Some(at), None, None) => {
            let found = from.context().env.get(at.value);
            let lacks = match &found {
                None => Some("is not set"),
                Some(value) if value.is_empty() => Some("is empty"),
                Some(_) => None,
            };
            if let Some(lacks) = lacks {
                from.problem_at(&at, format!("{key}: the environment variable {} {lacks}", at.value));
            }
            found.filter(|_| lacks.is_none()).map(|value| Secret::Known(value.into()))
        }
        (None, Some(at), None) => match contents(&at.value) {
            Ok(secret) => Some(Secret::Known(secret)),
            Err(problem) => {
                from.problem_at(&at, format!("{key}: {} {problem}", at.value.display()));
                None
            }
        },
        (None, None, Some(words)) => match words.iter().map(|at| at.value).collect::<Vec<_>>()[..] {
            [] => {
                from.problem(format!("{key}: command is empty: write the program and its arguments"));
                None
            }
            [..] if !from.context().runs_commands => Some(Secret::Unread),
            [program, ref args @ ..] => match printed(program, args) {
                Ok(secret) => Some(Secret::Known(secret)),
                Err(problem) => {
                    from.problem(format!("{key}: {problem}"));
                    None
                }
            },
        },
        (None, None, None) => {
            if !["env", "file", "command"].iter().any(|source| from.has(source)) {
                from.problem(format!("{key} has no source: write env = \"NAME\", file = \"…\" or command = [\"…\"]"));
            }
            None
        }
        _ => {
            from.problem(format!("{key} has one source: env, file or command"));
            None
        }
    };
    from.finish();
    secret
}

fn contents(path: &std::path::Path) -> Result<SecretString, String> {
    let bytes = super::read_bounded(path).map_err(|error| format!("cannot be read: {error}"))?;
    let text = String::from_utf8(bytes).map_err(|_| "is not UTF-8".to_owned())?;
    trimmed(&text).ok_or_else(|| "is empty".to_owned())
}

fn trimmed(text: &str) -> Option<SecretString> {
    let secret = text.trim_end_matches(['\r', '\n']);
    (!secret.is_empty()).then(|| secret.to_owned().into())
}

/// Waits for the program on a thread of its own: whoever reads a configuration may be inside a runtime.
fn printed(program: &str, args: &[&str]) -> Result<SecretString, String> {
    let run = || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|error| format!("no runtime: {error}"))?;
        let command = CommandToken::new(program, args.iter().copied());
        runtime.block_on(command.printed()).map_err(|error| match error {
            TokenError::TooLong => format!("{program} prints more than 64 KiB"),
            TokenError::Characters => format!("{program} prints what is not UTF-8"),
            error => chain(&error),
        })
    };
    let printed = std::thread::scope(|scope| scope.spawn(run).join());
    let printed = printed.unwrap_or_else(|_| Err(format!("{program} cannot be run")))?;
    trimmed(printed.expose_secret()).ok_or_else(|| format!("{program} prints nothing"))
}

#[cfg(all(test, unix, feature = "kafka", feature = "redis"))]
mod tests {
    use std::path::Path;

    use crate::config::{Config, Purpose, SinkKind};
    use crate::env::Env;

    const FRONT: &str = "[account.default]\ntoken = { env = \"T\" }\n[[subscription]]\nresource = \"me\"\n";

    /// A Kafka and a Redis that take this for a password. The first value is on line 9, from column 19 on.
    fn read(dir: &Path, secret: &str, purpose: Purpose) -> Result<Config, String> {
        let env = Env::new(|name| match name {
            "SECRET" => Some("hunter2".to_owned()),
            "EMPTY" => Some(String::new()),
            _ => None,
        });
        let text = format!(
            "{FRONT}[sink.k]\ntype = \"kafka\"\nbootstrap_servers = \"a:1\"\ntopic = \"t\"\nlibrdkafka.sasl.password = {secret}\n\
             [sink.r]\ntype = \"redis\"\nurl = \"redis://h:1?channel=c\"\npassword = {secret}\n"
        );
        Config::parse(&text, "d.toml", dir, &env, purpose).map_err(|error| error.explained())
    }

    fn passwords(config: &Config) -> Vec<Option<String>> {
        use secrecy::ExposeSecret as _;

        let password = |kind: &SinkKind| match kind {
            SinkKind::Kafka(kafka) => kafka.librdkafka.get("sasl.password").cloned(),
            SinkKind::Redis(redis) => redis.password.as_ref().map(|password| password.expose_secret().to_owned()),
            #[cfg(feature = "stdout")]
            SinkKind::Stdout(_) => None,
        };
        config.sinks.iter().map(|sink| password(&sink.kind)).collect()
    }

    #[test]
    fn a_secret_comes_from_a_variable_a_file_or_a_command_and_is_never_printed() {
        let dir = tempfile::tempdir().expect("a folder");
        std::fs::write(dir.path().join("secret"), "hunter2\n").expect("written");
        for secret in
            ["\"hunter2\"", "{ env = \"SECRET\" }", "{ file = \"secret\" }", "{ command = [\"printf\", \"hunter2\\\\n\"] }"]
        {
            let config = read(dir.path(), secret, Purpose::Service).unwrap_or_else(|error| panic!("{secret}: {error}"));
            assert_eq!(passwords(&config), [Some("hunter2".to_owned()), Some("hunter2".to_owned())], "{secret}");
            assert!(!format!("{config:?}").contains("hunter2"), "{secret}");
        }
    }

    #[test]
    fn every_error_says_which_key_and_none_says_the_secret() {
        let dir = tempfile::tempdir().expect("a folder");
        std::fs::write(dir.path().join("empty"), "\n").expect("written");
        std::fs::write(dir.path().join("binary"), [0xff, b'h', b'u', b'n', b't', b'e', b'r', b'2']).expect("written");
        for (secret, kafka, redis) in [
            (
                "{ env = \"NOT_SET\" }",
                "9:36: sasl.password: the environment variable NOT_SET is not set",
                "13:20: password: the environment variable NOT_SET is not set",
            ),
            (
                "{ env = \"EMPTY\" }",
                "9:36: sasl.password: the environment variable EMPTY is empty",
                "13:20: password: the environment variable EMPTY is empty",
            ),
            ("{ file = \"none\" }", "9:37: sasl.password: ", "none cannot be read: No such file or directory"),
            ("{ file = \"empty\" }", "9:37: sasl.password: ", "empty is empty"),
            ("{ file = \"binary\" }", "9:37: sasl.password: ", "binary is not UTF-8"),
            ("{ command = [] }", "9:28: sasl.password: command is empty", "13:12: password: command is empty"),
            (
                "{ command = [\"false\", \"hunter2\"] }",
                "9:28: sasl.password: the command \"false\" failed (exit status: 1)",
                "13:12: password: the command",
            ),
            (
                "{ command = [\"true\", \"hunter2\"] }",
                "9:28: sasl.password: true prints nothing",
                "13:12: password: true prints nothing",
            ),
            (
                "{ command = [\"drivetap-no-such-program\"] }",
                "9:28: sasl.password: the command \"drivetap-no-such-program\" cannot be run: No such file",
                "13:12: password: the command",
            ),
            (
                "{ env = \"SECRET\", file = \"hunter2\" }",
                "9:28: sasl.password has one source: env, file or command",
                "13:12: password has one source",
            ),
            ("{}", "9:28: sasl.password has no source", "13:12: password has no source"),
            ("{ env = 1 }", "9:36: env must be a string", "13:20: env must be a string"),
            (
                "{ enf = \"hunter2\" }",
                "9:30: unknown key \"enf\" in sasl.password of [sink.k] librdkafka: did you mean \"env\"?",
                "unknown key \"enf\" in password of [sink.r]",
            ),
            ("[\"hunter2\"]", "9:28: sasl.password must be", "13:12: password must be a string, { env = \"NAME\" }"),
        ] {
            let error = read(dir.path(), secret, Purpose::Service).expect_err(secret);
            assert!(error.contains(kafka) && error.contains(redis), "{secret}: {error}");
            assert!(!error.contains("hunter2"), "{secret}: {error}");
        }
    }

    #[test]
    fn validate_runs_no_command_and_still_knows_the_keys() {
        let dir = tempfile::tempdir().expect("a folder");
        let touch = format!("{{ command = [\"touch\", {:?}] }}", dir.path().join("ran").display().to_string());
        for purpose in [Purpose::Validation, Purpose::Connection] {
            let config = read(dir.path(), &touch, purpose).expect("valid");
            assert_eq!(passwords(&config)[1], None);
        }
        assert!(!dir.path().join("ran").exists());
        let (key, file) =
            ("sasl.pasword", format!("{FRONT}[sink.k]\ntype = \"kafka\"\nbootstrap_servers = \"a:1\"\ntopic = \"t\"\n"));
        let text = format!("{file}librdkafka.\"{key}\" = {touch}\nlibrdkafka.\"linger.ms\" = {touch}\n");
        let error = Config::parse(&text, "d.toml", dir.path(), &Env::new(|_| None), Purpose::Validation).expect_err(key);
        assert_eq!(error.to_string(), "d.toml:9:12: librdkafka has no key `sasl.pasword`");
    }
}
