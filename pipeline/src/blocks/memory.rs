//! The memory limit (collector-compat §4.1): the budget by which bodies are admitted (delivery §5).

use serde::{Deserialize, Serialize};
use sluice_config::{GoDuration, Problems};

use crate::factory::{Validate, field};
use crate::processor::MemoryLimit;

/// `memory_limiter:`, as a processor and as an extension.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct MemoryLimiter {
    /// How often resident memory is compared with the limit. Must be set.
    pub check_interval: GoDuration,
    /// Most memory, in MiB.
    pub limit_mib: u32,
    /// Default: 20 % of the limit.
    pub spike_limit_mib: u32,
    /// Of the memory that this process may use: the cgroup's limit, else the machine's.
    pub limit_percentage: u32,
    /// Of the same; default: 20 % of the limit.
    pub spike_limit_percentage: u32,
    /// Without effect: Go's garbage collector has no counterpart here.
    pub min_gc_interval_when_soft_limited: GoDuration,
    /// Without effect.
    pub min_gc_interval_when_hard_limited: GoDuration,
    /// Without effect.
    pub max_gc_interval_when_soft_limited: GoDuration,
    /// Without effect.
    pub max_gc_interval_when_hard_limited: GoDuration,
}

impl Validate for MemoryLimiter {
    fn validate(&self, at: &str, problems: &mut Problems<'_>) {
        if self.check_interval.is_zero() {
            problems.add("E0104", &field(at, "check_interval"), "'check_interval' must be greater than zero").help =
                Some("add `check_interval: 1s`".to_owned());
        }
        if self.limit_mib == 0 && self.limit_percentage == 0 {
            let text = "'limit_mib' or 'limit_percentage' must be greater than zero";
            problems.add("E0104", &field(at, "limit_mib"), text).help =
                Some("add `limit_percentage: 80`, or `limit_mib: …`".to_owned());
        }
        if self.limit_percentage > 100 || self.spike_limit_percentage > 100 {
            let text = "'limit_percentage' and 'spike_limit_percentage' must be greater than zero and less than or equal to hundred";
            problems.error(&field(at, "limit_percentage"), text);
        }
        if self.limit_mib > 0 && self.limit_mib <= self.spike_limit_mib {
            problems.error(&field(at, "spike_limit_mib"), "'spike_limit_mib' must be smaller than 'limit_mib'");
        }
        if self.limit_percentage > 0 && self.limit_percentage <= self.spike_limit_percentage {
            let text = "'spike_limit_percentage' must be smaller than 'limit_percentage'";
            problems.error(&field(at, "spike_limit_percentage"), text);
        }
    }
}

impl MemoryLimiter {
    /// The limit in bytes; `available` is what this process may use.
    pub fn limit(&self, available: u64) -> MemoryLimit {
        let (limit, spike) = if self.limit_mib > 0 {
            (u64::from(self.limit_mib) << 20, u64::from(self.spike_limit_mib) << 20)
        } else {
            let percent = |share: u32| available / 100 * u64::from(share);
            (percent(self.limit_percentage), percent(self.spike_limit_percentage))
        };
        let spike = if spike == 0 { limit / 5 } else { spike };
        MemoryLimit { limit, spike, check_interval: *self.check_interval }
    }
}
