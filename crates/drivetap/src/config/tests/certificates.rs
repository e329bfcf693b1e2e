//! What is said of certificates and their keys. A sink's first line is 8.

use super::*;

#[test]
fn a_certificate_without_its_key_without_tls_or_without_its_file_is_said_with_its_place() {
    let dir = tempfile::tempdir().expect("a folder");
    std::fs::write(dir.path().join("junk.pem"), "junk").expect("written");
    std::fs::write(dir.path().join("cert.pem"), "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")
        .expect("written");
    let env = Env::new(|_| None);
    let at = dir.path().display();
    let check = |sink: &str, want: &[String]| {
        let text = format!("{GOOD}{sink}");
        let error = Config::parse(&text, "d.toml", dir.path(), &env, Purpose::Validation).expect_err(sink).to_string();
        assert_eq!(error.lines().collect::<Vec<_>>(), want, "{sink}");
    };
    let redis = "[sink.r]\ntype = \"redis\"\nurl = \"rediss://h?channel=c\"\n";
    let missing = |key: &str| format!("{key}: {at}/none.pem cannot be read: No such file or directory (os error 2)");
    check(
        &format!("{redis}cert_file = \"none.pem\"\nkey_file = \"none.pem\"\n"),
        &[format!("d.toml:11:13: {}", missing("cert_file")), format!("d.toml:12:12: {}", missing("key_file"))],
    );
    check(
        &format!("{redis}cert_file = \"cert.pem\"\n"),
        &["d.toml:11:13: cert_file goes with a key_file: write key_file = \"client.key\"".to_owned()],
    );
    check(
        &format!("{redis}key_file = \"junk.pem\"\nkey_password = \"p\"\n"),
        &["d.toml:11:12: key_file goes with a cert_file: write cert_file = \"client.pem\"".to_owned()],
    );
    check(&format!("{redis}key_password = \"p\"\n"), &["d.toml:11:16: key_password goes with a key_file".to_owned()]);
    check(
        &format!("{redis}ca_file = \"junk.pem\"\n"),
        &["d.toml:11:11: ca_file holds no certificate in PEM (-----BEGIN CERTIFICATE-----)".to_owned()],
    );
    check(
        &format!("{redis}cert_file = \"junk.pem\"\nkey_file = \"junk.pem\"\n"),
        &["d.toml:11:13: cert_file holds no certificate in PEM (-----BEGIN CERTIFICATE-----)".to_owned()],
    );
    check(
        &format!("{redis}cert_file = \"cert.pem\"\nkey_file = \"junk.pem\"\n"),
        &["d.toml:12:12: key_file holds no private key in PEM (-----BEGIN PRIVATE KEY-----)".to_owned()],
    );
    let broken = "ca_file holds a certificate that cannot be read: invalid peer certificate: BadEncoding";
    check(&format!("{redis}ca_file = \"cert.pem\"\n"), &[format!("d.toml:11:11: {broken}")]);
    check("[network]\nca_file = \"cert.pem\"\n", &[format!("d.toml:9:11: {broken}")]);
    check(
        &format!("{}ca_file = \"cert.pem\"\n", redis.replace("rediss", "redis")),
        &[format!("d.toml:11:11: {broken}"), "d.toml:11:11: ca_file is for TLS: write rediss:// in the url".to_owned()],
    );

    let kafka = "[sink.k]\ntype = \"kafka\"\nbootstrap_servers = \"h:1\"\ntopic = \"t\"\n[sink.k.librdkafka]\n";
    let tls = format!("{kafka}security.protocol = \"ssl\"\n");
    check(
        &format!("{tls}\"ssl.ca.location\" = \"none.pem\"\n"),
        &[format!(
            "d.toml:14:1: librdkafka key `ssl.ca.location`: {at}/none.pem cannot be read: No such file or directory (os error 2)"
        )],
    );
    check(
        &format!("{kafka}\"ssl.certificate.location\" = \"cert.pem\"\n"),
        &["d.toml:13:1: librdkafka key `ssl.certificate.location`: a certificate goes with its key: write ssl.key.location"
            .to_owned()],
    );
    check(&format!("{kafka}\"ssl.certificate.location\" = \"cert.pem\"\n\"ssl.key.location\" = \"junk.pem\"\n"), &[
        "d.toml:13:1: librdkafka key `ssl.certificate.location`: a certificate is shown in TLS only: write \"security.protocol\" = \"ssl\", or \"sasl_ssl\"".to_owned(),
    ]);
    // All at once.
    check(&format!("{kafka}\"linger.ms\" = \"soon\"\n\"compresion.type\" = \"lz4\"\n\"retries\" = 1\n"), &[
        "d.toml:13:1: librdkafka key `linger.ms`: Invalid value for configuration property \"queue.buffering.max.ms\"".to_owned(),
        "d.toml:14:1: librdkafka has no key `compresion.type`".to_owned(),
        "d.toml:15:1: librdkafka key `retries` is not for configuration: a record given up inside librdkafka would be overtaken by the ones behind it".to_owned(),
    ]);
}
