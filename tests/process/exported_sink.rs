//! A destination that answers as it is told, and not before.

use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Response};
use tokio::sync::watch;

/// Longer than anything here takes; reached only by a failure.
const PATIENCE: Duration = Duration::from_secs(60);

/// What it says to an export.
#[derive(Clone, Debug)]
pub enum Says {
    /// Nothing, until it is told otherwise.
    Nothing,
    Taken,
    /// It took all but so many items, in these words.
    But(u8, &'static str),
    /// A gRPC status.
    Status(u16, &'static str),
}

type Requests = Arc<(Mutex<usize>, Condvar)>;

/// A running destination, until the test ends.
pub struct Sink {
    pub port: u16,
    says: watch::Sender<Says>,
    requests: Requests,
}

impl Sink {
    pub fn start(says: Says) -> Self {
        Sink::on(0, says)
    }

    /// Listens on a port of loopback.
    pub fn on(port: u16, says: Says) -> Self {
        let (says, told) = watch::channel(says);
        let requests = Requests::default();
        let shared = Arc::clone(&requests);
        let listener = std::net::TcpListener::bind(("127.0.0.1", port)).unwrap();
        listener.set_nonblocking(true).unwrap();
        let port = listener.local_addr().unwrap().port();
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async move {
                let listener = tokio::net::TcpListener::from_std(listener).unwrap();
                while let Ok((stream, _)) = listener.accept().await {
                    tokio::spawn(serve(stream, told.clone(), Arc::clone(&shared)));
                }
            });
        });
        Sink { port, says, requests }
    }

    /// What it says from now on, also to those that wait.
    pub fn say(&self, says: Says) {
        self.says.send_replace(says);
    }

    /// Waits until this many exports have come, answered or not.
    pub fn wait_for(&self, requests: usize) {
        let come = self.requests.0.lock().unwrap();
        let (come, _) = self.requests.1.wait_timeout_while(come, PATIENCE, |come| *come < requests).unwrap();
        assert!(*come >= requests, "only {come} exports have come");
    }
}

async fn serve(stream: tokio::net::TcpStream, told: watch::Receiver<Says>, requests: Requests) {
    let Ok(mut connection) = h2::server::handshake(stream).await else { return };
    while let Some(Ok((request, respond))) = connection.accept().await {
        tokio::spawn(answer(request, respond, told.clone(), Arc::clone(&requests)));
    }
}

async fn answer(
    request: http::Request<h2::RecvStream>,
    mut respond: h2::server::SendResponse<Bytes>,
    mut told: watch::Receiver<Says>,
    requests: Requests,
) -> Option<()> {
    let mut incoming = request.into_body();
    while let Some(data) = incoming.data().await {
        incoming.flow_control().release_capacity(data.ok()?.len()).ok()?;
    }
    *requests.0.lock().unwrap() += 1;
    requests.1.notify_all();
    let says = told.wait_for(|says| !matches!(says, Says::Nothing)).await.ok()?.clone();
    let (code, words, body) = match says {
        Says::Nothing => return None,
        Says::Taken => (0, "", Vec::new()),
        Says::But(rejected, words) => (0, "", partial_success(rejected, words)),
        Says::Status(code, words) => (code, words, Vec::new()),
    };
    let head = Response::builder().header("content-type", "application/grpc").body(()).unwrap();
    let mut stream = respond.send_response(head, false).ok()?;
    if code == 0 {
        stream.send_data(crate::wire::frame(&body).into(), false).ok()?;
    }
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", HeaderValue::from(code));
    trailers.insert("grpc-message", HeaderValue::from_static(words));
    stream.send_trailers(trailers).ok()
}

/// An export response in which so many items were rejected.
fn partial_success(rejected: u8, words: &str) -> Vec<u8> {
    let mut partial = vec![0x08, rejected, 0x12, words.len() as u8];
    partial.extend(words.as_bytes());
    [&[0x0a, partial.len() as u8], &partial[..]].concat()
}
