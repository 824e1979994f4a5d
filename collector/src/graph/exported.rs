//! Destinations that somebody waits for: the senders of pipelines in mode `exported` (delivery §1.1), and those of whoever
//! wrote `wait_for_result` (§4.1).

use sluice_pipeline::PipelineId;
use sluice_pipeline::delivery::AckMode;
use sluice_pipeline::exporter::Delivery;
use sluice_pipeline::processor::Batching;

use super::Modes;

/// Whether the senders of a pipeline wait for a destination. One that may lose data is waited for only where that is written.
pub fn is_awaited(delivery: &Delivery, modes: &Modes, pipeline: &PipelineId) -> bool {
    let Some(queue) = &delivery.queue else { return false };
    let exported = modes.get(pipeline).is_some_and(|(_, mode)| *mode == AckMode::Exported);
    queue.wait_for_result || (exported && !queue.loss_tolerant)
}

/// How payloads are merged for a destination that somebody waits for: to the same sizes, without waiting for more.
pub fn without_waiting(batching: Batching) -> Batching {
    Batching { min_size: 0, ..batching }
}
