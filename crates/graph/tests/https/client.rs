//! The client against a server that answers what Graph answers, and what it should not.

use std::collections::HashSet;
use std::io::Write;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::support::{Reply, Seen, Server, TOKEN, client, install_ring};
use axum::body::Body;
use drivetap_core::{DriveId, DriveType, Failure, Item, Link, PageEnd, PageFrom, Remedy, Resource};
use drivetap_graph::{AccessToken, ConfigError, Graph, GraphClient, GraphConfig, Share, TokenError, TokenSource, Walks, pages};
use futures_util::TryStreamExt;
use futures_util::stream;
use serde_json::json;

const DATE: &str = "Wed, 24 Dec 2025 03:00:00 GMT";

fn retry(code: &str) -> Failure {
    Failure::retry(code)
}

fn slowly(code: &str) -> Failure {
    Failure::new(Remedy::RetrySlowly { after: None }, code)
}

fn sign_in(code: &str) -> Failure {
    Failure::new(Remedy::SignIn, code)
}

/// A drive's id can only come from Graph.
async fn drive_id() -> DriveId {
    let server = Server::start(|_, _| Reply::ok(r#"{"id":"b!d","driveType":"business"}"#)).await;
    server.client().drive(&Resource::Me).await.unwrap().id
}

#[tokio::test]
async fn the_five_endpoints_are_asked_for_with_the_documented_headers() {
    let body = r#"{"@odata.context":"x","clientState":"system-managed:8082D436-D8DA-458D-96AD-34C902B73F37",
        "expirationDateTime":"2025-12-24T03:32:50.8792357Z","id":"f267729a",
        "notificationUrl":"https://southcentralus1-7.pushnp.svc.ms/notifications?token=t&applicationId=a"}"#;
    let server = Server::start(move |_, _| Reply::new(200, &[("date", DATE)], body)).await;
    let graph = server.client();
    for resource in ["me", "drive:b!x", "drive-list:b!x", "group:g", "site:contoso.sharepoint.com,1,2/list:Shared Documents"] {
        let endpoint = graph.endpoint(&resource.parse().unwrap()).await.unwrap();
        assert_eq!(endpoint.subscription.notification_url.host(), "southcentralus1-7.pushnp.svc.ms");
        assert_eq!(endpoint.lifetime, Some(Duration::new(32 * 60 + 50, 879_235_700)));
    }
    let seen = server.seen();
    let lines: Vec<_> = seen.iter().map(|seen| seen.line.as_str()).collect();
    assert_eq!(
        lines,
        [
            "GET /v1.0/me/drive/root/subscriptions/socketIo",
            "GET /v1.0/drives/b!x/root/subscriptions/socketIo",
            "GET /v1.0/drives/b!x/list/subscriptions/socketIo",
            "GET /v1.0/groups/g/drive/root/subscriptions/socketIo",
            "GET /v1.0/sites/contoso.sharepoint.com,1,2/lists/Shared%20Documents/drive/root/subscriptions/socketIo",
        ]
    );
    for seen in &seen {
        assert_eq!(seen.header("authorization"), format!("Bearer {TOKEN}"));
        assert_eq!(seen.header("content-type"), "application/json");
        assert_eq!(seen.header("user-agent"), format!("NONISV|drivetap|drivetap/{}", env!("CARGO_PKG_VERSION")));
        assert_eq!(seen.header("client-request-id").len(), 36);
        assert_eq!(seen.header("deltaexcludeparent"), "");
    }
    let ids: HashSet<_> = seen.iter().map(|seen| seen.header("client-request-id").to_owned()).collect();
    assert_eq!(ids.len(), 5, "a fresh id each time");
}

#[tokio::test]
async fn a_drive_is_resolved_by_its_id_and_type() {
    let server = Server::start(|_, _| Reply::ok(r#"{"id":"8A61DF7E8B34E48","driveType":"personal"}"#)).await;
    let drive = server.client().drive(&"group:g".parse().unwrap()).await.unwrap();
    assert_eq!((drive.id.as_str(), drive.drive_type), ("08a61df7e8b34e48", DriveType::Personal));
    assert_eq!(server.seen()[0].line, "GET /v1.0/groups/g/drive?$select=id,driveType");
}

#[tokio::test]
async fn a_walk_follows_its_links_byte_for_byte_and_ends_at_the_delta_link() {
    let server = Server::start(|seen, n| {
        let at = |rest: &str| format!("http://{}/v1.0/drives/b!d/root/{rest}", seen.header("host"));
        Reply::ok(
            match n {
                0 => json!({"value": [{"id": "a"}], "@odata.nextLink": at("delta(token='aYJ%2f%41,==')?$top=1&x=%7E")}),
                1 => json!({"value": [], "@odata.nextLink": at("delta?token=two")}),
                _ => json!({"value": [{"id": "b", "deleted": {}}], "@odata.deltaLink": at("delta?token=end")}),
            }
            .to_string(),
        )
    })
    .await;
    let (graph, drive) = (server.client(), drive_id().await);
    let walk: Vec<_> = pages(&graph, &drive, PageFrom::Root).try_collect().await.unwrap();
    let ids: Vec<Vec<&str>> = walk.iter().map(|page| page.items.iter().map(Item::id).collect()).collect();
    assert_eq!(ids, [vec!["a"], vec![], vec!["b"]]);
    assert_eq!(walk[2].end, PageEnd::Delta(Link::new("/v1.0/drives/b!d/root/delta?token=end").unwrap()));
    graph.page(&drive, &PageFrom::Latest, &mut Share::alone()).await.unwrap();
    let seen = server.seen();
    let lines: Vec<_> = seen.iter().map(|seen| seen.line.as_str()).collect();
    assert_eq!(
        lines,
        [
            "GET /v1.0/drives/b!d/root/delta",
            "GET /v1.0/drives/b!d/root/delta(token='aYJ%2f%41,==')?$top=1&x=%7E",
            "GET /v1.0/drives/b!d/root/delta?token=two",
            "GET /v1.0/drives/b!d/root/delta?token=latest",
        ]
    );
    assert!(seen.iter().all(|seen| seen.header("deltaexcludeparent") == "true"));
}

#[tokio::test]
async fn a_walk_stops_at_its_first_failure() {
    let server = Server::start(|seen, n| match n {
        0 => Reply::ok(format!(r#"{{"value":[],"@odata.nextLink":"http://{}/v1.0/x"}}"#, seen.header("host"))),
        _ => Reply::error(404, &[], "itemNotFound", None),
    })
    .await;
    let (graph, drive) = (server.client(), drive_id().await);
    let mut walk = Box::pin(pages(&graph, &drive, PageFrom::Root));
    assert!(walk.try_next().await.unwrap().is_some());
    assert_eq!(walk.try_next().await, Err(slowly("itemNotFound")));
    assert_eq!(walk.try_next().await, Ok(None));
    assert_eq!(server.seen().len(), 2);
}

#[tokio::test]
async fn a_link_to_elsewhere_is_an_error_and_never_followed() {
    let elsewhere = Server::start(|_, _| Reply::ok("{}")).await;
    let foreign = elsewhere.base();
    let server = Server::start(move |_, n| {
        let name = if n % 2 == 0 { "@odata.nextLink" } else { "@odata.deltaLink" };
        Reply::ok(json!({"value": [], name: format!("{foreign}/drives/d/root/delta?token=x")}).to_string())
    })
    .await;
    let (graph, drive) = (server.client(), drive_id().await);
    for _ in 0..2 {
        let failure = graph.page(&drive, &PageFrom::Root, &mut Share::alone()).await.unwrap_err();
        assert_eq!(failure, retry("a link of the delta page leads to another origin than base_url's"));
    }
    let stored = PageFrom::Link(Link::new("/beta/drives/d/root/delta?token=x").unwrap());
    let failure = graph.page(&drive, &stored, &mut Share::alone()).await.unwrap_err();
    assert_eq!(failure, slowly("the stored cursor is not under base_url's version prefix, so it is not used"));
    assert_eq!((server.seen().len(), elsewhere.seen().len()), (2, 0));
}

#[tokio::test]
async fn every_spelling_of_410_is_a_resync_from_a_location_on_graph_or_from_none() {
    let drive = drive_id().await;
    let check = async |reply: fn(&Seen) -> Reply, code: &str, location: Option<&str>| {
        let server = Server::start(move |seen, _| reply(seen)).await;
        let failure = server.client().page(&drive, &PageFrom::Root, &mut Share::alone()).await.unwrap_err();
        let location = location.map(|link| Link::new(link).unwrap());
        assert_eq!(failure, Failure::new(Remedy::Resync { location }, code));
    };
    check(
        |seen| {
            let location = format!("http://{}/v1.0/drives/d/root/delta?token=a", seen.header("host"));
            Reply::error(410, &[("location", &location)], "resyncRequired", Some("resyncChangesApplyDifferences"))
        },
        "resyncChangesApplyDifferences",
        Some("/v1.0/drives/d/root/delta?token=a"),
    )
    .await;
    check(
        |_| Reply::error(410, &[("location", "/v1.0/drives/d/root/delta?token=b")], "resyncRequired", None),
        "resyncRequired",
        Some("/v1.0/drives/d/root/delta?token=b"),
    )
    .await;
    check(|_| Reply::error(410, &[("location", "https://evil.example/v1.0/x")], "gone", None), "gone", None).await;
    check(
        |_| Reply::error(410, &[("location", "http://[broken")], "resyncApplyDifferences", None),
        "resyncApplyDifferences",
        None,
    )
    .await;
    check(|_| Reply::error(400, &[], "syncStateNotFound", None), "syncStateNotFound", None).await;
    check(|_| Reply::new(410, &[], "<html>Gone</html>"), "HTTP 410", None).await;
}

#[tokio::test]
async fn an_answer_that_is_none_is_a_failure_in_clear_words() {
    let retry_after = |seconds| Some(Duration::from_secs(seconds));
    let page_limit = 32 * 1024 * 1024;
    let check = async |reply: fn() -> Reply, want: Failure| {
        let server = Server::start(move |_, _| reply()).await;
        assert_eq!(server.client().endpoint(&Resource::Me).await.map(|_| ()), Err(want));
        assert_eq!(server.seen().len(), 1, "one attempt");
    };
    check(
        || Reply::error(429, &[("retry-after", "7")], "activityLimitReached", Some("throttledRequest")),
        Failure::new(Remedy::Retry { after: retry_after(7) }, "throttledRequest"),
    )
    .await;
    check(
        || Reply::new(503, &[("retry-after", "Wed, 24 Dec 2025 03:02:00 GMT"), ("date", DATE)], ""),
        Failure::new(Remedy::Retry { after: retry_after(120) }, "HTTP 503"),
    )
    .await;
    check(|| Reply::error(400, &[], "notSupported", None), slowly("notSupported")).await;
    check(|| Reply::error(403, &[], "accessDenied", None), slowly("accessDenied")).await;
    check(|| Reply::new(404, &[], "<html>"), slowly("HTTP 404")).await;
    check(|| Reply::new(302, &[("location", "/v1.0/login")], ""), retry("HTTP 302 (redirects are not followed)")).await;
    check(|| Reply::new(307, &[("location", "https://evil.example/")], ""), retry("HTTP 307 (redirects are not followed)")).await;
    check(|| Reply::new(204, &[], ""), retry("HTTP 204")).await;
    check(
        || Reply::new(200, &[], "\n<!DOCTYPE html><title>Sign in to the hotel</title>"),
        retry("the answer is HTML, not JSON: something between here and Graph answered in its place"),
    )
    .await;
    check(|| Reply::ok(""), retry("the answer is not the JSON that Graph documents")).await;
    check(|| Reply::ok("[]"), retry("the answer is not the JSON that Graph documents")).await;
    check(|| Reply::ok(r#"{"id":"x"}"#), slowly("the answer has no notificationUrl")).await;
    check(
        || Reply::ok(r#"{"notificationUrl":"https://me:secret@a.svc.ms/notifications?token=t"}"#),
        slowly("notificationUrl contains userinfo before its host"),
    )
    .await;
    check(
        || Reply::ok(r#"{"notificationUrl":"https://evil.example/notifications?token=t"}"#),
        slowly("notificationUrl names the host \"evil.example\", which is not in notification_hosts"),
    )
    .await;
    check(
        || Reply::ok(r#"{"notificationUrl":"https://a.svc.ms"}"#),
        slowly("notificationUrl on a.svc.ms has no path: the path is the socket.io namespace"),
    )
    .await;
    check(|| Reply::ok(vec![b' '; 256 * 1024 + 1]), retry("the answer is larger than 262144 bytes")).await;
    check(|| Reply::ok(endless()), retry("the answer is larger than 262144 bytes")).await;
    check(
        || Reply::new(200, &[("content-encoding", "gzip")], gzip(&vec![b' '; 256 * 1024 + 1])),
        retry("the answer is larger than 262144 bytes"),
    )
    .await;
    check(|| Reply::new(500, &[], endless()), retry("HTTP 500")).await;

    let server = Server::start(|_, _| Reply::ok(endless())).await;
    let failure = server.client().page(&drive_id().await, &PageFrom::Root, &mut Share::alone()).await.unwrap_err();
    assert_eq!(failure, retry(&format!("the answer is larger than {page_limit} bytes")));
}

#[tokio::test]
async fn a_failure_carries_graphs_id_of_the_request_from_the_header_else_from_the_body() {
    const HTML: &str = "<html>";
    let body = |id: &str| format!(r#"{{"error":{{"code":"itemNotFound","innerError":{{"date":"x","request-id":"{id}"}}}}}}"#);
    let (long, escape) = ("a".repeat(10_000), "\\u001b[2J");
    let check = async |status: u16, header: Option<&str>, body: String, want: &str| {
        let header: Vec<_> = header.map(|id| ("request-id".to_owned(), id.to_owned())).into_iter().collect();
        let server = Server::start(move |_, _| {
            let headers: Vec<_> = header.iter().map(|(name, id)| (name.as_str(), id.as_str())).collect();
            Reply::new(status, &headers, body.clone())
        })
        .await;
        let failure = server.client().drive(&Resource::Me).await.unwrap_err();
        assert_eq!(failure.to_string(), want);
        assert!(!failure.code.contains("request-id"), "{failure}");
    };
    check(404, Some("in-header"), String::new(), "HTTP 404 (request-id in-header)").await;
    check(404, Some("in-header"), body("in-body"), "itemNotFound (request-id in-header)").await;
    check(404, None, body("in-body"), "itemNotFound (request-id in-body)").await;
    check(404, None, body(""), "itemNotFound").await;
    check(404, None, HTML.to_owned(), "HTTP 404").await;
    // What is no id is none; the body may have one all the same.
    check(404, Some(&long), body("in-body"), "itemNotFound (request-id in-body)").await;
    check(404, Some("two words"), body("in-body"), "itemNotFound (request-id in-body)").await;
    check(404, Some("a\tb"), body(escape), "itemNotFound").await;
    check(404, None, body(&long), "itemNotFound").await;
    // A new token has another request; here there is none, and the refusal stands.
    check(401, Some("in-header"), HTML.to_owned(), "HTTP 401 (request-id in-header)").await;
    check(503, Some("in-header"), HTML.to_owned(), "HTTP 503 (request-id in-header)").await;
    // A 200 that is of no use.
    let not_json = "the answer is HTML, not JSON: something between here and Graph answered in its place (request-id in-header)";
    check(200, Some("in-header"), HTML.to_owned(), not_json).await;
}

#[tokio::test]
async fn a_page_holds_of_the_budget_what_is_kept_of_it_and_no_more() {
    let server = Server::start(|seen, n| {
        let items: Vec<_> = match n {
            0 => vec![json!({"id": "1", "name": "x".repeat(2_000_000)})],
            1 => (1..=1_000).map(|id| json!({"id": id.to_string()})).collect(),
            _ => Vec::new(),
        };
        let link = format!("http://{}/v1.0/d?{n}", seen.header("host"));
        Reply::ok(json!({"value": items, "@odata.deltaLink": link}).to_string())
    })
    .await;
    let (graph, drive, walks) = (server.client(), drive_id().await, Walks::new());
    let mut shares = Vec::new();
    for held in [2_000_000..2_001_000, 512_000..540_000, 0..1] {
        let before = walks.bytes();
        let mut share = walks.share().await;
        graph.page(&drive, &PageFrom::Root, &mut share).await.unwrap();
        assert!(held.contains(&(walks.bytes() - before)), "{} of {held:?}", walks.bytes() - before);
        shares.push(share);
    }
    drop(shares);
    assert_eq!(walks.bytes(), 0);
}

fn endless() -> Body {
    let chunk = vec![b' '; 64 * 1024];
    Body::from_stream(stream::repeat_with(move || Ok::<_, std::io::Error>(chunk.clone())))
}

fn gzip(plain: &[u8]) -> Vec<u8> {
    let mut writer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    writer.write_all(plain).unwrap();
    writer.finish().unwrap()
}

#[tokio::test]
async fn a_compressed_answer_is_read() {
    let body = gzip(br#"{"id":"b!d","driveType":"business"}"#);
    let server = Server::start(move |_, _| Reply::new(200, &[("content-encoding", "gzip")], body.clone())).await;
    assert_eq!(server.client().drive(&Resource::Me).await.unwrap().id.as_str(), "b!d");
    assert_eq!(server.seen()[0].header("accept-encoding"), "gzip");
}

#[tokio::test]
async fn a_loopback_notification_url_needs_a_loopback_base_url() {
    let server = Server::start(|_, _| Reply::ok(r#"{"notificationUrl":"http://127.0.0.1:9/notifications?token=t"}"#)).await;
    let endpoint = server.client().endpoint(&Resource::Me).await.unwrap();
    assert_eq!(endpoint.subscription.notification_url.port(), Some(9));
    assert_eq!(endpoint.lifetime, None);
}

#[tokio::test]
async fn a_stall_ends_at_the_request_timeout_and_the_next_request_takes_a_new_connection() {
    let drive = r#"{"id":"b!d","driveType":"business"}"#;
    let server = Server::start(move |_, n| match n {
        0 => Reply::ok(drive),
        1 => Reply::ok(drive).after(Duration::from_secs(60)),
        2 => Reply::ok(Body::from_stream(stream::pending::<Result<Vec<u8>, std::io::Error>>())),
        _ => Reply::ok(drive),
    })
    .await;
    let graph = client(GraphConfig { request_timeout: Duration::from_millis(300), ..server.config() });
    graph.drive(&Resource::Me).await.unwrap();
    assert_eq!(graph.drive(&Resource::Me).await, Err(retry("timeout")), "no headers");
    assert_eq!(graph.drive(&Resource::Me).await, Err(retry("timeout")), "headers and no body");
    graph.drive(&Resource::Me).await.unwrap();
    let seen = server.seen();
    let peers: Vec<_> = seen.iter().map(|seen| seen.peer).collect();
    assert_eq!(peers[0], peers[1]);
    assert!(peers[1] != peers[2] && peers[2] != peers[3]);
}

#[tokio::test]
async fn a_503_is_retried_over_a_new_connection_and_other_errors_over_the_same() {
    let server = Server::start(|_, n| match n {
        1 => Reply::error(429, &[], "activityLimitReached", None),
        2 => Reply::error(503, &[], "serviceNotAvailable", None),
        _ => Reply::ok(r#"{"id":"b!d","driveType":"business"}"#),
    })
    .await;
    let graph = server.client();
    for _ in 0..5 {
        let _ = graph.drive(&Resource::Me).await;
    }
    let peers: Vec<_> = server.seen().iter().map(|seen| seen.peer).collect();
    assert_eq!((peers[0], peers[0]), (peers[1], peers[2]));
    assert_ne!(peers[2], peers[3]);
    assert_eq!(peers[3], peers[4]);
}

#[tokio::test]
async fn nobody_there_is_a_retry_that_says_so() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let base_url = format!("http://{}/v1.0", listener.local_addr().unwrap()).parse().unwrap();
    drop(listener);
    let failure = client(GraphConfig { base_url, ..GraphConfig::default() }).drive(&Resource::Me).await.unwrap_err();
    assert_eq!(failure.remedy, Remedy::Retry { after: None });
    assert!(failure.code.starts_with("connect: ") && failure.code.contains("refused"), "{failure}");
}

/// Gives its tokens one after the other, the last one for ever, and keeps what was refused.
#[derive(Debug, Default)]
struct Script {
    tokens: Vec<&'static str>,
    asked: AtomicUsize,
    refused: Mutex<Vec<Option<String>>>,
}

#[async_trait::async_trait]
impl TokenSource for Script {
    async fn token(&self, refused: Option<&AccessToken>) -> Result<AccessToken, TokenError> {
        self.refused.lock().unwrap().push(refused.map(|token| token.expose().to_owned()));
        let n = self.asked.fetch_add(1, Ordering::Relaxed);
        match self.tokens.get(n).or(self.tokens.last()) {
            Some(token) => AccessToken::new(token),
            None => Err(TokenError::NotSet("DRIVETAP_TOKEN".to_owned())),
        }
    }
}

#[tokio::test]
async fn a_401_asks_the_source_once_more_and_then_says_that_sign_in_is_needed() {
    let check = async |tokens: &[&'static str], sent: &[&str], want: Result<(), Failure>| {
        let server = Server::start(|seen, _| match seen.header("authorization") {
            "Bearer good" => Reply::ok(r#"{"id":"b!d","driveType":"business"}"#),
            "Bearer claims" => Reply::error(401, &[("www-authenticate", r#"Bearer error="insufficient_claims""#)], "x", None),
            _ => Reply::error(401, &[], "InvalidAuthenticationToken", None),
        })
        .await;
        install_ring();
        let source = Arc::new(Script { tokens: tokens.to_vec(), ..Script::default() });
        let graph = GraphClient::new(server.config(), source.clone()).unwrap();
        assert_eq!(graph.drive(&Resource::Me).await.map(|_| ()), want, "{tokens:?}");
        let seen = server.seen();
        let got: Vec<_> = seen.iter().map(|seen| seen.header("authorization").trim_start_matches("Bearer ")).collect();
        assert_eq!(got, sent);
        source
    };
    check(&["good"], &["good"], Ok(())).await;
    let source = check(&["old", "good"], &["old", "good"], Ok(())).await;
    assert_eq!(*source.refused.lock().unwrap(), [None, Some("old".to_owned())]);
    check(&["old"], &["old"], Err(sign_in("InvalidAuthenticationToken"))).await;
    check(&["old", "older", "good"], &["old", "older"], Err(sign_in("InvalidAuthenticationToken"))).await;
    check(&["claims"], &["claims"], Err(sign_in("insufficient_claims"))).await;
    check(&[], &[], Err(sign_in("the environment variable DRIVETAP_TOKEN is not set"))).await;
    check(&[""], &[], Err(sign_in("the access token is empty"))).await;
}

#[tokio::test]
async fn an_applications_token_is_never_sent() {
    // {"alg":"none"} . {"roles":["Files.Read.All"]}
    let token = "eyJhbGciOiJub25lIn0.eyJyb2xlcyI6WyJGaWxlcy5SZWFkLkFsbCJdfQ.c2ln";
    let server = Server::start(|_, _| Reply::ok("{}")).await;
    install_ring();
    let source = Script { tokens: vec![token], ..Script::default() };
    let graph = GraphClient::new(server.config(), Arc::new(source)).unwrap();
    let failure = graph.endpoint(&Resource::Me).await.unwrap_err();
    assert_eq!(failure.remedy, Remedy::SignIn);
    assert!(failure.code.starts_with("Application: Not supported"), "{failure}");
    assert!(matches!(graph.token().await, Err(TokenError::ApplicationOnly)));
    assert!(server.seen().is_empty());
}

#[test]
fn a_setting_that_cannot_work_is_named() {
    install_ring();
    let check = |config: GraphConfig, want: &str| {
        let source = Arc::new(AccessToken::new(TOKEN).unwrap());
        let error = GraphClient::new(config, source).map(|_| ()).unwrap_err();
        assert!(error.to_string().starts_with(want), "{error}");
    };
    let base = GraphConfig::default;
    check(GraphConfig { user_agent: "a\nb".to_owned(), ..base() }, "user_agent");
    check(GraphConfig { notification_hosts: vec![], ..base() }, "notification host");
    check(GraphConfig { notification_hosts: vec!["*".to_owned()], ..base() }, "notification host");
    check(GraphConfig { ca_pem: Some(b"no PEM".to_vec()), ..base() }, "ca_file: no `BEGIN CERTIFICATE`");
    check(
        GraphConfig { ca_pem: Some(b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n".to_vec()), ..base() },
        "ca_file: ",
    );
    assert!(ConfigError::NoCryptoProvider.to_string().contains("install_default"));
}
