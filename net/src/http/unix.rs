use std::path::Path;

use ::http::{HeaderValue, Request, header};
use http_body_util::Full;
use hyper_util::rt::TokioIo;
use tokio::net::UnixStream;
use tokio::time::timeout;

use super::client::{Answer, Outgoing, SendError, receive};

/// Sends one HTTP/1.1 request over a unix socket and receives the whole response. Of the target only path and query count.
///
/// # Errors
/// See [`SendError`]; an error status of the server is no error here.
pub async fn send_to_socket(path: &Path, outgoing: Outgoing, max_response_bytes: usize) -> Result<Answer, SendError> {
    let limit = outgoing.timeout;
    let exchanged = exchange(path, outgoing, max_response_bytes);
    match limit {
        None => exchanged.await,
        Some(limit) => timeout(limit, exchanged).await.unwrap_or(Err(SendError::Timeout(limit))),
    }
}

async fn exchange(path: &Path, outgoing: Outgoing, max_response_bytes: usize) -> Result<Answer, SendError> {
    let failed = |message: String| SendError::Connect { message, certificate: false };
    let stream = UnixStream::connect(path).await.map_err(|error| failed(error.to_string()))?;
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(|error| failed(error.to_string()))?;
    let Outgoing { method, uri, headers, body, timeout: _ } = outgoing;
    let target = uri.path_and_query().map_or("/", |target| target.as_str());
    let mut request = Request::new(Full::new(body));
    *request.uri_mut() = target.parse().map_err(|_| SendError::Request(format!("invalid target {target:?}")))?;
    *request.method_mut() = method;
    *request.headers_mut() = headers;
    request.headers_mut().entry(header::HOST).or_insert(HeaderValue::from_static("localhost"));
    let exchanged = async {
        let response = sender.send_request(request).await.map_err(|error| SendError::Reset(error.to_string()))?;
        receive(response, max_response_bytes).await
    };
    tokio::pin!(connection);
    tokio::pin!(exchanged);
    tokio::select! {
        biased;
        answer = &mut exchanged => answer,
        // The server may close behind its answer, which is then read already.
        _ = &mut connection => exchanged.await,
    }
}
