//! The grid: the wall-clock points at which the series of a target are written.

use std::time::Duration;

/// Points at `offset + k·G`, in milliseconds since the Unix epoch.
///
/// The offset comes from the target's labels alone, so that any collector writes the same timestamps, and it spreads
/// the work of many targets over G.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Grid {
    period_ms: u64,
    offset_ms: u64,
}

impl Grid {
    /// `hash` is the FNV-1a hash of the target's labels; a period below a millisecond is one millisecond.
    pub fn new(period: Duration, hash: u64) -> Self {
        let period_ms = (period.as_millis() as u64).max(1);
        Grid { period_ms, offset_ms: hash % period_ms }
    }

    /// The first point later than a time.
    pub fn after(self, unix_ms: u64) -> u64 {
        let Some(since) = unix_ms.checked_sub(self.offset_ms) else { return self.offset_ms };
        self.offset_ms + (since / self.period_ms + 1) * self.period_ms
    }

    /// G in milliseconds.
    pub fn period_ms(self) -> u64 {
        self.period_ms
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_point_is_strictly_later_and_at_most_one_period_away() {
        let grid = Grid::new(Duration::from_secs(15), 0xdead_beef);
        for at in [0, 1, 7_345, 14_999, 15_000, 1_700_000_000_123] {
            let next = grid.after(at);
            assert!(next > at && (next - at <= 15_000), "{at} {next}");
            assert_eq!(grid.after(next), next + 15_000);
        }
    }
}
