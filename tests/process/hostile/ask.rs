//! Asks the collector badly, and names what comes back in a few words.

use std::net::Ipv4Addr;
use std::time::Duration;

use bytes::Bytes;
use http::Request;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::timeout;

/// Attackers come from here and good clients from 127.0.0.1, as caps on one source are not to touch the other.
pub const ATTACKER: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);
/// An answer that takes longer is none.
pub const PATIENCE: Duration = Duration::from_secs(20);
/// The method that exports traces.
pub const EXPORT: &str = "/opentelemetry.proto.collector.trace.v1.TraceService/Export";

/// A connection from an address of loopback.
pub async fn connect_from(source: Ipv4Addr, port: u16) -> std::io::Result<TcpStream> {
    let socket = TcpSocket::new_v4()?;
    socket.bind((source, 0).into())?;
    let stream = socket.connect((Ipv4Addr::LOCALHOST, port).into()).await?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// The head of an HTTP/1.1 request to `target` with these header lines, and the empty line behind it.
pub fn head(method: &str, target: &str, headers: &[(&str, &str)]) -> Vec<u8> {
    let mut head = format!("{method} {target} HTTP/1.1\r\nhost: sluice\r\nconnection: close\r\n");
    for (name, value) in headers {
        head += &format!("{name}: {value}\r\n");
    }
    (head + "\r\n").into_bytes()
}

/// A whole POST to the path of traces.
pub fn post(headers: &[(&str, &str)], body: &[u8]) -> Vec<u8> {
    let length = body.len().to_string();
    [&head("POST", "/v1/traces", &[headers, &[("content-length", &length)]].concat()), body].concat()
}

/// Writes `bytes` on a connection of its own, and says what the answer was: its status, `closed` or `silence`.
pub async fn http(port: u16, bytes: Vec<u8>) -> String {
    let Ok(stream) = connect_from(ATTACKER, port).await else { return "no connection".to_owned() };
    answer_to(stream, bytes).await
}

/// The same on a connection that is there. Whoever refuses early may close before everything is written.
pub async fn answer_to(stream: TcpStream, bytes: Vec<u8>) -> String {
    let (mut from, mut to) = stream.into_split();
    let writing = tokio::spawn(async move {
        let _ = to.write_all(&bytes).await;
        to
    });
    let mut answer = Vec::new();
    let read = timeout(PATIENCE, from.read_to_end(&mut answer)).await;
    writing.abort();
    let status = String::from_utf8_lossy(&answer).split(' ').nth(1).map(str::to_owned);
    match (status, read) {
        (Some(status), _) => status,
        (None, Ok(_)) => "closed".to_owned(),
        (None, Err(_)) => "silence".to_owned(),
    }
}

/// A unary call, good unless it is changed.
pub struct Call {
    pub method: &'static str,
    pub path: String,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
    /// Whether the stream ends behind the body.
    pub ends: bool,
}

impl Call {
    pub fn new(body: Vec<u8>) -> Self {
        let headers = [("content-type", "application/grpc"), ("te", "trailers")];
        let headers = headers.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec();
        Call { method: "POST", path: EXPORT.to_owned(), headers, body, ends: true }
    }

    /// With this header in place of one of the same name.
    pub fn with(mut self, name: &str, value: impl Into<String>) -> Self {
        self = self.without(name);
        self.headers.push((name.to_owned(), value.into()));
        self
    }

    pub fn without(mut self, name: &str) -> Self {
        self.headers.retain(|(known, _)| known != name);
        self
    }

    pub fn to(mut self, path: &str) -> Self {
        path.clone_into(&mut self.path);
        self
    }

    pub fn open(mut self) -> Self {
        self.ends = false;
        self
    }
}

/// Makes a call on a connection of its own: the name of its gRPC status, or what there was instead of one.
pub async fn grpc(port: u16, call: Call) -> String {
    match timeout(PATIENCE, exchange(port, call)).await {
        Err(_) => "silence".to_owned(),
        Ok(Ok(status)) => status,
        Ok(Err(error)) => told(&error),
    }
}

/// An error of the HTTP/2 library in the words of the protocol.
pub fn told(error: &h2::Error) -> String {
    match error.reason() {
        Some(reason) if error.is_reset() => format!("RST {reason:?}"),
        Some(reason) if error.is_go_away() => format!("GOAWAY {reason:?}"),
        _ => "closed".to_owned(),
    }
}

async fn exchange(port: u16, call: Call) -> Result<String, h2::Error> {
    let Ok(stream) = connect_from(ATTACKER, port).await else { return Ok("no connection".to_owned()) };
    let (sender, connection) = h2::client::handshake(stream).await?;
    let connection = tokio::spawn(connection);
    let status = status_of(sender, call).await;
    connection.abort();
    status
}

/// The same on a connection that is there.
pub async fn status_of(sender: h2::client::SendRequest<Bytes>, call: Call) -> Result<String, h2::Error> {
    let mut request = Request::builder().method(call.method).uri(format!("http://sluice{}", call.path));
    for (name, value) in &call.headers {
        request = request.header(name, value);
    }
    let mut sender = sender.ready().await?;
    let is_bodyless = call.body.is_empty() && call.ends;
    let (response, mut body) = sender.send_request(request.body(()).unwrap(), is_bodyless)?;
    if !is_bodyless {
        // Refused by its headers, the body is not wanted any more.
        let _ = body.send_data(call.body.into(), call.ends);
    }
    let (head, mut incoming) = response.await?.into_parts();
    if head.status != 200 {
        return Ok(format!("HTTP {}", head.status.as_u16()));
    }
    let mut headers = head.headers;
    if !headers.contains_key("grpc-status") {
        while let Some(data) = incoming.data().await {
            let _ = incoming.flow_control().release_capacity(data?.len());
        }
        headers.extend(incoming.trailers().await?.unwrap_or_default());
    }
    let code = headers.get("grpc-status").and_then(|code| code.to_str().ok()?.parse().ok());
    Ok(code.map_or_else(|| "no grpc-status".to_owned(), |code: i32| name_of(code).to_owned()))
}

fn name_of(code: i32) -> &'static str {
    match code {
        0 => "OK",
        3 => "INVALID_ARGUMENT",
        4 => "DEADLINE_EXCEEDED",
        8 => "RESOURCE_EXHAUSTED",
        12 => "UNIMPLEMENTED",
        13 => "INTERNAL",
        14 => "UNAVAILABLE",
        _ => "another status",
    }
}
