//! TLS with a private CA, and proxies.

use std::sync::{Arc, Mutex};

use crate::support::{Reply, Server, client, install_ring};
use axum::http::Version;
use drivetap_core::{Remedy, Resource};
use drivetap_graph::login::{Application, IdentityPlatform, LoginNetwork, Scope};
use drivetap_graph::{Graph, GraphConfig, ProxySettings};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;

const DRIVE: &str = r#"{"id":"b!d","driveType":"business"}"#;

/// A CA in PEM, and a server's half with a certificate of it for `name`.
pub(crate) fn ca_and_server(name: &str) -> (Vec<u8>, ServerConfig) {
    install_ring();
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let ca = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
    let key = KeyPair::generate().unwrap();
    let certificate = CertificateParams::new(vec![name.to_owned()]).unwrap().signed_by(&key, &ca).unwrap();
    let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
    let mut server =
        ServerConfig::builder().with_no_client_auth().with_single_cert(vec![certificate.der().clone()], key).unwrap();
    server.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    (ca.pem().into_bytes(), server)
}

#[tokio::test]
async fn a_private_ca_is_trusted_through_ca_pem_and_no_other_way() {
    let (ca, tls) = ca_and_server("localhost");
    let (stranger, _) = ca_and_server("localhost");
    let server = Server::start_tls(tls, |_, _| Reply::ok(DRIVE)).await;
    let base_url: drivetap_graph::BaseUrl = format!("https://localhost:{}/v1.0", server.addr.port()).parse().unwrap();
    let with =
        |pem: &[u8]| client(GraphConfig { base_url: base_url.clone(), ca_pem: Some(pem.to_vec()), ..GraphConfig::default() });

    assert_eq!(with(&ca).drive(&Resource::Me).await.unwrap().id.as_str(), "b!d");
    let both = [stranger.as_slice(), ca.as_slice()].concat();
    assert_eq!(with(&both).drive(&Resource::Me).await.unwrap().id.as_str(), "b!d");

    let failure = with(&stranger).drive(&Resource::Me).await.unwrap_err();
    assert_eq!(failure.remedy, Remedy::Retry { after: None });
    assert!(failure.code.starts_with("connect: invalid peer certificate"), "{failure}");
    assert_eq!(server.seen().len(), 2, "no token went to the one that is not trusted");
    assert_eq!(server.seen()[0].version, Version::HTTP_2);
}

#[tokio::test]
async fn over_http_2_too_a_503_is_retried_over_a_new_connection() {
    let (ca, tls) = ca_and_server("localhost");
    let server =
        Server::start_tls(
            tls,
            |_, n| if n == 1 { Reply::error(503, &[], "serviceNotAvailable", None) } else { Reply::ok(DRIVE) },
        );
    let server = server.await;
    let base_url = format!("https://localhost:{}/v1.0", server.addr.port()).parse().unwrap();
    let graph = client(GraphConfig { base_url, ca_pem: Some(ca), ..GraphConfig::default() });
    for _ in 0..4 {
        let _ = graph.drive(&Resource::Me).await;
    }
    let seen = server.seen();
    assert!(seen.iter().all(|seen| seen.version == Version::HTTP_2));
    assert_eq!(seen[0].peer, seen[1].peer);
    assert_ne!(seen[1].peer, seen[2].peer);
    assert_eq!(seen[2].peer, seen[3].peer);
}

#[tokio::test]
async fn a_certificate_for_another_name_is_refused() {
    let (ca, tls) = ca_and_server("elsewhere.example");
    let server = Server::start_tls(tls, |_, _| Reply::ok(DRIVE)).await;
    let base_url = format!("https://localhost:{}/v1.0", server.addr.port()).parse().unwrap();
    let failure =
        client(GraphConfig { base_url, ca_pem: Some(ca), ..GraphConfig::default() }).drive(&Resource::Me).await.unwrap_err();
    assert!(failure.code.starts_with("connect: invalid peer certificate"), "{failure}");
    assert!(server.seen().is_empty());
}

/// An HTTP proxy that takes CONNECT to anywhere to one place, and keeps what was said before the tunnel.
struct Proxy {
    url: String,
    heads: Arc<Mutex<Vec<String>>>,
    task: JoinHandle<()>,
}

impl Proxy {
    async fn start(to: std::net::SocketAddr, answer: &'static str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://alice:hunter2@{}", listener.local_addr().unwrap());
        let heads = Arc::new(Mutex::new(Vec::new()));
        let record = heads.clone();
        let task = tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let mut stream = BufReader::new(stream);
                let mut head = String::new();
                while !head.ends_with("\r\n\r\n") && stream.read_line(&mut head).await.unwrap() > 0 {}
                record.lock().unwrap().push(head);
                stream.write_all(answer.as_bytes()).await.unwrap();
                if answer.contains(" 200 ") {
                    let mut upstream = TcpStream::connect(to).await.unwrap();
                    // The client closes the tunnel when it likes.
                    let _ = copy_bidirectional(&mut stream, &mut upstream).await;
                }
            }
        });
        Self { url, heads, task }
    }

    fn heads(&self) -> Vec<String> {
        self.heads.lock().unwrap().clone()
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

#[tokio::test]
async fn a_proxy_is_asked_to_connect_and_sees_no_request() {
    // A name that only the proxy can reach.
    let (ca, tls) = ca_and_server("graph.test");
    let server = Server::start_tls(tls, |_, _| Reply::ok(DRIVE)).await;
    let proxy = Proxy::start(server.addr, "HTTP/1.1 200 Connected\r\n\r\n").await;
    let with = |proxy: ProxySettings| {
        let base_url = "https://graph.test/v1.0".parse().unwrap();
        client(GraphConfig { base_url, proxy, ca_pem: Some(ca.clone()), ..GraphConfig::default() })
    };
    let url = proxy.url.clone();
    let env = |name: &str| (name == "HTTPS_PROXY").then(|| url.clone());

    with(ProxySettings::new(Some(&proxy.url), |_| None).unwrap()).drive(&Resource::Me).await.unwrap();
    with(ProxySettings::new(None, env).unwrap()).drive(&Resource::Me).await.unwrap();
    for head in proxy.heads() {
        assert!(head.starts_with("CONNECT graph.test:443 HTTP/1.1\r\n"), "{head}");
        assert!(head.to_ascii_lowercase().contains("\r\nproxy-authorization: basic ywxpy2u6ahvudgvymg=="), "{head}");
        assert!(!head.contains("Bearer"), "{head}");
    }
    assert_eq!((proxy.heads().len(), server.seen().len()), (2, 2));

    let direct = |name: &str| if name == "NO_PROXY" { Some(".example,graph.test".to_owned()) } else { env(name) };
    let failure = with(ProxySettings::new(None, direct).unwrap()).drive(&Resource::Me).await.unwrap_err();
    assert!(failure.code.starts_with("connect"), "{failure}");
    assert_eq!(proxy.heads().len(), 2, "a host in NO_PROXY is reached directly");
}

#[tokio::test]
async fn a_proxy_that_refuses_or_is_away_is_a_network_fault_and_is_named() {
    async fn check(proxy: &str, says: &str) {
        let (ca, _) = ca_and_server("graph.test");
        let settings = ProxySettings::new(Some(proxy), |_| None).unwrap();
        let base_url = "https://graph.test/v1.0".parse().unwrap();
        let graph = client(GraphConfig { base_url, proxy: settings, ca_pem: Some(ca), ..GraphConfig::default() });
        let failure = graph.drive(&Resource::Me).await.unwrap_err();
        assert_eq!(failure.remedy, Remedy::Retry { after: None });
        assert!(failure.code.starts_with(says), "{failure}");
    }
    let nowhere = "127.0.0.1:9".parse().unwrap();
    let proxy = Proxy::start(nowhere, "HTTP/1.1 407 Proxy Authentication Required\r\n\r\n").await;
    check(&proxy.url, "connect: the proxy: proxy authorization required").await;
    let proxy = Proxy::start(nowhere, "HTTP/1.1 403 Forbidden\r\n\r\n").await;
    check(&proxy.url, "connect: the proxy: it refuses to connect there").await;
    let gone = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    check(&format!("http://{gone}"), "connect: the proxy: Connection refused").await;
}

#[tokio::test]
async fn a_sign_in_goes_through_the_proxy_too_and_shows_it_no_code() {
    let (ca, tls) = ca_and_server("login.test");
    let server = Server::start_tls(tls, |seen, _| match seen.line.rsplit('/').next() {
        Some("devicecode") => Reply::ok(
            r#"{"user_code":"7556B17CA","device_code":"GAQ-secret","verification_uri":"https://login.test/devicelogin","expires_in":900,"interval":1}"#,
        ),
        _ => Reply::ok(r#"{"token_type":"Bearer","expires_in":3600,"access_token":"EwB4-signed-in","refresh_token":"M.C5-next"}"#),
    })
    .await;
    let proxy = Proxy::start(server.addr, "HTTP/1.1 200 Connected\r\n\r\n").await;
    let application = Application {
        login_url: "https://login.test".parse().unwrap(),
        tenant: "common".parse().unwrap(),
        client_id: "an-app".parse().unwrap(),
        scopes: Scope::defaults(),
    };
    let settings = ProxySettings::new(Some(&proxy.url), |_| None).unwrap();
    let network = LoginNetwork { proxy: settings, ca_pem: Some(ca), ..LoginNetwork::default() };
    let platform = IdentityPlatform::new(application.clone(), &network).unwrap();
    let device = platform.device().await.unwrap();
    platform.wait(&device).await.unwrap();
    let asked: Vec<String> = server.seen().into_iter().map(|seen| seen.line).collect();
    assert_eq!(asked, ["POST /common/oauth2/v2.0/devicecode", "POST /common/oauth2/v2.0/token"]);
    let heads = proxy.heads();
    assert!(!heads.is_empty(), "nothing went through the proxy");
    for head in heads {
        assert!(head.starts_with("CONNECT login.test:443 HTTP/1.1\r\n"), "{head}");
        assert!(!head.contains("GAQ-secret") && !head.contains("devicecode"), "{head}");
    }

    let proxy = Proxy::start(server.addr, "HTTP/1.1 403 Forbidden\r\n\r\n").await;
    let network = LoginNetwork { proxy: ProxySettings::new(Some(&proxy.url), |_| None).unwrap(), ..network };
    let refused = IdentityPlatform::new(application, &network).unwrap().device().await.unwrap_err();
    assert_eq!(refused.to_string(), "the identity platform cannot be reached: connect: the proxy: it refuses to connect there");
}

#[tokio::test]
async fn a_loopback_base_url_has_no_proxy() {
    let server = Server::start(|_, _| Reply::ok(DRIVE)).await;
    let proxy = Proxy::start(server.addr, "HTTP/1.1 200 Connected\r\n\r\n").await;
    let settings = ProxySettings::new(Some(&proxy.url), |_| None).unwrap();
    client(GraphConfig { proxy: settings, ..server.config() }).drive(&Resource::Me).await.unwrap();
    assert!(proxy.heads().is_empty());
}
