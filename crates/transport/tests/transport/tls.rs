//! TLS against a server whose certificate comes from a CA of our own.

use std::sync::Arc;

use drivetap_transport::{
    Limits, Native, NativeConfig, NativeError, OpenError, RustSocketIo, RustSocketIoConfig, RustSocketIoError, Transport,
};
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use rustls::ServerConfig;
use rustls::crypto::ring::default_provider;
use rustls::pki_types::PrivateKeyDer;
use tokio_rustls::TlsAcceptor;

use crate::native::install_ring;
use crate::server::Server;

#[tokio::test]
async fn a_certificate_from_the_given_ca_is_trusted() {
    let ca = Ca::new("ours");
    let server = Server::with_tls(ca.acceptor("localhost")).await;
    // A file may hold several certificates, in any order.
    for transport in trusting(&format!("{}\n{}", Ca::new("another").pem, ca.pem)) {
        let (url, limits) = (server.url(), Limits::default());
        let (opened, mut socket) = tokio::join!(transport.open(&url, &limits), server.join());
        let session = opened.unwrap();
        socket.ping().await;
        drop(session);
        socket.closed().await;
    }
}

#[tokio::test]
async fn another_ca_or_another_name_is_not_trusted() {
    let ca = Ca::new("ours");
    let cases = [
        ("no CA of ours", any(None), "localhost"),
        ("another CA", trusting(&Ca::new("another").pem), "localhost"),
        ("another name", trusting(&ca.pem), "elsewhere.example"),
    ];
    for (case, transports, name) in cases {
        let server = Server::with_tls(ca.acceptor(name)).await;
        let (url, limits) = (server.url(), Limits::default());
        for transport in transports {
            let (opened, ()) = tokio::join!(transport.open(&url, &limits), server.fail_tls());
            let error = opened.map(drop).unwrap_err();
            assert_eq!(error, OpenError::Retry { reason: "the server's certificate is not trusted".into() }, "{case}");
        }
    }
}

#[tokio::test]
async fn a_server_without_tls_is_said_to_be_one() {
    let ca = Ca::new("ours");
    let server = Server::with_tls(ca.acceptor("localhost")).await;
    let (url, limits) = (server.url(), Limits::default());
    for transport in trusting(&ca.pem) {
        let (opened, ()) = tokio::join!(transport.open(&url, &limits), server.answer_in_plain());
        assert_eq!(opened.map(drop).unwrap_err(), OpenError::Retry { reason: "the TLS handshake failed".into() });
    }
}

#[test]
fn a_ca_file_without_certificates_is_refused() {
    install_ring();
    for pem in ["", "nonsense", "-----BEGIN CERTIFICATE-----\nnonsense\n-----END CERTIFICATE-----\n"] {
        let config = RustSocketIoConfig { ca_pem: Some(pem.into()), ..RustSocketIoConfig::default() };
        assert!(matches!(RustSocketIo::new(&config), Err(RustSocketIoError::Ca)), "{pem:?}");
        let config = NativeConfig { ca_pem: Some(pem.into()), ..NativeConfig::default() };
        assert!(matches!(Native::new(&config), Err(NativeError::Ca(_))), "{pem:?}");
    }
}

/// Every transport, with the system's certificates and this one.
fn trusting(pem: &str) -> [Box<dyn Transport>; 2] {
    any(Some(pem.into()))
}

fn any(ca_pem: Option<Vec<u8>>) -> [Box<dyn Transport>; 2] {
    install_ring();
    let native = NativeConfig { ca_pem: ca_pem.clone(), ..NativeConfig::default() };
    let rust_socketio = RustSocketIoConfig { ca_pem, ..RustSocketIoConfig::default() };
    [Box::new(Native::new(&native).unwrap()), Box::new(RustSocketIo::new(&rust_socketio).unwrap())]
}

pub(crate) struct Ca {
    issuer: Issuer<'static, KeyPair>,
    pub(crate) pem: String,
}

impl Ca {
    pub(crate) fn new(name: &str) -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let pem = params.self_signed(&key).unwrap().pem();
        Self { issuer: Issuer::new(params, key), pem }
    }

    pub(crate) fn acceptor(&self, name: &str) -> TlsAcceptor {
        let key = KeyPair::generate().unwrap();
        let certificate = CertificateParams::new([name.to_owned()]).unwrap().signed_by(&key, &self.issuer).unwrap();
        let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
        let config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der().clone()], key)
            .unwrap();
        TlsAcceptor::from(Arc::new(config))
    }
}
