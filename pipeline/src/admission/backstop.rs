//! The backstop: resident memory, for what nobody reserved.

use std::sync::Arc;

use super::{Limits, MemBudget};
use crate::clock::Clock;
use crate::telemetry::Process;

/// Watches resident memory and makes the budget refuse new bodies while it is too high.
pub struct Backstop {
    process: Arc<dyn Process>,
    memory: MemBudget,
    limits: Limits,
    pressed: bool,
}

impl Backstop {
    /// A backstop for these limits, and the budget that it sets to them. It takes over from an earlier one, whose pressure it
    /// ends until it has looked itself.
    pub fn new(process: Arc<dyn Process>, memory: MemBudget, limits: Limits) -> Self {
        memory.set_limits(limits.budget, limits.soft);
        memory.set_pressed(false);
        Backstop { process, memory, limits, pressed: false }
    }

    /// Looks once. Pressure ends 5 % below where it began, so that it does not flutter.
    pub fn check(&mut self) {
        let Some(resident) = self.process.resident_bytes() else { return };
        let end = self.limits.resident / 100 * 95;
        let pressed = if self.pressed { resident > end } else { resident > self.limits.resident };
        if pressed != self.pressed {
            let (limit, was) = (self.limits.resident, self.pressed);
            tracing::warn!(resident, limit, refusing = !was, "resident memory crossed its limit");
            self.pressed = pressed;
            self.memory.set_pressed(pressed);
        }
    }

    /// Looks at every interval, for as long as the future is polled.
    pub async fn run(mut self, clock: Arc<dyn Clock>) {
        loop {
            self.check();
            clock.sleep(self.limits.check_interval).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};
    use std::time::Duration;

    use super::*;
    use crate::admission::Class;
    use crate::clock::VirtualClock;

    struct Resident(AtomicU64);

    impl Process for Resident {
        fn resident_bytes(&self) -> Option<u64> {
            Some(self.0.load(Ordering::SeqCst))
        }

        fn cpu_time(&self) -> Option<Duration> {
            None
        }
    }

    #[tokio::test]
    async fn bodies_are_refused_while_resident_memory_is_too_high() {
        let clock = VirtualClock::default();
        let process = Arc::new(Resident(AtomicU64::new(80)));
        let memory = MemBudget::new(1 << 20, Arc::new(clock.clone()));
        let limits = Limits { budget: 1 << 20, soft: 1 << 20, resident: 100, check_interval: Duration::from_secs(1) };
        let backstop = Backstop::new(Arc::clone(&process) as Arc<dyn Process>, memory.clone(), limits);
        let task = tokio::spawn(backstop.run(Arc::new(clock.clone())));
        for (resident, refused) in [(80, false), (101, true), (96, true), (95, false), (100, false)] {
            process.0.store(resident, Ordering::SeqCst);
            tokio::task::yield_now().await;
            clock.advance(Duration::from_secs(1));
            tokio::task::yield_now().await;
            assert_eq!(memory.try_reserve(Class::Bodies, 1).is_none(), refused, "{resident}");
            assert!(memory.try_reserve(Class::Export, 1).is_some());
        }
        task.abort();
    }
}
