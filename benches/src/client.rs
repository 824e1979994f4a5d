//! OTLP clients that send prepared bytes: gRPC on hyper's HTTP/2 without tonic's codecs, and OTLP/HTTP. A connection
//! that breaks is opened again at the next send.

use crate::encoding::Encoding;
use crate::error::{Error, OfPeer};
use crate::scan::{Fields, Value};
use crate::signal::Signal;
use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request, StatusCode, Uri, header};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::net::TcpStream;

/// Where and how to send.
#[derive(Debug, Clone)]
pub struct Target {
    /// `host:port`.
    pub address: String,
    pub path: String,
    pub signal: Signal,
    pub protocol: Protocol,
    pub encoding: Encoding,
}

/// OTLP's transports.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Protocol {
    Grpc,
    Http,
}

/// How a request ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    Accepted,
    /// Accepted but for this many items.
    Partial(u64),
    /// Refused with a status, such as `grpc 14` or `http 503`.
    Refused {
        status: String,
        retryable: bool,
        /// It says when to come back: RetryInfo on gRPC, Retry-After on HTTP.
        hinted: bool,
    },
    /// No answer.
    Broken(String),
}

/// A way to the target. Clones of a gRPC connection share the socket.
#[derive(Debug, Clone)]
pub struct Connection {
    target: Arc<Target>,
    uri: Uri,
    grpc: Arc<Shared>,
    http: Option<Arc<Http>>,
}

/// One request at a time.
type Http = tokio::sync::Mutex<Option<http1::SendRequest<Full<Bytes>>>>;

#[derive(Debug, Default)]
struct Shared {
    sender: Mutex<Option<http2::SendRequest<Full<Bytes>>>>,
    opening: tokio::sync::Mutex<()>,
}

const MIB: u32 = 1 << 20;

impl Connection {
    /// A connection that opens at its first send.
    pub fn new(target: Arc<Target>) -> Result<Self, Error> {
        let uri = format!("http://{}{}", target.address, target.path);
        let uri = uri.parse().map_err(|_| Error::Invalid(format!("{uri} is not a URI")))?;
        let http = (target.protocol == Protocol::Http).then(Arc::default);
        Ok(Self { target, uri, grpc: Arc::default(), http })
    }

    /// Sends one prepared body and waits for the answer.
    pub async fn send(&self, body: Bytes) -> Outcome {
        let sent = match &self.http {
            Some(connection) => self.send_http(connection, body).await,
            None => self.send_grpc(body).await,
        };
        sent.unwrap_or_else(|error| Outcome::Broken(error.to_string()))
    }

    fn request(&self, body: Bytes, content_type: &'static str, encoding: header::HeaderName) -> Request<Full<Bytes>> {
        let mut request = Request::new(Full::new(body));
        *request.method_mut() = http::Method::POST;
        *request.uri_mut() = self.uri.clone();
        let headers = request.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
        if let Some(name) = self.target.encoding.name() {
            headers.insert(encoding, HeaderValue::from_static(name));
        }
        request
    }

    async fn send_grpc(&self, body: Bytes) -> Result<Outcome, Error> {
        let peer = self.target.address.as_str();
        let mut sender = self.grpc_sender().await?;
        sender.ready().await.of_peer(peer)?;
        let mut request = self.request(body, "application/grpc", header::HeaderName::from_static("grpc-encoding"));
        request.headers_mut().insert(header::TE, HeaderValue::from_static("trailers"));
        let response = sender.send_request(request).await.of_peer(peer)?;
        let (head, body) = response.into_parts();
        if head.status != StatusCode::OK {
            return Ok(http_refusal(head.status, &head.headers));
        }
        let body = body.collect().await.of_peer(peer)?;
        let status = grpc_status(&head.headers).or_else(|| body.trailers().and_then(grpc_status));
        let hinted = has_retry_info(&head.headers) || body.trailers().is_some_and(has_retry_info);
        let message = body.to_bytes();
        Ok(match status {
            Some(0) => accepted(message.get(crate::ring::GRPC_PREFIX..).unwrap_or_default()),
            // CANCELLED, DEADLINE_EXCEEDED, ABORTED, OUT_OF_RANGE, UNAVAILABLE, DATA_LOSS. RESOURCE_EXHAUSTED only with
            // a hint, and some clients do not look for one.
            Some(code) => Outcome::Refused {
                status: format!("grpc {code}"),
                retryable: matches!(code, 1 | 4 | 10 | 11 | 14 | 15),
                hinted,
            },
            None => Outcome::Broken("no grpc-status".into()),
        })
    }

    async fn grpc_sender(&self) -> Result<http2::SendRequest<Full<Bytes>>, Error> {
        let open = || {
            let sender = self.grpc.sender.lock().unwrap_or_else(PoisonError::into_inner);
            sender.clone().filter(|sender| !sender.is_closed())
        };
        if let Some(sender) = open() {
            return Ok(sender);
        }
        let _opening = self.grpc.opening.lock().await;
        if let Some(sender) = open() {
            return Ok(sender);
        }
        let peer = self.target.address.as_str();
        let (sender, connection) = http2::Builder::new(TokioExecutor::new())
            .initial_stream_window_size(MIB)
            .initial_connection_window_size(4 * MIB)
            .handshake(TokioIo::new(self.connect().await?))
            .await
            .of_peer(peer)?;
        tokio::spawn(connection);
        *self.grpc.sender.lock().unwrap_or_else(PoisonError::into_inner) = Some(sender.clone());
        Ok(sender)
    }

    async fn send_http(&self, connection: &Http, body: Bytes) -> Result<Outcome, Error> {
        let peer = self.target.address.as_str();
        let mut slot = connection.lock().await;
        let mut sender = match slot.take().filter(|sender| !sender.is_closed()) {
            Some(sender) => sender,
            None => {
                let io = TokioIo::new(self.connect().await?);
                let (sender, connection) = http1::handshake(io).await.of_peer(peer)?;
                tokio::spawn(connection);
                sender
            }
        };
        sender.ready().await.of_peer(peer)?;
        let mut request = self.request(body, "application/x-protobuf", header::CONTENT_ENCODING);
        let host = HeaderValue::from_str(&self.target.address).of_peer(peer)?;
        request.headers_mut().insert(header::HOST, host);
        *request.uri_mut() = Uri::try_from(self.target.path.as_str()).of_peer(peer)?;
        let response = sender.send_request(request).await.of_peer(peer)?;
        let (status, headers) = (response.status(), response.headers().clone());
        let body = response.into_body().collect().await.of_peer(peer)?.to_bytes();
        *slot = Some(sender);
        Ok(if status.is_success() { accepted(&body) } else { http_refusal(status, &headers) })
    }

    async fn connect(&self) -> Result<TcpStream, Error> {
        let socket = TcpStream::connect(&self.target.address).await.of_peer(&self.target.address)?;
        socket.set_nodelay(true).map_err(Error::io("nodelay"))?;
        Ok(socket)
    }
}

fn grpc_status(headers: &HeaderMap) -> Option<u32> {
    headers.get("grpc-status")?.to_str().ok()?.parse().ok()
}

/// Whether the status details name `google.rpc.RetryInfo`. Its delay is the collector's business.
fn has_retry_info(headers: &HeaderMap) -> bool {
    const TYPE: &[u8] = b"type.googleapis.com/google.rpc.RetryInfo";
    let Some(details) = headers.get("grpc-status-details-bin") else { return false };
    let text = details.as_bytes().trim_ascii_end();
    let end = text.iter().rposition(|&byte| byte != b'=').map_or(0, |last| last + 1);
    let decoded = STANDARD_NO_PAD.decode(text.get(..end).unwrap_or_default()).unwrap_or_default();
    decoded.windows(TYPE.len()).any(|window| window == TYPE)
}

fn http_refusal(status: StatusCode, headers: &HeaderMap) -> Outcome {
    Outcome::Refused {
        status: format!("http {}", status.as_u16()),
        retryable: matches!(status.as_u16(), 429 | 502..=504),
        hinted: headers.contains_key(header::RETRY_AFTER),
    }
}

/// Looks for `partial_success` (field 1) with rejected items (field 1 in it).
fn accepted(response: &[u8]) -> Outcome {
    let mut fields = Fields(response);
    while let Ok(Some((number, value))) = fields.next() {
        if let (1, Value::Bytes(partial)) = (number, value)
            && let Ok(Some((1, Value::Varint(rejected @ 1..)))) = Fields(partial).next()
        {
            return Outcome::Partial(rejected);
        }
    }
    Outcome::Accepted
}

#[cfg(test)]
mod tests {
    use super::{HeaderMap, HeaderValue, STANDARD_NO_PAD, has_retry_info};
    use base64::Engine;

    #[test]
    fn a_hint_is_found_in_the_status_details_padded_or_not() {
        let of = |text: &[u8]| {
            let mut headers = HeaderMap::new();
            headers.insert("grpc-status-details-bin", HeaderValue::from_bytes(text).unwrap());
            has_retry_info(&headers)
        };
        let details = |kind: &str| {
            let url = format!("type.googleapis.com/google.rpc.{kind}");
            let any = [&[10, url.len() as u8], url.as_bytes(), &[18, 4, 10, 2, 8, 3]].concat();
            STANDARD_NO_PAD.encode([&[8, 14, 26, any.len() as u8], &any[..]].concat())
        };
        let hint = details("RetryInfo");
        assert!(of(hint.as_bytes()));
        assert!(of(format!("{hint}{}", "=".repeat(hint.len().wrapping_neg() % 4)).as_bytes()));
        assert!(!of(details("BadRequest").as_bytes()));
        assert!(!of(b"!") && !has_retry_info(&HeaderMap::new()));
    }
}
