use std::fmt;
use std::str::from_utf8;

use pkcs8::{EncryptedPrivateKeyInfoRef, SecretDocument};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::sign::CertifiedKey;
use secrecy::{ExposeSecret as _, SecretString};

/// Who the sink is, for a server that asks (`tls-auth-clients`): a certificate with what stands between it and its authority, and its key.
///
/// It was looked at whole: the key can be read, TLS knows its kind, and it is the certificate's. `Debug` prints neither.
#[derive(Clone)]
pub struct ClientCertificate {
    chain_pem: Vec<u8>,
    // In PEM and in the clear: what redis-rs takes.
    key_pem: SecretString,
}

/// What is wrong with a client's certificate, its key or the key's password. It holds no part of any of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CertificateError {
    /// Of the certificate.
    #[error("holds no certificate in PEM (-----BEGIN CERTIFICATE-----)")]
    NoCertificate,
    /// Of the key.
    #[error("holds no private key in PEM (-----BEGIN PRIVATE KEY-----)")]
    NoKey,
    /// Of the key: OpenSSL's own encryption from before PKCS #8, whose password is hashed once with MD5.
    #[error(
        "is encrypted in a way that is not read (Proc-Type: 4,ENCRYPTED); make it PKCS #8: openssl pkcs8 -topk8 -in OLD -out NEW"
    )]
    OldEncryption,
    /// Of the key.
    #[error("is encrypted, and there is no password for it")]
    NoPassword,
    /// Of the password, mostly: a damaged key looks the same.
    #[error("does not open the key: another password, or the key is damaged")]
    WrongPassword,
    /// Of the key.
    #[error("holds a key that TLS cannot use, or that is damaged")]
    UnusableKey,
    /// Of the key.
    #[error("is not the key of the certificate")]
    AnotherKey,
}

const ENCRYPTED: &str = "ENCRYPTED PRIVATE KEY";
const OLD_ENCRYPTION: &str = "Proc-Type: 4,ENCRYPTED";

impl ClientCertificate {
    /// Reads both. The key may be PKCS #8, PKCS #1 or SEC 1; an encrypted one is PKCS #8. A password of a key that is in the clear is not
    /// looked at.
    ///
    /// # Errors
    /// Says which of the three is wrong, and how.
    pub fn from_pem(chain_pem: &[u8], key_pem: &[u8], password: Option<&SecretString>) -> Result<Self, CertificateError> {
        let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(chain_pem).collect();
        let chain = chain.ok().filter(|chain| !chain.is_empty()).ok_or(CertificateError::NoCertificate)?;
        let text = from_utf8(key_pem).map_err(|_| CertificateError::NoKey)?;
        if text.contains(OLD_ENCRYPTION) {
            return Err(CertificateError::OldEncryption);
        }
        let key_pem = match block(text, ENCRYPTED) {
            Some(encrypted) => decrypted(encrypted, password)?,
            None => text.into(),
        };
        let key = PrivateKeyDer::from_pem_slice(key_pem.expose_secret().as_bytes()).map_err(|_| CertificateError::NoKey)?;
        let key = rustls::crypto::ring::sign::any_supported_type(&key).map_err(|_| CertificateError::UnusableKey)?;
        match CertifiedKey::new(chain, key).keys_match() {
            // A kind of key that does not tell which certificate it is for: the server finds out.
            Ok(()) | Err(rustls::Error::InconsistentKeys(rustls::InconsistentKeys::Unknown)) => {
                Ok(Self { chain_pem: chain_pem.to_vec(), key_pem })
            }
            Err(rustls::Error::InconsistentKeys(_)) => Err(CertificateError::AnotherKey),
            Err(_) => Err(CertificateError::NoCertificate),
        }
    }

    pub(crate) fn for_redis(&self) -> redis::ClientTlsConfig {
        redis::ClientTlsConfig { client_cert: self.chain_pem.clone(), client_key: self.key_pem.expose_secret().into() }
    }
}

impl fmt::Debug for ClientCertificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientCertificate").finish_non_exhaustive()
    }
}

/// The first block of that label, with its first and last line.
fn block<'t>(text: &'t str, label: &str) -> Option<&'t str> {
    let (begin, end) = (format!("-----BEGIN {label}-----"), format!("-----END {label}-----"));
    let from = text.find(&begin)?;
    let length = text[from..].find(&end)? + end.len();
    text.get(from..from + length)
}

fn decrypted(block: &str, password: Option<&SecretString>) -> Result<SecretString, CertificateError> {
    let password = password.ok_or(CertificateError::NoPassword)?;
    let (_, document) = SecretDocument::from_pem(block).map_err(|_| CertificateError::NoKey)?;
    let encrypted = EncryptedPrivateKeyInfoRef::try_from(document.as_bytes()).map_err(|_| CertificateError::NoKey)?;
    let key = encrypted.decrypt(password.expose_secret()).map_err(|_| CertificateError::WrongPassword)?;
    // What opens without an error and is no key was opened with another password: the padding fits once in 256 times.
    let parsed = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.as_bytes()));
    if rustls::crypto::ring::sign::any_supported_type(&parsed).is_err() {
        return Err(CertificateError::WrongPassword);
    }
    let pem = key.to_pem("PRIVATE KEY", pkcs8::LineEnding::LF).map_err(|_| CertificateError::WrongPassword)?;
    Ok(pem.as_str().into())
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;
    use std::process::{Command, Stdio};

    use rcgen::{CertificateParams, KeyPair};

    use super::*;

    fn pair() -> (String, String) {
        let key = KeyPair::generate().unwrap();
        (CertificateParams::new(Vec::new()).unwrap().self_signed(&key).unwrap().pem(), key.serialize_pem())
    }

    fn read(chain: &str, key: &str, password: Option<&str>) -> Result<ClientCertificate, CertificateError> {
        ClientCertificate::from_pem(chain.as_bytes(), key.as_bytes(), password.map(SecretString::from).as_ref())
    }

    /// The same key with a password, as OpenSSL writes it.
    fn encrypted(key: &str, how: &[&str]) -> String {
        let mut openssl = Command::new("openssl");
        openssl.args(["pkcs8", "-topk8", "-passout", "pass:hunter2"]).args(how);
        let mut child = openssl.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        child.stdin.take().unwrap().write_all(key.as_bytes()).unwrap();
        String::from_utf8(child.wait_with_output().unwrap().stdout).unwrap()
    }

    #[test]
    fn what_is_wrong_is_said_of_the_part_that_is_wrong() {
        use CertificateError as E;

        let ((chain, key), (other, _)) = (pair(), pair());
        let locked = encrypted(&key, &["-v2", "aes-256-cbc"]);
        let old = key.replacen("-----\n", "-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-128-CBC,00\n\n", 1);
        let cut: String = locked
            .lines()
            .filter(|line| !line.ends_with('='))
            .take(2)
            .chain(["-----END ENCRYPTED PRIVATE KEY-----"])
            .collect::<Vec<_>>()
            .join("\n");
        for (chain, key, password, wrong) in [
            ("", &*key, None, E::NoCertificate),
            (&*key, &key, None, E::NoCertificate),
            (&chain, "", None, E::NoKey),
            (&chain, &chain, None, E::NoKey),
            (&chain, &old, Some("hunter2"), E::OldEncryption),
            (&chain, "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n", None, E::UnusableKey),
            (&other, &key, None, E::AnotherKey),
            (&chain, &locked, None, E::NoPassword),
            (&chain, &locked, Some("hunter3"), E::WrongPassword),
            (&chain, &cut, Some("hunter2"), E::NoKey),
            (&other, &locked, Some("hunter2"), E::AnotherKey),
        ] {
            assert_eq!(read(chain, key, password).err(), Some(wrong), "{wrong:?}");
        }
    }

    #[test]
    fn a_key_is_taken_in_the_clear_or_with_its_password_and_never_printed() {
        let (chain, key) = pair();
        let mut keys = vec![(key.clone(), None), (key.clone(), Some("for nothing"))];
        // What `openssl req` and `openssl pkcs8` write, today and ten years ago.
        for how in [&["-v2", "aes-256-cbc"][..], &["-v2", "des3"], &["-scrypt"]] {
            keys.push((encrypted(&key, how), Some("hunter2")));
        }
        for (key, password) in keys {
            let certificate = read(&chain, &key, password).unwrap();
            assert!(certificate.for_redis().client_key.starts_with(b"-----BEGIN PRIVATE KEY-----"), "{key}");
            assert_eq!(format!("{certificate:?}"), "ClientCertificate { .. }");
        }
    }
}
