//! The HTTP server against a raw socket and our client.

use std::time::Duration;

use bytes::Bytes;
use sluice_net::Encoding;
use sluice_net::http::{AddressPolicy, Answer, Client, ClientSettings, HeaderMap, Method, Outgoing, Proxy, SendError};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::common::*;

fn client() -> Client {
    Client::new(ClientSettings::default()).unwrap()
}

fn post(running: &Running, path: &str, body: Bytes) -> Outgoing {
    Outgoing {
        method: Method::POST,
        uri: format!("http://{}{path}", running.address).parse().unwrap(),
        headers: HeaderMap::new(),
        body,
        timeout: Some(Duration::from_secs(10)),
    }
}

/// Sends bytes as they are and reads until the server closes.
async fn raw(running: &Running, request: &[u8]) -> String {
    let mut stream = TcpStream::connect(running.address).await.unwrap();
    stream.write_all(request).await.unwrap();
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer).await;
    String::from_utf8_lossy(&answer).into_owned()
}

fn text(answer: &Answer) -> String {
    String::from_utf8_lossy(&answer.body).into_owned()
}

#[tokio::test]
async fn bodies_of_all_sizes_and_encodings_arrive() {
    let running = http().await;
    let client = client();
    for len in [0, 1, 8_193, 65_536, 411_000, 4 << 20] {
        let answer = client.send(post(&running, ECHO, noise(len))).await.unwrap();
        assert_eq!((answer.status.as_u16(), answer.body), (200, noise(len)), "{len}");
    }
    for encoding in Encoding::ALL {
        let packed = sluice_net::compression::compress(encoding, None, &noise(300_000)).unwrap();
        let mut request = post(&running, ECHO, packed.clone());
        request.headers.insert("content-encoding", encoding.name().parse().unwrap());
        let answer = client.send(request).await.unwrap();
        assert_eq!((answer.status.as_u16(), answer.body), (200, noise(300_000)));
        let seen = running.handler.last();
        assert_eq!((seen.bytes, seen.encoding), (packed, Some(encoding)));
    }
    eventually("all memory is given back", || running.out() == 0).await;
}

#[tokio::test]
async fn http2_by_prior_knowledge_is_served_on_the_same_listener() {
    let running = http().await;
    let stream = TcpStream::connect(running.address).await.unwrap();
    let (mut send, connection) = h2::client::handshake(stream).await.unwrap();
    tokio::spawn(connection);
    let request = http::Request::post(format!("http://localhost{ECHO}")).body(()).unwrap();
    let (response, mut body) = send.send_request(request, false).unwrap();
    body.send_data(noise(20_000), true).unwrap();
    let mut body = response.await.unwrap().into_body();
    let mut echoed = Vec::new();
    while let Some(piece) = body.data().await {
        let piece = piece.unwrap();
        body.flow_control().release_capacity(piece.len()).unwrap();
        echoed.extend_from_slice(&piece);
    }
    assert_eq!(echoed, noise(20_000));
    assert_eq!(running.handler.last().head.version, http::Version::HTTP_2);
}

#[tokio::test]
async fn chunked_bodies_are_read_and_bounded() {
    let handler = Handler { max_wire_bytes: 100_000, ..Handler::default() };
    let running = http_with(loopback(), handler).await;
    let chunked = |pieces: usize, size: usize| {
        let mut request =
            format!("POST {ECHO} HTTP/1.1\r\nhost: x\r\nconnection: close\r\ntransfer-encoding: chunked\r\n\r\n")
                .into_bytes();
        for _ in 0..pieces {
            request.extend_from_slice(format!("{size:x}\r\n{}\r\n", "a".repeat(size)).as_bytes());
        }
        request.extend_from_slice(b"0\r\n\r\n");
        request
    };
    let answer = raw(&running, &chunked(100, 1_000)).await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{}", &answer[..100]);
    assert!(answer.ends_with(&"a".repeat(100_000)));
    assert_eq!(running.handler.last().reserved, 100_000);
    let answer = raw(&running, &chunked(101, 1_000)).await;
    assert!(answer.starts_with("HTTP/1.1 413"), "{answer}");
    eventually("all memory is given back", || running.out() == 0).await;
}

#[tokio::test]
async fn refusals_have_their_status_and_headers() {
    let running = http().await;
    let client = client();
    let answer = client.send(post(&running, "/nothing", noise(10))).await.unwrap();
    assert_eq!((answer.status.as_u16(), text(&answer).as_str()), (404, "404 page not found"));
    let get = Outgoing { method: Method::GET, ..post(&running, ECHO, Bytes::new()) };
    let answer = client.send(get).await.unwrap();
    assert_eq!((answer.status.as_u16(), answer.headers["allow"].to_str().unwrap()), (405, "POST"));
    for encoding in ["br", "gzip, gzip", "compress"] {
        let mut request = post(&running, ECHO, noise(10));
        request.headers.insert("content-encoding", encoding.parse().unwrap());
        let answer = client.send(request).await.unwrap();
        assert_eq!(answer.status.as_u16(), 400);
        assert_eq!(text(&answer), format!("unsupported Content-Encoding: {encoding}"));
    }
    let mut twice = post(&running, ECHO, noise(10));
    twice.headers.append("content-encoding", "gzip".parse().unwrap());
    twice.headers.append("content-encoding", "gzip".parse().unwrap());
    assert_eq!(client.send(twice).await.unwrap().status.as_u16(), 400);
    let mut typed = post(&running, ECHO, noise(10));
    typed.headers.insert("content-type", "text/plain; charset=utf-8".parse().unwrap());
    assert_eq!(client.send(typed).await.unwrap().status.as_u16(), 415);
    let answer = client.send(post(&running, PANIC, noise(10))).await.unwrap();
    assert_eq!((answer.status.as_u16(), text(&answer).as_str()), (500, "internal error"));
    let answer = client.send(post(&running, &format!("/{}", "a".repeat(5_000)), noise(10))).await.unwrap();
    assert_eq!(answer.status.as_u16(), 414);
    let mut many = post(&running, ECHO, noise(10));
    for index in 0..70 {
        many.headers.insert(http::HeaderName::try_from(format!("x-{index}")).unwrap(), "1".parse().unwrap());
    }
    assert_eq!(client.send(many).await.unwrap().status.as_u16(), 431);
    let mut large = post(&running, ECHO, noise(10));
    large.headers.insert("x-large", "a".repeat(20_000).parse().unwrap());
    assert_eq!(client.send(large).await.unwrap().status.as_u16(), 431);
}

#[tokio::test]
async fn a_declared_length_is_judged_before_a_byte_is_read() {
    let handler = Handler { max_wire_bytes: 100_000, ..Handler::default() };
    let running = http_with(loopback(), handler).await;
    let head =
        |length: &str| format!("POST {ECHO} HTTP/1.1\r\nhost: x\r\ncontent-length: {length}\r\n\r\n").into_bytes();
    for length in ["100001", "9999999999999"] {
        let answer = raw(&running, &head(length)).await;
        assert!(answer.starts_with("HTTP/1.1 413"), "{answer}");
        assert!(answer.contains("connection: close"), "{answer}");
    }
    assert_eq!(running.server.counters().body_too_large, 2);
}

#[tokio::test]
async fn a_full_budget_is_503_with_retry_after() {
    let running =
        http_with(loopback(), Handler { budget: std::sync::Arc::new(Budget::of(100_000)), ..Handler::default() }).await;
    let held = sluice_net::Reserve::reserve(running.handler.budget.as_ref(), 90_000).await.unwrap();
    let answer = client().send(post(&running, ECHO, noise(20_000))).await.unwrap();
    assert_eq!((answer.status.as_u16(), text(&answer).as_str()), (503, "memory budget exhausted"));
    assert!((1..=5).contains(&answer.retry_after.unwrap().as_secs()));
    drop(held);
    let answer = client().send(post(&running, ECHO, noise(100_001))).await.unwrap();
    assert_eq!(answer.status.as_u16(), 413);
    assert_eq!(client().send(post(&running, ECHO, noise(100_000))).await.unwrap().status.as_u16(), 200);
}

#[tokio::test]
async fn shutting_down_closes_after_the_answer() {
    let running = http().await;
    let mut stream = TcpStream::connect(running.address).await.unwrap();
    let request = format!("POST {WAIT} HTTP/1.1\r\nhost: x\r\ncontent-length: 1\r\n\r\na");
    stream.write_all(request.as_bytes()).await.unwrap();
    running.handler.entered.notified().await;
    let handler = running.handler;
    let stopping = tokio::spawn(running.server.shutdown(Duration::from_secs(5)));
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
    handler.release.notify_one();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200") && answer.contains("connection: close"), "{answer}");
    assert_eq!(stopping.await.unwrap(), 0);
}

#[tokio::test]
async fn a_request_whose_head_has_begun_is_answered_before_the_listener_ends() {
    for (retires, status) in [(false, "HTTP/1.1 503"), (true, "HTTP/1.1 200")] {
        let running = http().await;
        let mut stream = TcpStream::connect(running.address).await.unwrap();
        let request = format!("POST {ECHO} HTTP/1.1\r\nhost: x\r\ncontent-length: 1\r\n\r\na");
        let (half, rest) = request.as_bytes().split_at(30);
        stream.write_all(half).await.unwrap();
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
        let (server, patience) = (running.server, Duration::from_secs(5));
        let stopping = tokio::spawn(async move {
            if retires { server.retire(patience).await } else { server.shutdown(patience).await }
        });
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
        stream.write_all(rest).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        assert!(answer.starts_with(status) && answer.contains("connection: close"), "{answer}");
        assert_eq!(stopping.await.unwrap(), 0);
    }
}

/// Answers every connection with the same bytes.
async fn scripted(answer: Vec<u8>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let answer = answer.clone();
            tokio::spawn(async move {
                let mut request = [0; 4096];
                let _ = stream.read(&mut request).await;
                let _ = stream.write_all(&answer).await;
            });
        }
    });
    format!("http://{address}/")
}

async fn answered(answer: Vec<u8>) -> Result<Answer, SendError> {
    let uri = scripted(answer).await.parse().unwrap();
    let timeout = Some(Duration::from_secs(10));
    client().send(Outgoing { method: Method::POST, uri, headers: HeaderMap::new(), body: noise(10), timeout }).await
}

#[tokio::test]
async fn answers_are_handed_over_whatever_their_status() {
    let redirect = b"HTTP/1.1 307 Temporary Redirect\r\nlocation: http://other/\r\ncontent-length: 0\r\n\r\n".to_vec();
    let answer = answered(redirect).await.unwrap();
    assert_eq!(
        (answer.status.as_u16(), answer.location.as_deref()),
        (307, Some("http://other/")),
        "it is not followed"
    );
    let busy = b"HTTP/1.1 503 Busy\r\nretry-after: 12\r\ncontent-length: 2\r\n\r\nno".to_vec();
    let answer = answered(busy).await.unwrap();
    assert_eq!((answer.status.as_u16(), answer.retry_after), (503, Some(Duration::from_secs(12))));
    assert_eq!(text(&answer), "no");
}

#[tokio::test]
async fn hostile_answers_are_cut_off() {
    let mut endless = b"HTTP/1.1 200 OK\r\n\r\n".to_vec();
    endless.resize(5 << 20, b'a');
    assert!(matches!(answered(endless).await, Err(SendError::TooLarge { limit: 4_194_304 })));
    let mut large_head = b"HTTP/1.1 200 OK\r\nx-large: ".to_vec();
    large_head.resize(200_000, b'a');
    assert!(matches!(answered(large_head).await, Err(SendError::TooLarge { limit: 16_384 })));
    assert!(matches!(answered(b"nonsense\r\n\r\n".to_vec()).await, Err(SendError::Reset(_))));
    assert!(matches!(answered(b"".to_vec()).await, Err(SendError::Reset(_))));
}

#[tokio::test]
async fn compressed_answers_are_read_within_bounds() {
    let answer = async |encoding: &str, body: &[u8]| {
        let head = format!("HTTP/1.1 200 OK\r\ncontent-encoding: {encoding}\r\ncontent-length: {}\r\n\r\n", body.len());
        answered([head.as_bytes(), body].concat()).await.unwrap()
    };
    let packed = sluice_net::compression::compress(Encoding::Gzip, None, &noise(100_000)).unwrap();
    let plain = answer("gzip", &packed).await.decompressed(100_000);
    assert_eq!(plain.unwrap(), noise(100_000));
    assert!(answer("gzip", &packed).await.decompressed(99_999).is_err());
    assert!(answer("br", &packed).await.decompressed(1 << 20).is_err());
    assert_eq!(answer("identity", b"abc").await.decompressed(3).unwrap(), "abc");
    assert!(answer("identity", b"abc").await.decompressed(2).is_err());
    let bomb = sluice_net::compression::compress(Encoding::Gzip, Some(9), &vec![0; 20 << 20]).unwrap();
    assert!(answer("gzip", &bomb).await.decompressed(1 << 30).is_err());
}

#[tokio::test]
async fn nobody_listening_is_a_connection_error_and_silence_a_timeout() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let uri: http::Uri = format!("http://{}/", listener.local_addr().unwrap()).parse().unwrap();
    let request = |timeout| Outgoing {
        method: Method::POST,
        uri: uri.clone(),
        headers: HeaderMap::new(),
        body: noise(10),
        timeout: Some(timeout),
    };
    let silent = client().send(request(Duration::from_millis(20))).await;
    assert!(matches!(silent, Err(SendError::Timeout(_))), "{silent:?}");
    drop(listener);
    let refused = client().send(request(Duration::from_secs(10))).await;
    assert!(matches!(refused, Err(SendError::Connect { certificate: false, .. })), "{refused:?}");
}

#[tokio::test]
async fn guarded_clients_do_not_reach_this_machine_by_number_or_by_name() {
    let running = http().await;
    let guarded = Client::new(ClientSettings {
        addresses: AddressPolicy::Guarded(Vec::new()),
        proxy: Proxy::None,
        ..ClientSettings::default()
    })
    .unwrap();
    let port = running.address.port();
    for host in ["127.0.0.1", "localhost", "[::1]", "[::ffff:127.0.0.1]", "0.0.0.0"] {
        let uri = format!("http://{host}:{port}{ECHO}").parse().unwrap();
        let refused = guarded.send(Outgoing { uri, ..post(&running, ECHO, noise(10)) }).await;
        let Err(SendError::Connect { message, .. }) = refused else { panic!("{host}: {refused:?}") };
        assert_eq!(message, "address is not allowed", "{host}");
    }
    assert_eq!(running.server.counters().accepted, 0);
    let addresses = AddressPolicy::Guarded(vec!["127.0.0.0/8".parse().unwrap()]);
    let allowed = Client::new(ClientSettings { addresses, proxy: Proxy::None, ..ClientSettings::default() }).unwrap();
    assert_eq!(allowed.send(post(&running, ECHO, noise(10))).await.unwrap().status, 200);
}

#[tokio::test]
async fn requests_go_through_a_proxy_in_plain_and_by_tunnel() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let proxy = Proxy::Url(format!("http://user:secret@{}", listener.local_addr().unwrap()));
    let client = Client::new(ClientSettings { proxy, ..ClientSettings::default() }).unwrap();
    let send = |uri: &str| {
        let (client, uri) = (client.clone(), uri.parse().unwrap());
        let headers = HeaderMap::new();
        let timeout = Some(Duration::from_secs(10));
        tokio::spawn(async move {
            client.send(Outgoing { method: Method::POST, uri, headers, body: noise(3), timeout }).await
        })
    };
    let mut head = [0; 4096];

    let plain = send("http://backend.example/write");
    let (mut stream, _) = listener.accept().await.unwrap();
    let read = stream.read(&mut head).await.unwrap();
    let text = String::from_utf8_lossy(&head[..read]).to_lowercase();
    assert!(text.starts_with("post http://backend.example/write http/1.1"), "{text}");
    assert!(text.contains("proxy-authorization: basic dxnlcjpzzwnyzxq="), "{text}");
    stream.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").await.unwrap();
    assert_eq!(plain.await.unwrap().unwrap().status, 204);

    let tunnel = send("https://backend.example/write");
    let (mut stream, _) = listener.accept().await.unwrap();
    let read = stream.read(&mut head).await.unwrap();
    let text = String::from_utf8_lossy(&head[..read]).to_lowercase();
    assert!(text.starts_with("connect backend.example:443 http/1.1"), "{text}");
    assert!(text.contains("proxy-authorization: basic dxnlcjpzzwnyzxq="), "{text}");
    stream.write_all(b"HTTP/1.1 403 Forbidden\r\n\r\n").await.unwrap();
    assert!(matches!(tunnel.await.unwrap(), Err(SendError::Connect { .. })));
}
