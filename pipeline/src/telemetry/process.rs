//! What the operating system says about this process.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use metrics::{Gauge, Unit};

use super::registry::Telemetry;
use crate::clock::{Clock, Monotonic};

/// Facts about the running process; a trait so that tests can say what memory is resident.
pub trait Process: Send + Sync {
    /// Resident memory in bytes.
    fn resident_bytes(&self) -> Option<u64>;

    /// CPU time used so far, user and system.
    fn cpu_time(&self) -> Option<Duration>;
}

/// Reads `/proc/self`.
#[derive(Clone, Debug)]
pub struct ProcFs {
    root: PathBuf,
}

impl Default for ProcFs {
    fn default() -> Self {
        ProcFs { root: "/proc/self".into() }
    }
}

/// Clock ticks a second in `/proc/<pid>/stat`: fixed by the kernel's ABI on every platform we build for.
const USER_HZ: u64 = 100;

impl Process for ProcFs {
    /// `VmRSS` of `status`, which unlike `statm` does not count in pages of unknown size.
    fn resident_bytes(&self) -> Option<u64> {
        let status = std::fs::read_to_string(self.root.join("status")).ok()?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
        line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()?.checked_mul(1024)
    }

    fn cpu_time(&self) -> Option<Duration> {
        let stat = std::fs::read_to_string(self.root.join("stat")).ok()?;
        cpu_ticks(&stat).map(|ticks| Duration::from_millis(ticks * 1000 / USER_HZ))
    }
}

/// Fields 14 and 15 of `stat`. The second field, the command in parentheses, may itself hold spaces and parentheses.
fn cpu_ticks(stat: &str) -> Option<u64> {
    let (_, rest) = stat.rsplit_once(')')?;
    let mut fields = rest.split_ascii_whitespace().skip(11);
    let user: u64 = fields.next()?.parse().ok()?;
    let system: u64 = fields.next()?.parse().ok()?;
    user.checked_add(system)
}

/// Keeps `otelcol_process_*` up to date.
pub struct ProcessMetrics {
    process: Arc<dyn Process>,
    clock: Arc<dyn Clock>,
    started: Monotonic,
    uptime: Gauge,
    cpu: Gauge,
    resident: Gauge,
}

impl ProcessMetrics {
    /// Registers the metrics, to be refreshed before each scrape. Uptime counts from now.
    pub fn install(telemetry: &Telemetry, process: Arc<dyn Process>, clock: Arc<dyn Clock>) {
        telemetry.describe("otelcol_process_uptime", Some(Unit::Seconds), "Uptime of the process");
        telemetry.describe(
            "otelcol_process_cpu_seconds",
            Some(Unit::Seconds),
            "Total CPU user and system time in seconds",
        );
        telemetry.describe(
            "otelcol_process_memory_rss",
            Some(Unit::Bytes),
            "Total physical memory (resident set size)",
        );
        // Expected by upstream's dashboards. Our rendering cannot fail, so it stays zero.
        telemetry.counter("promhttp_metric_handler_errors_total", &[("cause", "encoding")]).increment(0);
        let metrics = ProcessMetrics {
            started: clock.now(),
            uptime: telemetry.total("otelcol_process_uptime", &[]),
            cpu: telemetry.total("otelcol_process_cpu_seconds", &[]),
            resident: telemetry.gauge("otelcol_process_memory_rss", &[]),
            process,
            clock,
        };
        telemetry.on_scrape(move || metrics.refresh());
    }

    fn refresh(&self) {
        self.uptime.set(self.clock.now().since(self.started).as_secs_f64());
        if let Some(cpu) = self.process.cpu_time() {
            self.cpu.set(cpu.as_secs_f64());
        }
        if let Some(bytes) = self.process.resident_bytes() {
            self.resident.set(bytes as f64);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_with_parentheses_does_not_shift_the_fields() {
        let stat = "12 (a) b (c) S 1 2 3 4 5 6 7 8 9 10 250 50 0 0 20 0 1";
        assert_eq!(cpu_ticks(stat), Some(300));
        assert_eq!(cpu_ticks("12 (a S 1"), None);
    }

    #[test]
    fn this_process_has_memory_and_cpu_time() {
        let process = ProcFs::default();
        assert!(process.resident_bytes().is_some_and(|bytes| bytes > 100_000));
        assert!(process.cpu_time().is_some());
    }
}
