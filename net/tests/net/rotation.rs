//! Certificates, keys and authorities that change while a listener serves and a client is connected.

use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Method};
use sluice_net::grpc;
use sluice_net::http::{Client, ClientSettings, Outgoing, Proxy};
use sluice_net::listen::Versions;
use sluice_net::tls::{ClientTls, ClientTlsSettings, ServerTls, ServerTlsSettings, TlsSettings};
use sluice_net::{Endpoint, ListenerSettings};

use super::common::*;
use super::tls::Authority;

/// A certificate and its key in files that can be exchanged.
struct Files {
    cert: PathBuf,
    key: PathBuf,
}

impl Files {
    fn new(authority: &Authority, name: &str) -> Self {
        static NUMBER: AtomicUsize = AtomicUsize::new(0);
        let unique = format!("sluice-net-rotation-{}-{}", std::process::id(), NUMBER.fetch_add(1, Ordering::Relaxed));
        let base = std::env::temp_dir().join(unique);
        let files = Files { cert: base.with_extension("pem"), key: base.with_extension("key") };
        files.sign(authority, name);
        files
    }

    fn sign(&self, authority: &Authority, name: &str) {
        let (cert, key) = authority.issue(name);
        std::fs::write(&self.cert, cert).unwrap();
        std::fs::write(&self.key, key).unwrap();
    }

    fn settings(&self, ca: Option<&Authority>) -> TlsSettings {
        TlsSettings {
            ca_file: ca.map(|authority| authority.file.clone()),
            cert_file: Some(self.cert.clone()),
            key_file: Some(self.key.clone()),
            // Longer than any wait below, so that each look is the test's.
            reload_interval: Some(Duration::from_secs(3600)),
            ..TlsSettings::default()
        }
    }
}

impl Drop for Files {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.cert);
        let _ = std::fs::remove_file(&self.key);
    }
}

fn client_tls(files: &Files, ca: &Authority) -> ClientTls {
    ClientTls::new(&ClientTlsSettings { common: files.settings(Some(ca)), ..ClientTlsSettings::default() }).unwrap()
}

fn server_tls(files: &Files, clients: &Authority, versions: Versions) -> ServerTls {
    let client_ca_file = Some(clients.file.clone());
    let settings = ServerTlsSettings { common: files.settings(None), client_ca_file, ..ServerTlsSettings::default() };
    ServerTls::new(settings, versions).unwrap()
}

fn http_client(tls: &ClientTls) -> Client {
    Client::new(ClientSettings { tls: Some(tls.clone()), proxy: Proxy::None, ..ClientSettings::default() }).unwrap()
}

/// The certificate that the server saw of the client, if it let it in.
async fn seen_by(running: &Running, client: &Client) -> Option<Bytes> {
    let outgoing = Outgoing {
        method: Method::POST,
        uri: format!("https://localhost:{}{ECHO}", running.address.port()).parse().unwrap(),
        headers: HeaderMap::new(),
        body: noise(1000),
        timeout: Some(Duration::from_secs(10)),
    };
    let answer = client.send(outgoing).await.ok()?;
    assert_eq!(answer.body, noise(1000));
    Some(Bytes::copy_from_slice(&running.handler.last().head.connection.client_certificates[0]))
}

#[tokio::test]
async fn a_listener_takes_over_its_certificate_its_key_and_the_authority_of_its_clients() {
    let (ours, clients, later) = (Authority::new("r-ours"), Authority::new("r-clients"), Authority::new("r-later"));
    let (server_files, old_files) = (Files::new(&ours, "localhost"), Files::new(&clients, "r-agent"));
    let new_files = Files::new(&later, "r-later-agent");
    let tls = server_tls(&server_files, &clients, Versions::Both);
    let settings = ListenerSettings { tls: Some(tls.clone()), ..loopback() };
    let running = http_with(settings, Handler::default()).await;
    let (old, new) = (http_client(&client_tls(&old_files, &ours)), http_client(&client_tls(&new_files, &ours)));
    let first = seen_by(&running, &old).await.unwrap();
    assert!(seen_by(&running, &new).await.is_none(), "of an authority that is not trusted yet");

    server_files.sign(&ours, "localhost");
    std::fs::write(&clients.file, later.issuer.pem()).unwrap();
    assert!(tls.reload().unwrap());
    assert_eq!(seen_by(&running, &old).await, Some(first), "the connection that is open stays");
    assert!(seen_by(&running, &new).await.is_some(), "the new authority is trusted");
    let stranger = http_client(&client_tls(&old_files, &ours));
    assert!(seen_by(&running, &stranger).await.is_none(), "the old one is not, for new connections");

    // Each file for itself can be broken; the old ones stay, and it is counted.
    let (cert, key) = (std::fs::read(&server_files.cert).unwrap(), std::fs::read(&server_files.key).unwrap());
    let other_key = rcgen::KeyPair::generate().unwrap().serialize_pem().into_bytes();
    let broken: [(&PathBuf, &[u8]); 5] = [
        (&server_files.cert, b"no certificate"),
        (&server_files.key, b""),
        (&server_files.key, &other_key),
        (&clients.file, b"no authority"),
        (&clients.file, b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"),
    ];
    let authority = std::fs::read(&clients.file).unwrap();
    for (number, (file, content)) in (1..).zip(broken) {
        std::fs::write(file, content).unwrap();
        assert!(tls.reload().is_err(), "{number}");
        assert_eq!((tls.status().reloads, tls.status().reload_failures), (1, number));
        let fresh = http_client(&client_tls(&new_files, &ours));
        assert!(seen_by(&running, &fresh).await.is_some(), "{number}: what was there before is in use");
        std::fs::write(&server_files.cert, &cert).unwrap();
        std::fs::write(&server_files.key, &key).unwrap();
        std::fs::write(&clients.file, &authority).unwrap();
        assert!(!tls.reload().unwrap(), "{number}: as before");
    }
    std::fs::remove_file(&server_files.cert).unwrap();
    assert!(tls.reload().is_err(), "a file that is gone");
    assert!(tls.status().not_after.is_some());
}

#[tokio::test]
async fn a_client_shows_its_new_certificate_on_its_next_connection() {
    let (ours, clients) = (Authority::new("c-ours"), Authority::new("c-clients"));
    let (server_files, client_files) = (Files::new(&ours, "localhost"), Files::new(&clients, "c-agent"));
    let tls = Some(server_tls(&server_files, &clients, Versions::Both));
    let running = http_with(ListenerSettings { tls, ..loopback() }, Handler::default()).await;
    let tls = client_tls(&client_files, &ours);
    let live = http_client(&tls);
    let first = seen_by(&running, &live).await.unwrap();

    client_files.sign(&clients, "c-agent");
    let watch = tls.watch();
    assert_eq!(watch.look().unwrap().reloads, 0, "it is not time yet");
    assert!(tls.reload().unwrap());
    assert_eq!(seen_by(&running, &live).await, Some(first.clone()), "the connection that is open stays");
    let second = seen_by(&running, &http_client(&tls)).await.unwrap();
    assert_ne!(second, first);

    // A broken key leaves the pair before in use.
    std::fs::write(&client_files.key, "broken").unwrap();
    assert!(tls.reload().is_err());
    assert_eq!(seen_by(&running, &http_client(&tls)).await, Some(second));
    assert_eq!((tls.status().reloads, tls.status().reload_failures), (1, 1));

    // So does an authority that is none; a new one changes whom the client trusts.
    client_files.sign(&clients, "c-agent");
    let authority = std::fs::read(&ours.file).unwrap();
    std::fs::write(&ours.file, "broken").unwrap();
    assert!(tls.reload().is_err());
    assert!(seen_by(&running, &http_client(&tls)).await.is_some());
    std::fs::write(&ours.file, clients.issuer.pem()).unwrap();
    assert!(tls.reload().unwrap());
    assert!(seen_by(&running, &http_client(&tls)).await.is_none(), "the server's authority is not trusted any more");
    std::fs::write(&ours.file, authority).unwrap();
    assert!(tls.reload().unwrap());
    assert!(seen_by(&running, &http_client(&tls)).await.is_some());
    drop((tls, live));
    assert!(watch.look().is_none(), "nobody uses the files any more");
}

#[tokio::test]
async fn a_grpc_client_that_lost_its_connection_comes_back_with_what_the_files_hold_then() {
    let (ours, clients) = (Authority::new("g-ours"), Authority::new("g-clients"));
    let (server_files, client_files) = (Files::new(&ours, "localhost"), Files::new(&clients, "g-agent"));
    let server = server_tls(&server_files, &clients, Versions::Http2);
    let running = grpc_with(ListenerSettings { tls: Some(server.clone()), ..loopback() }, Handler::default()).await;
    let tls = client_tls(&client_files, &ours);
    let endpoint = Endpoint::parse(&format!("https://localhost:{}", running.address.port())).unwrap();
    let settings = grpc::ClientSettings {
        tls: Some(tls.clone()),
        proxy: Proxy::None,
        wait_for_ready: true,
        ..grpc::ClientSettings::new(endpoint)
    };
    let client = grpc::Client::new(settings).unwrap();
    let call = async |running: &Running| {
        let timeout = Some(Duration::from_secs(10));
        let message = noise(1000).into();
        let outgoing = grpc::Outgoing { path: ECHO, message, encoding: None, timeout, headers: HeaderMap::new() };
        let answered = client.call(outgoing).await.is_ok();
        answered.then(|| running.handler.last().head.connection.client_certificates[0].to_vec())
    };
    let first = call(&running).await.unwrap();
    client_files.sign(&clients, "g-agent");
    assert!(tls.reload().unwrap());
    assert_eq!(call(&running).await.as_ref(), Some(&first), "the connection that is open stays");
    assert_eq!(running.server.counters().accepted, 1);
    let address = running.address.to_string();
    running.server.shutdown(Duration::from_secs(1)).await;
    let settings = ListenerSettings { tls: Some(server), ..ListenerSettings::tcp(&address) };
    let running = grpc_with(settings, Handler::default()).await;
    let second = call(&running).await.unwrap();
    assert_ne!(second, first);
}
