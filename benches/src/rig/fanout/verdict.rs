//! What a fan-out run measured, and whether it is what must be (delivery §1 C3–C6).

use super::{FAILING, SECOND};
use crate::rig::ledger::Watched;
use serde::Serialize;
use std::collections::BTreeMap;

/// Where in the course of a run a phase is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub(in crate::rig) enum Stage {
    AllWell,
    /// The second backend fails, and its quota is not full.
    OneFails,
    QuotaFull,
    /// The second backend works again, and gets what was kept for it beside what is new.
    AllAgain,
}

impl Stage {
    pub(super) const ALL: [Self; 4] = [Self::AllWell, Self::OneFails, Self::QuotaFull, Self::AllAgain];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::AllWell => "all well",
            Self::OneFails => "one fails",
            Self::QuotaFull => "its quota is full",
            Self::AllAgain => "all again",
        }
    }
}

/// One phase of a run, seen by the sender and the healthy backends, of which the worst served counts.
#[derive(Debug, Clone, Serialize)]
pub(in crate::rig) struct Phase {
    pub(super) stage: Stage,
    pub(super) seconds: f64,
    pub(super) accepted_per_second: f64,
    pub(super) refused_per_second: f64,
    pub(super) others_per_second: f64,
    /// Items dropped for the second backend.
    pub(super) dropped: i64,
    /// Until the sender has its answer.
    pub(super) p50_us: u64,
    pub(super) p99_us: u64,
    /// Until a healthy backend has the item.
    pub(super) delivery_p50_us: u64,
    pub(super) delivery_p99_us: u64,
    pub(super) cpu_ns_per_item: f64,
    pub(super) rss_mib: f64,
    pub(super) peak_rss_mib: f64,
}

impl Phase {
    pub(super) fn line(&self) -> String {
        format!(
            "{:<17} {:>5.1} s, {:>8.0}/s accepted, {:>8.0}/s refused, others {:>8.0}/s, answer p99 {:.2} ms, delivery p99 {:.2} ms, {:.0} MiB",
            self.stage.name(),
            self.seconds,
            self.accepted_per_second,
            self.refused_per_second,
            self.others_per_second,
            self.p99_us as f64 / 1e3,
            self.delivery_p99_us as f64 / 1e3,
            self.rss_mib
        )
    }
}

/// How the failing backend caught up after an outage.
#[derive(Debug, Clone, Copy, Serialize)]
pub(in crate::rig) struct Recovery {
    /// Seconds until it got something again, from the end of the outage.
    pub(super) resumed: f64,
    /// Seconds from then on until it had what was kept for it.
    pub(super) seconds: f64,
    /// Items it got meanwhile, the new ones among them.
    pub(super) items: u64,
}

impl Recovery {
    pub(super) fn per_second(&self) -> f64 {
        self.items as f64 / self.seconds
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
    pub(super) recoveries: Vec<Recovery>,
    /// The phases of a collector beside it whose backends are all well, at the same times. Empty without one.
    pub(super) beside: Vec<Phase>,
    /// It lost nothing, either.
    pub(super) beside_is_exact: bool,
    /// What is held is on disk.
    pub(super) durable: bool,
    /// Whether the second backend's quota was to become full.
    pub(super) quota: bool,
    /// Whether the outage leaves requests without an answer, which then may come twice.
    pub(super) ambiguous: bool,
    pub(super) accepted: u64,
    pub(super) refused: u64,
    pub(super) unanswered: u64,
    pub(super) unhinted: u64,
    pub(super) errors: BTreeMap<String, u64>,
    /// In the order of the configs.
    pub(super) backends: Vec<Backend>,
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
        let of = |backend: &Backend| {
            let Backend { arrived, lost, unacknowledged, duplicates } = backend;
            format!("{arrived} arrived, {lost} lost, {unacknowledged} without having been accepted, {duplicates} again")
        };
        let mut verdicts = Vec::new();
        for ((place, backend), name) in self.backends.iter().enumerate().zip(["first", "second", "third"]) {
            let fails = place == FAILING;
            let dropped = if fails { self.dropped() } else { 0 };
            let but = if fails { format!(" but for the {dropped} counted as dropped") } else { String::new() };
            verdicts.push(verdict(
                backend.lost == dropped
                    && backend.unacknowledged == 0
                    && (backend.duplicates == 0 || (fails && self.ambiguous))
                    && backend.arrived + dropped == self.accepted,
                format!("{name} backend has exactly the {} items accepted{but}: {}", self.accepted, of(backend)),
            ));
        }
        verdicts.push(verdict(
            self.unanswered == 0 && self.unhinted == 0 && self.errors.keys().all(|status| status == RETRYABLE),
            format!(
                "{} items refused, all of them retryably, {} without a hint when: {:?}",
                self.refused, self.unhinted, self.errors
            ),
        ));
        if let Some(ledger) = &self.ledger {
            verdicts.extend(self.of_ledger(ledger));
        }
        if !self.beside.is_empty() {
            verdicts.push(verdict(self.beside_is_exact, "all of this holds for the collector beside it".into()));
        }
        verdicts
    }

    fn dropped(&self) -> u64 {
        self.ledger.as_ref().map_or(0, |ledger| ledger.last.dropped_at(SECOND)).max(0) as u64
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
                entered == accepted && closed && destinations().count() == self.backends.len(),
                format!("in the end all destinations' accounts are closed at {accepted} items: {:?}", last.accounts),
            ),
            verdict(
                elsewhere.count() == 0,
                format!("drops are counted nowhere but at the quota of the second: {:?}", last.dropped),
            ),
        ]
    }

    /// Peak memory against what was held there.
    pub(super) fn memory(&self) -> Option<Verdict> {
        if self.durable {
            return None;
        }
        let held = self.ledger.as_ref()?.max_held_bytes as f64 / f64::from(1 << 20);
        let beside = self.peak_rss_mib - held;
        let text = format!(
            "peak RSS {:.0} MiB: {beside:.0} MiB beside the {held:.0} MiB held, at most {FOOTPRINT_MIB:.0}",
            self.peak_rss_mib
        );
        Some(verdict(beside <= FOOTPRINT_MIB, text))
    }
}
