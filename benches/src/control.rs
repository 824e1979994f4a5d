//! A small HTTP port: `GET` answers a report as JSON, `POST` steers. The generator and the sink serve it; the rig and
//! tests call it.

use crate::error::{Error, OfPeer};
use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::net::{TcpListener, TcpStream};

/// Largest body in either direction. Reports of tracked runs with many gaps are the largest.
const LIMIT: usize = 64 << 20;

/// Answers a call; `None` is a 404, an error a 400.
pub type Handler = dyn Fn(&Method, &str, &str) -> Option<Result<Value, Error>> + Send + Sync;

/// Serves calls until the task is dropped.
pub async fn serve(listener: TcpListener, handler: Arc<Handler>) {
    loop {
        let Ok((socket, _)) = listener.accept().await else { continue };
        let handler = Arc::clone(&handler);
        let service = hyper::service::service_fn(move |request: Request<Incoming>| {
            let handler = Arc::clone(&handler);
            async move { Ok::<_, Infallible>(answer(&handler, request).await) }
        });
        tokio::spawn(hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(socket), service));
    }
}

async fn answer(handler: &Arc<Handler>, request: Request<Incoming>) -> Response<Full<Bytes>> {
    let (head, body) = request.into_parts();
    let body = match Limited::new(body, LIMIT).collect().await {
        Ok(body) => String::from_utf8_lossy(&body.to_bytes()).into_owned(),
        Err(error) => return text(StatusCode::BAD_REQUEST, error.to_string()),
    };
    match handler(&head.method, head.uri.path(), &body) {
        None => text(StatusCode::NOT_FOUND, format!("no {}", head.uri.path())),
        Some(Err(error)) => text(StatusCode::BAD_REQUEST, error.to_string()),
        Some(Ok(value)) => text(StatusCode::OK, format!("{value}\n")),
    }
}

fn text(status: StatusCode, body: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::from(body));
    *response.status_mut() = status;
    response
}

/// Calls another process's control port.
pub async fn call<T: DeserializeOwned>(
    address: SocketAddr,
    method: Method,
    path: &str,
    body: &str,
) -> Result<T, Error> {
    let answer = fetch(address, method, path, body).await?;
    serde_json::from_slice(&answer).of_peer(&format!("{address}{path}"))
}

/// One HTTP request; the body of a 200.
pub async fn fetch(address: SocketAddr, method: Method, path: &str, body: &str) -> Result<Bytes, Error> {
    let peer = format!("{address}{path}");
    let peer = peer.as_str();
    let socket = TcpStream::connect(address).await.of_peer(peer)?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(socket)).await.of_peer(peer)?;
    tokio::spawn(connection);
    let request = Request::builder()
        .method(method)
        .uri(path)
        .header(http::header::HOST, address.to_string())
        .body(Full::<Bytes>::from(body.to_owned()))
        .of_peer(peer)?;
    let response = sender.send_request(request).await.of_peer(peer)?;
    let status = response.status();
    let answer = Limited::new(response.into_body(), LIMIT).collect().await.of_peer(peer)?.to_bytes();
    if status != StatusCode::OK {
        return Err(String::from_utf8_lossy(&answer)).of_peer(peer);
    }
    Ok(answer)
}
