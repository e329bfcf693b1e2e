//! Signing in, staying signed in, and what is told when that ends: issue 6's "Sign-in", at the emulator's identity platform.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::time::Duration;

use drivetap_emulator::{Account, Answer, Config, Fault, LoginError, ME_DRIVE, RefreshTokens, Route};
use serde_json::Value;

use crate::support::{CHANGE, Program, Scene, Terminal, browse, closed_port, code_in, of_type, until, visit};

/// An emulator that takes no token but what its identity platform gave out, and is asked every second.
async fn strict() -> Scene {
    let accounts = vec![Account::new("adele", ME_DRIVE).token("nobody-has-this-one")];
    let scene = Scene::with(Config { accounts, ..Config::default() }).await;
    scene.graph.switch(|switches| switches.device_interval_s = 1);
    scene
}

impl Scene {
    fn logins(&self) -> String {
        self.path("logins").to_str().unwrap().to_owned()
    }

    fn login_file(&self, name: &str) -> PathBuf {
        self.path("logins").join(format!("{name}.json"))
    }

    /// `drivetap ARGS…`, with this scene's logins and no token.
    fn signing(&self, args: &[&str]) -> Program {
        Program::drivetap(args, &[("DRIVETAP_LOGIN_DIR", &self.logins())])
    }

    /// Signs in with a device code. The program is at a pipe.
    async fn sign_in(&self, more: &[&str]) {
        let base_url = self.graph.base_url();
        let program = self.signing(&[&["login", "--base-url", &base_url], more].concat());
        self.approve(&program).await;
        program.end().await.assert(0, &["Signed in as"]);
    }

    /// The person types in what the program shows.
    async fn approve(&self, program: &Program) {
        program.says("enter the code ").await;
        assert!(self.graph.approve_device(&code_in(&program.stderr().join("\n")), "adele"));
    }

    /// `run` with the login `default` and standard output.
    fn run_signed_in(&self) -> Program {
        let toml = "[account.work]\ntoken = { login = \"default\" }\n[[subscription]]\nresource = \"me\"\naccount = \"work\"\n\
                    [sink.console]\ntype = \"stdout\"\n";
        self.run_with(toml, &[("DRIVETAP_LOGIN_DIR", &self.logins())])
    }

    fn stored(&self, name: &str) -> Value {
        serde_json::from_str(&fs::read_to_string(self.login_file(name)).unwrap()).unwrap()
    }

    fn asked_for_tokens(&self) -> usize {
        let requests = self.graph.requests();
        requests.iter().filter(|request| request.path.ends_with("/oauth2/v2.0/token")).count()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_at_a_terminal_signs_in_with_a_code_and_listens_at_once() {
    let scene = strict().await;
    let (base_url, logins) = (scene.graph.base_url(), scene.logins());
    let env = [("DRIVETAP_LOGIN_DIR", logins.as_str())];
    let mut terminal = Terminal::drivetap(&["login", "--base-url", &base_url], &env);
    terminal.shows(&format!("open {}/devicelogin in a browser", scene.graph.origin()));
    terminal.shows("enter the code ");
    let code = terminal.shows("\r\n");
    assert!(scene.graph.approve_device(code.trim(), "adele"), "{code}");
    terminal.shows("Signed in as ");
    let (rest, exit) = terminal.end();
    assert_eq!(exit, Some(0), "{rest}");
    assert!(rest.contains("token = { login = \"default\" }"), "{rest}");

    let mode = |path: PathBuf| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(scene.login_file("default")), mode(scene.path("logins"))), (0o600, 0o700));
    let listening = scene.signing(&["listen", "me", "--base-url", &base_url, "--format", "json"]);
    scene.subscribed(1).await;
    scene.me().create("/", "Signed in.txt").unwrap();
    listening.events("the change", |events| !of_type(events, CHANGE).is_empty()).await;
    listening.stop().await.assert(0, &[]);

    let accounts = scene.signing(&["accounts", "--json"]).end().await;
    let shown: Value = serde_json::from_str(&accounts.stdout.concat()).unwrap();
    assert_eq!((&shown[0]["account"], &shown[0]["renews"]), (&"default".into(), &true.into()));
    assert_eq!(shown[0]["scopes"], serde_json::json!(["Files.Read", "offline_access"]));
    for time in ["signed_in", "expires"] {
        assert_eq!(shown[0][time].as_str().unwrap().len(), "2026-11-28T07:00:00Z".len(), "whole seconds: {shown}");
    }
    let stored = scene.stored("default");
    for secret in ["access_token", "refresh_token"] {
        assert!(!accounts.stdout.concat().contains(stored[secret].as_str().unwrap()), "{secret} is shown");
    }
    let lines = scene.signing(&["accounts"]).end().await;
    assert!(lines.stdout[0].starts_with("default  ") && lines.stdout[0].ends_with("renewed by itself"), "{lines:#?}");

    scene.signing(&["logout"]).end().await.assert(0, &["default is signed out"]);
    assert!(!scene.login_file("default").exists());
    scene.signing(&["logout"]).end().await.assert(0, &["was not signed in"]);
    scene.signing(&["accounts"]).end().await.assert(0, &["nobody is signed in"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_browser_signs_in_over_loopback_and_an_answer_with_another_state_changes_nothing() {
    let scene = strict().await;
    let base_url = scene.graph.base_url();
    let program = scene.signing(&["login", "--browser", "--account", "work", "--base-url", &base_url]);
    program.says("/oauth2/v2.0/authorize?").await;
    let page = program.stderr().into_iter().find(|line| line.contains("/authorize?")).unwrap();
    for part in
        ["code_challenge_method=S256", "redirect_uri=http%3A%2F%2Flocalhost%3A", "scope=Files.Read+offline_access", "state="]
    {
        assert!(page.contains(part), "{page} lacks {part}");
    }

    let port = page.split_once("localhost%3A").unwrap().1.split('%').next().unwrap().to_owned();
    for forged in ["?code=evil&state=guessed", "?code=evil", "", "?error=access_denied&state=guessed"] {
        let (status, says) = visit(&format!("http://localhost:{port}/{forged}")).await;
        assert!(status == 400 && says.contains("wrong state"), "{forged}: {status} {says}");
    }
    assert_eq!(scene.asked_for_tokens(), 0, "a code that came with a wrong state is not redeemed");

    let (status, says, answer) = browse(&page).await;
    assert!(status == 200 && says.contains("You have signed in"), "{status} {says}");
    program.end().await.assert(0, &["token = { login = \"work\" }"]);
    let (status, _) = visit(&answer).await;
    assert!(status == 0 || status == 410, "the answer is good once: {status}");
    assert_eq!(scene.asked_for_tokens(), 1);
    assert!(scene.login_file("work").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn who_declines_or_is_blocked_is_told_and_nothing_is_kept() {
    let scene = strict().await;
    let base_url = scene.graph.base_url();
    for (error, said) in [
        (LoginError::AuthorizationDeclined, "the sign-in was declined"),
        (LoginError::AccessDenied, "the sign-in was declined"),
        (LoginError::ExpiredToken, "the code expired before anybody signed in with it"),
        (LoginError::BadVerificationCode, "the code is not good"),
        (
            LoginError::ConditionalAccess,
            "Conditional Access blocks this sign-in, AADSTS53003: ask the administrator; if it is the device code",
        ),
        (LoginError::NotAPublicClient, "Allow public client flows > Yes"),
        (LoginError::ConsentRequired, "has no consent"),
        (LoginError::InteractionRequired, "interaction_required, AADSTS50076"),
    ] {
        scene.graph.fault(Fault::login(error).after(1));
        scene.signing(&["login", "--base-url", &base_url]).end().await.assert(77, &[said]);
    }
    scene.graph.fault(Fault::login(LoginError::UnknownApplication));
    scene.signing(&["login", "--base-url", &base_url]).end().await.assert(77, &["look at --client-id, --tenant and --cloud"]);
    scene.graph.fault(Fault::new(Route::Authorize, Answer::Login(LoginError::AccessDenied)));
    let program = scene.signing(&["login", "--browser", "--base-url", &base_url]);
    program.says("/authorize?").await;
    let page = program.stderr().into_iter().find(|line| line.contains("/authorize?")).unwrap();
    let (status, says, _) = browse(&page).await;
    assert!(status == 400 && says.contains("declined"), "{status} {says}");
    program.end().await.assert(77, &["the sign-in was declined"]);
    scene.graph.switch(|switches| switches.device_code_lifetime = Duration::from_secs(2));
    scene.signing(&["login", "--base-url", &base_url]).end().await.assert(77, &["the code expired"]);
    assert!(!scene.login_file("default").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_platform_that_is_busy_or_asked_too_often_is_waited_for() {
    let scene = strict().await;
    scene.graph.fault(Fault::login(LoginError::SlowDown).after(1));
    scene.graph.fault(Fault::login(LoginError::TemporarilyUnavailable));
    scene.sign_in(&[]).await;
    let requests = scene.graph.requests();
    let polls: Vec<_> = requests.iter().filter(|request| request.path.ends_with("/token")).map(|request| request.at).collect();
    assert!(polls.len() >= 3, "{polls:?}");
    let pause = polls[1].duration_since(polls[0]);
    assert!(pause >= jiff::SignedDuration::from_secs(6), "slow_down adds five seconds to the interval: {pause:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_does_not_fit_together_is_said_before_anything_is_asked() {
    let scene = strict().await;
    let no_id = scene.signing(&["login"]).end().await;
    no_id.assert(64, &["drivetap has no client id of its own", "az ad app create", "Allow public client flows > Yes"]);
    let gateway = scene.signing(&["login", "--client-id", "x", "--base-url", "https://gateway.example/v1.0"]).end().await;
    gateway.assert(64, &["where do people sign in for https://gateway.example/v1.0? Say it with --login-url"]);
    let nowhere = Program::drivetap(["accounts"], &[]).end().await;
    nowhere.assert(78, &["neither DRIVETAP_LOGIN_DIR nor XDG_STATE_HOME nor HOME is set"]);
    let nobody = format!("http://127.0.0.1:{}/v1.0", closed_port());
    scene
        .signing(&["login", "--base-url", &nobody])
        .end()
        .await
        .assert(69, &["the identity platform cannot be reached", "refused"]);
    let proxy = format!("http://127.0.0.1:{}", closed_port());
    let env = [("DRIVETAP_LOGIN_DIR", scene.logins()), ("HTTPS_PROXY", proxy)];
    let env = env.each_ref().map(|(name, value)| (*name, value.as_str()));
    let refused = Program::drivetap(["login", "--client-id", "x"], &env).end().await;
    refused.assert(69, &["the identity platform cannot be reached", "refused"]);
    assert!(scene.graph.requests().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_renews_its_token_before_it_expires_and_goes_on() {
    let scene = strict().await;
    scene.graph.switch(|switches| {
        switches.token_lifetime = Duration::from_secs(4);
        switches.refresh_tokens = RefreshTokens::UsedOnce;
    });
    scene.sign_in(&[]).await;
    let first = scene.stored("default")["access_token"].clone();
    let program = scene.run_signed_in();
    scene.subscribed(1).await;
    for n in 0..3 {
        tokio::time::sleep(Duration::from_secs(3)).await;
        scene.me().create("/", &format!("{n}.txt")).unwrap();
        program.events("the change", |events| of_type(events, CHANGE).len() > n).await;
    }
    let ended = program.stop().await;
    ended.assert(0, &["the sign-in was renewed"]);
    assert_ne!(scene.stored("default")["access_token"], first);
    let requests = scene.graph.requests();
    assert!(!requests.iter().any(|request| request.status == Some(401)), "it was renewed before Graph refused it");
}

/// Where the kernel refuses, this fails with what the program says of it.
#[tokio::test(flavor = "multi_thread")]
async fn a_login_in_the_keyring_is_listed_used_and_renewed_there_and_leaves_with_logout() {
    let scene = strict().await;
    scene.graph.switch(|switches| {
        switches.token_lifetime = Duration::from_secs(4);
        switches.refresh_tokens = RefreshTokens::UsedOnce;
    });
    scene.sign_in(&["--store", "keyring"]).await;
    let name = in_the_keyring(&scene.stored("default"));
    assert!(is_in_kernel(&name), "no key {name}");

    let program = scene.run_signed_in();
    scene.subscribed(1).await;
    for n in 0..2 {
        tokio::time::sleep(Duration::from_secs(3)).await;
        scene.me().create("/", &format!("{n}.txt")).unwrap();
        program.events("the change", |events| of_type(events, CHANGE).len() > n).await;
    }
    program.stop().await.assert(0, &["the sign-in was renewed"]);
    assert_eq!(in_the_keyring(&scene.stored("default")), name, "it is renewed in its place");

    // The first refresh token is spent: who comes in now has found the one that the renewal left.
    let listening = scene.signing(&["listen", "me", "--base-url", &scene.graph.base_url(), "--format", "json"]);
    scene.subscribed(1).await;
    scene.me().create("/", "Listened.txt").unwrap();
    listening.events("the change", |events| !of_type(events, CHANGE).is_empty()).await;
    listening.stop().await.assert(0, &[]);
    let accounts = scene.signing(&["accounts", "--json"]).end().await;
    let shown: Value = serde_json::from_str(&accounts.stdout.concat()).unwrap();
    assert_eq!((&shown[0]["account"], &shown[0]["renews"]), (&"default".into(), &true.into()), "{accounts:#?}");

    scene.signing(&["logout"]).end().await.assert(0, &["default is signed out"]);
    assert!(!scene.login_file("default").exists());
    // The kernel lists a key that is invalid until it has time to collect it.
    until("the key is gone", || !is_in_kernel(&name)).await;
}

/// The name in the keyring, which is all that the file says of the tokens.
#[track_caller]
fn in_the_keyring(stored: &Value) -> String {
    let secret = |key: &str| key.contains("token") || key.contains("expires");
    assert!(!stored.as_object().unwrap().keys().any(|key| secret(key)), "{stored}");
    stored["keyring"].as_str().unwrap().to_owned()
}

/// Whether the kernel holds a key of this name that we may see.
fn is_in_kernel(name: &str) -> bool {
    let keys = fs::read_to_string("/proc/keys").unwrap();
    keys.lines().any(|key| key.contains(" user ") && key.contains(&format!(" {name}: ")))
}

#[tokio::test(flavor = "multi_thread")]
async fn two_processes_that_renew_at_once_both_stay_signed_in() {
    let scene = strict().await;
    scene.graph.switch(|switches| {
        switches.refresh_tokens = RefreshTokens::UsedOnce;
        switches.token_lifetime = Duration::from_secs(3);
    });
    scene.sign_in(&[]).await;
    // Over by the time that both begin; and an answer that takes its time, so that they meet.
    tokio::time::sleep(Duration::from_secs(3)).await;
    scene.graph.switch(|switches| switches.token_lifetime = Duration::from_secs(600));
    let before = scene.asked_for_tokens();
    scene.graph.fault(Fault::new(Route::Token, Answer::Truth).delayed(Duration::from_millis(1500)));
    let programs = [scene.run_signed_in(), scene.run_signed_in()];
    scene.subscribed(2).await;
    scene.me().create("/", "For both.txt").unwrap();
    for program in programs {
        program.events("the change", |events| !of_type(events, CHANGE).is_empty()).await;
        program.stop().await.assert(0, &[]);
    }
    assert_eq!(scene.asked_for_tokens() - before, 1, "the second one finds what the first one stored");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_that_was_revoked_pauses_and_goes_on_after_drivetap_login() {
    let scene = strict().await;
    scene.sign_in(&[]).await;
    let program = scene.run_signed_in();
    scene.subscribed(1).await;
    scene.graph.revoke_tokens();
    scene.graph.expire_endpoints();
    program.says("the sign-in is no longer good (invalid_grant").await;
    // The person needs no flags: everything is as the last time.
    let again = scene.signing(&["login"]);
    scene.approve(&again).await;
    again.end().await.assert(0, &["Signed in as"]);
    let resumed = || scene.graph.stats().subscribers >= 1;
    // The account's source is read again every 60 s, which is as long as other tests wait at most.
    for _ in 0..90 {
        if resumed() {
            break;
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    until("the account goes on", resumed).await;
    scene.me().create("/", "After the sign-in.txt").unwrap();
    program.events("the change", |events| !of_type(events, CHANGE).is_empty()).await;
    program.stop().await.assert(0, &[]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_login_that_cannot_be_used_is_77_with_what_helps() {
    let scene = strict().await;
    scene.run_signed_in().end().await.assert(77, &["login \"default\": nobody has signed in", "sign in: `drivetap login`"]);

    scene.sign_in(&[]).await;
    let file = scene.login_file("default");
    let whole = fs::read_to_string(&file).unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
    scene.run_signed_in().end().await.assert(77, &["can be read by others (mode 0644)", "chmod 600"]);
    scene.signing(&["accounts"]).end().await.assert(0, &[]);
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();

    for (text, said) in
        [(&whole[..whole.len() / 2], "is damaged"), ("{\"version\": 3}", "is of version 3, and this drivetap knows version 2")]
    {
        fs::write(&file, text).unwrap();
        scene.run_signed_in().end().await.assert(77, &[said]);
    }

    let elsewhere = whole.replace(&scene.graph.base_url(), "https://graph.microsoft.com/v1.0");
    fs::write(&file, elsewhere).unwrap();
    scene.run_signed_in().end().await.assert(77, &["the sign-in is for https://graph.microsoft.com, and base_url is"]);
    assert!(scene.graph.requests().iter().all(|request| request.path != "/v1.0/me/drive" || request.status == Some(200)));

    for (error, said) in [
        (LoginError::InteractionRequired, "interaction_required, AADSTS50076"),
        (LoginError::InsufficientClaims, "insufficient_claims"),
        (LoginError::ConditionalAccess, "Conditional Access blocks this sign-in, AADSTS53003"),
        (LoginError::InvalidGrant, "the sign-in is no longer good"),
    ] {
        let old = whole.replace("\"expires\": \"2", "\"expires\": \"1");
        fs::write(&file, old).unwrap();
        scene.graph.fault(Fault::login(error));
        scene.run_signed_in().end().await.assert(77, &[said, "sign in: `drivetap login`"]);
    }
    scene.sign_in(&[]).await;
    let program = scene.run_signed_in();
    scene.subscribed(1).await;
    program.stop().await.assert(0, &[]);
}

#[tokio::test(flavor = "multi_thread")]
async fn no_token_and_no_code_is_in_the_log_at_trace() {
    let scene = strict().await;
    scene.graph.switch(|switches| switches.token_lifetime = Duration::from_secs(4));
    let base_url = scene.graph.base_url();
    let env = [("DRIVETAP_LOGIN_DIR", scene.logins()), ("RUST_LOG", "trace".to_owned())];
    let env = env.each_ref().map(|(name, value)| (*name, value.as_str()));
    let login = Program::drivetap(["login", "--base-url", &base_url], &env);
    scene.approve(&login).await;
    let mut said = login.end().await.stderr.concat();
    let stored = scene.stored("default");
    let toml = "[account.work]\ntoken = { login = \"default\" }\n[[subscription]]\nresource = \"me\"\naccount = \"work\"\n\
                [sink.console]\ntype = \"stdout\"\n";
    let program = scene.run_with(toml, &env);
    scene.subscribed(1).await;
    tokio::time::sleep(Duration::from_secs(4)).await;
    scene.me().create("/", "x.txt").unwrap();
    program.events("the change", |events| !of_type(events, CHANGE).is_empty()).await;
    said.push_str(&program.stop().await.stderr.concat());
    assert!(said.contains("the sign-in was renewed"), "{said}");
    for stored in [stored, scene.stored("default")] {
        for secret in ["access_token", "refresh_token"] {
            assert!(!said.contains(stored[secret].as_str().unwrap()), "{secret} is in the log");
        }
    }
}
