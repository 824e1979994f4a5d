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
    answer_still_since: AtomicU64,
    /// Responses that come bit by bit, and when the last of them ended.
    streaming: AtomicUsize,
    stream_ended: AtomicU64,
    /// Bytes a second, of a peer that has let writes wait.
    write_min_rate: u64,
}

impl Traffic {
    pub(crate) fn new(write_min_rate: u64) -> Self {
        let traffic = Traffic {
            write_min_rate: write_min_rate.max(1),
            epoch: Instant::now(),
            bytes_read: AtomicU64::new(0),
            requests: AtomicUsize::new(0),
            flood: AtomicBool::new(false),
            head_since: AtomicU64::new(0),
            idle_since: AtomicU64::new(0),
            write_stalled_since: AtomicU64::new(0),
            answer_still_since: AtomicU64::new(0),
            streaming: AtomicUsize::new(0),
            stream_ended: AtomicU64::new(0),
        };
        traffic.mark(&traffic.idle_since);
        traffic
    }

    fn mark(&self, moment: &AtomicU64) {
        moment.store(self.now(), Ordering::Relaxed);
    }

    /// Now, in the terms in which moments are kept here.
    pub(crate) fn now(&self) -> u64 {
        u64::try_from(self.epoch.elapsed().as_millis()).unwrap_or(u64::MAX - 1) + 1
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

    /// Something waits to be written and cannot be.
    pub(crate) fn write_stalls(&self) {
        if self.write_stalled_since.load(Ordering::Relaxed) == 0 {
            self.mark(&self.write_stalled_since);
        }
    }

    /// So much could be written: that buys the time it takes at the least rate. A peer that takes a little now and then
    /// is not better than one that takes nothing.
    pub(crate) fn writes(&self, bytes: usize) {
        let since = self.write_stalled_since.load(Ordering::Relaxed);
        if since == 0 {
            return;
        }
        let bought = (bytes as u64).saturating_mul(1000) / self.write_min_rate;
        let since = since.saturating_add(bought);
        self.write_stalled_since.store(if since >= self.now() { 0 } else { since }, Ordering::Relaxed);
    }

    /// Nothing waits any more.
    pub(crate) fn all_written(&self) {
        if self.write_stalled_since.load(Ordering::Relaxed) != 0 {
            self.write_stalled_since.store(0, Ordering::Relaxed);
        }
    }

    /// Since when too little could be written although something waits.
    pub(crate) fn write_stalled_since(&self) -> Option<Instant> {
        self.read(&self.write_stalled_since)
    }

    pub(crate) fn write_min_rate(&self) -> u64 {
        self.write_min_rate
    }

    /// Responses that come bit by bit.
    pub(crate) fn streaming(&self) -> usize {
        self.streaming.load(Ordering::Relaxed)
    }

    pub(crate) fn stream_begins(&self) {
        self.streaming.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn stream_ends(&self) {
        self.streaming.fetch_sub(1, Ordering::Relaxed);
        self.mark(&self.stream_ended);
    }

    pub(crate) fn set_answer_still_since(&self, since: Option<u64>) {
        let since = since.unwrap_or(0);
        if self.answer_still_since.load(Ordering::Relaxed) != since {
            self.answer_still_since.store(since, Ordering::Relaxed);
        }
    }

    /// Since when too little of an answer was sent that is only to be sent. One that came bit by bit is that from its end on.
    pub(crate) fn answer_still_since(&self) -> Option<Instant> {
        Some(self.read(&self.answer_still_since)?.max(self.read(&self.stream_ended).unwrap_or(self.epoch)))
    }

    pub(crate) fn set_flood(&self) {
        self.flood.store(true, Ordering::Relaxed);
    }

    pub(crate) fn is_flood(&self) -> bool {
        self.flood.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::advance;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn little_that_is_taken_now_and_then_buys_little_time() {
        let traffic = Traffic::new(1_000);
        traffic.writes(5_000);
        assert_eq!(traffic.write_stalled_since(), None, "nothing waits");
        traffic.write_stalls();
        let since = traffic.write_stalled_since().unwrap();
        for _ in 0..20 {
            advance(Duration::from_secs(1)).await;
            traffic.writes(100);
            traffic.write_stalls();
        }
        assert_eq!(traffic.write_stalled_since(), Some(since + Duration::from_secs(2)));
        traffic.writes(17_999);
        assert!(traffic.write_stalled_since().is_some());
        traffic.writes(1_000);
        assert_eq!(traffic.write_stalled_since(), None, "it takes as much as it should");
        traffic.write_stalls();
        traffic.all_written();
        assert_eq!(traffic.write_stalled_since(), None);
    }
}
