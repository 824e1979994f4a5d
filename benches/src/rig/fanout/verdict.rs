//! What a fan-out run measured, and whether it is what must be (delivery §1 C3–C6).

use super::SECOND;
use crate::rig::ledger::Watched;
use serde::Serialize;
use std::collections::BTreeMap;

/// Where in the course of a run a phase is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub(in crate::rig) enum Stage {
    BothWell,
    /// The second backend fails, and its quota is not full.
    OneFails,
    QuotaFull,
    /// The second backend works again, and gets what was kept for it beside what is new.
    BothAgain,
}

impl Stage {
    pub(super) const ALL: [Self; 4] = [Self::BothWell, Self::OneFails, Self::QuotaFull, Self::BothAgain];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::BothWell => "both well",
            Self::OneFails => "one fails",
            Self::QuotaFull => "its quota is full",
            Self::BothAgain => "both again",
        }
    }
}

/// One phase of a run, seen by the sender and the first backend.
#[derive(Debug, Clone, Serialize)]
pub(in crate::rig) struct Phase {
    pub(super) stage: Stage,
    pub(super) seconds: f64,
    pub(super) accepted_per_second: f64,
    pub(super) refused_per_second: f64,
    pub(super) first_per_second: f64,
    /// Items dropped for the second backend.
    pub(super) dropped: i64,
    /// Until the sender has its answer.
    pub(super) p50_us: u64,
    pub(super) p99_us: u64,
    /// Until the first backend has the item.
    pub(super) delivery_p50_us: u64,
    pub(super) delivery_p99_us: u64,
    pub(super) cpu_ns_per_item: f64,
    pub(super) rss_mib: f64,
}

impl Phase {
    pub(super) fn line(&self) -> String {
        format!(
            "{:<17} {:>5.1} s, {:>8.0}/s accepted, {:>8.0}/s refused, first {:>8.0}/s, answer p99 {:.2} ms, delivery p99 {:.2} ms, {:.0} MiB",
            self.stage.name(),
            self.seconds,
            self.accepted_per_second,
            self.refused_per_second,
            self.first_per_second,
            self.p99_us as f64 / 1e3,
            self.delivery_p99_us as f64 / 1e3,
            self.rss_mib
        )
    }
}

/// What one backend had at the end.
#[derive(Debug, Clone, Copy, Serialize)]
pub(in crate::rig) struct Backend {
    /// Different items that arrived.
    pub(super) arrived: u64,
    /// Acknowledged items that did not arrive.
    pub(super) lost: u64,
    /// Items that arrived without having been acknowledged.
    pub(super) unacknowledged: u64,
    /// Items that arrived again.
    pub(super) duplicates: u64,
}

/// One fan-out run.
#[derive(Debug, Clone, Serialize)]
pub(in crate::rig) struct Run {
    pub(super) phases: Vec<Phase>,
    /// Whether the second backend's quota was to become full.
    pub(super) quota: bool,
    /// Whether the outage leaves requests without an answer, which then may come twice.
    pub(super) ambiguous: bool,
    pub(super) accepted: u64,
    pub(super) refused: u64,
    pub(super) unanswered: u64,
    pub(super) errors: BTreeMap<String, u64>,
    pub(super) backends: [Backend; 2],
    pub(super) ledger: Option<Watched>,
    pub(super) drained_seconds: f64,
    pub(super) peak_rss_mib: f64,
}

/// A judgement, and the figures behind it.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Verdict {
    pub(super) holds: bool,
    pub(super) text: String,
}

fn verdict(holds: bool, text: String) -> Verdict {
    Verdict { holds, text }
}

/// A generator that is told UNAVAILABLE sends again.
const RETRYABLE: &str = "grpc 14";

/// Memory beside what the quotas are charged with: the budget of the other scenarios.
const FOOTPRINT_MIB: f64 = 60.0;

impl Run {
    /// Whether nothing was lost, nothing came unasked and everything adds up: what no machine excuses. Other collectors than
    /// ours, who keep no ledger, are shown and not judged.
    pub(in crate::rig) fn is_exact(&self) -> bool {
        self.ledger.is_none() || self.exactness().iter().all(|verdict| verdict.holds)
    }

    pub(super) fn exactness(&self) -> Vec<Verdict> {
        let [first, second] = &self.backends;
        let dropped = self.ledger.as_ref().map_or(0, |ledger| ledger.last.dropped_at(SECOND)).max(0) as u64;
        let of = |backend: &Backend| {
            let Backend { arrived, lost, unacknowledged, duplicates } = backend;
            format!("{arrived} arrived, {lost} lost, {unacknowledged} without having been accepted, {duplicates} again")
        };
        let mut verdicts = vec![
            verdict(
                (first.lost, first.unacknowledged, first.duplicates) == (0, 0, 0) && first.arrived == self.accepted,
                format!("first backend has exactly the {} items accepted: {}", self.accepted, of(first)),
            ),
            verdict(
                second.lost == dropped
                    && second.unacknowledged == 0
                    && (self.ambiguous || second.duplicates == 0)
                    && second.arrived + dropped == self.accepted,
                format!("second backend has them but for the {dropped} counted as dropped: {}", of(second)),
            ),
            verdict(
                self.unanswered == 0 && self.errors.keys().all(|status| status == RETRYABLE),
                format!("{} items refused, all of them retryably: {:?}", self.refused, self.errors),
            ),
        ];
        if let Some(ledger) = &self.ledger {
            verdicts.extend(self.of_ledger(ledger));
        }
        verdicts
    }

    fn of_ledger(&self, ledger: &Watched) -> Vec<Verdict> {
        let accepted = self.accepted as i64;
        let Watched { snapshots, max_imbalance, imbalance_at, max_reported, max_unrouted, last, .. } = ledger;
        let pipelines = last.accounts.keys().filter(|scope| scope.starts_with("pipeline/"));
        let entered: i64 = pipelines.map(|scope| last.term(scope, "entered")).sum();
        let destinations = || last.accounts.iter().filter(|(scope, _)| scope.starts_with("destination/"));
        let term = |terms: &BTreeMap<String, i64>, name: &str| terms.get(name).copied().unwrap_or_default();
        let closed = destinations().all(|(_, terms)| {
            term(terms, "entered") == accepted
                && term(terms, "held") == 0
                && term(terms, "left") + term(terms, "dropped") == accepted
        });
        let elsewhere = last.dropped.iter().filter(|(at, items)| {
            let expected = at.starts_with(SECOND) && at.contains("quota_drop") && self.quota;
            !expected && **items != 0
        });
        vec![
            verdict(
                *max_imbalance == 0 && *max_reported == 0 && *max_unrouted <= 0 && *snapshots > 0,
                format!(
                    "ledger balances in each of {snapshots} snapshots: largest imbalance {max_imbalance} {imbalance_at}, \
                     reported {max_reported}, appended but not routed {max_unrouted}"
                ),
            ),
            verdict(
                entered == accepted && closed && destinations().count() == 2,
                format!("in the end both destinations' accounts are closed at {accepted} items: {:?}", last.accounts),
            ),
            verdict(
                elsewhere.count() == 0,
                format!("drops are counted nowhere but at the quota of the second: {:?}", last.dropped),
            ),
        ]
    }

    /// Peak memory against what was held.
    pub(super) fn memory(&self) -> Option<Verdict> {
        let held = self.ledger.as_ref()?.max_held_bytes as f64 / f64::from(1 << 20);
        let beside = self.peak_rss_mib - held;
        let text = format!(
            "peak RSS {:.0} MiB: {beside:.0} MiB beside the {held:.0} MiB held, at most {FOOTPRINT_MIB:.0}",
            self.peak_rss_mib
        );
        Some(verdict(beside <= FOOTPRINT_MIB, text))
    }
}
