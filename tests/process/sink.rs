//! A destination: an OTLP/gRPC server that remembers the names of the spans it took.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http::{HeaderMap, Response};
use sluice_pdata::wire::fields;

/// Answers every export with success.
pub struct Sink {
    pub port: u16,
    names: Arc<Mutex<HashMap<String, usize>>>,
    _runtime: tokio::runtime::Runtime,
}

impl Sink {
    pub fn start() -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).unwrap();
        let port = listener.local_addr().unwrap().port();
        let names: Arc<Mutex<HashMap<String, usize>>> = Arc::default();
        let kept = Arc::clone(&names);
        runtime.spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(connection(stream, Arc::clone(&kept)));
            }
        });
        Sink { port, names, _runtime: runtime }
    }

    /// How often each name has arrived.
    pub fn arrived(&self) -> HashMap<String, usize> {
        self.names.lock().unwrap().clone()
    }
}

async fn connection(stream: tokio::net::TcpStream, names: Arc<Mutex<HashMap<String, usize>>>) {
    let Ok(mut connection) = h2::server::handshake(stream).await else { return };
    while let Some(Ok((request, mut respond))) = connection.accept().await {
        let names = Arc::clone(&names);
        tokio::spawn(async move {
            let mut body = request.into_body();
            let mut frame = Vec::new();
            while let Some(Ok(data)) = body.data().await {
                let _ = body.flow_control().release_capacity(data.len());
                frame.extend_from_slice(&data);
            }
            {
                let mut names = names.lock().unwrap();
                span_names(&frame[5..]).into_iter().for_each(|name| *names.entry(name).or_default() += 1);
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
