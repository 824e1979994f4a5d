//! Time as an argument (delivery §9). Ages are differences of boot time within a boot, of wall time across boots.

use std::time::Duration;

use crate::checksum::{crc32c, crc32c_append};

use rustix::time::{ClockId, clock_gettime};

/// A moment, on both clocks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stamp {
    /// Which boot of the machine `boottime` counts from.
    pub boot: u64,
    /// Since that boot, suspended time included. Never steps.
    pub boottime: Duration,
    /// Since the Unix epoch. May step.
    pub wall: Duration,
}

impl Stamp {
    /// How long before `self` the other was. Zero if it seems to lie ahead.
    pub fn since(&self, earlier: &Stamp) -> Duration {
        if self.boot == earlier.boot {
            self.boottime.saturating_sub(earlier.boottime)
        } else {
            self.wall.saturating_sub(earlier.wall)
        }
    }

    /// Milliseconds since the epoch, as records have them.
    pub fn wall_ms(&self) -> u64 {
        u64::try_from(self.wall.as_millis()).unwrap_or(u64::MAX)
    }
}

/// What tells time.
pub trait Clock: Send + Sync {
    fn now(&self) -> Stamp;
}

/// The machine's clocks.
#[derive(Clone, Copy, Debug)]
pub struct SystemClock {
    boot: u64,
}

impl SystemClock {
    /// Reads which boot this is.
    #[expect(clippy::new_without_default, reason = "reads a file")]
    pub fn new() -> Self {
        let id = std::fs::read("/proc/sys/kernel/random/boot_id").unwrap_or_default();
        let boot = u64::from(crc32c(&id)) << 32 | u64::from(crc32c_append(1, &id));
        SystemClock { boot }
    }
}

impl Clock for SystemClock {
    fn now(&self) -> Stamp {
        let read = |id| {
            let time = clock_gettime(id);
            Duration::new(u64::try_from(time.tv_sec).unwrap_or(0), u32::try_from(time.tv_nsec).unwrap_or(0))
        };
        Stamp { boot: self.boot, boottime: read(ClockId::Boottime), wall: read(ClockId::Realtime) }
    }
}
