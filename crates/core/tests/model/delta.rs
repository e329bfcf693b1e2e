use drivetap_core::{Link, LinkError};
use proptest::prelude::*;

#[test]
fn a_link_is_kept_as_graph_wrote_it() {
    let table = [
        "/v1.0/drives/b!a/root/delta?token=aTE0NjE7L2RlbHRhOw%3D%3D",
        "/v1.0/drives/b!a/root/delta(token='a/b%2Fc==')",
        "/v1.0/me/drive/root/delta?$skiptoken=x&y=../..//%2e%2e",
        "/v1.0/drives/a..b/...",
        "/",
    ];
    for written in table {
        let link = Link::new(written).unwrap();
        assert_eq!((link.as_str(), link.to_string().as_str()), (written, written));
        let stored = serde_json::to_string(&link).unwrap();
        assert_eq!(serde_json::from_str::<Link>(&stored).unwrap(), link);
    }
    assert!(Link::new(format!("/{}", "x".repeat(Link::MAX - 1))).is_ok());
}

#[test]
fn what_could_lead_elsewhere_is_no_link() {
    let long = format!("/{}", "x".repeat(Link::MAX));
    let table = [
        "",
        "v1.0/delta",
        "?token=a",
        "https://graph.microsoft.com/v1.0/delta",
        "//evil.example/v1.0/delta",
        "///v1.0",
        "/\\evil.example",
        "\\\\evil.example",
        "/v1.0\\..\\beta",
        "/v1.0/../beta",
        "/v1.0/./me",
        "/v1.0/..",
        "/..",
        "/v1.0/%2e%2e/beta",
        "/v1.0/%2E./beta",
        "/v1.0/.%2e",
        "/v1.0/%2e/me",
        "/v1.0/..%2fbeta",
        "/v1.0%2F..%2Fbeta",
        "/v1.0/..%5Cbeta",
        "/v1.0/delta?token=a#b",
        "/v1.0/de lta",
        "/v1.0/delta\r\nHost: evil.example",
        "/v1.0/delta\u{0}",
        "/v1.0/délta",
        " /v1.0/delta",
        &long,
    ];
    for written in table {
        assert_eq!(Link::new(written), Err(LinkError), "{written:.80}");
        let stored = serde_json::to_string(written).unwrap();
        assert!(serde_json::from_str::<Link>(&stored).is_err(), "a store's content is checked too: {written:.80}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_link_leaves_the_origin_or_its_prefix(tail in r"([/\\.?#@:]|%2e|%2E|%2f|%5c|[a-z0-9]|[ -~]|é){0,12}") {
        for written in [tail.clone(), format!("/v1.0/{tail}")] {
            let Ok(link) = Link::new(written.clone()) else { continue };
            let url = url::Url::parse(&format!("https://graph.microsoft.com{link}")).unwrap();
            prop_assert_eq!(url.origin().ascii_serialization(), "https://graph.microsoft.com");
            prop_assert!(url.username().is_empty() && url.fragment().is_none());
            if written.starts_with("/v1.0/") {
                prop_assert!(url.path().starts_with("/v1.0/"), "{link} led to {url}");
            }
        }
    }
}
