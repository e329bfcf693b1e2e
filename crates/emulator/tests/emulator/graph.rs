//! REST bodies against the captured ones, sign-in, and scripted answers.

use std::time::Duration;

use drivetap_emulator::{
    Account, Answer, Config, DriveIdSpelling, DriveKind, Emulator, Fault, GROUP, LIST, ME_DRIVE, NewDrive, PERSONAL_DRIVE, Route,
    SITE, Seed, StartError,
};
use serde_json::json;

use crate::support::{eventually, get, get_with, keys, send};

async fn emulator() -> Emulator {
    Emulator::start(Config::default()).await.unwrap()
}

#[tokio::test]
async fn every_endpoint_answers_in_the_captured_order() {
    let emulator = emulator().await;
    for path in [
        "/me/drive/root/subscriptions/socketIo".to_owned(),
        format!("/drives/{ME_DRIVE}/root/subscriptions/socketIo"),
        format!("/drives/{PERSONAL_DRIVE}/list/subscriptions/socketIo"),
        format!("/groups/{GROUP}/drive/root/subscriptions/socketIo"),
        format!("/sites/{SITE}/lists/{LIST}/drive/root/subscriptions/socketIo"),
    ] {
        let reply = get_with(&format!("{}{path}", emulator.base_url()), &[("client-request-id", "mine")]).await;
        assert_eq!(reply.status, 200, "{path}: {}", reply.body);
        // abraunegg/onedrive#3583: this text, these keys, this order, seven fractional digits.
        let port = emulator.origin().rsplit(':').next().unwrap();
        let start = r#"{"@odata.context":"https://graph.microsoft.com/v1.0/$metadata#subscriptions/$entity","clientState":"system-managed:8082D436-D8DA-458D-96AD-34C902B73F37","expirationDateTime":""#;
        let rest = reply.body.strip_prefix(start).unwrap_or_else(|| panic!("{}", reply.body));
        let (expiration, rest) = rest.split_once('"').unwrap();
        assert_eq!(expiration.len(), "2025-12-24T03:32:50.8792357Z".len(), "{expiration}");
        assert_eq!(expiration.as_bytes()[19], b'.');
        let rest = rest.strip_prefix(r#","id":""#).unwrap();
        assert_eq!(rest.as_bytes()[36], b'"');
        let url = format!(r#","notificationUrl":"http://127.0.0.1:{port}/notifications?token="#);
        let rest = rest[37..].strip_prefix(&url).unwrap_or_else(|| panic!("{}", reply.body));
        let (token, application) = rest.split_once("&applicationId=").unwrap();
        assert!(token.len() >= 32);
        assert_eq!(application.len(), 36 + "\"}".len());

        assert_eq!(reply.header("client-request-id"), Some("mine"));
        for header in ["request-id", "date", "x-ms-ags-diagnostic"] {
            assert_eq!(reply.headers.iter().filter(|(name, _)| name.eq_ignore_ascii_case(header)).count(), 1, "{header}");
        }
    }
}

#[tokio::test]
async fn the_lifetime_is_expiration_less_the_date_header_whatever_the_clock() {
    let emulator = emulator().await;
    for (lifetime, ahead) in [(3_600, 0), (600, 86_400), (60, -86_400)] {
        emulator.switch(|switches| {
            switches.endpoint_lifetime = Duration::from_secs(lifetime);
            switches.clock_ahead_s = ahead;
        });
        let reply = get(&format!("{}/me/drive/root/subscriptions/socketIo", emulator.base_url())).await;
        let expiration: jiff::Timestamp = reply.json()["expirationDateTime"].as_str().unwrap().parse().unwrap();
        let date = jiff::fmt::rfc2822::parse(reply.header("date").unwrap()).unwrap().timestamp();
        let seconds = expiration.duration_since(date).as_secs_f64();
        let wanted = Duration::from_secs(lifetime).as_secs_f64();
        assert!((wanted - 1.0..wanted + 2.0).contains(&seconds), "{seconds} for {lifetime}");
    }
}

#[tokio::test]
async fn a_drive_answers_what_was_selected_in_every_form() {
    let emulator = emulator().await;
    for (path, kind) in [
        ("/me/drive".to_owned(), "business"),
        (format!("/drives/{ME_DRIVE}"), "business"),
        (format!("/drives/{}", ME_DRIVE.replace('!', "%21")), "business"),
        (format!("/drives/{}", PERSONAL_DRIVE.to_uppercase()), "personal"),
        (format!("/groups/{GROUP}/drive"), "documentLibrary"),
        (format!("/sites/{}/lists/{LIST}/drive", SITE.replace(',', "%2C")), "documentLibrary"),
    ] {
        let reply = get(&format!("{}{path}?$select=id,driveType", emulator.base_url())).await;
        let body = reply.json();
        assert_eq!(keys(&body), ["@odata.context", "driveType", "id"], "{path}");
        assert_eq!(body["driveType"], kind, "{path}");
    }
}

#[tokio::test]
async fn a_personal_drive_is_one_drive_in_every_spelling() {
    let emulator = emulator().await;
    let new = NewDrive { id: Some("00c0ffee00c0ffee".to_owned()), kind: DriveKind::Personal, name: None };
    emulator.add_drive(new).unwrap();
    for (spelling, answered) in [
        (DriveIdSpelling::AsMade, "00c0ffee00c0ffee"),
        (DriveIdSpelling::Upper, "00C0FFEE00C0FFEE"),
        (DriveIdSpelling::NoLeadingZeros, "C0FFEE00C0FFEE"),
    ] {
        emulator.switch(|switches| switches.drive_id = spelling);
        for asked in ["00c0ffee00c0ffee", "00C0FFEE00C0FFEE", "c0ffee00c0ffee"] {
            let reply = get(&format!("{}/drives/{asked}?$select=id", emulator.base_url())).await;
            assert_eq!(reply.json()["id"], answered);
        }
    }
}

#[tokio::test]
async fn what_graph_would_refuse_is_refused_in_graphs_words() {
    let emulator = emulator().await;
    let (token, json) = (("Authorization", "Bearer x"), ("Content-Type", "application/json"));
    for (method, path, headers, status, code) in [
        ("GET", "/v1.0/me/drive", vec![], 401, "InvalidAuthenticationToken"),
        ("GET", "/v1.0/me/drive", vec![("Authorization", "Basic x")], 401, "InvalidAuthenticationToken"),
        ("GET", "/v1.0/me/drive/root/subscriptions/socketIo", vec![token], 400, "invalidRequest"),
        ("POST", "/v1.0/me/drive/root/subscriptions/socketIo", vec![token, json], 405, "BadRequest"),
        ("GET", "/v1.0/drives/b!nobody", vec![token], 404, "itemNotFound"),
        ("GET", "/v1.0/users/x/drive", vec![token], 400, "BadRequest"),
        ("GET", "/beta/me/drive", vec![token], 400, "BadRequest"),
        ("GET", "/v1.0/me/drive?$select=colour", vec![token], 400, "BadRequest"),
        ("GET", "/v1.0/me/drive/root/delta?token=no", vec![token], 400, "invalidRequest"),
        ("GET", "/v1.0/me/drive/root/delta?$top=0", vec![token], 400, "invalidRequest"),
        ("GET", "/v1.0/me/drive/root/delta?$filter=x", vec![token], 400, "invalidRequest"),
    ] {
        let reply = send(method, &format!("{}{path}", emulator.origin()), &headers, "").await.unwrap();
        assert_eq!((reply.status, &reply.json()["error"]["code"]), (status, &json!(code)), "{method} {path}");
        let error = &reply.json()["error"];
        assert_eq!(keys(error), ["code", "innerError", "message"]);
        assert_eq!(keys(&error["innerError"]), ["client-request-id", "date", "request-id"]);
        assert_eq!(Some(error["innerError"]["request-id"].as_str().unwrap()), reply.header("request-id"));
    }
    emulator.switch(|switches| switches.strict_content_type = false);
    let url = format!("{}/me/drive/root/subscriptions/socketIo", emulator.base_url());
    assert_eq!(send("GET", &url, &[token], "").await.unwrap().status, 200);
}

#[tokio::test]
async fn accounts_have_their_own_tokens_drives_and_sight() {
    let mut adele = Account::new("adele", ME_DRIVE).token("a1").token("a2");
    adele.sees = Some(vec![ME_DRIVE.to_owned()]);
    let alex = Account::new("alex", PERSONAL_DRIVE).token("b");
    let emulator = Emulator::start(Config { accounts: vec![adele, alex], ..Config::default() }).await.unwrap();
    for (token, path, status, id) in [
        ("a1", "/me/drive".to_owned(), 200, ME_DRIVE),
        ("a2", "/me/drive".to_owned(), 200, ME_DRIVE),
        ("b", "/me/drive".to_owned(), 200, PERSONAL_DRIVE),
        ("b", format!("/drives/{ME_DRIVE}"), 200, ME_DRIVE),
        ("a1", format!("/drives/{PERSONAL_DRIVE}"), 403, ""),
        ("c", "/me/drive".to_owned(), 401, ""),
    ] {
        let bearer = format!("Bearer {token}");
        let url = format!("{}{path}", emulator.base_url());
        let reply = send("GET", &url, &[("Authorization", &bearer)], "").await.unwrap();
        assert_eq!(reply.status, status, "{token} {path}");
        assert_eq!(reply.json()["id"].as_str().unwrap_or_default(), id, "{token} {path}");
    }
    let requests = emulator.requests();
    assert_eq!(requests[2].account.as_deref(), Some("alex"));
    assert!(requests[2].bearer.as_ref().unwrap().is("b"));
    assert!(!format!("{requests:?}").contains("a2"), "a token is never printed");
}

#[tokio::test]
async fn every_scripted_answer_arrives_and_then_the_truth() {
    let emulator = emulator().await;
    let url = format!("{}/me/drive", emulator.base_url());
    for (fault, status, retry_after, body) in [
        (Fault::throttled(Route::Drive, 7), 429, Some("7"), "activityLimitReached"),
        (Fault::unavailable(Route::Any, None), 503, None, "serviceNotAvailable"),
        (Fault::html(Route::Drive, 502), 502, None, "<!DOCTYPE html>"),
        (Fault::error(Route::Drive, 401, "InvalidAuthenticationToken"), 401, None, "InvalidAuthenticationToken"),
    ] {
        assert!(emulator.fault(fault));
        let reply = get(&url).await;
        assert_eq!((reply.status, reply.header("Retry-After")), (status, retry_after));
        assert!(reply.body.contains(body), "{}", reply.body);
    }
    emulator.fault(Fault::empty(Route::Drive, 500));
    assert_eq!((get(&url).await.status, get(&url).await.status), (500, 200));
    emulator.fault(Fault::not_supported());
    assert_eq!(get(&url).await.status, 200, "a fault of another route waits");
    let endpoint = get(&format!("{url}/root/subscriptions/socketIo")).await;
    assert_eq!((endpoint.status, &endpoint.json()["error"]["code"]), (400, &json!("notSupported")));

    emulator.fault(Fault::new(Route::Drive, Answer::Reset));
    assert!(send("GET", &url, &[], "").await.is_none());
    emulator.fault(Fault::new(Route::Drive, Answer::Truth).delayed(Duration::from_millis(120)));
    let before = tokio::time::Instant::now();
    assert_eq!(get(&url).await.status, 200);
    assert!(before.elapsed() >= Duration::from_millis(120));
    let connections: std::collections::BTreeSet<_> = emulator.requests().iter().map(|request| request.connection).collect();
    assert_eq!(connections.len(), emulator.requests().len(), "this client opens a connection for each request");
    let statuses: Vec<_> = emulator.requests().iter().map(|request| request.status).collect();
    assert_eq!(statuses.len(), 10);
    assert_eq!(statuses.iter().filter(|status| status.is_none()).count(), 1, "the reset one has no status");
}

#[tokio::test]
async fn a_refresh_token_is_replaced_and_its_account_kept() {
    let emulator = Emulator::start(Config {
        accounts: vec![Account::new("adele", ME_DRIVE).token("a"), Account::new("alex", PERSONAL_DRIVE).token("b")],
        ..Config::default()
    })
    .await
    .unwrap();
    let url = format!("{}/consumers/oauth2/v2.0/token", emulator.origin());
    let first = emulator.sign_in("alex").unwrap();
    let form = format!("client_id=x&grant_type=refresh_token&refresh_token={first}&scope=Files.Read%20offline_access");
    let body = send("POST", &url, &[], &form).await.unwrap().json();
    assert_eq!(keys(&body), ["access_token", "expires_in", "ext_expires_in", "refresh_token", "scope", "token_type"]);
    assert_eq!((&body["token_type"], &body["expires_in"]), (&json!("Bearer"), &json!(3_599)));
    assert_eq!(body["scope"], "Files.Read offline_access");
    assert_ne!(body["refresh_token"], first);

    let bearer = format!("Bearer {}", body["access_token"].as_str().unwrap());
    let me = format!("{}/me/drive", emulator.base_url());
    let mine = send("GET", &me, &[("Authorization", &bearer)], "").await.unwrap();
    assert_eq!(mine.json()["id"], PERSONAL_DRIVE);

    emulator.revoke_tokens();
    assert_eq!(send("GET", &me, &[("Authorization", &bearer)], "").await.unwrap().status, 401);
    let refused = send("POST", &url, &[], &form).await.unwrap();
    assert_eq!((refused.status, &refused.json()["error"]), (400, &json!("invalid_grant")));
}

#[tokio::test]
async fn a_device_code_waits_for_a_person() {
    let emulator = emulator().await;
    let login = format!("{}/organizations/oauth2/v2.0", emulator.origin());
    let asked = send("POST", &format!("{login}/devicecode"), &[], "client_id=x&scope=Files.Read").await.unwrap().json();
    assert_eq!(keys(&asked), ["device_code", "expires_in", "interval", "message", "user_code", "verification_uri"]);
    let code = asked["device_code"].as_str().unwrap();
    let form = format!("grant_type=urn:ietf:params:oauth:grant-type:device_code&client_id=x&device_code={code}");
    let poll = || async { send("POST", &format!("{login}/token"), &[], &form).await.unwrap() };

    let pending = poll().await;
    assert_eq!((pending.status, &pending.json()["error"]), (400, &json!("authorization_pending")));
    assert_eq!(
        keys(&pending.json()),
        ["correlation_id", "error", "error_codes", "error_description", "error_uri", "timestamp", "trace_id"]
    );
    assert!(emulator.approve_device(asked["user_code"].as_str().unwrap(), "default"));
    assert_eq!(poll().await.status, 200);
    assert_eq!(poll().await.json()["error"], "bad_verification_code", "a code is good once");
}

#[tokio::test]
async fn an_address_that_is_not_loopback_is_refused() {
    let config = Config { listen: ([0, 0, 0, 0], 0).into(), ..Config::default() };
    assert!(matches!(Emulator::start(config).await, Err(StartError::NotLoopback(_))));
    let first = emulator().await;
    let taken = first.origin().strip_prefix("http://").unwrap().parse().unwrap();
    let config = Config { listen: taken, seed: Seed::Empty, ..Config::default() };
    assert!(matches!(Emulator::start(config).await, Err(StartError::Listen { .. })));
}

#[tokio::test]
async fn a_hanging_request_is_in_the_log_before_it_is_answered() {
    let emulator = emulator().await;
    emulator.fault(Fault::new(Route::Delta, Answer::Hang));
    let url = format!("{}/me/drive/root/delta", emulator.base_url());
    let waiting = tokio::spawn(async move { send("GET", &url, &[("Authorization", "Bearer x")], "").await.is_none() });
    eventually("the request is logged", || !emulator.requests().is_empty()).await;
    let request = emulator.requests().remove(0);
    assert_eq!((request.route, request.status), (Some(Route::Delta), None));
    emulator.shutdown().await;
    assert!(waiting.await.unwrap());
}
