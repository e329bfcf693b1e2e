//! A certificate authority for one run, made by the `openssl` program.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use super::state::Tls;
use crate::run::output;

/// Longer than any run, shorter than anyone would trust it by mistake.
const DAYS: &str = "7";

/// Of the client's key that has one.
const KEY_PASSWORD: &str = "drivetap-secret";

/// Makes, in `dir`: an authority, a server's and a client's certificate by it, and another authority with a client's certificate only.
pub(crate) fn make(dir: &Path) -> Result<Tls> {
    if dir.exists() {
        fs::remove_dir_all(dir).with_context(|| format!("cannot empty {}", dir.display()))?;
    }
    fs::create_dir_all(dir).with_context(|| format!("cannot make {}", dir.display()))?;
    let ca = authority(dir, "ca")?;
    let other_ca = authority(dir, "other-ca")?;
    let names = "subjectAltName=DNS:localhost,IP:127.0.0.1,IP:::1";
    let (server_cert, server_key) = signed(dir, "ca", "server", "/CN=localhost", &[names, "extendedKeyUsage=serverAuth"])?;
    let (client_cert, client_key) = signed(dir, "ca", "client", "/CN=drivetap", &["extendedKeyUsage=clientAuth"])?;
    let (other_client_cert, other_client_key) =
        signed(dir, "other-ca", "other-client", "/CN=drivetap", &["extendedKeyUsage=clientAuth"])?;
    let client_key_encrypted = dir.join("client-encrypted.key");
    let mut encrypt = Command::new("openssl");
    encrypt.args(["pkcs8", "-topk8", "-passout", &format!("pass:{KEY_PASSWORD}")]);
    output(encrypt.arg("-in").arg(&client_key).arg("-out").arg(&client_key_encrypted))?;

    // Kafka reads a PEM key store from one file: the key, then its chain.
    let chain = [fs::read(&server_key)?, fs::read(&server_cert)?].concat();
    fs::write(dir.join("server-chain.pem"), chain)?;
    Ok(Tls {
        ca,
        other_ca,
        server_cert,
        server_key,
        client_cert,
        client_key,
        client_key_encrypted,
        client_key_password: KEY_PASSWORD.to_owned(),
        other_client_cert,
        other_client_key,
    })
}

fn authority(dir: &Path, name: &str) -> Result<PathBuf> {
    let subject = format!("/CN=drivetap test authority {name}");
    let (certificate, key) = (dir.join(format!("{name}.pem")), dir.join(format!("{name}.key")));
    output(new_certificate(&certificate, &key, &subject).args([
        "-addext",
        "basicConstraints=critical,CA:true",
        "-addext",
        "keyUsage=critical,keyCertSign,cRLSign",
    ]))?;
    Ok(certificate)
}

fn signed(dir: &Path, by: &str, name: &str, subject: &str, extensions: &[&str]) -> Result<(PathBuf, PathBuf)> {
    let (certificate, key) = (dir.join(format!("{name}.pem")), dir.join(format!("{name}.key")));
    let mut command = new_certificate(&certificate, &key, subject);
    command.arg("-CA").arg(dir.join(format!("{by}.pem"))).arg("-CAkey").arg(dir.join(format!("{by}.key")));
    for extension in ["basicConstraints=critical,CA:false", "keyUsage=critical,digitalSignature"].iter().chain(extensions) {
        command.args(["-addext", extension]);
    }
    output(&mut command)?;
    Ok((certificate, key))
}

/// P-256, as PKCS #8, without a password.
fn new_certificate(certificate: &Path, key: &Path, subject: &str) -> Command {
    let mut command = Command::new("openssl");
    command
        .args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", DAYS])
        // Not the system's configuration, which adds extensions of its own.
        .args(["-config", "/dev/null", "-subj", subject])
        .arg("-out")
        .arg(certificate)
        .arg("-keyout")
        .arg(key);
    command
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_authority_vouches_for_the_server_and_the_other_does_not() {
        let dir = tempfile::tempdir().unwrap();
        let tls = make(&dir.path().join("tls")).unwrap();
        let verify = |ca: &Path, certificate: &Path, purpose: &str, name: &[&str]| {
            let mut command = Command::new("openssl");
            command.args(["verify", "-purpose", purpose]).args(name).arg("-CAfile").arg(ca).arg(certificate);
            output(&mut command).map(|_| ())
        };
        for host in [["-verify_hostname", "localhost"], ["-verify_ip", "127.0.0.1"], ["-verify_ip", "::1"]] {
            verify(&tls.ca, &tls.server_cert, "sslserver", &host).unwrap();
        }
        verify(&tls.ca, &tls.client_cert, "sslclient", &[]).unwrap();
        verify(&tls.ca, &tls.server_cert, "sslserver", &["-verify_hostname", "example.org"]).unwrap_err();
        verify(&tls.other_ca, &tls.server_cert, "sslserver", &[]).unwrap_err();
        verify(&tls.other_ca, &tls.other_client_cert, "sslclient", &[]).unwrap();
        verify(&tls.ca, &tls.other_client_cert, "sslclient", &[]).unwrap_err();
    }
}
