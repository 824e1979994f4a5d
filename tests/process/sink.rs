//! A destination: an OTLP/gRPC server that remembers the names of the spans it took, and the headers they came with.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http::{HeaderMap, Response};
use sluice_pdata::wire::fields;

/// The first requests: their headers, and the names of their spans.
type Requests = Arc<Mutex<Vec<(HeaderMap, Vec<String>)>>>;

/// How many are remembered.
const REQUESTS: usize = 1000;

/// Answers every export with success.
pub struct Sink {
    pub port: u16,
    names: Arc<Mutex<HashMap<String, usize>>>,
    requests: Requests,
    _runtime: tokio::runtime::Runtime,
}

impl Sink {
    pub fn start() -> Self {
        Self::start_at(0)
    }

    /// On this port.
    pub fn start_at(port: u16) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let listener = runtime.block_on(tokio::net::TcpListener::bind(("127.0.0.1", port))).unwrap();
        let port = listener.local_addr().unwrap().port();
        let names: Arc<Mutex<HashMap<String, usize>>> = Arc::default();
        let requests = Requests::default();
        let (kept, remembered) = (Arc::clone(&names), Arc::clone(&requests));
        runtime.spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(connection(stream, Arc::clone(&kept), Arc::clone(&remembered)));
            }
        });
        Sink { port, names, requests, _runtime: runtime }
    }

    /// How often each name has arrived.
    pub fn arrived(&self) -> HashMap<String, usize> {
        self.names.lock().unwrap().clone()
    }

    /// The headers of the first requests, and the names of the spans in them.
    pub fn requests(&self) -> Vec<(HeaderMap, Vec<String>)> {
        self.requests.lock().unwrap().clone()
    }
}

async fn connection(stream: tokio::net::TcpStream, names: Arc<Mutex<HashMap<String, usize>>>, requests: Requests) {
    let Ok(mut connection) = h2::server::handshake(stream).await else { return };
    while let Some(Ok((request, mut respond))) = connection.accept().await {
        let (names, requests) = (Arc::clone(&names), Arc::clone(&requests));
        tokio::spawn(async move {
            let (head, mut body) = request.into_parts();
            let mut frame = Vec::new();
            while let Some(Ok(data)) = body.data().await {
                let _ = body.flow_control().release_capacity(data.len());
                frame.extend_from_slice(&data);
            }
            {
                let (mut names, mut requests) = (names.lock().unwrap(), requests.lock().unwrap());
                let found = span_names(&frame[5..]);
                found.iter().for_each(|name| *names.entry(name.clone()).or_default() += 1);
                if requests.len() < REQUESTS {
                    requests.push((head.headers, found));
                }
            }
            let response = Response::builder().header("content-type", "application/grpc").body(()).unwrap();
            let Ok(mut stream) = respond.send_response(response, false) else { return };
            let _ = stream.send_data(Bytes::from_static(&[0; 5]), false);
            let mut trailers = HeaderMap::new();
            trailers.insert("grpc-status", "0".parse().unwrap());
            let _ = stream.send_trailers(trailers);
        });
    }
}

/// The names of the spans of an export request.
fn span_names(request: &[u8]) -> Vec<String> {
    fn inner(message: &[u8], number: u32) -> impl Iterator<Item = &[u8]> {
        fields(message).map(Result::unwrap).filter(move |field| field.number == number).filter_map(|f| f.value.len())
    }
    let spans = inner(request, 1).flat_map(|resource| inner(resource, 2)).flat_map(|scope| inner(scope, 2));
    spans.flat_map(|span| inner(span, 5)).map(|name| String::from_utf8(name.to_vec()).unwrap()).collect()
}
