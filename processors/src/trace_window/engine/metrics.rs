//! Metrics: points pass at once.

use sluice_pdata::Signal;
use sluice_pipeline::batch::{Batch, Redacted};
use sluice_pipeline::stage::{Port, StageOutput};

use super::Engine;
use crate::trace_window::statistics::Outcome;

#[derive(Default)]
pub(super) struct Exemplars;

impl Exemplars {
    pub(super) fn bytes(&self) -> usize {
        0
    }
}

impl Engine {
    pub(super) fn take_metrics(&mut self, port: Port, batch: &Redacted<Batch>, out: &mut StageOutput) {
        self.statistics.records[Signal::Metrics as usize][Outcome::Passed as usize] += batch.items() as u64;
        out.emit(port, (**batch).clone());
    }
}
