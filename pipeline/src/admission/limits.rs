//! The budget's limits, from the machine and from `memory_limiter` (delivery §5, collector-compat §4.1).

use std::time::Duration;

use super::machine::{Files, memory_limit};
use crate::processor::MemoryLimit;

/// The budget where nothing limits the process.
pub const DEFAULT_BYTES: u64 = 512 << 20;

/// Share of the control group's limit that is budgeted by default.
const CGROUP_PERCENT: u64 = 60;

/// How often resident memory is looked at unless `check_interval` is written.
const CHECK_INTERVAL: Duration = Duration::from_secs(1);

/// Share of the limit at which resident memory makes us refuse, whatever is reserved.
const RESIDENT_PERCENT: u64 = 85;

/// What the memory budget and its backstop are set to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The budget, in bytes.
    pub budget: u64,
    /// New bodies are refused above this total.
    pub soft: u64,
    /// Resident memory above which new bodies are refused.
    pub resident: u64,
    pub check_interval: Duration,
}

impl Limits {
    /// The default budget, or the smallest of those configured. Resident memory is measured against the control group's limit
    /// if there is one, and else against twice the budget, as code and caches are resident too.
    pub fn resolve(configured: &[MemoryLimit], files: &dyn Files) -> Self {
        let cgroup = memory_limit(files);
        let budget = cgroup.map_or(DEFAULT_BYTES, |limit| limit / 100 * CGROUP_PERCENT);
        let budget = configured.iter().map(|limit| limit.limit).min().unwrap_or(budget);
        let soft = configured.iter().map(|limit| limit.limit.saturating_sub(limit.spike)).min().unwrap_or(budget);
        let ceiling = cgroup.unwrap_or(budget.saturating_mul(2));
        Limits {
            budget,
            soft: soft.min(budget),
            resident: ceiling / 100 * RESIDENT_PERCENT,
            check_interval: configured.iter().map(|limit| limit.check_interval).min().unwrap_or(CHECK_INTERVAL),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::machine::tests::Fixed;
    use super::*;

    const MIB: u64 = 1 << 20;
    const CGROUP: &[(&str, &str)] = &[("/proc/self/cgroup", "0::/\n"), ("/sys/fs/cgroup/memory.max", "1000000000\n")];

    fn limiter(limit: u64, spike: u64, seconds: u64) -> MemoryLimit {
        MemoryLimit { limit: limit * MIB, spike: spike * MIB, check_interval: Duration::from_secs(seconds) }
    }

    #[test]
    fn the_default_is_a_share_of_the_control_group_or_512_mib() {
        let limits = Limits::resolve(&[], &Fixed(CGROUP));
        assert_eq!((limits.budget, limits.soft, limits.resident), (600_000_000, 600_000_000, 850_000_000));
        let limits = Limits::resolve(&[], &Fixed(&[]));
        assert_eq!((limits.budget, limits.check_interval), (512 * MIB, Duration::from_secs(1)));
    }

    #[test]
    fn of_several_memory_limiters_the_smallest_wins() {
        let limits = Limits::resolve(&[limiter(400, 80, 5), limiter(300, 10, 2)], &Fixed(CGROUP));
        assert_eq!((limits.budget, limits.soft), (300 * MIB, 290 * MIB));
        assert_eq!(limits.check_interval, Duration::from_secs(2));
        // One that refuses early counts, even if its limit is the larger one.
        assert_eq!(Limits::resolve(&[limiter(400, 200, 1), limiter(300, 10, 1)], &Fixed(CGROUP)).soft, 200 * MIB);
    }
}
