//! The stages at work: started, led to another graph, and ended.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use sluice_pipeline::ledger::reasons;
use sluice_pipeline::stage_driver::{Behind, Ending, StageDriver};

use super::parts::{Fate, StageId};
use super::swap::GRACE;
use super::{Graph, Patience, Surroundings};

/// What lies behind each stage of the new graph, until it is given to its driver.
type Ways = BTreeMap<StageId, Behind>;

impl Graph {
    /// The stages of the new graph go to work; but not those that follow others, which still do. Those that were at work
    /// already emit the new way.
    pub(super) fn drive(&mut self, ways: &mut Ways, around: &Surroundings) {
        let ids: Vec<StageId> = self.parts.stages.keys().cloned().collect();
        for id in ids {
            let Some(part) = self.parts.stages.get(&id) else { continue };
            let fate = part.fate;
            if fate == Fate::Follows && self.drivers.contains_key(&id) {
                continue;
            }
            let Some(way) = ways.remove(&id) else { continue };
            match (fate, self.drivers.get(&id)) {
                (Fate::Stays, Some(driving)) => driving.redirect(way),
                (Fate::Succeeds, Some(driving)) => match part.take() {
                    Some(stage) => driving.replace(stage, way),
                    None => driving.redirect(way),
                },
                _ => self.start_stage(&id, way, around),
            }
        }
    }

    fn start_stage(&mut self, id: &StageId, way: Behind, around: &Surroundings) {
        let Some(part) = self.parts.stages.get(id) else { return };
        let Some(stage) = part.take() else { return };
        let ports = part.inputs.iter().filter_map(|pipeline| self.spine.destination(&id.port(pipeline)));
        let driver = StageDriver {
            stage,
            ports: ports.collect(),
            notes: self.spine.destination(&id.notes()),
            spine: self.spine.shared(),
            clock: Arc::clone(&around.clock),
            account: around.ledger.stage_of(&id.to_string(), id.component.as_str()),
            memory: around.memory.clone(),
        };
        self.drivers.insert(id.clone(), driver.start(way));
    }

    /// Nothing comes any more that the configuration before has routed: the stages that are gone decide what they hold, in the
    /// order of the flow, and those that follow them begin.
    pub(super) async fn end_stages(
        &mut self,
        before: Vec<StageId>,
        ways: &mut Ways,
        around: &Surroundings,
        patience: &Patience,
    ) {
        for id in before {
            let fate = self.parts.stages.get(&id).map(|part| part.fate);
            if !matches!(fate, None | Some(Fate::Follows)) {
                continue;
            }
            let Some(mut driving) = self.drivers.remove(&id) else { continue };
            driving.end(Ending::Removed);
            tokio::select! {
                () = driving.ended() => {}
                () = patience.until(GRACE) => {
                    tracing::warn!(stage = %id, "it has not found room for all that it held");
                    driving.end(Ending::Now);
                    driving.ended().await;
                }
            }
            if let Some(way) = ways.remove(&id) {
                self.start_stage(&id, way, around);
            }
        }
        // Nothing is left behind that a stage of an id from before could not begin.
        self.drive(ways, around);
    }

    /// The process ends: stages stop in the order of the flow. In memory they decide what they hold, and have half of the time
    /// to find room for it. Gives what is left of the time.
    pub(super) async fn stop_stages(&mut self, time: Duration) -> Duration {
        let order = self.plan.as_ref().map(|plan| self.parts.stages_in_order(plan)).unwrap_or_default();
        let start = Instant::now();
        for id in order {
            let Some(mut driving) = self.drivers.remove(&id) else { continue };
            driving.end(Ending::Shutdown);
            let left = (time / 2).saturating_sub(start.elapsed());
            if tokio::time::timeout(left, driving.ended()).await.is_err() {
                driving.end(Ending::Now);
                driving.ended().await;
            }
        }
        if !self.spine.is_durable() {
            self.give_up_unread();
        }
        time.saturating_sub(start.elapsed())
    }

    /// What a stage did not read before it ended is lost with the memory, and counted.
    fn give_up_unread(&self) {
        let spine = self.spine.shared();
        for (id, part) in &self.parts.stages {
            for port in part.inputs.iter().filter_map(|pipeline| self.spine.destination(&id.port(pipeline))) {
                spine.discard(port, reasons::SHUTDOWN_MEMORY_MODE);
            }
        }
    }
}
