use std::io;
use std::sync::Arc;

use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use rustls_platform_verifier::Verifier;
use tokio_rustls::TlsConnector;

use super::wire::Stream;
use crate::words::{self, retry};
use crate::{OpenError, native::NativeError};

/// TLS as the platform trusts it, and the extra certificates besides. What is wrong with the platform's is said where TLS is needed.
pub(super) struct Tls(Result<TlsConnector, String>);

impl Tls {
    pub(super) fn new(provider: &CryptoProvider, ca_pem: Option<&[u8]>) -> Result<Self, NativeError> {
        let (provider, extra) = (Arc::new(provider.clone()), ca_pem.map(certificates).transpose()?.unwrap_or_default());
        let builder = ClientConfig::builder_with_provider(provider.clone())
            .with_safe_default_protocol_versions()
            .map_err(|error| NativeError::Tls(error.to_string()))?;
        let verifier = match Verifier::new_with_extra_roots(extra, provider) {
            Ok(verifier) => Arc::new(verifier),
            Err(error) => return Ok(Self(Err(format!("the platform's root certificates cannot be used: {error}")))),
        };
        let mut config = builder.dangerous().with_custom_certificate_verifier(verifier).with_no_client_auth();
        // An upgrade is HTTP/1.1's; a server that prefers HTTP/2 would not know what to do with it.
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Self(Ok(TlsConnector::from(Arc::new(config)))))
    }

    /// `name` is the host's, without the brackets around an IPv6 address.
    pub(super) async fn wrap(&self, name: &str, stream: Box<dyn Stream>) -> Result<Box<dyn Stream>, OpenError> {
        let connector = self.0.as_ref().map_err(|reason| OpenError::Unusable(reason.clone()))?;
        let name = ServerName::try_from(name.to_owned())
            .map_err(|_| OpenError::Unusable("the host's name is not one that a certificate can have".into()))?;
        let stream = connector.connect(name, stream).await.map_err(|error| retry(failure(&error)))?;
        Ok(Box::new(stream))
    }
}

fn certificates(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, NativeError> {
    let certificates: Vec<_> =
        CertificateDer::pem_slice_iter(pem).collect::<Result<_, _>>().map_err(|error| NativeError::Ca(error.to_string()))?;
    if certificates.is_empty() {
        return Err(NativeError::Ca("no `BEGIN CERTIFICATE` section in it".to_owned()));
    }
    let mut check = RootCertStore::empty();
    for certificate in &certificates {
        check.add(certificate.clone()).map_err(|error| NativeError::Ca(error.to_string()))?;
    }
    Ok(certificates)
}

fn failure(error: &io::Error) -> &'static str {
    match error.get_ref().and_then(|error| error.downcast_ref()) {
        Some(rustls::Error::InvalidCertificate(_)) => "the server's certificate is not trusted",
        Some(_) => "the TLS handshake failed",
        None => words::socket(error),
    }
}
