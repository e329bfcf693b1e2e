//! An authority of a test's own, and certificates that are good, or bad in one way.

use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, date_time_ymd};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};

/// Signs certificates for one test.
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
}

/// Whom a good certificate is for. The names under `drivetap.test` are known to no resolver but a test's own.
const NAMES: [&str; 5] = ["localhost", "127.0.0.1", "graph.drivetap.test", "kafka.drivetap.test", "redis.drivetap.test"];

/// A certificate and its key.
pub struct Identity(Arc<ServerConfig>);

impl Authority {
    /// A new one, which nobody trusts yet.
    pub fn new() -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        // An authority whose name is its server's would look, to OpenSSL, like a server that signed itself.
        params.distinguished_name.push(DnType::CommonName, "drivetap test authority");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let pem = params.self_signed(&key).unwrap().pem();
        Self { issuer: Issuer::new(params, key), pem }
    }

    /// Its own certificate, for a client's `ca_file`.
    pub fn pem(&self) -> &str {
        &self.pem
    }

    /// One for `localhost`, 127.0.0.1 and the names under `drivetap.test`.
    pub fn good(&self) -> Identity {
        self.identity(&NAMES, |_| {})
    }

    /// One that was good until 2020.
    pub fn expired(&self) -> Identity {
        self.identity(&NAMES, |params| {
            params.not_before = date_time_ymd(2019, 1, 1);
            params.not_after = date_time_ymd(2020, 1, 1);
        })
    }

    /// A good one, of somebody else.
    pub fn wrong_host(&self) -> Identity {
        self.identity(&["elsewhere.example"], |_| {})
    }

    fn identity(&self, names: &[&str], change: impl FnOnce(&mut CertificateParams)) -> Identity {
        let names: Vec<_> = names.iter().map(ToString::to_string).collect();
        let mut params = CertificateParams::new(names).unwrap();
        change(&mut params);
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        let chain = vec![CertificateDer::from(certificate)];
        let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
        let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()));
        let config = config.with_safe_default_protocol_versions().unwrap().with_no_client_auth();
        Identity(Arc::new(config.with_single_cert(chain, key).unwrap()))
    }
}

impl Default for Authority {
    fn default() -> Self {
        Self::new()
    }
}

impl Identity {
    pub(crate) fn acceptor(&self) -> TlsAcceptor {
        TlsAcceptor::from(Arc::clone(&self.0))
    }
}
