//! A raw HTTP/2 client that sends what no library would.

use bytes::Bytes;
use h2::client::SendRequest;
use http::{HeaderMap, Request};
use sluice_net::grpc::Code;

use super::common::*;

async fn raw(running: &Running) -> SendRequest<Bytes> {
    let stream = tokio::net::TcpStream::connect(running.address).await.unwrap();
    let (send, connection) = h2::client::handshake(stream).await.unwrap();
    tokio::spawn(connection);
    send
}

struct Reply {
    status: u16,
    grpc: Option<Code>,
    message: String,
    headers: HeaderMap,
    data: Vec<u8>,
    trailers_only: bool,
}

async fn exchange(
    send: &SendRequest<Bytes>,
    change: impl FnOnce(&mut Request<()>),
    frames: &[&[u8]],
) -> Result<Reply, h2::Error> {
    let mut request = Request::post(format!("http://localhost{ECHO}"))
        .header("content-type", "application/grpc")
        .header("te", "trailers")
        .body(())
        .unwrap();
    change(&mut request);
    let mut send = send.clone().ready().await?;
    let (response, mut body) = send.send_request(request, frames.is_empty())?;
    for (index, frame) in frames.iter().enumerate() {
        // A server that has answered already may have closed the stream.
        if body.send_data(Bytes::copy_from_slice(frame), index + 1 == frames.len()).is_err() {
            break;
        }
    }
    let (head, mut body) = response.await?.into_parts();
    let trailers_only = head.headers.contains_key("grpc-status");
    let mut data = Vec::new();
    while let Some(piece) = body.data().await {
        data.extend_from_slice(&piece?);
    }
    let trailers = body.trailers().await?.unwrap_or_default();
    let field =
        |name: &str| head.headers.get(name).or(trailers.get(name)).map(|value| value.to_str().unwrap().to_owned());
    Ok(Reply {
        status: head.status.as_u16(),
        grpc: field("grpc-status").map(|code| Code::from_bytes(code.as_bytes())),
        message: field("grpc-message").unwrap_or_default(),
        headers: head.headers,
        data,
        trailers_only,
    })
}

fn nothing(_: &mut Request<()>) {}

fn header(name: &'static str, value: &'static str) -> impl FnOnce(&mut Request<()>) {
    move |request| {
        request.headers_mut().insert(name, value.parse().unwrap());
    }
}

#[tokio::test]
async fn a_prefix_may_be_split_anywhere() {
    let running = grpc().await;
    let send = raw(&running).await;
    let message = b"\0\0\0\0\x05hello";
    let mut splits: Vec<Vec<&[u8]>> = (1..10).map(|at| vec![&message[..at], &message[at..]]).collect();
    splits.push(message.chunks(1).collect());
    splits.push(vec![b"", &message[..3], b"", &message[3..], b""]);
    splits.push(vec![&message[..], b""]);
    for frames in splits {
        let reply = exchange(&send, nothing, &frames).await.unwrap();
        assert_eq!((reply.grpc, reply.data.as_slice()), (Some(Code::Ok), &message[..]), "{frames:?}");
        assert!(!reply.trailers_only);
    }
}

#[tokio::test]
async fn what_is_not_one_message_is_refused_with_the_right_code() {
    let running = grpc().await;
    let send = raw(&running).await;
    let cases: [(&str, &[&[u8]], Code); 12] = [
        ("no body", &[], Code::InvalidArgument),
        ("an empty body", &[b""], Code::InvalidArgument),
        ("half a prefix", &[b"\0\0\0"], Code::InvalidArgument),
        ("a prefix without its message", &[b"\0\0\0\0\x05"], Code::InvalidArgument),
        ("half a message", &[b"\0\0\0\0\x05he"], Code::InvalidArgument),
        ("half a message in pieces", &[b"\0\0\0\0\x05h", b"e"], Code::InvalidArgument),
        ("trailing bytes", &[b"\0\0\0\0\x05hello!"], Code::InvalidArgument),
        ("trailing bytes in a frame of their own", &[b"\0\0\0\0\x05hello", b"!"], Code::InvalidArgument),
        ("a second message", &[b"\0\0\0\0\x01a\0\0\0\0\x01b"], Code::InvalidArgument),
        ("bytes after an empty message", &[b"\0\0\0\0\0", b"x"], Code::InvalidArgument),
        ("flag 2", &[b"\x02\0\0\0\x01a"], Code::Internal),
        ("flag 1 without an encoding", &[b"\x01\0\0\0\x01a"], Code::Internal),
    ];
    for (what, frames, code) in cases {
        let reply = exchange(&send, nothing, frames).await.unwrap();
        assert_eq!((reply.status, reply.grpc), (200, Some(code)), "{what}: {}", reply.message);
        assert!(reply.trailers_only, "{what}");
        assert!(reply.data.is_empty());
    }
    assert!(running.handler.seen.lock().unwrap().is_empty(), "none of them reached the handler");
    eventually("all memory is given back", || running.out() == 0).await;
}

#[tokio::test]
async fn a_message_of_length_zero_is_valid() {
    let running = grpc().await;
    let send = raw(&running).await;
    let reply = exchange(&send, nothing, &[b"\0\0\0\0\0"]).await.unwrap();
    assert_eq!((reply.grpc, reply.data.as_slice()), (Some(Code::Ok), &b"\0\0\0\0\0"[..]));
    let reply = exchange(&send, header("grpc-encoding", "gzip"), &[b"\x01\0\0\0\0"]).await.unwrap();
    assert_eq!(reply.grpc, Some(Code::Ok));
}

#[tokio::test]
async fn a_length_of_four_gibibytes_is_refused_before_anything_is_allocated() {
    let running = grpc().await;
    let send = raw(&running).await;
    let reply = exchange(&send, nothing, &[b"\0\xff\xff\xff\xffabc"]).await.unwrap();
    assert_eq!(reply.grpc, Some(Code::ResourceExhausted));
    assert_eq!(running.out(), 0);
}

#[tokio::test]
async fn content_types_are_told_apart() {
    let running = grpc().await;
    let send = raw(&running).await;
    let message: &[&[u8]] = &[b"\0\0\0\0\x01a"];
    for fine in ["application/grpc", "application/grpc+proto", "application/grpc;charset=utf-8", "Application/gRPC"] {
        let reply = exchange(&send, header("content-type", fine), message).await.unwrap();
        assert_eq!(reply.grpc, Some(Code::Ok), "{fine}");
    }
    for other in ["application/json", "application/grpc+json", "application/grpc-web", "application/grpcx", ""] {
        let reply = exchange(&send, header("content-type", other), message).await.unwrap();
        assert_eq!((reply.status, reply.grpc), (415, None), "{other}");
    }
    let get = |request: &mut Request<()>| *request.method_mut() = http::Method::GET;
    let reply = exchange(&send, get, &[]).await.unwrap();
    assert_eq!((reply.status, reply.headers.get("allow").unwrap().to_str().unwrap()), (405, "POST"));
}

#[tokio::test]
async fn encodings_are_agreed_on() {
    let running = grpc().await;
    let send = raw(&running).await;
    let message: &[&[u8]] = &[b"\0\0\0\0\x01a"];
    for fine in ["identity", "gzip", "zstd"] {
        let reply = exchange(&send, header("grpc-encoding", fine), message).await.unwrap();
        assert_eq!(reply.grpc, Some(Code::Ok), "{fine} announced but not used");
    }
    for other in ["br", "deflate", "gzip, gzip", ""] {
        let reply = exchange(&send, header("grpc-encoding", other), message).await.unwrap();
        assert_eq!(reply.grpc, Some(Code::Unimplemented), "{other}");
        assert_eq!(reply.headers.get("grpc-accept-encoding").unwrap(), "identity,gzip,zstd,snappy");
    }
    let reply = exchange(&send, header("grpc-encoding", "gzip"), &[b"\x01\0\0\0\x03abc"]).await.unwrap();
    assert_eq!(reply.grpc, Some(Code::InvalidArgument), "not gzip at all");
}

#[tokio::test]
async fn timeouts_that_cannot_be_read_are_ignored_and_passed_ones_are_not() {
    let running = grpc().await;
    let send = raw(&running).await;
    let message: &[&[u8]] = &[b"\0\0\0\0\x01a"];
    for nonsense in ["5", "x", "123456789S", "-1S"] {
        let reply = exchange(&send, header("grpc-timeout", nonsense), message).await.unwrap();
        assert_eq!(reply.grpc, Some(Code::Ok), "{nonsense}");
        assert_eq!(running.handler.last().head.deadline, None);
    }
    // The body never ends, so the deadline must.
    let mut send = send.ready().await.unwrap();
    let request = Request::post(format!("http://localhost{ECHO}"))
        .header("content-type", "application/grpc")
        .header("grpc-timeout", "20m")
        .body(())
        .unwrap();
    let (response, _body) = send.send_request(request, false).unwrap();
    let response = response.await.unwrap();
    assert_eq!(response.headers().get("grpc-status").unwrap(), "4");
}

#[tokio::test]
async fn heads_over_the_limits_reset_the_stream_only() {
    let running = grpc().await;
    let send = raw(&running).await;
    let message: &[&[u8]] = &[b"\0\0\0\0\x01a"];
    let many = |request: &mut Request<()>| {
        for index in 0..70 {
            request
                .headers_mut()
                .insert(http::HeaderName::try_from(format!("x-{index}")).unwrap(), http::HeaderValue::from_static("1"));
        }
    };
    assert!(exchange(&send, many, message).await.is_err_and(|error| error.is_reset()));
    let long = |request: &mut Request<()>| {
        *request.uri_mut() = format!("http://localhost/{}", "a".repeat(5_000)).parse().unwrap();
    };
    assert!(exchange(&send, long, message).await.is_err_and(|error| error.is_reset()));
    assert_eq!(running.server.counters().head_refused, 2);
    assert_eq!(exchange(&send, nothing, message).await.unwrap().grpc, Some(Code::Ok));
}
