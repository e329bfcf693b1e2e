//! Certificates and keys, looked at before anything connects. librdkafka reads them when a client starts, and not when its keys are set.

use std::fs::File;
use std::io::Read as _;

use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, ConsumerContext};
use rdkafka::error::KafkaError;
use rdkafka::{ClientConfig, ClientContext};

use crate::producer::plain;
use crate::{InvalidConfig, KafkaConfig};

const CERTIFICATE: [&str; 2] = ["ssl.certificate.location", "ssl.certificate.pem"];
const KEY: [&str; 2] = ["ssl.key.location", "ssl.key.pem"];
const PASSWORD: &str = "ssl.key.password";
const KEY_STORE: &str = "ssl.keystore.location";

/// Whether a certificate is shown to a broker that asks for one.
pub(crate) fn shows_certificate(config: &KafkaConfig) -> bool {
    CERTIFICATE.iter().chain([&KEY_STORE]).any(|key| config.librdkafka.contains_key(key))
}

/// Touches no network. Blocks for some milliseconds where TLS is configured.
pub(crate) fn check(config: &KafkaConfig) -> Result<(), InvalidConfig> {
    let first = |names: &[&'static str]| names.iter().copied().find(|name| config.librdkafka.contains_key(name));
    let missing = |key: &str, reason: String| Err(InvalidConfig::Certificate { key: key.to_owned(), reason });
    for key in KafkaConfig::FILES {
        let Some(path) = config.librdkafka.get(key).filter(|path| *path != KafkaConfig::SYSTEMS_AUTHORITIES) else { continue };
        if let Err(error) = File::open(path) {
            return missing(key, format!("{path} cannot be read: {error}"));
        }
    }
    match (first(&CERTIFICATE), first(&KEY)) {
        (Some(certificate), None) => {
            return missing(certificate, "a certificate goes with its key: write ssl.key.location".to_owned());
        }
        (None, Some(key)) => return missing(key, "a key goes with its certificate: write ssl.certificate.location".to_owned()),
        _ => {}
    }
    let identity = first(&CERTIFICATE).or(first(&[KEY_STORE]));
    if !config.uses_tls() {
        return match identity {
            Some(key) => missing(
                key,
                "a certificate is shown in TLS only: write \"security.protocol\" = \"ssl\", or \"sasl_ssl\"".to_owned(),
            ),
            None => Ok(()),
        };
    }
    load(config)
}

/// A client that knows no broker: librdkafka loads what it would connect with.
fn load(config: &KafkaConfig) -> Result<(), InvalidConfig> {
    let mut client = ClientConfig::new();
    client.set("security.protocol", "ssl").set_log_level(RDKafkaLogLevel::Emerg);
    for (key, value) in config.librdkafka.iter().filter(|(key, _)| key.starts_with("ssl.")) {
        client.set(key, value);
    }
    let words = match client.create_with_context::<_, BaseConsumer<Silent>>(Silent) {
        Ok(_) => return Ok(()),
        Err(KafkaError::ClientCreation(words)) => words,
        Err(error) => error.to_string(),
    };
    let named = words.split_once(" failed: ").map(|(key, _)| key).filter(|key| config.librdkafka.contains_key(key));
    let key = named.or(KEY.into_iter().find(|key| config.librdkafka.contains_key(key))).unwrap_or("ssl.ca.location");
    let reason = if !KEY.contains(&key) {
        plain(config, &words)
    } else if words.contains("key values mismatch") {
        "is not the key of the certificate".to_owned()
    } else if !is_encrypted(config) {
        format!("holds no private key in PEM that can be read ({})", plain(config, &words))
    } else if config.librdkafka.contains_key(PASSWORD) {
        "is not opened by ssl.key.password, or is damaged".to_owned()
    } else {
        "is encrypted: write \"ssl.key.password\" = { env = \"KAFKA_KEY_PASSWORD\" }".to_owned()
    };
    Err(InvalidConfig::Unloadable { key: key.to_owned(), reason })
}

/// PKCS #8, or OpenSSL's own way from before. Of what goes wrong with a password, librdkafka hands on nothing that can be told apart.
fn is_encrypted(config: &KafkaConfig) -> bool {
    let mut text = config.librdkafka.get(KEY[1]).cloned().unwrap_or_default();
    if let Some(file) = config.librdkafka.get(KEY[0]).and_then(|path| File::open(path).ok()) {
        // What it cannot read in UTF-8 is no PEM.
        let _ = file.take(1 << 20).read_to_string(&mut text);
    }
    text.contains("ENCRYPTED")
}

/// Nothing that it says is news: the error that comes of it is.
struct Silent;

impl ClientContext for Silent {
    fn log(&self, _: RDKafkaLogLevel, _: &str, _: &str) {}
    fn error(&self, _: KafkaError, _: &str) {}
}

impl ConsumerContext for Silent {}
