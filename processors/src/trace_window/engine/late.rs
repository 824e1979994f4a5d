//! Items of traces that are decided already, and of those that pressure keeps out: they follow the verdict (correlation §6).

use super::Engine;
use super::absorb::Item;
use super::append::{Bytes, KeptBy};
use crate::sampling::Weight;
use crate::sampling::threshold::randomness;
use crate::trace_window::statistics::{DecisionKind, Outcome, Trigger};
use crate::trace_window::verdict_cache::{Known, TraceKey};

impl Engine {
    pub(super) fn late_span(&mut self, item: &Item<'_>, key: TraceKey, known: Known, stated: Option<u64>) {
        if self.repeats(item, key) {
            return;
        }
        match known {
            Known::Dropped => self.drop_item(item, Outcome::LateDropped),
            Known::Kept { weight, rule } => {
                if let (Some(at), Some(judge)) = (self.verdicts.kept_at(key), &mut self.judge) {
                    judge.came_late(f64::from(self.time.tick().saturating_sub(at)) / 10.0);
                }
                let item = &self.recorded_item(item, rule, None, true);
                let r = stated.unwrap_or_else(|| randomness(None, &key.id));
                let by = self.late_by(weight, r);
                let (base, suffix) = self.stamped_span(item.base(), Bytes::of(item), false, None, by);
                self.leave(item, base, suffix, Outcome::LateKept);
            }
        }
    }

    pub(super) fn late_log(&mut self, item: &Item<'_>, key: TraceKey, known: Known) {
        if self.repeats(item, key) {
            return;
        }
        match known {
            Known::Dropped => self.drop_item(item, Outcome::LateDropped),
            Known::Kept { weight, .. } => {
                let by = self.late_by(weight, randomness(None, &key.id));
                let (base, suffix) = self.stamped_log(item.base(), Bytes::of(item), None, by);
                self.leave(item, base, suffix, Outcome::LateKept);
            }
        }
    }

    fn late_by(&self, weight: Weight, randomness: u64) -> Option<KeptBy> {
        let dry_run = self.settings.decide.is_none_or(|decide| decide.dry_run);
        (!dry_run).then_some(KeptBy { weight, randomness })
    }

    /// Pressure calls for fewer traces: this one is not among those that are looked at.
    pub(super) fn thin_out(&mut self, item: &Item<'_>, key: TraceKey) {
        let kind = DecisionKind { kept: false, rule: None, trigger: Trigger::Ingest };
        self.statistics.decisions.entry(kind).or_default().traces += 1;
        self.remember(key, Known::Dropped);
        self.drop_item(item, Outcome::Dropped);
    }
}
