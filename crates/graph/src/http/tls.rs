use std::sync::Arc;

use rustls::crypto::CryptoProvider;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};
use rustls_platform_verifier::Verifier;

use super::config::ConfigError;

/// TLS as the platform trusts it, and the extra certificates besides.
///
/// The platform's verifier and not a list of roots read once: on macOS and Windows it knows enterprise roots, distrust and revocation;
/// on Linux it is webpki over the system's bundle. It takes extra roots everywhere, and reqwest brings it in any case.
///
/// The provider is the process's: a library that picked one could pick a second one.
pub(crate) fn client_config(https: bool, ca_pem: Option<&[u8]>) -> Result<ClientConfig, ConfigError> {
    let provider = CryptoProvider::get_default().ok_or(ConfigError::NoCryptoProvider)?;
    let builder = ClientConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()
        .map_err(|e| ConfigError::Client(e.to_string()))?;
    let extra = ca_pem.map(certificates).transpose()?.unwrap_or_default();
    let mut config = if https {
        let verifier = Verifier::new_with_extra_roots(extra, provider.clone()).map_err(|e| ConfigError::Roots(e.to_string()))?;
        builder.dangerous().with_custom_certificate_verifier(Arc::new(verifier)).with_no_client_auth()
    } else {
        // Never used, and a machine without any root certificate can still talk to an emulator.
        builder.with_root_certificates(RootCertStore::empty()).with_no_client_auth()
    };
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(config)
}

fn certificates(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, ConfigError> {
    let certificates: Vec<_> =
        CertificateDer::pem_slice_iter(pem).collect::<Result<_, _>>().map_err(|e| ConfigError::Ca(e.to_string()))?;
    if certificates.is_empty() {
        return Err(ConfigError::Ca("no `BEGIN CERTIFICATE` section in it".to_owned()));
    }
    let mut check = RootCertStore::empty();
    for certificate in &certificates {
        check.add(certificate.clone()).map_err(|e| ConfigError::Ca(e.to_string()))?;
    }
    Ok(certificates)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_a_provider_there_is_an_error_and_no_panic() {
        // No unit test of this crate installs one.
        let made = client_config(true, None);
        assert!(matches!(made, Err(ConfigError::NoCryptoProvider)), "{made:?}");
    }
}
