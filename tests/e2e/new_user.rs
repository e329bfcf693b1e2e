//! From the binary to the first event, with nothing but what the program says: issue 6's new user.

use crate::support::{CHANGE, Program, of_type};

/// The command in a line that the program printed, without what it says about it.
fn command(lines: &[String], begin: &str) -> Vec<String> {
    let line = lines.iter().map(|line| line.trim()).find(|line| line.starts_with(begin));
    let line = line.unwrap_or_else(|| panic!("nothing says {begin:?}: {lines:#?}"));
    line.split("  ").next().unwrap().split(' ').skip(1).map(str::to_owned).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_user_types_what_each_command_says_and_sees_the_first_event() {
    let home = tempfile::tempdir().unwrap();
    let home = home.path().to_str().unwrap().to_owned();
    let run = |args: Vec<String>| Program::drivetap(args, &[("HOME", home.as_str())]);
    let help = run(vec!["--help".to_owned()]).end().await.stdout;
    for step in ["drivetap login", "drivetap discover", "drivetap listen me"] {
        command(&help, step);
    }

    let emulator = run(["emulator", "--listen", "127.0.0.1:0"].map(str::to_owned).to_vec());
    emulator.says("drivetap trigger create").await;
    let login = run(command(&emulator.stderr(), "drivetap login"));
    login.says("and enter the code ").await;
    let shown = login.stderr();
    let page = shown.iter().find_map(|line| Some(line.split_once("open ")?.1.split(' ').next()?.to_owned())).unwrap();
    let code = shown.iter().find_map(|line| Some(line.split_once("enter the code ")?.1.to_owned())).unwrap();
    let _ = rustls::crypto::ring::default_provider().install_default();
    let browser = reqwest::Client::builder().no_proxy().build().unwrap();
    let answer = browser.post(page).header("Content-Type", "application/x-www-form-urlencoded").body(format!("code={code}"));
    let answer = answer.send().await.unwrap().text().await.unwrap();
    assert!(answer.contains("You have signed in"), "{answer}");
    let signed_in = login.end().await;
    signed_in.assert(0, &["Signed in as", "drivetap discover", "drivetap listen me"]);

    let discover = run(command(&signed_in.stderr, "drivetap discover")).end().await;
    discover.assert(0, &[]);
    assert!(discover.stdout.iter().any(|line| line.starts_with("me  ")), "{discover:#?}");
    let listen = run(command(&signed_in.stderr, "drivetap listen"));
    listen.says("Ready. Watching me").await;
    run(command(&emulator.stderr(), "drivetap trigger create")).end().await.assert(0, &[]);
    listen.events("the first event", |events| !of_type(events, CHANGE).is_empty()).await;
    listen.stop().await.assert(0, &[]);
    emulator.stop().await.assert(0, &[]);
}
