//! What limits a destination: the time that an answer takes, and the work that it does in turn.

use std::sync::Mutex;
use std::time::Duration;

use sluice_pipeline::clock::{Clock, Monotonic, VirtualClock};

/// Works on what it is sent in turn, even if nobody waits for it any more.
#[derive(Debug, Default)]
pub(super) struct Server {
    line: Mutex<Line>,
    /// How long an answer takes, whatever else is under way.
    takes: Mutex<Duration>,
}

#[derive(Debug, Default)]
struct Line {
    /// Items a second; zero for no limit.
    rate: f64,
    taken: f64,
    done: f64,
    at: Monotonic,
}

impl Line {
    fn work(&mut self, now: Monotonic) {
        self.done = self.taken.min(self.done + now.since(self.at).as_secs_f64() * self.rate);
        self.at = now;
    }
}

impl Server {
    pub(super) fn takes(&self, time: Duration) {
        *self.takes.lock().unwrap() = time;
    }

    /// What waits in line is done at this rate, too.
    pub(super) fn rate(&self, rate: f64, clock: &VirtualClock) {
        let mut line = self.line.lock().unwrap();
        line.work(clock.now());
        line.rate = rate;
    }

    pub(super) async fn serve(&self, items: usize, clock: &VirtualClock) {
        let takes = *self.takes.lock().unwrap();
        if !takes.is_zero() {
            clock.sleep(takes).await;
        }
        let place = {
            let mut line = self.line.lock().unwrap();
            line.work(clock.now());
            line.taken += items as f64;
            line.taken
        };
        loop {
            let left = {
                let mut line = self.line.lock().unwrap();
                line.work(clock.now());
                if line.rate > 0.0 { (place - line.done) / line.rate } else { 0.0 }
            };
            if left < 1e-6 {
                return;
            }
            clock.sleep(Duration::from_secs_f64(left)).await;
        }
    }
}
