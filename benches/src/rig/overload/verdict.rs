//! What an overload run measured, and whether it is what must be (delivery §12 D9).

use crate::Error;
use crate::load;
use crate::rig::ledger::Watched;
use crate::tracked::{ClientRanges, SeenReport};
use serde::Serialize;
use std::collections::BTreeMap;

/// Statuses with which a sender comes back.
const RETRYABLE: [&str; 3] = ["grpc 14", "http 503", "http 429"];

/// One phase of a run.
#[derive(Debug, Clone, Serialize)]
pub(in crate::rig) struct Phase {
    pub(super) name: &'static str,
    pub(super) seconds: f64,
    /// None: as much as was answered.
    pub(super) offered_per_second: Option<f64>,
    pub(super) accepted_per_second: f64,
    pub(super) refused_per_second: f64,
    /// Items that arrived at the backend.
    pub(super) delivered_per_second: f64,
    /// Until a sender has its answer, of what was accepted.
    pub(super) p50_us: u64,
    pub(super) p99_us: u64,
    pub(super) core_share: f64,
    pub(super) rss_mib: f64,
    /// Of the run so far.
    pub(super) peak_rss_mib: f64,
}

impl Phase {
    pub(super) fn line(&self) -> String {
        format!(
            "{:<9} {:>5.1} s, {:>7.0}/s accepted, {:>7.0}/s refused, {:>7.0}/s delivered, answer p99 {:.2} ms, core {:.0} %, peak {:.0} MiB",
            self.name,
            self.seconds,
            self.accepted_per_second,
            self.refused_per_second,
            self.delivered_per_second,
            self.p99_us as f64 / 1e3,
            self.core_share * 100.0,
            self.peak_rss_mib
        )
    }
}

/// What the generator of one phase counted, and what became of it.
#[derive(Debug, Clone, Serialize)]
pub(in crate::rig) struct Sender {
    pub(super) accepted: u64,
    refused: u64,
    unhinted: u64,
    unanswered: u64,
    errors: BTreeMap<String, u64>,
    #[serde(skip)]
    acknowledged: ClientRanges,
    /// Acknowledged items that did not arrive.
    lost: u64,
    /// Items that arrived although they were refused.
    unacknowledged: u64,
}

impl Sender {
    /// What a generator said in the end.
    ///
    /// # Errors
    /// It did not track its items.
    pub(super) fn of(report: load::Report) -> Result<Self, Error> {
        let untracked = || Error::Invalid("the generator did not track".into());
        Ok(Self {
            accepted: report.accepted,
            refused: report.refused,
            unhinted: report.unhinted,
            unanswered: report.unanswered,
            errors: report.errors,
            acknowledged: report.acknowledged.ok_or_else(untracked)?,
            lost: 0,
            unacknowledged: 0,
        })
    }

    pub(super) fn compared(self, seen: &SeenReport) -> Self {
        let (lost, unacknowledged) = (seen.lost(&self.acknowledged), seen.unacknowledged(&self.acknowledged));
        Self { lost, unacknowledged, ..self }
    }
}

/// One overload run.
#[derive(Debug, Clone, Serialize)]
pub(in crate::rig) struct Run {
    pub(super) phases: Vec<Phase>,
    /// One for each phase.
    pub(super) senders: Vec<Sender>,
    /// Items that arrived again.
    pub(super) duplicates: u64,
    pub(super) ledger: Watched,
    pub(super) drained_seconds: f64,
    pub(super) peak_rss_mib: f64,
    pub(super) limit_rss_mib: f64,
    /// Limit of the control group; none if none could be made.
    pub(super) group_mib: Option<u64>,
}

impl Run {
    /// Whether nothing was lost, memory kept its bound, and senders were told what they must be told: what no machine excuses.
    pub(in crate::rig) fn is_exact(&self) -> bool {
        self.exactness().iter().all(|(holds, _)| *holds)
    }

    pub(super) fn exactness(&self) -> Vec<(bool, String)> {
        let sum = |of: fn(&Sender) -> u64| self.senders.iter().map(of).sum::<u64>();
        let accepted = sum(|sender| sender.accepted);
        let (lost, unacknowledged) = (sum(|sender| sender.lost), sum(|sender| sender.unacknowledged));
        let (refused, unhinted) = (sum(|sender| sender.refused), sum(|sender| sender.unhinted));
        let unanswered = sum(|sender| sender.unanswered);
        let mut statuses: BTreeMap<&str, u64> = BTreeMap::new();
        for (status, times) in self.senders.iter().flat_map(|sender| &sender.errors) {
            *statuses.entry(status).or_default() += times;
        }
        let Watched { snapshots, max_imbalance, imbalance_at, max_reported, max_unrouted, last, .. } = &self.ledger;
        let dropped: i64 = last.dropped.values().sum();
        let group = match self.group_mib {
            Some(limit) => format!("in a control group of {limit} MiB"),
            None => "WITHOUT a control group, which could not be made,".to_owned(),
        };
        vec![
            (
                lost == 0 && unacknowledged == 0 && accepted > 0,
                format!(
                    "of {accepted} items accepted {lost} are lost, {unacknowledged} arrived without having been accepted, \
                     {} again; emptied {:.1} s after the load ended",
                    self.duplicates, self.drained_seconds
                ),
            ),
            (
                self.peak_rss_mib <= self.limit_rss_mib,
                format!("{group} peak RSS is {:.0} MiB, at most {:.0}", self.peak_rss_mib, self.limit_rss_mib),
            ),
            (
                refused > 0 && unhinted == 0,
                format!("of {refused} items refused {unhinted} were not told when to come back"),
            ),
            (
                unanswered == 0 && statuses.keys().all(|status| RETRYABLE.contains(status)),
                format!("all refusals are retryable, and {unanswered} items got no answer: {statuses:?}"),
            ),
            (
                *max_imbalance == 0 && *max_reported == 0 && *max_unrouted <= 0 && *snapshots > 0 && dropped == 0,
                format!(
                    "ledger balances in each of {snapshots} snapshots: largest imbalance {max_imbalance} {imbalance_at}, \
                     reported {max_reported}, appended but not routed {max_unrouted}; {dropped} dropped"
                ),
            ),
        ]
    }
}
