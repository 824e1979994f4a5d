//! Clients that send numbered items as fast as they are answered, and remember what was acknowledged.

use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::durable_sink::name;
use crate::wire::traces;

const CLIENTS: usize = 4;
/// Items in a request.
const ITEMS: u64 = 10;

/// What was sent and what was acknowledged, over all runs.
#[derive(Default)]
pub struct Log {
    next: AtomicU64,
    acked: Mutex<BTreeSet<u64>>,
    grew: Condvar,
}

impl Log {
    /// Everything acknowledged so far.
    pub fn acked(&self) -> BTreeSet<u64> {
        self.acked.lock().unwrap().clone()
    }

    /// No item from here on was ever sent.
    pub fn end(&self) -> u64 {
        self.next.load(Ordering::SeqCst)
    }

    /// The first of so many new items.
    pub fn next(&self, items: u64) -> u64 {
        self.next.fetch_add(items, Ordering::SeqCst)
    }

    /// These were acknowledged.
    pub fn ack(&self, items: std::ops::Range<u64>) {
        self.acked.lock().unwrap().extend(items);
        self.grew.notify_all();
    }

    /// Waits until this many items are acknowledged.
    pub fn wait_for(&self, items: usize) {
        let acked = self.acked.lock().unwrap();
        let patience = Duration::from_secs(60);
        let (acked, _) = self.grew.wait_timeout_while(acked, patience, |acked| acked.len() < items).unwrap();
        assert!(acked.len() >= items, "only {} items were acknowledged", acked.len());
    }
}

/// Clients at work, until the server is gone.
pub struct Load(Vec<JoinHandle<()>>);

impl Load {
    /// Sends to an OTLP/HTTP port.
    pub fn start(port: u16, log: &Arc<Log>) -> Self {
        let client = || {
            let log = Arc::clone(log);
            std::thread::spawn(move || {
                let Ok(mut stream) = TcpStream::connect(("127.0.0.1", port)) else { return };
                let _ = stream.set_read_timeout(Some(Duration::from_secs(30)));
                loop {
                    let first = log.next(ITEMS);
                    let names: Vec<String> = (first..first + ITEMS).map(name).collect();
                    match post(&mut stream, "application/x-protobuf", &traces(&names)) {
                        Some(200) => log.ack(first..first + ITEMS),
                        // Refused: not ours to count.
                        Some(_) => {}
                        None => return,
                    }
                }
            })
        };
        Load((0..CLIENTS).map(|_| client()).collect())
    }

    /// Waits until every client has noticed that the server is gone.
    pub fn end(self) {
        self.0.into_iter().for_each(|client| client.join().unwrap());
    }
}

/// One request on a connection that is kept. `None` if the server is gone.
pub fn post(stream: &mut TcpStream, content_type: &str, body: &[u8]) -> Option<u16> {
    post_to(stream, "/v1/traces", content_type, body)
}

/// The same to any path.
pub fn post_to(stream: &mut TcpStream, path: &str, content_type: &str, body: &[u8]) -> Option<u16> {
    let head = format!(
        "POST {path} HTTP/1.1\r\nhost: sluice\r\ncontent-type: {content_type}\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all(&[head.as_bytes(), body].concat()).ok()?;
    let (mut answer, mut chunk) = (Vec::new(), [0; 4096]);
    loop {
        let read = stream.read(&mut chunk).ok().filter(|&read| read > 0)?;
        answer.extend_from_slice(&chunk[..read]);
        let Some(end) = answer.windows(4).position(|window| window == b"\r\n\r\n") else { continue };
        let head = String::from_utf8_lossy(&answer[..end]).to_ascii_lowercase();
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")?.trim().parse().ok());
        if answer.len() >= end + 4 + length.unwrap_or(0) {
            let closes = head.contains("connection: close");
            let status = head.split(' ').nth(1)?.parse().ok()?;
            return if closes && status != 200 { None } else { Some(status) };
        }
    }
}
