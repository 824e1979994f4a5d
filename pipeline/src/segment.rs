//! Runs a pipeline's fused steps over a batch, on the task that received it.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, PoisonError};

use metrics::Counter;
use sluice_pdata::pass::{Passed, Progress, Reason, Scratch};

use crate::batch::{Batch, NoRedaction, Redacted};
use crate::id::ComponentId;
use crate::outcome::Refusal;
use crate::telemetry::{ProcessorMetrics, Telemetry};
use crate::{Chain, Signal, Step};

/// Input after which others get to run, so that a long pass blocks neither accept loops nor probes.
const SLICE_BYTES: usize = 128 * 1024;

/// Buffers kept for later batches; more than the tasks that run at once are of no use.
const POOLED_SCRATCH: usize = 16;

/// The fused steps between a source and the next place where data is kept.
pub struct Segment {
    chain: Chain,
    steps: Arc<[(Arc<str>, ProcessorMetrics)]>,
    redaction: Redaction,
    scratch: Mutex<Vec<Scratch>>,
    panics: Counter,
}

/// Why what leaves a segment may be kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Redaction {
    /// One of its steps redacts, or it reads what was redacted before (behind a stage).
    Done,
    /// The pipeline is meant to run without.
    Waived(NoRedaction),
}

/// A step and the processor it belongs to.
pub struct SegmentStep {
    pub processor: ComponentId,
    pub step: Arc<Step>,
}

/// A batch behind the segment. Nothing of it is lasting yet: dropping it leaves no trace.
#[must_use]
pub struct Passage {
    pub batch: Redacted<Batch>,
    /// Items dropped, by processor and reason.
    pub dropped: Vec<(Arc<str>, Reason, usize)>,
    effects: Passed,
    steps: Arc<[(Arc<str>, ProcessorMetrics)]>,
    /// Items that came in.
    incoming: usize,
}

impl Passage {
    /// Makes counters and the steps' effects lasting. Call it when the append has succeeded.
    pub fn apply_effects(mut self) {
        self.effects.apply_effects();
        let mut items = self.incoming;
        for (index, (_, metrics)) in self.steps.iter().enumerate() {
            metrics.incoming.increment(items as u64);
            let dropped = self.effects.dropped.iter().filter(|(step, ..)| *step == index);
            items = items.saturating_sub(dropped.map(|&(.., items)| items).sum());
            metrics.outgoing.increment(items as u64);
        }
    }
}

impl Segment {
    /// Plans the steps of one pipeline for its signal.
    pub fn new(signal: Signal, steps: Vec<SegmentStep>, redaction: Redaction, telemetry: &Telemetry) -> Self {
        telemetry.describe("sluice_panics_total", None, "Panics that were caught. Each is a bug.");
        let described = |step: &SegmentStep| {
            (Arc::from(step.processor.as_str()), ProcessorMetrics::new(telemetry, &step.processor, signal))
        };
        Segment {
            steps: steps.iter().map(described).collect(),
            chain: Chain::new(signal, steps.into_iter().map(|step| step.step).collect()),
            redaction,
            scratch: Mutex::default(),
            panics: telemetry.counter("sluice_panics_total", &[("scope", "segment")]),
        }
    }

    /// Runs the steps.
    ///
    /// # Errors
    /// [`Refusal::Malformed`] for bytes that a step could not read, [`Refusal::Internal`] if a step panicked.
    pub async fn run(&self, batch: Batch) -> Result<Passage, Refusal> {
        let context = Arc::clone(batch.context());
        let slice = if batch.bytes().len() > SLICE_BYTES { SLICE_BYTES } else { usize::MAX };
        let mut scratch = self.take_scratch();
        let mut run = self.chain.start(batch.bytes().clone(), batch.items());
        let passed = loop {
            // Whatever a panic leaves half done is dropped here: the run, and the scratch with it.
            let advanced = catch_unwind(AssertUnwindSafe(|| run.advance(&context, &mut scratch, slice)));
            match advanced {
                Ok(Ok(Progress::Done(passed))) => break passed,
                Ok(Ok(Progress::Yield(resumed))) => {
                    run = resumed;
                    tokio::task::yield_now().await;
                }
                Ok(Err(error)) => {
                    self.keep_scratch(scratch);
                    return Err(Refusal::malformed(error));
                }
                Err(_) => {
                    self.panics.increment(1);
                    tracing::error!(
                        signal = self.chain.signal().name(),
                        "a processor panicked; the request is refused"
                    );
                    return Err(Refusal::Internal);
                }
            }
        };
        self.keep_scratch(scratch);
        Ok(self.passage(batch, passed))
    }

    fn passage(&self, batch: Batch, passed: Passed) -> Passage {
        let incoming = batch.items();
        let named = |&(step, reason, items): &(usize, Reason, usize)| (Arc::clone(&self.steps[step].0), reason, items);
        let dropped = passed.dropped.iter().map(named).collect();
        let batch = batch.replaced(passed.bytes.clone(), passed.items);
        let batch = match self.redaction {
            Redaction::Done => Redacted::proven(batch),
            Redaction::Waived(policy) => policy.waive(batch),
        };
        Passage { batch, dropped, effects: passed, steps: Arc::clone(&self.steps), incoming }
    }

    fn take_scratch(&self) -> Scratch {
        self.scratch.lock().unwrap_or_else(PoisonError::into_inner).pop().unwrap_or_default()
    }

    fn keep_scratch(&self, scratch: Scratch) {
        let mut pool = self.scratch.lock().unwrap_or_else(PoisonError::into_inner);
        if pool.len() < POOLED_SCRATCH {
            pool.push(scratch);
        }
    }
}

#[cfg(test)]
mod tests;
