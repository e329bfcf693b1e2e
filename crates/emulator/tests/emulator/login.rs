//! The identity platform: device code, authorisation code with PKCE, refresh, and every refusal in its words.

use std::time::Duration;

use drivetap_emulator::{Answer, Config, Emulator, Fault, LoginError, RefreshTokens, Route};
use serde_json::{Value, json};

use crate::support::{Reply, get, send};

/// RFC 7636, appendix B.
const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";
const BACK: &str = "http%3A%2F%2Flocalhost%3A4711%2F";

async fn emulator() -> Emulator {
    Emulator::start(Config::default()).await.unwrap()
}

fn platform(emulator: &Emulator) -> String {
    format!("{}/common/oauth2/v2.0", emulator.origin())
}

async fn token(emulator: &Emulator, form: &str) -> Reply {
    send("POST", &format!("{}/token", platform(emulator)), &[], form).await.unwrap()
}

async fn device(emulator: &Emulator) -> (Value, String) {
    let url = format!("{}/devicecode", platform(emulator));
    let asked = send("POST", &url, &[], "client_id=x&scope=Files.Read").await.unwrap().json();
    let code = asked["device_code"].as_str().unwrap();
    let form = format!("grant_type=urn:ietf:params:oauth:grant-type:device_code&client_id=x&device_code={code}");
    (asked, form)
}

/// Where the authorize page sends the browser.
async fn authorize(emulator: &Emulator, query: &str) -> Reply {
    let url = format!("{}/authorize?client_id=x&redirect_uri={BACK}&state=s%20t&{query}", platform(emulator));
    send("GET", &url, &[], "").await.unwrap()
}

#[tokio::test]
async fn a_browser_is_sent_back_with_a_code_that_is_good_once_and_for_its_verifier_alone() {
    let emulator = emulator().await;
    let asks = format!("response_type=code&scope=Files.Read&code_challenge={CHALLENGE}&code_challenge_method=S256");
    let code = || async {
        let reply = authorize(&emulator, &asks).await;
        let location = reply.header("Location").unwrap().to_owned();
        assert_eq!(reply.status, 302);
        let rest = location.strip_prefix("http://localhost:4711/?code=").unwrap_or_else(|| panic!("{location}"));
        let (code, rest) = rest.split_once('&').unwrap();
        assert!(rest.starts_with("state=s%20t&session_state="), "{rest}");
        code.to_owned()
    };
    let redeem = |code: String, verifier: &'static str| {
        let form = format!(
            "grant_type=authorization_code&client_id=x&redirect_uri={BACK}&code={code}&code_verifier={verifier}&scope=Files.Read"
        );
        let emulator = &emulator;
        async move { token(emulator, &form).await }
    };
    let good = code().await;
    let body = redeem(good.clone(), VERIFIER).await.json();
    let me = format!("{}/me/drive", emulator.base_url());
    let bearer = format!("Bearer {}", body["access_token"].as_str().unwrap());
    assert_eq!(send("GET", &me, &[("Authorization", &bearer)], "").await.unwrap().status, 200);

    let again = redeem(good, VERIFIER).await;
    assert_eq!((again.status, &again.json()["error_codes"]), (400, &json!([54_005])));
    let other = redeem(code().await, "another-verifier-of-at-least-forty-three-characters").await.json();
    assert_eq!((&other["error"], &other["error_codes"]), (&json!("invalid_grant"), &json!([501_481])));
}

#[tokio::test]
async fn the_authorize_page_refuses_on_a_page_or_by_the_address_it_sends_the_browser_to() {
    let emulator = emulator().await;
    let bare = authorize(&emulator, "response_type=code").await;
    assert!(bare.header("Location").unwrap().contains("?error=invalid_request&"), "PKCE is wanted");
    emulator.fault(Fault::new(Route::Authorize, Answer::Login(LoginError::AccessDenied)));
    let denied = authorize(&emulator, "response_type=code").await;
    let location = denied.header("Location").unwrap();
    assert!(location.starts_with("http://localhost:4711/?error=access_denied&error_description=AADSTS65004"), "{location}");
    let elsewhere = format!("{}/authorize?client_id=x&redirect_uri=https%3A%2F%2Fevil.example", platform(&emulator));
    let page = send("GET", &elsewhere, &[], "").await.unwrap();
    assert!(page.status == 400 && page.header("Location").is_none() && page.body.contains("AADSTS50011"), "{}", page.body);
}

#[tokio::test]
async fn every_refusal_has_its_error_its_number_and_the_same_keys() {
    let emulator = emulator().await;
    for (error, status, name, number) in [
        (LoginError::AuthorizationPending, 400, "authorization_pending", 70_016),
        (LoginError::SlowDown, 400, "slow_down", 70_016),
        (LoginError::AuthorizationDeclined, 400, "authorization_declined", 65_004),
        (LoginError::AccessDenied, 400, "access_denied", 65_004),
        (LoginError::ExpiredToken, 400, "expired_token", 70_020),
        (LoginError::BadVerificationCode, 400, "bad_verification_code", 70_018),
        (LoginError::InvalidGrant, 400, "invalid_grant", 70_000),
        (LoginError::InteractionRequired, 400, "interaction_required", 50_076),
        (LoginError::ConsentRequired, 400, "consent_required", 65_001),
        (LoginError::InsufficientClaims, 400, "insufficient_claims", 50_158),
        (LoginError::ConditionalAccess, 400, "invalid_grant", 53_003),
        (LoginError::NotAPublicClient, 401, "invalid_client", 7_000_218),
        (LoginError::UnknownApplication, 400, "unauthorized_client", 700_016),
        (LoginError::TemporarilyUnavailable, 503, "temporarily_unavailable", 90_033),
    ] {
        emulator.fault(Fault::login(error));
        let reply = token(&emulator, "grant_type=refresh_token&client_id=x&refresh_token=y").await;
        let body = reply.json();
        assert_eq!((reply.status, &body["error"]), (status, &json!(name)));
        let says = body["error_description"].as_str().unwrap();
        assert!(says.starts_with(&format!("AADSTS{number}: ")) && says.contains("\r\nTrace ID: "), "{says}");
        let as_json = serde_json::to_value(error).unwrap();
        assert_eq!(serde_json::from_value::<LoginError>(as_json).unwrap(), error);
    }
}

#[tokio::test]
async fn a_person_declines_or_is_too_late() {
    let emulator = emulator().await;
    let (asked, poll) = device(&emulator).await;
    assert!(emulator.decline_device(asked["user_code"].as_str().unwrap()));
    assert_eq!(token(&emulator, &poll).await.json()["error"], "authorization_declined");

    emulator.switch(|switches| switches.device_code_lifetime = Duration::from_millis(20));
    let (asked, poll) = device(&emulator).await;
    assert_eq!((&asked["expires_in"], &asked["interval"]), (&json!(1), &json!(5)));
    tokio::time::sleep(Duration::from_millis(30)).await;
    assert_eq!(token(&emulator, &poll).await.json()["error"], "expired_token");
}

#[tokio::test]
async fn a_person_with_a_browser_types_the_code_in() {
    let emulator = emulator().await;
    let (asked, poll) = device(&emulator).await;
    let page = asked["verification_uri"].as_str().unwrap();
    assert!(get(page).await.body.contains("<form"));
    assert_eq!(send("POST", page, &[], "code=WRONG").await.unwrap().status, 400);
    let typed = format!("code={}", asked["user_code"].as_str().unwrap());
    assert_eq!(send("POST", page, &[], &typed).await.unwrap().status, 200);
    assert_eq!(token(&emulator, &poll).await.status, 200);
}

#[tokio::test]
async fn tokens_expire_when_they_say_and_a_refresh_token_is_good_once_where_that_is_asked_for() {
    let emulator = emulator().await;
    emulator.switch(|switches| {
        switches.token_lifetime = Duration::from_millis(300);
        switches.refresh_tokens = RefreshTokens::UsedOnce;
    });
    let form = format!("grant_type=refresh_token&client_id=x&refresh_token={}", emulator.sign_in("default").unwrap());
    let body = token(&emulator, &form).await.json();
    assert_eq!(body["expires_in"], 1);
    let me = format!("{}/me/drive", emulator.base_url());
    let bearer = format!("Bearer {}", body["access_token"].as_str().unwrap());
    let status = || async { send("GET", &me, &[("Authorization", &bearer)], "").await.unwrap().status };
    assert_eq!(status().await, 200);
    tokio::time::sleep(Duration::from_millis(320)).await;
    assert_eq!(status().await, 401);
    assert_eq!(token(&emulator, &form).await.json()["error"], "invalid_grant", "it was used");
}

#[tokio::test]
async fn a_claims_challenge_of_graph_has_its_header() {
    let emulator = emulator().await;
    emulator.fault(Fault::claims_challenge(Route::Drive));
    let reply = get(&format!("{}/me/drive", emulator.base_url())).await;
    assert_eq!(reply.status, 401);
    assert!(reply.header("WWW-Authenticate").unwrap().contains("error=\"insufficient_claims\""));
}
