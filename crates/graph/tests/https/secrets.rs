//! Nothing secret in a log, whatever the filter: the whole process at TRACE, dependencies included.

use std::io;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::network::ca_and_server;
use crate::support::{Reply, Server, TOKEN, client, install_ring};
use axum::http::Version;
use drivetap_core::{Link, PageFrom, Resource};
use drivetap_graph::{CommandToken, Graph, GraphClient, GraphConfig, ProxySettings, Share};
use tracing_subscriber::fmt::MakeWriter;

#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl io::Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl MakeWriter<'_> for Lines {
    type Writer = Self;

    fn make_writer(&self) -> Self {
        self.clone()
    }
}

#[tokio::test]
async fn no_log_line_error_or_debug_print_holds_a_token_a_url_or_a_body() {
    let lines = Lines::default();
    tracing_log::LogTracer::init().unwrap();
    let everything = tracing_subscriber::fmt().with_max_level(tracing::Level::TRACE).with_writer(lines.clone()).finish();
    tracing::subscriber::set_global_default(everything).unwrap();

    const URL: &str = r#"{"id":"s","notificationUrl":"https://a.svc.ms/notifications?token=url-secret"}"#;
    let server = Server::start(|seen, n| {
        let bearer = seen.header("authorization").to_owned();
        match n {
            0 => Reply::ok(URL),
            1 => Reply::ok(r#"{"notificationUrl":"https://evil.example/x?token=url-secret"}"#),
            2 => Reply::new(
                403,
                &[("request-id", "graphs-own-id")],
                format!(r#"{{"error":{{"code":"accessDenied","message":"{bearer} body-secret"}}}}"#),
            ),
            3 => Reply::error(401, &[], "InvalidAuthenticationToken", None),
            4 => Reply::new(410, &[("location", "/v1.0/x?token=delta-secret")], bearer),
            5 => Reply::ok(r#"{"value":[{"body-secret":1}],"@odata.deltaLink":"https://evil.example/v1.0?token=delta-secret"}"#),
            6 => Reply::new(302, &[("location", "https://evil.example/?token=delta-secret")], ""),
            7 => Reply::ok(format!(r#"{{"id":"{bearer}","driveType":7}}"#)),
            8 => Reply::ok(r#"{"id":"b!d","driveType":"business"}"#),
            9 => Reply::ok("").after(Duration::from_secs(60)),
            _ => Reply::error(503, &[], "serviceNotAvailable", None),
        }
    })
    .await;
    let graph = client(GraphConfig { request_timeout: Duration::from_millis(300), ..server.config() });
    let mut printed = format!("{graph:?}");
    let mut note = |outcome: String| printed.push_str(&outcome);
    for _ in 0..4 {
        note(format!("{:?}", graph.endpoint(&Resource::Me).await.map_err(|failure| failure.to_string())));
    }
    let drive = {
        let other = Server::start(|_, _| Reply::ok(r#"{"id":"b!d","driveType":"business"}"#)).await;
        other.client().drive(&Resource::Me).await.unwrap().id
    };
    note(graph.page(&drive, &PageFrom::Latest, &mut Share::alone()).await.unwrap_err().to_string());
    note(graph.page(&drive, &PageFrom::Root, &mut Share::alone()).await.unwrap_err().to_string());
    for _ in 6..11 {
        note(format!("{:?}", graph.drive(&Resource::Me).await));
    }
    // The link is in the request line this time.
    let link = Link::new("/v1.0/x?token=delta-secret").unwrap();
    note(graph.page(&drive, &PageFrom::Link(link), &mut Share::alone()).await.unwrap_err().to_string());
    assert_eq!(server.seen().len(), 12);
    assert!(server.seen()[11].line.contains("delta-secret"));

    // HTTP/2 has its own code for headers.
    let (ca, tls) = ca_and_server("localhost");
    let h2 = Server::start_tls(tls, |_, _| Reply::new(403, &[], "body-secret")).await;
    let base_url = format!("https://localhost:{}/v1.0", h2.addr.port()).parse().unwrap();
    let over_h2 = client(GraphConfig { base_url, ca_pem: Some(ca), ..GraphConfig::default() });
    let link = Link::new("/v1.0/x?token=delta-secret").unwrap();
    note(over_h2.page(&drive, &PageFrom::Link(link), &mut Share::alone()).await.unwrap_err().to_string());
    assert_eq!(h2.seen()[0].version, Version::HTTP_2);

    // A proxy with a password that nobody listens behind, and a command that prints a secret and fails.
    install_ring();
    let proxy = ProxySettings::new(Some("http://alice:proxy-secret@127.0.0.1:9"), |_| None).unwrap();
    let proxied = client(GraphConfig { proxy, ..GraphConfig::default() });
    note(format!("{proxied:?} {:?}", proxied.drive(&Resource::Me).await));
    let command = CommandToken::new("sh", ["-c", "echo command-secret; exit 1"]);
    let failing = GraphClient::new(server.config(), Arc::new(command)).unwrap();
    note(format!("{failing:?} {:?}", failing.drive(&Resource::Me).await));

    let log = String::from_utf8(lines.0.lock().unwrap().clone()).unwrap();
    for target in ["drivetap_graph", "h2", "hyper", "reqwest", "rustls"] {
        assert!(log.contains(target), "the log of {target} is watched");
    }
    assert!(printed.contains("accessDenied (request-id graphs-own-id)"), "what support asks for is in the error: {printed}");
    let both = |line: &str| line.contains("client_request_id") && line.contains("graphs-own-id");
    assert!(log.lines().any(both), "and with the client's own id in the log");
    let proxy_basic = "YWxpY2U6cHJveHktc2VjcmV0";
    for secret in [TOKEN, "url-secret", "delta-secret", "body-secret", "proxy-secret", proxy_basic, "command-secret"] {
        for (name, text) in [("log", &log), ("print", &printed)] {
            let line = text.lines().find(|line| line.contains(secret));
            assert_eq!(line, None, "{secret} in the {name}");
        }
    }
}
