//! From one graph to the next: what cannot fail. First whatever comes in goes the new way, then the old way is closed.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use sluice_config::Toggle;
use sluice_exporters::delivery::{Parts as PumpParts, Pump};
use sluice_pipeline::ComponentId;
use sluice_pipeline::admission::Backstop;
use sluice_pipeline::blocks::SendingQueue;
use sluice_pipeline::processor::Batching;
use sluice_pipeline::spine::Role;
use sluice_pipeline::telemetry::ProcFs;

use super::draft::{Draft, Ready};
use super::exported::{is_awaited, without_waiting};
use super::generation::{Generation, Patience};
use super::parts::{ExporterPart, Parts};
use super::wiring::Wiring;
use super::{Graph, Log, Modes, Pumping, Surroundings};
use crate::diff::{Change, Diff, ends, stays};

/// Requests and sends in flight have this long (delivery §8).
pub const GRACE: Duration = Duration::from_secs(5);
/// Requests that wait for an exporter without a queue may take longer. Their destinations stay for so long.
const LATE: Duration = Duration::from_secs(30);

/// What is over once nothing is under way in it.
struct Old {
    parts: Parts,
    generation: Generation,
}

impl Graph {
    /// Puts the new graph in the place of the present one.
    pub async fn swap(&mut self, ready: Ready, around: &Surroundings, patience: &Patience) -> Diff {
        let Ready { draft, spine, wiring } = ready;
        let Draft { plan, diff, extensions, parts, place: _, no_journal, modes, limits, log } = draft;
        self.announce(&modes, no_journal.as_deref(), around);
        self.modes = modes;
        // Another one only where the one before had no destinations.
        self.spine = spine;
        let backstop = Backstop::new(Arc::new(ProcFs::default()), around.memory.clone(), limits);
        let backstop = tokio::spawn(backstop.run(Arc::clone(&around.clock)));
        if let Some(before) = self.backstop.replace(backstop) {
            before.abort();
        }
        let stages_before = self.plan.as_ref().map(|plan| self.parts.stages_in_order(plan)).unwrap_or_default();
        self.plan = Some(plan);
        let Wiring { ingresses, emitters, generation, mut stages, behind_stages } = wiring;
        let old = Old {
            parts: std::mem::replace(&mut self.parts, parts),
            generation: std::mem::replace(&mut self.generation, generation),
        };
        let behind_stages = std::mem::replace(&mut self.behind_stages, behind_stages);
        self.pump_what_is_new(&log, around);
        self.drive(&mut stages, around);
        for (id, emitter, behind) in &emitters {
            if stays(&diff.processors, id) {
                emitter.connect(behind.clone());
            }
        }
        // Those that are replaced bring what still comes to them to the new graph.
        for (id, ingress) in ingresses {
            if let Some(receiver) = old.parts.receivers.get(&id)
                && let Err(error) = receiver.connect(ingress)
            {
                tracing::error!(receiver = id.as_str(), %error, "the receiver could not be connected");
            }
        }
        // Connected when they were bound.
        for (id, receiver) in self.parts.receivers.iter().filter(|(id, _)| !stays(&diff.receivers, id)) {
            if let Err(error) = receiver.start().await {
                tracing::error!(receiver = id.as_str(), %error, "the receiver could not be started");
            }
        }
        // From here on nothing comes in the old way.
        let ended = old.parts.receivers.iter().filter(|(id, _)| ends(&diff.receivers, id));
        join_all(ended.map(|(_, receiver)| receiver.retire(GRACE))).await;
        for (_, emitter) in old.parts.emitters() {
            if !self.parts.has_emitter(emitter) {
                emitter.stop(GRACE).await;
            }
        }
        for (id, emitter, behind) in emitters {
            if diff.processors.get(&id) == Some(&Change::Replace) {
                emitter.connect(behind);
                if let Err(error) = emitter.start().await {
                    tracing::error!(processor = id.as_str(), %error, "the processor could not be started");
                }
            }
        }
        let exporters = old.end(patience).await;
        self.end_stages(stages_before, &mut stages, around, patience).await;
        tokio::select! {
            () = behind_stages.ended() => {}
            () = patience.until(GRACE) => tracing::warn!("stages of the configuration before still emit"),
        }
        self.hand_over(&diff, &log, around, patience).await;
        if let Err(error) = self.spine.configure(&log, &around.ledger).await {
            tracing::error!(%error, "the log could not be set up");
        }
        self.log = log;
        for (_, exporter) in exporters.into_iter().filter(|(id, _)| ends(&diff.exporters, id)) {
            exporter.component().stop(GRACE).await;
        }
        let extensions_before = std::mem::replace(&mut self.extensions, extensions);
        crate::extensions::ready(&self.extensions);
        crate::extensions::stop(extensions_before, &self.extensions, GRACE).await;
        // Who is gone decides no more.
        around.verdicts.retain(|id| self.parts.has_processor(id));
        diff
    }

    /// Tells of ack modes that are new, and takes those back that are gone.
    fn announce(&self, modes: &Modes, no_journal: Option<&str>, around: &Surroundings) {
        for (pipeline, (_, mode)) in self.modes.iter().filter(|(id, mode)| modes.get(*id) != Some(*mode)) {
            mode.withdraw(pipeline, &around.telemetry);
        }
        for (pipeline, (ack, mode)) in modes.iter().filter(|(id, mode)| self.modes.get(*id) != Some(*mode)) {
            mode.announce(*ack, no_journal, pipeline, &around.telemetry);
        }
    }

    /// Destinations that nobody has read yet are read from now on.
    fn pump_what_is_new(&mut self, log: &Log, around: &Surroundings) {
        for spec in log.destinations.iter().filter(|spec| spec.role == Role::Exporter) {
            let id = ComponentId::from(&*spec.name);
            if !self.pumps.contains_key(&id) {
                self.pump(id, around);
            }
        }
    }

    /// How payloads for an exporter are merged: as its queue says, else as a `batch` says in a pipeline that names it; but
    /// without waiting for more while a sender waits (delivery §4.1).
    fn merging(&self, id: &ComponentId) -> Option<Batching> {
        let (plan, Some(ExporterPart::Destination(_, delivery))) = (self.plan.as_ref()?, self.parts.exporters.get(id))
        else {
            return None;
        };
        let of_queue = delivery.queue.as_ref().and_then(SendingQueue::batching);
        let batching = of_queue.or_else(|| self.parts.batching(plan, id))?;
        Some(if self.waits_for(id) { without_waiting(batching) } else { batching })
    }

    /// Whether senders wait for a destination.
    fn waits_for(&self, id: &ComponentId) -> bool {
        let (Some(plan), Some(ExporterPart::Destination(_, delivery))) = (&self.plan, self.parts.exporters.get(id))
        else {
            return false;
        };
        let mut users = plan.pipelines.iter().filter(|pipeline| pipeline.exporters.contains(id));
        users.any(|pipeline| is_awaited(delivery, &self.modes, &pipeline.id))
    }

    /// Starts to read a destination.
    fn pump(&mut self, id: ComponentId, around: &Surroundings) {
        let (Some(ExporterPart::Destination(exporter, delivery)), Some(destination)) =
            (self.parts.exporters.get(&id), self.spine.destination(id.as_str()))
        else {
            return;
        };
        let mut delivery = (**delivery).clone();
        let batching = self.merging(&id);
        if batching.as_ref().is_some_and(|batching| batching.min_size == 0) && self.waits_for(&id) {
            tracing::info!(exporter = id.as_str(), "batching waits for nothing: senders wait for this destination");
        }
        if let Some(queue) = &mut delivery.queue {
            // It is in `batching` already.
            queue.batch = Toggle::default();
        }
        let pump = Pump::start(PumpParts {
            id: id.clone(),
            exporter: Arc::clone(exporter),
            delivery,
            batching: batching.clone(),
            spine: self.spine.shared(),
            destination,
            clock: Arc::clone(&around.clock),
            rng: Arc::clone(&around.rng),
            telemetry: around.telemetry.clone(),
        });
        self.pumps.insert(id, Pumping { pump, batching });
    }

    /// Each destination whose exporter or merging has changed goes on from where its reader stops.
    async fn hand_over(&mut self, diff: &Diff, log: &Log, around: &Surroundings, patience: &Patience) {
        let ids: Vec<ComponentId> = self.pumps.keys().cloned().collect();
        let mut handed = Vec::new();
        let mut ending = Vec::new();
        for id in ids {
            let goes_on = log.destinations.iter().any(|spec| *spec.name == *id.as_str());
            let batching = self.merging(&id);
            let same = self.pumps.get(&id).is_some_and(|pumping| pumping.batching == batching);
            // One that was added just now is read by its own exporter already.
            let exporter_stays = !ends(&diff.exporters, &id);
            if goes_on && exporter_stays && same {
                continue;
            }
            let Some(Pumping { pump, .. }) = self.pumps.remove(&id) else { continue };
            let loses_its_queue = !goes_on && self.parts.exporters.contains_key(&id);
            let until = patience.until(GRACE);
            ending.push(async move {
                // What an exporter had queued that sends at once from now on is not lost for it.
                if loses_its_queue { pump.drain(until).await } else { pump.hand_over(until).await }
            });
            if goes_on {
                handed.push(id);
            } else {
                sluice_exporters::delivery::forget(&id, &around.telemetry);
            }
        }
        join_all(ending).await;
        handed.into_iter().for_each(|id| self.pump(id, around));
    }
}

impl Old {
    /// Waits for what is under way. Gives back the exporters, which may still have something to send.
    async fn end(self, patience: &Patience) -> BTreeMap<ComponentId, ExporterPart> {
        let Old { parts, generation } = self;
        let Parts { receivers, processors, exporters, connectors, stages } = parts;
        drop((receivers, processors, connectors, stages));
        tokio::select! {
            () = generation.ended() => {}
            () = patience.until(LATE) => tracing::warn!("requests of the configuration before are still under way"),
        }
        exporters
    }
}
