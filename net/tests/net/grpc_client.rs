//! Our client against our server, and against servers that misbehave.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Response};
use sluice_net::grpc::{CallError, Client, ClientSettings, Code, Keepalive, Outgoing};
use sluice_net::{Encoding, Endpoint};
use tokio::net::TcpListener;

use super::common::*;

fn client(authority: &str) -> Client {
    Client::new(ClientSettings::new(Endpoint::parse(authority).unwrap())).unwrap()
}

fn outgoing(message: Bytes) -> Outgoing {
    let message = message.into();
    Outgoing { path: ECHO, message, encoding: None, timeout: Some(Duration::from_secs(10)), headers: HeaderMap::new() }
}

#[tokio::test]
async fn messages_of_all_sizes_come_back() {
    let running = grpc().await;
    let client = client(&running.authority());
    for len in [0, 1, 8_192, 16_384, 411_000, 1 << 20, 4 << 20] {
        let body = noise(len);
        assert_eq!(client.call(outgoing(body.clone())).await.unwrap().message, body, "{len}");
    }
    assert_eq!(running.server.counters().accepted, 1, "all calls share one connection");
}

#[tokio::test]
async fn calls_share_the_connection_at_the_same_time() {
    let running = grpc().await;
    let client = client(&running.authority());
    let calls: Vec<_> = (0..50)
        .map(|index| {
            let client = client.clone();
            tokio::spawn(async move { client.call(outgoing(noise(index * 1_000))).await.unwrap().message.len() })
        })
        .collect();
    for (index, call) in calls.into_iter().enumerate() {
        assert_eq!(call.await.unwrap(), index * 1_000);
    }
    assert_eq!(running.server.counters().accepted, 1);
}

#[tokio::test]
async fn a_message_in_pieces_arrives_as_one() {
    let running = grpc().await;
    let client = client(&running.authority());
    let whole = noise(3 << 20);
    let pieces = [0..5, 5..5, 5..100_000, 100_000..1_000_000, 1_000_000..whole.len()];
    let message = pieces.into_iter().map(|range| whole.slice(range)).collect();
    let call = Outgoing { message, ..outgoing(Bytes::new()) };
    assert_eq!(client.call(call).await.unwrap().message, whole);
}

#[tokio::test]
async fn compressed_bytes_are_sent_as_they_are() {
    let running = grpc().await;
    let client = client(&running.authority());
    let plain = noise(100_000);
    for encoding in [Encoding::Gzip, Encoding::Zstd] {
        let packed = sluice_net::compression::compress(encoding, None, &plain).unwrap();
        let call = Outgoing { encoding: Some(encoding), ..outgoing(packed.clone()) };
        assert_eq!(client.call(call).await.unwrap().message, plain);
        let seen = running.handler.last();
        assert_eq!((seen.bytes, seen.encoding), (packed, Some(encoding)));
    }
    let packed = sluice_net::compression::compress(Encoding::Deflate, None, &plain).unwrap();
    let refused = client.call(Outgoing { encoding: Some(Encoding::Deflate), ..outgoing(packed) }).await;
    let Err(CallError::Status(status)) = refused else { panic!("{refused:?}") };
    assert_eq!(status.code, Code::Unimplemented);
    assert_eq!(status.accept_encoding.as_deref(), Some("identity,gzip,zstd,snappy"));
}

#[tokio::test]
async fn headers_are_added_only_if_absent() {
    let running = grpc().await;
    let mut settings = ClientSettings::new(Endpoint::parse(&running.authority()).unwrap());
    settings.headers.insert("x-tenant", "a".parse().unwrap());
    settings.headers.insert("x-other", "b".parse().unwrap());
    settings.authority = Some("collector.example".to_owned());
    settings.user_agent = "agent/1".to_owned();
    let client = Client::new(settings).unwrap();
    let mut call = outgoing(noise(1));
    call.headers.insert("x-tenant", "own".parse().unwrap());
    client.call(call).await.unwrap();
    let head = running.handler.last().head;
    let header = |name| head.single(name).unwrap().to_owned();
    assert_eq!((header("x-tenant"), header("x-other")), ("own".to_owned(), "b".to_owned()));
    assert_eq!((header("user-agent"), header("te")), ("agent/1".to_owned(), "trailers".to_owned()));
    assert_eq!(header("grpc-timeout"), "10000m");
    assert_eq!(head.uri.authority().unwrap(), "collector.example");
}

#[tokio::test]
async fn statuses_come_with_their_delay() {
    let running = grpc().await;
    let client = client(&running.authority());
    let refused = client.call(Outgoing { path: UNAVAILABLE, ..outgoing(noise(10)) }).await;
    let Err(CallError::Status(status)) = refused else { panic!("{refused:?}") };
    assert_eq!((status.code, status.message.as_str()), (Code::Unavailable, "queue is full"));
    assert!((1..=5).contains(&status.retry_delay.unwrap().as_secs()));
}

#[tokio::test]
async fn the_timeout_spans_the_whole_call() {
    let running = grpc().await;
    let client = client(&running.authority());
    let limit = Duration::from_millis(30);
    let refused = client.call(Outgoing { path: WAIT, timeout: Some(limit), ..outgoing(noise(10)) }).await;
    // Whichever clock runs out first.
    match refused {
        Err(CallError::Timeout(after)) => assert_eq!(after, limit),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn nobody_listening_is_a_connection_error_and_fails_fast_after_that() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let client = client(&address.to_string());
    for _ in 0..3 {
        let refused = client.call(outgoing(noise(10))).await;
        assert!(matches!(refused, Err(CallError::Connect { certificate: false, .. })), "{refused:?}");
    }
}

#[tokio::test]
async fn wait_for_ready_waits_for_the_server_to_come_up() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let endpoint = Endpoint::parse(&address.to_string()).unwrap();
    let client = Client::new(ClientSettings { wait_for_ready: true, ..ClientSettings::new(endpoint.clone()) }).unwrap();
    let fails = Client::new(ClientSettings::new(endpoint)).unwrap();
    assert!(fails.call(outgoing(noise(10))).await.is_err(), "nobody is there yet");
    let waiting = tokio::spawn(async move { client.call(outgoing(noise(10))).await });
    for _ in 0..50 {
        tokio::task::yield_now().await;
    }
    let settings = sluice_net::ListenerSettings { bind: sluice_net::Bind::Tcp(address.to_string()), ..loopback() };
    let _running = grpc_with(settings, Handler::default()).await;
    assert!(waiting.await.unwrap().is_ok());
}

#[tokio::test]
async fn a_lost_connection_comes_back_by_itself() {
    let running = grpc().await;
    let address = running.address;
    let client = client(&running.authority());
    client.call(outgoing(noise(10))).await.unwrap();
    running.server.shutdown(Duration::from_secs(1)).await;
    let mut settings = loopback();
    settings.bind = sluice_net::Bind::Tcp(address.to_string());
    let again = grpc_with(settings, Handler::default()).await;
    client.call(outgoing(noise(10))).await.unwrap();
    assert_eq!(again.server.counters().accepted, 1);
}

#[tokio::test]
async fn keepalive_finds_a_dead_server() {
    // Accepts and never says a word.
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let silent = tokio::spawn(async move { listener.accept().await.unwrap().0 });
    let keepalive =
        Keepalive { time: Duration::from_millis(20), timeout: Duration::from_millis(20), permit_without_stream: true };
    let settings = ClientSettings {
        keepalive: Some(keepalive),
        ..ClientSettings::new(Endpoint::parse(&address.to_string()).unwrap())
    };
    let client = Client::new(settings).unwrap();
    let refused = client.call(Outgoing { timeout: None, ..outgoing(noise(10)) }).await;
    assert!(matches!(refused, Err(CallError::Reset { .. })), "{refused:?}");
    drop(silent.await.unwrap());
}

/// Serves one scripted answer to every request.
async fn scripted(
    head: impl Fn() -> Response<()> + Send + 'static,
    data: Vec<Bytes>,
    trailers: Option<HeaderMap>,
) -> Client {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        let mut connection = h2::server::handshake(stream).await.unwrap();
        while let Some(Ok((_request, mut respond))) = connection.accept().await {
            let ends = data.is_empty() && trailers.is_none();
            let mut body = respond.send_response(head(), ends).unwrap();
            if ends {
                continue;
            }
            let (data, trailers) = (data.clone(), trailers.clone());
            tokio::spawn(async move {
                let last = data.len();
                for (index, piece) in data.into_iter().enumerate() {
                    if body.send_data(piece, trailers.is_none() && index + 1 == last).is_err() {
                        return;
                    }
                }
                if let Some(trailers) = trailers {
                    let _ = body.send_trailers(trailers);
                }
            });
        }
    });
    client(&address.to_string())
}

fn ok() -> Response<()> {
    Response::builder().header("content-type", "application/grpc").body(()).unwrap()
}

fn trailers(fields: &[(&'static str, &'static str)]) -> Option<HeaderMap> {
    Some(fields.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect())
}

#[tokio::test]
async fn misbehaving_servers_are_understood_as_far_as_possible() {
    let ok_trailers = || trailers(&[("grpc-status", "0")]);
    let one = |bytes: &'static [u8]| vec![Bytes::from_static(bytes)];
    let cases: Vec<(&str, Client, &str)> = vec![
        (
            "split",
            scripted(ok, vec![Bytes::from_static(b"\0\0\0"), Bytes::from_static(b"\0\x01a")], ok_trailers()).await,
            "Ok",
        ),
        ("no status", scripted(ok, one(b"\0\0\0\0\x01a"), None).await, "without grpc-status"),
        ("no message", scripted(ok, vec![], ok_trailers()).await, "without a message"),
        ("short", scripted(ok, one(b"\0\0\0\0\x02a"), ok_trailers()).await, "exactly one message"),
        ("long", scripted(ok, one(b"\0\0\0\0\x01aa"), ok_trailers()).await, "exactly one message"),
        ("flag", scripted(ok, one(b"\x07\0\0\0\x01a"), ok_trailers()).await, "compression flag"),
        ("unknown encoding", scripted(ok, one(b"\x01\0\0\0\x01a"), ok_trailers()).await, "known encoding"),
        (
            "error after data",
            scripted(
                ok,
                one(b"\0\0\0\0\x01a"),
                trailers(&[("grpc-status", "13"), ("grpc-message", "b%C3%A4d%20luck")]),
            )
            .await,
            "Internal: bäd luck",
        ),
        (
            "not gRPC",
            scripted(
                || Response::builder().header("content-type", "text/html").body(()).unwrap(),
                one(b"<html>"),
                None,
            )
            .await,
            "Unknown: unexpected HTTP status 200",
        ),
        (
            "trailers-only OK",
            scripted(
                || {
                    Response::builder()
                        .header("content-type", "application/grpc")
                        .header("grpc-status", "0")
                        .body(())
                        .unwrap()
                },
                vec![],
                None,
            )
            .await,
            "OK without a message",
        ),
    ];
    for (what, client, expected) in cases {
        let got = match client.call(outgoing(noise(10))).await {
            Ok(response) => format!("Ok {:?}", response.message),
            Err(error) => error.to_string(),
        };
        assert!(got.contains(expected), "{what}: {got}");
    }
}

#[tokio::test]
async fn http_statuses_map_to_codes() {
    for (status, code) in [
        (400, Code::Internal),
        (401, Code::Unauthenticated),
        (403, Code::PermissionDenied),
        (404, Code::Unimplemented),
        (429, Code::Unavailable),
        (500, Code::Unknown),
        (502, Code::Unavailable),
        (503, Code::Unavailable),
        (504, Code::Unavailable),
    ] {
        let head = move || Response::builder().status(status).header("retry-after", "7").body(()).unwrap();
        let client = scripted(head, vec![], None).await;
        let refused = client.call(outgoing(noise(10))).await;
        let Err(CallError::Status(got)) = refused else { panic!("{refused:?}") };
        assert_eq!(got.code, code, "{status}");
        assert_eq!(got.retry_delay, Some(Duration::from_secs(7)));
        assert_eq!(got.http_status.unwrap().as_u16(), status);
    }
}

#[tokio::test]
async fn responses_are_bounded_plain_and_compressed() {
    let prefix = Bytes::from_static(b"\0\x00\x50\0\0");
    let client = scripted(ok, vec![prefix, Bytes::from(vec![0; 5 << 20])], trailers(&[("grpc-status", "0")])).await;
    let refused = client.call(outgoing(noise(10))).await;
    assert!(matches!(refused, Err(CallError::TooLarge { limit: 4_194_304 })), "{refused:?}");

    let bomb = sluice_net::compression::compress(Encoding::Gzip, Some(9), &vec![0; 50 << 20]).unwrap();
    let mut message = vec![1];
    message.extend_from_slice(&u32::try_from(bomb.len()).unwrap().to_be_bytes());
    message.extend_from_slice(&bomb);
    let head = || {
        Response::builder().header("content-type", "application/grpc").header("grpc-encoding", "gzip").body(()).unwrap()
    };
    let client = scripted(head, vec![Bytes::from(message)], trailers(&[("grpc-status", "0")])).await;
    let refused = client.call(outgoing(noise(10))).await;
    assert!(matches!(refused, Err(CallError::TooLarge { .. })), "{refused:?}");
}

#[tokio::test]
async fn response_headers_are_bounded() {
    let head = || {
        let large = "a".repeat(20_000);
        Response::builder().header("content-type", "application/grpc").header("x-large", large).body(()).unwrap()
    };
    let client = scripted(head, vec![], trailers(&[("grpc-status", "0")])).await;
    let refused = client.call(outgoing(noise(10))).await;
    assert!(matches!(refused, Err(CallError::Protocol(_))), "{refused:?}");
}

#[tokio::test]
async fn an_unprocessed_call_is_sent_again_once() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        let mut connection = h2::server::handshake(stream).await.unwrap();
        let mut count = 0;
        while let Some(Ok((_request, mut respond))) = connection.accept().await {
            count += 1;
            if count == 1 {
                respond.send_reset(h2::Reason::REFUSED_STREAM);
            } else {
                let mut body = respond.send_response(ok(), false).unwrap();
                body.send_data(Bytes::from_static(b"\0\0\0\0\x01a"), false).unwrap();
                body.send_trailers(trailers(&[("grpc-status", "0")]).unwrap()).unwrap();
            }
        }
    });
    assert_eq!(client(&address.to_string()).call(outgoing(noise(10))).await.unwrap().message, "a");
}

#[tokio::test]
async fn a_reset_is_told_from_an_answer() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        let mut connection = h2::server::handshake(stream).await.unwrap();
        while let Some(Ok((_request, mut respond))) = connection.accept().await {
            respond.send_reset(h2::Reason::CANCEL);
        }
    });
    let refused = client(&address.to_string()).call(outgoing(noise(10))).await;
    assert!(matches!(refused, Err(CallError::Reset { unprocessed: false, .. })), "{refused:?}");
}

/// A peer whose packets go nowhere: the connection stays, and nothing comes.
#[tokio::test]
async fn a_connection_on_which_nothing_comes_is_not_used_again() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let client = client(&listener.local_addr().unwrap().to_string());
    let (tell, told) = tokio::sync::oneshot::channel();
    tokio::spawn(async move {
        let (mut silent, _) = listener.accept().await.unwrap();
        let (stream, _) = listener.accept().await.unwrap();
        tokio::spawn(async move {
            let read = tokio::io::copy(&mut silent, &mut tokio::io::sink()).await;
            tell.send(read.is_ok() || silent.peer_addr().is_err()).unwrap();
        });
        let mut connection = h2::server::handshake(stream).await.unwrap();
        while let Some(Ok((_request, mut respond))) = connection.accept().await {
            let mut body = respond.send_response(ok(), false).unwrap();
            body.send_data(Bytes::from_static(b"\0\0\0\0\x01a"), false).unwrap();
            body.send_trailers(trailers(&[("grpc-status", "0")]).unwrap()).unwrap();
        }
    });
    let call = || {
        let mut call = outgoing(noise(10));
        call.timeout = Some(Duration::from_millis(700));
        client.call(call)
    };
    assert!(matches!(call().await, Err(CallError::Timeout(_))));
    assert_eq!(call().await.unwrap().message, "a");
    assert!(told.await.unwrap(), "the silent one is closed, and no task stays with it");
}
