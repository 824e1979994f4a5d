//! Attackers that are slow, many or noisy. Time is virtual: it jumps ahead whenever everybody waits.

use std::time::Duration;

use bytes::Bytes;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout};

use super::common::*;

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const SETTINGS: &[u8] = &[0, 0, 0, 4, 0, 0, 0, 0, 0];

/// Sends `bytes`, then waits for the server to close; returns how long that took.
async fn closed_after(running: &Running, bytes: &[u8]) -> Duration {
    let mut stream = TcpStream::connect(running.address).await.unwrap();
    stream.write_all(bytes).await.unwrap();
    closed(stream).await
}

async fn closed(mut stream: TcpStream) -> Duration {
    let start = Instant::now();
    let mut sink = Vec::new();
    let _ = timeout(Duration::from_secs(4_000), stream.read_to_end(&mut sink)).await.expect("never closed");
    start.elapsed()
}

#[track_caller]
fn assert_about(took: Duration, seconds: u64) {
    let expected = Duration::from_secs(seconds);
    assert!(
        took >= expected.mul_f64(0.95) && took <= expected + Duration::from_secs(1),
        "{took:?} instead of {expected:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn silence_is_ended_after_ten_seconds() {
    for running in [grpc().await, http().await] {
        assert_about(closed_after(&running, b"").await, 10);
        assert_eq!(running.server.counters().first_byte_timeouts, 1);
    }
}

#[tokio::test(start_paused = true)]
async fn headers_must_come_within_five_seconds() {
    let running = http().await;
    assert_about(closed_after(&running, b"POST / HTTP/1.1\r\nhost: x\r\nx-slow:").await, 5);
    assert_about(closed_after(&running, b"PRI * HTTP/2.0\r\n").await, 5);
    assert_eq!(running.server.counters().header_timeouts, 2);
    let running = grpc().await;
    assert_about(closed_after(&running, b"PRI * HT").await, 5);
    // HEADERS without END_HEADERS, and half a HEADERS frame.
    let open = [0, 0, 1, 1, 0, 0, 0, 0, 1, 0x82];
    assert_about(closed_after(&running, &[PREFACE, SETTINGS, &open].concat()).await, 5);
    let half = [0, 0, 50, 1, 4, 0, 0, 0, 1, 0x82];
    assert_about(closed_after(&running, &[PREFACE, SETTINGS, &half].concat()).await, 5);
    assert_eq!(running.server.counters().header_timeouts, 3);
}

#[tokio::test(start_paused = true)]
async fn a_long_head_has_no_more_time_than_a_short_one() {
    let running = http().await;
    let mut stream = TcpStream::connect(running.address).await.unwrap();
    let start = Instant::now();
    stream.write_all(b"POST / HTTP/1.1\r\nx-slow:").await.unwrap();
    tokio::time::sleep(Duration::from_secs(3)).await;
    stream.write_all(&[b'x'; 5_000]).await.unwrap();
    closed(stream).await;
    assert_about(start.elapsed(), 5);
    assert_eq!(running.server.counters().header_timeouts, 1);
}

#[tokio::test]
async fn a_head_in_two_pieces_is_read_and_one_that_is_none_is_refused_without_its_end() {
    let running = http().await;
    for at in [1, 20, 60] {
        let mut stream = TcpStream::connect(running.address).await.unwrap();
        let request = format!("POST {ECHO} HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: 4\r\n\r\nbody");
        stream.write_all(&request.as_bytes()[..at]).await.unwrap();
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
        stream.write_all(&request.as_bytes()[at..]).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        assert!(answer.starts_with("HTTP/1.1 200") && answer.ends_with("body"), "{at}: {answer}");
    }
    let mut stream = TcpStream::connect(running.address).await.unwrap();
    stream.write_all(b"POST / HTTP/1.1\r\nno field").await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 400"), "{answer}");
}

#[tokio::test(start_paused = true)]
async fn trickling_headers_does_not_help() {
    let running = http().await;
    let mut stream = TcpStream::connect(running.address).await.unwrap();
    let start = Instant::now();
    stream.write_all(b"POST / HTTP/1.1\r\nhost: x\r\n").await.unwrap();
    loop {
        tokio::time::advance(Duration::from_millis(500)).await;
        for _ in 0..20 {
            tokio::task::yield_now().await;
        }
        if stream.write_all(b"x: y\r\n").await.is_err() {
            break;
        }
        assert!(start.elapsed() < Duration::from_secs(30), "still open");
    }
}

#[tokio::test(start_paused = true)]
async fn an_idle_http1_connection_is_closed_after_a_minute() {
    let running = http().await;
    let mut stream = TcpStream::connect(running.address).await.unwrap();
    for _ in 0..3 {
        let request = format!("POST {ECHO} HTTP/1.1\r\nhost: x\r\ncontent-length: 1\r\n\r\na");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = [0; 1024];
        let read = stream.read(&mut answer).await.unwrap();
        assert!(answer[..read].starts_with(b"HTTP/1.1 200"));
    }
    assert_about(closed(stream).await, 60);
    assert_eq!(running.server.counters().idle_closed, 1);
}

#[tokio::test(start_paused = true)]
async fn a_silent_http2_connection_fails_its_ping() {
    let running = grpc().await;
    let took = closed_after(&running, &[PREFACE, SETTINGS].concat()).await;
    assert_about(took, 30);
}

#[tokio::test(start_paused = true)]
async fn a_body_must_come_at_a_kibibyte_a_second_after_ten_seconds() {
    let running = http().await;
    let head = format!("POST {ECHO} HTTP/1.1\r\nhost: x\r\ncontent-length: 1000\r\n\r\nabc");
    assert_about(closed_after(&running, head.as_bytes()).await, 10);
    assert_eq!(running.server.counters().body_timeouts, 1);
    // Enough for the rate until the end of all patience.
    let head = format!("POST {ECHO} HTTP/1.1\r\nhost: x\r\ncontent-length: 100000\r\n\r\n{}", "a".repeat(50_000));
    assert_about(closed_after(&running, head.as_bytes()).await, 30);
    assert_eq!(running.server.counters().body_timeouts, 2);
    eventually("all memory is given back", || running.out() == 0).await;
}

#[tokio::test(start_paused = true)]
async fn a_slow_grpc_body_resets_its_stream_and_no_other() {
    let running = grpc().await;
    let stream = TcpStream::connect(running.address).await.unwrap();
    let (send, connection) = h2::client::handshake(stream).await.unwrap();
    tokio::spawn(connection);
    let request = || {
        http::Request::post(format!("http://localhost{ECHO}"))
            .header("content-type", "application/grpc")
            .body(())
            .unwrap()
    };
    let start = Instant::now();
    let mut send = send.ready().await.unwrap();
    let (slow, mut slow_body) = send.send_request(request(), false).unwrap();
    slow_body.send_data(Bytes::from_static(b"\0\0\0\x01\0a"), false).unwrap();
    let refused = slow.await.unwrap_err();
    assert_eq!(refused.reason(), Some(h2::Reason::CANCEL));
    assert_about(start.elapsed(), 10);
    let mut send = send.ready().await.unwrap();
    let (fine, mut body) = send.send_request(request(), false).unwrap();
    body.send_data(Bytes::from_static(b"\0\0\0\0\x01a"), true).unwrap();
    assert_eq!(fine.await.unwrap().status(), 200);
    eventually("all memory is given back", || running.out() == 0).await;
}

#[tokio::test(start_paused = true)]
async fn old_connections_are_told_to_go_and_cut_if_they_do_not() {
    let settings = with_limits(|limits| {
        limits.max_age = Some(Duration::from_secs(100));
        limits.age_grace = Duration::from_secs(10);
    });
    let running = grpc_with(settings, Handler::default()).await;
    let stream = TcpStream::connect(running.address).await.unwrap();
    let (send, connection) = h2::client::handshake(stream).await.unwrap();
    let start = Instant::now();
    let connection = tokio::spawn(connection);
    // A request that does not end keeps the connection open beyond GOAWAY.
    let request = http::Request::post(format!("http://localhost{WAIT}"))
        .header("content-type", "application/grpc")
        .body(())
        .unwrap();
    let mut send = send.ready().await.unwrap();
    let (response, mut body) = send.send_request(request, false).unwrap();
    body.send_data(Bytes::from_static(b"\0\0\0\0\x01a"), true).unwrap();
    running.handler.entered.notified().await;
    assert!(response.await.is_err());
    let took = start.elapsed().as_secs_f64();
    assert!((99.0..=122.0).contains(&took), "{took}");
    let _ = connection.await;
    let counters = running.server.counters();
    assert_eq!((counters.aged, counters.cut), (1, 1));
}

#[tokio::test]
async fn connections_over_the_caps_are_closed_at_once_and_others_are_served() {
    let settings = with_limits(|limits| limits.connections_per_ip = 3);
    let running = http_with(settings, Handler::default()).await;
    let mut open = Vec::new();
    for _ in 0..3 {
        open.push(TcpStream::connect(running.address).await.unwrap());
    }
    eventually("all are in", || running.server.counters().open == 3).await;
    closed(TcpStream::connect(running.address).await.unwrap()).await;
    assert_eq!(running.server.counters().refused_per_ip, 1);
    let mut first = open.swap_remove(0);
    first.write_all(format!("POST {ECHO} HTTP/1.1\r\nhost: x\r\ncontent-length: 1\r\n\r\na").as_bytes()).await.unwrap();
    let mut answer = [0; 1024];
    let read = first.read(&mut answer).await.unwrap();
    assert!(answer[..read].starts_with(b"HTTP/1.1 200"));
    drop((first, open));
    eventually("places are free again", || running.server.counters().open == 0).await;
    TcpStream::connect(running.address).await.unwrap();
    eventually("and are given out", || running.server.counters().accepted == 5).await;
    assert_eq!(running.server.counters().refused_per_ip, 1);
}

#[tokio::test]
async fn floods_of_cheap_frames_close_the_connection() {
    let ping = [0, 0, 8, 6, 0, 0, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8];
    let settings = SETTINGS;
    let empty_data = [0, 0, 0, 0, 0, 0, 0, 0, 1];
    let window = [0, 0, 4, 8, 0, 0, 0, 0, 0, 0, 0, 0, 1];
    let floods: [&[u8]; 4] = [&ping, settings, &empty_data, &window];
    for flood in floods {
        let running = grpc().await;
        let mut stream = TcpStream::connect(running.address).await.unwrap();
        stream.write_all(&[PREFACE, SETTINGS].concat()).await.unwrap();
        let burst = flood.repeat(1_000);
        let (mut sink, mut told) = (vec![0; 1 << 16], Vec::new());
        let mut bursts = 0;
        loop {
            bursts += 1;
            assert!(bursts < 1_000, "a million frames went through: {flood:?}");
            let is_closed = stream.write_all(&burst).await.is_err();
            // Reading keeps the server from stalling on its answers.
            match timeout(Duration::from_millis(1), stream.read(&mut sink)).await {
                Ok(Ok(read @ 1..)) => told.extend_from_slice(&sink[..read]),
                Ok(_) => break,
                Err(_) => assert!(!is_closed),
            }
        }
        // DATA of a stream that was never opened breaks a rule before it is a flood.
        let reason = if flood == empty_data { h2::Reason::PROTOCOL_ERROR } else { h2::Reason::ENHANCE_YOUR_CALM };
        let goaway = [&[0, 0, 8, 7, 0, 0, 0, 0, 0, 0, 0, 0, 0][..], &u32::from(reason).to_be_bytes()].concat();
        assert!(told.ends_with(&goaway), "{flood:?}: {:?}", told.iter().rev().take(40).rev().collect::<Vec<_>>());
        let counted = |running: &Running| {
            let counters = running.server.counters();
            counters.floods + counters.protocol_errors == 1
        };
        eventually("it is counted", || counted(&running)).await;
    }
}

#[tokio::test]
async fn rapid_resets_close_the_connection() {
    let running = grpc().await;
    let stream = TcpStream::connect(running.address).await.unwrap();
    let (mut send, connection) = h2::client::handshake(stream).await.unwrap();
    let connection = tokio::spawn(connection);
    let mut count = 0;
    loop {
        let request = http::Request::post(format!("http://localhost{ECHO}")).body(()).unwrap();
        let Ok(ready) = send.ready().await else { break };
        send = ready;
        let Ok((_response, mut body)) = send.send_request(request, false) else { break };
        body.send_reset(h2::Reason::CANCEL);
        count += 1;
        assert!(count < 20_000, "no end");
        tokio::task::yield_now().await;
    }
    assert!(connection.await.unwrap().is_err());
}

/// The answer to a gRPC message, from a client that lets so many bytes of it come, and the client's connection.
async fn answered(
    running: &Running,
    path: &str,
    window: u32,
    message: &'static [u8],
) -> (h2::RecvStream, JoinHandle<Result<(), h2::Error>>) {
    let stream = TcpStream::connect(running.address).await.unwrap();
    let (send, connection) = h2::client::Builder::new().initial_window_size(window).handshake(stream).await.unwrap();
    let connection = tokio::spawn(connection);
    let request = http::Request::post(format!("http://localhost{path}")).header("content-type", "application/grpc");
    let mut send = send.ready().await.unwrap();
    let (response, mut body) = send.send_request(request.body(()).unwrap(), false).unwrap();
    body.send_data(Bytes::from_static(message), true).unwrap();
    (response.await.unwrap().into_body(), connection)
}

#[tokio::test(start_paused = true)]
async fn a_response_that_is_never_taken_is_given_up() {
    let running = grpc().await;
    let (mut response, _connection) = answered(&running, ECHO, 0, b"\0\0\0\0\x01a").await;
    let start = Instant::now();
    let reset = response.data().await.unwrap().unwrap_err();
    assert_eq!(reset.reason(), Some(h2::Reason::CANCEL));
    assert_about(start.elapsed(), 30);
    assert_eq!(running.server.counters().write_timeouts, 1);
}

/// With a byte of window the HTTP library takes over the whole answer, and nobody waits for it any more.
#[tokio::test(start_paused = true)]
async fn an_answer_of_which_only_a_byte_is_taken_ends_its_connection() {
    for running in [grpc().await, http().await] {
        let (mut response, connection) = answered(&running, ECHO, 1, b"\0\0\0\0\x05abcde").await;
        assert_eq!(response.data().await.unwrap().unwrap().len(), 1);
        let start = Instant::now();
        let _ = connection.await;
        assert_about(start.elapsed(), 31);
        assert_eq!(running.server.counters().write_timeouts, 1);
    }
}

#[tokio::test(start_paused = true)]
async fn a_message_of_a_stream_that_is_never_taken_is_given_up_and_a_stream_that_has_none_goes_on() {
    for window in [0, 10, 1 << 16] {
        let running = grpc().await;
        let (mut response, _connection) = answered(&running, STREAM, window, b"\0\0\0\0\x01a").await;
        if window > 0 {
            assert_eq!(response.data().await.unwrap().unwrap(), &b"\0\0\0\0\x05first"[..]);
            // What was taken opens no window: the second message will not fit into one of ten bytes.
            tokio::time::sleep(Duration::from_secs(600)).await;
            running.handler.release.notify_one();
        }
        let start = Instant::now();
        if window < 1 << 16 {
            let reset = response.data().await.unwrap().unwrap_err();
            assert_eq!(reset.reason(), Some(h2::Reason::CANCEL), "{window}");
            assert_about(start.elapsed(), 30);
            assert_eq!(running.server.counters().write_timeouts, 1);
        } else {
            assert_eq!(response.data().await.unwrap().unwrap(), &b"\0\0\0\0\x06second"[..]);
            assert_eq!(response.trailers().await.unwrap().unwrap()["grpc-status"], "0");
            assert_eq!(running.server.counters().write_timeouts, 0);
        }
    }
}

/// The frame size that a new connection is told.
async fn announced(running: &Running) -> (u32, TcpStream) {
    let mut stream = TcpStream::connect(running.address).await.unwrap();
    stream.write_all(&[PREFACE, SETTINGS].concat()).await.unwrap();
    let mut head = [0; 9];
    stream.read_exact(&mut head).await.unwrap();
    assert_eq!((head[0], head[1], head[3]), (0, 0, 4));
    let mut settings = vec![0; usize::from(head[2])];
    stream.read_exact(&mut settings).await.unwrap();
    let size = settings.chunks(6).find(|setting| setting[..2] == [0, 5]).expect("a frame size");
    (u32::from_be_bytes(size[2..].try_into().unwrap()), stream)
}

#[tokio::test]
async fn a_crowd_may_not_have_much_on_its_way() {
    let settings = with_limits(|limits| limits.roomy_per_ip = 2);
    let running = grpc_with(settings, Handler::default()).await;
    let mut open = Vec::new();
    for expected in [1 << 20, 1 << 20, 64 << 10] {
        let (announced, stream) = announced(&running).await;
        assert_eq!(announced, expected);
        open.push(stream);
    }
    drop(open.swap_remove(0));
    eventually("it is gone", || running.server.counters().open == 2).await;
    assert_eq!(announced(&running).await.0, 1 << 20, "the right comes back");
}

/// The HTTP library answers these itself, and sends nothing that says so if the request has no body.
#[tokio::test]
async fn a_head_over_the_limit_is_counted_whether_a_body_follows_or_not() {
    for running in [grpc().await, http().await] {
        let stream = TcpStream::connect(running.address).await.unwrap();
        let (mut send, connection) = h2::client::handshake(stream).await.unwrap();
        tokio::spawn(connection);
        for (index, is_bodyless) in [true, false, true, true].into_iter().enumerate() {
            let request = http::Request::post(format!("http://localhost{ECHO}"))
                .header("x-long", "y".repeat(17 << 10))
                .body(())
                .unwrap();
            send = send.ready().await.unwrap();
            let (response, _body) = send.send_request(request, is_bodyless).unwrap();
            assert_eq!(response.await.unwrap().status(), 431);
            eventually("it is counted", || running.server.counters().head_too_large == index as u64 + 1).await;
        }
        // Refusals of ours are not counted twice, and neither is what is no refusal.
        for (method, kind) in [("GET", "application/grpc"), ("POST", "text/plain"), ("POST", "application/grpc")] {
            let request = http::Request::builder()
                .method(method)
                .uri(format!("http://localhost{ECHO}"))
                .header("content-type", kind)
                .body(())
                .unwrap();
            send = send.ready().await.unwrap();
            let (response, _body) = send.send_request(request, true).unwrap();
            let (head, mut body) = response.await.unwrap().into_parts();
            while let Some(data) = body.data().await {
                data.unwrap();
            }
            assert_ne!(head.status, 431);
        }
        assert_eq!(running.server.counters().head_too_large, 4);
    }
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_does_not_read_is_closed() {
    let running = http().await;
    let mut stream = TcpStream::connect(running.address).await.unwrap();
    // Asks for more than socket buffers hold and reads nothing of it.
    let body = vec![b'a'; 4 << 20];
    let head = format!("POST {ECHO} HTTP/1.1\r\nhost: x\r\ncontent-length: {}\r\n\r\n", body.len());
    for _ in 0..4 {
        if stream.write_all(head.as_bytes()).await.is_err() || stream.write_all(&body).await.is_err() {
            break;
        }
    }
    eventually("the connection is closed", || running.server.counters().open == 0).await;
    assert_eq!(running.server.counters().write_timeouts, 1);
}

#[tokio::test(start_paused = true)]
async fn the_accept_loop_shows_that_it_is_alive() {
    let running = grpc().await;
    tokio::time::sleep(Duration::from_secs(100)).await;
    assert!(running.server.last_heartbeat().elapsed() <= Duration::from_secs(5));
}

/// `security.md` S3 in small: attackers of each kind, from many addresses, while good clients go on.
#[tokio::test(start_paused = true)]
async fn good_clients_are_served_among_slow_attackers_and_all_of_those_are_closed() {
    let running = std::sync::Arc::new(http().await);
    let open = format!("POST {ECHO} HTTP/1.1\r\nhost: x\r\ncontent-length: 100000\r\n\r\nabc");
    let h2_block = [PREFACE, SETTINGS, &[0, 0, 1, 1, 0, 0, 0, 0, 1, 0x82]].concat();
    let h2_idle = [PREFACE, SETTINGS].concat();
    let kinds: [(&[u8], u64); 6] =
        [(b"", 10), (b"POST / HT", 5), (b"PRI * HT", 5), (open.as_bytes(), 10), (&h2_block, 5), (&h2_idle, 30)];
    let mut attackers = Vec::new();
    for (index, (bytes, seconds)) in kinds.into_iter().cycle().take(480).enumerate() {
        let socket = tokio::net::TcpSocket::new_v4().unwrap();
        let from = std::net::Ipv4Addr::new(127, 0, 1, u8::try_from(index % 250).unwrap());
        socket.bind((from, 0).into()).unwrap();
        let mut stream = socket.connect(running.address).await.unwrap();
        stream.write_all(bytes).await.unwrap();
        attackers.push(tokio::spawn(async move { (closed(stream).await, seconds) }));
    }
    let client = sluice_net::http::Client::new(Default::default()).unwrap();
    for _ in 0..50 {
        let answer = client.send(sluice_net::http::Outgoing {
            method: http::Method::POST,
            uri: format!("http://{}{ECHO}", running.address).parse().unwrap(),
            headers: Default::default(),
            body: noise(50_000),
            timeout: None,
        });
        assert_eq!(answer.await.unwrap().body.len(), 50_000);
    }
    for attacker in attackers {
        let (took, seconds) = attacker.await.unwrap();
        assert!(took <= Duration::from_secs(seconds + 1), "{took:?} instead of {seconds} s");
    }
    drop(client);
    eventually("nothing is left of them", || running.server.counters().open == 0 && running.out() == 0).await;
}
