//! The stage: hands everything to the engine.

use std::any::Any;
use std::time::Duration;

use sluice_pipeline::clock::WallTime;
use sluice_pipeline::spine::{Entry, Seq};
use sluice_pipeline::stage::{Held, Port, Stage, StageOutput};

use crate::trace_window::SharedEngine;

/// The stage of one `correlate`.
pub struct Correlate(SharedEngine);

impl Correlate {
    pub(super) fn new(engine: SharedEngine) -> Self {
        Correlate(engine)
    }
}

impl Stage for Correlate {
    fn absorb(&mut self, port: Port, input: &Entry, now: WallTime, out: &mut StageOutput) {
        self.0.lock().absorb(port, input, now, out);
    }

    fn tick(&mut self, now: WallTime, out: &mut StageOutput) {
        self.0.lock().tick(now, out);
    }

    fn next_deadline(&self) -> Option<WallTime> {
        self.0.lock().next_deadline()
    }

    fn low_watermark(&self) -> Option<Seq> {
        self.0.lock().low_watermark()
    }

    fn held(&self) -> Held {
        self.0.lock().held()
    }

    fn drain(&mut self, now: WallTime, out: &mut StageOutput) {
        self.0.lock().drain(now, out);
    }

    fn recall(&mut self, note: &[u8], now: WallTime) {
        self.0.lock().recall(note, now);
    }

    fn succeed(&mut self, predecessor: Box<dyn Stage>) -> Option<Box<dyn Stage>> {
        // The driver only gives what this very component left behind; another mode cannot go on with what waits.
        let before = match predecessor.into_any().downcast::<Correlate>() {
            Ok(before) => before,
            Err(_) => return None,
        };
        if self.0.succeed(&before.0) { None } else { Some(before) }
    }

    fn into_any(self: Box<Self>) -> Box<dyn Any> {
        self
    }

    fn is_full(&self) -> bool {
        self.0.lock().stops_reading()
    }

    fn lags(&mut self, by: Duration) {
        self.0.lock().lags(by);
    }

    fn relieve(&mut self, percent: u8, _now: WallTime, out: &mut StageOutput) {
        self.0.lock().relieve(percent, out);
    }
}
