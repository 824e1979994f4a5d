use super::*;
use crate::listen::Versions;

fn server(change: impl FnOnce(&mut ServerTlsSettings)) -> ServerTlsSettings {
    let signed = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    let mut settings = ServerTlsSettings {
        common: TlsSettings {
            cert_pem: Some(signed.cert.pem()),
            key_pem: Some(signed.signing_key.serialize_pem()),
            ..TlsSettings::default()
        },
        ..ServerTlsSettings::default()
    };
    change(&mut settings);
    settings
}

#[test]
fn contradictions_are_refused_in_upstream_s_words() {
    let cases: Vec<(ServerTlsSettings, &str)> = vec![
        (
            server(|s| s.common.key_pem = None),
            "TLS configuration must include both certificate and key for server connections",
        ),
        (
            server(|s| (s.common.ca_file, s.common.ca_pem) = (Some("x".into()), Some("y".into()))),
            "provide either a CA file or the PEM-encoded string, but not both",
        ),
        (
            server(|s| s.common.cert_file = Some("x".into())),
            "provide either a certificate or the PEM-encoded string, but not both",
        ),
        (
            server(|s| s.common.key_file = Some("x".into())),
            "provide either a key or the PEM-encoded string, but not both",
        ),
        (
            server(|s| s.common.max_version = Some("1.2".into())),
            "invalid TLS configuration: min_version cannot be greater than max_version",
        ),
        (server(|s| s.common.min_version = Some("1.1".into())), "unsupported TLS version: \"1.1\""),
        (server(|s| s.common.min_version = Some("foo".into())), "unsupported TLS version: \"foo\""),
        (server(|s| s.client_auth = Some(ClientAuth::Require)), "client_auth needs client_ca_file"),
    ];
    for (settings, expected) in cases {
        assert_eq!(settings.validate().unwrap_err().to_string(), expected);
    }
    assert!(server(|_| ()).validate().is_ok());
    assert!(server(|s| s.common.min_version = Some("1.2".into())).validate().is_ok());
}

#[test]
fn unknown_suites_and_curves_are_skipped_unless_none_remains() {
    let common = |suites: &[&str], curves: &[&str]| {
        let own = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        let settings = server(|s| {
            s.common.cipher_suites = own(suites);
            s.common.curve_preferences = own(curves);
        });
        ServerTls::new(settings, Versions::Http2).map(|_| ()).map_err(|error| error.to_string())
    };
    let suite = "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256";
    assert_eq!(common(&[suite, "TLS_RSA_WITH_RC4_128_SHA"], &["P521", "P256"]), Ok(()));
    assert!(common(&["TLS_RSA_WITH_RC4_128_SHA"], &[]).unwrap_err().contains("cipher suites"));
    assert!(common(&[], &["P521"]).unwrap_err().contains("curves"));
}

#[test]
fn missing_and_wrong_files_are_named() {
    let missing = server(|s| (s.common.cert_pem, s.common.cert_file) = (None, Some("/nonexistent/cert.pem".into())));
    let error = ServerTls::new(missing, Versions::Http2).err().unwrap().to_string();
    assert!(error.contains("/nonexistent/cert.pem"), "{error}");
    let empty = server(|s| s.common.cert_pem = Some(String::new()));
    let error = ServerTls::new(empty, Versions::Http2).err().unwrap().to_string();
    assert_eq!(error, "failed to parse TLS certificate: it holds no certificate");
    let other_key = rcgen::KeyPair::generate().unwrap().serialize_pem();
    assert!(ServerTls::new(server(|s| s.common.key_pem = Some(other_key)), Versions::Http2).is_err());
}

#[test]
fn a_changed_certificate_is_loaded_and_a_broken_one_is_not() {
    let directory = std::env::temp_dir().join(format!("sluice-net-tls-{}", std::process::id()));
    std::fs::create_dir_all(&directory).unwrap();
    let (cert, key) = (directory.join("cert.pem"), directory.join("key.pem"));
    let write = || {
        let signed = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
        std::fs::write(&cert, signed.cert.pem()).unwrap();
        std::fs::write(&key, signed.signing_key.serialize_pem()).unwrap();
    };
    write();
    let settings = server(|s| {
        (s.common.cert_pem, s.common.key_pem) = (None, None);
        (s.common.cert_file, s.common.key_file) = (Some(cert.clone()), Some(key.clone()));
    });
    let tls = ServerTls::new(settings, Versions::Http2).unwrap();
    let first = tls.current();
    assert!(!tls.reload().unwrap());
    write();
    assert!(tls.reload().unwrap());
    let second = tls.current();
    assert!(!std::sync::Arc::ptr_eq(&first, &second));
    std::fs::write(&cert, "not a certificate").unwrap();
    assert!(tls.reload().is_err());
    assert!(std::sync::Arc::ptr_eq(&second, &tls.current()));
    std::fs::remove_dir_all(&directory).unwrap();
}

#[test]
fn insecure_is_ignored_when_an_authority_is_set() {
    let mut settings = ClientTlsSettings { insecure: true, ..ClientTlsSettings::default() };
    assert!(settings.is_plaintext());
    settings.common.ca_file = Some("ca.pem".into());
    assert!(!settings.is_plaintext());
    settings = ClientTlsSettings::default();
    settings.common.cert_pem = Some("x".into());
    assert_eq!(
        settings.validate().unwrap_err().to_string(),
        "for auth via TLS, provide both certificate and key, or neither"
    );
}
