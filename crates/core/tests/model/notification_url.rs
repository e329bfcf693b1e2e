use drivetap_core::{NotificationHosts, NotificationHostsError, NotificationUrl, NotificationUrlError as E};
use proptest::prelude::*;

use crate::{CANARY, assert_silent};

fn loopback() -> NotificationHosts {
    NotificationHosts::new(&["*.svc.ms"], true).unwrap()
}

#[test]
fn the_wild_forms_are_taken_byte_for_byte() {
    let table = [
        // abraunegg/onedrive#3583, its redactions filled.
        (
            "https://southcentralus1-7.pushnp.svc.ms/notifications?token=c4n4ry%2B/=&applicationId=d50c",
            "/notifications",
            "token=c4n4ry%2B/=&applicationId=d50c",
        ),
        // pnp/cli-microsoft365, 2022: no applicationId.
        ("https://northeurope1-0.pushnp.svc.ms/notifications?token=c4n4ry-4d2a", "/notifications", "token=c4n4ry-4d2a"),
        // Graph's own example.
        ("https://f3hb0mpua.svc.ms/zbaehwg/callback?snthgk=1ff3-c4n4ry", "/zbaehwg/callback", "snthgk=1ff3-c4n4ry"),
        // Order, repeats, emptiness and odd characters of a query are the service's.
        ("https://a.svc.ms/n?b=2&a=1&&b=%zz;'\"<>{}|^`=?/", "/n", "b=2&a=1&&b=%zz;'\"<>{}|^`=?/"),
        ("https://a.svc.ms/n", "/n", ""),
        ("https://a.svc.ms/n?", "/n", ""),
        ("HTTPS://A.SVC.MS:443/N%20x?T=c4n4ry", "/N%20x", "T=c4n4ry"),
    ];
    for (written, namespace, query) in table {
        let url = NotificationUrl::parse(written, &NotificationHosts::default()).unwrap();
        assert_eq!((url.expose(), url.expose_namespace(), url.expose_query()), (written, namespace, query));
        assert_eq!((url.scheme(), url.port()), ("https", None));
        let shown = format!("https://{}/…", url.host());
        assert_eq!((url.to_string(), format!("{url:?}"), format!("{url:#?}")), (shown.clone(), shown.clone(), shown));
        assert_silent(&format!("{url} {url:#?} {:?}", [&url]));
    }
}

#[test]
fn loopback_forms_pass_only_where_they_are_allowed() {
    let table = [
        ("http://127.0.0.1:4010/notifications?token=c4n4ry", "127.0.0.1", Some(4010)),
        ("http://localhost:4010/notifications?token=c4n4ry", "localhost", Some(4010)),
        ("http://[::1]:4010/notifications?token=c4n4ry", "[::1]", Some(4010)),
        ("http://127.9.9.9/notifications?token=c4n4ry", "127.9.9.9", None),
        ("https://localhost/notifications?token=c4n4ry", "localhost", None),
    ];
    for (written, host, port) in table {
        let url = NotificationUrl::parse(written, &loopback()).unwrap();
        assert_eq!((url.host(), url.port(), url.expose()), (host, port, written));
        let error = NotificationUrl::parse(written, &NotificationHosts::default()).unwrap_err();
        assert!(matches!(error, E::Scheme(_) | E::Address(_) | E::Host(_)), "{written}: {error}");
        assert_silent(&format!("{error} {error:?}"));
    }
    let error = NotificationUrl::parse("http://a.svc.ms/n?c4n4ry", &loopback()).unwrap_err();
    assert_eq!(error, E::Scheme("http".to_owned()), "plain http is for loopback alone");
}

#[test]
fn what_must_not_be_dialled_is_refused_by_its_fault_and_without_its_secret() {
    let host = |h: &str| E::Host(h.to_owned());
    let address = |a: &str| E::Address(a.to_owned());
    let scheme = |s: &str| E::Scheme(s.to_owned());
    let ambiguous = || E::Ambiguous("a.svc.ms".to_owned());
    let none = || E::NoNamespace("a.svc.ms".to_owned());
    let long_host = format!("https://{}svc.ms/n?c4n4ry", "a.".repeat(200));
    let long = format!("https://a.svc.ms/n?c4n4ry{}", "x".repeat(NotificationUrl::MAX));
    let table = [
        // Not a URL, or not absolute.
        ("", E::NotAUrl),
        ("c4n4ry", E::NotAUrl),
        ("/notifications?token=c4n4ry", E::NotAUrl),
        ("//a.svc.ms/n?c4n4ry", E::NotAUrl),
        ("https://", E::NotAUrl),
        ("https://?c4n4ry", E::NotAUrl),
        ("https:a.svc.ms/n?c4n4ry", E::NotAUrl),
        ("https:/a.svc.ms/n?c4n4ry", E::NotAUrl),
        ("mailto:c4n4ry@a.svc.ms", E::NotAUrl),
        ("data:text/plain,https://a.svc.ms/c4n4ry", E::NotAUrl),
        ("https://a.svc.ms:99999/n?c4n4ry", E::NotAUrl),
        (&long_host, E::NotAUrl),
        (&long, E::TooLong),
        // Characters that a parser would drop or turn.
        ("https://a.svc.ms/n?c4n4ry\n", E::Characters),
        (" https://a.svc.ms/n?c4n4ry", E::Characters),
        ("https://a.svc.ms/n?c4n4ry\tx", E::Characters),
        ("https://a.svc.ms\\n?c4n4ry", E::Characters),
        ("https://a.svc.ms/n?c4n4ry=ü", E::Characters),
        ("https://a.svc.ms/n?c4n4ry\u{0}", E::Characters),
        // Another scheme.
        ("http://a.svc.ms/n?c4n4ry", scheme("http")),
        ("wss://a.svc.ms/n?c4n4ry", scheme("wss")),
        ("ftp://a.svc.ms/n?c4n4ry", scheme("ftp")),
        ("file://a.svc.ms/n?c4n4ry", scheme("file")),
        // Userinfo, empty too.
        ("https://c4n4ry@a.svc.ms/n", E::Userinfo),
        ("https://u:c4n4ry@a.svc.ms/n", E::Userinfo),
        ("https://:@a.svc.ms/n?c4n4ry", E::Userinfo),
        ("https://@a.svc.ms/n?c4n4ry", E::Userinfo),
        ("https://a.svc.ms@evil.example/n?c4n4ry", E::Userinfo),
        ("https://a.svc.ms/n?c4n4ry#x", E::Fragment),
        ("https://a.svc.ms/n?c4n4ry#", E::Fragment),
        // Addresses, in every spelling.
        ("https://10.0.0.1/n?c4n4ry", address("10.0.0.1")),
        ("https://169.254.169.254/n?c4n4ry", address("169.254.169.254")),
        ("https://0x7f.1/n?c4n4ry", address("127.0.0.1")),
        ("https://2130706433/n?c4n4ry", address("127.0.0.1")),
        ("https://[::1]/n?c4n4ry", address("[::1]")),
        ("https://[::ffff:127.0.0.1]/n?c4n4ry", address("[::ffff:7f00:1]")),
        ("https://0.0.0.0/n?c4n4ry", address("0.0.0.0")),
        // Another host.
        ("https://evil.example/n?c4n4ry", host("evil.example")),
        ("https://localhost/n?c4n4ry", host("localhost")),
        ("https://svc.ms/n?c4n4ry", host("svc.ms")),
        ("https://evilsvc.ms/n?c4n4ry", host("evilsvc.ms")),
        ("https://a.svc.ms.evil.example/n?c4n4ry", host("a.svc.ms.evil.example")),
        ("https://evil.example/a.svc.ms/n?c4n4ry", host("evil.example")),
        // No namespace.
        ("https://a.svc.ms", none()),
        ("https://a.svc.ms/", none()),
        ("https://a.svc.ms?token=c4n4ry", none()),
        ("https://a.svc.ms/?token=c4n4ry", none()),
        // Read differently by different programs.
        ("https://%61.svc.ms/n?c4n4ry", ambiguous()),
        ("https://a.svc.ms:/n?c4n4ry", ambiguous()),
        ("https://a.svc.ms/c4n4ry/../n", ambiguous()),
        ("https://a.svc.ms/./n?c4n4ry", ambiguous()),
        ("https://a.svc.ms/%2e%2e/n?c4n4ry", ambiguous()),
        ("https://a.svc.ms/n\"?c4n4ry", ambiguous()),
        ("https://a.svc.ms/n,c4n4ry", ambiguous()),
    ];
    for (written, expected) in table {
        let error = NotificationUrl::parse(written, &NotificationHosts::default()).unwrap_err();
        assert_eq!(error, expected, "{written:?}");
        assert_silent(&format!("{error} {error:?}"));
        assert!(error.to_string().starts_with("notificationUrl "), "{error}");
    }
}

#[test]
fn hosts_are_names_and_wildcards_and_nothing_else() {
    let hosts = NotificationHosts::new(&["*.SVC.ms", "push.example.cn"], false).unwrap();
    let table = [
        ("a.svc.ms", true),
        ("a.b.svc.ms", true),
        ("svc.ms", false),
        ("xsvc.ms", false),
        ("push.example.cn", true),
        ("PUSH.example.cn", true),
        ("a.push.example.cn", false),
        ("a.svc.ms.", true),
    ];
    for (host, allowed) in table {
        let url = format!("https://{host}/n");
        assert_eq!(NotificationUrl::parse(&url, &hosts).is_ok(), allowed, "{host}");
    }
    for bad in
        ["", "*", "*.", "*.ms", "ms", "a.*.ms", "**.svc.ms", "https://a.svc.ms", "a.svc.ms:443", "a..ms", ".svc.ms", "a b.ms"]
    {
        let error: NotificationHostsError = NotificationHosts::new(&[bad], false).unwrap_err();
        assert!(error.to_string().contains(&format!("{bad:?}")), "{error}");
    }
    assert!(NotificationHosts::new::<&str>(&[], false).is_err(), "an empty list allows nothing, which nobody means");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whatever_is_taken_is_https_to_an_allowed_host_and_kept_as_it_was(
        head in "(https?|wss|HTTPS)?:?/{0,3}",
        user in "([a-z]{0,3}(:[a-z]{0,2})?@)?",
        host in "(a\\.svc\\.ms|a%2esvc\\.ms|evil\\.example|127\\.1|\\[::1\\]|[ -~]{0,12})",
        rest in "(:[0-9]{0,6})?[ -~]{0,20}",
    ) {
        let written = format!("{head}{user}{host}{rest}?token={CANARY}");
        match NotificationUrl::parse(&written, &NotificationHosts::default()) {
            Ok(url) => {
                prop_assert!(url.host().ends_with(".svc.ms"));
                prop_assert_eq!(url.scheme(), "https");
                prop_assert_eq!(url.expose(), &written);
                let at = written.find("//").unwrap() + 2;
                let port = written[at + url.host().len()..].split('/').next().unwrap();
                let rebuilt = format!("{}{}{port}{}?{}", &written[..at], &written[at..at + url.host().len()], url.expose_namespace(), url.expose_query());
                prop_assert_eq!(&rebuilt, &written);
                assert_silent(&format!("{url}{url:?}"));
            }
            Err(error) => assert_silent(&format!("{error}{error:?}")),
        }
    }
}
