//! Deterministic simulation (delivery §11): a disk that keeps what is durable apart from what is merely written, a seeded
//! scheduler that interleaves clients, writer, upkeep, readers and faults, and an oracle that knows what must come out.
//!
//! Everything runs on one thread. [`run`] plays one seed; at every call to the disk it can also ask what a crash right there
//! would leave. A seed that fails is in the message, and plays the same way again.

mod actions;
mod calls;
mod disk;
mod explore;
mod image;
mod model;
mod mutate;
mod random;
mod world;

pub use disk::{Faults, SimDisk};
pub use mutate::{Survived, mutations};
pub use random::Random;
pub use world::{Outcome, Plan, run};

use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::Duration;

use crate::clock::{Clock, Stamp};
use crate::rng::Rng;

/// A clock that moves when it is told to.
#[derive(Debug)]
pub struct SimClock(Mutex<Stamp>);

impl SimClock {
    pub fn new() -> Self {
        let wall = Duration::from_secs(1_700_000_000);
        SimClock(Mutex::new(Stamp { boot: 1, boottime: Duration::from_secs(100), wall }))
    }

    fn change(&self, change: impl FnOnce(&mut Stamp)) {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner));
    }

    pub fn advance(&self, by: Duration) {
        self.change(|now| (now.boottime, now.wall) = (now.boottime + by, now.wall + by));
    }

    /// Steps the wall clock, forward or back.
    pub fn step(&self, seconds: i64) {
        let by = Duration::from_secs(seconds.unsigned_abs());
        self.change(|now| now.wall = if seconds < 0 { now.wall.saturating_sub(by) } else { now.wall + by });
    }

    /// The machine starts again.
    pub fn reboot(&self) {
        self.change(|now| (now.boot, now.boottime) = (now.boot + 1, Duration::from_secs(1)));
    }
}

impl Default for SimClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for SimClock {
    fn now(&self) -> Stamp {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Not so secret ids.
pub struct SimRng(pub Mutex<Random>);

impl Rng for SimRng {
    fn fill(&self, buf: &mut [u8]) -> std::io::Result<()> {
        let mut random = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        buf.iter_mut().for_each(|byte| *byte = random.next() as u8);
        Ok(())
    }
}

#[cfg(test)]
mod tests;
