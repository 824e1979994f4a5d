//! tonic as the peer of our server.

use bytes::{Buf, BufMut, Bytes};
use sluice_net::ListenerSettings;
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::transport::Channel;
use tonic::{Code, Request, Status};

use super::common::*;

/// A codec whose messages are their bytes.
#[derive(Clone, Copy, Default)]
pub struct Raw;

impl Codec for Raw {
    type Encode = Bytes;
    type Decode = Bytes;
    type Encoder = Raw;
    type Decoder = Raw;
    fn encoder(&mut self) -> Raw {
        Raw
    }
    fn decoder(&mut self) -> Raw {
        Raw
    }
}

impl Encoder for Raw {
    type Item = Bytes;
    type Error = Status;
    fn encode(&mut self, item: Bytes, dst: &mut EncodeBuf<'_>) -> Result<(), Status> {
        dst.put(item);
        Ok(())
    }
}

impl Decoder for Raw {
    type Item = Bytes;
    type Error = Status;
    fn decode(&mut self, src: &mut DecodeBuf<'_>) -> Result<Option<Bytes>, Status> {
        Ok(Some(src.copy_to_bytes(src.remaining())))
    }
}

async fn channel(running: &Running) -> Channel {
    Channel::from_shared(format!("http://{}", running.address)).unwrap().connect().await.unwrap()
}

async fn unary(channel: &Channel, path: &'static str, request: Request<Bytes>) -> Result<Bytes, Status> {
    let mut client = tonic::client::Grpc::new(channel.clone());
    client.ready().await.unwrap();
    client.unary(request, path.parse().unwrap(), Raw).await.map(tonic::Response::into_inner)
}

#[tokio::test]
async fn messages_of_all_sizes_arrive_whole() {
    let running = grpc().await;
    let channel = channel(&running).await;
    for len in [0, 1, 100, 8_191, 8_192, 8_193, 16_384, 65_536, 411_000, 1 << 20, (1 << 20) + 1, 4 << 20] {
        let body = noise(len);
        assert_eq!(unary(&channel, ECHO, Request::new(body.clone())).await.unwrap(), body, "{len}");
        assert!(running.handler.last().reserved >= len);
    }
    eventually("all memory is given back", || running.out() == 0).await;
}

#[tokio::test]
async fn small_windows_and_frames_make_no_difference() {
    let settings = with_limits(|limits| {
        (limits.frame_bytes, limits.stream_window, limits.connection_window) = (16 << 10, 65_535, 65_535);
    });
    let running = grpc_with(settings, Handler::default()).await;
    let channel = channel(&running).await;
    let body = noise(3 << 20);
    assert_eq!(unary(&channel, ECHO, Request::new(body.clone())).await.unwrap(), body);
}

#[tokio::test]
async fn refusals_are_statuses_with_details() {
    let running = grpc().await;
    let channel = channel(&running).await;
    let body = noise(1_000);
    let refused = unary(&channel, UNAVAILABLE, Request::new(body.clone())).await.unwrap_err();
    assert_eq!((refused.code(), refused.message()), (Code::Unavailable, "queue is full"));
    assert!(sluice_net::grpc::retry_delay(refused.details()).is_some());
    let refused = unary(&channel, DENIED, Request::new(body.clone())).await.unwrap_err();
    assert_eq!((refused.code(), refused.message()), (Code::PermissionDenied, "not you"));
    let refused = unary(&channel, "/no/Such", Request::new(body.clone())).await.unwrap_err();
    assert_eq!(refused.code(), Code::Unimplemented);
    let refused = unary(&channel, PANIC, Request::new(body)).await.unwrap_err();
    assert_eq!(refused.code(), Code::Internal);
    assert_eq!(running.server.counters().panics, 1);
    assert!(unary(&channel, ECHO, Request::new(noise(5))).await.is_ok(), "the connection survives all that");
}

#[tokio::test]
async fn the_size_limit_is_exact_and_permanent() {
    let handler = Handler { max_wire_bytes: 100_000, ..Handler::default() };
    let running = grpc_with(loopback(), handler).await;
    let channel = channel(&running).await;
    assert!(unary(&channel, ECHO, Request::new(noise(100_000))).await.is_ok());
    for len in [100_001, 1_000_000] {
        let refused = unary(&channel, ECHO, Request::new(noise(len))).await.unwrap_err();
        assert_eq!(refused.code(), Code::ResourceExhausted);
        assert!(refused.message().contains("100000"), "{refused}");
        assert_eq!(sluice_net::grpc::retry_delay(refused.details()), None);
    }
    assert_eq!(running.server.counters().body_too_large, 2);
}

#[tokio::test]
async fn a_full_budget_is_retryable_and_what_never_fits_is_not() {
    let budget = std::sync::Arc::new(Budget::of(200_000));
    let handler = Handler { budget: std::sync::Arc::clone(&budget), ..Handler::default() };
    let running = grpc_with(loopback(), handler).await;
    let channel = channel(&running).await;
    let refused = unary(&channel, ECHO, Request::new(noise(200_001))).await.unwrap_err();
    assert_eq!(refused.code(), Code::ResourceExhausted);
    let held = sluice_net::Reserve::reserve(budget.as_ref(), 150_000).await.unwrap();
    let refused = unary(&channel, ECHO, Request::new(noise(100_000))).await.unwrap_err();
    assert_eq!(refused.code(), Code::Unavailable);
    assert!(sluice_net::grpc::retry_delay(refused.details()).is_some());
    drop(held);
    assert!(unary(&channel, ECHO, Request::new(noise(100_000))).await.is_ok());
    assert_eq!(running.server.counters().body_exhausted, 1);
}

#[tokio::test]
async fn the_client_s_deadline_reaches_the_handler() {
    let running = grpc().await;
    let channel = channel(&running).await;
    let mut request = Request::new(noise(10));
    request.set_timeout(std::time::Duration::from_secs(100));
    unary(&channel, ECHO, request).await.unwrap();
    let left = running.handler.last().head.deadline.unwrap() - tokio::time::Instant::now();
    assert!((90..=100).contains(&left.as_secs()), "{left:?}");
    unary(&channel, ECHO, Request::new(noise(10))).await.unwrap();
    assert_eq!(running.handler.last().head.deadline, None);
}

#[tokio::test]
async fn the_handler_sees_who_is_calling() {
    let running = grpc().await;
    let channel = channel(&running).await;
    unary(&channel, ECHO, Request::new(noise(10))).await.unwrap();
    let head = running.handler.last().head;
    assert!(head.connection.peer.ip().unwrap().is_loopback());
    assert_eq!(head.connection.local, Some(running.address));
    assert!(!head.connection.tls);
    assert_eq!(head.path(), ECHO);
}

#[tokio::test]
async fn a_client_that_gives_up_stops_the_handler_unless_it_must_finish() {
    let running = grpc().await;
    let channel = channel(&running).await;
    for (path, survives) in [(WAIT, false), (WAIT_FINISH, true)] {
        let call = tokio::spawn({
            let channel = channel.clone();
            async move { unary(&channel, path, Request::new(noise(10))).await }
        });
        running.handler.entered.notified().await;
        call.abort();
        // The reset has been handled when the memory is back; a survivor keeps its own until it is released.
        if survives {
            running.handler.release.notify_one();
            running.handler.finished.notified().await;
        }
        eventually("memory is given back", || running.out() == 0).await;
    }
}

#[tokio::test]
async fn shutdown_waits_for_requests_in_flight_and_refuses_later_ones() {
    let running = grpc().await;
    let channel = channel(&running).await;
    let call = tokio::spawn({
        let channel = channel.clone();
        async move { unary(&channel, WAIT, Request::new(noise(10))).await }
    });
    running.handler.entered.notified().await;
    let address = running.address;
    let stopping = tokio::spawn(running.server.shutdown(std::time::Duration::from_secs(5)));
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
    running.handler.release.notify_one();
    assert!(call.await.unwrap().is_ok());
    assert_eq!(stopping.await.unwrap(), 0);
    assert!(tokio::net::TcpStream::connect(address).await.is_err(), "the socket is closed");
}

#[tokio::test]
async fn shutdown_cuts_what_does_not_end_in_time() {
    let running = grpc().await;
    let channel = channel(&running).await;
    let call = tokio::spawn(async move { unary(&channel, WAIT, Request::new(noise(10))).await });
    running.handler.entered.notified().await;
    assert_eq!(running.server.shutdown(std::time::Duration::from_millis(20)).await, 1);
    assert!(call.await.unwrap().is_err());
}

#[tokio::test]
async fn a_unix_socket_serves_as_well() {
    let directory = tempfile_dir();
    let path = directory.join("grpc.sock");
    let settings = ListenerSettings { bind: sluice_net::Bind::Unix(path.clone()), ..loopback() };
    let listener = sluice_net::Listener::bind(settings).await.unwrap();
    let handler = std::sync::Arc::new(Handler::default());
    let server = listener.serve(sluice_net::grpc::Server::new(std::sync::Arc::clone(&handler)));
    let stream = tokio::net::UnixStream::connect(&path).await.unwrap();
    let (mut send, connection) = h2::client::handshake(stream).await.unwrap();
    tokio::spawn(connection);
    let request = http::Request::post(format!("http://localhost{ECHO}"))
        .header("content-type", "application/grpc")
        .body(())
        .unwrap();
    let (response, mut body) = send.send_request(request, false).unwrap();
    body.send_data(Bytes::from_static(b"\0\0\0\0\x01x"), true).unwrap();
    assert_eq!(response.await.unwrap().status(), 200);
    let connection = handler.last().head.connection;
    assert_eq!(connection.peer, sluice_net::Peer::Unix);
    let own = std::os::unix::fs::MetadataExt::uid(&std::fs::metadata(&path).unwrap());
    assert_eq!(connection.uid, Some(own), "the kernel says who connects");
    server.shutdown(std::time::Duration::ZERO).await;
    assert!(!path.exists());
    std::fs::remove_dir_all(directory).unwrap();
}

fn tempfile_dir() -> std::path::PathBuf {
    let directory = std::env::temp_dir().join(format!("sluice-net-{}", std::process::id()));
    std::fs::create_dir_all(&directory).unwrap();
    directory
}
