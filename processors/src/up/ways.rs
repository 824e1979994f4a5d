//! The pipelines that a processor stands in, and the ways into them, which a reload moves.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use sluice_pipeline::outcome::{Accepted, Refusal};
use sluice_pipeline::receiver::Consumer;
use sluice_pipeline::{Batch, BoxFuture, PipelineId, Signal};

/// The way into one pipeline. What is under way when it is moved ends where it began.
pub struct Way(RwLock<Arc<dyn Consumer>>);

impl Consumer for Way {
    fn consume(&self, batch: Batch) -> BoxFuture<'_, Result<Accepted, Refusal>> {
        let target = Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner));
        Box::pin(async move { target.consume(batch).await })
    }
}

/// All pipelines that name the processor, in the order of the configuration.
#[derive(Default)]
pub struct Ways(Mutex<Vec<(PipelineId, Arc<Way>)>>);

impl Ways {
    fn lock(&self) -> MutexGuard<'_, Vec<(PipelineId, Arc<Way>)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes these pipelines in place of those before. Whoever holds the way into one of them goes on with it.
    pub fn connect(&self, pipelines: Vec<(PipelineId, Arc<dyn Consumer>)>) {
        let mut ways = self.lock();
        let known = std::mem::take(&mut *ways);
        for (pipeline, target) in pipelines {
            let way = match known.iter().find(|(of, _)| *of == pipeline) {
                Some((_, way)) => {
                    *way.0.write().unwrap_or_else(PoisonError::into_inner) = target;
                    Arc::clone(way)
                }
                None => Arc::new(Way(RwLock::new(target))),
            };
            ways.push((pipeline, way));
        }
        drop(ways);
        // What lies behind those that are gone is dropped outside the lock.
        drop(known);
    }

    /// The ways that a processor with this `emit_to` writes into.
    pub fn targets(&self, emit_to: &[String]) -> Vec<(PipelineId, Arc<Way>)> {
        let ways = self.lock();
        let all: Vec<PipelineId> = ways.iter().map(|(pipeline, _)| pipeline.clone()).collect();
        let targets = targets(&all, emit_to);
        ways.iter().filter(|(pipeline, _)| targets.contains(&pipeline)).cloned().collect()
    }
}

/// Where the series go: the first metrics pipeline, or those that `emit_to` names.
pub fn targets<'p>(pipelines: &'p [PipelineId], emit_to: &[String]) -> Vec<&'p PipelineId> {
    let metrics = pipelines.iter().filter(|pipeline| pipeline.signal() == Signal::Metrics);
    if emit_to.is_empty() {
        return metrics.take(1).collect();
    }
    metrics.filter(|pipeline| emit_to.iter().any(|name| name == pipeline.as_str())).collect()
}
