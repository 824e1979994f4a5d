//! Clients behind a proxy that knows where names lead.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Method};
use sluice_net::grpc::{self, CallError};
use sluice_net::http::{Client, ClientSettings, Outgoing, Proxy, ProxyRules, SendError};
use sluice_net::listen::Versions;
use sluice_net::tls::{ClientTls, ServerTls};
use sluice_net::{Endpoint, ListenerSettings};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};

use super::common::*;
use super::tls::Authority;

/// A proxy that opens tunnels to one place, whatever it is asked for.
struct ConnectProxy {
    address: SocketAddr,
    /// Heads of the requests, in lower case.
    asked: Arc<Mutex<Vec<String>>>,
}

impl ConnectProxy {
    async fn to(target: SocketAddr, answer: &'static str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let asked = Arc::<Mutex<Vec<String>>>::default();
        let noted = Arc::clone(&asked);
        tokio::spawn(async move {
            while let Ok((mut near, _)) = listener.accept().await {
                let noted = Arc::clone(&noted);
                tokio::spawn(async move {
                    let mut head = Vec::new();
                    while !head.ends_with(b"\r\n\r\n") {
                        let Ok(byte) = near.read_u8().await else { return };
                        head.push(byte);
                    }
                    noted.lock().unwrap().push(String::from_utf8(head).unwrap().to_lowercase());
                    near.write_all(answer.as_bytes()).await.unwrap();
                    if answer.contains(" 200 ") {
                        let mut far = TcpStream::connect(target).await.unwrap();
                        let _ = copy_bidirectional(&mut near, &mut far).await;
                    }
                });
            }
        });
        ConnectProxy { address, asked }
    }

    fn rules(&self, no_proxy: &str) -> Proxy {
        let https = format!("http://user:secret@{}", self.address);
        Proxy::Rules(ProxyRules { https, no_proxy: no_proxy.to_owned(), ..ProxyRules::default() })
    }

    fn asked(&self) -> Vec<String> {
        std::mem::take(&mut *self.asked.lock().unwrap())
    }
}

const OPENED: &str = "HTTP/1.1 200 Connection established\r\n\r\n";

fn grpc_client(endpoint: &str, proxy: Proxy, tls: Option<ClientTls>) -> grpc::Client {
    let endpoint = Endpoint::parse(endpoint).unwrap();
    grpc::Client::new(grpc::ClientSettings { proxy, tls, ..grpc::ClientSettings::new(endpoint) }).unwrap()
}

fn echo(message: Bytes) -> grpc::Outgoing {
    let timeout = Some(Duration::from_secs(10));
    grpc::Outgoing { path: ECHO, message: message.into(), encoding: None, timeout, headers: HeaderMap::new() }
}

#[tokio::test]
async fn grpc_goes_through_the_proxy_for_https_in_plain_text_too() {
    let running = grpc().await;
    let proxy = ConnectProxy::to(running.address, OPENED).await;
    let client = grpc_client("backend.invalid:4317", proxy.rules(""), None);
    for len in [10, 1 << 20] {
        assert_eq!(client.call(echo(noise(len))).await.unwrap().message, noise(len));
    }
    let asked = proxy.asked();
    assert_eq!(asked.len(), 1, "one tunnel for all calls: {asked:?}");
    assert!(asked[0].starts_with("connect backend.invalid:4317 http/1.1\r\n"), "{asked:?}");
    assert!(asked[0].contains("\r\nproxy-authorization: basic dxnlcjpzzwnyzxq=\r\n"), "{asked:?}");
    let head = running.handler.last().head;
    assert_eq!(head.uri.authority().unwrap(), "backend.invalid:4317");
    assert_eq!(head.single("proxy-authorization"), None, "the origin does not see it");
}

#[tokio::test]
async fn grpc_with_tls_verifies_the_target_and_not_the_proxy() {
    let authority = Authority::new("behind-proxy");
    let tls = Some(ServerTls::new(authority.server(None), Versions::Http2).unwrap());
    let running = grpc_with(ListenerSettings { tls, ..loopback() }, Handler::default()).await;
    let proxy = ConnectProxy::to(running.address, OPENED).await;
    let through = Proxy::Url(format!("http://{}", proxy.address));
    let tls = || Some(ClientTls::new(&authority.client()).unwrap());
    let client = grpc_client("https://localhost:4317", through.clone(), tls());
    assert_eq!(client.call(echo(noise(100_000))).await.unwrap().message, noise(100_000));
    assert!(proxy.asked()[0].starts_with("connect localhost:4317 http/1.1\r\n"));
    let client = grpc_client("https://other.example:4317", through, tls());
    let refused = client.call(echo(noise(1))).await;
    assert!(matches!(refused, Err(CallError::Connect { certificate: true, .. })), "{refused:?}");
}

#[tokio::test]
async fn what_the_environment_exempts_is_called_directly() {
    let running = grpc().await;
    let proxy = ConnectProxy::to(running.address, OPENED).await;
    let client = grpc_client(&running.authority(), proxy.rules(""), None);
    assert_eq!(client.call(echo(noise(9))).await.unwrap().message, noise(9), "this machine");
    let client = grpc_client("backend.invalid:4317", proxy.rules("example.com,.invalid"), None);
    assert!(matches!(client.call(echo(noise(9))).await, Err(CallError::Connect { .. })), "no such host");
    assert!(proxy.asked().is_empty());
}

#[tokio::test]
async fn a_proxy_that_refuses_or_cannot_be_used_fails_the_call() {
    let running = grpc().await;
    let cases = [
        ("HTTP/1.1 403 canary\r\n\r\n", "refused to connect to backend.invalid:4317 (status 403)"),
        ("HTTP/1.1 407 canary\r\n\r\n", "asks for other credentials"),
        ("SSH-2.0-canary\r\n\r\n", "does not answer in HTTP"),
    ];
    for (answer, expected) in cases {
        let proxy = ConnectProxy::to(running.address, answer).await;
        let refused = grpc_client("backend.invalid:4317", proxy.rules(""), None).call(echo(noise(1))).await;
        let Err(CallError::Connect { message, certificate: false }) = refused else { panic!("{refused:?}") };
        assert!(message.contains(expected) && !message.contains("canary"), "{message}");
    }
    let socks = Proxy::Url("socks5://127.0.0.1:1".to_owned());
    let refused = grpc_client("backend.invalid:4317", socks.clone(), None).call(echo(noise(1))).await;
    let Err(CallError::Connect { message, .. }) = refused else { panic!("{refused:?}") };
    assert!(message.contains("proxies are reached by http:// only"), "{message}");
    let client = Client::new(ClientSettings { proxy: socks, ..ClientSettings::default() }).unwrap();
    let refused = client.send(post("http://backend.invalid/")).await;
    let Err(SendError::Connect { message, .. }) = refused else { panic!("{refused:?}") };
    assert!(message.contains("proxies are reached by http:// only"), "{message}");
    assert!(running.handler.seen.lock().unwrap().is_empty());
}

fn post(uri: &str) -> Outgoing {
    let (uri, timeout) = (uri.parse().unwrap(), Some(Duration::from_secs(10)));
    Outgoing { method: Method::POST, uri, headers: HeaderMap::new(), body: noise(300_000), timeout }
}

#[tokio::test]
async fn https_requests_go_through_a_tunnel_to_the_end() {
    let authority = Authority::new("http-behind-proxy");
    let (cert, key) = authority.issue("backend.example");
    let mut settings = authority.server(None);
    (settings.common.cert_pem, settings.common.key_pem) = (Some(cert), Some(key));
    let tls = Some(ServerTls::new(settings, Versions::Both).unwrap());
    let running = http_with(ListenerSettings { tls, ..loopback() }, Handler::default()).await;
    let proxy = ConnectProxy::to(running.address, OPENED).await;
    for http2 in [true, false] {
        let tls = Some(ClientTls::new(&authority.client()).unwrap());
        let settings = ClientSettings { tls, http2, proxy: proxy.rules(""), ..ClientSettings::default() };
        let client = Client::new(settings).unwrap();
        let uri = format!("https://backend.example:8443{ECHO}");
        assert_eq!(client.send(post(&uri)).await.unwrap().body, noise(300_000));
        let asked = proxy.asked();
        assert!(asked[0].starts_with("connect backend.example:8443 http/1.1\r\n"), "{asked:?}");
        assert!(asked[0].contains("\r\nproxy-authorization: basic dxnlcjpzzwnyzxq=\r\n"), "{asked:?}");
        assert_eq!(running.handler.last().head.single("proxy-authorization"), None);
    }
}
