use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};

use tokio::time::Instant;

/// What happens on one connection, written by its socket and its requests and read by its watchdog.
#[derive(Debug)]
pub struct Traffic {
    epoch: Instant,
    bytes_read: AtomicU64,
    requests: AtomicUsize,
    /// A socket saw a flood; the connection is to be closed.
    flood: AtomicBool,
    // Moments, as milliseconds since `epoch` plus one; zero for "not now".
    head_since: AtomicU64,
    idle_since: AtomicU64,
    write_stalled_since: AtomicU64,
}

impl Traffic {
    pub(crate) fn new() -> Self {
        let traffic = Traffic {
            epoch: Instant::now(),
            bytes_read: AtomicU64::new(0),
            requests: AtomicUsize::new(0),
            flood: AtomicBool::new(false),
            head_since: AtomicU64::new(0),
            idle_since: AtomicU64::new(0),
            write_stalled_since: AtomicU64::new(0),
        };
        traffic.mark(&traffic.idle_since);
        traffic
    }

    fn mark(&self, moment: &AtomicU64) {
        let millis = u64::try_from(self.epoch.elapsed().as_millis()).unwrap_or(u64::MAX - 1);
        moment.store(millis + 1, Ordering::Relaxed);
    }

    fn read(&self, moment: &AtomicU64) -> Option<Instant> {
        let millis = moment.load(Ordering::Relaxed).checked_sub(1)?;
        Some(self.epoch + std::time::Duration::from_millis(millis))
    }

    /// Bytes read from the socket (after TLS).
    pub(crate) fn bytes_read(&self) -> u64 {
        self.bytes_read.load(Ordering::Relaxed)
    }

    pub(crate) fn add_read(&self, bytes: usize) {
        self.bytes_read.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    /// Requests whose response is not finished.
    pub(crate) fn requests(&self) -> usize {
        self.requests.load(Ordering::Relaxed)
    }

    pub(crate) fn request_begins(&self) {
        self.requests.fetch_add(1, Ordering::Relaxed);
        self.idle_since.store(0, Ordering::Relaxed);
    }

    pub(crate) fn request_ends(&self) {
        if self.requests.fetch_sub(1, Ordering::Relaxed) == 1 {
            self.mark(&self.idle_since);
        }
    }

    /// Since when there is no request.
    pub(crate) fn idle_since(&self) -> Option<Instant> {
        self.read(&self.idle_since)
    }

    pub(crate) fn head_begins(&self) {
        if self.head_since.load(Ordering::Relaxed) == 0 {
            self.mark(&self.head_since);
        }
    }

    pub(crate) fn head_ends(&self) {
        if self.head_since.load(Ordering::Relaxed) != 0 {
            self.head_since.store(0, Ordering::Relaxed);
        }
    }

    /// Since when the headers of a request are incomplete.
    pub(crate) fn head_since(&self) -> Option<Instant> {
        self.read(&self.head_since)
    }

    pub(crate) fn write_stalls(&self, stalled: bool) {
        match (stalled, self.write_stalled_since.load(Ordering::Relaxed)) {
            (true, 0) => self.mark(&self.write_stalled_since),
            (false, 1..) => self.write_stalled_since.store(0, Ordering::Relaxed),
            _ => {}
        }
    }

    /// Since when nothing could be written although something waits.
    pub(crate) fn write_stalled_since(&self) -> Option<Instant> {
        self.read(&self.write_stalled_since)
    }

    pub(crate) fn set_flood(&self) {
        self.flood.store(true, Ordering::Relaxed);
    }

    pub(crate) fn is_flood(&self) -> bool {
        self.flood.load(Ordering::Relaxed)
    }
}
