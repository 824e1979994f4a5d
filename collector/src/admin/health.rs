//! `/livez` and `/readyz` (delivery §8). Liveness is a beating heart, and nothing that a restart would not cure; trouble with
//! backends is no part of either.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use sluice_pipeline::clock::{Clock, Monotonic};
use tokio::time::Instant;

use crate::live::{Live, Phase};
use crate::spine::Kept;

/// Longest a thread or an accept loop may be silent.
const SILENCE: Duration = Duration::from_secs(30);
/// The journal's threads, in the order of its heartbeats.
const THREADS: [&str; 2] = ["journal writer", "journal upkeep"];

/// Looks for what has stopped.
pub struct Health {
    live: Live,
    clock: Arc<dyn Clock>,
    pulses: Mutex<[Pulse; 2]>,
}

/// A counter that ought to move.
#[derive(Clone, Copy, Default)]
struct Pulse(Option<(u64, Monotonic)>);

impl Pulse {
    /// How long it has stood still, as far as anybody looked.
    fn silent(&mut self, beats: u64, now: Monotonic) -> Duration {
        match self.0 {
            Some((before, since)) if before == beats => now.since(since),
            _ => {
                self.0 = Some((beats, now));
                Duration::ZERO
            }
        }
    }
}

impl Health {
    pub fn new(live: Live, clock: Arc<dyn Clock>) -> Self {
        Health { live, clock, pulses: Mutex::default() }
    }

    /// Whether everything that must go on does.
    ///
    /// # Errors
    /// What does not.
    pub fn live(&self) -> Result<(), String> {
        let (Phase::Running, Some(running)) = (self.live.phase(), self.live.running()) else { return Ok(()) };
        if let Kept::OnDisk(spine, _) = &running.spine {
            self.beats(spine.journal().heartbeats())?;
        }
        let now = Instant::now();
        for (id, receiver) in &running.receivers {
            let heartbeat = receiver.upgrade().and_then(|receiver| receiver.last_heartbeat());
            if heartbeat.is_some_and(|last| now.duration_since(last) > SILENCE) {
                return Err(format!("receiver {} accepts nothing", id.as_str()));
            }
        }
        Ok(())
    }

    fn beats(&self, beats: [u64; 2]) -> Result<(), String> {
        let now = self.clock.now();
        let mut pulses = self.pulses.lock().unwrap_or_else(PoisonError::into_inner);
        for ((pulse, beats), name) in pulses.iter_mut().zip(beats).zip(THREADS) {
            if pulse.silent(beats, now) > SILENCE {
                return Err(format!("{name} has stopped"));
            }
        }
        Ok(())
    }

    /// Whether requests are taken.
    ///
    /// # Errors
    /// Why not.
    pub fn ready(&self) -> Result<(), &'static str> {
        match self.live.phase() {
            Phase::Starting => Err("recovering"),
            Phase::Running => Ok(()),
            Phase::Stopping => Err("shutting down"),
        }
    }
}

#[cfg(test)]
mod tests {
    use sluice_pipeline::clock::VirtualClock;

    use super::*;

    #[test]
    fn a_thread_is_dead_after_thirty_seconds_of_silence() {
        let clock = VirtualClock::default();
        let health = Health::new(Live::starting(), Arc::new(clock.clone()));
        assert_eq!(health.beats([1, 1]), Ok(()));
        clock.advance(Duration::from_secs(3600));
        assert_eq!(health.beats([2, 2]), Ok(()), "nobody looked in between");
        clock.advance(SILENCE);
        assert_eq!(health.beats([3, 2]), Ok(()));
        clock.advance(Duration::from_millis(1));
        assert_eq!(health.beats([4, 2]), Err("journal upkeep has stopped".to_owned()));
        assert_eq!(health.beats([4, 3]), Ok(()), "it was only slow");
    }

    #[test]
    fn it_is_ready_between_recovery_and_shutdown() {
        let live = Live::starting();
        let health = Health::new(live.clone(), Arc::new(VirtualClock::default()));
        assert_eq!((health.live(), health.ready()), (Ok(()), Err("recovering")));
        live.stops();
        assert_eq!((health.live(), health.ready()), (Ok(()), Err("shutting down")));
    }
}
