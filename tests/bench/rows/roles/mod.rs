//! The contenders that are written in Rust: this executable in another role. Each runs on one thread, as a Node or a Python process does.

mod bare;
mod ceiling;
mod library;
mod native;
mod produce;
mod rust_socket_io;
mod walk;

use std::sync::{Arc, Mutex, OnceLock};

use tokio_rustls::rustls::pki_types::CertificateDer;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

pub(crate) use self::bare::bare;
pub(crate) use self::ceiling::ceiling;
pub(crate) use self::library::library;
pub(crate) use self::native::native;
pub(crate) use self::produce::{headers, sink, threaded};
pub(crate) use self::rust_socket_io::rust_socket_io;
pub(crate) use self::walk::{fetch, id, tree, walk};
use super::ledger::Ledger;

/// The ledger of a contender that brings what it reads nowhere. Says so on standard output when it is full.
#[derive(Clone)]
pub(crate) struct Tally(Arc<Mutex<Ledger>>);

impl Tally {
    fn new(count: u64) -> Self {
        Self(Arc::new(Mutex::new(Ledger::new(count))))
    }

    /// Notes the number that a notification's `siteUrl` ends with.
    fn see(&self, site_url: &str) {
        let mut ledger = self.0.lock().unwrap();
        ledger.see(site_url.rsplit('-').next().and_then(|digits| digits.parse().ok()));
        if ledger.is_full() {
            println!("{}", if ledger.is_right() { "complete".to_owned() } else { ledger.to_string() });
        }
    }
}

/// TLS that trusts the authority in a PEM file, and nobody else. One for all sockets.
fn authority(file: &str) -> Arc<ClientConfig> {
    static MADE: OnceLock<Arc<ClientConfig>> = OnceLock::new();
    let make = || {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_file(file).unwrap()).unwrap();
        Arc::new(ClientConfig::builder().with_root_certificates(roots).with_no_client_auth())
    };
    Arc::clone(MADE.get_or_init(make))
}
