//! Just enough HTTP/1.1 and gRPC to ask and to read the answer.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use http::HeaderMap;

/// Of an OTLP/HTTP body.
pub const PROTOBUF: (&str, &str) = ("content-type", "application/x-protobuf");

/// What an HTTP server said.
pub struct Answer {
    pub status: u16,
    pub headers: String,
    pub body: String,
}

/// One HTTP/1.1 request on a connection of its own.
pub fn http(port: u16, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Answer {
    http_to("sluice", port, method, path, headers, body)
}

/// The same to a host of this name.
pub fn http_to(host: &str, port: u16, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Answer {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    let mut head = format!("{method} {path} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n");
    for (name, value) in headers {
        head += &format!("{name}: {value}\r\n");
    }
    head += &format!("content-length: {}\r\n\r\n", body.len());
    stream.write_all(head.as_bytes()).unwrap();
    // A server that refuses by the head alone may close before it has read the body.
    let _ = stream.write_all(body);
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    let answer = String::from_utf8_lossy(&answer).into_owned();
    let (headers, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
    let status = headers.split(' ').nth(1).and_then(|code| code.parse().ok());
    Answer {
        status: status.unwrap_or_else(|| panic!("no status in {answer:?}")),
        headers: headers.to_ascii_lowercase(),
        body: body.to_owned(),
    }
}

/// A gRPC status.
#[derive(Debug, PartialEq, Eq)]
pub struct Status {
    pub code: u16,
    pub message: String,
    pub headers: HeaderMap,
    /// Messages with their prefixes.
    pub body: Vec<u8>,
}

/// One unary call; `frame` is the body as it is, prefix included.
pub fn grpc(port: u16, path: &str, headers: &[(&str, &str)], frame: &[u8]) -> Status {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let limited = async { tokio::time::timeout(Duration::from_secs(30), call(port, path, headers, frame)).await };
    runtime.block_on(limited).unwrap()
}

async fn call(port: u16, path: &str, headers: &[(&str, &str)], frame: &[u8]) -> Status {
    let stream = tokio::net::TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    let (client, connection) = h2::client::handshake(stream).await.unwrap();
    tokio::spawn(connection);
    let mut request = http::Request::post(format!("http://sluice{path}"))
        .header("content-type", "application/grpc")
        .header("te", "trailers");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let mut client = client.ready().await.unwrap();
    let (response, mut body) = client.send_request(request.body(()).unwrap(), false).unwrap();
    // Refused by its headers, the body is not wanted any more.
    let _ = body.send_data(frame.to_vec().into(), true);
    let response = response.await.unwrap();
    let (head, mut incoming) = response.into_parts();
    let (mut headers, mut received) = (head.headers, Vec::new());
    if !headers.contains_key("grpc-status") {
        while let Some(data) = incoming.data().await {
            let data = data.unwrap();
            let _ = incoming.flow_control().release_capacity(data.len());
            received.extend_from_slice(&data);
        }
        headers.extend(incoming.trailers().await.unwrap().unwrap_or_default());
    }
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned();
    let (code, message) = (text("grpc-status"), text("grpc-message"));
    Status {
        code: code.parse().unwrap_or_else(|_| panic!("grpc-status is {code:?}")),
        message,
        headers,
        body: received,
    }
}

/// A gRPC frame, not compressed.
pub fn frame(message: &[u8]) -> Vec<u8> {
    flagged(0, message)
}

/// A gRPC frame with this flag.
pub fn flagged(flag: u8, message: &[u8]) -> Vec<u8> {
    let mut frame = vec![flag];
    frame.extend(u32::try_from(message.len()).unwrap().to_be_bytes());
    frame.extend(message);
    frame
}

/// A field of the wire type for bytes.
fn field(number: u8, content: &[u8]) -> Vec<u8> {
    let mut out = vec![number << 3 | 2];
    let mut length = content.len();
    while length >= 0x80 {
        out.push((length & 0x7f) as u8 | 0x80);
        length >>= 7;
    }
    out.push(length as u8);
    out.extend(content);
    out
}

/// An export request with one span of this name.
pub fn trace(name: &str) -> Vec<u8> {
    let span = [field(1, &[1; 16]), field(2, &[2; 8]), field(5, name.as_bytes())].concat();
    field(1, &field(2, &field(2, &span)))
}

/// An export request with a span for each name.
pub fn traces(names: &[String]) -> Vec<u8> {
    let span = |name: &String| [field(1, &[1; 16]), field(2, &[2; 8]), field(5, name.as_bytes())].concat();
    let spans: Vec<u8> = names.iter().flat_map(|name| field(2, &span(name))).collect();
    field(1, &field(2, &spans))
}

/// The same as OTLP/JSON.
pub fn trace_json(name: &str) -> String {
    let span = format!(
        r#"{{"traceId":"{}","spanId":"{}","name":"{name}","kind":1,"startTimeUnixNano":"1","endTimeUnixNano":"2"}}"#,
        "01".repeat(16),
        "02".repeat(8),
    );
    format!(r#"{{"resourceSpans":[{{"scopeSpans":[{{"spans":[{span}]}}]}}]}}"#)
}
