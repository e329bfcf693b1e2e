//! Where a token comes from, and what happens when it grows old.

use std::fs;

use drivetap_emulator::{Account, Config, ME_DRIVE};

use crate::support::{CHANGE, Scene, of_type};

async fn owned_by(token: &str) -> Scene {
    let accounts = vec![Account::new("owner", ME_DRIVE).token(token)];
    Scene::with(Config { accounts, ..Config::default() }).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_file_is_read_again_when_graph_no_longer_takes_what_was_in_it() {
    let scene = owned_by("the-first").await;
    fs::write(scene.path("token"), "the-first\n").unwrap();
    let toml = "[account.work]\ntoken = { file = \"token\" }\n[[subscription]]\nresource = \"me\"\naccount = \"work\"\n\
                [sink.console]\ntype = \"stdout\"\n";
    let program = scene.run_with(toml, &[]);
    scene.subscribed(1).await;

    fs::write(scene.path("token"), "the-second\n").unwrap();
    scene.graph.set_accounts(vec![Account::new("owner", ME_DRIVE).token("the-second")]);
    scene.me().create("/", "After the renewal.txt").unwrap();
    program.events("the change", |events| !of_type(events, CHANGE).is_empty()).await;
    let ended = program.stop().await;
    ended.assert(0, &[]);
    assert!(!ended.stderr.concat().contains("the-second"), "{ended:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_prints_a_token_as_json_or_as_it_is() {
    for (at, printed) in [r#"{"accessToken":"from-a-command","tokenType":"Bearer"}"#, "from-a-command"].into_iter().enumerate() {
        let scene = owned_by("from-a-command").await;
        fs::write(scene.path("printed"), printed).unwrap();
        let command = format!("[\"/bin/cat\", \"{}\"]", scene.path("printed").display());
        let toml = format!(
            "[account.work]\ntoken = {{ command = {command} }}\n[[subscription]]\nresource = \"me\"\naccount = \"work\"\n\
             [sink.console]\ntype = \"stdout\"\n"
        );
        let program = scene.run(&toml);
        scene.subscribed(1).await;
        scene.me().create("/", &format!("{at}.txt")).unwrap();
        program.events("the change", |events| !of_type(events, CHANGE).is_empty()).await;
        program.stop().await.assert(0, &[]);
    }
}
