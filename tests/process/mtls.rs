//! Certificates of clients: who has none of ours does not get as far as a request, and whose it is can be told downstream.

use std::path::{Path, PathBuf};
use std::time::Duration;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, ExtendedKeyUsagePurpose, IsCa, KeyPair, SanType};
use sluice_net::http::{Client, ClientSettings, HeaderMap, Method, Outgoing, Proxy, header};
use sluice_net::tls::{ClientTls, ClientTlsSettings, TlsSettings};
use sluice_net::{Endpoint, grpc};

use crate::durable::Folder;
use crate::sluice::Sluice;
use crate::wire::{http, trace};

const EXPORT: &str = "/opentelemetry.proto.collector.trace.v1.TraceService/Export";

/// An authority, and what it has signed.
struct Authority {
    folder: PathBuf,
    issuer: CertifiedIssuer<'static, KeyPair>,
}

impl Authority {
    fn new(folder: &Path, name: &str) -> Self {
        let folder = folder.join(name);
        std::fs::create_dir_all(&folder).unwrap();
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        std::fs::write(folder.join("ca.pem"), issuer.pem()).unwrap();
        Authority { folder, issuer }
    }

    /// Writes `<name>.pem` and `<name>.key`.
    fn sign(&self, name: &str, uri: Option<&str>) {
        let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        params.subject_alt_names.extend(uri.map(|uri| SanType::URI(uri.try_into().unwrap())));
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        std::fs::write(self.file(name, "pem"), certificate.pem()).unwrap();
        std::fs::write(self.file(name, "key"), key.serialize_pem()).unwrap();
    }

    fn file(&self, name: &str, ending: &str) -> PathBuf {
        self.folder.join(format!("{name}.{ending}"))
    }
}

/// TLS that trusts `server` and shows a certificate of somebody.
fn tls(server: &Authority, shows: Option<(&Authority, &str)>) -> ClientTls {
    let common = TlsSettings {
        ca_file: Some(server.file("ca", "pem")),
        cert_file: shows.map(|(authority, name)| authority.file(name, "pem")),
        key_file: shows.map(|(authority, name)| authority.file(name, "key")),
        ..TlsSettings::default()
    };
    ClientTls::new(&ClientTlsSettings { common, ..ClientTlsSettings::default() }).unwrap()
}

/// What both protocols say: a status and a code, or nothing where there was no connection.
async fn told(sluice: &Sluice, tls: ClientTls, credential: Option<&str>) -> (Option<u16>, Option<u32>) {
    let mut headers = HeaderMap::new();
    if let Some(credential) = credential {
        headers.insert(header::AUTHORIZATION, credential.parse().unwrap());
    }
    let patience = Some(Duration::from_secs(30));
    let settings = ClientSettings { tls: Some(tls.clone()), proxy: Proxy::None, ..ClientSettings::default() };
    let mut typed = headers.clone();
    typed.insert(header::CONTENT_TYPE, "application/x-protobuf".parse().unwrap());
    let outgoing = Outgoing {
        method: Method::POST,
        uri: format!("https://localhost:{}/v1/traces", sluice.http).parse().unwrap(),
        headers: typed,
        body: trace("x").into(),
        timeout: patience,
    };
    let http = Client::new(settings).unwrap().send(outgoing).await.ok().map(|answer| answer.status.as_u16());
    let mut settings = grpc::ClientSettings::new(Endpoint::parse(&format!("localhost:{}", sluice.grpc)).unwrap());
    settings.tls = Some(tls);
    let message = bytes::Bytes::from(trace("x")).into();
    let outgoing = grpc::Outgoing { path: EXPORT, message, encoding: None, timeout: patience, headers };
    let code = match grpc::Client::new(settings).unwrap().call(outgoing).await {
        Ok(_) => Some(0),
        Err(grpc::CallError::Status(status)) => Some(status.code as u32),
        Err(_) => None,
    };
    (http, code)
}

fn config(server: &Authority, clients: &Authority, auth: &str, rest: &str) -> String {
    let tls = format!(
        "tls: {{cert_file: '{}', key_file: '{}', client_ca_file: '{}'}}",
        server.file("localhost", "pem").display(),
        server.file("localhost", "key").display(),
        clients.file("ca", "pem").display(),
    );
    format!(
        "receivers: {{otlp: {{protocols: {{grpc: {{{tls}{auth}}}, http: {{{tls}{auth}}}}}}}}}\n\
         processors: {{attributes: {{actions: [{{key: who, action: insert, from_context: auth.tls.client.san.uri}}]}}}}\n\
         exporters: {{debug: {{verbosity: detailed}}}}\n\
         service: {{{rest}pipelines: {{traces: {{receivers: [otlp], processors: [attributes], exporters: [debug]}}}}}}\n"
    )
}

#[test]
fn a_certificate_of_our_authority_is_let_in_and_names_its_holder() {
    let folder = Folder::new("mtls");
    let (server, clients) = (Authority::new(folder.path(), "server"), Authority::new(folder.path(), "clients"));
    let strangers = Authority::new(folder.path(), "strangers");
    server.sign("localhost", None);
    clients.sign("agent", Some("spiffe://example/agent-7"));
    strangers.sign("agent", Some("spiffe://example/agent-7"));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();

    let sluice = Sluice::start(&["-c", &format!("yaml:{}", config(&server, &clients, "", ""))]);
    let told_to = |sluice: &Sluice, shows, credential| runtime.block_on(told(sluice, tls(&server, shows), credential));
    assert_eq!(told_to(&sluice, Some((&clients, "agent")), None), (Some(200), Some(0)));
    assert_eq!(told_to(&sluice, None, None), (None, None));
    assert_eq!(told_to(&sluice, Some((&strangers, "agent")), None), (None, None));
    sluice.signal("TERM");
    let (_, log, _) = sluice.end();
    assert_eq!(log.matches("who: Str(spiffe://example/agent-7)").count(), 2, "by gRPC and by HTTP: {log}");

    // A token besides: both are needed.
    let token = "extensions: [bearertokenauth], ";
    let with_token = config(&server, &clients, ", auth: {authenticator: bearertokenauth}", token);
    let with_token = format!("{with_token}extensions: {{bearertokenauth: {{token: right}}}}\n");
    let sluice = Sluice::start(&["-c", &format!("yaml:{with_token}")]);
    let agent = Some((&clients, "agent"));
    assert_eq!(told_to(&sluice, agent, Some("Bearer right")), (Some(200), Some(0)));
    assert_eq!(told_to(&sluice, agent, Some("Bearer wrong")), (Some(401), Some(16)));
    assert_eq!(told_to(&sluice, agent, None), (Some(401), Some(16)));
    assert_eq!(told_to(&sluice, None, Some("Bearer right")), (None, None));
}

#[test]
fn of_those_with_a_certificate_only_the_named_are_let_in() {
    let folder = Folder::new("named");
    let (server, clients) = (Authority::new(folder.path(), "server"), Authority::new(folder.path(), "clients"));
    server.sign("localhost", None);
    clients.sign("agent", Some("spiffe://example/agent"));
    clients.sign("other", Some("spiffe://example/other"));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let only = "allowed_spiffe_ids: ['spiffe://example/agent'], client_ca_file";
    let config = config(&server, &clients, "", "").replace("client_ca_file", only);
    let sluice = Sluice::start(&["-c", &format!("yaml:{config}")]);
    let told_to = |shows| runtime.block_on(told(&sluice, tls(&server, shows), None));
    assert_eq!(told_to(Some((&clients, "agent"))), (Some(200), Some(0)));
    assert_eq!(told_to(Some((&clients, "other"))), (None, None));
    assert_eq!(told_to(None), (None, None));
}

#[test]
fn certificates_that_change_are_taken_over_and_broken_ones_are_counted() {
    let folder = Folder::new("rotating");
    let (server, clients) = (Authority::new(folder.path(), "server"), Authority::new(folder.path(), "clients"));
    let (other, later) = (Authority::new(folder.path(), "other"), Authority::new(folder.path(), "later"));
    server.sign("localhost", None);
    clients.sign("agent", None);
    later.sign("agent", None);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let config = config(&server, &clients, "", "").replace("client_ca_file", "reload_interval: 100ms, client_ca_file");
    let mut sluice = Sluice::start(&["-c", &format!("yaml:{config}")]);
    let told_to = |sluice: &Sluice, trusts, shows| runtime.block_on(told(sluice, tls(trusts, shows), None));
    let (yes, no) = ((Some(200), Some(0)), (None, None));
    assert_eq!(told_to(&sluice, &server, Some((&clients, "agent"))), yes);
    assert_eq!(told_to(&sluice, &server, Some((&later, "agent"))), no);

    // Another authority of clients, in one step, as those who write such files do.
    let step = |content: &[u8], file: PathBuf| {
        std::fs::write(file.with_extension("part"), content).unwrap();
        std::fs::rename(file.with_extension("part"), file).unwrap();
    };
    step(later.issuer.pem().as_bytes(), clients.file("ca", "pem"));
    let both = |sluice: &mut Sluice, line| (0..2).for_each(|_| sluice.wait_for(line));
    both(&mut sluice, "changed TLS files are in use");
    assert_eq!(told_to(&sluice, &server, Some((&later, "agent"))), yes);
    assert_eq!(told_to(&sluice, &server, Some((&clients, "agent"))), no);

    // A certificate that is none changes nothing, is told once by each listener, and counted.
    let certificate = std::fs::read(server.file("localhost", "pem")).unwrap();
    step(b"canary", server.file("localhost", "pem"));
    both(&mut sluice, "changed TLS files cannot be used, the old ones stay");
    assert_eq!(told_to(&sluice, &server, Some((&later, "agent"))), yes);
    let metrics = http(sluice.metrics, "GET", "/metrics", &[], b"").body;
    for transport in ["grpc", "http"] {
        let labels = format!("{{receiver=\"otlp\",transport=\"{transport}\"}}");
        let value = |name: &str| {
            let line = metrics.lines().find_map(|line| line.strip_prefix(&format!("{name}{labels} ")));
            line.unwrap_or_else(|| panic!("{name} {metrics}")).parse::<f64>().unwrap()
        };
        assert_eq!(value("sluice_tls_reloads_total"), 1.0);
        assert!(value("sluice_tls_reload_failures_total") >= 1.0);
        assert!(value("sluice_cert_expiry_seconds") > 1.7e9);
    }
    // What was there is no change.
    step(&certificate, server.file("localhost", "pem"));
    assert_eq!(told_to(&sluice, &other, Some((&later, "agent"))), no);
    sluice.signal("TERM");
    let (status, log, _) = sluice.end();
    assert_eq!(status.code(), Some(0), "{log}");
    assert_eq!(log.matches("changed TLS files cannot be used").count(), 2, "{log}");
    assert!(!log.contains("canary"), "{log}");
}
