//! Which logs can find their span.

use std::collections::HashSet;

use super::read::{Arrivals, LogSeen};
use crate::settings::Nanos;

/// How long a log may be held back for its span after it has arrived.
pub type Hold = Nanos;

/// How many logs find their span. Each arrival of a log that comes twice is counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Recall {
    /// Logs whose span arrives at all, however late.
    pub joinable: usize,
    /// Those that find it within the hold.
    pub found: usize,
}

impl Recall {
    /// The share, in percent; 100 where there is nothing to find.
    pub fn percent(&self) -> f64 {
        if self.joinable == 0 { 100.0 } else { 100.0 * self.found as f64 / self.joinable as f64 }
    }
}

impl Arrivals {
    /// When the span of this log arrives.
    pub fn span_at(&self, log: &LogSeen) -> Option<Nanos> {
        Some(self.spans.get(&log.span?)?.at)
    }

    /// Whether this log finds its span: that is known from its arrival on, and the log waits for `hold` at most.
    pub fn finds(&self, log: &LogSeen, hold: Hold) -> bool {
        self.span_at(log).is_some_and(|span| span <= log.at + hold)
    }

    /// The best possible recall. No collector that holds logs no longer than this can join more of them.
    pub fn recall(&self, hold: Hold) -> Recall {
        self.recall_of(hold, |_| true)
    }

    /// The same, of some logs.
    pub fn recall_of(&self, hold: Hold, which: impl Fn(&LogSeen) -> bool) -> Recall {
        let mut recall = Recall::default();
        for log in self.logs.iter().filter(|log| which(log)) {
            recall.joinable += usize::from(self.span_at(log).is_some());
            recall.found += usize::from(self.finds(log, hold));
        }
        recall
    }

    /// The numbers of the logs that find their span.
    pub fn found(&self, hold: Hold) -> HashSet<u32> {
        self.logs.iter().filter(|log| self.finds(log, hold)).filter_map(|log| log.uid).collect()
    }

    /// Mean and most time that a log is held which leaves as soon as its span is there, or after `hold`. Logs without a valid
    /// context are not held.
    pub fn waits(&self, hold: Hold) -> (Nanos, Nanos) {
        let waits = self.logs.iter().map(|log| match (log.span, self.span_at(log)) {
            (None, _) => 0,
            (Some(_), None) => hold,
            (Some(_), Some(span)) => span.saturating_sub(log.at).min(hold),
        });
        let (mut sum, mut most, mut count) = (0u128, 0, 0u128);
        for wait in waits {
            (sum, most, count) = (sum + u128::from(wait), most.max(wait), count + 1);
        }
        ((sum / count.max(1)) as Nanos, most)
    }

    /// Of the traces whose root arrives: how many have all of the spans that ever arrive within `wait` of it, and how many
    /// there are.
    pub fn complete_traces(&self, wait: Nanos) -> (usize, usize) {
        let (mut complete, mut all) = (0, 0);
        for keys in self.traces.values() {
            let spans = || keys.iter().map(|key| &self.spans[key]);
            let Some(root) = spans().filter(|span| span.is_root).map(|span| span.at).min() else { continue };
            all += 1;
            complete += usize::from(spans().all(|span| span.at <= root + wait));
        }
        (complete, all)
    }
}
