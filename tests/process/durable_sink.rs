//! A destination: takes OTLP/gRPC and remembers which items came, and when.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use tokio::net::TcpListener;

/// Longer than anything here takes to arrive behind something else; reached only by a failure.
const PATIENCE: Duration = Duration::from_secs(60);
const MARK: &[u8] = b"item-";
const DIGITS: usize = 10;

/// The name of a span by which its item is known.
pub fn name(item: u64) -> String {
    format!("item-{item:010}")
}

/// The items whose names are somewhere in these bytes.
pub fn items(bytes: &[u8]) -> Vec<u64> {
    let marked = bytes.windows(MARK.len() + DIGITS).filter(|window| window.starts_with(MARK));
    marked.filter_map(|window| std::str::from_utf8(&window[MARK.len()..]).ok()?.parse().ok()).collect()
}

type Arrivals = Arc<(Mutex<HashMap<u64, Vec<Instant>>>, Condvar)>;

/// Tells the items of a body.
type Read = fn(&[u8]) -> Vec<u64>;

/// A running destination, until the test ends.
pub struct Sink {
    arrivals: Arrivals,
}

impl Sink {
    /// Listens on a port of loopback.
    pub fn start(port: u16) -> Self {
        Self::reading(port, items)
    }

    /// The same with another way to tell the items of a body.
    pub fn reading(port: u16, read: Read) -> Self {
        let arrivals = Arrivals::default();
        let shared = Arc::clone(&arrivals);
        let listener = std::net::TcpListener::bind(("127.0.0.1", port)).unwrap();
        listener.set_nonblocking(true).unwrap();
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async move {
                let listener = TcpListener::from_std(listener).unwrap();
                while let Ok((stream, _)) = listener.accept().await {
                    tokio::spawn(serve(stream, read, Arc::clone(&shared)));
                }
            });
        });
        Sink { arrivals }
    }

    /// Every item that came, with all its times.
    pub fn arrivals(&self) -> HashMap<u64, Vec<Instant>> {
        self.arrivals.0.lock().unwrap().clone()
    }

    /// Forgets what came.
    pub fn forget(&self) {
        self.arrivals.0.lock().unwrap().clear();
    }

    /// Waits until all of these are there, or nothing more is to come; gives those that are not.
    pub fn missing_when(&self, wanted: &BTreeSet<u64>, nothing_more: impl Fn() -> bool) -> Vec<u64> {
        let since = Instant::now();
        loop {
            // Asked first: what is settled has arrived.
            let last = nothing_more();
            let arrived = self.arrivals.0.lock().unwrap();
            let left: Vec<u64> = wanted.iter().filter(|item| !arrived.contains_key(item)).copied().collect();
            if left.is_empty() || last {
                return left;
            }
            assert!(since.elapsed() < PATIENCE, "{} are still to come", left.len());
            drop(self.arrivals.1.wait_timeout(arrived, Duration::from_millis(20)).unwrap());
        }
    }

    /// Waits until all of these are there, as long as more arrive; gives those that are not.
    pub fn missing(&self, wanted: &BTreeSet<u64>) -> Vec<u64> {
        let mut arrived = self.arrivals.0.lock().unwrap();
        loop {
            let left: Vec<u64> = wanted.iter().filter(|item| !arrived.contains_key(item)).copied().collect();
            let before = arrived.len();
            if left.is_empty() {
                return left;
            }
            let none_new = |arrived: &mut HashMap<u64, Vec<Instant>>| arrived.len() == before;
            let (more, waited) = self.arrivals.1.wait_timeout_while(arrived, PATIENCE, none_new).unwrap();
            if waited.timed_out() {
                return left;
            }
            arrived = more;
        }
    }
}

/// One connection, to its end: a collector that is killed just goes away.
async fn serve(stream: tokio::net::TcpStream, read: Read, arrivals: Arrivals) {
    let Ok(mut connection) = h2::server::Builder::new().initial_window_size(1 << 20).handshake(stream).await else {
        return;
    };
    while let Some(Ok((request, respond))) = connection.accept().await {
        tokio::spawn(answer(request, respond, read, Arc::clone(&arrivals)));
    }
}

async fn answer(
    request: http::Request<h2::RecvStream>,
    mut respond: h2::server::SendResponse<bytes::Bytes>,
    read: Read,
    arrivals: Arrivals,
) -> Option<()> {
    let mut incoming = request.into_body();
    let mut body = Vec::new();
    while let Some(data) = incoming.data().await {
        let data = data.ok()?;
        incoming.flow_control().release_capacity(data.len()).ok()?;
        body.extend_from_slice(&data);
    }
    let now = Instant::now();
    let mut arrived = arrivals.0.lock().unwrap();
    read(&body).into_iter().for_each(|item| arrived.entry(item).or_default().push(now));
    drop(arrived);
    arrivals.1.notify_all();
    let head = http::Response::builder().header("content-type", "application/grpc").body(()).unwrap();
    let mut stream = respond.send_response(head, false).ok()?;
    stream.send_data(bytes::Bytes::from_static(&[0; 5]), false).ok()?;
    let mut trailers = http::HeaderMap::new();
    trailers.insert("grpc-status", http::HeaderValue::from_static("0"));
    stream.send_trailers(trailers).ok()
}
