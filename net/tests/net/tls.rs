//! TLS and mutual TLS between our clients and servers, with certificates made here.

use std::path::PathBuf;
use std::time::Duration;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use sluice_net::grpc::{self, CallError};
use sluice_net::http::{self, Method, SendError};
use sluice_net::listen::Versions;
use sluice_net::tls::{ClientTls, ClientTlsSettings, ServerTls, ServerTlsSettings, TlsSettings};
use sluice_net::{Endpoint, ListenerSettings};

use super::common::*;

pub struct Authority {
    pub issuer: CertifiedIssuer<'static, KeyPair>,
    pub file: PathBuf,
}

impl Authority {
    pub fn new(name: &str) -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![rcgen::KeyUsagePurpose::KeyCertSign, rcgen::KeyUsagePurpose::CrlSign];
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let file = std::env::temp_dir().join(format!("sluice-net-ca-{}-{name}.pem", std::process::id()));
        std::fs::write(&file, issuer.pem()).unwrap();
        Authority { issuer, file }
    }

    /// A certificate and its key for `name`.
    pub fn issue(&self, name: &str) -> (String, String) {
        let (certificate, key) = self.issue_with(name, |_| ());
        (certificate.pem(), key.serialize_pem())
    }

    fn issue_with(&self, name: &str, change: impl FnOnce(&mut CertificateParams)) -> (rcgen::Certificate, KeyPair) {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        change(&mut params);
        (params.signed_by(&key, &self.issuer).unwrap(), key)
    }

    /// A list that revokes the certificate with this serial number.
    fn revoke(&self, serial: u64) -> PathBuf {
        let revoked = rcgen::RevokedCertParams {
            serial_number: serial.into(),
            revocation_time: rcgen::date_time_ymd(2024, 1, 1),
            reason_code: None,
            invalidity_date: None,
        };
        let list = rcgen::CertificateRevocationListParams {
            this_update: rcgen::date_time_ymd(2024, 1, 1),
            next_update: rcgen::date_time_ymd(2124, 1, 1),
            crl_number: 1_u64.into(),
            issuing_distribution_point: None,
            revoked_certs: vec![revoked],
            key_identifier_method: rcgen::KeyIdMethod::Sha256,
        };
        let file = self.file.with_extension("crl.pem");
        std::fs::write(&file, list.signed_by(&self.issuer).unwrap().pem().unwrap()).unwrap();
        file
    }

    pub fn server(&self, client_ca: Option<&Authority>) -> ServerTlsSettings {
        let (cert, key) = self.issue("localhost");
        ServerTlsSettings {
            common: TlsSettings { cert_pem: Some(cert), key_pem: Some(key), ..TlsSettings::default() },
            client_ca_file: client_ca.map(|authority| authority.file.clone()),
            ..ServerTlsSettings::default()
        }
    }

    pub fn client(&self) -> ClientTlsSettings {
        let common = TlsSettings { ca_file: Some(self.file.clone()), ..TlsSettings::default() };
        ClientTlsSettings { common, ..ClientTlsSettings::default() }
    }
}

impl Drop for Authority {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.file);
        let _ = std::fs::remove_file(self.file.with_extension("crl.pem"));
    }
}

async fn serve(settings: ServerTlsSettings) -> Running {
    let tls = Some(ServerTls::new(settings, Versions::Http2).unwrap());
    grpc_with(ListenerSettings { tls, ..loopback() }, Handler::default()).await
}

async fn call(running: &Running, settings: ClientTlsSettings) -> Result<usize, CallError> {
    let endpoint = Endpoint::parse(&format!("https://localhost:{}", running.address.port())).unwrap();
    let tls = Some(ClientTls::new(&settings).unwrap());
    let client = grpc::Client::new(grpc::ClientSettings { tls, ..grpc::ClientSettings::new(endpoint) }).unwrap();
    let outgoing = grpc::Outgoing {
        path: ECHO,
        message: noise(500_000).into(),
        encoding: None,
        timeout: Some(Duration::from_secs(10)),
        headers: Default::default(),
    };
    client.call(outgoing).await.map(|response| response.message.len())
}

fn is_certificate<T>(result: &Result<T, CallError>) -> bool {
    matches!(result, Err(CallError::Connect { certificate: true, .. }))
}

#[tokio::test]
async fn a_trusted_server_is_called_and_another_is_a_certificate_failure() {
    let (ours, theirs) = (Authority::new("ours"), Authority::new("theirs"));
    let running = serve(ours.server(None)).await;
    assert_eq!(call(&running, ours.client()).await.unwrap(), 500_000);
    assert!(running.handler.last().head.connection.tls);
    assert!(is_certificate(&call(&running, theirs.client()).await));
    let skip = ClientTlsSettings { insecure_skip_verify: true, ..theirs.client() };
    assert_eq!(call(&running, skip).await.unwrap(), 500_000);
}

#[tokio::test]
async fn the_name_is_verified_and_can_be_overridden() {
    let authority = Authority::new("name");
    let (cert, key) = authority.issue("collector.example");
    let mut settings = authority.server(None);
    (settings.common.cert_pem, settings.common.key_pem) = (Some(cert), Some(key));
    let running = serve(settings).await;
    assert!(is_certificate(&call(&running, authority.client()).await));
    let named = ClientTlsSettings { server_name_override: Some("collector.example".into()), ..authority.client() };
    assert_eq!(call(&running, named).await.unwrap(), 500_000);
    assert_eq!(running.handler.last().head.uri.authority().unwrap(), "collector.example");
}

#[tokio::test]
async fn mutual_tls_requires_a_certificate_of_the_right_authority() {
    let (ours, clients, others) = (Authority::new("mtls"), Authority::new("clients"), Authority::new("others"));
    let running = serve(ours.server(Some(&clients))).await;
    assert!(call(&running, ours.client()).await.is_err(), "no certificate");
    let with = |authority: &Authority| {
        let mut settings = ours.client();
        let (cert, key) = authority.issue("agent");
        (settings.common.cert_pem, settings.common.key_pem) = (Some(cert), Some(key));
        settings
    };
    assert!(call(&running, with(&others)).await.is_err(), "a certificate of somebody else");
    assert_eq!(call(&running, with(&clients)).await.unwrap(), 500_000);
    assert_eq!(running.handler.last().head.connection.client_certificates.len(), 1);
}

#[tokio::test]
async fn only_the_clients_that_are_named_get_in_and_none_that_are_revoked() {
    let (ours, clients) = (Authority::new("named"), Authority::new("named-clients"));
    let mut settings = ours.server(Some(&clients));
    settings.allowed_sans = vec!["agent.example".into()];
    settings.allowed_spiffe_ids = vec!["spiffe://example/agent".into()];
    settings.crl_file = Some(clients.revoke(666));
    let running = serve(settings).await;
    let spiffe = |id: &str| rcgen::SanType::URI(id.try_into().unwrap());
    let cases: [(&str, &str, u64, bool); 6] = [
        ("agent.example", "", 1, true),
        ("AGENT.example", "", 2, true),
        ("other.example", "", 3, false),
        ("other.example", "spiffe://example/agent", 4, true),
        ("other.example", "spiffe://example/other", 5, false),
        ("agent.example", "", 666, false),
    ];
    for (dns, id, serial, allowed) in cases {
        let (certificate, key) = clients.issue_with(dns, |params| {
            params.serial_number = Some(serial.into());
            if !id.is_empty() {
                params.subject_alt_names.push(spiffe(id));
            }
        });
        let mut settings = ours.client();
        (settings.common.cert_pem, settings.common.key_pem) = (Some(certificate.pem()), Some(key.serialize_pem()));
        assert_eq!(call(&running, settings).await.is_ok(), allowed, "{dns} {id} {serial}");
    }
}

#[tokio::test(start_paused = true)]
async fn changed_certificates_are_taken_over_by_both_sides() {
    let (old, new) = (Authority::new("old"), Authority::new("new"));
    let (cert_file, key_file) = (old.file.with_extension("cert.pem"), old.file.with_extension("key.pem"));
    let write = |authority: &Authority| {
        let (cert, key) = authority.issue("localhost");
        std::fs::write(&cert_file, cert).unwrap();
        std::fs::write(&key_file, key).unwrap();
    };
    write(&old);
    let common =
        TlsSettings { cert_file: Some(cert_file.clone()), key_file: Some(key_file.clone()), ..TlsSettings::default() };
    let tls = ServerTls::new(ServerTlsSettings { common, ..ServerTlsSettings::default() }, Versions::Http2).unwrap();
    let settings = ListenerSettings { tls: Some(tls.clone()), ..loopback() };
    let running = grpc_with(settings, Handler::default()).await;
    assert_eq!(call(&running, old.client()).await.unwrap(), 500_000);
    let client_tls = ClientTls::new(&old.client()).unwrap();
    write(&new);
    std::fs::write(&old.file, new.issuer.pem()).unwrap();
    tokio::time::sleep(Duration::from_secs(11)).await;
    assert_eq!(tls.status().reloads, 1);
    let endpoint = Endpoint::parse(&format!("https://localhost:{}", running.address.port())).unwrap();
    let client =
        grpc::Client::new(grpc::ClientSettings { tls: Some(client_tls), ..grpc::ClientSettings::new(endpoint) })
            .unwrap();
    let outgoing = grpc::Outgoing {
        path: ECHO,
        message: noise(10).into(),
        encoding: None,
        timeout: Some(Duration::from_secs(10)),
        headers: Default::default(),
    };
    assert!(client.call(outgoing).await.is_ok(), "the client has read its changed authority");
    std::fs::write(&cert_file, "broken").unwrap();
    tokio::time::sleep(Duration::from_secs(11)).await;
    assert_eq!((tls.status().reloads, tls.status().reload_failures), (1, 1));
    assert!(tls.status().not_after.is_some());
    for file in [cert_file, key_file] {
        std::fs::remove_file(file).unwrap();
    }
}

#[tokio::test]
async fn listeners_insist_on_tls_13_unless_told_otherwise() {
    let authority = Authority::new("versions");
    let old = || {
        let mut settings = authority.client();
        settings.common.max_version = Some("1.2".into());
        settings
    };
    let running = serve(authority.server(None)).await;
    assert!(call(&running, old()).await.is_err());
    eventually("the failure is counted", || running.server.counters().handshake_failures == 1).await;
    let mut lenient = authority.server(None);
    lenient.common.min_version = Some("1.2".into());
    let running = serve(lenient).await;
    assert_eq!(call(&running, old()).await.unwrap(), 500_000);
}

#[tokio::test]
async fn http_over_tls_speaks_both_versions() {
    let authority = Authority::new("http");
    let tls = Some(ServerTls::new(authority.server(None), Versions::Both).unwrap());
    let running = http_with(ListenerSettings { tls, ..loopback() }, Handler::default()).await;
    for (http2, version) in [(true, ::http::Version::HTTP_2), (false, ::http::Version::HTTP_11)] {
        let tls = Some(ClientTls::new(&authority.client()).unwrap());
        let client = http::Client::new(http::ClientSettings { tls, http2, ..Default::default() }).unwrap();
        let outgoing = http::Outgoing {
            method: Method::POST,
            uri: format!("https://localhost:{}{ECHO}", running.address.port()).parse().unwrap(),
            headers: Default::default(),
            body: noise(300_000),
            timeout: Some(Duration::from_secs(10)),
        };
        assert_eq!(client.send(outgoing.clone()).await.unwrap().body, noise(300_000));
        assert_eq!(running.handler.last().head.version, version);
        let stranger = http::Client::new(http::ClientSettings::default()).unwrap();
        let refused = stranger.send(outgoing).await;
        assert!(matches!(refused, Err(SendError::Connect { certificate: true, .. })), "{refused:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_handshake_must_end_within_five_seconds() {
    let authority = Authority::new("slow");
    let running = serve(authority.server(None)).await;
    let start = tokio::time::Instant::now();
    let mut stream = tokio::net::TcpStream::connect(running.address).await.unwrap();
    let mut sink = Vec::new();
    tokio::io::AsyncReadExt::read_to_end(&mut stream, &mut sink).await.unwrap();
    let took = start.elapsed().as_secs_f64();
    assert!((5.0..6.0).contains(&took), "{took}");
    assert_eq!(running.server.counters().handshake_timeouts, 1);
}
