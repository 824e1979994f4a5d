//! The stage of every component that holds traces in a window: hands everything to the engine.

use std::any::Any;
use std::sync::{Arc, MutexGuard};
use std::time::Duration;

use metrics::Histogram;
use sluice_pipeline::admission::MemBudget;
use sluice_pipeline::clock::{Clock, Monotonic, WallTime};
use sluice_pipeline::spine::{Entry, Seq};
use sluice_pipeline::stage::{Held, Port, Stage, StageOutput};

use super::{Engine, SharedEngine};

/// A fifth of a tick: requests that come in it are read together, and what passes at once is that much later.
const PATIENCE: Duration = Duration::from_millis(20);

/// The stage of one `correlate`, `tail_sampling` or `groupbytrace`.
pub struct WindowStage {
    engine: SharedEngine,
    /// Where the limit is what stages may hold together, and not in the settings.
    budget: Option<MemBudget>,
    timing: Option<Timing>,
}

/// Is told how long calls take.
pub struct Timing {
    pub clock: Arc<dyn Clock>,
    pub absorb: Histogram,
    pub tick: Histogram,
}

impl Timing {
    fn record(&self, of: &Histogram, start: Monotonic) {
        of.record((self.clock.now() - start).as_secs_f64() * 1e3);
    }
}

impl WindowStage {
    /// Limited by the engine's settings.
    pub fn new(engine: SharedEngine) -> Self {
        WindowStage { engine, budget: None, timing: None }
    }

    /// Limited by what stages may hold together at most.
    pub fn within_budget(engine: SharedEngine, budget: MemBudget) -> Self {
        WindowStage { engine, budget: Some(budget), timing: None }
    }

    /// Tells how long calls take, in ms.
    #[must_use]
    pub fn timed(self, timing: Timing) -> Self {
        WindowStage { timing: Some(timing), ..self }
    }

    fn within(&self) -> MutexGuard<'_, Engine> {
        self.budget.as_ref().map_or_else(|| self.engine.lock(), |budget| self.engine.lock_within(budget))
    }
}

impl Stage for WindowStage {
    fn absorb(&mut self, port: Port, input: &Entry, now: WallTime, out: &mut StageOutput) {
        let start = self.timing.as_ref().map(|timing| timing.clock.now());
        self.within().absorb(port, input, now, out);
        if let (Some(timing), Some(start)) = (&self.timing, start) {
            timing.record(&timing.absorb, start);
        }
    }

    fn tick(&mut self, now: WallTime, out: &mut StageOutput) {
        let start = self.timing.as_ref().map(|timing| timing.clock.now());
        self.within().tick(now, out);
        if let (Some(timing), Some(start)) = (&self.timing, start) {
            timing.record(&timing.tick, start);
        }
    }

    fn next_deadline(&self) -> Option<WallTime> {
        self.engine.lock().next_deadline()
    }

    fn low_watermark(&self) -> Option<Seq> {
        self.engine.lock().low_watermark()
    }

    fn held(&self) -> Held {
        self.engine.lock().held()
    }

    fn drain(&mut self, now: WallTime, out: &mut StageOutput) {
        self.engine.lock().drain(now, out);
    }

    fn recall(&mut self, note: &[u8], now: WallTime) {
        self.engine.lock().recall(note, now);
    }

    fn succeed(&mut self, predecessor: Box<dyn Stage>) -> Option<Box<dyn Stage>> {
        // The driver only gives what this very component left behind; another mode cannot go on with what waits.
        let before = match predecessor.into_any().downcast::<WindowStage>() {
            Ok(before) => before,
            Err(_) => return None,
        };
        if self.engine.succeed(&before.engine) { None } else { Some(before) }
    }

    fn into_any(self: Box<Self>) -> Box<dyn Any> {
        self
    }

    fn is_full(&self) -> bool {
        self.engine.lock().stops_reading()
    }

    fn patience(&self) -> Duration {
        PATIENCE
    }

    fn lags(&mut self, by: Duration) {
        self.engine.lock().lags(by);
    }

    fn reset(&mut self) -> bool {
        self.engine.lock().reset();
        true
    }

    fn wanted(&self) -> Vec<(Port, Seq)> {
        self.engine.lock().wanted()
    }

    fn restore(&mut self, port: Port, seq: Seq, input: Option<&Entry>, now: WallTime, out: &mut StageOutput) {
        self.within().restore(port, seq, input, now, out);
    }

    fn relieve(&mut self, percent: u8, _now: WallTime, out: &mut StageOutput) {
        self.engine.lock().relieve(percent, out);
    }
}
