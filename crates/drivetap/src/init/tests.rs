use clap::Parser as _;

use super::*;
use crate::cli::{Cli, Command};

fn args(line: &str) -> Init {
    let cli =
        Cli::try_parse_from(format!("drivetap init {line}").split_whitespace()).unwrap_or_else(|error| panic!("{line}: {error}"));
    let Command::Init(args) = cli.command else { panic!("{line}") };
    args
}

/// Nothing of ours in the environment.
fn bare() -> Env {
    Env::new(|_| None)
}

fn write_down(line: &str) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    runtime.block_on(run(args(line), &bare()))
}

fn validates(text: &str) -> Result<Config, String> {
    let env = Env::new(|name| name.ends_with("_PASSWORD").then(|| "p".to_owned()));
    Config::parse(text, "d.toml", Path::new(""), &env, Purpose::Validation).map_err(|error| error.explained())
}

/// Every default and example of the file, as if somebody had removed the `# ` in front.
fn uncommented(text: &str) -> String {
    let opened = |line: &str| {
        let inner = line.strip_prefix("# ")?;
        let is_key = inner.split_once(" = ").is_some_and(|(key, _)| !key.contains(' '));
        (is_key || inner.starts_with('[')).then(|| inner.to_owned())
    };
    text.lines().map(|line| opened(line).unwrap_or_else(|| line.to_owned()) + "\n").collect()
}

const RESOURCES: [&str; 6] = [
    "me",
    "drive:b!a-B_c",
    "drive-list:b!a",
    "group:02bd9fd6",
    "site:h,1,2/list:Ünï\"code",
    "/me/drive/root/subscriptions/socketIo",
];

#[cfg(all(feature = "stdout", feature = "kafka", feature = "redis", feature = "redb"))]
#[test]
fn every_combination_of_flags_makes_a_file_that_validate_accepts_with_its_comments_opened_too() {
    let sinks = [
        "",
        "--sink stdout",
        "--sink kafka",
        "--sink redis",
        "--sink kafka://a:1,b:2/t",
        "--sink rediss://u:p@h:1/3?channel=c",
        "--sink redis://:p@h?channel=c",
        "--sink stdout --sink kafka --sink redis --sink kafka://a:1/t --sink redis://h?channel=c",
    ];
    let tokens = ["", "--login work", "--token-env T", "--token-file t.token", "--account work", "--account a.b --token-env T"];
    let clouds = [
        "",
        "--cloud us-gov-l4",
        "--cloud us-gov-l5",
        "--cloud china",
        "--cloud global",
        "--base-url http://127.0.0.1:4010/v1.0",
    ];
    for resource in RESOURCES
        .iter()
        .map(|resource| format!("--resource {resource}"))
        .chain(["".to_owned(), "--resource me --resource group:g".to_owned()])
    {
        for sink in sinks {
            for (token, cloud) in tokens.iter().zip(clouds.iter().cycle()).chain(clouds.iter().map(|cloud| (&"", cloud))) {
                let line = format!("--yes {resource} {sink} {token} {cloud}");
                let text = answered(args(&line), &bare()).expect("a starter").to_string();
                let config = validates(&text).unwrap_or_else(|error| panic!("{line}\n{text}\n{error}"));
                assert_eq!(config.sinks.len(), sink.matches("--sink").count().max(1), "{line}");
                assert_eq!(config.subscriptions.len(), resource.matches("--resource").count().max(1), "{line}");
                let open = uncommented(&text);
                // The redis sink's password is there already where the URL had one.
                validates(&open).unwrap_or_else(|error| panic!("{line}\n{open}\n{error}"));
                assert!(!text.contains("u:p") && !text.contains(":p@"), "{text}");
            }
        }
    }
}

#[test]
fn a_starter_is_valid_by_the_schema_that_it_names() {
    let schema = serde_json::from_str(SCHEMA).expect("JSON");
    let validator = jsonschema::draft202012::new(&schema).expect("a schema");
    for line in ["", "--sink kafka", "--sink redis", "--sink stdout --sink rediss://u:p@h?channel=c --account work --cloud china"]
    {
        let text = answered(args(line), &bare()).expect("a starter").to_string();
        assert!(text.starts_with("#:schema ./drivetap.schema.json\n"), "{text}");
        for text in [text.clone(), uncommented(&text)] {
            let instance: serde_json::Value = toml::from_str(&text).unwrap_or_else(|error| panic!("{text}\n{error}"));
            let errors: Vec<_> = validator.iter_errors(&instance).map(|error| error.to_string()).collect();
            assert!(errors.is_empty(), "{line}: {errors:?}\n{text}");
        }
    }
}

#[test]
fn what_is_said_twice_is_refused() {
    for line in
        ["--resource me --resource me", "--sink stdout --sink stdout", "--sink kafka --sink kafka://localhost:9092/drive-events"]
    {
        assert!(answered(args(line), &bare()).expect_err(line).message.ends_with("is there twice"), "{line}");
    }
}

#[test]
fn nothing_is_overwritten_unless_forced() {
    let dir = tempfile::tempdir().expect("a folder");
    let file = dir.path().join("drivetap.toml");
    let line = format!("--yes {}", file.display());
    write_down(&line).expect("written");
    assert!(dir.path().join(SCHEMA_FILE).exists());
    fs::write(&file, "mine").expect("written");
    let refused = write_down(&line).expect_err("there");
    assert!(refused.message.ends_with("drivetap.toml is there already: --force overwrites it"), "{}", refused.message);
    assert_eq!(fs::read_to_string(&file).expect("read"), "mine");
    write_down(&format!("{line} --force --sink redis")).expect("forced");
    assert!(fs::read_to_string(&file).expect("read").contains("type = \"redis\""));

    let (other, schema) = (dir.path().join("other.toml"), dir.path().join(SCHEMA_FILE));
    fs::write(&schema, "mine").expect("written");
    assert!(write_down(&format!("--yes {}", other.display())).expect_err("there").message.contains(SCHEMA_FILE));
    assert!(!other.exists());
    // Nor is anything left beside them.
    assert_eq!(fs::read_dir(dir.path()).expect("read").count(), 2);
}

/// What was asked and what came of it.
fn asked(line: &str, answers: &str) -> (String, Result<String, Failure>) {
    let mut questions = Vec::new();
    let starter = ask::starter(args(line), &bare(), &mut answers.as_bytes(), &mut questions);
    (String::from_utf8(questions).expect("UTF-8"), starter.map(|starter| starter.to_string()))
}

#[test]
fn answers_and_flags_make_the_same_file() {
    let flags = |line: &str| answered(args(line), &bare()).expect("a starter").to_string();
    for (line, answers, same) in [
        ("", "\n\n\n", ""),
        (
            "",
            "me, group:g\nkafka, stdout\na:1\nt\nfile:t.token\n",
            "--resource me --resource group:g --sink kafka://a:1/t --sink stdout --token-file t.token",
        ),
        ("", "\nredis\n\n\nenv:T\n", "--sink redis --token-env T"),
        ("--account work", "\n\nlogin\n", "--login work --account work"),
        ("", "\n\nlogin:a/b\nlogin:home\n", "--login home"),
        ("--resource group:g --token-env T", "kafka\n\n\n", "--resource group:g --token-env T --sink kafka"),
        ("--resource me --sink kafka --token-env T", "", "--token-env T --sink kafka"),
        // Asked again until it can be read.
        ("", "notes\nme\nfile\nstdout\nT\nenv:T\n", "--token-env T"),
        ("", "\nkafka\na b\na:1\nx y\nt\n\n", "--sink kafka://a:1/t"),
    ] {
        let (questions, text) = asked(line, answers);
        assert_eq!(text.unwrap_or_else(|failure| panic!("{questions}\n{}", failure.message)), flags(same), "{answers:?}");
        assert_eq!(questions.is_empty(), answers.is_empty());
    }
    let (questions, text) = asked("", "notes\n");
    assert!(questions.contains("is none of: me"), "{questions}");
    assert!(text.expect_err("no more answers").message.contains("nothing was written"));
}

#[test]
fn a_token_comes_from_the_variable_where_it_is_set_else_from_a_login() {
    let set = Env::new(|name| (name == "DRIVETAP_TOKEN").then(|| "t".to_owned()));
    for (line, env, token) in [
        ("", &bare(), "{ login = \"default\" }"),
        ("--account work", &bare(), "{ login = \"work\" }"),
        ("", &set, "{ env = \"DRIVETAP_TOKEN\" }"),
        ("--login home", &set, "{ login = \"home\" }"),
        ("--token-file t", &set, "{ file = \"t\" }"),
    ] {
        let text = answered(args(line), env).expect("a starter").to_string();
        assert!(text.contains(&format!("token = {token} ")), "{line}: {text}");
    }
}

#[test]
fn what_to_type_next_is_what_a_shell_takes() {
    let next = |line: &str, file| answered(args(line), &bare()).expect("a starter").next_steps(file, &bare());
    let steps = next("--sink rediss://u:p@h?channel=c", "my file's.toml");
    let commands: Vec<_> = steps.lines().skip(1).map(|line| line.trim().split("  ").next().expect("a command")).collect();
    let file = r"'my file'\''s.toml'";
    assert_eq!(
        commands,
        [
            &format!("drivetap login -c {file}"),
            "export REDIS_PASSWORD=…",
            &format!("drivetap check -c {file}"),
            &format!("drivetap run -c {file}")
        ]
    );
    assert!(next("--token-env T", "d.toml").contains("  export T=…"));
}

#[test]
fn who_has_no_login_is_asked_whether_to_sign_in_at_once() {
    let asked = |line: &str, answers: &str| {
        let starter = answered(args(line), &bare()).expect("a starter");
        let dir = tempfile::tempdir().expect("a folder");
        let logins = dir.path().display().to_string();
        let env = Env::new(move |name| (name == "DRIVETAP_LOGIN_DIR").then(|| logins.clone()));
        let mut questions = Vec::new();
        let login = ask::sign_in(&starter, &env, &mut answers.as_bytes(), &mut questions);
        (String::from_utf8(questions).expect("UTF-8"), login)
    };
    let loopback = "--base-url http://127.0.0.1:4010/v1.0";
    let (_, login) = asked(loopback, "\n");
    let login = login.expect("an answer").expect("yes");
    assert_eq!((login.client_id, login.account), (None, Some(AccountName::default())));
    assert!(asked(loopback, "perhaps\nno\n").1.expect("an answer").is_none());

    // Microsoft's own platform wants a registration.
    let (questions, login) = asked("--cloud china", "\n\n");
    assert!(login.expect("an answer").is_none() && questions.contains("az ad app create"), "{questions}");
    let (_, login) = asked("", "y\n1d5c0f3e-0000-4000-8000-000000000000\n");
    assert!(login.expect("an answer").expect("yes").client_id.is_some());
    assert!(asked("", "").1.is_err());
    assert!(asked("--token-env T", "").1.expect("nothing to ask").is_none());
}

#[cfg(unix)]
#[test]
fn who_has_signed_in_already_gets_the_graph_that_the_login_is_for() {
    let graph_of = |line: &str, signed_in_to: &str| {
        let dir = tempfile::tempdir().expect("a folder");
        let login = serde_json::json!({
            "version": 1, "login_url": "https://login.example", "tenant": "common", "client_id": "an-app", "scopes": ["Files.Read"],
            "graph": signed_in_to, "user": null, "granted": ["Files.Read"], "signed_in": "2026-01-01T00:00:00Z",
            "issued": "2026-01-01T00:00:00Z", "expires": "2026-01-01T01:00:00Z", "access_token": "EwB4", "refresh_token": null,
        });
        let file = dir.path().join("work.json");
        fs::write(&file, login.to_string()).expect("a login");
        fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).expect("its mode");
        let logins = dir.path().display().to_string();
        let env = Env::new(move |name| (name == "DRIVETAP_LOGIN_DIR").then(|| logins.clone()));
        let text = answered(args(line), &env).expect("a starter").to_string();
        let keys = |line: &&str| line.starts_with("cloud = ") || line.starts_with("base_url = ");
        text.lines().filter(keys).map(str::to_owned).collect::<Vec<_>>().join("\n")
    };
    let (gateway, china) = ("https://gateway.example/v1.0", "https://microsoftgraph.chinacloudapi.cn/v1.0");
    assert_eq!(graph_of("--account work", gateway), "base_url = \"https://gateway.example/v1.0\"");
    assert_eq!(graph_of("--login work", china), "cloud = \"china\"");
    assert_eq!(graph_of("--login work", "https://graph.microsoft.com/v1.0"), "");
    // What is typed wins, and another token has nothing to do with it.
    assert_eq!(graph_of("--login work --cloud us-gov-l4", china), "cloud = \"us-gov-l4\"");
    assert_eq!(graph_of("--account work --token-env T", china), "");
    assert_eq!(graph_of("", china), "");
}
