//! The built program, as far as it needs no service: what it prints, where, and how it ends.

#![expect(clippy::unwrap_used, reason = "helpers of tests: a failure is a failed test")]

#[cfg(feature = "demo")]
use std::io::{BufRead as _, BufReader};
#[cfg(feature = "demo")]
use std::process::Stdio;
use std::process::{Command, Output};

fn drivetap(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_drivetap")).args(arguments).env_clear().output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

#[test]
fn path_prints_graphs_path_and_nothing_else() {
    for (resource, path) in [
        ("me", "/me/drive/root/subscriptions/socketIo"),
        ("drive:b!a-B_c", "/drives/b!a-B_c/root/subscriptions/socketIo"),
        ("drive-list:b!a", "/drives/b!a/list/subscriptions/socketIo"),
        ("group:0f", "/groups/0f/drive/root/subscriptions/socketIo"),
        ("site:contoso.sharepoint.com,1,2/list:Jahr 2026/Ü", ""),
        (
            "site:contoso.sharepoint.com,1,2/list:Jahr Ü",
            "/sites/contoso.sharepoint.com,1,2/lists/Jahr%20%C3%9C/drive/root/subscriptions/socketIo",
        ),
    ] {
        let Output { status, stdout, stderr } = drivetap(&["path", resource]);
        if path.is_empty() {
            assert_eq!((status.code(), text(&stdout).as_str()), (Some(64), ""), "{resource}");
            assert!(text(&stderr).contains("listId"), "the error names the part: {}", text(&stderr));
        } else {
            assert_eq!((status.code(), text(&stdout)), (Some(0), format!("{path}\n")), "{resource}");
            assert_eq!(text(&stderr), "", "{resource}");
        }
    }
}

#[test]
fn bad_arguments_exit_64_and_say_so_on_standard_error() {
    for arguments in
        [&["path"][..], &["nonsense"], &["run"], &["listen"], &["path", "drive:"], &["listen", "me", "--sink", "http://x"]]
    {
        let Output { status, stdout, stderr } = drivetap(arguments);
        assert_eq!(status.code(), Some(64), "{arguments:?}");
        assert!(stdout.is_empty() && !stderr.is_empty(), "{arguments:?}: {}", text(&stderr));
    }
}

#[test]
fn help_and_version_are_for_standard_output() {
    for (arguments, holds) in [(&["--help"][..], "drivetap listen me"), (&["--version"], env!("CARGO_PKG_VERSION"))] {
        let Output { status, stdout, stderr } = drivetap(arguments);
        assert_eq!((status.code(), text(&stderr)), (Some(0), String::new()), "{arguments:?}");
        assert!(text(&stdout).contains(holds), "{arguments:?}: {}", text(&stdout));
    }
}

#[test]
fn a_password_that_was_typed_is_not_printed_again() {
    for (arguments, says) in [
        (&["listen", "me", "--sink", "redis://me:hunter2@127.0.0.1"][..], "--sink"),
        // Where `--sink` was forgotten, or something else is expected.
        (&["listen", "me", "redis://me:hunter2@127.0.0.1?channel=c"], "RESOURCE"),
        (&["listen", "redis://127.0.0.1?channel=c&password=hunter2"], "RESOURCE"),
        (&["listen", "me", "--account", "redis://me:hunter2@127.0.0.1"], "--account"),
        (&["listen", "me", "--for", "redis://me:hunter2@127.0.0.1"], "--for"),
        (&["validate", "redis://me:hunter2@127.0.0.1"], "unexpected argument"),
        (&["redis://me:hunter2@127.0.0.1"], "unrecognized subcommand"),
    ] {
        let Output { status, stderr, .. } = drivetap(arguments);
        assert_eq!(status.code(), Some(64), "{arguments:?}");
        assert!(text(&stderr).contains(says) && !text(&stderr).contains("hunter2"), "{arguments:?}: {}", text(&stderr));
    }
}

/// The reader takes one line and goes: nobody is left to complain to.
#[cfg(feature = "demo")]
#[test]
fn a_demo_ends_with_its_reader_and_without_a_word() {
    let mut demo = Command::new(env!("CARGO_BIN_EXE_drivetap"));
    let demo = demo.args(["demo", "--for", "10m", "--rate", "20"]).env_clear().stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut demo = demo.spawn().unwrap();
    let mut first = String::new();
    BufReader::new(demo.stdout.take().unwrap()).read_line(&mut first).unwrap();
    assert!(first.starts_with("{\"specversion\":\"1.0\""), "{first}");

    let Output { status, stderr, .. } = demo.wait_with_output().unwrap();
    assert_eq!(status.code(), Some(0), "{}", text(&stderr));
    assert_eq!(text(&stderr).lines().count(), 1, "what was said before the first event, and nothing after: {}", text(&stderr));
}

#[test]
fn schemas_are_json() {
    for what in ["event", "config"] {
        let Output { status, stdout, .. } = drivetap(&["schema", what]);
        assert_eq!(status.code(), Some(0), "{what}");
        let schema: serde_json::Value = serde_json::from_slice(&stdout).unwrap();
        assert!(schema["$schema"].is_string(), "{what}");
    }
}

#[test]
fn an_answer_that_cannot_be_written_is_a_failure() {
    for arguments in [["path", "me"], ["--version", "--json"]] {
        let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
        let output = Command::new(env!("CARGO_BIN_EXE_drivetap")).args(arguments).stdout(full).output().unwrap();
        assert_eq!(output.status.code(), Some(69), "{arguments:?}");
        assert!(text(&output.stderr).contains("standard output cannot be written"), "{}", text(&output.stderr));
    }
}

/// A Graph whose collections are empty page after empty page.
#[cfg(feature = "reqwest")]
#[test]
fn a_collection_of_empty_pages_without_an_end_is_given_up() {
    use std::io::{Read as _, Write as _};
    use std::net::TcpListener;

    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let base_url = format!("http://{}/v1.0", listener.local_addr().unwrap());
    let body = format!(r#"{{"id":"b!x","driveType":"business","value":[],"@odata.nextLink":"{base_url}/me/drives?more=1"}}"#);
    std::thread::spawn(move || {
        for socket in listener.incoming() {
            let (mut socket, body) = (socket.unwrap(), body.clone());
            std::thread::spawn(move || {
                let mut asked = Vec::new();
                let mut part = [0; 4096];
                while let Ok(read @ 1..) = socket.read(&mut part) {
                    asked.extend_from_slice(&part[..read]);
                    if asked.ends_with(b"\r\n\r\n") {
                        asked.clear();
                        let head = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n";
                        // In one piece, or each answer waits for an acknowledgement.
                        let answer = format!("{head}content-length: {}\r\n\r\n{body}", body.len());
                        let _ = socket.write_all(answer.as_bytes());
                    }
                }
            });
        }
    });
    let mut discover = Command::new(env!("CARGO_BIN_EXE_drivetap"));
    let discover = discover.args(["discover", "--base-url", &base_url]).env_clear().env("DRIVETAP_TOKEN", "t");
    let Output { status, stderr, .. } = discover.output().unwrap();
    assert_eq!(status.code(), Some(69), "{}", text(&stderr));
    assert!(text(&stderr).contains("drives: Graph gave 1000 empty pages in a row"), "{}", text(&stderr));
}

#[test]
fn a_configuration_that_is_no_configuration_is_refused_in_few_words() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("drivetap.toml");
    for (content, says) in [("a=[\n".repeat(20_000), "more"), (" ".repeat(2 << 20), "larger than 1 MiB")] {
        std::fs::write(&path, content).unwrap();
        let Output { status, stderr, .. } = drivetap(&["validate", "-c", path.to_str().unwrap()]);
        let stderr = text(&stderr);
        assert_eq!(status.code(), Some(78));
        assert!(stderr.contains(says) && stderr.lines().count() <= 51, "{} lines: {:.300}", stderr.lines().count(), stderr);
    }
}
