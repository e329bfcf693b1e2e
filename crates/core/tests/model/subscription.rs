use std::time::Duration;

use drivetap_core::{Endpoint, NotificationHosts, NotificationUrlError, Subscription, SubscriptionError as E};
use serde_json::json;

use crate::assert_silent;

fn parse(body: &str) -> Result<Subscription, E> {
    Subscription::parse(body.as_bytes(), &NotificationHosts::default())
}

#[test]
fn the_documented_body() {
    let body = r#"{"id":"opaqueId-fj3hd7yf283jfk193726nvc2w3i2diemdu8","notificationUrl":"https://f3hb0mpua.svc.ms/zbaehwg/callback?snthgk=1ff3-2345672zz831837523"}"#;
    let subscription = parse(body).unwrap();
    assert_eq!(subscription.id.as_deref(), Some("opaqueId-fj3hd7yf283jfk193726nvc2w3i2diemdu8"));
    assert_eq!(subscription.notification_url.expose_namespace(), "/zbaehwg/callback");
    assert_eq!(subscription.notification_url.expose_query(), "snthgk=1ff3-2345672zz831837523");
    assert_eq!((subscription.expiration, subscription.client_state), (None, None));
    assert!(subscription.extra.is_empty());
}

// abraunegg/onedrive#3583, with its escaped slashes and its redactions filled.
const WILD: &str = r#"{"@odata.context":"https:\/\/graph.microsoft.com\/v1.0\/$metadata#subscriptions\/$entity",
 "clientState":"system-managed:8082D436-D8DA-458D-96AD-34C902B73F37",
 "expirationDateTime":"2025-12-24T03:32:50.8792357Z",
 "id":"f267729a-51a1-4e7b-a65d-fe76017a5b81",
 "notificationUrl":"https:\/\/southcentralus1-7.pushnp.svc.ms\/notifications?token=c4n4ry&applicationId=d50ca740"}"#;

#[test]
fn the_wild_body() {
    let subscription = parse(WILD).unwrap();
    assert_eq!(subscription.id.as_deref(), Some("f267729a-51a1-4e7b-a65d-fe76017a5b81"));
    assert_eq!(subscription.client_state.as_deref(), Some("system-managed:8082D436-D8DA-458D-96AD-34C902B73F37"));
    assert_eq!(subscription.expiration.unwrap().to_string(), "2025-12-24T03:32:50.8792357Z");
    assert_eq!(
        subscription.notification_url.expose(),
        "https://southcentralus1-7.pushnp.svc.ms/notifications?token=c4n4ry&applicationId=d50ca740"
    );
    let context = json!("https://graph.microsoft.com/v1.0/$metadata#subscriptions/$entity");
    assert_eq!(subscription.extra.into_iter().collect::<Vec<_>>(), [("@odata.context".to_owned(), context)]);
}

#[test]
fn no_print_of_a_subscription_shows_a_secret_known_or_unknown() {
    let body =
        WILD.replacen('{', r#"{"lifecycleNotificationUrl":"https://a.svc.ms/n?token=c4n4ry","more":{"token":"c4n4ry"},"#, 1);
    let endpoint = Endpoint::new(parse(&body).unwrap(), None);
    let shown = format!("{endpoint:?} {endpoint:#?}");
    assert_silent(&shown);
    assert!(shown.contains("southcentralus1-7.pushnp.svc.ms") && shown.contains("lifecycleNotificationUrl"), "{shown}");
}

fn expiring(at: &serde_json::Value) -> Option<String> {
    let body = json!({"notificationUrl": "https://a.svc.ms/n?t", "expirationDateTime": at}).to_string();
    parse(&body).unwrap().expiration.map(|at| at.to_string())
}

#[test]
fn an_expiry_is_read_with_0_to_9_fractional_digits_and_any_offset() {
    let table = [
        ("2025-12-24T03:32:50Z", "2025-12-24T03:32:50Z"),
        ("2025-12-24T03:32:50.1Z", "2025-12-24T03:32:50.1Z"),
        ("2025-12-24T03:32:50.12Z", "2025-12-24T03:32:50.12Z"),
        ("2025-12-24T03:32:50.123Z", "2025-12-24T03:32:50.123Z"),
        ("2025-12-24T03:32:50.1234Z", "2025-12-24T03:32:50.1234Z"),
        ("2025-12-24T03:32:50.12345Z", "2025-12-24T03:32:50.12345Z"),
        ("2025-12-24T03:32:50.123456Z", "2025-12-24T03:32:50.123456Z"),
        ("2025-12-24T03:32:50.8792357Z", "2025-12-24T03:32:50.8792357Z"),
        ("2025-12-24T03:32:50.12345678Z", "2025-12-24T03:32:50.12345678Z"),
        ("2025-12-24T03:32:50.123456789Z", "2025-12-24T03:32:50.123456789Z"),
        ("2026-05-11T21:52:27.5200000Z", "2026-05-11T21:52:27.52Z"),
        ("2025-12-24T03:32:50+00:00", "2025-12-24T03:32:50Z"),
        ("2025-12-23T19:32:50.8792357-08:00", "2025-12-24T03:32:50.8792357Z"),
        ("2025-12-24T09:17:50+05:45", "2025-12-24T03:32:50Z"),
        ("2025-12-24t03:32:50z", "2025-12-24T03:32:50Z"),
    ];
    for (written, utc) in table {
        assert_eq!(expiring(&json!(written)).as_deref(), Some(utc), "{written}");
    }
}

#[test]
fn an_expiry_that_cannot_be_read_is_unknown_and_the_subscription_stands() {
    let unreadable = [
        json!(null),
        json!(1_735_011_170),
        json!(true),
        json!({}),
        json!(""),
        json!("soon"),
        json!("2025-12-24"),
        json!("2025-12-24T03:32:50"),
        json!("2025-13-24T03:32:50Z"),
        json!("2025-12-24T03:32:50.1234567890Z"),
        json!("2025-12-24T03:32:50.8792357Z and more"),
        json!("9".repeat(100_000)),
    ];
    for value in unreadable {
        assert_eq!(expiring(&value), None, "{value}");
    }
}

#[test]
fn optional_fields_of_another_type_count_as_missing() {
    let subscription = parse(r#"{"id":7,"clientState":null,"notificationUrl":"https://a.svc.ms/n"}"#).unwrap();
    assert_eq!((subscription.id, subscription.client_state), (None, None));
}

#[test]
fn a_body_that_is_no_subscription_is_refused_without_being_printed() {
    let deep = format!("{}{}", r#"{"a":"#.repeat(100_000), "}".repeat(100_000));
    let table = [
        ("", E::NotAnObject),
        ("<!DOCTYPE html><html><body>c4n4ry</body></html>", E::NotAnObject),
        ("c4n4ry", E::NotAnObject),
        ("null", E::NotAnObject),
        (r#""c4n4ry""#, E::NotAnObject),
        (r#"["c4n4ry"]"#, E::NotAnObject),
        (r#"{"notificationUrl":"https://a.svc.ms/n?c4n4ry""#, E::NotAnObject),
        (r#"{"notificationUrl":"https://a.svc.ms/n?c4n4ry"} x"#, E::NotAnObject),
        (&deep, E::NotAnObject),
        ("{}", E::NoUrl),
        (r#"{"id":"c4n4ry"}"#, E::NoUrl),
        (r#"{"notificationUrl":null}"#, E::NoUrl),
        (r#"{"notificationUrl":["https://a.svc.ms/n?c4n4ry"]}"#, E::NoUrl),
        (r#"{"NotificationUrl":"https://a.svc.ms/n?c4n4ry"}"#, E::NoUrl),
        (r#"{"error":{"code":"notSupported","message":"Operation not supported"}}"#, E::NoUrl),
        (r#"{"notificationUrl":""}"#, E::Url(NotificationUrlError::NotAUrl)),
        (r#"{"notificationUrl":"https://evil.example/c4n4ry"}"#, E::Url(NotificationUrlError::Host("evil.example".to_owned()))),
    ];
    for (body, expected) in table {
        let error = parse(body).unwrap_err();
        assert_eq!(error, expected, "{body:.80}");
        assert_silent(&format!("{error} {error:?}"));
    }
    assert_eq!(Subscription::parse(b"\xff\xfe{}", &NotificationHosts::default()), Err(E::NotAnObject));
}

#[test]
fn a_lifetime_is_measured_by_graphs_clock_alone() {
    let table = [
        (Some("2025-12-24T03:08:50Z"), Some(Duration::new(24 * 60, 879_235_700))),
        (Some("2025-12-24T03:32:50Z"), Some(Duration::from_nanos(879_235_700))),
        (Some("2025-12-24T03:32:50.8792357Z"), None),
        (Some("2025-12-24T03:32:51Z"), None),
        (Some("2027-01-01T00:00:00Z"), None),
        (None, None),
    ];
    for (date, lifetime) in table {
        let endpoint = Endpoint::new(parse(WILD).unwrap(), date.map(|d| d.parse().unwrap()));
        assert_eq!(endpoint.lifetime, lifetime, "{date:?}");
    }
    let unknown = parse(r#"{"notificationUrl":"https://a.svc.ms/n"}"#).unwrap();
    assert_eq!(Endpoint::new(unknown, Some("2025-12-24T03:08:50Z".parse().unwrap())).lifetime, None);
}
